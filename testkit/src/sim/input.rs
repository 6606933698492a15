//! What a scenario does to its world, as data.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lanc_codec::{JsonCodec, PythonText};
use lanc_core::endpoint::Endpoint;
use lanc_core::error::Fault;
use lanc_core::policy::Policy;
use lanc_core::ports::{Capabilities, Cast, Compressor, GroupKey, KeyId};
use lanc_core::{Class, Config, Mode, Pipeline, Target};
use serde_json::Value;

use super::calls::CallId;
use super::hostile::{HostileId, HostileSpec};
use super::network::Rules;
use super::node::NodeId;
use super::originals::{OriginalAct, OriginalId, OriginalSpec};

/// What a function does: how long it takes, and its result.
pub type Reply = (Duration, Result<Value, Fault>);

/// The body of a function: a pure one, so that a run can be repeated.
pub type Body = Arc<dyn Fn(&[Value]) -> Reply + Send + Sync>;

/// A function that nodes may register.
#[derive(Clone)]
pub struct Function {
    pub(super) name: String,
    pub(super) class: Class,
    pub(super) body: Body,
    pub(super) stops: bool,
    pub(super) idempotent: bool,
}

impl Function {
    /// A blocking function.
    pub fn new(name: &str, body: impl Fn(&[Value]) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            name: name.to_owned(),
            class: Class::Blocking,
            body: Arc::new(body),
            stops: false,
            idempotent: false,
        }
    }

    /// Of another class.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// Announced as one that may run more than once.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Ends as soon as it is told that nobody waits any more; others run on.
    #[must_use]
    pub fn stops_when_cancelled(mut self) -> Self {
        self.stops = true;
        self
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({:?})", self.name, self.class)
    }
}

/// A node to be made.
#[derive(Clone, Debug)]
pub struct Spec {
    pub(super) config: Config,
    pub(super) segment: u8,
    pub(super) capabilities: Capabilities,
    pub(super) address: Option<SocketAddr>,
    pub(super) functions: Vec<Function>,
    pub(super) pipeline: Pipeline,
}

impl Spec {
    /// A node on segment 0 with all defaults, on a lane like UDP on IPv4 Ethernet.
    pub fn new(name: &str) -> Self {
        let capabilities = Capabilities {
            max_frame: 1472,
            max_broadcast: 1024,
            reliable: false,
            ordered: false,
            broadcast: true,
            connected: false,
        };
        let config = Config::default().with_name(name.to_owned());
        let pipeline = Pipeline::new(Arc::new(JsonCodec)).with_normalizer(Arc::new(PythonText));
        Self { config, segment: 0, capabilities, address: None, functions: Vec::new(), pipeline }
    }

    /// On another segment: broadcasts do not cross, and its addresses are not on-link.
    #[must_use]
    pub fn segment(mut self, segment: u8) -> Self {
        self.segment = segment;
        self
    }

    /// At this address instead of one of its own.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// With other formats. The world writes arguments and reads results as JSON: another first
    /// format is for nodes whose calls go to older programs only.
    #[must_use]
    pub fn pipeline(mut self, pipeline: Pipeline) -> Self {
        self.pipeline = pipeline;
        self
    }

    /// Expands what others compress, and compresses from so many bytes on.
    #[must_use]
    pub fn compressor(mut self, compressor: Arc<dyn Compressor>, from: usize) -> Self {
        self.pipeline = self.pipeline.with_compressor(compressor, from);
        self
    }

    /// In keyed mode, under this key; a second one is only opened.
    #[must_use]
    pub fn key(mut self, key: Arc<dyn GroupKey>) -> Self {
        self.pipeline = self.pipeline.with_key(key);
        self
    }

    /// With other settings.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(Config) -> Config) -> Self {
        self.config = change(self.config);
        self
    }

    /// On another kind of lane.
    #[must_use]
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// With a function from the start, so that its first hello speaks of it.
    #[must_use]
    pub fn offers(mut self, function: Function) -> Self {
        self.functions.push(function);
        self
    }
}

/// A call to be made.
#[derive(Clone, Debug)]
pub struct Ask {
    pub(super) function: String,
    pub(super) args: Value,
    pub(super) deadline: Option<Duration>,
    pub(super) wait: Option<Duration>,
    pub(super) target: Target,
    pub(super) policy: Policy,
    pub(super) mode: Mode,
    pub(super) keeps: bool,
    pub(super) idempotent: bool,
    pub(super) within: Option<CallId>,
}

impl Ask {
    /// A call with all defaults. `args` is a list of positional arguments.
    pub fn new(function: &str, args: Value) -> Self {
        Self {
            function: function.to_owned(),
            args,
            deadline: None,
            wait: None,
            target: Target::Any,
            policy: Policy::default(),
            mode: Mode::One,
            keeps: false,
            idempotent: false,
            within: None,
        }
    }

    /// Which must have its outcome within this time.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Which waits this long for a provider.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// To the peer of this name.
    #[must_use]
    pub fn to(mut self, peer: &str) -> Self {
        self.target = Target::Peer(peer.to_owned());
        self
    }

    /// To this session.
    #[must_use]
    pub fn to_session(mut self, session: lanc_core::id::SessionId) -> Self {
        self.target = Target::Session(session);
        self
    }

    /// With this choice among providers.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// To several, or one way.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Which may run more than once.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Made by the function that runs for another call, on the node that runs it.
    #[must_use]
    pub fn within(mut self, call: CallId) -> Self {
        self.within = Some(call);
        self
    }

    /// Whose outcome stays in the core until [`Input::Get`] fetches it.
    #[must_use]
    pub fn keeps_result(mut self) -> Self {
        self.keeps = true;
        self
    }
}

/// Where a node starts again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At its old endpoint.
    Same,
    /// At another port.
    New,
}

/// A change of the keys that a running node holds.
#[derive(Clone, Debug)]
pub enum KeyChange {
    /// Opens what is sealed under this one, too.
    Add(Arc<dyn GroupKey>),
    /// Seals under this one.
    Primary(KeyId),
    /// Opens nothing under this one any more.
    Remove(KeyId),
}

/// One thing done to a world. Together with the seed, the list of all of them is the run.
#[derive(Clone, Debug)]
pub enum Input {
    /// A node starts. Nodes are numbered in this order.
    Node(Box<Spec>),
    /// A node registers a function.
    Register(NodeId, Function),
    /// A node takes a function away.
    Unregister(NodeId, String),
    /// A node calls. Calls are numbered in this order.
    Call(NodeId, Box<Ask>),
    /// The caller gives a call up.
    Cancel(CallId),
    /// The caller drops its handle.
    Abandon(CallId),
    /// The caller asks for an outcome that was kept.
    Get(CallId),
    /// A node pings a peer. Pings are numbered in this order.
    Ping(NodeId, String),
    /// A node's configuration gets another peer.
    AddPeer(NodeId, Endpoint),
    /// A keyed node's ring changes.
    Keys(NodeId, KeyChange),
    /// A node begins to go down in order.
    Shutdown(NodeId),
    /// A node's process dies without a word.
    Crash(NodeId),
    /// A copy of a node's process starts at an address of its own, as a node with the next
    /// number: it shares the session and what the original had drawn at first.
    Clone(NodeId),
    /// Its program starts again, with the functions it had.
    Restart(NodeId, Place),
    /// A node's process is stopped: nothing in it moves.
    Pause(NodeId),
    /// It goes on.
    Resume(NodeId),
    /// Every path without rules of its own follows these.
    Rules(Rules),
    /// The path from one node to another follows these.
    PairRules(NodeId, NodeId, Rules),
    /// Nothing arrives from one node at another.
    Cut(NodeId, NodeId),
    /// All cuts and rules are lifted.
    Heal,
    /// A node's clock runs at so many thousandths of the right speed from now on.
    ClockRate(NodeId, u32),
    /// A node's clock leaps forward.
    Leap(NodeId, Duration),
    /// A hostile program starts. They are numbered in this order.
    Hostile(HostileSpec),
    /// It does nothing of its own accord any more.
    Hush(HostileId),
    /// An original starts. Originals are numbered in this order.
    Original(Box<OriginalSpec>),
    /// An original does something.
    Act(OriginalId, OriginalAct),
    /// A datagram arrives at a node, said to come from an address.
    Inject {
        /// Its source, true or not.
        from: SocketAddr,
        /// Who gets it.
        to: NodeId,
        /// How it is addressed.
        cast: Cast,
        /// What is in it.
        bytes: Arc<[u8]>,
    },
}
