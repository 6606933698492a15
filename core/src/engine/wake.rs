//! A timer that fired.

use std::time::Duration;

use super::outcome::Lost;
use super::{Core, LinkCommand};
use crate::error::{ErrorCode, Fault};
use crate::event::PeerDownReason;
use crate::id::TaskKey;
use crate::ports::Close;
use crate::tasks::Progress;
use crate::time::Time;
use crate::timers::Timer;

/// How often idle links and hosts are looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// So many newcomers at once are answered by one broadcast.
const CROWD: usize = 8;
/// How long a link may be idle that belongs to nobody.
const IDLE: Duration = Duration::from_secs(15);

impl Core {
    /// Does everything that is due at `now`. Call it when [`Self::poll_timeout`] says, or later.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Hello => {
                    self.hello_timer = None;
                    self.say_hello(now);
                }
                Timer::Announce => self.announce(now),
                Timer::Lease(peer) => self.lease_over(now, peer),
                Timer::Farewell(peer) => {
                    self.lose_calls(now, Lost::Peer(peer), PeerDownReason::Left);
                }
                Timer::Greet(peer) => {
                    if let Some(peer) = self.peers.get_mut(peer) {
                        peer.greet = None;
                    }
                    self.greet_when_due(now, peer);
                }
                Timer::Want(peer) => self.ask_functions(now, peer),
                Timer::Deadline(call) => self.deadline_passed(now, call),
                Timer::Seek(call) => self.seek_over(now, call),
                Timer::Forget(call) => self.forget(call),
                Timer::TaskDeadline(task) => self.task_deadline(now, task),
                Timer::Ping(ping) => self.end_ping(now, ping, false),
                Timer::Sweep => self.sweep(now),
                Timer::Drain => self.close(now),
                Timer::Rehello(_) => self.say_hello(now),
            }
        }
    }

    /// Answers a new peer's hello, at the pace that a crowd of them allows.
    fn greet_when_due(&mut self, now: Time, peer: crate::id::PeerKey) {
        if self.owed_greetings(now) >= CROWD && self.config.discovery {
            self.answer_crowd(now, peer);
            return;
        }
        if self.replies.take(now, self.config.hello_replies) {
            if let Some(link) = self.peers.get(peer).map(|peer| peer.link) {
                self.greet(now, peer, link);
            }
            return;
        }
        self.limit_hit(now, "hello_replies");
        self.greet_later(now, peer);
    }

    fn greet_later(&mut self, now: Time, peer: crate::id::PeerKey) {
        let later = self.random.duration_up_to(Duration::from_secs(1));
        let timer = self.timers.set(now + Duration::from_millis(500) + later, Timer::Greet(peer));
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.greet = Some(timer);
        }
    }

    /// How many newcomers that hear broadcasts wait for an answer.
    fn owed_greetings(&self, now: Time) -> usize {
        let owed =
            |peer: &crate::peers::Peer| peer.greet.is_some() && peer.is_reached_by_broadcast(now);
        self.peers.iter().filter(|(_, peer)| owed(peer)).count()
    }

    /// One broadcast answers all newcomers at once: when a whole room starts together, N answers
    /// of each of N nodes become N broadcasts.
    fn answer_crowd(&mut self, now: Time, peer: crate::id::PeerKey) {
        if self.last_announce.is_some_and(|last| now.since(last) < Duration::from_secs(1)) {
            self.greet_later(now, peer);
        } else {
            self.announce(now);
        }
    }

    fn task_deadline(&mut self, now: Time, key: TaskKey) {
        let Some(task) = self.tasks.get_mut(key) else { return };
        task.deadline_timer = None;
        match task.progress {
            Progress::Queued => {
                let text = "the deadline passed in the queue";
                let fault = Fault::new(ErrorCode::TIMEOUT, text);
                self.complete(now, key, Err(fault));
            }
            Progress::Running { .. } => self.tasks.cancel_running(key),
            Progress::Answered(_) => {}
        }
    }

    /// Looks for idle links and hosts in a while, if there are any.
    pub(super) fn schedule_sweep(&mut self, now: Time) {
        if self.sweep_timer.is_none() {
            self.sweep_timer = Some(self.timers.set(now + SWEEP, Timer::Sweep));
        }
    }

    fn sweep(&mut self, now: Time) {
        self.sweep_timer = None;
        // Somebody who never said hello may wait long for an answer.
        let awaited = self.tasks.awaited_links();
        for link in self.links.idle_strangers(now - IDLE, |link| awaited.contains(&link)) {
            self.link_commands.push_back(LinkCommand::Close(link, Close::Abort));
            self.link_down(now, link);
        }
        self.hosts.sweep(now);
        if self.links.len() > 0 || self.hosts.len() > 0 {
            self.schedule_sweep(now);
        }
    }
}
