//! Connections that are kept: asked for a sign of life, closed when none comes or when nobody
//! needs them any more.

use super::Core;
use crate::calls::Stage;
use crate::endpoint::LinkId;
use crate::ports::{Close, Initiator};
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::links::Alive;
use crate::wire::outbox::Outgoing;

/// So many signs of life in a row may fail to come.
const MISSES: u8 = 2;

impl Core {
    /// Begins to look after a connection.
    pub(super) fn keep_alive(&mut self, now: Time, link: LinkId) {
        let timer = self.timers.set(now + self.config.keep_alive, Timer::KeepAlive(link));
        if let Some(link) = self.links.get_mut(link) {
            link.look = Some(timer);
        }
    }

    /// Time to look at a connection again.
    pub(super) fn look_after(&mut self, now: Time, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        link.look = None;
        let is_kept = link.peer.is_some() || link.configured;
        let missed = match link.alive {
            Some(alive) if link.last_heard < alive.asked => alive.missed + 1,
            _ => 0,
        };
        if missed >= MISSES {
            self.counters.connections_dead += 1;
            self.drop_link(now, id, Close::Abort);
        } else if self.is_idle(now, id) {
            self.counters.connections_idle += 1;
            self.drop_link(now, id, Close::Flush);
        } else {
            self.rest(now, id);
            self.end_stalled(now, id);
            if self.links.get(id).is_none() {
                return;
            }
            if is_kept {
                self.ask_for_life(now, id, missed);
            }
            self.keep_alive(now, id);
        }
    }

    /// Gives back what a busy time has left behind.
    fn rest(&mut self, now: Time, id: LinkId) {
        let quiet = self.config.keep_alive;
        let Some(link) = self.links.get_mut(id) else { return };
        if now.since(link.last_used) >= quiet
            && let Some(streams) = &mut link.streams
        {
            streams.relax();
        }
    }

    fn ask_for_life(&mut self, now: Time, id: LinkId, missed: u8) {
        let number = self.draw_ping();
        if let Some(link) = self.links.get_mut(id) {
            link.alive = Some(Alive { number, asked: now, missed });
        }
        self.send(id, Outgoing::Ping(number));
    }

    /// A pong that may be a sign of life. `false`: it is not.
    pub(super) fn on_life(&mut self, now: Time, id: LinkId, number: u64) -> bool {
        let Some(link) = self.links.get_mut(id) else { return false };
        let Some(alive) = link.alive.filter(|alive| alive.number == number) else { return false };
        link.alive = None;
        self.note_round_trip(id, now.since(alive.asked));
        true
    }

    /// Whether this node may close a connection because nobody uses it: one that it began, that
    /// its peer is not known by, and that nothing is on its way on.
    fn is_idle(&self, now: Time, id: LinkId) -> bool {
        let Some(link) = self.links.get(id) else { return false };
        let is_spare = link.peer.and_then(|key| self.peers.get(key)).is_some_and(|p| p.link != id);
        let is_quiet = now.since(link.last_used) >= self.config.connection_idle;
        let may = is_spare && is_quiet && link.initiator == Initiator::Us && !link.configured;
        if !may || !link.is_quiet() {
            return false;
        }
        let mut calls = self.calls.iter().map(|(_, call)| &call.stage);
        let is_called = calls.any(|s| matches!(s, Stage::Remote { link, .. } if *link == id));
        !is_called && !self.tasks.awaited_links().contains(&id)
    }

    /// Notes that a call or an answer goes or comes by a link.
    pub(super) fn touch(&mut self, now: Time, id: LinkId) {
        if let Some(link) = self.links.get_mut(id) {
            link.last_used = now;
        }
    }
}
