//! Pings and their pongs.

use super::receive::From;
use super::{Core, Done, Ping};
use crate::counters::Drop;
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::PingKey;
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::Outgoing;

/// How long a ping may take.
const PING_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

impl Core {
    /// Sends a ping to a peer; [`Done::Ping`](super::Done::Ping) follows, within five seconds.
    ///
    /// # Errors
    /// `no_provider` when no such peer is here, `busy` when too many pings are in flight.
    pub fn ping(&mut self, now: Time, peer: &str) -> Result<PingKey, CallError> {
        let missing = || {
            let text = format!("no peer `{peer}` is here");
            CallError::new(ErrorCode::NO_PROVIDER, Executed::No, text)
        };
        let link = self.find_peer(peer).and_then(|key| self.peers.get(key)).map(|peer| peer.link);
        let link = link.ok_or_else(missing)?;
        // Below 2^53, so that a node that reads every number as a float echoes it unchanged.
        let number = self.random.u64() >> 11;
        let busy = || CallError::new(ErrorCode::BUSY, Executed::No, "too many pings in flight");
        if self.pings.len() >= self.pings.limit() {
            return Err(busy());
        }
        let waiting = Ping { number, sent: now, link, timer: self.timers.set(now, Timer::Sweep) };
        let key = self.pings.insert(waiting).map_err(|_| busy())?;
        let timer = self.timers.set(now + PING_TIMEOUT, Timer::Ping(key));
        if let Some(ping) = self.pings.get_mut(key) {
            let old = std::mem::replace(&mut ping.timer, timer);
            self.timers.cancel(old);
        }
        self.pings_by_number.insert(number, key);
        self.send(link, Outgoing::Ping(number));
        Ok(key)
    }

    pub(super) fn on_pong(&mut self, now: Time, from: From, number: u64) -> Result<(), Drop> {
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
        self.timers.cancel(ping.timer);
        let took = answered.then(|| now.since(ping.sent));
        let peer = self.links.get(ping.link).and_then(|link| link.peer);
        if let (Some(took), Some(peer)) = (took, peer.and_then(|key| self.peers.get_mut(key))) {
            peer.round_trip = Some(peer.round_trip.map_or(took, |mean| (mean * 7 + took) / 8));
        }
        self.done.push_back(Done::Ping(key, took));
    }
}
