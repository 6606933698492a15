//! Doing one input to the world.

use lanc_codec::JsonCodec;
use lanc_core::error::{CallError, ErrorCode, Executed};
use lanc_core::id::FunctionName;
use lanc_core::payload::Arguments;
use lanc_core::ports::{Codec, Format};
use lanc_core::{Answer, CallRequest, Outcome};

use super::calls::{CallId, Ended, Entry};
use super::check::Cause;
use super::dice::Dice;
use super::input::{Ask, Function, Input, Place, Spec};
use super::network::AddressId;
use super::node::{self, Life, Node, NodeId};
use super::step::{Happening, TRANSIT};
use super::world::World;

impl World {
    /// Does an input now, and records it.
    pub fn apply(&mut self, input: Input) {
        self.inputs.push((self.now, input.clone()));
        match input {
            Input::Node(spec) => self.create(*spec),
            Input::Register(node, function) => self.register_now(node, function),
            Input::Unregister(node, name) => self.unregister_now(node, &name),
            Input::Call(node, ask) => self.begin_call(node, &ask),
            Input::Cancel(call) => self.end_call(call, false),
            Input::Abandon(call) => self.end_call(call, true),
            Input::Get(call) => self.fetch(call),
            Input::Ping(node, peer) => self.begin_ping(node, &peer),
            Input::AddPeer(node, endpoint) => {
                let now = self.now;
                let address = endpoint.socket_addr().map(|a| self.air.addresses.intern(a));
                self.life(node).configured.extend(address);
                self.life(node).core.add_peer(now, endpoint);
                self.pump(node, Cause::Any);
            }
            Input::Shutdown(node) => {
                let now = self.now;
                self.life(node).draining = true;
                self.life(node).core.shutdown(now);
                self.pump(node, Cause::Any);
            }
            Input::Crash(node) => self.die(node),
            Input::Restart(node, place) => self.start_again(node, place),
            Input::Pause(node) => {
                self.nodes[node.0].paused = true;
                self.book.suspend(node);
            }
            Input::Resume(node) => self.go_on(node),
            Input::Rules(rules) => {
                self.note_rules(&rules);
                self.air.network.set(rules);
            }
            Input::PairRules(from, to, rules) => {
                self.note_rules(&rules);
                self.air.network.set_pair(from, to, rules);
            }
            Input::Cut(from, to) => self.air.network.cut(from, to),
            Input::Heal => self.air.network.heal(),
            Input::Original(spec) => self.add_original(*spec),
            Input::Act(original, act) => self.act(original, &act),
            Input::Inject { from, to, cast, bytes } => {
                self.book.falsified = true;
                let from = self.air.addresses.intern(from);
                let what = Happening::Arrival { from, to: Some(to), address: from, cast, bytes };
                self.air.schedule(self.now + TRANSIT, what);
            }
        }
    }

    fn note_rules(&mut self, rules: &super::network::Rules) {
        self.book.duplicated |= rules.duplicates();
        self.book.falsified |= rules.falsifies();
    }

    /// # Panics
    /// When the node is dead: the scenario is wrong.
    pub(super) fn life(&mut self, node: NodeId) -> &mut Life {
        match &mut self.nodes[node.0].life {
            Some(life) => life,
            None => panic!("{node:?} is dead"),
        }
    }

    fn create(&mut self, spec: Spec) {
        let id = NodeId(self.nodes.len());
        let segment = spec.segment;
        let address = spec.address.unwrap_or_else(|| node::address(segment, id.0));
        let address = self.air.addresses.intern(address);
        self.air.segments.entry(segment).or_default().push(id);
        self.nodes.push(Node::new(spec, address));
        self.boot(id);
    }

    fn boot(&mut self, id: NodeId) {
        let now = self.now;
        let node = &mut self.nodes[id.0];
        self.air.addresses.own(node.address, Some(id));
        let stream = u64::try_from(id.0).unwrap_or(0) << 20 | u64::from(node.lives);
        node.booted = self.steps;
        node.boot(now, Dice::new(self.seed, 1000 + stream));
        let functions = node.spec.functions.clone();
        let life = self.life(id);
        for function in functions {
            life.register(now, function);
        }
        life.core.start(now);
        self.pump(id, Cause::Any);
    }

    fn register_now(&mut self, id: NodeId, function: Function) {
        let now = self.now;
        let functions = &mut self.nodes[id.0].spec.functions;
        functions.retain(|known| known.name != function.name);
        functions.push(function.clone());
        self.life(id).register(now, function);
        self.pump(id, Cause::Any);
    }

    fn unregister_now(&mut self, id: NodeId, name: &str) {
        let now = self.now;
        self.nodes[id.0].spec.functions.retain(|known| known.name != name);
        self.life(id).core.unregister(now, name);
        self.pump(id, Cause::Any);
    }

    fn begin_call(&mut self, id: NodeId, ask: &Ask) {
        let now = self.now;
        let call = CallId(self.book.entries.len());
        let mut request = match request(ask) {
            Ok(request) => request,
            Err(why) => panic!("the call of {}: {why}", ask.function),
        };
        let serves = ask.within.and_then(|call| self.book.entries[call.0].id);
        let repeats = ask.idempotent || self.is_idempotent(&ask.function);
        let life = self.life(id);
        let mut running = life.running.iter();
        let serving = running.find(|(_, task)| serves.is_some() && task.id == serves);
        request.within = serving.map(|(key, _)| *key);
        let config = life.core.config();
        let wish = ask.deadline.unwrap_or(config.call_deadline());
        let due = now + wish.min(config.max_deadline());
        let mut entry = Entry {
            node: id,
            key: None,
            id: None,
            mode: ask.mode,
            repeats,
            due,
            keeps: ask.keeps,
            ended: Ended::Open,
            outcome: None,
        };
        match life.core.call(now, request) {
            Ok(key) => {
                life.calls.insert(key, call);
                entry.key = Some(key);
                entry.id = life.core.exe_id(key);
            }
            Err(error) => {
                entry.ended = Ended::At(now);
                let from = config_name(life);
                entry.outcome =
                    Some(Ok(Outcome::One(Answer { from: from.into(), result: Err(error) })));
            }
        }
        self.book.add(entry, self.nodes[id.0].paused);
        self.pump(id, Cause::Any);
    }

    /// Whether somebody has ever announced a function as one that may run more than once.
    fn is_idempotent(&self, name: &str) -> bool {
        let mut all = self.nodes.iter().flat_map(|node| &node.spec.functions);
        all.any(|function| function.name == name && function.idempotent)
    }

    fn end_call(&mut self, call: CallId, abandon: bool) {
        let now = self.now;
        let entry = &self.book.entries[call.0];
        let (id, key) = (entry.node, entry.key);
        if let (Some(key), true) = (key, entry.ended == Ended::Open || entry.keeps) {
            let life = self.life(id);
            if abandon {
                life.core.abandon(now, key);
                life.calls.remove(&key);
                self.book.orphan(call);
            } else {
                life.core.cancel(now, key);
            }
            self.pump(id, Cause::Any);
        }
    }

    /// What a node does for `get`: looks the call up, takes its outcome if there is one.
    fn fetch(&mut self, call: CallId) {
        let entry = &self.book.entries[call.0];
        let (node, id) = (entry.node, entry.id);
        let Some(id) = id else { return };
        let core = &mut self.life(node).core;
        let fetched = core.find_call(id).and_then(|key| {
            core.take(key).ok_or_else(|| {
                let text = "the function has not answered yet";
                CallError::new(ErrorCode::NOT_READY, Executed::Maybe, text)
            })
        });
        self.book.entries[call.0].outcome = Some(fetched);
        self.pump(node, Cause::Any);
    }

    fn begin_ping(&mut self, id: NodeId, peer: &str) {
        let (now, number) = (self.now, self.pings.len());
        let life = self.life(id);
        let begun = life.core.ping(now, peer);
        if let Ok(key) = &begun {
            life.pings.insert(*key, number);
        }
        self.pings.push(if begun.is_ok() { None } else { Some(None) });
        self.pump(id, Cause::Any);
    }

    fn die(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        node.life = None;
        node.paused = false;
        node.backlog.clear();
        self.book.orphan_all(id);
    }

    fn start_again(&mut self, id: NodeId, place: Place) {
        self.die(id);
        if place == Place::New {
            let old: AddressId = self.nodes[id.0].address;
            self.air.addresses.own(old, None);
            let mut address = self.air.addresses.address(old);
            address.set_port(address.port().wrapping_add(1).max(1024));
            self.nodes[id.0].address = self.air.addresses.intern(address);
        }
        self.boot(id);
    }

    fn go_on(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        node.paused = false;
        let backlog = std::mem::take(&mut node.backlog);
        let held = node.life.as_mut().map(|life| std::mem::take(&mut life.held));
        self.book.resume(id, self.now);
        // A driver takes what waits in its sockets before it looks at the clock.
        for datagram in backlog {
            self.hand_over(id, datagram);
        }
        for task in held.unwrap_or_default() {
            self.complete(id, task);
        }
        self.pump(id, Cause::Any);
    }
}

fn config_name(life: &Life) -> String {
    life.core.config().name().clone()
}

fn request(ask: &Ask) -> Result<CallRequest, String> {
    let function = FunctionName::new(&ask.function).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    if !ask.args.is_null() {
        JsonCodec.serialize(&ask.args, &mut bytes).map_err(|error| error.to_string())?;
    }
    let mut request = CallRequest::new(function, Arguments::new(Format::JSON, &bytes, &[]));
    request.deadline = ask.deadline;
    request.wait = ask.wait;
    request.target = ask.target.clone();
    request.policy = ask.policy;
    request.mode = ask.mode;
    request.idempotent = ask.idempotent;
    Ok(request)
}
