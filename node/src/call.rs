//! Calls: options, then one of the ways to get the outcome.

use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lanc_core::error::{CallError, ErrorCode, Executed};
use lanc_core::id::{CallKey, ExeId};
use lanc_core::payload::{Arguments, bulk};
use lanc_core::policy::Policy;
use lanc_core::ports::{Format, Item};
use lanc_core::{CallRequest, Carrier, Mode, Outcome, Target};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::all::AllCall;
use crate::args::IntoArgs;
use crate::callbacks;
use crate::hub::{Hub, State, closed};
use crate::name;
use crate::node::Node;
use crate::pending::{Pending, give_up, single, taken, typed};
use crate::serving::Serving;
use crate::spare;
use crate::stream::ByteStream;

/// A call about to be made: [`Node::call`]. Await it for its result.
///
/// ```no_run
/// # async fn demo(node: lanc_node::Node) -> Result<(), lanc_node::CallError> {
/// use std::time::Duration;
/// let sum: i64 = node.call("add", (1, 2)).deadline(Duration::from_secs(2)).await?;
/// # Ok(()) }
/// ```
///
/// It owns what it needs, so that it can be moved into a task. Dropping its future gives the
/// call up: the callee is told, its result is not kept.
#[must_use = "a call is made when it is awaited or started"]
pub struct Call<T> {
    hub: Arc<Hub>,
    /// Or the first thing that is wrong, which is told when the call is made.
    request: Result<CallRequest, CallError>,
    named: BTreeMap<String, Vec<u8>>,
    /// The call that this one belongs to.
    serving: Option<Serving>,
    result: PhantomData<fn() -> T>,
}

impl<T> Call<T> {
    pub(crate) fn new(node: &Node, function: &str, args: impl IntoArgs) -> Self {
        let hub = Arc::clone(node.hub());
        let request = name::checked(function).and_then(|function| {
            let (codec, depth) = (hub.pipeline.first().as_ref(), hub.depth);
            let encoded = if args.is_small() {
                let mut room = spare::take(&hub);
                args.encode(codec, depth.body, &mut room).map(|()| spare::encoded(&hub, room))
            } else {
                // What may be large is written into a large buffer, if there is one.
                bulk::collect(hub.take_buffer(), |out| args.encode(codec, depth.body, out))
            };
            let unsent = |error| depth.unsent("the arguments", "an argument", &error);
            let list = encoded.map_err(unsent)?;
            Ok(CallRequest::new(function, Arguments::of_list(codec.format(), list)))
        });
        let named = BTreeMap::new();
        Self { hub, request, named, serving: Serving::current(), result: PhantomData }
    }

    fn with(mut self, change: impl FnOnce(&mut CallRequest)) -> Self {
        if let Ok(request) = &mut self.request {
            change(request);
        }
        self
    }

    /// Time until the outcome must be there, whatever happens on the way. Default 30 s (see the
    /// node's configuration). A longer one than `max_deadline` of the configuration (24 h) is cut to
    /// that, and [`Event::LimitHit`](crate::Event::LimitHit) tells so. With zero the call is not
    /// sent: it ends as `timeout`, and its function does not run. A call that a function makes while
    /// it serves another one has at most the time that is left there.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.with(|request| request.deadline = Some(deadline))
    }

    /// Waits as long as it takes, within the longest deadline of the node's configuration (24 h).
    pub fn no_deadline(self) -> Self {
        self.deadline(Duration::MAX)
    }

    /// Belongs to no other call: it goes on when nobody waits any more for the call that the
    /// function making it serves, and has its own time. For what must be done all the same: to
    /// give a lock back, say.
    pub fn detached(mut self) -> Self {
        self.serving = None;
        self
    }

    pub(crate) fn within(mut self, serving: Serving) -> Self {
        self.serving = Some(serving);
        self
    }

    /// How long to wait for a provider to appear, from now on. By default a node that has just
    /// been opened waits until 1.5 s after its first hello, a settled one not at all; either for
    /// 1.5 s after a peer has restarted. A call that may go on to another provider, whose only
    /// one is gone or going down, waits as long for another.
    pub fn wait(self, wait: Duration) -> Self {
        self.with(|request| request.wait = Some(wait))
    }

    /// Adds a named argument. Of those with the same name the last one counts.
    pub fn kwarg(mut self, name: &str, value: impl Serialize) -> Self {
        let (mut bytes, depth) = (Vec::new(), self.hub.depth);
        match self.hub.pipeline.first().serialize(&value, depth.value, &mut bytes) {
            Ok(()) => {
                self.named.insert(name.to_owned(), bytes);
            }
            // The first thing that is wrong is told.
            Err(error) => {
                let name = format!("argument `{name}`");
                let error = depth.unsent(&name, &name, &error);
                self.request = self.request.and(Err(error));
            }
        }
        self
    }

    /// Calls this peer and no other: its name, address, or the first digits of its session.
    pub fn on(self, peer: &str) -> Self {
        self.with(|request| request.target = Target::Peer(peer.to_owned()))
    }

    /// Says that to run the function more than once does no harm, whatever its provider has
    /// announced. The call then goes on to another provider when one dies, or has not answered
    /// within its share of the deadline; at most three are asked (see the node's configuration).
    /// Any call goes on when a provider says that it did not run it: busy, going down, no such
    /// function.
    pub fn idempotent(self) -> Self {
        self.with(|request| request.idempotent = true)
    }

    /// In keyed mode, lets the arguments be compressed, if the node was built to compress at all:
    /// see [`Registration::compress`](crate::Registration::compress) for what that may tell others.
    pub fn compress(self) -> Self {
        self.with(|request| request.compress = true)
    }

    /// Sends a copy to another provider when the answer takes longer than 95 of 100 do, and
    /// takes the first success; the others are told that nobody waits. Only where the function
    /// may run more than once: [`Self::idempotent`], or announced so.
    pub fn hedge(self) -> Self {
        self.with(|request| request.mode = Mode::Hedged)
    }

    /// Which provider to choose when there are several. Default: the latest announcer.
    pub fn policy(self, policy: Policy) -> Self {
        self.with(|request| request.policy = policy)
    }

    /// What the call travels by. Default: datagrams, and a connection for what is larger than
    /// 1200 bytes.
    pub fn over(self, carrier: Carrier) -> Self {
        self.with(|request| request.carrier = carrier)
    }

    /// The format the call must be written in, and its answer with it. Default: the node's first
    /// format if the callee reads it, else JSON. A callee that does not read it fails the call
    /// with `unsupported`.
    pub fn format(self, format: Format) -> Self {
        self.with(|request| request.format = Some(format))
    }

    /// Calls up to `count` providers at once, at most five, and takes the first success; the
    /// others are told that nobody waits. The function may run on each of them.
    pub fn fastest(self, count: usize) -> Self {
        self.with(|request| request.mode = Mode::Fastest(count.max(1)))
    }

    /// Calls every provider and collects all [answers](crate::Answer), one for each: where `max_calls` of the node's
    /// configuration (16,384, this call and one for each provider among them) leaves no room for
    /// some, theirs is `busy`, and their function does not run. Where it leaves room for none, the
    /// whole call fails so.
    pub fn all(self) -> AllCall<T> {
        AllCall::new(self.with(|request| request.mode = Mode::All))
    }

    /// Puts the call into the core, with a byte stream of its own.
    pub(crate) fn submit_with_stream(self) -> Result<(ByteStream, Pending), CallError> {
        let is_for_one = |request: &CallRequest| matches!(request.mode, Mode::One | Mode::Hedged);
        if !self.request.as_ref().is_ok_and(is_for_one) {
            self.request?;
            return Err(invalid("a call to several providers has no byte stream".to_owned()));
        }
        let pending = self.with(|request| request.stream = true).submit()?;
        Ok((ByteStream::of_call(&pending.hub, pending.key), pending))
    }

    /// Puts the call into the core.
    pub(crate) fn submit(mut self) -> Result<Pending, CallError> {
        let (key, ()) = self.submit_and(|_, _| ())?;
        Ok(Pending { hub: self.hub, key, over: false })
    }

    /// Puts the call into the core, once, and does something more while that is locked.
    fn submit_and<R>(
        &mut self,
        then: impl FnOnce(&mut State, CallKey) -> R,
    ) -> Result<(CallKey, R), CallError> {
        let Self { hub, request, named, serving, .. } = self;
        // Made once: what is left in its place is never told.
        let done = CallError::new(ErrorCode::RESULT_EXPIRED, Executed::Maybe, String::new());
        let mut request = std::mem::replace(request, Err(done))?;
        if !named.is_empty() {
            let entry = |(name, value)| (String::as_str(name), Item::Encoded(Vec::as_slice(value)));
            let entries: Vec<_> = named.iter().map(entry).collect();
            request.args.set_named(|out| hub.pipeline.first().write_map(&entries, out));
        }
        let now = hub.clock.now();
        hub.submit(|state| {
            if state.is_over {
                return Err(closed(Executed::No));
            }
            if let Some(serving) = serving {
                serving.bound(hub, &mut request);
            }
            let key = state.core.call(now, request)?;
            state.begin_call(key);
            Ok((key, then(state, key)))
        })
    }
}

impl Call<()> {
    /// Sends the call and wants no answer. Returns once it has left this node; whether it
    /// arrives or succeeds is not known. Cancel safe.
    ///
    /// # Errors
    /// [`CallError`] when there was nobody to send it to.
    pub async fn one_way(self) -> Result<(), CallError> {
        self.with(|request| request.mode = Mode::OneWay)
            .submit()?
            .outcome()
            .await?
            .result
            .map(|_| ())
    }

    /// Starts the call and returns its id at once (S0's `call`): fetch the result with
    /// [`Node::join`] or [`Node::get`]. It is kept for ten minutes after its arrival, within
    /// the node's bounds.
    ///
    /// # Errors
    /// [`CallError`] when this node cannot take the call.
    pub fn start(self) -> Result<ExeId, CallError> {
        let pending = self.submit()?;
        let id = pending.exe_id();
        pending.detach();
        id
    }

    /// Starts the call, has `on_done` called with the outcome on a thread that may block, and
    /// returns the call's id at once (S0's completion callback). Where the node's runtime ends
    /// first, it is called on a plain thread, which the end of the program does not wait for.
    ///
    /// # Errors
    /// [`CallError`] when this node cannot take the call; `on_done` is not called then.
    pub fn start_with<R: DeserializeOwned + 'static>(
        self,
        on_done: impl FnOnce(Result<R, CallError>) + Send + 'static,
    ) -> Result<ExeId, CallError> {
        let pending = self.submit()?;
        let id = pending.exe_id()?;
        let hub = Arc::clone(&pending.hub);
        let key = pending.detach();
        let for_decoding = Arc::clone(&hub);
        let finish = move |outcome: Option<Outcome>| {
            on_done(single(outcome).and_then(|answer| typed(&for_decoding, answer.result?)));
        };
        // The call may be over already; its outcome waits for whoever asks.
        let early = hub.submit(|state| {
            if let Some(outcome) = state.outcome_now(key) {
                return Some((finish, outcome));
            }
            state.on_done(key, Box::new(finish));
            None
        });
        if let Some((finish, outcome)) = early {
            callbacks::run(&hub.runtime, Box::new(finish), outcome);
        }
        Ok(id)
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for Call<T> {
    type Output = Result<T, CallError>;
    type IntoFuture = Calling<T>;

    fn into_future(self) -> Calling<T> {
        Calling { call: self, stage: Stage::New }
    }
}

/// The future of a [`Call`]: makes the call when it is first polled, and gives it up when it is
/// dropped before the result is there.
#[must_use = "a call is made when it is awaited"]
pub struct Calling<T> {
    call: Call<T>,
    stage: Stage,
}

/// How far a call has come.
#[derive(Clone, Copy)]
enum Stage {
    New,
    /// It is in the core.
    Made(CallKey),
    /// Its outcome was taken, or it could not be made.
    Over,
}

impl<T: DeserializeOwned> Future for Calling<T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { call, stage } = &mut *self;
        let polled = match *stage {
            Stage::Made(key) => call.hub.poll_outcome(key, cx),
            Stage::New => {
                *stage = Stage::Over;
                let (key, polled) = call.submit_and(|state, key| state.poll_outcome(key, cx))?;
                *stage = Stage::Made(key);
                polled
            }
            // It was polled again after it was ready; no reason to panic.
            Stage::Over => return Poll::Ready(Err(taken())),
        };
        let outcome = ready!(polled);
        *stage = Stage::Over;
        let answer = single(outcome)?;
        Poll::Ready(typed(&call.hub, answer.result?))
    }
}

impl<T> Drop for Calling<T> {
    fn drop(&mut self) {
        if let Stage::Made(key) = self.stage {
            give_up(&self.call.hub, key);
        }
    }
}

pub(crate) fn invalid(text: String) -> CallError {
    CallError::new(ErrorCode::INVALID_ARGUMENTS, Executed::No, text)
}
