//! The handle of a node.

use std::sync::Arc;
use std::time::Duration;

use lanc_core::counters::Counters;
use lanc_core::endpoint::Endpoint;
use lanc_core::error::{CallError, ErrorCode, Executed};
use lanc_core::id::SessionId;
use lanc_core::ports::Statistics;
use lanc_core::{FunctionInfo, LocalFunction, PeerInfo, RegisterError, Tables};

use crate::args::IntoArgs;
use crate::call::Call;
use crate::events::Events;
use crate::functions::{Function, Handler, Registration};
use crate::hub::{Hub, Pinging, closed};
use crate::streaming::IntoStreaming;
use crate::typed::IntoFunction;

/// A LANC node: registers functions, calls those of others. Cheap to clone; dropping the last
/// clone closes the node at once, [`Node::shutdown`] closes it in order.
///
/// The end of the runtime that it was opened on closes it at once too: what still waits for it,
/// on another runtime or thread, fails as `closed`.
#[derive(Clone)]
pub struct Node {
    owner: Arc<Owner>,
}

/// What lives as long as somebody holds a [`Node`].
pub(crate) struct Owner {
    hub: Arc<Hub>,
    name: String,
    endpoints: Vec<Endpoint>,
    /// What each transport counts by itself.
    statistics: Vec<Option<Arc<dyn Statistics>>>,
}

impl Owner {
    pub(crate) fn new(
        hub: Arc<Hub>,
        endpoints: Vec<Endpoint>,
        statistics: Vec<Option<Arc<dyn Statistics>>>,
    ) -> Self {
        let name = hub.state().core.config().name();
        Self { hub, name, endpoints, statistics }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.hub.submit(|state| state.orphaned = true);
    }
}

impl Node {
    pub(crate) fn of(owner: Arc<Owner>) -> Self {
        Self { owner }
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.owner.hub
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.owner.name
    }

    /// This life of the node.
    pub fn session(&self) -> SessionId {
        self.hub().session
    }

    /// Its own endpoints, one for each transport, as peers may be configured with them.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.owner.endpoints
    }

    /// Registers a function: `node.register("add", |a: i64, b: i64| a + b)`. See
    /// [`IntoFunction`] for what may be registered. Never waits; peers hear of it once no other
    /// function was registered for a second. One registered under the name before is replaced:
    /// calls that run keep what they began with.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing has changed then.
    pub fn register<M>(&self, name: &str, f: impl IntoFunction<M>) -> Result<(), RegisterError> {
        self.function(name, f).register()
    }

    /// Registers a function that returns many values:
    /// `node.register_stream("count", |n: u64| 0..n)`. See [`IntoStreaming`]. One registered under
    /// the name before is replaced.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing has changed then.
    pub fn register_stream<M>(
        &self,
        name: &str,
        f: impl IntoStreaming<M>,
    ) -> Result<(), RegisterError> {
        let (class, function) = f.into_function();
        self.insert_function(name, LocalFunction::new(class), function.0)
    }

    /// Begins a registration with choices: `node.function("add", f).inline().register()`. One
    /// registered under the name before is replaced.
    pub fn function<'n, M>(&'n self, name: &'n str, f: impl IntoFunction<M>) -> Registration<'n> {
        Registration::new(self, name, f)
    }

    /// Begins the registration of a [`Handler`]. What was registered under the name before is
    /// replaced.
    pub fn handler<'n>(&'n self, name: &'n str, handler: Arc<dyn Handler>) -> Registration<'n> {
        Registration::handler(self, name, handler)
    }

    pub(crate) fn insert_function(
        &self,
        name: &str,
        local: LocalFunction,
        function: Arc<dyn Function>,
    ) -> Result<(), RegisterError> {
        let now = self.hub().clock.now();
        // What a function captured is never dropped under the lock.
        let mut function = Some(function);
        let replaced = self.hub().submit(|state| {
            let key = state.core.register(now, name, local)?;
            Ok(function.take().and_then(|function| state.functions.insert(key, function)))
        });
        replaced.map(drop)
    }

    /// Takes a function away; calls that run finish. `false`: there was none.
    pub fn unregister(&self, name: &str) -> bool {
        let now = self.hub().clock.now();
        let function = self.hub().submit(|state| {
            let key = state.core.unregister(now, name)?;
            Some(state.functions.remove(key))
        });
        // What the function captured is dropped outside the lock.
        function.is_some()
    }

    /// Begins a call: `let sum: i64 = node.call("add", (1, 2)).await?`. Nothing is sent before
    /// it is awaited (or started); options come in between, see [`Call`].
    ///
    /// Begun by a function while it serves a call, it belongs to that one: it has no more time
    /// than is left there, and ends as `cancelled` when nobody waits there any more. See
    /// [`Call::detached`] for what must be done all the same, and
    /// [`Context::call`](crate::Context::call) for tasks that the function has started.
    pub fn call<T>(&self, function: &str, args: impl IntoArgs) -> Call<T> {
        Call::new(self, function, args)
    }

    /// The peers, by name.
    pub fn peers(&self) -> Vec<PeerInfo> {
        let now = self.hub().clock.now();
        self.hub().state().core.peers(now)
    }

    /// The functions known here, this node's own among them, by name.
    pub fn functions(&self) -> Vec<FunctionInfo> {
        self.hub().state().core.functions()
    }

    /// What happened so far, in numbers.
    pub fn counters(&self) -> Counters {
        self.hub().state().core.counters().clone()
    }

    /// What each transport counts by itself, in the order of [`Self::endpoints`].
    pub(crate) fn statistics(&self) -> &[Option<Arc<dyn Statistics>>] {
        &self.owner.statistics
    }

    /// How full the tables are.
    pub fn tables(&self) -> Tables {
        self.hub().state().core.tables()
    }

    /// The node's news from now on; of one that is closed, that it is.
    pub fn events(&self) -> Events {
        let receiver = self.hub().events.subscribe();
        // Looked at afterwards: the last event comes before this turns true.
        let is_over = *self.hub().closed.borrow();
        Events::new(receiver, is_over)
    }

    /// The round trip to a peer (its name, address, or the first digits of its session).
    /// Cancel safe.
    ///
    /// # Errors
    /// `no_provider` when no such peer is here, `timeout` when it does not answer in 5 s,
    /// `closed` when this node closes before it does.
    pub async fn ping(&self, peer: &str) -> Result<Duration, CallError> {
        let now = self.hub().clock.now();
        let pinging = self.hub().submit(|state| {
            if state.is_over {
                return Err(closed(Executed::No));
            }
            let key = state.core.ping(now, peer)?;
            Ok(Pinging::begin(self.hub(), state, key))
        })?;
        pinging.pong().await?.ok_or_else(|| {
            let text = format!("`{peer}` did not answer in 5 s");
            CallError::new(ErrorCode::TIMEOUT, Executed::No, text)
        })
    }

    /// Adds a peer that is greeted by unicast, on whatever network segment it is. `false`:
    /// there are as many as a node remembers.
    pub fn add_peer(&self, endpoint: Endpoint) -> bool {
        let now = self.hub().clock.now();
        self.hub().submit(|state| state.core.add_peer(now, endpoint))
    }

    /// Waits until whoever is there has had the time to answer the first hello. Cancel safe.
    pub async fn settled(&self) {
        let at = self.hub().state().core.settled_at();
        tokio::time::sleep_until(self.hub().clock.instant(at)).await;
    }

    /// Serves until the node is shut down (S0's `run_forever`). Cancel safe.
    pub async fn run_forever(&self) {
        self.hub().wait_closed().await;
    }

    /// Closes the node in order: queued calls are refused, running functions may finish within
    /// the configured time, results are sent, then the farewell. Returns when that is done.
    /// Cancel safe: the shutdown goes on when the future is dropped.
    pub async fn shutdown(&self) {
        let now = self.hub().clock.now();
        self.hub().submit(|state| state.core.shutdown(now));
        self.hub().wait_closed().await;
    }

    /// Closes the node at once: running functions are cut off, and their callers hear the
    /// farewell and nothing else. Returns when that has left. Cancel safe as
    /// [`Node::shutdown`] is.
    pub async fn close_now(&self) {
        let now = self.hub().clock.now();
        self.hub().submit(|state| state.core.close_now(now));
        self.hub().wait_closed().await;
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.owner.name)
            .field("session", &self.session())
            .field("endpoints", &self.owner.endpoints)
            .finish_non_exhaustive()
    }
}
