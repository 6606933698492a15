//! The end of a node: what runs may finish, then the farewell.

use super::{Core, Phase};
use crate::calls::Stage;
use crate::error::{CallError, ErrorCode, Executed, Fault};
use crate::event::Event;
use crate::mutant::planted;
use crate::tasks::Progress;
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::Outgoing;

impl Core {
    /// Begins the end: nothing new is accepted, queued calls are refused, running functions may
    /// finish within the configured time; then the farewell is sent and
    /// [`Event::Closed`] comes.
    pub fn shutdown(&mut self, now: Time) {
        if self.phase >= Phase::Draining {
            return;
        }
        self.phase = Phase::Draining;
        self.refuse_queued(now);
        self.timers.set(now + self.config.drain, Timer::Drain);
        self.close_if_drained(now);
    }

    /// Ends at once: functions that run are cut off, and all that is said is the farewell, by
    /// which their callers know that no answer comes. Then [`Event::Closed`] comes.
    pub fn close_now(&mut self, now: Time) {
        self.close(now);
        self.phase = Phase::CutOff;
    }

    /// Refuses everything that has not begun, because the node goes down.
    pub(super) fn refuse_queued(&mut self, now: Time) {
        if planted!(DrainStarts) {
            return;
        }
        for key in self.tasks.keys() {
            if self.tasks.get(key).is_some_and(|t| matches!(t.progress, Progress::Queued)) {
                let text = format!("`{}` is going down", self.config.name);
                self.counters.tasks_unstarted.count(ErrorCode::SHUTTING_DOWN);
                self.settle(now, key, Err(Fault::new(ErrorCode::SHUTTING_DOWN, text)));
            }
        }
    }

    /// Says farewell once nothing runs and every answer has left.
    pub(super) fn close_if_drained(&mut self, now: Time) {
        if self.phase != Phase::Draining || self.answers_leaving > 0 || self.streams_leaving() {
            return;
        }
        if self.has_answered() {
            self.close(now);
        }
    }

    pub(super) fn close(&mut self, now: Time) {
        if self.phase >= Phase::Closed {
            return;
        }
        for key in self.calls.keys() {
            let sent = match self.calls.get(key).map(|call| &call.stage) {
                Some(Stage::Done(_)) | None => continue,
                Some(Stage::Seeking | Stage::Remote { sent: false, .. }) => Executed::No,
                Some(_) => Executed::Maybe,
            };
            let error = CallError::new(ErrorCode::CLOSED, sent, "this node was shut down");
            self.finish_failed(now, key, error);
        }
        self.phase = Phase::Closed;
        self.cut_streams();
        self.say_bye(now);
        self.event(Event::Closed);
    }

    pub(super) fn say_bye(&mut self, now: Time) {
        let lanes: Vec<_> = self.links.broadcast_lanes().collect();
        if self.config.discovery {
            for lane in lanes {
                self.outbox.broadcast(lane, Outgoing::Bye);
            }
        }
        for key in self.peers.keys() {
            let Some(peer) = self.peers.get(key) else { continue };
            let link = peer.link;
            if !peer.is_reached_by_broadcast(now) || !self.config.discovery {
                self.send(link, Outgoing::Bye);
            }
        }
    }
}
