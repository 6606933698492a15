//! One simulated program: a core, its transport's links, its running functions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use lanc_core::endpoint::{Endpoint, Lane};
use lanc_core::event::Event;
use lanc_core::id::{CallKey, ExeId, FunctionKey, PingKey, SessionId, TaskKey};
use lanc_core::ports::{Cast, Entropy, Format};
use lanc_core::{Class, Core, LocalFunction, Time};

use super::calls::CallId;
use super::clock::Clock;
use super::glance::Cause;
use super::input::{Function, Spec};
use super::links::LinkTable;
use super::network::AddressId;
use super::seals::Seal;
use super::trips::Cargo;
use super::view::Traffic;

/// Names a node of a world, through all its lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) usize);

impl NodeId {
    /// Its number: nodes count from zero in the order they were made.
    pub fn index(self) -> usize {
        self.0
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// The scheme of simulated endpoints.
pub(super) const SCHEME: &str = "sim";
/// The port of a node's first life.
const PORT: u16 = 40_000;

/// The address of a node: segment and number are in it.
pub(super) fn address(segment: u8, number: usize) -> SocketAddr {
    let [.., high, low] = u64::try_from(number + 1).unwrap_or(u64::MAX).to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, segment, high, low)), PORT)
}

/// A datagram at the door of a node.
pub(super) struct Datagram {
    pub(super) from: AddressId,
    pub(super) cast: Cast,
    pub(super) bytes: Arc<[u8]>,
    pub(super) cause: Cause,
    /// The network has changed it on its way.
    pub(super) damaged: bool,
    /// No node has sent it to this address like this.
    pub(super) strange: bool,
    /// What it carries of calls; nothing where no node has written it.
    pub(super) cargo: Option<Arc<Cargo>>,
}

/// A function that runs.
pub(super) struct Running {
    pub(super) id: Option<ExeId>,
    pub(super) reply: super::input::Reply,
    pub(super) stops: bool,
    pub(super) class: Class,
    /// What its arguments came in.
    pub(super) format: Format,
}

/// Everything that ends with the process.
pub(super) struct Life {
    pub(super) core: Core,
    pub(super) links: LinkTable,
    pub(super) functions: BTreeMap<FunctionKey, Function>,
    pub(super) running: BTreeMap<TaskKey, Running>,
    /// Functions that returned while the process was stopped.
    pub(super) held: Vec<TaskKey>,
    pub(super) calls: BTreeMap<CallKey, CallId>,
    pub(super) pings: BTreeMap<PingKey, usize>,
    pub(super) configured: Vec<AddressId>,
    pub(super) delivered: u64,
    pub(super) draining: bool,
    /// Peers of which it was told that they are verified.
    pub(super) verified: BTreeSet<SessionId>,
    /// Sessions that were met at the address of a hostile program: open mode cannot tell.
    pub(super) usurped: BTreeSet<SessionId>,
    /// In keyed mode: what it may take.
    pub(super) seal: Option<Seal>,
    /// How often it was looked at.
    pub(super) looks: u32,
    /// When the next wake-up event of this life is due, by the time of the world.
    pub(super) wake: Option<Time>,
}

/// A node through all its lives.
pub(super) struct Node {
    pub(super) spec: Spec,
    pub(super) address: AddressId,
    pub(super) lives: u32,
    /// The step of the world in which it was started last.
    pub(super) booted: u64,
    pub(super) life: Option<Life>,
    pub(super) paused: bool,
    pub(super) clock: Clock,
    /// What the socket holds while the process is stopped.
    pub(super) backlog: VecDeque<Datagram>,
    pub(super) events: VecDeque<(Time, Event)>,
    pub(super) traffic: Traffic,
}

impl Node {
    /// Datagrams a socket holds for a stopped process.
    pub(super) const BACKLOG: usize = 256;

    pub(super) fn new(spec: Spec, address: AddressId) -> Self {
        Self {
            spec,
            address,
            lives: 0,
            booted: 0,
            life: None,
            paused: false,
            clock: Clock::default(),
            backlog: VecDeque::new(),
            events: VecDeque::new(),
            traffic: Traffic::default(),
        }
    }

    /// Starts the program: a new core that has not said anything yet.
    ///
    /// # Panics
    /// When the settings of its [`Spec`] are out of range: the scenario is wrong.
    pub(super) fn boot(&mut self, id: NodeId, now: Time, entropy: Box<dyn Entropy>) {
        let pipeline = self.spec.pipeline.clone();
        let core = Core::new(self.spec.config.clone(), pipeline, entropy, now);
        let mut core = match core {
            Ok(core) => core,
            Err(error) => panic!("the spec of a node: {error}"),
        };
        let lane = core.add_lane(self.spec.capabilities).unwrap_or(Lane(0));
        self.lives += 1;
        self.paused = false;
        self.backlog.clear();
        let seal = Seal::of(&core, (id, self.lives));
        self.life = Some(Life {
            core,
            seal,
            links: LinkTable::new(lane),
            functions: BTreeMap::new(),
            running: BTreeMap::new(),
            held: Vec::new(),
            calls: BTreeMap::new(),
            pings: BTreeMap::new(),
            configured: Vec::new(),
            delivered: 0,
            draining: false,
            verified: BTreeSet::new(),
            usurped: BTreeSet::new(),
            looks: 0,
            wake: None,
        });
    }
}

impl Life {
    /// # Panics
    /// When the core refuses the function.
    pub(super) fn register(&mut self, now: Time, function: Function) {
        let mut local = LocalFunction::new(function.class);
        local.idempotent = function.idempotent;
        // Nothing here is secret.
        local.compress = true;
        match self.core.register(now, &function.name, local) {
            Ok(key) => {
                self.functions.insert(key, function);
            }
            Err(error) => panic!("registering {}: {error}", function.name),
        }
    }
}

/// The endpoint of an address.
pub(super) fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::socket(SCHEME, address)
}
