//! Draining every output of a core, as a driver does, and checking it on the way.

use std::sync::Arc;

use lanc_codec::JsonCodec;
use lanc_core::error::{ErrorCode, Executed, Fault};
use lanc_core::event::Event;
use lanc_core::message::WireId;
use lanc_core::payload::Payload;
use lanc_core::ports::{Cast, Codec, Dest, DownReason, Format, Initiator, LinkEvent};
use lanc_core::{Done, LinkCommand, Task, TaskStep, Time};
use serde_json::Value;

use super::calls::CallBook;
use super::check::{self, Cause};
use super::node::{Life, NodeId, Running};
use super::originals::SHARED_PORT;
use super::step::Happening;
use super::trace::Trace;
use super::view::{Frame, Traffic};
use super::world::{Air, World};

/// Rounds of outputs that one input may cause; more is an endless loop.
const MAX_ROUNDS: usize = 100_000;
/// Frames kept for the report of a violation.
const RECENT: usize = 12;
/// Frames kept for a scenario that records.
const MAX_RECORDED: usize = 100_000;

/// The parts of a world that the outputs of one node touch.
struct Pump<'w> {
    now: Time,
    id: NodeId,
    cause: Cause,
    lives: u32,
    segment: u8,
    max_broadcast: usize,
    max_frame: usize,
    own_address: super::network::AddressId,
    traffic: &'w mut Traffic,
    air: &'w mut Air,
    book: &'w mut CallBook,
    trace: &'w mut Trace,
    pings: &'w mut Vec<Option<Option<std::time::Duration>>>,
}

impl World {
    /// Drains a node's outputs after an input.
    pub(super) fn pump(&mut self, id: NodeId, cause: Cause) {
        let keep_events = self.keep_events;
        let node = &mut self.nodes[id.0];
        let Some(life) = node.life.as_mut().filter(|_| !node.paused) else { return };
        let mut pump = Pump {
            now: self.now,
            id,
            cause,
            lives: node.lives,
            segment: node.spec.segment,
            max_broadcast: node.spec.capabilities.max_broadcast,
            max_frame: node.spec.capabilities.max_frame,
            own_address: node.address,
            traffic: &mut node.traffic,
            air: &mut self.air,
            book: &mut self.book,
            trace: &mut self.trace,
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
        if let Err(why) = drained {
            self.fail(&format!("{id:?}: {why}"));
        }
    }
}

impl Pump<'_> {
    fn drain(&mut self, life: &mut Life, keep: &mut dyn FnMut(Time, Event)) -> Result<(), String> {
        let mut rounds = 0;
        let mut timeouts = 0;
        loop {
            let links = self.links(life);
            let frames = self.frames(life)?;
            let tasks = self.tasks(life)?;
            let done = self.done(life)?;
            let events = self.events(life, keep)?;
            rounds += 1;
            if rounds > MAX_ROUNDS {
                return Err("one input causes outputs without end".to_owned());
            }
            if links || frames || tasks || done || events {
                continue;
            }
            // Timers of this very moment fire now; twice is more than any handler needs.
            let due = life.core.poll_timeout().is_some_and(|(at, _)| at <= self.now);
            if !due || timeouts == 2 {
                break;
            }
            timeouts += 1;
            self.cause = Cause::Any;
            life.core.handle_timeout(self.now);
        }
        check::core(&life.core, life.delivered, self.now)?;
        if let Some((at, _)) = life.core.poll_timeout()
            && life.wake.is_none_or(|wake| at < wake)
        {
            life.wake = Some(at);
            let what = Happening::Wake { node: self.id, life: self.lives };
            self.air.schedule(at, what);
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
                        life.core.handle_link(self.now, LinkEvent::Down { link, reason });
                    }
                }
            }
        }
        any
    }

    fn connect(&mut self, life: &mut Life, remote: lanc_core::endpoint::Endpoint) {
        let Some(address) = remote.socket_addr() else {
            let reason = "not an address of this network".to_owned();
            life.core.handle_link(self.now, LinkEvent::Failed { remote, reason });
            return;
        };
        let address = self.air.addresses.intern(address);
        let known = life.links.get(address).map(|link| link.id);
        if let Some(link) = known.or_else(|| life.links.open(address, true)) {
            life.links.prove(address);
            let initiator = Initiator::Us;
            life.core.handle_link(self.now, LinkEvent::Up { link, remote, initiator });
        }
    }

    fn frames(&mut self, life: &mut Life) -> Result<bool, String> {
        let mut out = Vec::new();
        let mut count = 0;
        while let Some(dest) = life.core.poll_frame(self.now, &mut out) {
            count += 1;
            if count > MAX_ROUNDS {
                return Err("frames without end".to_owned());
            }
            let bytes: Arc<[u8]> = Arc::from(out.as_slice());
            if bytes.is_empty() {
                return Err("an empty frame".to_owned());
            }
            if self.cause == Cause::Unanswerable && check::has_method(&bytes, "error") {
                return Err("an error in answer to what is never answered by one".to_owned());
            }
            match dest {
                Dest::Broadcast(_) => self.broadcast(&bytes)?,
                Dest::Link(link) => self.unicast(life, link, &bytes)?,
            }
        }
        Ok(count > 0)
    }

    fn broadcast(&mut self, bytes: &Arc<[u8]>) -> Result<(), String> {
        check::broadcast(bytes, self.max_broadcast)?;
        self.note(None, bytes);
        self.trace.broadcast(self.now, self.id, bytes);
        let from = self.own_address;
        let Some(members) = self.air.segments.remove(&self.segment) else { return Ok(()) };
        for to in &members {
            for (delay, bytes) in self.air.network.carry(self.id, *to, bytes).into_iter().flatten()
            {
                let (to, address, cast) = (Some(*to), from, Cast::Broadcast);
                let what = Happening::Arrival { from, to, address, cast, bytes };
                self.air.schedule(self.now + delay, what);
            }
        }
        self.air.segments.insert(self.segment, members);
        let from = self.air.addresses.address(from).ip();
        self.air.bring_to_originals(self.now, self.segment, from, bytes);
        Ok(())
    }

    fn unicast(
        &mut self,
        life: &mut Life,
        link: lanc_core::endpoint::LinkId,
        bytes: &Arc<[u8]>,
    ) -> Result<(), String> {
        if bytes.len() > self.max_frame {
            return Err(format!("a frame of {} bytes", bytes.len()));
        }
        let Some(address) = life.links.address(link) else {
            return Err(format!("a frame for {link:?}, which is no link"));
        };
        let budget = life.core.config().unproved_budget();
        life.links.sent(self.now, address, &self.air.addresses, bytes, budget)?;
        let remote = self.air.addresses.address(address);
        self.note(Some(remote), bytes);
        self.trace.unicast(self.now, self.id, remote, bytes);
        let own = self.air.addresses.address(self.own_address).ip();
        if remote.port() == SHARED_PORT
            && self.air.bring_to_original(self.now, remote.ip(), own, bytes)
        {
            return Ok(());
        }
        let Some(to) = self.air.addresses.owner(address) else { return Ok(()) };
        for (delay, bytes) in self.air.network.carry(self.id, to, bytes).into_iter().flatten() {
            let (from, cast) = (self.own_address, Cast::Unicast);
            let what = Happening::Arrival { from, to: None, address, cast, bytes };
            self.air.schedule(self.now + delay, what);
        }
        Ok(())
    }

    fn note(&mut self, to: Option<std::net::SocketAddr>, bytes: &Arc<[u8]>) {
        self.traffic.count(to.is_none(), bytes.len());
        self.air.traffic.count(to.is_none(), bytes.len());
        let frame = Frame { at: self.now, from: self.id, to, bytes: Arc::clone(bytes) };
        if self.air.recording && self.air.recorded.len() < MAX_RECORDED {
            self.air.recorded.push(frame.clone());
        }
        if self.air.recent.len() >= RECENT {
            self.air.recent.pop_front();
        }
        self.air.recent.push_back(frame);
    }

    fn tasks(&mut self, life: &mut Life) -> Result<bool, String> {
        let mut any = false;
        while let Some(step) = life.core.poll_task(self.now) {
            any = true;
            match step {
                TaskStep::Run(task) => self.run(life, task)?,
                TaskStep::Cancel(key) => {
                    self.trace.task_cancel(self.now, self.id, key);
                    if life.running.get(&key).is_some_and(|running| running.stops) {
                        life.running.remove(&key);
                        let mut fault = Fault::new(ErrorCode::CANCELLED, "stopped");
                        fault.executed = Executed::Maybe;
                        life.core.complete(self.now, key, Err(fault));
                    }
                }
            }
        }
        Ok(any)
    }

    fn run(&mut self, life: &mut Life, task: Task) -> Result<(), String> {
        if life.draining {
            return Err(format!("{} starts after the shutdown began", task.name));
        }
        self.trace.task_run(self.now, self.id, &task);
        let id = match task.id {
            Some(WireId::Native(id)) => Some(id),
            _ => None,
        };
        if let Some(id) = id {
            self.book.started(id)?;
        }
        let Some(function) = life.functions.get(&task.function) else {
            return Err(format!("{} is to run, but was never registered", task.name));
        };
        let args: Vec<Value> = match task.args.positional() {
            [] => Vec::new(),
            bytes => serde_json::from_slice(bytes).map_err(|error| error.to_string())?,
        };
        let reply = (function.body)(&args);
        let at = self.now + reply.0;
        let stops = function.stops;
        life.running.insert(task.key, Running { id, reply, stops });
        let what = Happening::Return { node: self.id, life: self.lives, task: task.key };
        self.air.schedule(at, what);
        Ok(())
    }

    fn done(&mut self, life: &mut Life) -> Result<bool, String> {
        let mut any = false;
        while let Some(done) = life.core.poll_done() {
            any = true;
            match done {
                Done::Call(key) => {
                    let Some(call) = life.calls.remove(&key) else {
                        return Err(format!("an outcome for {key:?}, which is no open call"));
                    };
                    if self.book.entries[call.0].keeps {
                        self.book.finish(self.now, call, None)?;
                        continue;
                    }
                    let Some(outcome) = life.core.take(key) else {
                        return Err(format!("call {} is done but has no outcome", call.0));
                    };
                    self.trace.outcome(self.now, self.id, call.0, &outcome);
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
    ) -> Result<bool, String> {
        let mut any = false;
        while let Some(event) = life.core.poll_event() {
            any = true;
            if matches!(&event, Event::PeerUp { session, .. } if *session == life.core.session()) {
                return Err("the node is its own peer".to_owned());
            }
            self.trace.event(self.now, self.id, &event);
            keep(self.now, event);
        }
        Ok(any)
    }
}

/// A function's result as the core takes it.
pub(super) fn encode(result: Result<Value, Fault>) -> Result<Payload, Fault> {
    let value = result?;
    let mut bytes = Vec::new();
    match JsonCodec.serialize(&value, &mut bytes) {
        Ok(()) => Ok(Payload { format: Format::JSON, bytes }),
        Err(error) => Err(Fault::new(ErrorCode::UNENCODABLE, error.to_string())),
    }
}
