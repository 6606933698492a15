//! A timer that fired.

use super::Core;
use crate::time::Time;
use crate::timers::Timer;

impl Core {
    /// Does everything that is due at `now`. Call it when [`Self::poll_timeout`] says, or later.
    pub fn handle_timeout(&mut self, now: Time) {
        self.tell_outbox(now);
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Hello => {
                    self.announcing.hello_timer = None;
                    self.say_hello(now);
                }
                Timer::Announce => self.announce(now),
                Timer::Lease(peer) => self.lease_over(now, peer),
                Timer::Farewell(peer) => {
                    self.farewell_passed(now, peer);
                }
                Timer::Greet(peer) => {
                    self.peers.settle_greeting(peer);
                    self.greet_when_due(now, peer);
                }
                Timer::Want(peer) => self.ask_functions(now, peer),
                Timer::Deadline(call) => self.deadline_passed(now, call),
                Timer::Seek(call) => self.seek_over(now, call),
                Timer::Late(call) => self.answer_is_late(now, call),
                Timer::Forget => self.forget_expired(now),
                Timer::TaskDeadline(task) => self.task_deadline(now, task),
                Timer::OneShot(task) => self.one_shot_over(task),
                Timer::KeepAlive(link) => self.look_after(now, link),
                Timer::Suspect(peer) => self.question_over(now, peer),
                Timer::Ping(ping) => self.end_ping(now, ping, false),
                Timer::Recovery(peer) => self.recovery_due(now, peer),
                Timer::Caller(caller) => self.caller_due(now, caller),
                Timer::Sweep => self.sweep(now),
                Timer::Drain => self.close(now),
                Timer::Homes => self.tend_homes(now),
                Timer::Rehello => self.say_hello(now),
                Timer::SeekAgain => self.greet_again(now),
                Timer::Token => self.rotate_token(now),
            }
        }
    }
}
