//! A whole node under a script: frames of every kind from five hosts, time, and what its own
//! application does meanwhile.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lanc_codec::{JsonCodec, MsgpackCodec};
use lanc_core::dialect::frame::FrameWriter;
use lanc_core::dialect::lean::Head;
use lanc_core::endpoint::LinkId;
use lanc_core::error::{ErrorCode, Executed, Fault};
use lanc_core::id::{ExeId, FunctionName, SessionId, Version};
use lanc_core::message::{
    Ack, Call, CallState, Callback, Failure, Features, Func, Hello, Message, Receipt, ReplyTo,
    WireId,
};
use lanc_core::payload::Arguments;
use lanc_core::ports::{Cast, Format, SendRefused};
use lanc_core::{CallRequest, Carrier, Class, Config, LocalFunction, Mode};

use super::Script;
use crate::solo::{self, FUNCTIONS, Solo, To};

/// Hosts that speak to the node.
const HOSTS: u8 = 5;
/// Steps of one script.
const STEPS: usize = 400;
/// Longer than any lease, and than anything else that is kept.
const SILENCE: Duration = Duration::from_secs(1500);
/// Names that peers claim to offer; some are the node's own.
const NAMES: [&str; 6] = ["echo", "slow", "far", "near", "x", "not a name"];
const NUMBERS: [u64; 8] = [0, 1, 2, 3, 255, 1 << 32, u64::MAX - 1, u64::MAX];

/// A node and those who speak to it.
struct Stage<'s> {
    node: Solo,
    script: Script<'s>,
    connections: Vec<LinkId>,
}

/// How a host writes one message.
struct Voice {
    host: u8,
    /// Bits that choose form and way.
    how: u8,
    writer: FrameWriter,
}

/// The whole engine under any script: it survives, its tables keep their limits, its counters add
/// up, each of its calls has one outcome in time, and in silence all tables become empty.
pub fn whole_core(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let config = settings(script.byte());
    let node = Solo::new(config, "node", 1);
    let mut stage = Stage { node, script, connections: Vec::new() };
    for _ in 0..STEPS {
        if stage.script.is_over() {
            break;
        }
        stage.step();
    }
    stage.settle();
}

/// Only hellos, lists of functions and farewells, whose merging has rules of its own: the lists of
/// peers and of functions agree with each other after each.
pub fn hello_and_func(bytes: &[u8]) {
    let script = Script::new(bytes);
    let node = Solo::new(Config::default().with_max_functions_per_peer(4), "node", 1);
    let mut stage = Stage { node, script, connections: Vec::new() };
    for _ in 0..STEPS {
        if stage.script.is_over() {
            break;
        }
        match stage.script.byte() % 8 {
            0 => stage.pass(),
            1 => stage.bye(),
            2..=4 => stage.hello(),
            _ => stage.func(),
        }
        stage.lists_agree();
    }
    stage.settle();
}

/// Settings by number: the defaults, or limits so small that each is reached.
fn settings(number: u8) -> Config {
    let config = Config::default();
    if number.is_multiple_of(2) {
        return config;
    }
    config
        .with_max_peers(2)
        .with_max_tentative(2)
        .with_max_functions(7)
        .with_max_functions_per_peer(5)
        .with_max_calls(3)
        .with_max_calls_per_peer(2)
        .with_max_queued(2)
        .with_max_stranger_tasks(2)
        .with_workers(1)
        .with_max_callers(2)
        .with_max_deduped_per_caller(2)
        .with_max_deduped(5)
        .with_max_stored_answers(1024)
        .with_max_stored_answer(64)
        .with_max_outbox(16)
        .with_max_streams(2)
        .with_max_pings(1)
        .with_max_events(4)
        .with_hello_replies(1)
}

fn session(host: u8) -> SessionId {
    SessionId([host; 16])
}

impl Stage<'_> {
    fn step(&mut self) {
        match self.script.byte() % 24 {
            0 => self.raw(),
            1 => self.raw_record(),
            2 | 3 => self.hello(),
            4 => self.func(),
            5..=8 => self.call(),
            9 => self.receipt(),
            10 => self.probe_or_cancel(),
            11 | 12 => self.answer(),
            13 | 14 => self.pass(),
            15 => self.begin_call(),
            16 => {
                let place = usize::from(self.script.byte());
                self.node.cancel(place);
            }
            17 => drop(self.node.finish_slow()),
            18 => self.connect(),
            19 => self.end_link(),
            20 => self.bye(),
            21 => self.ping(),
            22 => self.refuse(),
            _ => self.change_functions(),
        }
    }

    fn host(&mut self) -> u8 {
        2 + self.script.byte() % HOSTS
    }

    fn cast(&mut self) -> Cast {
        self.script.one_of(&[Cast::Unicast, Cast::Unicast, Cast::Broadcast, Cast::Shared])
    }

    fn raw(&mut self) {
        let (host, cast) = (self.host(), self.cast());
        let bytes = self.script.piece();
        self.node.datagram(solo::address(host), cast, bytes);
    }

    fn raw_record(&mut self) {
        let place = usize::from(self.script.byte());
        let bytes = self.script.piece();
        if let Some(link) = self.connections.get(place % self.connections.len().max(1)) {
            self.node.record(*link, bytes);
        }
    }

    /// How a host writes what it says next.
    fn voice(&mut self, host: u8) -> Voice {
        let how = self.script.byte();
        let writer = match how % 3 {
            0 => FrameWriter::native(Arc::new(JsonCodec)),
            1 => FrameWriter::native(Arc::new(MsgpackCodec)),
            _ => {
                let to = self.node.core.session().short();
                let mut head = Head::new(session(host).short(), Some(to));
                head.watermark = (how & 64 > 0).then(|| self.script.one_of(&NUMBERS));
                FrameWriter::lean(Arc::new(MsgpackCodec), head)
            }
        };
        Voice { host, how, writer }
    }

    /// A host says a message.
    fn say(&mut self, host: u8, message: &Message<'_>) {
        let voice = self.voice(host);
        self.send(&voice, message);
    }

    /// The same, as a datagram or by the newest connection.
    fn send(&mut self, voice: &Voice, message: &Message<'_>) {
        let mut bytes = Vec::new();
        voice.writer.begin(&mut bytes);
        voice.writer.write(message, &mut bytes);
        match self.connections.last() {
            Some(link) if voice.how & 128 > 0 => self.node.record(*link, &bytes),
            _ => {
                let cast = if voice.how & 32 > 0 { self.cast() } else { Cast::Unicast };
                self.node.datagram(solo::address(voice.host), cast, &bytes);
            }
        }
    }

    fn hello(&mut self) {
        let (host, flags) = (self.host(), self.script.byte());
        let owner = if flags & 64 > 0 { self.host() } else { host };
        let echo = self.token_sent_to(solo::address(host)).filter(|_| flags & 1 > 0);
        let message = Message::Hello(Hello {
            version: Version::NATIVE,
            session: session(owner),
            name: Cow::Borrowed("peer"),
            interval: Duration::from_millis(self.script.one_of(&[0, 100, 5000, 1 << 40])),
            revision: u64::from(self.script.byte() % 4),
            features: Features(u32::from(self.script.byte())),
            token: (flags & 2 > 0).then_some(7),
            echo: echo.or((flags & 4 > 0).then_some(9)),
            receiver: None,
            wants: flags & 8 > 0,
            connection_port: (flags & 16 > 0).then_some(40_001),
            load: flags,
        });
        self.say(host, &message);
    }

    /// The token in the last hello that was sent to an address.
    fn token_sent_to(&self, address: SocketAddr) -> Option<u64> {
        let mut frames = self.node.sent.iter().rev().filter(|f| f.to == To::Address(address));
        frames.find_map(|frame| {
            let text = String::from_utf8_lossy(&frame.bytes);
            let digits = text.split("\"tok\":\"").nth(1)?.get(..16)?;
            u64::from_str_radix(digits, 16).ok()
        })
    }

    fn func(&mut self) {
        let (host, flags) = (self.host(), self.script.byte());
        let owner = if flags & 64 > 0 { self.host() } else { host };
        let names = (0..flags % 4).map(|_| Cow::Borrowed(self.script.one_of(&NAMES))).collect();
        let parts = u16::from(self.script.byte() % 4) + 1;
        let message = Message::Func(Func {
            session: (flags & 128 == 0).then(|| session(owner)),
            revision: u64::from(self.script.byte() % 4),
            part: self.script.pair() % parts,
            parts,
            names,
            idempotent: if flags & 32 > 0 && flags % 4 > 0 { vec![0] } else { Vec::new() },
        });
        self.say(host, &message);
    }

    fn id(&mut self, host: u8) -> WireId<'static> {
        let kind = self.script.byte();
        let owner = if kind & 64 > 0 { self.host() } else { host };
        let number = match kind % 4 {
            0 => self.script.one_of(&NUMBERS),
            _ => u64::from(self.script.byte() % 16),
        };
        match kind & 48 {
            16 => WireId::Number(number),
            32 => WireId::Text(Cow::Owned(number.to_string())),
            _ => {
                let random = u32::from(kind & 128 > 0);
                WireId::Native(ExeId { session: session(owner).short(), number, random })
            }
        }
    }

    fn call(&mut self) {
        let (host, flags) = (self.host(), self.script.byte());
        let id = self.id(host);
        let function = self.script.one_of(&["echo", "slow", "fail", "big", "far", "x y"]);
        let voice = self.voice(host);
        let is_json = voice.writer.form().format == Format::JSON;
        let args: &[u8] = if is_json { b"[7]" } else { b"\x91\x07" };
        let mut call = Call::new(Some(id), Cow::Borrowed(function), args, &[]);
        call.one_way = flags & 1 > 0;
        call.deadline_ms = (flags & 2 > 0).then(|| self.script.one_of(&[0, 1, 2000, u64::MAX]));
        call.to = (flags & 4 > 0).then(|| self.node.core.session().short());
        call.attempt = if flags & 8 > 0 { self.script.byte() } else { 0 };
        call.watermark = (flags & 16 > 0).then(|| self.script.one_of(&NUMBERS));
        let port = 40_000 + u16::from(self.script.byte());
        call.reply_to = (flags & 32 > 0).then_some(ReplyTo { port, token: 5 });
        call.stream = (flags & 64 > 0).then(|| u32::from(self.script.byte()));
        self.send(&voice, &Message::Call(call));
    }

    fn receipt(&mut self) {
        let (host, flags) = (self.host(), self.script.byte());
        let states = [CallState::Queued, CallState::Running, CallState::Done, CallState::Unknown];
        let (id, receipt) = if flags & 1 > 0 {
            let watermark = (flags & 2 > 0).then(|| self.script.one_of(&NUMBERS));
            (self.id(host), Receipt::Answer { watermark })
        } else {
            let (state, attempt) = (self.script.one_of(&states), self.script.byte());
            (self.own_id(), Receipt::Call { state, attempt })
        };
        self.say(host, &Message::Ack(Ack { id, receipt }));
    }

    fn probe_or_cancel(&mut self) {
        let host = self.host();
        let id = self.id(host);
        let is_probe = self.script.byte() & 1 > 0;
        self.say(host, &if is_probe { Message::Probe(id) } else { Message::Cancel(id) });
    }

    /// The id of a call of the node.
    fn own_id(&mut self) -> WireId<'static> {
        let calls = self.node.ledger.calls();
        let place = usize::from(self.script.byte()) % calls.len().max(1);
        let id = calls.get(place).and_then(|call| call.id);
        let nobodys = ExeId { session: self.node.core.session().short(), number: 99, random: 0 };
        WireId::Native(id.unwrap_or(nobodys))
    }

    fn answer(&mut self) {
        let (host, flags) = (self.host(), self.script.byte());
        let id = self.own_id();
        let (token, attempt) = ((flags & 1 > 0).then_some(5), flags >> 5);
        let code = ErrorCode(u16::from(self.script.byte()));
        let message = if flags & 2 > 0 {
            let fault = Fault {
                code,
                message: "no".to_owned(),
                executed: self.script.one_of(&[Executed::No, Executed::Maybe, Executed::Yes]),
                retry_after: None,
            };
            let id = Some(id).filter(|_| flags & 4 == 0);
            Message::Error(Failure { id, fault, token, attempt })
        } else {
            Message::Callback(Callback { id, result: b"1", token, attempt })
        };
        self.say(host, &message);
    }

    fn pass(&mut self) {
        let millis = self.script.one_of(&[1, 15, 40, 200, 1000, 3000, 16_000, 70_000]);
        self.node.pass(Duration::from_millis(millis));
    }

    fn begin_call(&mut self) {
        let name = self.script.one_of(&["echo", "slow", "far", "near"]);
        let Ok(name) = FunctionName::new(name) else { return };
        let flags = self.script.byte();
        let mut request = CallRequest::new(name, Arguments::new(Format::MSGPACK, b"\x91\x07", &[]));
        request.deadline = Some(Duration::from_millis(self.script.one_of(&[1, 100, 5000, 30_000])));
        request.mode = if flags & 1 > 0 { Mode::OneWay } else { Mode::One };
        request.carrier = self.script.one_of(&[
            Carrier::Auto,
            Carrier::Datagrams,
            Carrier::Connection,
            Carrier::OneShot,
        ]);
        // What is refused here has its outcome already.
        let _ = self.node.call(request);
    }

    fn connect(&mut self) {
        let how = self.script.byte();
        let dialled = self.node.dials.pop_front();
        match dialled {
            Some(remote) if how & 1 > 0 => self.node.refused(remote),
            Some(remote) => {
                let link = self.node.connected(remote);
                self.connections.push(link);
            }
            None => {
                let host = self.host();
                let link = self.node.accept(SocketAddr::new(solo::address(host).ip(), 50_000));
                self.connections.push(link);
            }
        }
    }

    fn end_link(&mut self) {
        let links = self.node.links();
        let place = usize::from(self.script.byte());
        if let Some(link) = links.get(place % links.len().max(1)) {
            self.node.break_link(*link);
            self.connections.retain(|up| up != link);
        }
    }

    fn bye(&mut self) {
        let host = self.host();
        let owner = self.host();
        self.say(host, &Message::Bye(session(owner)));
    }

    fn ping(&mut self) {
        let host = self.host();
        let number = self.script.number();
        let is_ping = number & 1 > 0;
        self.say(host, &if is_ping { Message::Ping(number) } else { Message::Pong(number) });
    }

    fn refuse(&mut self) {
        let why = self.script.one_of(&[
            SendRefused::Full,
            SendRefused::Gone,
            SendRefused::TooLarge,
            SendRefused::Unreachable,
        ]);
        self.node.refusals.push_back(why);
        if self.script.byte() & 1 > 0 {
            self.node.make_room();
        }
    }

    fn change_functions(&mut self) {
        let name = self.script.one_of(&["far", "near"]);
        let now = self.node.now;
        if self.script.byte() & 1 > 0 {
            let function = LocalFunction::new(Class::Inline);
            // One name too many is refused.
            let _ = self.node.core.register(now, name, function);
        } else {
            self.node.core.unregister(now, name);
        }
    }

    /// Who offers a function is a peer, and a peer offers as many as it is said to.
    fn lists_agree(&self) {
        let (core, now) = (&self.node.core, self.node.now);
        let peers = core.peers(now);
        let offered: usize = core.functions().iter().map(|f| f.providers.len()).sum();
        let said: usize = peers.iter().map(|peer| peer.functions).sum();
        assert_eq!(offered, said, "{peers:?}, {:?}", core.functions());
        let most = core.config().max_functions_per_peer();
        assert!(peers.iter().all(|peer| peer.functions <= most), "{peers:?}");
    }

    /// Everybody falls silent: what the node keeps for others is forgotten.
    fn settle(mut self) {
        self.node.refusals.clear();
        self.node.make_room();
        while self.node.finish_slow() {}
        while let Some(remote) = self.node.dials.pop_front() {
            self.node.refused(remote);
        }
        for name in ["far", "near"] {
            self.node.core.unregister(self.node.now, name);
        }
        let mut left = SILENCE;
        while !left.is_zero() {
            // Whoever waited in the queue has got a worker meanwhile.
            self.node.pass(Duration::from_secs(5));
            left = left.saturating_sub(Duration::from_secs(5));
            while self.node.finish_slow() {}
            while let Some(remote) = self.node.dials.pop_front() {
                self.node.refused(remote);
            }
        }
        assert!(self.node.ledger.all_ended(), "{:?}", self.node.ledger.calls());
        let tables = self.node.core.tables();
        let rest = [
            tables.links,
            tables.hosts,
            tables.peers,
            tables.open_calls,
            tables.queued,
            tables.running,
            tables.callers,
            tables.remembered,
            tables.stored_bytes,
            tables.outbox,
            tables.streams,
            tables.stream_bytes,
        ];
        assert_eq!(rest, [0; 12], "not all is forgotten: {tables:?}");
        assert_eq!(tables.functions, FUNCTIONS.len(), "{tables:?}");
        assert!(tables.timers <= 3, "timers are left behind: {tables:?}");
    }
}
