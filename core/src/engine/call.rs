//! A request of this node, from its route to its outcome.

use super::receive::From;
use super::{Core, Done, Phase, Ping};
use crate::calls::{Answer, Call, CallRequest, Mode, Outcome, Stage, Target};
use crate::counters::Drop;
use crate::endpoint::LinkId;
use crate::error::{CallError, ErrorCode, Executed, Fault};
use crate::event::PeerDownReason;
use crate::id::{CallKey, ExeId, PeerKey, PingKey};
use crate::message::{Features, WireId};
use crate::payload::Payload;
use crate::peers::Peer;
use crate::policy::Candidate;
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::Outgoing;

/// How long a ping may take.
const PING_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// What calls can no longer be answered from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lost {
    Peer(PeerKey),
    /// A link whose peer has moved to another since.
    Link(LinkId),
}

impl Core {
    /// Begins a call. Its outcome comes as [`Done::Call`], then [`Self::take`] it; a call that
    /// cannot be routed gets its outcome the same way.
    ///
    /// # Errors
    /// [`CallError`] when this node cannot take the call at all: closed, too many open, or
    /// arguments larger than any message may be. The function did not run.
    pub fn call(&mut self, now: Time, request: CallRequest) -> Result<CallKey, CallError> {
        if self.phase != Phase::Running {
            return Err(CallError::new(ErrorCode::CLOSED, Executed::No, "this node is shut down"));
        }
        if request.args.len() > self.config.max_message {
            let text = format!(
                "the arguments take {} bytes, a message may take {}",
                request.args.len(),
                self.config.max_message
            );
            return Err(CallError::new(ErrorCode::TOO_LARGE, Executed::No, text));
        }
        let key = self.insert_call(now, request, None)?;
        self.route(now, key);
        Ok(key)
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
        let deadline = now + wish.min(self.config.max_deadline);
        let id = ExeId {
            session: self.session.short(),
            number: self.calls.draw_number(),
            random: self.random.u32(),
        };
        let call = Call {
            id,
            request,
            stage: Stage::Seeking,
            deadline,
            deadline_timer: None,
            other_timer: None,
            parent,
            abandoned: false,
            told: false,
            started: now,
        };
        let key = self.calls.insert(call).ok_or_else(busy)?;
        let timer = self.timers.set(deadline, Timer::Deadline(key));
        if let Some(call) = self.calls.get_mut(key) {
            call.deadline_timer = Some(timer);
        }
        self.counters.calls_started += 1;
        Ok(key)
    }

    /// Sends a call on its way, or lets it wait for a provider while that makes sense.
    fn route(&mut self, now: Time, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        let routed = match call.request.mode {
            Mode::One | Mode::OneWay => self.route_one(now, key),
            Mode::Fastest(_) | Mode::All => self.route_many(now, key),
        };
        if routed {
            return;
        }
        let until = self.seeks_until(key);
        if now >= until {
            self.no_provider(now, key);
            return;
        }
        let timer = self.timers.set(until, Timer::Seek(key));
        let old = self.calls.get_mut(key).and_then(|call| call.other_timer.replace(timer));
        self.cancel_timer(old);
        self.calls.seek(key);
    }

    /// Until when a call waits for a provider.
    pub(super) fn seeks_until(&self, key: CallKey) -> Time {
        let Some(call) = self.calls.get(key) else { return Time::ZERO };
        match call.request.wait {
            Some(wait) => call.started + wait,
            None => self.settled_at(),
        }
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

    /// The time to wait for a provider is over.
    pub(super) fn seek_over(&mut self, now: Time, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.other_timer = None;
        if !matches!(call.stage, Stage::Seeking) {
            return;
        }
        let many = matches!(call.request.mode, Mode::Fastest(_) | Mode::All);
        if !(many && self.route_many(now, key)) {
            self.no_provider(now, key);
        }
    }

    fn no_provider(&mut self, now: Time, key: CallKey) {
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

    /// `true` when the call has a place to go, or its outcome.
    fn route_one(&mut self, now: Time, key: CallKey) -> bool {
        let Some(call) = self.calls.get(key) else { return true };
        let name = call.request.function.clone();
        let peer = match &call.request.target {
            Target::Any => {
                if self.directory.local(name.as_str()).is_some() {
                    self.dispatch_local(now, key);
                    return true;
                }
                let policy = call.request.policy;
                let candidates = self.candidates(name.as_str());
                let draw = self.random.u64();
                let picked = policy.pick(&candidates, draw);
                match picked.and_then(|place| candidates.get(place)) {
                    Some(candidate) => candidate.peer,
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
        self.dispatch_if_offered(now, key, peer, name.as_str())
    }

    /// Sends the call to this peer if it offers the function; fails it if it surely does not.
    fn dispatch_if_offered(&mut self, now: Time, key: CallKey, to: PeerKey, name: &str) -> bool {
        let Some(peer) = self.peers.get(to) else { return false };
        let function = self.directory.find(name);
        if function.is_some_and(|function| peer.functions.contains(&function)) {
            self.dispatch(now, key, to);
            return true;
        }
        let has_told_all = peer.held_revision == peer.revision && peer.last_seen > Time::ZERO;
        if has_told_all && (peer.revision > 0 || now.since(peer.first_seen) > PING_TIMEOUT) {
            let text = format!("`{}` offers no function `{name}`", peer.name);
            let error = CallError::new(ErrorCode::NOT_FOUND, Executed::No, text);
            self.finish_failed(now, key, error);
            return true;
        }
        false
    }

    /// The peers that offer a name, as a policy sees them.
    pub(super) fn candidates(&self, name: &str) -> Vec<Candidate> {
        let function = self.directory.find(name).and_then(|key| self.directory.get(key));
        let Some(function) = function else { return Vec::new() };
        let candidate = |provider: &crate::directory::Provider| {
            let peer = self.peers.get(provider.peer)?;
            let (peer, order) = (provider.peer, (provider.order, peer.open_calls));
            Some(Candidate { peer, order: order.0, open_calls: order.1 })
        };
        function.providers.iter().filter_map(candidate).collect()
    }

    /// Hands a call to this node's own queue.
    pub(super) fn dispatch_local(&mut self, now: Time, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let name = call.request.function.clone();
        let args = call.request.args.clone();
        let (deadline, one_way) = (call.deadline, call.request.mode == Mode::OneWay);
        match self.begin_local(&name, args, key, deadline) {
            Err(fault) => self.finish_failed(now, key, CallError::from_fault(fault)),
            Ok(_) if one_way => self.finish_one_way(now, key),
            Ok(task) => {
                if let Some(call) = self.calls.get_mut(key) {
                    call.stage = Stage::Local(task);
                }
            }
        }
    }

    /// Queues a call for a peer.
    pub(super) fn dispatch(&mut self, now: Time, key: CallKey, to: PeerKey) {
        let limit = self.config.max_calls_per_peer;
        let Some(peer) = self.peers.get_mut(to) else { return };
        let (link, peer_name) = (peer.link, peer.name.clone());
        if peer.open_calls >= limit {
            let text = format!("{limit} calls to `{peer_name}` are open already");
            self.limit_hit(now, "max_calls_per_peer");
            let error = CallError::new(ErrorCode::BUSY, Executed::No, text);
            self.finish_failed(now, key, error);
            return;
        }
        peer.open_calls += 1;
        if let Some(link) = self.links.get_mut(link) {
            link.carried_calls = true;
        }
        if let Some(call) = self.calls.get_mut(key) {
            call.stage = Stage::Remote { peer: to, link, peer_name, sent: false };
        }
        if !self.send(link, Outgoing::Call(key)) {
            let text = "too many messages wait to be sent";
            let error = CallError::new(ErrorCode::BUSY, Executed::No, text);
            self.finish_failed(now, key, error);
        }
    }

    /// An answer has come: a result or the callee's fault.
    pub(super) fn on_answer(
        &mut self,
        now: Time,
        from: From,
        id: &WireId<'_>,
        result: Result<Payload, Fault>,
    ) -> Result<(), Drop> {
        let WireId::Native(id) = id else { return Err(Drop::UnknownCall) };
        if id.session != self.session.short() {
            return Err(Drop::UnknownCall);
        }
        let key = self.calls.by_id(*id).ok_or(Drop::UnknownCall)?;
        let call = self.calls.get(key).ok_or(Drop::UnknownCall)?;
        let Stage::Remote { link, peer_name, .. } = &call.stage else {
            return Err(Drop::UnknownCall);
        };
        // Only the callee may answer, on the link the call left by.
        if *link != from.link {
            return Err(Drop::UnknownCall);
        }
        let from = peer_name.clone();
        let result = result.map_err(CallError::from_fault);
        self.finish(now, key, Outcome::One(Answer { from, result }));
        Ok(())
    }

    /// Ends a call with an outcome.
    pub(super) fn finish(&mut self, now: Time, key: CallKey, outcome: Outcome) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if matches!(call.stage, Stage::Done(_)) {
            return;
        }
        let timers = [call.deadline_timer.take(), call.other_timer.take()];
        let (parent, abandoned) = (call.parent, call.abandoned);
        if let Stage::Remote { peer, .. } = &call.stage {
            let peer = *peer;
            if let Some(peer) = self.peers.get_mut(peer) {
                peer.open_calls = peer.open_calls.saturating_sub(1);
            }
        }
        for timer in timers {
            self.cancel_timer(timer);
        }
        if outcome.is_success() {
            self.counters.calls_succeeded += 1;
        } else {
            self.counters.calls_failed += 1;
        }
        self.calls.finish(key, outcome);
        match parent {
            _ if abandoned => drop(self.calls.take(key)),
            Some(parent) => self.member_done(now, parent, key),
            None => self.keep_result(now, key),
        }
    }

    /// Ends a call with a failure of this side.
    pub(super) fn finish_failed(&mut self, now: Time, key: CallKey, error: CallError) {
        let from = match self.calls.get(key).map(|call| &call.stage) {
            Some(Stage::Remote { peer_name, .. }) => peer_name.clone(),
            _ => self.config.name.clone(),
        };
        self.finish(now, key, Outcome::One(Answer { from, result: Err(error) }));
    }

    /// A call that wants no answer has left.
    pub(super) fn finish_one_way(&mut self, now: Time, key: CallKey) {
        let from = match self.calls.get(key).map(|call| &call.stage) {
            Some(Stage::Remote { peer_name, .. }) => peer_name.clone(),
            _ => self.config.name.clone(),
        };
        let format = self.pipeline.preferred().format();
        let result = Ok(Payload { format, bytes: Vec::new() });
        self.finish(now, key, Outcome::One(Answer { from, result }));
    }

    /// Keeps an outcome until it is taken, or for a while.
    fn keep_result(&mut self, now: Time, key: CallKey) {
        let timer = self.timers.set(now + self.config.result_lifetime, Timer::Forget(key));
        if let Some(call) = self.calls.get_mut(key) {
            call.other_timer = Some(timer);
        }
        if std::mem::take(&mut self.results_forgotten) {
            self.limit_hit(now, "max_results");
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
        if let Some(call) = self.calls.take(key) {
            self.cancel_timer(call.other_timer);
        }
    }

    /// Takes the outcome of a call; `None` while there is none. The key is stale afterwards.
    pub fn take(&mut self, key: CallKey) -> Option<Outcome> {
        let call = self.calls.take(key)?;
        self.cancel_timer(call.other_timer);
        match call.stage {
            Stage::Done(outcome) => Some(outcome),
            _ => None,
        }
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
        self.give_up(now, key, ErrorCode::CANCELLED, "the caller gave up");
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
        }
        self.give_up(now, key, ErrorCode::TIMEOUT, "the deadline passed");
    }

    /// Ends an open call without an answer and tells whoever works on it.
    fn give_up(&mut self, now: Time, key: CallKey, code: ErrorCode, why: &str) {
        let Some(call) = self.calls.get(key) else { return };
        let elapsed = now.since(call.started).as_millis();
        let (id, name) = (call.id, call.request.function.clone());
        let (executed, text) = match &call.stage {
            Stage::Done(_) => return,
            Stage::Seeking => {
                (Executed::No, format!("{why} after {elapsed} ms while `{name}` had no provider"))
            }
            Stage::Remote { peer, link, peer_name, sent } => {
                let executed = if *sent { Executed::Maybe } else { Executed::No };
                let text = format!("{why} after {elapsed} ms without an answer from `{peer_name}`");
                let (link, sent) = (*link, *sent);
                let told = |peer: &Peer| sent && peer.features.has(Features::CANCEL);
                if self.peers.get(*peer).is_some_and(told) {
                    self.send(link, Outgoing::Cancel(Box::new(WireId::Native(id))));
                }
                (executed, text)
            }
            Stage::Local(task) => {
                let task = *task;
                let executed = self.cancel_task(now, task);
                (executed, format!("{why} after {elapsed} ms while this node ran `{name}`"))
            }
            Stage::Many { members, .. } => {
                let members = members.clone();
                self.give_up_members(now, key, &members, code, why);
                return;
            }
        };
        self.finish_failed(now, key, CallError::new(code, executed, text));
    }

    /// Ends the calls that wait for something that is gone.
    pub(super) fn lose_calls(&mut self, now: Time, lost: Lost, reason: PeerDownReason) {
        let mut waiting = Vec::new();
        for (key, call) in self.calls.iter() {
            if let Stage::Remote { peer, link, sent, peer_name } = &call.stage {
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
            let executed = if sent { Executed::Maybe } else { Executed::No };
            let what = match reason {
                PeerDownReason::Left => "has left",
                PeerDownReason::Expired => "has been silent for too long",
                PeerDownReason::Restarted => "has restarted",
                PeerDownReason::Disconnected => "is disconnected",
                PeerDownReason::Evicted => "had to make room",
            };
            let error = CallError::new(ErrorCode::LOST, executed, format!("`{name}` {what}"));
            self.finish_failed(now, key, error);
        }
    }

    /// Sends a ping to a peer; [`Done::Ping`] follows, within five seconds.
    ///
    /// # Errors
    /// `no_provider` when no such peer is here, `busy` when too many pings are in flight.
    pub fn ping(&mut self, now: Time, peer: &str) -> Result<PingKey, CallError> {
        let missing = || {
            let text = format!("no peer `{peer}` is here");
            CallError::new(ErrorCode::NO_PROVIDER, Executed::No, text)
        };
        let link = self.find_peer(peer).and_then(|key| self.peers.get(key)).map(|peer| peer.link);
        let link = link.ok_or_else(missing)?;
        // Below 2^53, so that a node that reads every number as a float echoes it unchanged.
        let number = self.random.u64() >> 11;
        let busy = || CallError::new(ErrorCode::BUSY, Executed::No, "too many pings in flight");
        if self.pings.len() >= self.pings.limit() {
            return Err(busy());
        }
        let waiting = Ping { number, sent: now, link, timer: self.timers.set(now, Timer::Sweep) };
        let key = self.pings.insert(waiting).map_err(|_| busy())?;
        let timer = self.timers.set(now + PING_TIMEOUT, Timer::Ping(key));
        if let Some(ping) = self.pings.get_mut(key) {
            let old = std::mem::replace(&mut ping.timer, timer);
            self.timers.cancel(old);
        }
        self.pings_by_number.insert(number, key);
        self.send(link, Outgoing::Ping(number));
        Ok(key)
    }

    pub(super) fn on_pong(&mut self, now: Time, from: From, number: u64) -> Result<(), Drop> {
        let key = self.pings_by_number.get(&number).copied().ok_or(Drop::UnknownCall)?;
        if self.pings.get(key).is_none_or(|ping| ping.link != from.link) {
            return Err(Drop::UnknownCall);
        }
        self.end_ping(now, key, true);
        Ok(())
    }

    /// Ends a ping, with its pong or without.
    pub(super) fn end_ping(&mut self, now: Time, key: PingKey, answered: bool) {
        let Some(ping) = self.pings.remove(key) else { return };
        self.pings_by_number.remove(&ping.number);
        self.timers.cancel(ping.timer);
        let took = answered.then(|| now.since(ping.sent));
        let peer = self.links.get(ping.link).and_then(|link| link.peer);
        if let (Some(took), Some(peer)) = (took, peer.and_then(|key| self.peers.get_mut(key))) {
            peer.round_trip = Some(peer.round_trip.map_or(took, |mean| (mean * 7 + took) / 8));
        }
        self.done.push_back(Done::Ping(key, took));
    }
}
