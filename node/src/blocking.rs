//! The same node for programs without async.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use lanc_core::error::CallError;
use lanc_core::id::ExeId;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use crate::args::IntoArgs;
use crate::builder::{NodeBuilder, OpenError};

/// A node with a runtime of its own; every call blocks its thread. Cheap to clone.
///
/// Verbs that never wait (`register`, `peers`, `get`, `start`, ...) are those of the inner
/// [`Node`](crate::Node), which this dereferences to.
///
/// Do not use it inside an async function: blocking a runtime's thread panics there.
#[derive(Clone, Debug)]
pub struct Node {
    node: crate::Node,
    runtime: Arc<Runtime>,
}

impl std::ops::Deref for Node {
    type Target = crate::Node;

    fn deref(&self) -> &crate::Node {
        &self.node
    }
}

impl NodeBuilder {
    /// Opens the node on a runtime of its own, for a program without async.
    ///
    /// # Errors
    /// As [`NodeBuilder::open`]; [`OpenError::Transport`] when threads cannot be started.
    pub fn open_blocking(self) -> Result<Node, OpenError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("lanc")
            .enable_all()
            .build()
            .map_err(lanc_core::ports::TransportError::Io)?;
        let node = runtime.block_on(self.open())?;
        Ok(Node { node, runtime: Arc::new(runtime) })
    }
}

impl Node {
    /// Calls a function and waits for its result.
    ///
    /// # Errors
    /// [`CallError`] says what happened, whether the function ran and what to do next.
    pub fn call<T: DeserializeOwned + Send + 'static>(
        &self,
        function: &str,
        args: impl IntoArgs,
    ) -> Result<T, CallError> {
        self.wait(self.node.call(function, args))
    }

    /// Waits for anything of the async node:
    /// `node.wait(node.async_call("add", (1, 2)).fastest(2))`.
    pub fn wait<F: IntoFuture>(&self, work: F) -> F::Output {
        self.runtime.block_on(async { work.into_future().await })
    }

    /// Begins a call with options; make it with [`Self::wait`].
    pub fn async_call<T>(&self, function: &str, args: impl IntoArgs) -> crate::Call<T> {
        self.node.call(function, args)
    }

    /// The values of a function that returns many, one after the other; see
    /// [`Call::values`](crate::Call::values).
    ///
    /// ```no_run
    /// # fn demo(node: lanc_node::blocking::Node) -> Result<(), lanc_node::CallError> {
    /// for number in node.values(node.async_call::<u64>("count", (10,)))? {
    ///     println!("{}", number?);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`CallError`] when the call fails before it is on its way.
    pub fn values<T>(&self, call: crate::Call<T>) -> Result<Values<T>, CallError> {
        let values = self.runtime.block_on(call.values())?;
        Ok(Values { values, runtime: Arc::clone(&self.runtime) })
    }

    /// See [`Node::join`](crate::Node::join).
    ///
    /// # Errors
    /// As there.
    pub fn join<T: DeserializeOwned>(&self, id: ExeId, timeout: Duration) -> Result<T, CallError> {
        self.wait(self.node.join(id, timeout))
    }

    /// See [`Node::ping`](crate::Node::ping).
    ///
    /// # Errors
    /// As there.
    pub fn ping(&self, peer: &str) -> Result<Duration, CallError> {
        self.wait(self.node.ping(peer))
    }

    /// See [`Node::settled`](crate::Node::settled).
    pub fn settled(&self) {
        self.wait(self.node.settled());
    }

    /// See [`Node::run_forever`](crate::Node::run_forever).
    pub fn run_forever(&self) {
        self.wait(self.node.run_forever());
    }

    /// See [`Node::shutdown`](crate::Node::shutdown).
    pub fn shutdown(&self) {
        self.wait(self.node.shutdown());
    }
}

/// Values as they come: [`Node::values`]. Each blocks the thread until it is there.
pub struct Values<T> {
    values: crate::Values<T>,
    runtime: Arc<Runtime>,
}

impl<T: DeserializeOwned> Iterator for Values<T> {
    type Item = Result<T, CallError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.block_on(self.values.next())
    }
}
