//! Two nodes and the network between them, which a script holds.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use lanc_core::endpoint::{Endpoint, LinkId};
use lanc_core::error::Executed;
use lanc_core::id::FunctionName;
use lanc_core::payload::Arguments;
use lanc_core::ports::{Cast, Format};
use lanc_core::{CallRequest, Carrier, Config, Time};

use super::Script;
use crate::solo::{self, Sent, Solo, To};

/// Calls of one script.
const CALLS: usize = 40;

/// Two nodes that reach each other by datagrams and by connections.
pub struct Duo {
    /// The nodes; node `n` is host `HOSTS[n]`.
    pub nodes: [Solo; 2],
    /// Frames for addresses that are neither's: what strangers are sent.
    pub strays: VecDeque<Sent>,
    under_way: Vec<(Time, usize, Arrival)>,
    /// Both ends of each connection between them.
    wires: Vec<[LinkId; 2]>,
}

/// The hosts of the two nodes.
pub const HOSTS: [u8; 2] = [100, 101];

/// Something on its way to a node.
#[derive(Clone)]
enum Arrival {
    Datagram(Cast, Vec<u8>),
    Record(LinkId, Vec<u8>),
}

/// What the network does with a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It arrives.
    Arrives,
    /// It does not.
    Lost,
    /// It arrives now and once more after this many milliseconds.
    Twice(u64),
    /// It arrives after this many milliseconds.
    Late(u64),
}

impl Duo {
    /// Two nodes that know nothing of each other yet.
    pub fn new(configs: [Config; 2]) -> Self {
        let [one, other] = configs;
        let nodes = [Solo::new(one, "one", 1), Solo::new(other, "other", 2)];
        Self { nodes, strays: VecDeque::new(), under_way: Vec::new(), wires: Vec::new() }
    }

    /// Lets time pass at both, frame by frame; `fate` decides about each datagram.
    pub fn pass(&mut self, duration: Duration, fate: &mut dyn FnMut() -> Fate) {
        let end = self.nodes[0].now + duration;
        self.carry(fate);
        loop {
            let timers = self.nodes.iter().filter_map(|node| node.core.poll_timeout());
            let arrivals = self.under_way.iter().map(|(at, ..)| *at);
            let next = timers.map(|(at, _)| at).chain(arrivals).min().unwrap_or(end).min(end);
            for node in &mut self.nodes {
                node.pass(next.since(node.now));
            }
            self.deliver(next);
            self.carry(fate);
            if next >= end && self.under_way.iter().all(|(at, ..)| *at > end) {
                return;
            }
        }
    }

    /// The same on a network that loses nothing.
    pub fn pass_well(&mut self, duration: Duration) {
        self.pass(duration, &mut || Fate::Arrives);
    }

    /// Takes what the nodes have sent to where it goes, until nothing more comes of it.
    fn carry(&mut self, fate: &mut dyn FnMut() -> Fate) {
        loop {
            let mut any = false;
            for from in 0..2 {
                while let Some(frame) = self.nodes[from].sent.pop_front() {
                    any = true;
                    self.send(from, frame, fate);
                }
                while let Some(remote) = self.nodes[from].dials.pop_front() {
                    any = true;
                    self.dial(from, remote);
                }
            }
            if !any {
                return;
            }
            self.deliver(self.nodes[0].now);
        }
    }

    fn send(&mut self, from: usize, frame: Sent, fate: &mut dyn FnMut() -> Fate) {
        let (to, now) = (1 - from, self.nodes[from].now);
        let arrival = match frame.to {
            To::Everybody => Arrival::Datagram(Cast::Broadcast, frame.bytes),
            To::Address(address) if address == solo::address(HOSTS[to]) => {
                Arrival::Datagram(Cast::Unicast, frame.bytes)
            }
            To::Address(_) => return self.strays.push_back(frame),
            To::Connection(link) => {
                let Some(wire) = self.wires.iter().find(|wire| wire[from] == link) else {
                    return self.strays.push_back(frame);
                };
                self.under_way.push((now, to, Arrival::Record(wire[to], frame.bytes)));
                return;
            }
        };
        let after = |millis| now + Duration::from_millis(millis);
        match fate() {
            Fate::Arrives => self.under_way.push((now, to, arrival)),
            Fate::Lost => {}
            Fate::Late(millis) => self.under_way.push((after(millis), to, arrival)),
            Fate::Twice(millis) => {
                self.under_way.push((now, to, arrival.clone()));
                self.under_way.push((after(millis), to, arrival));
            }
        }
    }

    /// Connections are made at once where the other node listens, else refused.
    fn dial(&mut self, from: usize, remote: Endpoint) {
        let to = 1 - from;
        if remote.socket_addr() != Some(solo::connection_address(HOSTS[to])) {
            return self.nodes[from].refused(remote);
        }
        let port = 50_000 + u16::try_from(self.wires.len() % 1000).unwrap_or(0);
        let there = self.nodes[to].accept(SocketAddr::new(solo::address(HOSTS[from]).ip(), port));
        let here = self.nodes[from].connected(remote);
        self.wires.push(if from == 0 { [here, there] } else { [there, here] });
    }

    fn deliver(&mut self, now: Time) {
        let mut rest = Vec::new();
        for (at, to, arrival) in std::mem::take(&mut self.under_way) {
            match arrival {
                arrival if at > now => rest.push((at, to, arrival)),
                Arrival::Datagram(cast, bytes) => {
                    self.nodes[to].datagram(solo::address(HOSTS[1 - to]), cast, &bytes);
                }
                Arrival::Record(link, bytes) => self.nodes[to].record(link, &bytes),
            }
        }
        rest.append(&mut self.under_way);
        self.under_way = rest;
        // An end that was closed closes the other.
        let dead = |nodes: &[Solo; 2], wire: &[LinkId; 2]| {
            !nodes[0].is_up(wire[0]) || !nodes[1].is_up(wire[1])
        };
        for wire in std::mem::take(&mut self.wires) {
            let is_empty = !self.under_way.iter().any(|(.., what)| match what {
                Arrival::Record(link, _) => wire.contains(link),
                Arrival::Datagram(..) => false,
            });
            if dead(&self.nodes, &wire) && is_empty {
                self.nodes[0].break_link(wire[0]);
                self.nodes[1].break_link(wire[1]);
            } else {
                self.wires.push(wire);
            }
        }
    }
}

/// Two honest nodes and a network that loses, repeats, delays and reorders as the script says:
/// every call has one outcome that is true, and no function starts twice.
pub fn two_cores(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut duo = Duo::new([Config::default(), Config::default()]);
    duo.pass_well(Duration::from_secs(2));
    let mut begun = Vec::new();
    while !script.is_over() && begun.len() < CALLS {
        let node = usize::from(script.byte() & 1);
        match script.byte() % 8 {
            0..=2 => {
                let number = u16::try_from(begun.len()).unwrap_or(0);
                begun.extend(begin(&mut duo.nodes[node], &mut script, number).map(|c| (node, c)));
            }
            3 => drop(duo.nodes[node].finish_slow()),
            4 => {
                let place = usize::from(script.byte());
                duo.nodes[node].cancel(place);
            }
            _ => {
                let millis = script.one_of(&[1, 10, 40, 200, 1000, 5000]);
                duo.pass(Duration::from_millis(millis), &mut || fate(&mut script));
            }
        }
    }
    for _ in 0..30 {
        duo.pass_well(Duration::from_secs(2));
        while duo.nodes.iter_mut().any(Solo::finish_slow) {}
    }
    assert!(duo.nodes.iter().all(|node| node.ledger.all_ended()), "a call has no outcome");
    for (node, (place, args)) in begun {
        is_true(&duo, node, place, &args);
    }
    still_works(&mut duo);
}

/// What the script says of one datagram; at its end all arrive.
fn fate(script: &mut Script<'_>) -> Fate {
    match script.byte() {
        0..128 => Fate::Arrives,
        128..192 => Fate::Lost,
        byte @ 192..224 => Fate::Twice(u64::from(byte - 192) * 20),
        byte => Fate::Late(u64::from(byte - 224) * 20),
    }
}

fn begin(node: &mut Solo, script: &mut Script<'_>, number: u16) -> Option<(usize, Vec<u8>)> {
    let name = script.one_of(&["echo", "echo", "slow", "fail", "big"]);
    let [high, low] = number.to_be_bytes();
    let args = vec![0x91, 0xcd, high, low];
    let mut request = CallRequest::new(
        FunctionName::new(name).ok()?,
        Arguments::new(Format::MSGPACK, &args, &[]),
    );
    let other = if node.core.config().name() == "one" { "other" } else { "one" };
    request.target = lanc_core::Target::Peer(other.to_owned());
    request.deadline = Some(Duration::from_millis(script.one_of(&[50, 1000, 10_000, 30_000])));
    request.carrier = script.one_of(&[Carrier::Auto, Carrier::Auto, Carrier::Connection]);
    Some((node.call(request).ok()?, args))
}

/// What a call came to agrees with what the other node ran.
fn is_true(duo: &Duo, node: usize, place: usize, args: &[u8]) {
    let Some(call) = duo.nodes[node].ledger.calls().get(place) else { return };
    let Some(id) = call.id else { return };
    let starts = duo.nodes[1 - node].ledger.starts(id);
    assert!(starts <= 1, "{id} was started {starts} times");
    match &call.outcome {
        Some(Ok(payload)) => {
            assert_eq!(starts, 1, "{id} has a result of a function that never ran");
            let is_echo = payload.format == Format::MSGPACK && payload.bytes.first() == Some(&0x91);
            assert!(!is_echo || payload.bytes == args, "{id} has the result of another call");
        }
        Some(Err(error)) => match error.executed {
            Executed::No => assert_eq!(starts, 0, "{id} did not run, says {error:?}"),
            Executed::Yes => assert_eq!(starts, 1, "{id} ran, says {error:?}"),
            Executed::Maybe => {}
        },
        None => panic!("{id} has no outcome"),
    }
}

/// On a good network the next call succeeds.
fn still_works(duo: &mut Duo) {
    let script = &mut Script::new(&[0, 3, 0]);
    let Some((place, args)) = begin(&mut duo.nodes[0], script, 999) else {
        panic!("the node takes no call any more");
    };
    duo.pass_well(Duration::from_secs(3));
    let outcome = duo.nodes[0].ledger.calls()[place].outcome.clone();
    let result = outcome.and_then(Result::ok).map(|payload| payload.bytes.into_vec());
    assert_eq!(result, Some(args), "{:?}", duo.nodes[0].ledger.calls()[place]);
}
