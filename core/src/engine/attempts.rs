//! Another provider for a call: after one has failed, or beside one that has not answered.
//!
//! A call is its own first attempt. Where that fails in a way that lets the call go on, it leaves
//! again, under another number, for a provider where it has not been. Where another is asked *beside*
//! it (fastest-of-N at once; a hedge when the answer is later than such answers are; a function
//! that may run more than once after its share of the deadline), a copy leaves, which is a call
//! with an id of its own. The first success ends them all; a failure is the call's when nothing is
//! open any more and nobody is left to ask. When an answer is late, and how long a call that is left
//! alone waits for another provider, is in `late.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::late::is_with_nobody;
use super::{Core, Phase};
use crate::calls::{Answer, Attempts, Call, CallRequest, Mode, Outcome, Stage, Target};
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::{CallKey, FunctionKey, PeerKey, SessionId};
use crate::time::Time;

/// Most providers that fastest-of-N asks.
const MAX_FASTEST: usize = 5;

/// A failure and where it came from.
type Failed = (Arc<str>, CallError);

/// Whom to ask next.
pub(super) enum Next {
    Ask(PeerKey),
    /// There are others, but they have failed too often of late.
    Withheld,
    Nobody,
}

impl Core {
    /// How many providers a call may be sent to in all.
    pub(super) fn most_attempts(&self, call: &Call) -> usize {
        let is_bound = call.parent.is_some() || call.request.target != Target::Any;
        if is_bound || call.request.stream || call.args_gone {
            return 1;
        }
        match call.request.mode {
            Mode::Fastest(count) => count.clamp(1, MAX_FASTEST),
            Mode::One | Mode::Hedged | Mode::OneWay => self.config.max_attempts,
            Mode::All => 1,
        }
    }

    /// Whether a call may go to another provider after this failure, if there is one.
    fn may_go_on(&self, call: &Call, error: &CallError) -> bool {
        error.may_move(may_repeat(call)) && asked(call) < self.most_attempts(call)
    }

    /// Notes whether a call may run more than once at the provider it is about to go to.
    pub(super) fn note_idempotent(&mut self, key: CallKey, function: FunctionKey, to: PeerKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let known = self.directory.get(function);
        let announced = known.is_some_and(|function| function.is_idempotent_at(to));
        let may = call.request.idempotent || announced;
        call.idempotent = may.then_some(function);
    }

    /// Routes a call to several at once. `false` while it is better to wait for more of them.
    pub(super) fn route_fastest(&mut self, now: Time, key: CallKey, count: usize) -> bool {
        let Some(call) = self.calls.get(key) else { return true };
        let name = call.request.function.as_str();
        let local = usize::from(self.directory.local(name).is_some());
        let known = self.directory.providers(name).len() + local;
        let is_any = call.request.target == Target::Any;
        if is_any && known < count.clamp(1, MAX_FASTEST) && now < self.gathers_until(key) {
            return false;
        }
        if !self.route_one(now, key) {
            return false;
        }
        while let Some(call) = self.calls.get(key)
            && !matches!(call.stage, Stage::Done(_))
            && asked(call) < self.most_attempts(call)
            && let Next::Ask(peer) = self.next_provider(now, key)
            && self.ask(now, key, peer)
        {}
        true
    }

    /// The call's own attempt has ended with this. Returns the outcome if it is the whole call's.
    pub(super) fn attempt_over(
        &mut self,
        now: Time,
        key: CallKey,
        outcome: Outcome,
    ) -> Option<Outcome> {
        let Some(call) = self.calls.get(key) else { return Some(outcome) };
        let Outcome::One(Answer { from, result: Err(error) }) = &outcome else {
            self.abandon_copies(now, key);
            return Some(outcome);
        };
        let gave_up = matches!(error.code, ErrorCode::CANCELLED | ErrorCode::CLOSED);
        let is_end = gave_up || now >= call.deadline || self.phase != Phase::Running;
        if call.attempts.is_none() && (is_end || !self.may_go_on(call, error)) {
            return Some(outcome);
        }
        let failure = (Arc::clone(from), error.clone());
        if is_end {
            let reached = self.abandon_copies(now, key);
            let before = std::mem::take(&mut self.attempts_of(key)?.failures);
            return Some(Outcome::One(ended(failure, &before, reached)));
        }
        self.attempts_of(key)?.failures.push(failure);
        self.go_on(now, key)
    }

    /// A copy of a call has its outcome.
    pub(super) fn copy_over(&mut self, now: Time, key: CallKey, copy: CallKey) {
        let outcome = self.take(copy);
        let Some(attempts) = self.attempts_of(key) else { return };
        attempts.copies.retain(|other| *other != copy);
        let Some(Outcome::One(answer)) = outcome else { return };
        let outcome = match answer.result {
            Ok(_) => {
                self.take_back(now, key);
                self.leave_callee(now, key, None);
                self.abandon_copies(now, key);
                Some(Outcome::One(answer))
            }
            Err(error) => {
                attempts.failures.push((answer.from, error));
                self.go_on(now, key)
            }
        };
        if let Some(outcome) = outcome {
            self.conclude(now, key, outcome);
        }
    }

    /// Asks another provider if the last failure allows it. Returns the outcome once nothing is
    /// open any more.
    pub(super) fn go_on(&mut self, now: Time, key: CallKey) -> Option<Outcome> {
        let call = self.calls.get(key)?;
        let (_, error) = call.attempts.as_ref()?.failures.last()?;
        let has_time = now < call.deadline && self.phase == Phase::Running;
        let goes_on = has_time && self.may_go_on(call, error);
        let mut withheld = false;
        if goes_on {
            match self.next_provider(now, key) {
                Next::Ask(peer) if self.ask(now, key, peer) => return None,
                Next::Withheld => {
                    self.counters.retries_withheld += 1;
                    withheld = true;
                }
                _ => {}
            }
        }
        let call = self.calls.get(key)?;
        if !is_with_nobody(call) || (goes_on && self.waits_for_another(now, key)) {
            return None;
        }
        let failures = std::mem::take(&mut self.attempts_of(key)?.failures);
        all_failed(failures, withheld).map(Outcome::One)
    }

    /// The provider to go to after those that were asked, by the call's policy.
    pub(super) fn next_provider(&mut self, now: Time, key: CallKey) -> Next {
        let draw = self.random.u64();
        let Some(call) = self.calls.get(key) else { return Next::Nobody };
        let Some(function) = self.directory.find(call.request.function.as_str()) else {
            return Next::Nobody;
        };
        let Some(function) = self.directory.get(function) else { return Next::Nobody };
        let is_marked = call.request.idempotent || matches!(call.request.mode, Mode::Fastest(_));
        let needs_word = may_have_run(call) && !is_marked;
        let (mut next, mut unheard) = (Next::Nobody, None);
        let providers = &function.providers;
        let load = |at| self.backlog(providers, at);
        let order = call.request.policy.order(providers.len(), draw, load);
        for place in order {
            let Some(key) = function.providers.get(place).copied() else { continue };
            let Some(peer) = self.peers.get_mut(key) else { continue };
            if was_asked(call, peer.session) || (needs_word && !function.is_idempotent_at(key)) {
                continue;
            }
            if !peer.retry_budget.allows(now) {
                next = Next::Withheld;
            } else if !self.is_unheard(key) {
                return Next::Ask(key);
            } else {
                unheard = unheard.or(Some(key));
            }
        }
        unheard.map_or(next, Next::Ask)
    }

    /// Sends a call to another provider: itself if its own attempt is over, else a copy.
    pub(super) fn ask(&mut self, now: Time, key: CallKey, to: PeerKey) -> bool {
        let Some(session) = self.peers.get(to).map(|peer| peer.session) else { return false };
        let Some(call) = self.calls.get_mut(key) else { return false };
        if !matches!(call.stage, Stage::Elsewhere) {
            return self.ask_beside(now, key, to, session);
        }
        // Whoever had the call before does not know what brings its answer now.
        call.token = call.token.map(|_| self.random.u64());
        let function = self.directory.find(call.request.function.as_str());
        self.calls.renumber(key);
        if let Some(attempts) = self.attempts_of(key) {
            attempts.asked.push(session);
        }
        if let Some(function) = function {
            self.note_idempotent(key, function, to);
        }
        self.counters.calls_moved += 1;
        self.dispatch(now, key, to);
        self.expect_answer(now, key);
        true
    }

    /// Sends a copy of a call.
    fn ask_beside(&mut self, now: Time, key: CallKey, to: PeerKey, session: SessionId) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        let idempotent = call.idempotent;
        let request = CallRequest {
            target: Target::Session(session),
            mode: Mode::One,
            deadline: Some(call.deadline.since(now)),
            wait: Some(Duration::ZERO),
            within: None,
            ..call.request.clone()
        };
        let Ok(copy) = self.insert_call(now, request, Some(key)) else { return false };
        if let Some(call) = self.calls.get_mut(copy) {
            call.idempotent = idempotent;
        }
        if let Some(attempts) = self.attempts_of(key) {
            attempts.asked.push(session);
            attempts.copies.push(copy);
        }
        self.counters.calls_copied += 1;
        self.dispatch(now, copy, to);
        self.expect_answer(now, key);
        true
    }

    /// Gives the copies of a call up, and says whether one of them may have run.
    fn abandon_copies(&mut self, now: Time, key: CallKey) -> Executed {
        let attempts = self.calls.get_mut(key).and_then(|call| call.attempts.as_mut());
        let copies = attempts.map(|attempts| std::mem::take(&mut attempts.copies));
        let mut reached = Executed::No;
        for copy in copies.unwrap_or_default() {
            if let Some(Stage::Remote { sent: true, .. }) = self.calls.get(copy).map(|c| &c.stage) {
                reached = Executed::Maybe;
            }
            self.abandon(now, copy);
        }
        reached
    }

    fn attempts_of(&mut self, key: CallKey) -> Option<&mut Attempts> {
        let call = self.calls.get_mut(key)?;
        let asked = call.asked.map(|(session, _)| session);
        Some(call.attempts.get_or_insert_with(|| {
            let asked = asked.into_iter().collect();
            Box::new(Attempts { asked, ..Attempts::default() })
        }))
    }
}

/// How many providers a call was sent to.
pub(super) fn asked(call: &Call) -> usize {
    call.attempts.as_ref().map_or(1, |attempts| attempts.asked.len())
}

/// Whether a call was sent to this provider.
pub(super) fn was_asked(call: &Call, session: SessionId) -> bool {
    match &call.attempts {
        Some(attempts) => attempts.asked.contains(&session),
        None => call.asked.is_some_and(|(asked, _)| asked == session),
    }
}

/// Whether a call may run more than once.
fn may_repeat(call: &Call) -> bool {
    let several = matches!(call.request.mode, Mode::Fastest(_));
    several || call.request.idempotent || call.idempotent.is_some()
}

/// Whether the function may have run somewhere, or may run yet.
fn may_have_run(call: &Call) -> bool {
    let others = call.attempts.as_ref().is_some_and(|attempts| {
        let mut failures = attempts.failures.iter();
        !attempts.copies.is_empty() || failures.any(|(_, error)| error.executed != Executed::No)
    });
    others || !matches!(call.stage, Stage::Elsewhere)
}

/// The call is over, whatever its attempts might still bring.
fn ended((from, mut error): Failed, before: &[Failed], reached: Executed) -> Answer {
    let most = before.iter().map(|(_, error)| error.executed).max().unwrap_or(Executed::No);
    error.executed = error.executed.max(most).max(reached);
    if !before.is_empty() {
        error.message = format!("{}; before that {}", error.message, told(before));
    }
    Answer { from, result: Err(error) }
}

/// One failure that tells of all of them: of the kind that says most about whether the function
/// ran.
pub(super) fn all_failed(failures: Vec<Failed>, withheld: bool) -> Option<Answer> {
    let (from, most) = failures.iter().max_by_key(|(_, error)| error.executed)?;
    let (from, mut error) = (Arc::clone(from), most.clone());
    if failures.len() > 1 {
        let text = format!("all {} providers failed: {}", failures.len(), told(&failures));
        error.message = text;
        error.retry_after = failures.iter().filter_map(|(_, error)| error.retry_after).min();
    }
    if withheld {
        error.message.push_str("; no other was asked, they have failed too often of late");
    }
    Some(Answer { from, result: Err(error) })
}

fn told(failures: &[Failed]) -> String {
    let told: Vec<_> =
        failures.iter().map(|(from, e)| format!("`{from}` {}: {}", e.code, e.message)).collect();
    told.join("; ")
}
