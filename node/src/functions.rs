//! The functions of a node, and how each is started.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use lanc_core::error::Fault;
use lanc_core::id::{FunctionKey, TaskKey};
use lanc_core::payload::{Arguments, Payload};
use lanc_core::ports::Codec;
use lanc_core::{Class, LocalFunction, RegisterError, Time};

use crate::args::Args;
use crate::context::{Call, Context, Room, Spent};
use crate::hub::slot;
use crate::node::Node;
use crate::reply::Reply;
use crate::typed::IntoFunction;

/// A function with full control: encoded arguments in, encoded result out. For bridges, workers
/// in other languages, and functions whose types are known only at run time.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Runs once. Cancellation is told through [`Context::cancelled`]; a second later the future
    /// is dropped.
    ///
    /// # Errors
    /// A [`Fault`] the caller will see.
    async fn run(&self, ctx: Context, args: Args) -> Result<Reply, Fault>;
}

/// What came of starting a function.
pub(crate) enum Started {
    Done(Result<Payload, Fault>, Spent),
    Later(Unfinished, Spent),
}

/// What an async function has left to do.
pub(crate) type Unfinished = Pin<Box<dyn Future<Output = Result<Payload, Fault>> + Send>>;

/// A task that has ended.
pub(crate) struct Ended {
    pub(crate) key: TaskKey,
    /// From when to when its function ran.
    pub(crate) ran: Range<Time>,
    pub(crate) result: Result<Payload, Fault>,
    pub(crate) spent: Spent,
}

/// A function as the node keeps it.
pub(crate) trait Function: Send + Sync {
    fn start(&self, call: Call) -> Started;

    /// The function itself, if it is one of the plain ones.
    fn plain(&self) -> Option<&dyn Plain> {
        None
    }
}

/// A function that asks nothing about its call and has ended when it returns.
pub(crate) trait Plain: Send + Sync {
    fn run(&self, args: &Arguments, codec: &dyn Codec, room: &mut Room) -> Result<Payload, Fault>;
}

/// The functions by their key's slot in the core's directory.
#[derive(Default)]
pub(crate) struct Functions {
    table: Vec<Option<(FunctionKey, Arc<dyn Function>)>>,
}

impl Functions {
    /// Returns the function that had the place: what it captured must not be dropped under the
    /// lock.
    pub(crate) fn insert(
        &mut self,
        key: FunctionKey,
        function: Arc<dyn Function>,
    ) -> Option<Arc<dyn Function>> {
        let before = slot(&mut self.table, key.slot()).replace((key, function));
        before.map(|(_, function)| function)
    }

    pub(crate) fn remove(&mut self, key: FunctionKey) -> Option<Arc<dyn Function>> {
        slot(&mut self.table, key.slot()).take().map(|(_, function)| function)
    }

    pub(crate) fn get(&self, key: FunctionKey) -> Option<Arc<dyn Function>> {
        let (known, function) = self.table.get(key.slot())?.as_ref()?;
        if *known == key { Some(Arc::clone(function)) } else { None }
    }
}

/// A function about to be registered: [`Node::function`].
#[must_use = "nothing is registered before `.register()`"]
pub struct Registration<'n> {
    node: &'n Node,
    name: &'n str,
    local: LocalFunction,
    function: Arc<dyn Function>,
}

impl<'n> Registration<'n> {
    pub(crate) fn new<M>(node: &'n Node, name: &'n str, f: impl IntoFunction<M>) -> Self {
        let (class, function) = f.into_function();
        Self { node, name, local: LocalFunction::new(class), function: function.0 }
    }

    pub(crate) fn handler(node: &'n Node, name: &'n str, handler: Arc<dyn Handler>) -> Self {
        let function = Arc::new(Handled(handler));
        Self { node, name, local: LocalFunction::new(Class::Async), function }
    }

    /// Declares the function short: it runs at once on the task that received the call, without
    /// a hop to a worker. One that takes over 1 ms three times close together, or over 100 ms once,
    /// raises [`Event::SlowFunction`](crate::Event::SlowFunction) and runs on a worker from then on.
    pub fn inline(mut self) -> Self {
        self.local.class = Class::Inline;
        self
    }

    /// Declares that to run the function more than once for one call does no more than to run it
    /// once (it reads, or sets something to a value). Peers hear of it: a call then goes on to
    /// another provider when this one dies or is silent for too long, and may be hedged
    /// ([`Call::hedge`](crate::Call::hedge)). Without it a call never goes on once the function may have run.
    pub fn idempotent(mut self) -> Self {
        self.local.idempotent = true;
        self
    }

    /// In keyed mode, lets its results be compressed, if the node was built to compress at all. The
    /// length of a message then tells something of its content: whoever can choose a part of it and
    /// watch the network may guess the rest. Say so only of results where nothing secret stands
    /// beside what others choose.
    pub fn compress(mut self) -> Self {
        self.local.compress = true;
        self
    }

    /// Keeps the function for the members of a service: it is not announced, and whoever calls it
    /// here is refused as `unauthorised`. Members call it at the node that the same program opens
    /// under the service's key.
    pub fn only_in(mut self, service: &str) -> Self {
        self.local.service = Some(service.into());
        self
    }

    /// What the function does, for listings on this node.
    pub fn doc(mut self, doc: &str) -> Self {
        doc.clone_into(&mut self.local.doc);
        self
    }

    /// Registers it. Peers hear of it once no other function was registered for a second; one
    /// registered under the name before is replaced.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing has changed then.
    pub fn register(self) -> Result<(), RegisterError> {
        self.node.insert_function(self.name, self.local, self.function)
    }
}

struct Handled(Arc<dyn Handler>);

impl Function for Handled {
    fn start(&self, call: Call) -> Started {
        let handler = Arc::clone(&self.0);
        let ctx = Context::new(call);
        let run = async move {
            let args = ctx.args().clone();
            let result = handler.run(ctx, args).await;
            result.map(|reply| reply.payload).map_err(Fault::from_function)
        };
        Started::Later(Box::pin(run), Spent::default())
    }
}
