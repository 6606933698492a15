//! Cores joined by a segment of datagrams and by connections that they dial.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use lanc_codec::JsonCodec;
use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::error::CallError;
use lanc_core::id::{CallKey, FunctionName, TaskKey};
use lanc_core::payload::{Arguments, Payload};
use lanc_core::ports::{
    Capabilities, Cast, Dest, DownReason, Format, Initiator, LinkEvent, Origin, Received,
};
use lanc_core::{
    CallRequest, Carrier, Class, Config, Core, LinkCommand, LocalFunction, Outcome, Pipeline, Task,
    TaskStep, Time,
};
use lanc_testkit::keys::Keys;
use lanc_testkit::sim::Dice;
use lanc_testkit::solo::CONNECTION;
use lanc_tests::in_mode;

const DATAGRAMS: Lane = Lane(0);
const CONNECTIONS: Lane = Lane(1);
const UDP_PORT: u16 = 100;
const TCP_PORT: u16 = 200;

/// A connection: who dialled, who accepted, and whether frames pass.
#[derive(Clone, Copy)]
pub(crate) struct Wire {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) is_up: bool,
    pub(crate) passes: bool,
}

/// A frame that was sent.
pub(crate) struct Sent {
    /// The connection it took; `None`: a datagram.
    pub(crate) wire: Option<u32>,
    /// As it was before it was compressed and sealed.
    pub(crate) bytes: Vec<u8>,
    /// Bytes that went over the wire.
    pub(crate) size: usize,
}

pub(crate) struct World {
    pub(crate) cores: Vec<Core>,
    pub(crate) wires: Vec<Wire>,
    pub(crate) now: Time,
    pub(crate) tasks: Vec<(usize, Task)>,
    /// Who dialled which endpoint and has no answer yet.
    pub(crate) dials: Vec<(usize, Endpoint)>,
    /// Whether dialling succeeds at once.
    pub(crate) accepts: bool,
    /// Whose datagrams reach nobody.
    pub(crate) mute: Vec<usize>,
    pub(crate) sent: Vec<Sent>,
    /// To read what was sent.
    pub(crate) keys: Keys,
}

pub(crate) fn host(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, u8::try_from(node).unwrap() + 1)
}

pub(crate) fn tcp(node: usize) -> Endpoint {
    Endpoint::socket("tcp", SocketAddr::from((host(node), TCP_PORT)))
}

pub(crate) fn connection(wire: u32) -> LinkId {
    LinkId { lane: CONNECTIONS, slot: wire, generation: 0 }
}

pub(crate) fn datagrams_to(node: usize) -> LinkId {
    LinkId { lane: DATAGRAMS, slot: u32::try_from(node).unwrap(), generation: 0 }
}

/// A node with datagrams alone.
pub(crate) fn deaf(name: &str, now: Time) -> Core {
    let pipeline = in_mode!(Pipeline::new(Arc::new(JsonCodec)));
    let config = Config::default().with_name(name.to_owned());
    let mut core = Core::new(config, pipeline, Box::new(Dice::new(99, 0)), now).unwrap();
    core.add_lane(Capabilities::datagrams(65_507)).unwrap();
    core.start(now);
    core
}

pub(crate) fn core(config: Config, name: &str, seed: u64, now: Time) -> Core {
    core_of(config, in_mode!(Pipeline::new(Arc::new(JsonCodec))), name, seed, now)
}

fn core_of(config: Config, pipeline: Pipeline, name: &str, seed: u64, now: Time) -> Core {
    let config = config.with_name(name.to_owned());
    let mut core = Core::new(config, pipeline, Box::new(Dice::new(seed, 0)), now).unwrap();
    core.add_lane(Capabilities::datagrams(65_507)).unwrap();
    let lane = core.add_lane(CONNECTION).unwrap();
    core.lane_opened(lane, &tcp(0));
    let function = LocalFunction::new(Class::Async);
    core.register(now, &format!("f{name}"), function).unwrap();
    core.start(now);
    core
}

impl World {
    pub(crate) fn new<const N: usize>(names: [&str; N]) -> Self {
        Self::with(Config::default(), names)
    }

    /// Nodes that know each other by datagrams.
    pub(crate) fn with<const N: usize>(config: Config, names: [&str; N]) -> Self {
        let mut world = Self::apart(config, names);
        world.mute.clear();
        world.pass(3000);
        world
    }

    /// Nodes `a` and `b` of these pipelines, that know each other by datagrams.
    pub(crate) fn built(config: Config, pipelines: [Pipeline; 2]) -> Self {
        let mut world = Self::apart(config.clone(), ["a", "b"]);
        let nodes = world.cores.iter_mut().zip(pipelines).zip(["a", "b"]).zip(1..);
        for (((core, pipeline), name), seed) in nodes {
            *core = core_of(config.clone(), pipeline, name, seed, Time::ZERO);
        }
        world.mute.clear();
        world.pass(3000);
        world
    }

    /// Nodes whose datagrams reach nobody.
    pub(crate) fn apart<const N: usize>(config: Config, names: [&str; N]) -> Self {
        let nodes = (1..).zip(names);
        let cores = nodes.map(|(seed, name)| core(config.clone(), name, seed, Time::ZERO));
        let mut keys = Keys::default();
        keys.add(&[lanc_tests::key()]);
        Self {
            cores: cores.collect(),
            wires: Vec::new(),
            now: Time::ZERO,
            tasks: Vec::new(),
            dials: Vec::new(),
            accepts: true,
            mute: (0..N).collect(),
            sent: Vec::new(),
            keys,
        }
    }

    /// Hands a frame to a node.
    pub(crate) fn hand(&mut self, node: usize, link: LinkId, cast: Cast, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let frame = Received { link, cast, origin: Origin::Network, bytes: &mut bytes };
        self.cores[node].handle_frame(self.now, frame);
    }

    /// A datagram from one node's address to another.
    pub(crate) fn datagram(&mut self, from: usize, to: usize, cast: Cast, bytes: &[u8]) {
        let remote = Endpoint::socket("udp", SocketAddr::from((host(from), UDP_PORT)));
        let link = datagrams_to(from);
        let up = LinkEvent::Up { link, remote, initiator: Initiator::Them };
        self.cores[to].handle_link(self.now, up);
        self.hand(to, link, cast, bytes);
    }

    /// Makes the connection between two nodes that `from` has dialled.
    pub(crate) fn connect(&mut self, from: usize, to: usize, there: Endpoint) -> u32 {
        let wire = self.open(from, to);
        let remote = there;
        let up = LinkEvent::Up { link: connection(wire), remote, initiator: Initiator::Us };
        self.cores[from].handle_link(self.now, up);
        self.accept(to, wire, host(from));
        wire
    }

    pub(crate) fn open(&mut self, from: usize, to: usize) -> u32 {
        let wire = u32::try_from(self.wires.len()).unwrap();
        self.wires.push(Wire { from, to, is_up: true, passes: true });
        wire
    }

    /// A node accepts a connection from a host.
    pub(crate) fn accept(&mut self, node: usize, wire: u32, from: Ipv4Addr) {
        let port = 50_000 + u16::try_from(wire).unwrap();
        let remote = Endpoint::socket("tcp", SocketAddr::from((from, port)));
        let up = LinkEvent::Up { link: connection(wire), remote, initiator: Initiator::Them };
        self.cores[node].handle_link(self.now, up);
    }

    /// A dial comes to nothing: the far host refuses it.
    pub(crate) fn fail(&mut self, place: usize) {
        self.end_dial(place, "refused", true);
    }

    /// A dial comes to nothing: nobody answers.
    pub(crate) fn time_out(&mut self, place: usize) {
        self.end_dial(place, "no answer", false);
    }

    fn end_dial(&mut self, place: usize, reason: &str, is_refused: bool) {
        let (node, remote) = self.dials.remove(place);
        let failed = LinkEvent::Failed { remote, reason: reason.to_owned(), is_refused };
        self.cores[node].handle_link(self.now, failed);
    }

    /// A dial succeeds.
    pub(crate) fn succeed(&mut self, place: usize) -> Option<u32> {
        let (from, there) = self.dials.remove(place);
        let ip = there.ip().unwrap();
        let to = (0..self.cores.len()).find(|node| ip == host(*node))?;
        Some(self.connect(from, to, there))
    }

    /// A connection breaks; both ends are told.
    pub(crate) fn break_wire(&mut self, wire: u32) {
        let known = &mut self.wires[usize::try_from(wire).unwrap()];
        if std::mem::replace(&mut known.is_up, false) {
            for node in [known.from, known.to] {
                if let Some(core) = self.cores.get_mut(node) {
                    let link = connection(wire);
                    core.handle_link(
                        self.now,
                        LinkEvent::Down { link, reason: DownReason::Broken },
                    );
                }
            }
        }
    }

    /// Takes one frame of a node to where it goes. `false`: it has none.
    pub(crate) fn step(&mut self, node: usize) -> bool {
        let mut bytes = Vec::new();
        let Some(dest) = self.cores[node].poll_frame(self.now, &mut bytes) else { return false };
        let wire = match dest {
            Dest::Link(link) if link.lane == CONNECTIONS => Some(link.slot),
            _ => None,
        };
        let (size, before) = (bytes.len(), self.keys.plain(&bytes).into_owned());
        self.sent.push(Sent { wire, bytes: before, size });
        match dest {
            Dest::Link(link) if link.lane == CONNECTIONS => {
                let wire = self.wires[usize::try_from(link.slot).unwrap()];
                let far = if wire.from == node { wire.to } else { wire.from };
                if wire.is_up && wire.passes && far < self.cores.len() {
                    self.hand(far, link, Cast::Unicast, &bytes);
                }
            }
            Dest::Link(link) if !self.mute.contains(&node) => {
                let to = usize::try_from(link.slot).unwrap();
                if to < self.cores.len() {
                    self.datagram(node, to, Cast::Unicast, &bytes);
                }
            }
            Dest::Broadcast(_) if !self.mute.contains(&node) => {
                for to in (0..self.cores.len()).filter(|to| *to != node) {
                    self.datagram(node, to, Cast::Broadcast, &bytes);
                }
            }
            _ => {}
        }
        true
    }

    /// Does what the cores ask for besides sending. `false`: there was nothing.
    pub(crate) fn obey(&mut self) -> bool {
        let mut any = false;
        for node in 0..self.cores.len() {
            while let Some(command) = self.cores[node].poll_link() {
                any = true;
                match command {
                    LinkCommand::Connect(there) => self.dials.push((node, there)),
                    LinkCommand::Close(link, _) if link.lane == CONNECTIONS => {
                        self.break_wire(link.slot);
                    }
                    LinkCommand::Close(..) => {}
                }
            }
            while let Some(step) = self.cores[node].poll_task(self.now) {
                if let TaskStep::Run(task) = step {
                    self.tasks.push((node, task));
                }
            }
        }
        while self.accepts && !self.dials.is_empty() {
            self.succeed(0);
        }
        any
    }

    /// One frame from each node in turn until none has another: what is sent at the same time
    /// crosses.
    pub(crate) fn settle(&mut self) {
        loop {
            let any = self.obey();
            let moved = (0..self.cores.len()).filter(|node| self.step(*node)).count();
            if moved == 0 && !any && !self.obey() {
                return;
            }
        }
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 50 {
            self.settle();
            self.now = Time::from_millis(self.now.as_millis() + 50);
            for core in &mut self.cores {
                core.handle_timeout(self.now);
            }
        }
        self.settle();
    }

    /// Calls a function with a text of so many bytes.
    pub(crate) fn call(&mut self, node: usize, name: &str, size: usize) -> CallKey {
        self.call_over(node, name, size, Carrier::Auto)
    }

    pub(crate) fn call_over(
        &mut self,
        node: usize,
        name: &str,
        size: usize,
        carrier: Carrier,
    ) -> CallKey {
        let text = format!("[\"{}\"]", "x".repeat(size));
        let args = Arguments::new(Format::JSON, text.as_bytes(), b"");
        let mut request = CallRequest::new(FunctionName::new(name).unwrap(), args);
        request.carrier = carrier;
        self.cores[node].call(self.now, request).unwrap()
    }

    /// Ends the only task there is with a text of so many bytes.
    pub(crate) fn answer(&mut self, size: usize) {
        assert_eq!(self.tasks.len(), 1);
        let (node, task) = self.tasks.remove(0);
        self.complete(node, task.key, size);
    }

    pub(crate) fn complete(&mut self, node: usize, task: TaskKey, size: usize) {
        let bytes = format!("\"{}\"", "y".repeat(size)).into_bytes();
        let result = Payload { format: Format::JSON, bytes: bytes.into() };
        self.cores[node].complete(self.now, task, Ok(result));
    }

    /// The outcome of a call, which is taken; `None`: there is none yet.
    pub(crate) fn outcome(
        &mut self,
        node: usize,
        key: CallKey,
    ) -> Option<Result<usize, CallError>> {
        if !self.cores[node].is_done(key) {
            return None;
        }
        match self.cores[node].take(key).expect("one outcome, not two") {
            Outcome::One(answer) => Some(answer.result.map(|payload| payload.bytes.len())),
            other => panic!("{other:?}"),
        }
    }

    /// Calls, answers, and says how many bytes came back.
    pub(crate) fn ask(&mut self, node: usize, name: &str, size: usize, answer: usize) -> usize {
        let key = self.call(node, name, size);
        self.settle();
        self.answer(answer);
        self.settle();
        self.outcome(node, key).expect("an outcome").expect("a result")
    }

    /// The wires that took frames which hold `text`, since this was asked last.
    pub(crate) fn ways_of(&mut self, text: &str) -> Vec<Option<u32>> {
        let holds = |sent: &Sent| sent.bytes.windows(text.len()).any(|w| w == text.as_bytes());
        let mut ways: Vec<_> = self.sent.drain(..).filter(holds).map(|sent| sent.wire).collect();
        ways.dedup();
        ways
    }

    pub(crate) fn wires_up(&self) -> Vec<u32> {
        let wires = (0..).zip(&self.wires);
        wires.filter(|(_, wire)| wire.is_up).map(|(number, _)| number).collect()
    }

    /// Nothing is under way at any node, and no call is left without its outcome.
    #[track_caller]
    pub(crate) fn is_tidy(&mut self) {
        self.settle();
        for (node, core) in self.cores.iter().enumerate() {
            let tables = core.tables();
            let busy = [
                tables.open_calls,
                tables.results,
                tables.queued,
                tables.running,
                tables.outbox,
                tables.streams,
                tables.stream_bytes,
                // Answers are kept until their receipt comes.
                tables.buffered - tables.stored_bytes,
            ];
            assert_eq!(busy, [0; 8], "node {node}: {tables:?}");
        }
    }

    /// Where `node` reaches the peer called `name`.
    pub(crate) fn route(&self, node: usize, name: &str) -> Option<String> {
        let peers = self.cores[node].peers(self.now);
        let peer = peers.iter().find(|peer| peer.name == name);
        peer.map(|peer| peer.endpoint.scheme().to_owned())
    }
}
