//! Calls to every provider. Each is an ordinary call; the call to all only collects their answers.

use std::time::Duration;

use super::Core;
use crate::calls::{Answer, CallRequest, Mode, Outcome, Stage, Target};
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::CallKey;
use crate::time::Time;

impl Core {
    /// Begins the calls to each provider. `false` while it is better to wait for more of them.
    pub(super) fn route_to_all(&mut self, now: Time, key: CallKey) -> bool {
        let Some(call) = self.calls.get(key) else { return true };
        let name = call.request.function.clone();
        let policy = call.request.policy;
        let mut targets = Vec::new();
        if self.directory.local(name.as_str()).is_some() {
            targets.push(Target::Session(self.session));
        }
        let draw = self.random.u64();
        let providers = self.directory.providers(name.as_str());
        for place in policy.order(providers.len(), draw, |at| self.backlog(providers, at)) {
            let peer = providers.get(place).and_then(|peer| self.peers.get(*peer));
            if let Some(peer) = peer {
                targets.push(Target::Session(peer.session));
            }
        }
        if targets.is_empty() || now < self.seeks_until(key) {
            return false;
        }
        self.begin_members(now, key, targets);
        true
    }

    fn begin_members(&mut self, now: Time, key: CallKey, targets: Vec<Target>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let deadline_timer = call.deadline_timer.take();
        let template = call.request.clone();
        let deadline = call.deadline.since(now);
        call.stage = Stage::Many { members: Vec::new(), open: targets.len() };
        // The members keep the deadline.
        self.cancel_timer(deadline_timer);
        let mut members = Vec::with_capacity(targets.len());
        for target in targets {
            let request = CallRequest {
                target,
                mode: Mode::One,
                deadline: Some(deadline),
                wait: Some(Duration::ZERO),
                within: None,
                ..template.clone()
            };
            match self.insert_call(now, request, Some(key)) {
                Ok(member) => members.push(member),
                Err(error) if members.is_empty() => {
                    self.finish_failed(now, key, error);
                    return;
                }
                Err(_) => break,
            }
        }
        if let Some(call) = self.calls.get_mut(key) {
            call.stage = Stage::Many { members: members.clone(), open: members.len() };
        }
        for member in members {
            // A member may end the whole call at once.
            if self.calls.get(member).is_some() {
                self.route_member(now, member);
            }
        }
    }

    fn route_member(&mut self, now: Time, member: CallKey) {
        let Some(call) = self.calls.get(member) else { return };
        match call.request.target {
            Target::Session(session) if session == self.session => {
                self.dispatch_local(now, member);
            }
            Target::Session(session) => match self.peers.by_session(session) {
                Some(peer) => self.dispatch(now, member, peer),
                None => {
                    let error = CallError::new(ErrorCode::LOST, Executed::No, "the peer has left");
                    self.finish_failed(now, member, error);
                }
            },
            Target::Any | Target::Peer(_) => {}
        }
    }

    /// A member has its outcome.
    pub(super) fn member_done(&mut self, now: Time, key: CallKey, member: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return self.forget(member) };
        let Stage::Many { members, open } = &mut call.stage else { return self.forget(member) };
        *open = open.saturating_sub(1);
        if *open == 0 {
            let members = std::mem::take(members);
            let answers = self.take_answers(&members);
            self.finish_all(now, key, answers);
        }
    }

    fn take_answers(&mut self, members: &[CallKey]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(members.len());
        for member in members {
            if let Some(Outcome::One(answer)) = self.take(*member) {
                answers.push(answer);
            }
        }
        answers
    }

    /// Gives up every member, then the whole.
    pub(super) fn give_up_members(
        &mut self,
        now: Time,
        key: CallKey,
        members: &[CallKey],
        code: ErrorCode,
        why: &str,
    ) {
        for member in members {
            self.abandon(now, *member);
        }
        let text = format!("{why} before any provider had answered");
        self.finish_failed(now, key, CallError::new(code, Executed::Maybe, text));
    }
}
