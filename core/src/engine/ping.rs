//! Pings and their pongs.

use std::time::Duration;

use super::receive::From;
use super::{Core, Done, Ping};
use crate::counters::Drop;
use crate::endpoint::LinkId;
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::PingKey;
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::Outgoing;

/// How long a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

impl Core {
    /// Sends a ping to a peer; [`Done::Ping`](super::Done::Ping) follows, within five seconds.
    ///
    /// # Errors
    /// `no_provider` when no such peer is here, `unsupported` when it is an older program, `busy` when too many pings are in flight.
    pub fn ping(&mut self, now: Time, peer: &str) -> Result<PingKey, CallError> {
        let missing = || {
            let text = format!("no peer `{peer}` is here");
            CallError::new(ErrorCode::NO_PROVIDER, Executed::No, text)
        };
        let link = self.find_peer(peer).and_then(|key| self.peers.get(key)).map(|peer| peer.link);
        let link = link.ok_or_else(missing)?;
        if self.links.get(link).is_some_and(|link| link.is_home) {
            let text = format!("`{peer}` is an older program and knows no ping");
            return Err(CallError::new(ErrorCode::UNSUPPORTED, Executed::No, text));
        }
        let number = self.draw_ping();
        let busy = || CallError::new(ErrorCode::BUSY, Executed::No, "too many pings in flight");
        let waiting = Ping { number, sent: now, link, timer: None };
        let Ok(key) = self.pings.insert(waiting) else {
            self.limit_hit(now, "max_pings");
            return Err(busy());
        };
        let timer = self.timers.set(now + PING_TIMEOUT, Timer::Ping(key));
        if let Some(ping) = self.pings.get_mut(key) {
            ping.timer = Some(timer);
        }
        self.pings_by_number.insert(number, key);
        self.send(link, Outgoing::Ping(number));
        Ok(key)
    }

    /// Below 2^53, so that a node that reads every number as a float echoes it unchanged.
    pub(super) fn draw_ping(&mut self) -> u64 {
        self.random.u64() >> 11
    }

    pub(super) fn on_pong(&mut self, now: Time, from: From, number: u64) -> Result<(), Drop> {
        if self.on_life(now, from.link, number) || self.is_there(from.link, number) {
            return Ok(());
        }
        let key = self.pings_by_number.get(&number).copied().ok_or(Drop::UnknownCall)?;
        if self.pings.get(key).is_none_or(|ping| ping.link != from.link) {
            return Err(Drop::UnknownCall);
        }
        self.end_ping(now, key, true);
        Ok(())
    }

    /// Ends a ping, with its pong or without.
    pub(super) fn end_ping(&mut self, now: Time, key: PingKey, answered: bool) {
        let Some(ping) = self.pings.remove(key) else { return };
        self.pings_by_number.remove(&ping.number);
        self.cancel_timer(ping.timer);
        let took = answered.then(|| now.since(ping.sent));
        if let Some(took) = took {
            self.note_round_trip(ping.link, took);
        }
        self.done.push_back(Done::Ping(key, took));
    }

    /// Smooths the round trip of a link's peer by an eighth.
    pub(super) fn note_round_trip(&mut self, link: LinkId, took: Duration) {
        let peer = self.links.get(link).and_then(|link| link.peer);
        if let Some(peer) = peer.and_then(|key| self.peers.get_mut(key)) {
            peer.round_trip = Some(peer.round_trip.map_or(took, |mean| (mean * 7 + took) / 8));
        }
    }
}
