//! One real [`Core`] without a network: whoever holds it plays everybody else, frame by frame.
//!
//! A [`Solo`] is driver, transport and functions of one node. Frames go in by
//! [`Solo::datagram`] and [`Solo::record`] and come out of [`Solo::sent`]; time passes when it is
//! told to. After every input it checks what must hold whatever comes in (the list is in
//! `check`) and panics where that does not.
//!
//! | function | does |
//! |---|---|
//! | `echo` | returns the list of its arguments, at once |
//! | `slow` | runs until [`Solo::finish_slow`] |
//! | `fail` | fails |
//! | `big` | returns a text of 3000 letters |

mod check;
mod ledger;
mod links;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanc_codec::{JsonCodec, MsgpackCodec, PythonText};
use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::error::{CallError, ErrorCode, Fault};
use lanc_core::event::Event;
use lanc_core::id::TaskKey;
use lanc_core::payload::Payload;
use lanc_core::ports::{
    Capabilities, Cast, Dest, DownReason, Format, GroupKey, Initiator, LinkEvent, Origin, Received,
    SendRefused,
};
use lanc_core::{
    CallRequest, Class, Config, Core, Done, LinkCommand, LocalFunction, Pipeline, Task, TaskStep,
    Time,
};

use crate::sim::Dice;
pub use ledger::{Ended, Ledger};
use links::Table;

/// The lane of datagrams.
pub const DATAGRAMS: Lane = Lane(0);
/// The lane of connections.
pub const CONNECTIONS: Lane = Lane(1);
/// The functions of every solo node.
pub const FUNCTIONS: [&str; 4] = ["echo", "slow", "fail", "big"];

/// What the lane of connections can do, as TCP's can.
pub const CONNECTION: Capabilities = Capabilities {
    max_frame: 65_536,
    max_broadcast: 1024,
    reliable: true,
    ordered: true,
    broadcast: false,
    connected: true,
};
const DATAGRAM_PORT: u16 = 40_000;
const CONNECTION_PORT: u16 = 40_001;
/// Rounds of outputs that one input may cause; more is an endless loop.
const MAX_ROUNDS: usize = 100_000;
/// Frames kept until somebody takes them; the oldest go first.
const MAX_SENT: usize = 10_000;

/// Where a frame was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// To all neighbours.
    Everybody,
    /// To one address.
    Address(SocketAddr),
    /// Into a connection.
    Connection(LinkId),
}

/// A frame that was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Where it goes.
    pub to: To,
    /// What it is.
    pub bytes: Vec<u8>,
}

/// A node alone.
pub struct Solo {
    /// The engine. Inputs go through the methods here, so that outputs are drained and checked.
    pub core: Core,
    /// The time.
    pub now: Time,
    /// What was sent and nobody has taken yet.
    pub sent: VecDeque<Sent>,
    /// What the node was asked to dial.
    pub dials: VecDeque<Endpoint>,
    /// Calls of this node and starts of its functions.
    pub ledger: Ledger,
    /// Limits that were told to be hit.
    pub limits_hit: Vec<&'static str>,
    /// What the transport says of the next frames instead of taking them.
    pub refusals: VecDeque<SendRefused>,
    table: Table,
    /// Frames that links had no room for.
    held: Vec<(LinkId, Sent)>,
    slow: VecDeque<TaskKey>,
    delivered: u64,
    is_down: bool,
}

/// The address of the datagrams of host `number`.
pub fn address(number: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, number), DATAGRAM_PORT))
}

/// The address where host `number` takes connections.
pub fn connection_address(number: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, number), CONNECTION_PORT))
}

impl Solo {
    /// A node of this name that has said its first hello. All its chance comes from `seed`.
    ///
    /// # Panics
    /// When the settings are out of range.
    pub fn new(config: Config, name: &str, seed: u64) -> Self {
        Self::of(config, name, seed, pipeline())
    }

    /// The same in keyed mode.
    ///
    /// # Panics
    /// When the settings are out of range.
    pub fn keyed(config: Config, name: &str, seed: u64, key: Arc<dyn GroupKey>) -> Self {
        Self::of(config, name, seed, pipeline().with_key(key))
    }

    fn of(config: Config, name: &str, seed: u64, pipeline: Pipeline) -> Self {
        let now = Time::from_millis(1000);
        let config = config.with_name(name.to_owned());
        let core = Core::new(config, pipeline, Box::new(Dice::new(seed, 0)), now);
        let mut core = core.unwrap_or_else(|error| panic!("the settings: {error}"));
        core.add_lane(Capabilities::datagrams(65_507));
        if let Some(lane) = core.add_lane(CONNECTION) {
            core.lane_opened(lane, &Endpoint::socket("tcp", connection_address(0)));
        }
        for name in FUNCTIONS {
            let class = if name == "slow" { Class::Blocking } else { Class::Inline };
            let registered = core.register(now, name, LocalFunction::new(class));
            assert!(registered.is_ok(), "{registered:?}");
        }
        core.start(now);
        let mut solo = Self {
            core,
            now,
            sent: VecDeque::new(),
            dials: VecDeque::new(),
            ledger: Ledger::default(),
            limits_hit: Vec::new(),
            refusals: VecDeque::new(),
            table: Table::default(),
            held: Vec::new(),
            slow: VecDeque::new(),
            delivered: 0,
            is_down: false,
        };
        solo.pump();
        solo
    }

    /// A datagram comes from an address; the link to it comes up first if it is new.
    pub fn datagram(&mut self, from: SocketAddr, cast: Cast, bytes: &[u8]) {
        let link = self.link_to(from);
        self.receive(link, cast, Origin::Network, bytes);
    }

    /// The link of an address's datagrams.
    pub fn link_to(&mut self, from: SocketAddr) -> LinkId {
        let (link, is_new) = self.table.datagrams(from);
        if is_new {
            let remote = Endpoint::socket("udp", from);
            let up = LinkEvent::Up { link, remote, initiator: Initiator::Them };
            self.core.handle_link(self.now, up);
            self.pump();
        }
        link
    }

    /// Somebody connects.
    pub fn accept(&mut self, from: SocketAddr) -> LinkId {
        let link = self.table.connection();
        let remote = Endpoint::socket("tcp", from);
        let up = LinkEvent::Up { link, remote, initiator: Initiator::Them };
        self.core.handle_link(self.now, up);
        self.pump();
        link
    }

    /// A connection that was asked for is there.
    pub fn connected(&mut self, remote: Endpoint) -> LinkId {
        let link = self.table.connection();
        let up = LinkEvent::Up { link, remote, initiator: Initiator::Us };
        self.core.handle_link(self.now, up);
        self.pump();
        link
    }

    /// A connection that was asked for cannot be made.
    pub fn refused(&mut self, remote: Endpoint) {
        let reason = "refused".to_owned();
        let failed = LinkEvent::Failed { remote, reason, is_refused: true };
        self.core.handle_link(self.now, failed);
        self.pump();
    }

    /// A frame comes by a connection: a message, or a record of a stream.
    pub fn record(&mut self, link: LinkId, bytes: &[u8]) {
        self.receive(link, Cast::Unicast, Origin::Network, bytes);
    }

    /// A frame comes by a link. Nothing comes by a link that is gone.
    pub fn receive(&mut self, link: LinkId, cast: Cast, origin: Origin, bytes: &[u8]) {
        if !self.table.is_up(link) {
            return;
        }
        self.delivered += 1;
        let mut bytes = bytes.to_vec();
        let frame = Received { link, cast, origin, bytes: &mut bytes };
        self.core.handle_frame(self.now, frame);
        self.pump();
    }

    /// The far end ends a connection, or an interface goes away.
    pub fn break_link(&mut self, link: LinkId) {
        if self.table.close(link) {
            let down = LinkEvent::Down { link, reason: DownReason::Broken };
            self.core.handle_link(self.now, down);
            self.pump();
        }
    }

    /// Whether a link is up.
    pub fn is_up(&self, link: LinkId) -> bool {
        self.table.is_up(link)
    }

    /// The links that are up.
    pub fn links(&self) -> Vec<LinkId> {
        self.table.all()
    }

    /// Begins a call and returns its place in the ledger.
    ///
    /// # Errors
    /// The node does not take it at all.
    pub fn call(&mut self, request: CallRequest) -> Result<usize, CallError> {
        let wish = request.deadline.unwrap_or(self.core.config().call_deadline());
        let due = self.now + wish.min(self.core.config().max_deadline());
        let key = self.core.call(self.now, request)?;
        let place = self.ledger.begin(key, self.core.exe_id(key), due);
        self.pump();
        Ok(place)
    }

    /// Gives a call up.
    pub fn cancel(&mut self, place: usize) {
        if let Some(key) = self.ledger.open_key(place) {
            self.core.cancel(self.now, key);
            self.pump();
        }
    }

    /// Lets the oldest running `slow` return. `false`: none runs.
    pub fn finish_slow(&mut self) -> bool {
        let Some(key) = self.slow.pop_front() else { return false };
        self.core.complete(self.now, key, Ok(text("slow")));
        self.pump();
        true
    }

    /// The end of the program: no function starts any more.
    pub fn shut_down(&mut self) {
        self.is_down = true;
        self.core.shutdown(self.now);
        self.pump();
    }

    /// Lets time pass, timer by timer.
    ///
    /// # Panics
    /// When timers keep firing without time passing.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut still = 0;
        while let Some((at, why)) = self.core.poll_timeout().filter(|(at, _)| *at <= end) {
            still = if at > self.now { 0 } else { still + 1 };
            assert!(still < 1000, "the timer `{why}` fires without end");
            self.now = self.now.max(at);
            self.core.handle_timeout(self.now);
            self.pump();
        }
        self.now = end;
    }

    /// Drains every output and checks it.
    fn pump(&mut self) {
        let mut rounds = 0;
        while self.drain() {
            rounds += 1;
            assert!(rounds < MAX_ROUNDS, "one input causes outputs without end");
        }
        check::core(&self.core, self.delivered, self.now);
    }

    fn drain(&mut self) -> bool {
        let mut any = false;
        while let Some(command) = self.core.poll_link() {
            any = true;
            self.obey(command);
        }
        let mut bytes = Vec::new();
        while let Some(dest) = self.core.poll_frame(self.now, &mut bytes) {
            any = true;
            check::frame(&bytes, matches!(dest, Dest::Broadcast(_)));
            self.carry(dest, &bytes);
        }
        while let Some(step) = self.core.poll_task(self.now) {
            any = true;
            match step {
                TaskStep::Run(task) => self.run(task),
                TaskStep::Cancel(_) => {}
            }
        }
        while let Some(done) = self.core.poll_done() {
            any = true;
            if let Done::Call(key) = done {
                let outcome = self.core.take(key);
                self.ledger.end(self.now, key, outcome);
            }
        }
        while let Some(event) = self.core.poll_event() {
            any = true;
            self.heed(event);
        }
        any
    }

    /// Takes a frame of the core, or refuses it as it was told to.
    fn carry(&mut self, dest: Dest, bytes: &[u8]) {
        let to = match dest {
            Dest::Broadcast(_) => To::Everybody,
            Dest::Link(link) => self.table.to(link),
        };
        let frame = Sent { to, bytes: bytes.to_vec() };
        let Dest::Link(link) = dest else { return self.keep(frame) };
        let Some(why) = self.refusals.pop_front() else { return self.keep(frame) };
        match why {
            SendRefused::Full => self.held.push((link, frame)),
            SendRefused::Gone => drop(self.table.close(link)),
            SendRefused::TooLarge | SendRefused::Unreachable => {}
        }
        self.core.handle_refused(self.now, dest, why);
    }

    fn keep(&mut self, frame: Sent) {
        if self.sent.len() >= MAX_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back(frame);
    }

    /// Links that had no room take frames again.
    pub fn make_room(&mut self) {
        for (link, frame) in std::mem::take(&mut self.held) {
            if self.table.is_up(link) {
                self.keep(frame);
                self.core.handle_link(self.now, LinkEvent::Writable(link));
            }
        }
        self.pump();
    }

    fn obey(&mut self, command: LinkCommand) {
        match command {
            LinkCommand::Connect(remote) if remote.scheme() == "udp" => {
                let Some(there) = remote.socket_addr() else { return };
                let (link, _) = self.table.datagrams(there);
                let up = LinkEvent::Up { link, remote, initiator: Initiator::Us };
                self.core.handle_link(self.now, up);
            }
            LinkCommand::Connect(remote) => self.dials.push_back(remote),
            LinkCommand::Close(link, _) => {
                if self.table.close(link) {
                    let down = LinkEvent::Down { link, reason: DownReason::ClosedHere };
                    self.core.handle_link(self.now, down);
                }
            }
        }
    }

    fn heed(&mut self, event: Event) {
        match event {
            Event::LimitHit { limit } => self.limits_hit.push(limit),
            Event::PeerUp { session, .. } => {
                assert_ne!(session, self.core.session(), "the node is its own peer");
            }
            _ => {}
        }
    }

    fn run(&mut self, task: Task) {
        assert!(!self.is_down, "`{}` starts after the shutdown began", task.name);
        self.ledger.started(&task);
        let result = match task.name.as_str() {
            "echo" => Ok(echo(&task)),
            "big" => Ok(text(&"x".repeat(3000))),
            "slow" => return self.slow.push_back(task.key),
            _ => Err(Fault::new(ErrorCode::EXECUTION_ERROR, "it fails, as it is meant to")),
        };
        self.core.complete(self.now, task.key, result);
    }
}

fn pipeline() -> Pipeline {
    Pipeline::new(Arc::new(MsgpackCodec))
        .with_codec(Arc::new(JsonCodec))
        .with_normalizer(Arc::new(PythonText))
}

/// The arguments of a task as its result.
fn echo(task: &Task) -> Payload {
    match task.args.positional() {
        [] => Payload { format: Format::JSON, bytes: b"[]".to_vec().into() },
        list => Payload { format: task.args.format(), bytes: list.to_vec().into() },
    }
}

fn text(text: &str) -> Payload {
    Payload { format: Format::JSON, bytes: format!("\"{text}\"").into_bytes().into() }
}
