//! Calls that wait for a provider.

use std::time::Duration;

use super::Core;
use crate::calls::{Mode, Stage, Target};
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::CallKey;
use crate::time::Time;
use crate::timers::Timer;

/// When hello is said again for a call that waits for a provider; then after twice that, and so on.
const SEEK_AGAIN: Duration = Duration::from_millis(400);

impl Core {
    /// Says hello again while calls wait for a provider, ever more seldom: the first one, or the
    /// answer to it, may have been lost, or the network was not up yet.
    pub(super) fn seek_again(&mut self, now: Time) {
        if self.announcing.sought.is_none() {
            self.announcing.sought = Some(0);
            self.timers.set(now + SEEK_AGAIN, Timer::SeekAgain);
        }
    }

    pub(super) fn greet_again(&mut self, now: Time) {
        let sought = self.announcing.sought.take().filter(|_| self.calls.still_seeks());
        let Some(sought) = sought.map(|sought| sought.saturating_add(1)) else { return };
        self.say_hello_and(now, true);
        self.announcing.sought = Some(sought);
        self.timers.set(now + SEEK_AGAIN * (1 << sought.min(6)), Timer::SeekAgain);
    }

    /// Until when a call waits for a provider.
    pub(super) fn seeks_until(&self, key: CallKey) -> Time {
        let Some(call) = self.calls.get(key) else { return Time::ZERO };
        match call.request.wait {
            Some(wait) => call.started + wait,
            None => self.settled_at().max(self.lists_are_due()),
        }
    }

    /// Until when a call to several waits for more of them: at most for half of its time, so that
    /// those that are known can answer.
    pub(super) fn gathers_until(&self, key: CallKey) -> Time {
        let Some(call) = self.calls.get(key) else { return Time::ZERO };
        self.seeks_until(key).min(call.started + call.deadline.since(call.started) / 2)
    }

    /// When a peer that has restarted has had the time to say again what it offers.
    fn lists_are_due(&self) -> Time {
        let restarted = self.announcing.peer_restarted;
        restarted.map_or(Time::ZERO, |restarted| restarted + self.config.discovery_wait)
    }

    /// Tries to route again every call that waits for a provider.
    pub(super) fn route_seeking(&mut self, now: Time) {
        if !self.calls.is_seeking() {
            return;
        }
        for key in self.calls.take_seeking() {
            let Some(call) = self.calls.get_mut(key) else { continue };
            if !matches!(call.stage, Stage::Seeking) {
                continue;
            }
            let timer = call.other_timer.take();
            self.cancel_timer(timer);
            self.route(now, key);
        }
    }

    /// Lets a call that cannot go anywhere wait for a provider, or ends it. `false`: it is over.
    pub(super) fn waits_for_provider(&mut self, now: Time, key: CallKey) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        // Where some are known, more of them are waited for.
        let is_for_several = matches!(call.request.mode, Mode::Fastest(_) | Mode::All);
        let gathers =
            is_for_several && self.directory.find(call.request.function.as_str()).is_some();
        let until = if gathers { self.gathers_until(key) } else { self.seeks_until(key) };
        if now >= until {
            self.no_provider(now, key);
            return false;
        }
        let timer = self.timers.set(until, Timer::Seek(key));
        self.set_other_timer(key, Some(timer));
        true
    }

    /// The time to wait for a provider is over, unless a peer has restarted meanwhile, whose list
    /// is still to come.
    pub(super) fn seek_over(&mut self, now: Time, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.other_timer = None;
        if matches!(call.stage, Stage::Seeking) && !self.try_route(now, key) {
            self.waits_for_provider(now, key);
        }
    }

    pub(super) fn no_provider(&mut self, now: Time, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        let name = &call.request.function;
        let text = match &call.request.target {
            Target::Any => format!("nobody here offers `{name}`"),
            Target::Session(session) => format!("no peer with session {session:?} is here"),
            Target::Peer(peer) => {
                let peer: String = peer.chars().take(80).flat_map(char::escape_debug).collect();
                match self.find_peer(&peer) {
                    Some(_) => format!("`{peer}` has not said whether it offers `{name}`"),
                    None => format!("no peer `{peer}` is here to run `{name}`"),
                }
            }
        };
        let error = CallError::new(ErrorCode::NO_PROVIDER, Executed::No, text);
        self.finish_failed(now, key, error);
    }
}
