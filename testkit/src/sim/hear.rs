//! A datagram at a node: what its transport and its driver do with it. It touches nothing but the
//! node, so that many may hear at once.

use std::sync::Arc;
use std::time::Duration;

use lanc_core::Time;
use lanc_core::ports::{Initiator, LinkEvent, Origin, Received};

use super::glance::Cause;
use super::network::{AddressId, Addresses, segment};
use super::node::{Datagram, Node, endpoint};
use super::seals::{After, Before};
use super::trips::Cargo;
use crate::keys::Keys;

/// What all nodes of a world see.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'w> {
    pub(super) addresses: &'w Addresses,
    pub(super) keys: &'w Keys,
}

/// What is to be noted of a datagram that a core was handed.
pub(super) struct Heard {
    pub(super) cause: Cause,
    pub(super) cargo: Option<Arc<Cargo>>,
    /// When, by the node's own clock.
    pub(super) local: Time,
    /// The one round trip that was measured by it.
    pub(super) trip: Option<Duration>,
    /// The network had changed it, and the core took it all the same.
    pub(super) believes_damage: bool,
    /// In keyed mode: what has come of it, by whom it was said to be sent, and what it was.
    pub(super) sealed: Option<(After, AddressId, Arc<[u8]>)>,
}

impl Node {
    /// Hands a datagram to the core, if it runs. Its outputs wait.
    pub(super) fn hear(
        &mut self,
        now: Time,
        Surroundings { addresses, keys }: Surroundings<'_>,
        datagram: Datagram,
        buffer: &mut Vec<u8>,
    ) -> Option<Heard> {
        let remote = addresses.address(datagram.from);
        if self.paused {
            if self.backlog.len() < Self::BACKLOG {
                self.backlog.push_back(datagram);
            }
            return None;
        }
        let local = self.clock.read(now);
        let own = addresses.address(self.address);
        let origin = match segment(remote) {
            Some(_) if own.ip() == remote.ip() => Origin::Host,
            Some(segment) if segment == self.spec.segment => Origin::Network,
            _ => Origin::Beyond,
        };
        let life = self.life.as_mut()?;
        let link = match life.links.get(datagram.from) {
            Some(link) => link.id,
            None => {
                let configured = life.configured.contains(&datagram.from);
                let link = life.links.open(datagram.from, configured)?;
                let (remote, initiator) = (endpoint(remote), Initiator::Them);
                life.core.handle_link(local, LinkEvent::Up { link, remote, initiator });
                link
            }
        };
        let bytes = &datagram.bytes;
        life.links.heard(datagram.from, bytes.len(), || keys.plain(bytes));
        life.delivered += 1;
        // A copy, because a core may open a frame in place.
        buffer.clear();
        buffer.extend_from_slice(bytes);
        let frame = Received { link, cast: datagram.cast, origin, bytes: buffer.as_mut_slice() };
        let taken =
            |core: &lanc_core::Core| (core.counters().messages_accepted, core.tables().outbox);
        let sealed = Before::of(&life.core, local, &datagram.bytes, datagram.strange);
        let is_open = sealed.is_none();
        let before = (datagram.damaged && is_open).then(|| taken(&life.core));
        let samples = |core: &lanc_core::Core| {
            (core.counters().round_trips, core.counters().round_trip_nanos)
        };
        let (count, sum) = samples(&life.core);
        life.core.handle_frame(local, frame);
        let believes_damage = before.is_some_and(|before| before != taken(&life.core));
        let (count, sum) = (samples(&life.core).0 - count, samples(&life.core).1 - sum);
        let trip = (count == 1).then(|| Duration::from_nanos(sum));
        let Datagram { cause, cargo, from, bytes, .. } = datagram;
        let after = sealed.map(|before| before.after(&life.core, local, &bytes));
        let sealed = after.map(|after| (after, from, bytes));
        Some(Heard { cause, cargo, local, trip, believes_damage, sealed })
    }
}
