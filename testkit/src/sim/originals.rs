//! Programs of the published package among the nodes of a world.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanc_core::Time;
use lanc_core::ports::Cast;
use serde_json::Value;

use super::dice::Dice;
use super::glance::Cause;
use super::input::Input;
use super::invariant::{Broken, Invariant};
use super::node::NodeId;
use super::step::{Arrival, Happening};
use super::world::World;
use crate::original::{Original, PythonFunction, To};

/// The port that older programs listen at and send to.
pub(super) const SHARED_PORT: u16 = 5127;
/// Ports an original sends from, one after the other.
const SOURCES: std::ops::Range<u16> = 40_000..44_096;

/// Names an original of a world, through all its lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OriginalId(pub(super) usize);

/// An original to be made.
#[derive(Clone, Debug)]
pub struct OriginalSpec {
    pub(super) segment: u8,
    pub(super) functions: Vec<PythonFunction>,
    pub(super) registers_after: Duration,
}

impl OriginalSpec {
    /// An original on segment 0 without functions.
    pub fn new() -> Self {
        Self { segment: 0, functions: Vec::new(), registers_after: Duration::ZERO }
    }

    /// With a function.
    #[must_use]
    pub fn offers(mut self, function: PythonFunction) -> Self {
        self.functions.push(function);
        self
    }

    /// Which registers its functions so long after it has begun.
    #[must_use]
    pub fn registers_after(mut self, time: Duration) -> Self {
        self.registers_after = time;
        self
    }
}

impl Default for OriginalSpec {
    fn default() -> Self {
        Self::new()
    }
}

/// An original through all its lives.
pub(super) struct Program {
    spec: OriginalSpec,
    address: IpAddr,
    lives: u32,
    life: Option<Original>,
    wake: Option<Time>,
    source: u16,
}

/// What may be done to an original.
#[derive(Clone, Debug)]
pub enum OriginalAct {
    /// It calls a function with these arguments.
    Call(String, Vec<Value>),
    /// It registers its functions.
    Register,
    /// Its process ends.
    Crash,
    /// It starts, ending the process that lives.
    Start,
}

impl World {
    /// Starts an original. From now on the world fails when it dies of what it hears.
    pub fn original(&mut self, spec: OriginalSpec) -> OriginalId {
        self.apply(Input::Original(Box::new(spec)));
        OriginalId(self.originals.len() - 1)
    }

    /// Lets an original call a function; `None`: it knows nobody who has it.
    pub fn original_calls(
        &mut self,
        id: OriginalId,
        function: &str,
        args: &[Value],
    ) -> Option<u64> {
        self.last_original_call = None;
        self.apply(Input::Act(id, OriginalAct::Call(function.to_owned(), args.to_vec())));
        self.last_original_call
    }

    /// Ends the process of an original.
    pub fn crash_original(&mut self, id: OriginalId) {
        self.apply(Input::Act(id, OriginalAct::Crash));
    }

    /// Starts an original again, ending its process if it lives.
    pub fn restart_original(&mut self, id: OriginalId) {
        self.apply(Input::Act(id, OriginalAct::Start));
    }

    /// An original that lives.
    ///
    /// # Panics
    /// When its process has ended: the scenario is wrong.
    pub fn look_at_original(&self, id: OriginalId) -> &Original {
        match &self.originals[id.0].life {
            Some(life) => life,
            None => panic!("{id:?} has ended"),
        }
    }

    /// The host of an original.
    pub fn original_address(&self, id: OriginalId) -> IpAddr {
        self.originals[id.0].address
    }

    pub(super) fn add_original(&mut self, spec: OriginalSpec) {
        let number = self.originals.len();
        let last = u8::try_from(number + 1).unwrap_or(u8::MAX);
        let address = IpAddr::V4(Ipv4Addr::new(10, spec.segment, 250, last));
        self.air.originals.push((address, spec.segment));
        self.originals.push(Program {
            spec,
            address,
            lives: 0,
            life: None,
            wake: None,
            source: SOURCES.start,
        });
        self.act(OriginalId(number), &OriginalAct::Start);
    }

    pub(super) fn act(&mut self, id: OriginalId, act: &OriginalAct) {
        let now = self.now;
        let program = &mut self.originals[id.0];
        match act {
            OriginalAct::Call(function, args) => {
                let life = program.life.as_mut();
                self.last_original_call = life.and_then(|life| life.call(now, function, args, &[]));
            }
            OriginalAct::Register => {
                let functions = program.spec.functions.clone();
                for function in functions {
                    if let Some(life) = &mut program.life {
                        life.register(now, function);
                    }
                }
            }
            OriginalAct::Crash => {
                program.life = None;
                program.lives += 1;
            }
            OriginalAct::Start => {
                program.lives += 1;
                let number = u64::try_from(id.0).unwrap_or(0) << 20 | u64::from(program.lives);
                let dice = Dice::new(self.seed, (1 << 50) + number);
                program.life = Some(Original::new(now, program.address, dice));
                program.wake = None;
                let (at, life) = (now + program.spec.registers_after, program.lives);
                self.air.schedule(at, Happening::Registers { original: id, life });
            }
        }
        self.pump_original(id);
    }

    pub(super) fn original_registers(&mut self, id: OriginalId, life: u32) {
        if self.originals[id.0].lives == life {
            self.act(id, &OriginalAct::Register);
        }
    }

    pub(super) fn original_hears(&mut self, id: OriginalId, from: IpAddr, bytes: &[u8]) {
        let now = self.now;
        if let Some(life) = &mut self.originals[id.0].life {
            life.receive(now, from, bytes);
        }
        self.pump_original(id);
    }

    pub(super) fn original_wakes(&mut self, id: OriginalId, life: u32) {
        let now = self.now;
        let program = &mut self.originals[id.0];
        if program.lives != life || program.wake != Some(now) {
            return;
        }
        program.wake = None;
        if let Some(life) = &mut program.life {
            life.wake(now);
        }
        self.pump_original(id);
    }

    /// Sends what an original has to send, and looks whether it lives.
    fn pump_original(&mut self, id: OriginalId) {
        let now = self.now;
        let program = &mut self.originals[id.0];
        let (own, segment, lives) = (program.address, program.spec.segment, program.lives);
        let Some(life) = &mut program.life else { return };
        if let Some(death) = life.death() {
            let why = format!("{id:?} died: {death:?}");
            // What the network repeats or delays is not the sender's fault.
            if self.lenient && self.air.network.was_bad(now) {
                program.life = None;
                program.lives += 1;
                return;
            }
            return self.fail(Invariant::OlderUnharmed.broken(why));
        }
        for (call, result) in life.take_ran() {
            // The ids of other originals are numbers.
            if let Some(Ok(call)) = call.as_str().map(str::parse) {
                // One session of eight zeros and the address stands for the host.
                if let Err(broken) = self.book.ledger.started_at_older(call) {
                    return self.fail(broken);
                }
                self.book.ledger.computed(call, &result);
            }
        }
        let Some(life) = &mut self.originals[id.0].life else { return };
        let mut sent = Vec::new();
        while let Some(out) = life.poll_send() {
            sent.push(out);
        }
        let next = life.next_wake();
        let program = &mut self.originals[id.0];
        if program.wake.is_none_or(|wake| next < wake) {
            program.wake = Some(next);
            self.air.schedule(next.max(now), Happening::OriginalWake { original: id, life: lives });
        }
        for (to, bytes) in sent {
            let program = &mut self.originals[id.0];
            program.source += 1;
            if program.source >= SOURCES.end {
                program.source = SOURCES.start;
            }
            let from = SocketAddr::new(own, program.source);
            let bytes: Arc<[u8]> = Arc::from(bytes);
            match to {
                To::Broadcast => self.original_broadcasts(segment, from, &bytes),
                To::Host(host) => self.original_sends(from, host, &bytes),
            }
        }
    }

    fn original_broadcasts(&mut self, segment: u8, from: SocketAddr, bytes: &Arc<[u8]>) {
        let source = self.air.addresses.intern(from);
        let members = self.air.segments.get(&segment).cloned().unwrap_or_default();
        for to in members {
            for copy in self.air.network.carry_anywhere(bytes).into_iter().flatten() {
                let (to, at) = (Some(to), self.now + copy.after);
                let cast = Cast::Broadcast;
                let arrival = Arrival::foreign(source, to, source, cast, copy.bytes);
                self.air.schedule(at, Happening::Arrival(arrival));
            }
        }
        self.air.bring_to_originals(self.now, segment, from.ip(), bytes);
    }

    fn original_sends(&mut self, from: SocketAddr, host: IpAddr, bytes: &Arc<[u8]>) {
        if self.air.bring_to_original(self.now, host, from.ip(), bytes) {
            return;
        }
        let source = self.air.addresses.intern(from);
        let address = self.air.addresses.intern(SocketAddr::new(host, SHARED_PORT));
        for copy in self.air.network.carry_anywhere(bytes).into_iter().flatten() {
            let arrival = Arrival {
                from: source,
                to: None,
                address,
                cast: Cast::Shared,
                bytes: copy.bytes,
                // Calls and answers of older programs are answered by callbacks alone.
                cause: Cause::Any,
                damaged: copy.damaged,
                strange: true,
                cargo: None,
            };
            self.air.schedule(self.now + copy.after, Happening::Arrival(arrival));
        }
    }

    /// The node that gets what is sent to the shared port of a host: the one that opened it last.
    pub(super) fn holder_of_shared_port(&self, address: SocketAddr) -> Option<NodeId> {
        if address.port() != SHARED_PORT {
            return None;
        }
        let on_host = |place: &usize| {
            let node = &self.nodes[*place];
            node.life.is_some() && self.air.addresses.address(node.address).ip() == address.ip()
        };
        let places = (0..self.nodes.len()).filter(on_host);
        places.max_by_key(|place| (self.nodes[*place].booted, *place)).map(NodeId)
    }
}

impl super::world::Air {
    /// Brings a broadcast of `from` to the originals of a segment.
    pub(super) fn bring_to_originals(
        &mut self,
        now: Time,
        segment: u8,
        from: IpAddr,
        bytes: &Arc<[u8]>,
    ) {
        let hosts: Vec<_> =
            self.originals.iter().filter(|(_, on)| *on == segment).map(|(ip, _)| *ip).collect();
        for host in hosts {
            self.bring_to_original(now, host, from, bytes);
        }
    }

    /// Brings a datagram to the original on a host. `false`: there is none.
    pub(super) fn bring_to_original(
        &mut self,
        now: Time,
        host: IpAddr,
        from: IpAddr,
        bytes: &Arc<[u8]>,
    ) -> bool {
        let Some(place) = self.originals.iter().position(|(ip, _)| *ip == host) else {
            return false;
        };
        for copy in self.network.carry_anywhere(bytes).into_iter().flatten() {
            let (original, bytes) = (OriginalId(place), copy.bytes);
            self.schedule(now + copy.after, Happening::ToOriginal { original, from, bytes });
        }
        true
    }

    /// What is said to an older program is in words it knows, and said once.
    pub(super) fn look_at_words(
        &mut self,
        to: IpAddr,
        from: IpAddr,
        bytes: &Arc<[u8]>,
    ) -> Result<(), Broken> {
        if !self.originals.iter().any(|(host, _)| *host == to) {
            return Ok(());
        }
        let unheard = |why: &str| {
            let text = String::from_utf8_lossy(bytes);
            Invariant::OlderUnharmed.broken(format!("{to} is sent {why}: {text}"))
        };
        if bytes.len() > Original::ROOM {
            return Err(unheard("more than it reads"));
        }
        let fields: serde_json::Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|_| unheard("what is no JSON object"))?;
        let method = fields.get("method").and_then(Value::as_u64);
        match method {
            Some(1) => Ok(()),
            Some(2) => {
                let names = fields.get("data").and_then(Value::as_array);
                let is_read = |item: &Value| item.get("name").is_some_and(Value::is_string);
                let fits = names.is_some_and(|names| names.iter().all(is_read));
                if fits { Ok(()) } else { Err(unheard("a list it cannot read")) }
            }
            Some(3) => {
                let id = fields.get("exe_id").map(|id| format!("{id} of {from}"));
                let is_new = id.is_some_and(|id| self.asked.insert((to, id)));
                if is_new { Ok(()) } else { Err(unheard("a call twice, or without its id")) }
            }
            Some(4) => Ok(()),
            _ => Err(unheard("a method it does not know")),
        }
    }
}
