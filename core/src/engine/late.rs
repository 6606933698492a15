//! When an answer is late, so that another provider is asked beside the one that has the call; also
//! one that is heard of only then.
//!
//! A timer is set where there is somebody to ask. Where there is nobody, nothing waits: discovery
//! looks for such calls when it brings a provider, so that those that are answered, nearly all, pay
//! nothing for it. A call that nobody has any more, its only provider being gone, waits for another
//! for as long as a new call would.

use std::time::Duration;

use super::attempts::{Next, asked, was_asked};
use super::{Core, Phase};
use crate::calls::{Call, Mode, Stage};
use crate::directory::Function;
use crate::error::ErrorCode;
use crate::id::{CallKey, PeerKey};
use crate::time::Time;
use crate::timers::Timer;

/// When a copy is sent while too few answers have come to know when one is late.
const UNKNOWN_LATENESS: Duration = Duration::from_secs(1);

impl Core {
    /// Sets the time after which another provider is asked beside the one that has just been sent
    /// the call.
    #[inline]
    pub(super) fn expect_answer(&mut self, now: Time, key: CallKey) {
        let may_repeat = self.calls.get(key).is_some_and(|call| call.idempotent.is_some());
        if may_repeat {
            self.expect_answer_soon(now, key);
        }
    }

    fn expect_answer_soon(&mut self, now: Time, key: CallKey) {
        let timer = self.late_at(now, key).map(|due| self.timers.set(due, Timer::Late(key)));
        self.set_other_timer(key, timer);
    }

    /// When the answer is late of a call that was last sent to somebody at `since`. `None`: nobody
    /// else may be asked, or is known.
    fn late_at(&self, since: Time, key: CallKey) -> Option<Time> {
        let call = self.calls.get(key)?;
        let function = self.directory.get(call.idempotent?)?;
        let Stage::Remote { peer, .. } = call.stage else { return None };
        let (asked, most) = (asked(call), self.most_attempts(call));
        if asked >= most || !self.is_another_known(call, function) {
            return None;
        }
        let left = call.deadline.since(since);
        let attempts_left = u32::try_from(most - asked + 1).unwrap_or(u32::MAX);
        let wait = match call.request.mode {
            Mode::One => left / attempts_left,
            Mode::Hedged => self.lateness(function, peer).min(left),
            _ => return None,
        };
        Some(since + wait)
    }

    /// Whether a provider is known that the call was not sent to.
    fn is_another_known(&self, call: &Call, function: &Function) -> bool {
        let mut providers = function.providers.iter().filter_map(|key| self.peers.get(*key));
        providers.any(|peer| !was_asked(call, peer.session))
    }

    /// After what time an answer is late.
    fn lateness(&self, function: &Function, peer: PeerKey) -> Duration {
        let usual = function.p95().unwrap_or(UNKNOWN_LATENESS);
        usual.max(self.peer_srtt(peer).map_or(Duration::ZERO, |round_trip| round_trip * 2))
    }

    /// The round trip to a peer, smoothed, if it is known.
    fn peer_srtt(&self, peer: PeerKey) -> Option<Duration> {
        let peer = self.peers.get(peer)?;
        peer.recovery.round_trip.smoothed().or(peer.round_trip)
    }

    /// No answer has come in the time in which it should have.
    pub(super) fn answer_is_late(&mut self, now: Time, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.other_timer = None;
        let is_open = matches!(call.stage, Stage::Remote { .. } | Stage::Elsewhere);
        if !is_open || now >= call.deadline || self.phase != Phase::Running {
            return;
        }
        if is_with_nobody(call) {
            return self.look_further(now, key);
        }
        match self.next_provider(now, key) {
            Next::Ask(peer) => {
                self.ask(now, key, peer);
            }
            Next::Withheld => self.counters.retries_withheld += 1,
            Next::Nobody => {}
        }
    }

    /// Functions have providers that they had not: calls that may run more than once, and had nobody else to
    /// ask, have somebody now.
    pub(super) fn providers_came(&mut self, now: Time) {
        let is_alone = |call: &Call| {
            let is_out = matches!(call.stage, Stage::Remote { .. } | Stage::Elsewhere);
            let is_repeatable = call.idempotent.is_some() && call.other_timer.is_none();
            is_with_nobody(call) || (is_out && is_repeatable)
        };
        let alone = self.calls.iter().filter(|(_, call)| is_alone(call)).map(|(key, _)| key);
        for key in alone.collect::<Vec<_>>() {
            self.find_again(key);
            match self.calls.get(key).map(|call| &call.stage) {
                Some(Stage::Remote { .. }) => self.resume_waiting(now, key),
                // Its own attempt has failed: nothing there is worth waiting for.
                Some(Stage::Elsewhere) => self.look_further(now, key),
                _ => {}
            }
        }
    }

    /// Lets a call whose own attempt has failed go on, if there is somebody now, or ends it.
    fn look_further(&mut self, now: Time, key: CallKey) {
        self.set_other_timer(key, None);
        if let Some(outcome) = self.go_on(now, key) {
            self.conclude(now, key, outcome);
        }
    }

    /// Whether a call that nobody has waits for a provider to come, as a new one would: the last
    /// is gone or going, there is no other, and the time to wait for one is not over.
    pub(super) fn waits_for_another(&mut self, now: Time, key: CallKey) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        let last = call.attempts.as_ref().and_then(|attempts| attempts.failures.last());
        let is_going = |code| matches!(code, ErrorCode::LOST | ErrorCode::SHUTTING_DOWN);
        let function = self.directory.find(call.request.function.as_str());
        let function = function.and_then(|function| self.directory.get(function));
        let has_others = function
            .is_some_and(|known| known.local.is_some() || self.is_another_known(call, known));
        let until = self.seeks_until(key).min(call.deadline);
        if !last.is_some_and(|(_, error)| is_going(error.code)) || has_others || now >= until {
            return false;
        }
        let timer = self.timers.set(until, Timer::Late(key));
        self.set_other_timer(key, Some(timer));
        true
    }

    /// A function that nobody offered for a while is another entry of the directory.
    fn find_again(&mut self, key: CallKey) {
        if let Some(call) = self.calls.get_mut(key) {
            let function = self.directory.find(call.request.function.as_str());
            call.idempotent = function.or(call.idempotent);
        }
    }

    /// Waits on for an answer, as if all who are known now had been known when the call was sent.
    fn resume_waiting(&mut self, now: Time, key: CallKey) {
        let Some(due) = self.last_asked(key).and_then(|since| self.late_at(since, key)) else {
            return;
        };
        if due <= now {
            self.answer_is_late(now, key);
        } else if let Some(call) = self.calls.get_mut(key) {
            call.other_timer = Some(self.timers.set(due, Timer::Late(key)));
        }
    }

    /// When a call or a copy of it was last sent to somebody.
    fn last_asked(&self, key: CallKey) -> Option<Time> {
        let call = self.calls.get(key)?;
        let copies = call.attempts.iter().flat_map(|attempts| &attempts.copies);
        let copies = copies.filter_map(|copy| self.calls.get(*copy));
        let asked = copies.chain([call]).filter_map(|call| call.asked);
        asked.map(|(_, at)| at).max()
    }
}

/// Whether the call's own attempt has failed, and no copy of it is on its way.
pub(super) fn is_with_nobody(call: &Call) -> bool {
    let has_copies = call.attempts.as_ref().is_some_and(|attempts| !attempts.copies.is_empty());
    matches!(call.stage, Stage::Elsewhere) && !has_copies
}
