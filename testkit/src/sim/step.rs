//! Time: the heap of what is going to happen, and doing the next of it.

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanc_core::Time;
use lanc_core::id::TaskKey;
use lanc_core::ports::Cast;

use super::envelope::Envelope;
use super::fan_out::FanOut;
use super::glance::Cause;
use super::hear::{Heard, Surroundings};
use super::hostile::HostileId;
use super::invariant::{Broken, Invariant, Violation};
use super::network::{AddressId, Copy};
use super::node::{Datagram, NodeId};
use super::originals::OriginalId;
use super::trips::Cargo;
use super::world::{Air, World};

/// How long an injected datagram takes.
pub(super) const TRANSIT: Duration = Duration::from_micros(100);
/// Things that may be pending; more of them is a storm that no scenario wants.
const MAX_PENDING: usize = 50_000_000;

/// Something that is going to happen.
pub(super) enum Happening {
    Arrival(Arrival),
    /// A broadcast arrives at many in the same moment.
    FanOut(Box<FanOut>),
    /// A core asked to be woken.
    Wake {
        node: NodeId,
        life: u32,
    },
    /// A datagram arrives at an original.
    ToOriginal {
        original: OriginalId,
        from: IpAddr,
        bytes: Arc<[u8]>,
    },
    /// An original asked to be woken.
    OriginalWake {
        original: OriginalId,
        life: u32,
    },
    /// An original registers its functions.
    Registers {
        original: OriginalId,
        life: u32,
    },
    /// A datagram arrives at a hostile program: from where, to where. Boxed, so that the many
    /// others stay small.
    ToHostile {
        hostile: HostileId,
        way: Box<(SocketAddr, SocketAddr)>,
        bytes: Arc<[u8]>,
    },
    /// A hostile program has its turn.
    HostileWake {
        hostile: HostileId,
    },
    /// A function returns.
    Return {
        node: NodeId,
        life: u32,
        task: TaskKey,
    },
}

/// A datagram arrives at whoever owns `address` then, or at `to`.
pub(super) struct Arrival {
    pub(super) from: AddressId,
    pub(super) to: Option<NodeId>,
    pub(super) address: AddressId,
    pub(super) cast: Cast,
    pub(super) bytes: Arc<[u8]>,
    pub(super) cause: Cause,
    pub(super) damaged: bool,
    pub(super) strange: bool,
    pub(super) cargo: Option<Arc<Cargo>>,
}

impl Arrival {
    /// A copy of a frame that a node has sent.
    pub(super) fn of(
        copy: Copy,
        from: AddressId,
        to: Option<NodeId>,
        address: AddressId,
        cast: Cast,
        cause: Cause,
    ) -> Self {
        let Copy { bytes, damaged, .. } = copy;
        let cause = if damaged { Cause::Any } else { cause };
        Self { from, to, address, cast, bytes, cause, damaged, strange: damaged, cargo: None }
    }

    /// The same with what it carries, if it is what was sent.
    pub(super) fn carrying(mut self, cargo: Option<&Arc<Cargo>>) -> Self {
        self.cargo = cargo.filter(|_| !self.damaged).cloned();
        self
    }

    /// A frame that no node has written.
    pub(super) fn foreign(
        from: AddressId,
        to: Option<NodeId>,
        address: AddressId,
        cast: Cast,
        bytes: Arc<[u8]>,
    ) -> Self {
        let cause = Cause::of_text(cast, &bytes);
        Self { from, to, address, cast, bytes, cause, damaged: false, strange: true, cargo: None }
    }
}

/// An entry of the heap: the earliest comes first, among equals the one that was put in first.
pub(super) struct Pending {
    at: Time,
    sequence: u64,
    what: Happening,
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Pending {}
impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl Air {
    pub(super) fn schedule(&mut self, at: Time, what: Happening) {
        self.sequence += 1;
        self.pending.push(Pending { at, sequence: self.sequence, what });
    }
}

impl World {
    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_to(self.now + time);
    }

    /// Lets time pass up to a moment.
    pub fn run_to(&mut self, end: Time) {
        while self.step(end) {}
        self.now = self.now.max(end);
        self.check_deadlines();
    }

    /// Lets time pass until `condition` holds, looking about once a millisecond. `false`: it
    /// did not within `limit`.
    pub fn run_until(&mut self, condition: impl Fn(&Self) -> bool, limit: Duration) -> bool {
        let end = self.now + limit;
        loop {
            if condition(self) {
                return true;
            }
            if self.now >= end {
                return false;
            }
            let look_again = end.min(self.now + Duration::from_millis(1));
            // Nothing changes before the next event.
            let next = self.air.pending.peek().map_or(end, |pending| pending.at);
            self.run_to(end.min(look_again.max(next)));
        }
    }

    /// Does the next thing, if it happens by `end`.
    fn step(&mut self, end: Time) -> bool {
        let nothing = self.air.pending.peek().is_none_or(|pending| pending.at > end);
        if nothing || self.violation.is_some() {
            return false;
        }
        let Some(Pending { at, what, .. }) = self.air.pending.pop() else { return false };
        self.now = self.now.max(at);
        self.steps += 1;
        self.check_deadlines();
        if self.air.pending.len() > MAX_PENDING {
            self.fail(Invariant::NoCrash.broken("too many datagrams and timers are pending"));
        }
        match what {
            Happening::Arrival(arrival) => {
                let Arrival { from, to, address, cast, bytes, cause, damaged, strange, cargo } =
                    arrival;
                let remote = self.air.addresses.address(address);
                let owner = to.or_else(|| self.air.addresses.owner(address));
                if let Some(to) = owner.or_else(|| self.holder_of_shared_port(remote)) {
                    let datagram = Datagram { from, cast, bytes, cause, damaged, strange, cargo };
                    self.deliver(to, datagram);
                }
            }
            Happening::FanOut(fan_out) => self.fan_out(*fan_out),
            Happening::ToOriginal { original, from, bytes } => {
                self.original_hears(original, from, &bytes);
            }
            Happening::ToHostile { hostile, way, bytes } => {
                let (from, to) = *way;
                self.hostile_hears(hostile, from, to, &bytes);
            }
            Happening::HostileWake { hostile } => self.hostile_wakes(hostile),
            Happening::OriginalWake { original, life } => self.original_wakes(original, life),
            Happening::Registers { original, life } => self.original_registers(original, life),
            Happening::Wake { node, life } => self.wake(node, life),
            Happening::Return { node, life, task } => {
                if self.nodes[node.0].lives == life {
                    self.complete(node, task);
                }
            }
        }
        true
    }

    fn check_deadlines(&mut self) {
        if let Err(broken) = self.book.overdue(self.now) {
            self.fail(broken);
        }
    }

    fn wake(&mut self, id: NodeId, life: u32) {
        let now = self.now;
        let node = &mut self.nodes[id.0];
        if node.lives != life {
            return;
        }
        let Some(life) = node.life.as_mut().filter(|life| life.wake == Some(now)) else { return };
        life.wake = None;
        if node.paused {
            return;
        }
        life.core.handle_timeout(node.clock.read(now));
        self.pump(id, Cause::Any);
    }

    /// A datagram has arrived: what the driver of the node does with it.
    pub(super) fn deliver(&mut self, id: NodeId, datagram: Datagram) {
        if let Some(cause) = self.hand_over(id, datagram) {
            self.pump(id, cause);
        }
    }

    /// Hands a datagram to the core of a node that runs. Its outputs wait.
    pub(super) fn hand_over(&mut self, id: NodeId, datagram: Datagram) -> Option<Cause> {
        let air = Surroundings { addresses: &self.air.addresses, keys: &self.keys };
        let heard = self.nodes[id.0].hear(self.now, air, datagram, &mut self.buffer)?;
        Some(self.heard(id, heard))
    }

    /// Notes what a node has heard, and returns what its outputs follow from.
    pub(super) fn heard(&mut self, id: NodeId, heard: Heard) -> Cause {
        let mut sampled = Ok(());
        let mut cause = heard.cause;
        if let Some((after, from, bytes)) = heard.sealed {
            let from_hostile = self.air.is_hostile(self.air.addresses.address(from).ip());
            let life = self.nodes[id.0].life.as_mut();
            if let Some(seal) = life.and_then(|life| life.seal.as_mut()) {
                match after.judge(&bytes, from_hostile, seal, &mut self.seals) {
                    Ok(true) => {}
                    Ok(false) => cause = Cause::Unheard(Envelope::of(&bytes).is_some()),
                    Err(broken) => sampled = Err(broken),
                }
            }
        }
        if let Some(cargo) = heard.cargo {
            self.book.trips.came(self.now, &cargo);
            let ledger = &self.book.ledger;
            let is_clear = !ledger.falsified && !ledger.replayed && !ledger.is_strange();
            if let Some(trip) = heard.trip.filter(|_| is_clear) {
                let measured = self.book.trips.measured(heard.local, &cargo, trip);
                sampled = sampled.and(measured);
            }
        }
        // From here on a node believes what nobody has said.
        self.book.ledger.falsified |= heard.believes_damage;
        if let Err(broken) = sampled {
            self.fail_at(id, broken);
        }
        cause
    }

    /// A function has returned.
    pub(super) fn complete(&mut self, id: NodeId, task: TaskKey) {
        let node = &mut self.nodes[id.0];
        let now = node.clock.read(self.now);
        let Some(life) = &mut node.life else { return };
        if node.paused {
            life.held.push(task);
            return;
        }
        let Some(running) = life.running.remove(&task) else { return };
        let result = super::values::encode_result(running.format, &running.reply.1);
        if let (Some(id), Ok(value)) = (running.id, &running.reply.1) {
            self.book.ledger.computed(id, value);
        }
        life.core.complete(now, task, result);
        self.pump(id, Cause::Any);
    }

    /// Reports a broken promise: the run ends here.
    pub(super) fn fail(&mut self, broken: Broken) {
        let mut text = format!("{}\nthe last frames:", broken.why);
        for frame in &self.air.recent {
            text.push_str(&format!("\n  {frame:?}"));
        }
        let violation = Violation { invariant: broken.invariant, at: self.now, report: text };
        if !self.lenient {
            panic!("seed {}: {violation}", self.seed);
        }
        self.violation.get_or_insert(violation);
    }

    /// The same of one node.
    pub(super) fn fail_at(&mut self, id: NodeId, broken: Broken) {
        self.fail(Broken { why: format!("{id:?}: {}", broken.why), ..broken });
    }
}
