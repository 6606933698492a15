//! How a call ends, and what is kept of it until somebody takes it.

use std::sync::Arc;

use super::Core;
use super::receive::From;
use crate::calls::{Answer, Call, Member, Outcome, Stage};
use crate::counters::Drop;
use crate::doubts::Doubt;
use crate::endpoint::LinkId;
use crate::error::{CallError, ErrorCode, Executed, Fault};
use crate::event::{Event, PeerDownReason};
use crate::id::{CallKey, ExeId, PeerKey};
use crate::message::{Features, WireId};
use crate::mutant::planted;
use crate::payload::{Encoded, Payload};
use crate::peers::Peer;
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::Outgoing;

/// What calls can no longer be answered from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lost {
    Peer(PeerKey),
    /// A link whose peer has moved to another since.
    Link(LinkId),
}

impl Core {
    /// An answer has come: an encoded result or the callee's fault, with the token of its call and
    /// the number of the copy that it answers.
    pub(super) fn on_answer(
        &mut self,
        now: Time,
        from: &From,
        id: &WireId<'_>,
        (token, attempt): (Option<u64>, u8),
        result: Result<&[u8], Fault>,
    ) -> Result<(), Drop> {
        let WireId::Native(id) = id else { return Err(Drop::UnknownCall) };
        if id.session != self.session.short() {
            return Err(Drop::UnknownCall);
        }
        let id = *id;
        let is_by =
            |stage: &Stage| matches!(stage, Stage::Remote { link, .. } if *link == from.link);
        let key = if planted!(AnswerToAnother) {
            self.calls.iter().find(|(_, call)| is_by(&call.stage)).map(|(key, _)| key)
        } else {
            self.calls.by_id(id)
        };
        let open = key.and_then(|key| Some((key, self.calls.get(key)?)));
        let is_its = |call: &Call| call.wire == id || planted!(AnswerToAnother);
        let Some((key, call)) = open.filter(|(_, call)| is_its(call)) else {
            return Err(self.late(now, *from, id, &result));
        };
        let Stage::Remote { peer, link, .. } = &call.stage else {
            return Err(self.late(now, *from, id, &result));
        };
        // Only the callee may answer: on the link the call left by, on another it has proved, or
        // on a new one with what only the callee has been told.
        let is_told = token.is_some() && token == call.token;
        let is_its = *link == from.link || self.is_from(from.link, *peer) || is_told;
        if !is_its && !planted!(AnswerFromAnybody) {
            return Err(Drop::UnknownCall);
        }
        self.answer_came(now, from, key, attempt);
        self.owe_receipt(now, from.link, id);
        let result = match result {
            Ok(encoded) if !self.calls.has_room_for_result(key, encoded.len()) => {
                self.limit_hit(now, "max_buffered");
                let text = format!("no room for the result of {} bytes here", encoded.len());
                Err(CallError::new(ErrorCode::TOO_LARGE, Executed::Yes, text))
            }
            Ok(encoded) => Ok(Payload { format: from.form.format, bytes: self.keep(encoded) }),
            Err(fault) => Err(CallError::from_fault(fault)),
        };
        self.finish_one(now, key, result);
        Ok(())
    }

    /// An answer to a call that is over, or never was: whoever sent it need not do so again.
    fn late(&mut self, now: Time, from: From, id: ExeId, result: &Result<&[u8], Fault>) -> Drop {
        let why = self.late_or_unknown(id);
        if why == Drop::Late {
            self.owe_receipt(now, from.link, id);
            self.settle_doubt(from.link, id, result);
        }
        why
    }

    /// The callee of a call that failed without anybody knowing whether it ran says so now.
    fn settle_doubt(&mut self, link: LinkId, id: ExeId, result: &Result<&[u8], Fault>) {
        let callee = self.links.get(link).and_then(|link| link.proved_for);
        let Some(doubt) = self.doubts.settle(id, |asked| callee == Some(asked)) else { return };
        let executed = match result {
            Ok(_) => Executed::Yes,
            Err(fault) => CallError::from_fault(fault.clone()).executed,
        };
        let (function, peer) = (doubt.function, doubt.peer.to_string());
        self.event(Event::LateAnswer { call: id, function, peer, executed });
    }

    /// A call fails, and nobody knows whether its function ran.
    fn note_doubt(&mut self, now: Time, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        let is_sole = call.parent.is_none() && call.attempts.is_none();
        let Stage::Remote { peer: callee, peer_name, .. } = &call.stage else { return };
        if is_sole {
            let (peer, function) = (Arc::clone(peer_name), call.request.function.to_string());
            let doubt = Doubt { wire: call.wire, callee: *callee, peer, function };
            if !self.doubts.note(doubt) {
                self.limit_hit(now, "max_doubts");
            }
        }
    }

    /// Ends a call with what its callee, or this node, says; or its own attempt if it goes on
    /// elsewhere.
    pub(super) fn finish_one(
        &mut self,
        now: Time,
        key: CallKey,
        result: Result<Payload, CallError>,
    ) {
        if self.is_done(key) {
            return;
        }
        let callee = self.leave_callee(now, key, Some(result.as_ref().map(|_| ())));
        let from = callee.unwrap_or_else(|| Arc::clone(&self.name));
        let outcome = Outcome::One(Answer { from, result });
        if let Some(outcome) = self.attempt_over(now, key, outcome) {
            self.conclude(now, key, outcome);
        }
    }

    /// Ends a call to everybody.
    pub(super) fn finish_all(&mut self, now: Time, key: CallKey, answers: Vec<Member>) {
        if !self.is_done(key) {
            self.conclude(now, key, Outcome::All(answers));
        }
    }

    /// A call has nothing to do with its callee any more, whose name is returned; with a result,
    /// the callee answered for itself.
    pub(super) fn leave_callee(
        &mut self,
        now: Time,
        key: CallKey,
        result: Option<Result<(), &CallError>>,
    ) -> Option<Arc<str>> {
        let call = self.calls.get(key)?;
        if let Stage::Remote { sent, flight, .. } = &call.stage
            && (!sent || flight.in_window)
        {
            self.call_over(key);
            self.land(now, key, false);
        }
        let call = self.calls.get_mut(key)?;
        if matches!(call.stage, Stage::Many { .. } | Stage::Done(_)) {
            return None;
        }
        let stage = std::mem::replace(&mut call.stage, Stage::Elsewhere);
        let Stage::Remote { peer: key, peer_name, .. } = stage else { return None };
        let (idempotent, asked) = (call.idempotent, call.asked);
        self.advance_watermark(now, key);
        let Some(peer) = self.peers.get_mut(key) else { return Some(peer_name) };
        if !planted!(OpenCallsKept) {
            peer.open_calls = peer.open_calls.saturating_sub(1);
        }
        match result {
            Some(Ok(())) => {
                peer.retry_budget.succeeded();
                if let (Some(function), Some((_, asked))) = (idempotent, asked) {
                    self.directory.record_latency(function, now.since(asked));
                }
            }
            Some(Err(error)) if error.may_move(true) => peer.retry_budget.failed(now),
            _ => {}
        }
        Some(peer_name)
    }

    /// Ends a call with the outcome of all its attempts.
    pub(super) fn conclude(&mut self, now: Time, key: CallKey, outcome: Outcome) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let (parent, abandoned) = (call.parent, call.abandoned);
        let timers = [call.deadline_timer.take(), call.other_timer.take()];
        call.attempts = None;
        for timer in timers {
            self.cancel_timer(timer);
        }
        self.measure_call(now, key, &outcome);
        let until = now + self.config.result_lifetime;
        if let Some(args) = self.calls.finish(key, outcome, until) {
            self.buffers.give(args.into_buffer());
        }
        match parent {
            _ if abandoned => drop(self.calls.take(key)),
            Some(parent) if self.is_to_all(parent) => self.member_done(now, parent, key),
            Some(parent) => self.copy_over(now, parent, key),
            None => self.keep_result(now, until),
        }
    }

    /// Ends a call with a failure of this side, and its byte stream with it.
    pub(super) fn finish_failed(&mut self, now: Time, key: CallKey, error: CallError) {
        if error.executed == Executed::Maybe {
            self.note_doubt(now, key);
        }
        let (stream, code) = (self.stream_of(key), error.code);
        self.finish_one(now, key, Err(error));
        if let Some(stream) = stream {
            self.stream_drop(stream, code);
        }
    }

    /// A call that wants no answer has left.
    pub(super) fn finish_one_way(&mut self, now: Time, key: CallKey) {
        let format = self.pipeline.first_format();
        self.finish_one(now, key, Ok(Payload { format, bytes: Encoded::default() }));
    }

    /// An outcome is kept until it is taken, or for a while.
    fn keep_result(&mut self, now: Time, until: Time) {
        // One timer for all: they are kept for the same time.
        if !std::mem::replace(&mut self.calls.expiry_is_set, true) {
            self.timers.set(until, Timer::Forget);
        }
        if std::mem::take(&mut self.results_forgotten) {
            self.limit_hit(now, "max_results");
        }
    }

    /// Drops the results that nobody has fetched in their time.
    pub(super) fn forget_expired(&mut self, now: Time) {
        let oldest = loop {
            match self.calls.oldest_result() {
                Some((until, key)) if until <= now => self.forget(key),
                oldest => break oldest,
            }
        };
        self.calls.expiry_is_set = oldest.is_some();
        if let Some((until, _)) = oldest {
            self.timers.set(until, Timer::Forget);
        }
    }

    /// The next call with an outcome. Outcomes told of before and never fetched are forgotten
    /// beyond the bounds; one that nobody was told of yet never is.
    pub(super) fn next_done(&mut self) -> Option<CallKey> {
        let key = self.calls.pop_done()?;
        let (count, bytes) = (self.config.max_results, self.config.max_result_bytes);
        while let Some(oldest) = self.calls.surplus(count, bytes) {
            self.results_forgotten = true;
            self.forget(oldest);
        }
        Some(key)
    }

    /// Drops a finished call.
    pub(super) fn forget(&mut self, key: CallKey) {
        drop(self.calls.take(key));
    }

    /// Takes the outcome of a call; `None` while there is none. The key is stale afterwards.
    pub fn take(&mut self, key: CallKey) -> Option<Outcome> {
        self.calls.take(key)
    }

    /// The id of a call that is open or whose outcome waits.
    pub fn exe_id(&self, key: CallKey) -> Option<ExeId> {
        self.calls.get(key).map(|call| call.id)
    }

    /// The call of an id, for `join` and `get`.
    ///
    /// # Errors
    /// `unknown_call` if this node never began it; `result_expired` if its outcome was fetched
    /// already or is no longer kept.
    pub fn find_call(&self, id: ExeId) -> Result<CallKey, CallError> {
        if let Some(key) = self.calls.by_id(id) {
            return Ok(key);
        }
        if id.session == self.session.short() && self.calls.was_begun(id.number) {
            let text = format!("the outcome of {id} was fetched already or is no longer kept");
            return Err(CallError::new(ErrorCode::RESULT_EXPIRED, Executed::Maybe, text));
        }
        let text = format!("{id} is no call of this node");
        Err(CallError::new(ErrorCode::UNKNOWN_CALL, Executed::Maybe, text))
    }

    /// Whether a call has its outcome.
    pub fn is_done(&self, key: CallKey) -> bool {
        self.calls.get(key).is_none_or(|call| matches!(call.stage, Stage::Done(_)))
    }

    /// Gives a call up: its outcome is `cancelled`, and the callee is told. Does nothing for a
    /// call that is over.
    pub fn cancel(&mut self, now: Time, key: CallKey) {
        if !planted!(CancelForgotten) {
            self.give_up(now, key, ErrorCode::CANCELLED, "the caller gave up");
        }
    }

    /// The application dropped its handle: cancels an open call, forgets a finished one.
    pub fn abandon(&mut self, now: Time, key: CallKey) {
        if let Some(call) = self.calls.get_mut(key) {
            call.abandoned = true;
        }
        self.cancel(now, key);
        self.forget(key);
    }

    /// The deadline has passed.
    pub(super) fn deadline_passed(&mut self, now: Time, key: CallKey) {
        if let Some(call) = self.calls.get_mut(key) {
            call.deadline_timer = None;
            if planted!(SeeksForEver) && matches!(call.stage, Stage::Seeking) {
                return;
            }
        }
        if let Some(Stage::Remote { peer, flight, .. }) =
            self.calls.get(key).map(|call| &call.stage)
        {
            self.note_unheard(*peer, *flight);
        }
        self.give_up(now, key, ErrorCode::TIMEOUT, "the deadline passed");
    }

    fn is_to_all(&self, key: CallKey) -> bool {
        self.calls.get(key).is_some_and(|call| matches!(call.stage, Stage::Many { .. }))
    }

    /// Tells whoever works on a call's own attempt that nobody waits for it any more, and says
    /// whether the function ran.
    pub(super) fn take_back(&mut self, now: Time, key: CallKey) -> Executed {
        let Some(call) = self.calls.get(key) else { return Executed::Maybe };
        match call.stage {
            Stage::Remote { peer, link, sent, .. } => {
                let id = call.wire;
                let told = |peer: &Peer| sent && peer.features.has(Features::CANCEL);
                if self.peers.get(peer).is_some_and(told) {
                    self.send(link, Outgoing::Cancel(Box::new(WireId::Native(id))));
                }
                let sent = sent && !planted!(TimeoutSaysNo);
                if sent { Executed::Maybe } else { Executed::No }
            }
            Stage::Local(task) => self.cancel_task(now, task),
            _ => Executed::No,
        }
    }

    /// Ends an open call without an answer and tells whoever works on it.
    pub(super) fn give_up(&mut self, now: Time, key: CallKey, code: ErrorCode, why: &str) {
        let Some(call) = self.calls.get(key) else { return };
        let elapsed = now.since(call.started).as_millis();
        let name = &call.request.function;
        let text = match &call.stage {
            Stage::Done(_) => return,
            Stage::Seeking => format!("{why} after {elapsed} ms while `{name}` had no provider"),
            Stage::Remote { peer_name, .. } => {
                format!("{why} after {elapsed} ms without an answer from `{peer_name}`")
            }
            Stage::Local(_) => format!("{why} after {elapsed} ms while this node ran `{name}`"),
            Stage::Elsewhere => {
                format!("{why} after {elapsed} ms without an answer from any provider")
            }
            Stage::Many { members, .. } => {
                let members = members.clone();
                self.give_up_members(now, key, &members, code, why);
                return;
            }
        };
        let executed = self.take_back(now, key);
        self.finish_failed(now, key, CallError::new(code, executed, text));
    }

    /// Ends the calls that wait for something that is gone.
    pub(super) fn lose_calls(&mut self, now: Time, lost: Lost, reason: PeerDownReason) {
        let mut waiting = Vec::new();
        for (key, call) in self.calls.iter() {
            if let Stage::Remote { peer, link, sent, peer_name, .. } = &call.stage {
                let is_lost = match lost {
                    Lost::Peer(gone) => *peer == gone,
                    Lost::Link(gone) => *link == gone,
                };
                if is_lost {
                    waiting.push((key, *sent, peer_name.clone()));
                }
            }
        }
        for (key, sent, name) in waiting {
            if matches!(lost, Lost::Link(_)) && self.ask_elsewhere(now, key) {
                continue;
            }
            let executed = if sent { Executed::Maybe } else { Executed::No };
            let what = match reason {
                PeerDownReason::Left => "has left",
                PeerDownReason::Expired => "has been silent for too long",
                PeerDownReason::Restarted => "has restarted",
                PeerDownReason::Disconnected => "is disconnected",
                PeerDownReason::Evicted => "had to make room",
                PeerDownReason::Gone => {
                    "has ended: its connection broke, its host refuses another, and it answers \
                     nothing; see whether it still runs there"
                }
            };
            let error = CallError::new(ErrorCode::LOST, executed, format!("`{name}` {what}"));
            self.finish_failed(now, key, error);
        }
    }
}
