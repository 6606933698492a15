//! How a peer goes: by its farewell, by the end of its lease, or because its place is needed.

use std::time::Duration;

use super::Core;
use super::outcome::Lost;
use super::receive::From;
use crate::counters::Drop;
use crate::event::{Event, PeerDownReason};
use crate::id::{PeerKey, SessionId};
use crate::mutant::planted;
use crate::peers::Trust;
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::hosts::Hosts;
use crate::wire::outbox::Outgoing;

/// How long answers that were sent before a farewell may still be on their way.
const FAREWELL_GRACE: Duration = Duration::from_millis(100);
/// How long nothing may come of an answer that has begun to.
const STANDSTILL: Duration = Duration::from_secs(1);

impl Core {
    pub(super) fn set_lease(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.lease_fires = peer.lease_ends;
        let old = peer.lease.replace(self.timers.set(peer.lease_ends, Timer::Lease(key)));
        self.cancel_timer(old);
    }

    /// The timer of a lease fired: the peer is gone, unless it was heard meanwhile.
    pub(super) fn lease_over(&mut self, now: Time, key: PeerKey) {
        let heard = self.heard_of(key);
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.lease = None;
        let lease = peer.interval * self.config.lease_tenths / 10;
        peer.lease_ends = heard.map_or(peer.lease_ends, |heard| peer.lease_ends.max(heard + lease));
        if planted!(LeaseForEver) {
            peer.lease_ends = now + Duration::from_secs(3600);
        }
        if peer.lease_ends > now {
            self.set_lease(key);
        } else {
            self.remove_peer(now, key, PeerDownReason::Expired);
        }
    }

    /// When something last came by a link that is surely this peer's. Its hellos may be lost
    /// while its answers come.
    fn heard_of(&self, key: PeerKey) -> Option<Time> {
        let peer = self.peers.get(key)?;
        let links = [Some(peer.link), peer.connection].into_iter().flatten();
        let own = links.filter_map(|link| self.links.get(link));
        own.filter(|link| link.proved_for == Some(key)).map(|link| link.last_heard).max()
    }

    /// Whether nothing has come of a peer since calls were sent to it again and again.
    pub(super) fn is_unheard(&self, key: PeerKey) -> bool {
        let since = self.peers.get(key).and_then(|peer| peer.unheard_at);
        since.is_some_and(|since| self.heard_of(key).is_none_or(|heard| heard < since))
    }

    pub(super) fn on_bye(&mut self, now: Time, from: From, session: SessionId) -> Result<(), Drop> {
        if session == self.session {
            return Err(Drop::Own);
        }
        let key = self.peers.by_session(session).ok_or(Drop::UnknownPeer)?;
        // Sessions are no secret: only the peer's own link says when it goes.
        if !self.speaks_for(from.link, key) && !planted!(ByeFromAnybody) {
            return Err(Drop::UnknownPeer);
        }
        self.remove_peer(now, key, PeerDownReason::Left);
        Ok(())
    }

    /// Forgets a peer, its functions, and ends the calls that wait for it.
    pub(super) fn remove_peer(&mut self, now: Time, key: PeerKey, reason: PeerDownReason) {
        let greet = self.peers.settle_greeting(key);
        let Some(peer) = self.peers.remove(key) else { return };
        let recovery = peer.recovery.timer.map(|(_, timer)| timer);
        let suspicion = peer.suspicion.and_then(|suspicion| suspicion.timer);
        for timer in [peer.lease, greet, peer.want, recovery, suspicion] {
            self.cancel_timer(timer);
        }
        self.links.disown(peer.link);
        // Calls that wait for a connection are lost with the others, below.
        for message in peer.waiting {
            if !matches!(message, Outgoing::Call(_)) {
                self.unsent(now, message);
            }
        }
        if let (Trust::Tentative, Some(ip)) = (peer.trust, Hosts::counts(peer.endpoint.ip())) {
            self.hosts.remove_tentative(ip);
        }
        if peer.trust == Trust::Verified {
            self.was_peer(peer.session.short(), key);
            // Of others anybody can say as often as they like that they have.
            if reason == PeerDownReason::Restarted {
                self.announcing.peer_restarted = Some(now);
            }
        }
        if matches!(reason, PeerDownReason::Left | PeerDownReason::Restarted) {
            self.caller_gone(now, peer.session.short());
        }
        for function in peer.functions {
            self.withdraw(function, key, &peer.name);
        }
        // A node answers before it says farewell, but the two may take different sockets.
        if reason == PeerDownReason::Left && peer.open_calls > 0 {
            self.timers.set(now + FAREWELL_GRACE, Timer::Farewell(key));
        } else {
            self.farewell_over(now, key, reason);
        }
        self.event(Event::PeerDown { session: peer.session, name: peer.name.to_string(), reason });
        self.schedule_sweep(now);
    }

    /// The grace after a farewell has passed. A large answer goes on while it comes: it was sent
    /// before, by a connection that is slower.
    pub(super) fn farewell_passed(&mut self, now: Time, key: PeerKey) {
        let is_heard = self.links.connections().any(|link| {
            let streams = link.streams.as_ref();
            let has_begun = streams.is_some_and(|streams| streams.held().messages_in > 0);
            link.peer == Some(key) && has_begun && now.since(link.last_heard) < STANDSTILL
        });
        if is_heard {
            self.timers.set(now + FAREWELL_GRACE, Timer::Farewell(key));
        } else {
            self.farewell_over(now, key, PeerDownReason::Left);
        }
    }

    /// Nothing more can come of a peer that is gone.
    pub(super) fn farewell_over(&mut self, now: Time, key: PeerKey, reason: PeerDownReason) {
        self.lose_calls(now, Lost::Peer(key), reason);
        self.close_connections(now, key);
    }
}
