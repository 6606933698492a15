//! What a running function may know of its call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use lanc_core::StreamKey;
use lanc_core::error::Fault;
use lanc_core::id::FunctionName;
use lanc_core::message::WireId;
use lanc_core::payload::Payload;
use lanc_core::ports::{Codec, EncodeError};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::args::{Args, IntoArgs};
use crate::hub::Hub;
use crate::node::Node;
use crate::serving::Serving;
use crate::spare;
use crate::stream::ByteStream;
use crate::typed::Outcome;

/// The first argument of a function that wants to know who calls it, until when, and whether
/// anybody still waits: `node.register("work", |ctx: Context, n: u64| ...)`.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    call: Call,
    cancellation: Arc<Cancellation>,
    /// The id as text, made when somebody asks for it.
    exe_id: OnceLock<String>,
    stream: Mutex<Option<StreamKey>>,
}

/// Told to a running function when nobody waits for it any more.
#[derive(Debug, Default)]
pub(crate) struct Cancellation {
    flag: AtomicBool,
    notify: Notify,
}

impl Cancellation {
    pub(crate) fn cancel(&self) {
        self.flag.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    pub(crate) async fn cancelled(&self) {
        loop {
            let notified = self.notify.notified();
            if self.is_cancelled() {
                return;
            }
            notified.await;
        }
    }
}

/// A call that is about to run.
pub(crate) struct Call {
    pub(crate) node: Node,
    pub(crate) function: FunctionName,
    pub(crate) caller: Arc<str>,
    pub(crate) exe_id: Option<WireId<'static>>,
    pub(crate) serving: Serving,
    /// `None` where nobody would look at it.
    pub(crate) cancellation: Option<Arc<Cancellation>>,
    pub(crate) stream: Option<StreamKey>,
    pub(crate) given: Given,
}

/// What a function needs that asks nothing about its call.
pub(crate) struct Given {
    pub(crate) args: Args,
    pub(crate) room: Room,
}

impl Given {
    /// What is needed once the arguments are read: a format and buffers.
    pub(crate) fn into_rest(self) -> Rest {
        let (arguments, codec) = self.args.into_parts();
        Rest { codec, room: self.room, spent: arguments.into_buffer() }
    }
}

/// Where a result is written, and how deep it may nest.
pub(crate) struct Room {
    /// A buffer, if there is one at hand.
    held: Option<Vec<u8>>,
    /// Where buffers come from, if there is none.
    hub: Arc<Hub>,
    /// What is written becomes an item of a list.
    is_listed: bool,
}

impl Room {
    pub(crate) fn of(hub: Arc<Hub>) -> Self {
        Self { held: None, hub, is_listed: false }
    }

    /// What is written from now on may have to stand in one list.
    pub(crate) fn holds_items(&mut self) {
        self.is_listed = true;
    }

    /// How many containers may stand inside each other in what is written.
    pub(crate) fn depth(&self) -> u32 {
        let depth = self.hub.depth;
        if self.is_listed { depth.value } else { depth.body }
    }

    /// What is told when it cannot be written.
    pub(crate) fn unanswered(&self, error: &EncodeError) -> Fault {
        self.hub.depth.unanswered(self.depth(), error)
    }

    /// An empty buffer.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.held.take().unwrap_or_else(|| self.hub.take_buffer())
    }

    /// The same buffer for what is written next. One that holds no memory is no buffer.
    pub(crate) fn reuse(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0 {
            buffer.clear();
            self.held = Some(buffer);
        }
    }

    /// Whether there is no buffer at hand.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_none()
    }

    /// The buffer that nobody needs any more.
    pub(crate) fn spent(&mut self) -> Vec<u8> {
        self.held.take().unwrap_or_default()
    }

    /// The same, but a small one stays for what is written next.
    pub(crate) fn spent_if_large(&mut self) -> Vec<u8> {
        self.held.take_if(|held| held.capacity() > spare::MOST).unwrap_or_default()
    }
}

/// What is left of a call whose arguments were read.
pub(crate) struct Rest {
    pub(crate) codec: Arc<dyn Codec>,
    pub(crate) room: Room,
    spent: Vec<u8>,
}

impl Rest {
    /// Encodes what the function returned, or one value of it.
    pub(crate) fn encode<M>(&mut self, outcome: impl Outcome<M>) -> Result<Payload, Fault> {
        outcome.encode(self.codec.as_ref(), &mut self.room)
    }

    /// The buffers that nobody needs any more.
    pub(crate) fn spent(&mut self) -> Spent {
        [std::mem::take(&mut self.spent), self.room.spent()]
    }
}

/// Buffers on their way back to the core.
pub(crate) type Spent = [Vec<u8>; 2];

impl Context {
    pub(crate) fn new(mut call: Call) -> Self {
        let cancellation = call.cancellation.take().unwrap_or_default();
        let stream = Mutex::new(call.stream);
        Self { inner: Arc::new(Inner { call, cancellation, exe_id: OnceLock::new(), stream }) }
    }

    /// See [`Given::into_rest`]. The arguments stay with the function if it kept the context.
    pub(crate) fn into_rest(self) -> Rest {
        match Arc::try_unwrap(self.inner) {
            Ok(inner) => inner.call.given.into_rest(),
            Err(inner) => Self { inner }.rest(),
        }
    }

    /// What is needed to encode a result while the function has the context.
    pub(crate) fn rest(&self) -> Rest {
        let call = &self.inner.call;
        let (hub, codec) = (Arc::clone(call.node.hub()), Arc::clone(call.given.args.codec()));
        Rest { codec, room: Room::of(hub), spent: Vec::new() }
    }

    /// The node that runs the function, to call others from it.
    pub fn node(&self) -> &Node {
        &self.inner.call.node
    }

    /// Begins a call that belongs to this one: it has no more time than is left here, and ends
    /// when nobody waits here any more. Every call that is begun while the function runs does;
    /// this says so in a task or thread that the function has started.
    pub fn call<T>(&self, function: &str, args: impl IntoArgs) -> crate::Call<T> {
        crate::Call::new(self.node(), function, args).within(self.inner.call.serving)
    }

    /// The name under which the function was called.
    pub fn function(&self) -> &str {
        self.inner.call.function.as_str()
    }

    /// The caller's name, or its endpoint if it has not introduced itself. In open mode anybody
    /// can claim any name.
    pub fn caller(&self) -> &str {
        &self.inner.call.caller
    }

    /// The caller's id for this execution, if it gave one.
    pub fn exe_id(&self) -> Option<&str> {
        let id = self.inner.call.exe_id.as_ref()?;
        Some(self.inner.exe_id.get_or_init(|| id.to_string()))
    }

    /// When the caller stops waiting. `None`: it named no deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.inner.call.serving.deadline
    }

    /// Time left until the deadline; zero when it has passed.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether nobody waits for the result any more. A long computation asks now and then and
    /// returns early; its place stays taken until it does.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancellation.is_cancelled()
    }

    /// Waits until nobody waits for the result. An async function has a second from then on to
    /// end by itself; then its future is dropped. Cancel safe.
    pub async fn cancelled(&self) {
        self.inner.cancellation.cancelled().await;
    }

    /// The byte stream of the call, the first time it is asked for. `None`: the caller opened
    /// none, or it was taken before. See [`Call::with_stream`](crate::Call::with_stream).
    ///
    /// When the function ends, what it wrote still reaches the caller, and what it has not read
    /// is dropped.
    pub fn stream(&self) -> Option<ByteStream> {
        let key = self.inner.stream.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(ByteStream::of_task(self.node().hub(), key))
    }

    /// The named arguments, as a type of their own.
    ///
    /// # Errors
    /// `invalid_arguments` when they do not fit the type.
    pub fn named<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        self.inner.call.given.args.named()
    }

    /// All arguments, encoded.
    pub fn args(&self) -> &Args {
        &self.inner.call.given.args
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("function", &self.function())
            .field("caller", &self.caller())
            .field("exe_id", &self.exe_id())
            .finish_non_exhaustive()
    }
}
