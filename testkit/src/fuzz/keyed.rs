//! A node with a key under a script: frames of members, of strangers, changed ones and copies, by
//! datagrams and connections. Nothing acts that is not sealed for this node, and nothing twice.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use lanc_codec::{JsonCodec, MsgpackCodec};
use lanc_core::endpoint::LinkId;
use lanc_core::envelope::{self, Head, Labels};
use lanc_core::id::SessionId;
use lanc_core::ports::{Cast, Codec};
use lanc_core::{Config, Token, carriage};

use super::Script;
use crate::keys::Keys;
use crate::sim::group_key;
use crate::solo::{self, Solo, To};

/// Hosts that speak to the node.
const HOSTS: u8 = 4;
/// Steps of one script.
const STEPS: usize = 200;
/// Longer than any lease, and than two lives of a token.
const SILENCE: Duration = Duration::from_secs(1500);

struct Stage<'s> {
    node: Solo,
    script: Script<'s>,
    keys: Keys,
    /// What the node has told for datagrams, newest last, and by each connection.
    told: Vec<Token>,
    connections: Vec<Connection>,
    counters: [u64; HOSTS as usize],
    /// What was taken that named a token: sender and counter.
    taken: BTreeSet<(SessionId, u64)>,
    /// Envelopes that were sent before, as datagrams.
    sent: Vec<(SocketAddr, Vec<u8>)>,
}

struct Connection {
    link: LinkId,
    host: u8,
    /// What the node has told by it, and how many frames went there.
    token: Option<Token>,
    written: u64,
}

/// How a frame is sealed.
struct Made {
    bytes: Vec<u8>,
    head: Head,
    /// It is as a member would seal it for this node.
    is_genuine: bool,
}

/// The whole engine in keyed mode under any script.
pub fn keyed_core(bytes: &[u8]) {
    let mut keys = Keys::default();
    keys.add(&[group_key(1)]);
    let node = Solo::keyed(Config::default(), "node", 1, group_key(1));
    let mut stage = Stage {
        node,
        script: Script::new(bytes),
        keys,
        told: Vec::new(),
        connections: Vec::new(),
        counters: [0; HOSTS as usize],
        taken: BTreeSet::new(),
        sent: Vec::new(),
    };
    stage.overhear();
    for _ in 0..STEPS {
        if stage.script.is_over() {
            break;
        }
        stage.step();
        stage.overhear();
    }
    stage.settle();
}

fn session(host: u8) -> SessionId {
    SessionId([host + 2; 16])
}

impl Stage<'_> {
    fn step(&mut self) {
        match self.script.byte() % 16 {
            0 => self.raw(),
            1..=6 => self.sealed_datagram(),
            7..=9 => self.sealed_record(),
            10 => self.copy(),
            11 | 12 => self.pass(),
            13 => drop(self.node.finish_slow()),
            14 => self.connect(),
            _ => self.end_connection(),
        }
    }

    fn host(&mut self) -> u8 {
        self.script.byte() % HOSTS
    }

    fn cast(&mut self) -> Cast {
        self.script.one_of(&[Cast::Unicast, Cast::Unicast, Cast::Broadcast, Cast::Shared])
    }

    /// Notes the tokens that the node tells.
    fn overhear(&mut self) {
        while let Some(frame) = self.node.sent.pop_front() {
            let plain = self.keys.plain(&frame.bytes);
            let text = String::from_utf8_lossy(&plain);
            assert!(plain != frame.bytes, "the node says in plain: {text}");
            let Some(digits) = text.split("\"rx\":\"").nth(1).and_then(|rest| rest.get(..16))
            else {
                continue;
            };
            let bits = u64::from_str_radix(digits, 16).ok();
            let Some(token) = bits.and_then(Token::from_bits) else { continue };
            match frame.to {
                To::Connection(link) => {
                    let known = self.connections.iter_mut().find(|known| known.link == link);
                    known.into_iter().for_each(|known| known.token = Some(token));
                }
                _ if self.told.last() != Some(&token) => self.told.push(token),
                _ => {}
            }
        }
        while let Some(remote) = self.node.dials.pop_front() {
            self.node.refused(remote);
        }
    }

    /// What is not sealed is not taken.
    fn raw(&mut self) {
        let (host, cast) = (self.host(), self.cast());
        let bytes = self.script.piece();
        let before = self.taken_so_far();
        self.node.datagram(solo::address(host + 2), cast, bytes);
        assert_eq!(self.taken_so_far(), before, "what nobody has sealed was taken");
    }

    fn taken_so_far(&self) -> (u64, u64) {
        let accepted = self.node.core.counters().frames_accepted;
        (accepted, self.node.ledger.total_starts())
    }

    fn content(&mut self, host: u8) -> Vec<u8> {
        let owner = if self.script.byte() & 7 == 7 { self.host() } else { host };
        let sid = session(owner);
        let method = self.script.byte() % 8;
        let number = self.script.byte();
        let (short, head) = (&sid.to_string()[..16], "{\"type\":\"LANC\",\"version\":\"0.2\",");
        let text = match method {
            0 | 1 => format!(
                "{head}\"method\":\"hello\",\"data\":{{\"node\":\"m\",\"sid\":\"{sid}\",\
                 \"feat\":{number},\"want\":true,\"rx\":\"00000000000000bb\"}}}}"
            ),
            2 => format!(
                "{head}\"method\":\"func\",\"data\":[\"far\"],\"x\":{{\"sid\":\"{sid}\",\"rev\":{number}}}}}"
            ),
            3 => format!("{head}\"method\":\"bye\",\"data\":{{\"sid\":\"{sid}\"}}}}"),
            4 | 5 => {
                let name = if number & 1 > 0 { "slow" } else { "echo" };
                format!(
                    "{head}\"method\":\"call\",\"data\":\"{name}\",\"exe_id\":\"{short}.{number}.00000001\"}}"
                )
            }
            6 => format!("{head}\"method\":\"ping\",\"data\":{number}}}"),
            _ => return self.script.piece().to_vec(),
        };
        text.into_bytes()
    }

    /// Seals something, rightly or not. `right`: the labels and the token that are due.
    fn make(&mut self, host: u8, right: (Labels<'static>, Option<Token>)) -> Made {
        let how = self.script.byte();
        let mut bytes = self.content(host);
        let key = group_key(if how & 15 == 15 { 9 } else { 1 });
        let to = match how >> 4 & 3 {
            0 => None,
            1 => Token::from_bits(self.script.number()),
            _ => right.1,
        };
        let labels = match self.script.byte() % 6 {
            0 => Labels::HELLO,
            1 => Labels::RECORD,
            2 => Labels::BATCH,
            // As they are due.
            _ if to.is_none() => Labels::HELLO,
            _ => right.0,
        };
        let counter = &mut self.counters[usize::from(host)];
        *counter = match self.script.byte() {
            0..=15 => *counter,
            16..=31 => *counter + (1 << 24),
            32..=47 => *counter + 9000,
            _ => *counter + 1,
        }
        .clamp(1, envelope::LAST_COUNTER);
        let session = session(host);
        let head =
            Head { key: key.id(), session, to, counter: *counter, salt: [how; 4], stream: 0 };
        let made = key.session(&session.0, head.epoch());
        assert!(envelope::seal(&head, labels, made.as_ref(), &mut bytes));
        let changed = self.script.byte();
        if changed < 32 {
            let bit = usize::from(self.script.pair());
            let length = bytes.len();
            bytes[bit / 8 % length] ^= 1 << (bit % 8);
        }
        let is_genuine = changed >= 32 && key.id() == group_key(1).id();
        Made { bytes, head, is_genuine }
    }

    fn sealed_datagram(&mut self) {
        let (host, cast) = (self.host(), self.cast());
        let made = self.make(host, (Labels::BATCH, self.told.last().copied()));
        let address = solo::address(host + 2);
        let around = self.script.byte() % 4;
        let mut frame = Vec::new();
        match around {
            0 => carriage::write(&made.bytes, &JsonCodec as &dyn Codec, &mut frame),
            1 => carriage::write(&made.bytes, &MsgpackCodec, &mut frame),
            _ => frame.clone_from(&made.bytes),
        }
        let before = self.taken_so_far();
        self.node.datagram(address, cast, &frame);
        self.judge(before, &made, self.is_for_node(&made.head));
        self.sent.push((address, frame));
    }

    fn sealed_record(&mut self) {
        let place = usize::from(self.script.byte()) % self.connections.len().max(1);
        let Some(Connection { link, host, token, written }) = self.connections.get(place) else {
            return;
        };
        let (link, host, first) = (*link, *host, *written == 0);
        let due = token.and_then(|token| Token::from_bits(token.bits().wrapping_add(*written)));
        let right = if first { (Labels::HELLO, None) } else { (Labels::RECORD, due) };
        let made = self.make(host, right);
        self.connections[place].written += 1;
        let before = self.taken_so_far();
        self.node.record(link, &made.bytes);
        let is_for_node = made.head.to.is_some() && made.head.to == due;
        self.judge(before, &made, is_for_node || self.is_for_node(&made.head));
    }

    fn is_for_node(&self, head: &Head) -> bool {
        head.to.is_some_and(|to| self.told.contains(&to))
    }

    /// Only what is genuine is taken, only what is for this node acts, and that once.
    fn judge(&mut self, before: (u64, u64), made: &Made, is_for_node: bool) {
        let after = self.taken_so_far();
        assert!(made.is_genuine || after == before, "taken: {:?}", made.head);
        assert!(is_for_node || after.1 == before.1, "it acts: {:?}", made.head);
        if after.0 > before.0 && made.head.to.is_some() {
            assert!(is_for_node, "for somebody else: {:?}", made.head);
            let is_new = self.taken.insert((made.head.session, made.head.counter));
            assert!(is_new, "taken twice: {:?}", made.head);
        }
    }

    /// What came before comes again, from anywhere.
    fn copy(&mut self) {
        let place = usize::from(self.script.byte()) % self.sent.len().max(1);
        let Some((from, bytes)) = self.sent.get(place).cloned() else { return };
        let host = self.host();
        let from = if self.script.byte() & 1 > 0 { solo::address(host + 2) } else { from };
        let cast = self.cast();
        let before = self.taken_so_far();
        self.node.datagram(from, cast, &bytes);
        let after = self.taken_so_far();
        assert_eq!(after.1, before.1, "a copy acts");
    }

    fn pass(&mut self) {
        let millis = self.script.one_of(&[1, 40, 1000, 6000, 30_000, 700_000]);
        self.node.pass(Duration::from_millis(millis));
        self.connections.retain(|known| self.node.is_up(known.link));
    }

    fn connect(&mut self) {
        let host = self.host();
        let link = self.node.accept(SocketAddr::new(solo::address(host + 2).ip(), 50_000));
        self.connections.push(Connection { link, host, token: None, written: 0 });
    }

    fn end_connection(&mut self) {
        let place = usize::from(self.script.byte()) % self.connections.len().max(1);
        if place < self.connections.len() {
            let known = self.connections.swap_remove(place);
            self.node.break_link(known.link);
        }
    }

    /// Everybody falls silent: what the node keeps for others is forgotten.
    fn settle(mut self) {
        for known in std::mem::take(&mut self.connections) {
            self.node.break_link(known.link);
        }
        let mut left = SILENCE;
        while !left.is_zero() {
            while self.node.finish_slow() {}
            self.node.pass(Duration::from_secs(5));
            left = left.saturating_sub(Duration::from_secs(5));
            self.overhear();
        }
        let tables = self.node.core.tables();
        let rest = [tables.links, tables.hosts, tables.peers, tables.outbox, tables.stream_bytes];
        assert_eq!(rest, [0; 5], "not all is forgotten: {tables:?}");
        // Who has named no token is remembered until another needs the place.
        assert!(tables.senders <= usize::from(HOSTS), "{tables:?}");
    }
}
