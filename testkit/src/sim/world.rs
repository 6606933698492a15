//! The world: what a scenario says to it.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lanc_core::error::CallError;
use lanc_core::id::SessionId;
use lanc_core::ports::Cast;
use lanc_core::{Outcome, Time};
use serde_json::Value;

use super::calls::{CallBook, CallId, Ended};
use super::coverage::Coverage;
use super::dice::Dice;
use super::envelope::group_key;
use super::glance::Glance;
use super::hostile::{Hostile, Station};
use super::input::{Ask, Function, Input, KeyChange, Place, Reply, Spec};
use super::invariant::Violation;
use super::network::{Addresses, Network, Rules};
use super::node::{Node, NodeId, endpoint};
use super::originals::Program;
use super::seals::Seals;
use super::step::Pending;
use super::trace::Trace;
use super::view::{Frame, Traffic};
use crate::keys::Keys;

/// Names a ping of a world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PingId(pub(super) usize);

/// What lies between the nodes.
pub(super) struct Air {
    pub(super) network: Network,
    pub(super) addresses: Addresses,
    pub(super) segments: BTreeMap<u8, Vec<NodeId>>,
    /// Hosts of originals, and the segments they are on.
    pub(super) originals: Vec<(std::net::IpAddr, u8)>,
    /// Calls that originals were sent: whose, and their ids.
    pub(super) asked: BTreeSet<(std::net::IpAddr, String)>,
    /// Where hostile programs listen.
    pub(super) hostiles: Vec<Station>,
    pub(super) pending: BinaryHeap<Pending>,
    pub(super) sequence: u64,
    pub(super) traffic: Traffic,
    pub(super) recording: bool,
    pub(super) recorded: Vec<Frame>,
    /// The last frames, for the report of a violation.
    pub(super) recent: VecDeque<Frame>,
    /// Room for a frame on its way out of a core.
    pub(super) buffer: Vec<u8>,
}

/// Nodes, the network between them, and time.
pub struct World {
    pub(super) seed: u64,
    pub(super) now: Time,
    pub(super) nodes: Vec<Node>,
    pub(super) originals: Vec<Program>,
    pub(super) hostiles: Vec<Hostile>,
    pub(super) last_original_call: Option<u64>,
    pub(super) air: Air,
    pub(super) book: CallBook,
    pub(super) trace: Trace,
    pub(super) inputs: Vec<(Time, Input)>,
    pub(super) pings: Vec<Option<Option<Duration>>>,
    pub(super) keep_events: usize,
    pub(super) steps: u64,
    pub(super) buffer: Vec<u8>,
    pub(super) glance: Glance,
    pub(super) keys: Keys,
    pub(super) seals: Seals,
    /// Nodes without a key get one.
    pub(super) seals_all: bool,
    pub(super) coverage: Coverage,
    /// A violation ends the run instead of panicking, and originals may die of a bad network.
    pub(super) lenient: bool,
    pub(super) violation: Option<Violation>,
}

impl World {
    /// An empty world. All its chance comes from the seed. With `LANC_SIM=keyed` in the
    /// environment every node that has no key gets that of group 1, so that a scenario can be
    /// run in keyed mode as well.
    pub fn new(seed: u64) -> Self {
        static IS_KEYED: OnceLock<bool> = OnceLock::new();
        let keyed = || std::env::var("LANC_SIM").is_ok_and(|mode| mode == "keyed");
        let seals_all = *IS_KEYED.get_or_init(keyed);
        Self { seals_all, ..Self::open(seed) }
    }

    /// An empty world in which every node has a key.
    pub fn sealed(seed: u64) -> Self {
        Self { seals_all: true, ..Self::open(seed) }
    }

    /// An empty world in which nodes have the keys of their [`Spec`] and no other: for scenarios
    /// about open mode.
    pub fn open(seed: u64) -> Self {
        let air = Air {
            network: Network::new(Dice::new(seed, 1)),
            addresses: Addresses::default(),
            segments: BTreeMap::new(),
            originals: Vec::new(),
            asked: BTreeSet::new(),
            hostiles: Vec::new(),
            pending: BinaryHeap::new(),
            sequence: 0,
            traffic: Traffic::default(),
            recording: false,
            recorded: Vec::new(),
            recent: VecDeque::new(),
            buffer: Vec::new(),
        };
        Self {
            seed,
            now: Time::ZERO,
            nodes: Vec::new(),
            originals: Vec::new(),
            hostiles: Vec::new(),
            last_original_call: None,
            air,
            book: CallBook::default(),
            trace: Trace::new(),
            inputs: Vec::new(),
            pings: Vec::new(),
            keep_events: 1024,
            steps: 0,
            buffer: Vec::new(),
            glance: Glance::default(),
            keys: Keys::default(),
            seals: Seals::default(),
            seals_all: false,
            coverage: Coverage::default(),
            lenient: false,
            violation: None,
        }
    }

    /// A world that notes a violation and stands still from then on, instead of panicking: see
    /// [`Self::violation`]. An original may die of what a bad network does to it.
    pub fn lenient(seed: u64) -> Self {
        Self { lenient: true, ..Self::open(seed) }
    }

    /// What went wrong in a lenient world.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Runs recorded inputs again, up to the time `until`.
    pub fn replay(seed: u64, inputs: &[(Time, Input)], until: Time) -> Self {
        let mut world = Self::new(seed);
        for (at, input) in inputs {
            world.run_to(*at);
            world.apply(input.clone());
        }
        world.run_to(until);
        world
    }

    /// Everything done to this world so far, for [`Self::replay`].
    pub fn inputs(&self) -> &[(Time, Input)] {
        &self.inputs
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many events were handled.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// A hash of every output so far: frames, tasks, outcomes, events.
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// How many events of each node are kept for [`World::events`]; the oldest go first.
    /// Default 1024.
    pub fn keep_events(&mut self, count: usize) {
        self.keep_events = count;
    }

    /// Keeps every frame sent from now on, a hundred thousand at most.
    pub fn record_frames(&mut self) {
        self.air.recording = true;
        self.air.recorded.clear();
    }

    /// Starts a node with default settings on segment 0.
    pub fn node(&mut self, name: &str) -> NodeId {
        self.add(Spec::new(name))
    }

    /// Starts a node.
    pub fn add(&mut self, spec: Spec) -> NodeId {
        self.apply(Input::Node(Box::new(spec)));
        NodeId(self.nodes.len() - 1)
    }

    /// Registers a blocking function.
    pub fn register(
        &mut self,
        node: NodeId,
        name: &str,
        body: impl Fn(&[Value]) -> Reply + Send + Sync + 'static,
    ) {
        self.register_function(node, Function::new(name, body));
    }

    /// Registers a function.
    pub fn register_function(&mut self, node: NodeId, function: Function) {
        self.apply(Input::Register(node, function));
    }

    /// Takes a function away.
    pub fn unregister(&mut self, node: NodeId, name: &str) {
        self.apply(Input::Unregister(node, name.to_owned()));
    }

    /// Calls a function with all defaults.
    pub fn call(&mut self, node: NodeId, function: &str, args: Value) -> CallId {
        self.ask(node, Ask::new(function, args))
    }

    /// Calls a function.
    pub fn ask(&mut self, node: NodeId, ask: Ask) -> CallId {
        self.apply(Input::Call(node, Box::new(ask)));
        CallId(self.book.entries.len() - 1)
    }

    /// Gives a call up.
    pub fn cancel(&mut self, call: CallId) {
        self.apply(Input::Cancel(call));
    }

    /// Drops the handle of a call.
    pub fn abandon(&mut self, call: CallId) {
        self.apply(Input::Abandon(call));
    }

    /// Fetches the outcome of a call made with [`Ask::keeps_result`].
    ///
    /// # Errors
    /// What S0's `get` says: `not_ready`, `result_expired`, `unknown_call`.
    pub fn get(&mut self, call: CallId) -> Result<Outcome, CallError> {
        self.apply(Input::Get(call));
        match &self.book.entries[call.0].outcome {
            Some(outcome) => outcome.clone(),
            None => panic!("get of call {} gave nothing", call.0),
        }
    }

    /// Pings a peer by its name.
    pub fn ping(&mut self, node: NodeId, peer: &str) -> PingId {
        self.apply(Input::Ping(node, peer.to_owned()));
        PingId(self.pings.len() - 1)
    }

    /// Configures another node as a peer, by its address.
    pub fn add_peer(&mut self, node: NodeId, peer: NodeId) {
        let endpoint = endpoint(self.address(peer));
        self.apply(Input::AddPeer(node, endpoint));
    }

    /// Begins an orderly end.
    pub fn shutdown(&mut self, node: NodeId) {
        self.apply(Input::Shutdown(node));
    }

    /// Kills a process.
    pub fn crash(&mut self, node: NodeId) {
        self.apply(Input::Crash(node));
    }

    /// Starts a copy of a node's process, at an address of its own.
    pub fn clone_of(&mut self, node: NodeId) -> NodeId {
        self.apply(Input::Clone(node));
        NodeId(self.nodes.len() - 1)
    }

    /// Changes the keys that a node holds.
    pub fn keys(&mut self, node: NodeId, change: KeyChange) {
        self.apply(Input::Keys(node, change));
    }

    /// Starts a program again, killing it first if it lives.
    pub fn restart(&mut self, node: NodeId, place: Place) {
        self.apply(Input::Restart(node, place));
    }

    /// Stops a process for a while.
    pub fn pause(&mut self, node: NodeId) {
        self.apply(Input::Pause(node));
    }

    /// Lets it go on.
    pub fn resume(&mut self, node: NodeId) {
        self.apply(Input::Resume(node));
    }

    /// Lets a node's clock run at so many thousandths of the right speed.
    pub fn clock_rate(&mut self, node: NodeId, per_mille: u32) {
        self.apply(Input::ClockRate(node, per_mille));
    }

    /// Lets a node's clock leap forward.
    pub fn leap(&mut self, node: NodeId, by: Duration) {
        self.apply(Input::Leap(node, by));
    }

    /// Sets the rules of every path.
    pub fn rules(&mut self, rules: Rules) {
        self.apply(Input::Rules(rules));
    }

    /// Sets the rules of one direction.
    pub fn pair_rules(&mut self, from: NodeId, to: NodeId, rules: Rules) {
        self.apply(Input::PairRules(from, to, rules));
    }

    /// Cuts one direction.
    pub fn cut_one_way(&mut self, from: NodeId, to: NodeId) {
        self.apply(Input::Cut(from, to));
    }

    /// Cuts both directions.
    pub fn cut(&mut self, one: NodeId, other: NodeId) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Makes the network good again.
    pub fn heal(&mut self) {
        self.apply(Input::Heal);
    }

    /// Lets a datagram arrive.
    pub fn inject(&mut self, from: SocketAddr, to: NodeId, cast: Cast, bytes: &[u8]) {
        self.apply(Input::Inject { from, to, cast, bytes: Arc::from(bytes) });
    }

    /// The same with what a member of the first group has sealed that is no node.
    pub fn inject_sealed(
        &mut self,
        sealed_by: SessionId,
        from: SocketAddr,
        to: NodeId,
        cast: Cast,
        envelope: &[u8],
    ) {
        self.keys.add(&[group_key(1)]);
        self.seals.insider(sealed_by, group_key(1).id());
        self.seals.note(envelope);
        self.inject(from, to, cast, envelope);
    }

    /// How far a call is.
    pub fn ended(&self, call: CallId) -> Ended {
        self.book.entries[call.0].ended
    }

    /// A call's outcome, once it is there.
    pub fn outcome(&self, call: CallId) -> Option<&Outcome> {
        self.book.entries[call.0].outcome.as_ref()?.as_ref().ok()
    }

    /// The result of a call to one provider, once it is there.
    pub fn result(&self, call: CallId) -> Option<Result<Value, CallError>> {
        match self.outcome(call)? {
            Outcome::One(answer) => Some(read(answer)),
            Outcome::All(_) => None,
        }
    }

    /// The failure of a call.
    ///
    /// # Panics
    /// When it has none (yet).
    pub fn failure(&self, call: CallId) -> CallError {
        match self.result(call) {
            Some(Err(error)) => error,
            other => panic!("call {} was to have failed, but {other:?}", call.0),
        }
    }

    /// The answers to a call to all providers, with their names, once they are there.
    pub fn answers(&self, call: CallId) -> Option<Vec<(String, Result<Value, CallError>)>> {
        match self.outcome(call)? {
            Outcome::All(members) => {
                let answers = members.iter().map(|member| &member.answer);
                Some(answers.map(|answer| (answer.from.to_string(), read(answer))).collect())
            }
            Outcome::One(_) => None,
        }
    }

    /// How often the body of a call to one provider was started, on whatever node.
    pub fn starts(&self, call: CallId) -> u32 {
        self.book.starts(call)
    }

    /// What a ping came to, once it is over: its time, or `None` when it was lost.
    pub fn pong(&self, ping: PingId) -> Option<Option<Duration>> {
        self.pings[ping.0]
    }
}

/// The value of an answer; an empty result (of a one-way call) is null.
fn read(answer: &lanc_core::Answer) -> Result<Value, CallError> {
    let payload = answer.result.as_ref().map_err(CallError::clone)?;
    if payload.bytes.is_empty() {
        return Ok(Value::Null);
    }
    match super::values::decode(payload.format, &payload.bytes) {
        Ok(value) => Ok(value),
        Err(error) => panic!("a result that cannot be read: {error}"),
    }
}
