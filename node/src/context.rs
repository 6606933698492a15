//! What a running function may know of its call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lanc_core::error::Fault;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::args::Args;
use crate::node::Node;

/// The first argument of a function that wants to know who calls it, until when, and whether
/// anybody still waits: `node.register("work", |ctx: Context, n: u64| ...)`.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    node: Node,
    function: String,
    caller: String,
    exe_id: Option<String>,
    deadline: Option<Instant>,
    cancellation: Arc<Cancellation>,
    args: Args,
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

/// The parts of a context.
pub(crate) struct Call {
    pub(crate) function: String,
    pub(crate) caller: String,
    pub(crate) exe_id: Option<String>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancellation: Arc<Cancellation>,
    pub(crate) args: Args,
}

impl Context {
    pub(crate) fn new(node: Node, call: Call) -> Self {
        let Call { function, caller, exe_id, deadline, cancellation, args } = call;
        let inner = Inner { node, function, caller, exe_id, deadline, cancellation, args };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn cancellation(&self) -> Arc<Cancellation> {
        Arc::clone(&self.inner.cancellation)
    }

    /// The node that runs the function, to call others from it.
    pub fn node(&self) -> &Node {
        &self.inner.node
    }

    /// The name under which the function was called.
    pub fn function(&self) -> &str {
        &self.inner.function
    }

    /// The caller's name, or its endpoint if it has not introduced itself. In open mode anybody
    /// can claim any name.
    pub fn caller(&self) -> &str {
        &self.inner.caller
    }

    /// The caller's id for this execution, if it gave one.
    pub fn exe_id(&self) -> Option<&str> {
        self.inner.exe_id.as_deref()
    }

    /// When the caller stops waiting. `None`: it named no deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.inner.deadline
    }

    /// Time left until the deadline; zero when it has passed.
    pub fn time_left(&self) -> Option<Duration> {
        self.inner.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
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

    /// The named arguments, as a type of their own.
    ///
    /// # Errors
    /// `invalid_arguments` when they do not fit the type.
    pub fn named<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        self.inner.args.named()
    }

    /// All arguments, encoded.
    pub fn args(&self) -> &Args {
        &self.inner.args
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("function", &self.inner.function)
            .field("caller", &self.inner.caller)
            .field("exe_id", &self.inner.exe_id)
            .finish_non_exhaustive()
    }
}
