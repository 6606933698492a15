//! A request of this node, from its beginning to the provider it goes to.

use super::{Core, Phase};
use crate::calls::{Call, CallRequest, Carrier, Mode, Stage, Target};
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::{CallKey, ExeId, FunctionKey, PeerKey};
use crate::peers::Peer;
use crate::policy::Policy;
use crate::time::Time;
use crate::timers::Timer;

impl Core {
    /// Begins a call. Its outcome comes as [`Done::Call`](super::Done::Call), then [`Self::take`] it; a call that
    /// cannot be routed gets its outcome the same way.
    ///
    /// # Errors
    /// [`CallError`] when this node cannot take the call at all: closed, too many open, or
    /// arguments larger than any message may be. The function did not run.
    pub fn call(&mut self, now: Time, mut request: CallRequest) -> Result<CallKey, CallError> {
        self.counters.calls_started += 1;
        let may_begin = self.may_begin(now, &mut request);
        request.args.change_buffer(|bytes| self.buffers.fit(bytes));
        let begun = match may_begin {
            Ok(()) => self.insert_call(now, request, None),
            Err(error) => Err(error),
        };
        match begun {
            Ok(key) => self.route(now, key),
            Err(ref error) => self.count_call(error.code),
        }
        begun
    }

    /// Whether this node takes calls, and calls of this size.
    fn may_begin(&mut self, now: Time, request: &mut CallRequest) -> Result<(), CallError> {
        if self.phase != Phase::Running {
            return Err(CallError::new(ErrorCode::CLOSED, Executed::No, "this node is shut down"));
        }
        if request.args.len() > self.config.max_message {
            self.limit_hit(now, "max_message");
            let text = format!(
                "the arguments take {} bytes, a message may take {}",
                request.args.len(),
                self.config.max_message
            );
            return Err(CallError::new(ErrorCode::TOO_LARGE, Executed::No, text));
        }
        if !self.calls.has_room_for(request.args.len()) {
            self.limit_hit(now, "max_buffered");
            let text = "this node holds as many bytes as it may";
            return Err(CallError::new(ErrorCode::BUSY, Executed::No, text));
        }
        self.inherit(now, request)
    }

    /// Adds a call to the table and sets its deadline.
    pub(super) fn insert_call(
        &mut self,
        now: Time,
        request: CallRequest,
        parent: Option<CallKey>,
    ) -> Result<CallKey, CallError> {
        let busy = || {
            let text = "this node has as many calls in flight as it may have";
            CallError::new(ErrorCode::BUSY, Executed::No, text)
        };
        if self.calls.is_full() {
            self.limit_hit(now, "max_calls");
            return Err(busy());
        }
        let wish = request.deadline.unwrap_or(self.config.call_deadline);
        if wish > self.config.max_deadline {
            self.limit_hit(now, "max_deadline");
        }
        let deadline = now + wish.min(self.config.max_deadline);
        let id = ExeId {
            session: self.session.short(),
            number: self.calls.draw_number(),
            random: self.random.u32(),
        };
        let token = (request.carrier == Carrier::OneShot).then(|| self.random.u64());
        let held = request.args.len();
        let make = || Call {
            id,
            wire: id,
            token,
            stream: None,
            request,
            stage: Stage::Seeking,
            deadline,
            deadline_timer: None,
            other_timer: None,
            parent,
            asked: None,
            idempotent: None,
            args_gone: false,
            attempts: None,
            abandoned: false,
            told: false,
            held,
            started: now,
            kept_until: Time::NEVER,
        };
        let key = self.calls.insert_with(id.number, held, make).ok_or_else(busy)?;
        let timer = self.timers.set(deadline, Timer::Deadline(key));
        if let Some(call) = self.calls.get_mut(key) {
            call.deadline_timer = Some(timer);
        }
        self.counters.attempts_started += u64::from(parent.is_some());
        self.note_begun(key);
        Ok(key)
    }

    /// Sends a call on its way, or lets it wait for a provider while that makes sense.
    pub(super) fn route(&mut self, now: Time, key: CallKey) {
        if !self.try_route(now, key) && self.waits_for_provider(now, key) {
            self.calls.seek(key);
            self.seek_again(now);
        }
    }

    /// Sends a call on its way. `true` when it has a place to go, or its outcome.
    pub(super) fn try_route(&mut self, now: Time, key: CallKey) -> bool {
        let Some(call) = self.calls.get(key) else { return true };
        match call.request.mode {
            Mode::One | Mode::Hedged | Mode::OneWay => self.route_one(now, key),
            Mode::Fastest(count) => self.route_fastest(now, key, count),
            Mode::All => self.route_to_all(now, key),
        }
    }

    /// `true` when the call has a place to go, or its outcome.
    pub(super) fn route_one(&mut self, now: Time, key: CallKey) -> bool {
        let Some(call) = self.calls.get(key) else { return true };
        let function = self.directory.find(call.request.function.as_str());
        let peer = match &call.request.target {
            Target::Any => {
                let known = function.and_then(|function| self.directory.get(function));
                if known.is_some_and(|known| known.local.is_some()) {
                    self.dispatch_local(now, key);
                    return true;
                }
                let policy = call.request.policy;
                let providers = known.map_or(&[][..], |known| &known.providers);
                let draw = if providers.len() > 1 { self.random.u64() } else { 0 };
                let picked = policy.pick(providers.len(), draw, |at| self.backlog(providers, at));
                match picked.and_then(|place| providers.get(place)) {
                    Some(peer) if providers.len() > 1 && self.is_unheard(*peer) => {
                        self.heard_instead(policy, providers, draw).unwrap_or(*peer)
                    }
                    Some(peer) => *peer,
                    None => return false,
                }
            }
            Target::Session(session) if *session == self.session => {
                self.dispatch_local(now, key);
                return true;
            }
            Target::Session(session) => match self.peers.by_session(*session) {
                Some(peer) => peer,
                None => return false,
            },
            Target::Peer(text) if self.is_me(text) => {
                self.dispatch_local(now, key);
                return true;
            }
            Target::Peer(text) => match self.find_peer(text) {
                Some(peer) => peer,
                None => return false,
            },
        };
        self.dispatch_if_offered(now, key, peer, function)
    }

    /// The first provider of a list, by a policy, that has said something of late.
    fn heard_instead(&self, policy: Policy, providers: &[PeerKey], draw: u64) -> Option<PeerKey> {
        let order = policy.order(providers.len(), draw, |at| self.backlog(providers, at));
        let mut ordered = order.into_iter().filter_map(|place| providers.get(place).copied());
        ordered.find(|key| !self.is_unheard(*key))
    }

    /// How much the provider at a place of a list has to do.
    pub(super) fn backlog(&self, providers: &[PeerKey], place: usize) -> u32 {
        let peer = providers.get(place).and_then(|key| self.peers.get(*key));
        peer.map_or(u32::MAX, Peer::backlog)
    }

    /// Sends the call to this peer if it offers the function; fails it if it surely does not.
    fn dispatch_if_offered(
        &mut self,
        now: Time,
        key: CallKey,
        to: PeerKey,
        function: Option<FunctionKey>,
    ) -> bool {
        let Some(peer) = self.peers.get(to) else { return false };
        if let Some(function) = function.filter(|function| peer.functions.contains(function)) {
            self.note_idempotent(key, function, to);
            self.dispatch(now, key, to);
            self.expect_answer(now, key);
            return true;
        }
        // Its hello spoke of a list, and we hold all of it. A peer that has announced nothing may
        // be about to.
        if peer.revision > 0 && peer.held_revision == peer.revision {
            let Some(call) = self.calls.get(key) else { return true };
            let text = format!("`{}` offers no function `{}`", peer.name, call.request.function);
            let error = CallError::new(ErrorCode::NOT_FOUND, Executed::No, text);
            self.finish_failed(now, key, error);
            return true;
        }
        false
    }
}
