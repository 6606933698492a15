//! A request of this node, from its route to its place in the outbox or the queue.

use std::time::Duration;

use super::lane::Way;
use super::{Core, Done, Phase, StreamKey};
use crate::calls::{Call, CallRequest, Carrier, Mode, Stage, Target};
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::{CallKey, ExeId, FunctionKey, PeerKey};
use crate::peers::Peer;
use crate::ports::Format;
use crate::recovery::Flight;
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::Outgoing;
use crate::wire::pipeline::Pipeline;

/// When hello is said again for a call that waits for a provider; then after twice that, and so on.
const SEEK_AGAIN: Duration = Duration::from_millis(400);

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
    fn route(&mut self, now: Time, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        let routed = match call.request.mode {
            Mode::One | Mode::Hedged | Mode::OneWay => self.route_one(now, key),
            Mode::Fastest(count) => self.route_fastest(now, key, count),
            Mode::All => self.route_to_all(now, key),
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
        self.seek_again(now);
    }

    /// Says hello again while calls wait for a provider, ever more seldom: the first one, or the
    /// answer to it, may have been lost, or the network was not up yet.
    fn seek_again(&mut self, now: Time) {
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
        let routed = match call.request.mode {
            Mode::One | Mode::Hedged | Mode::OneWay => false,
            Mode::Fastest(count) => self.route_fastest(now, key, count),
            Mode::All => self.route_to_all(now, key),
        };
        if !routed {
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

    /// Hands a call to this node's own queue.
    pub(super) fn dispatch_local(&mut self, now: Time, key: CallKey) {
        let session = self.session;
        let Some(call) = self.calls.get_mut(key) else { return };
        let name = call.request.function.clone();
        call.asked = Some((session, now));
        // Others may be asked beside this node, or after it.
        let is_shared = call.request.idempotent || matches!(call.request.mode, Mode::Fastest(_));
        let is_shared = is_shared && !self.directory.providers(name.as_str()).is_empty();
        let (deadline, one_way) = (call.deadline, call.request.mode == Mode::OneWay);
        let stream = match self.open_local_stream(key) {
            Ok(stream) => stream,
            Err(error) => return self.finish_failed(now, key, error),
        };
        let args = if is_shared {
            self.calls.get(key).map(|call| call.request.args.clone())
        } else {
            self.calls.take_args(key)
        };
        let Some(args) = args else { return };
        match self.begin_local(now, &name, args, key, deadline, stream) {
            Err(fault) => self.finish_failed(now, key, CallError::from_fault(fault)),
            Ok(_) if one_way => self.finish_one_way(now, key),
            Ok(task) => {
                if let Some(call) = self.calls.get_mut(key) {
                    call.stage = Stage::Local(task);
                    call.args_gone = !is_shared;
                }
            }
        }
    }

    /// The callee's end of the byte stream of a call that this node runs itself.
    fn open_local_stream(&mut self, key: CallKey) -> Result<Option<StreamKey>, CallError> {
        if !self.calls.get(key).is_some_and(|call| call.request.stream) {
            return Ok(None);
        }
        let Some(pipe) = self.open_pipe() else {
            let text = "as many byte streams are open within this node as may be";
            return Err(CallError::new(ErrorCode::BUSY, Executed::No, text));
        };
        if let Some(call) = self.calls.get_mut(key) {
            call.stream = Some(StreamKey::Pipe(pipe, true));
        }
        self.done.push_back(Done::Opened(key));
        Ok(Some(StreamKey::Pipe(pipe, false)))
    }

    /// Puts a call's arguments into the format its callee reads.
    fn put_into(&mut self, format: Format, key: CallKey) -> bool {
        let Some(call) = self.calls.get(key) else { return true };
        let args = &call.request.args;
        if args.format() == format {
            return true;
        }
        // With the list that they stand in, as deep as a result.
        let depth = self.config.max_result_depth();
        let transcoded = self.pipeline.transcode_arguments(args, format, depth);
        let is_done = transcoded.is_some();
        if let Some(args) = transcoded {
            self.calls.set_args(key, args);
        }
        is_done
    }

    /// Queues a call for a peer.
    pub(super) fn dispatch(&mut self, now: Time, key: CallKey, to: PeerKey) {
        if let Err(error) = self.try_dispatch(now, key, to) {
            self.finish_failed(now, key, error);
        }
    }

    /// Puts a call's arguments into the format it names, or one that its callee reads.
    fn fit_arguments(&mut self, key: CallKey, to: PeerKey) -> Result<(), CallError> {
        let fail = |code, text| Err(CallError::new(code, Executed::No, text));
        let (Some(peer), Some(call)) = (self.peers.get(to), self.calls.get(key)) else {
            return Ok(());
        };
        let (name, features) = (&peer.name, peer.features);
        let has_home = peer.dialect.profile().has_home;
        let plain = self.pipeline.plain_format();
        let fitting = if has_home { plain } else { self.pipeline.form_for(features).format };
        let format = call.request.format.unwrap_or(fitting);
        if has_home && format != plain {
            let text = format!("`{name}` is an older program and does not read {}", format.name());
            return fail(ErrorCode::UNSUPPORTED, text);
        }
        if !self.pipeline.is_read_by(format, features) {
            let text = format!("`{name}` does not read {}", format.name());
            return fail(ErrorCode::UNSUPPORTED, text);
        }
        if !self.put_into(format, key) {
            let text = format!("the arguments cannot be written as {}", format.name());
            return fail(ErrorCode::UNENCODABLE, text);
        }
        Ok(())
    }

    fn try_dispatch(&mut self, now: Time, key: CallKey, to: PeerKey) -> Result<(), CallError> {
        let limit = self.config.max_calls_per_peer;
        let fail = |code, text| Err(CallError::new(code, Executed::No, text));
        let (Some(peer), Some(call)) = (self.peers.get(to), self.calls.get_mut(key)) else {
            return Ok(());
        };
        call.asked = Some((peer.session, now));
        let (link, peer_name, open_calls) = (peer.link, peer.name.clone(), peer.open_calls);
        let (carrier, has_stream) = (carrier_of(&call.request)?, call.request.stream);
        let mut bytes = call.request.args.len();
        let is_as_usual = is_read_as_it_is(&self.pipeline, call, peer);
        if open_calls >= limit {
            self.limit_hit(now, "max_calls_per_peer");
            return fail(
                ErrorCode::BUSY,
                format!("{limit} calls to `{peer_name}` are open already"),
            );
        }
        if !is_as_usual {
            self.fit_arguments(key, to)?;
            bytes = self.calls.get(key).map_or(0, |call| call.request.args.len());
        }
        let way = self.way_to(now, to, carrier, bytes);
        let by = match way {
            Way::Link(by) => by,
            Way::Dialling => link,
            Way::None => return Err(no_way(&peer_name, carrier)),
        };
        if let Some(peer) = self.peers.get_mut(to) {
            peer.open_calls += 1;
        }
        if let Some(link) = self.links.get_mut(by) {
            link.carried_calls = true;
        }
        if let Some(call) = self.calls.get_mut(key) {
            let flight = Flight::default();
            call.stage = Stage::Remote { peer: to, link: by, peer_name, sent: false, flight };
        }
        if matches!(way, Way::Dialling) {
            self.note_open(now, key, to);
            self.wait_for_connection(to, Outgoing::Call(key));
            return Ok(());
        }
        if has_stream {
            self.open_stream(now, key, by)?;
        }
        if !self.launch(now, key, to, by) {
            let text = "too many messages wait to be sent";
            return fail(ErrorCode::BUSY, text.to_owned());
        }
        Ok(())
    }
}

/// Whether a callee reads a call's arguments as they are, and the call names no format.
fn is_read_as_it_is(pipeline: &Pipeline, call: &Call, peer: &Peer) -> bool {
    let own = pipeline.first_format();
    let is_usual = call.request.format.is_none() && call.request.args.format() == own;
    let has_home = peer.dialect.profile().has_home;
    is_usual && !has_home && pipeline.is_read_by(own, peer.features)
}

/// What a call may travel by: one with a byte stream needs a connection.
fn carrier_of(request: &CallRequest) -> Result<Carrier, CallError> {
    match (request.carrier, request.stream) {
        (Carrier::Datagrams, true) => {
            let text = "a byte stream needs a connection, and the call may use datagrams only";
            Err(CallError::new(ErrorCode::UNSUPPORTED, Executed::No, text))
        }
        (_, true) => Ok(Carrier::Connection),
        (carrier, false) => Ok(carrier),
    }
}

fn no_way(peer: &str, carrier: Carrier) -> CallError {
    let text = match carrier {
        Carrier::Datagrams => format!("`{peer}` is reached by a connection only"),
        Carrier::OneShot => "this node takes no connections".to_owned(),
        _ => format!("no connection to `{peer}`: it takes none, or this node makes none"),
    };
    CallError::new(ErrorCode::UNSUPPORTED, Executed::No, text)
}
