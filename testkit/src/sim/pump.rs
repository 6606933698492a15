//! Draining every output of a core, as a driver does, and checking it on the way.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use lanc_core::error::{ErrorCode, Executed, Fault};
use lanc_core::event::Event;
use lanc_core::message::WireId;
use lanc_core::ports::{Cast, Dest, DownReason, Initiator, LinkEvent};
use lanc_core::{Class, Done, LinkCommand, Task, TaskStep, Time};

use super::calls::CallBook;
use super::check;
use super::coverage::Coverage;
use super::fan_out::Sender;
use super::glance::{Cause, Glance, SeenCall};
use super::invariant::{Broken, Invariant};
use super::node::{Life, NodeId, Running};
use super::originals::SHARED_PORT;
use super::seals::Seals;
use super::step::{Arrival, Happening};
use super::trace::Trace;
use super::trips::Cargo;
use super::values;
use super::view::{Frame, Traffic};
use super::world::{Air, World};
use crate::keys::Keys;

/// Rounds of outputs that one input may cause; more is an endless loop.
const MAX_ROUNDS: usize = 100_000;
/// Frames kept for the report of a violation.
const RECENT: usize = 40;
/// Frames kept for a scenario that records.
const MAX_RECORDED: usize = 100_000;
/// Tables are looked at once in so many times.
const LOOK: u32 = 16;

/// The parts of a world that the outputs of one node touch.
pub(super) struct Pump<'w> {
    pub(super) now: Time,
    /// By the node's own clock.
    pub(super) local: Time,
    pub(super) id: NodeId,
    pub(super) cause: Cause,
    pub(super) lives: u32,
    pub(super) clock: super::clock::Clock,
    pub(super) segment: u8,
    pub(super) max_broadcast: usize,
    pub(super) max_frame: usize,
    pub(super) own_address: super::network::AddressId,
    pub(super) traffic: &'w mut Traffic,
    pub(super) air: &'w mut Air,
    pub(super) book: &'w mut CallBook,
    pub(super) trace: &'w mut Trace,
    pub(super) coverage: &'w mut Coverage,
    pub(super) glance: &'w mut Glance,
    pub(super) keys: &'w Keys,
    pub(super) seals: &'w mut Seals,
    pub(super) pings: &'w mut Vec<Option<Option<std::time::Duration>>>,
}

impl World {
    /// Drains a node's outputs after an input.
    pub(super) fn pump(&mut self, id: NodeId, cause: Cause) {
        let keep_events = self.keep_events;
        let node = &mut self.nodes[id.0];
        let Some(life) = node.life.as_mut().filter(|_| !node.paused) else { return };
        let mut pump = Pump {
            now: self.now,
            local: node.clock.read(self.now),
            id,
            cause,
            lives: node.lives,
            clock: node.clock,
            segment: node.spec.segment,
            max_broadcast: node.spec.capabilities.max_broadcast,
            max_frame: node.spec.capabilities.max_frame,
            own_address: node.address,
            traffic: &mut node.traffic,
            air: &mut self.air,
            book: &mut self.book,
            trace: &mut self.trace,
            coverage: &mut self.coverage,
            glance: &mut self.glance,
            keys: &self.keys,
            seals: &mut self.seals,
            pings: &mut self.pings,
        };
        let drained = pump.drain(life, &mut |now, event| {
            if keep_events > 0 {
                if node.events.len() >= keep_events {
                    node.events.pop_front();
                }
                node.events.push_back((now, event));
            }
        });
        if let Err(broken) = drained {
            self.fail_at(id, broken);
        }
    }
}

impl Pump<'_> {
    fn drain(&mut self, life: &mut Life, keep: &mut dyn FnMut(Time, Event)) -> Result<(), Broken> {
        let mut rounds = 0;
        let mut timeouts = 0;
        loop {
            let links = self.links(life);
            let frames = self.frames(life)?;
            let tasks = self.tasks(life)?;
            let done = self.done(life)?;
            let events = self.events(life, keep)?;
            rounds += 1;
            Invariant::NoCrash.holds_if(rounds <= MAX_ROUNDS, || {
                "one input causes outputs without end".to_owned()
            })?;
            if links || frames || tasks || done || events {
                continue;
            }
            // Timers of this very moment fire now; twice is more than any handler needs.
            let due = life.core.poll_timeout().is_some_and(|(at, _)| at <= self.local);
            if !due || timeouts == 2 {
                break;
            }
            timeouts += 1;
            self.cause = Cause::Any;
            life.core.handle_timeout(self.local);
        }
        self.coverage.checks += 1;
        if let Some(seal) = &mut life.seal {
            seal.update(&life.core);
        }
        check::core(&life.core, life.delivered, self.local)?;
        life.looks = life.looks.wrapping_add(1);
        if life.looks.is_multiple_of(LOOK) {
            check::tables(&life.core)?;
            if let Some(seal) = &mut life.seal {
                seal.remembers(&life.core)?;
            }
        }
        if let Some((at, _)) = life.core.poll_timeout() {
            let at = self.clock.when(at).max(self.now);
            if life.wake.is_none_or(|wake| at < wake) {
                life.wake = Some(at);
                let what = Happening::Wake { node: self.id, life: self.lives };
                self.air.schedule(at, what);
            }
        }
        Ok(())
    }

    fn links(&mut self, life: &mut Life) -> bool {
        let mut any = false;
        while let Some(command) = life.core.poll_link() {
            any = true;
            match command {
                LinkCommand::Connect(remote) => self.connect(life, remote),
                LinkCommand::Close(link, _) => {
                    if life.links.close(link) {
                        let reason = DownReason::ClosedHere;
                        life.core.handle_link(self.local, LinkEvent::Down { link, reason });
                    }
                }
            }
        }
        any
    }

    fn connect(&mut self, life: &mut Life, remote: lanc_core::endpoint::Endpoint) {
        let Some(address) = remote.socket_addr() else {
            let reason = "not an address of this network".to_owned();
            let failed = LinkEvent::Failed { remote, reason, is_refused: false };
            life.core.handle_link(self.local, failed);
            return;
        };
        let address = self.air.addresses.intern(address);
        let known = life.links.get(address).map(|link| link.id);
        if let Some(link) = known.or_else(|| life.links.open(address, true)) {
            life.links.prove(address);
            let initiator = Initiator::Us;
            life.core.handle_link(self.local, LinkEvent::Up { link, remote, initiator });
        }
    }

    fn frames(&mut self, life: &mut Life) -> Result<bool, Broken> {
        let mut out = std::mem::take(&mut self.air.buffer);
        let result = self.frames_in(life, &mut out);
        self.air.buffer = out;
        result
    }

    fn frames_in(&mut self, life: &mut Life, out: &mut Vec<u8>) -> Result<bool, Broken> {
        let mut count = 0;
        while let Some(dest) = life.core.poll_frame(self.local, out) {
            count += 1;
            Invariant::NoCrash.holds_if(count <= MAX_ROUNDS, || "frames without end".to_owned())?;
            let bytes: Arc<[u8]> = Arc::from(out.as_slice());
            Invariant::Readable.holds_if(!bytes.is_empty(), || "an empty frame".to_owned())?;
            let (plain, is_for_all) = match &mut life.seal {
                Some(seal) => self.seals.left(seal, self.keys, &bytes)?,
                None => match self.keys.plain(&bytes) {
                    Cow::Owned(plain) => (Arc::from(plain), false),
                    Cow::Borrowed(_) => (Arc::clone(&bytes), false),
                },
            };
            // Sealed, a frame is never shorter than what was sealed.
            self.coverage.compressed += u64::from(bytes.len() < plain.len());
            self.glance.read(&plain)?;
            self.look_at_messages(life, dest)?;
            Invariant::NoCopies.holds_if(!is_for_all || self.glance.announces_only(), || {
                "more than an announcement is sealed for everybody".to_owned()
            })?;
            match dest {
                Dest::Broadcast(_) => self.broadcast(&bytes, &plain)?,
                Dest::Link(link) => self.unicast(life, link, &bytes, &plain)?,
            }
        }
        Ok(count > 0)
    }

    fn broadcast(&mut self, bytes: &Arc<[u8]>, plain: &Arc<[u8]>) -> Result<(), Broken> {
        check::broadcast(bytes, self.max_broadcast, self.glance.messages)?;
        self.note(None, bytes, plain);
        self.trace.broadcast(self.now, self.id, bytes);
        let from = self.own_address;
        let cause = Cause::of(Cast::Broadcast, self.glance);
        let sender = Sender { node: self.id, address: from };
        self.air.bring_to_members(self.now, self.segment, sender, bytes, cause);
        let from = self.air.addresses.address(from);
        self.air.bring_to_hostiles(self.now, self.segment, from, bytes);
        self.air.bring_to_originals(self.now, self.segment, from.ip(), bytes);
        Ok(())
    }

    fn unicast(
        &mut self,
        life: &mut Life,
        link: lanc_core::endpoint::LinkId,
        bytes: &Arc<[u8]>,
        plain: &Arc<[u8]>,
    ) -> Result<(), Broken> {
        Invariant::Bounded.holds_if(bytes.len() <= self.max_frame, || {
            format!("a frame of {} bytes", bytes.len())
        })?;
        let Some(address) = life.links.address(link) else {
            let why = format!("a frame for {link:?}, which is no link");
            return Err(Invariant::NoCrash.broken(why));
        };
        let budget = life.core.config().unproved_budget();
        life.links.sent(self.local, address, &self.air.addresses, (plain, bytes.len()), budget)?;
        let remote = self.air.addresses.address(address);
        self.note(Some(remote), bytes, plain);
        self.trace.unicast(self.now, self.id, remote, bytes);
        let own = self.air.addresses.address(self.own_address);
        if remote.port() == SHARED_PORT {
            self.air.look_at_words(remote.ip(), own.ip(), bytes)?;
            if self.air.bring_to_original(self.now, remote.ip(), own.ip(), bytes) {
                return Ok(());
            }
        }
        let unheard = |call: &SeenCall| {
            let seal = life.seal.as_ref();
            call.to.zip(seal).is_some_and(|(to, seal)| !seal.has_proof_of(to))
        };
        Invariant::NoCopies.holds_if(!self.glance.calls.iter().any(unheard), || {
            "a call leaves for somebody who has sealed nothing for this node".to_owned()
        })?;
        self.air.overhear(self.now, own, remote, bytes);
        if self.air.bring_to_hostile(self.now, own, remote, bytes) {
            for call in &self.glance.calls {
                self.book.ledger.entrust(call.id);
            }
            return Ok(());
        }
        let Some(to) = self.air.addresses.owner(address) else { return Ok(()) };
        let cause = Cause::of(Cast::Unicast, self.glance);
        let cargo = Cargo::of(self.now, self.glance);
        for copy in self.air.network.carry(self.id, to, bytes).into_iter().flatten() {
            let (from, at) = (self.own_address, self.now + copy.after);
            let arrival = Arrival::of(copy, from, None, address, Cast::Unicast, cause);
            self.air.schedule(at, Happening::Arrival(arrival.carrying(cargo.as_ref())));
        }
        Ok(())
    }

    fn note(&mut self, to: Option<SocketAddr>, bytes: &Arc<[u8]>, plain: &Arc<[u8]>) {
        self.traffic.count(to.is_none(), bytes.len());
        self.air.traffic.count(to.is_none(), bytes.len());
        let (bytes, plain) = (Arc::clone(bytes), Arc::clone(plain));
        let frame = Frame { at: self.now, from: self.id, to, bytes, plain };
        if self.air.recording && self.air.recorded.len() < MAX_RECORDED {
            self.air.recorded.push(frame.clone());
        }
        if self.air.recent.len() >= RECENT {
            self.air.recent.pop_front();
        }
        self.air.recent.push_back(frame);
    }

    fn tasks(&mut self, life: &mut Life) -> Result<bool, Broken> {
        let mut any = false;
        while let Some(step) = life.core.poll_task(self.local) {
            any = true;
            match step {
                TaskStep::Run(task) => self.run(life, task)?,
                TaskStep::Cancel(key) => {
                    self.trace.task_cancel(self.now, self.id, key);
                    if life.running.get(&key).is_some_and(|running| running.stops) {
                        life.running.remove(&key);
                        let mut fault = Fault::new(ErrorCode::CANCELLED, "stopped");
                        fault.executed = Executed::Maybe;
                        life.core.complete(self.local, key, Err(fault));
                    }
                }
            }
        }
        Ok(any)
    }

    fn run(&mut self, life: &mut Life, task: Task) -> Result<(), Broken> {
        Invariant::DrainsClean.holds_if(!life.draining, || {
            format!("{} starts after the shutdown began", task.name)
        })?;
        let in_time = task.deadline.is_none_or(|deadline| deadline > self.local);
        Invariant::InTime.holds_if(in_time, || {
            format!(
                "{} starts at {:?}, its deadline was {:?}",
                task.name, self.local, task.deadline
            )
        })?;
        self.trace.task_run(self.now, self.id, &task);
        self.coverage.bodies += 1;
        let id = match task.id {
            Some(WireId::Native(id)) => Some(id),
            _ => None,
        };
        // Other programs of the group call nobody here.
        let is_known = match &task.id {
            Some(WireId::Native(id)) => self.book.ledger.knows(id.session),
            other => other.is_none(),
        };
        Invariant::NoCopies.holds_if(is_known || life.seal.is_none(), || {
            format!("{} runs for somebody who has not sealed it for this node", task.name)
        })?;
        if let Some(id) = id {
            self.book.ledger.started(id, life.core.session().short())?;
        }
        let Some(function) = life.functions.get(&task.function) else {
            let why = format!("{} is to run, but was never registered", task.name);
            return Err(Invariant::NoCrash.broken(why));
        };
        let format = task.args.format();
        // A stranger's arguments may be anything: the function refuses them.
        let reply = match values::decode_args(format, task.args.positional()) {
            Ok(args) => (function.body)(&args),
            Err(why) => {
                (std::time::Duration::ZERO, Err(Fault::new(ErrorCode::INVALID_ARGUMENTS, why)))
            }
        };
        let at = self.now + reply.0;
        let (stops, class) = (function.stops, function.class);
        life.running.insert(task.key, Running { id, reply, stops, class, format });
        let places = [
            (Class::Blocking, life.core.config().workers()),
            (Class::Async, life.core.config().max_async_running()),
        ];
        for (class, most) in places {
            let running = life.running.values().filter(|running| running.class == class).count();
            Invariant::PlacesHold
                .holds_if(running <= most, || format!("{running} bodies run in {most} places"))?;
        }
        let what = Happening::Return { node: self.id, life: self.lives, task: task.key };
        self.air.schedule(at, what);
        Ok(())
    }

    fn done(&mut self, life: &mut Life) -> Result<bool, Broken> {
        let mut any = false;
        while let Some(done) = life.core.poll_done() {
            any = true;
            match done {
                Done::Call(key) => {
                    let Some(call) = life.calls.remove(&key) else {
                        let why = format!("an outcome for {key:?}, which is no open call");
                        return Err(Invariant::OneOutcome.broken(why));
                    };
                    if self.book.entries[call.0].keeps {
                        self.book.finish(self.now, call, None)?;
                        continue;
                    }
                    let Some(outcome) = life.core.take(key) else {
                        let why = format!("call {} is done but has no outcome", call.0);
                        return Err(Invariant::OneOutcome.broken(why));
                    };
                    self.trace.outcome(self.now, self.id, call.0, &outcome);
                    self.coverage.outcome(&outcome);
                    self.book.finish(self.now, call, Some(outcome))?;
                }
                // Simulated calls have no byte streams.
                Done::Stream(_) | Done::Opened(_) => {}
                Done::Ping(key, took) => {
                    self.trace.pong(self.now, self.id, took);
                    if let Some(number) = life.pings.remove(&key) {
                        self.pings[number] = Some(took);
                    }
                }
            }
        }
        Ok(any)
    }

    fn events(
        &mut self,
        life: &mut Life,
        keep: &mut dyn FnMut(Time, Event),
    ) -> Result<bool, Broken> {
        let mut any = false;
        while let Some(event) = life.core.poll_event() {
            any = true;
            self.look_at_event(life, &event)?;
            self.trace.event(self.now, self.id, &event);
            self.coverage.event(&event);
            keep(self.now, event);
        }
        Ok(any)
    }
}
