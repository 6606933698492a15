//! Calls to every provider. Each is an ordinary call; the call to all only collects their answers.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use crate::calls::{Answer, CallRequest, Member, Mode, Outcome, Stage, Target};
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::{CallKey, SessionId};
use crate::time::Time;

impl Core {
    /// Begins the calls to each provider. `false` while it is better to wait for more of them.
    pub(super) fn route_to_all(&mut self, now: Time, key: CallKey) -> bool {
        let Some(call) = self.calls.get(key) else { return true };
        let name = call.request.function.clone();
        let policy = call.request.policy;
        let mut targets = Vec::new();
        if self.directory.local(name.as_str()).is_some() {
            targets.push(self.session);
        }
        let draw = self.random.u64();
        let providers = self.directory.providers(name.as_str());
        for place in policy.order(providers.len(), draw, |at| self.backlog(providers, at)) {
            let peer = providers.get(place).and_then(|peer| self.peers.get(*peer));
            if let Some(peer) = peer {
                targets.push(peer.session);
            }
        }
        if targets.is_empty() || now < self.gathers_until(key) {
            return false;
        }
        self.begin_members(now, key, targets);
        true
    }

    fn begin_members(&mut self, now: Time, key: CallKey, targets: Vec<SessionId>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let deadline_timer = call.deadline_timer.take();
        let template = call.request.clone();
        let deadline = call.deadline.since(now);
        call.stage = Stage::Many { members: Vec::new(), open: targets.len(), unasked: Vec::new() };
        // The members keep the deadline.
        self.cancel_timer(deadline_timer);
        let mut members = Vec::with_capacity(targets.len());
        let mut unasked = Vec::new();
        let mut no_room = None;
        for session in targets {
            if let Some(error) = &no_room {
                unasked.push(self.unasked(session, CallError::clone(error)));
                continue;
            }
            let request = CallRequest {
                target: Target::Session(session),
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
                Err(error) => {
                    unasked.push(self.unasked(session, error.clone()));
                    no_room = Some(error);
                }
            }
        }
        if let Some(call) = self.calls.get_mut(key) {
            call.stage = Stage::Many { members: members.clone(), open: members.len(), unasked };
        }
        for member in members {
            // A member may end the whole call at once.
            if self.calls.get(member).is_some() {
                self.route_member(now, member);
            }
        }
    }

    /// Stands for a provider there was no room to ask.
    fn unasked(&self, session: SessionId, error: CallError) -> Member {
        let peer = self.peers.by_session(session).and_then(|key| self.peers.get(key));
        let from = Arc::clone(peer.map_or(&self.name, |peer| &peer.name));
        Member { session, answer: Answer { from, result: Err(error) } }
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
        let Stage::Many { members, open, unasked } = &mut call.stage else {
            return self.forget(member);
        };
        *open = open.saturating_sub(1);
        if *open == 0 {
            let (members, unasked) = (std::mem::take(members), std::mem::take(unasked));
            let mut answers = self.take_answers(&members);
            // So that nobody takes the answers for all there are.
            answers.extend(unasked);
            self.finish_all(now, key, answers);
        }
    }

    fn take_answers(&mut self, members: &[CallKey]) -> Vec<Member> {
        let mut answers = Vec::with_capacity(members.len());
        for member in members {
            let target = self.calls.get(*member).map(|call| &call.request.target);
            let Some(&Target::Session(session)) = target else { continue };
            if let Some(Outcome::One(answer)) = self.take(*member) {
                answers.push(Member { session, answer });
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
