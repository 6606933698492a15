//! Doing one input to the world.

use lanc_core::error::{CallError, ErrorCode, Executed};
use lanc_core::id::FunctionName;
use lanc_core::payload::Arguments;
use lanc_core::ports::{Entropy, Format};
use lanc_core::{Answer, CallRequest, Outcome};

use super::calls::{CallId, Ended, Entry};
use super::dice::{Dice, Forked};
use super::envelope::group_key;
use super::glance::Cause;
use super::input::{Ask, Function, Input, KeyChange, Place, Spec};
use super::network::AddressId;
use super::node::{self, Life, Node, NodeId};
use super::step::{Arrival, Happening, TRANSIT};
use super::values;
use super::world::World;

impl World {
    /// Does an input now, and records it.
    pub fn apply(&mut self, input: Input) {
        if self.violation.is_some() {
            return;
        }
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
            Input::AddPeer(node, endpoint) => self.configure(node, endpoint),
            Input::Keys(node, change) => self.change_keys(node, change),
            Input::Shutdown(node) => {
                let now = self.local(node);
                self.life(node).draining = true;
                self.life(node).core.shutdown(now);
                self.pump(node, Cause::Any);
            }
            Input::Crash(node) => self.die(node),
            Input::Clone(node) => self.clone_node(node),
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
            Input::Heal => self.air.network.heal(self.now),
            Input::Original(spec) => self.add_original(*spec),
            Input::Act(original, act) => self.act(original, &act),
            Input::ClockRate(node, rate) => {
                let now = self.now;
                self.nodes[node.0].clock.run_at(now, rate);
                self.clock_changed(node);
            }
            Input::Leap(node, by) => {
                self.nodes[node.0].clock.leap(by);
                self.clock_changed(node);
            }
            Input::Hostile(spec) => self.add_hostile(spec),
            Input::Hush(hostile) => self.hush(hostile),
            Input::Inject { from, to, cast, bytes } => {
                self.book.ledger.falsified = true;
                let from = self.air.addresses.intern(from);
                let arrival = Arrival::foreign(from, Some(to), from, cast, bytes);
                self.air.schedule(self.now + TRANSIT, Happening::Arrival(arrival));
            }
        }
    }

    fn configure(&mut self, node: NodeId, peer: lanc_core::endpoint::Endpoint) {
        let now = self.local(node);
        let address = peer.socket_addr().map(|a| self.air.addresses.intern(a));
        self.life(node).configured.extend(address);
        self.life(node).core.add_peer(now, peer);
        self.pump(node, Cause::Any);
    }

    /// # Panics
    /// When the core refuses the change: the scenario is wrong.
    fn change_keys(&mut self, node: NodeId, change: KeyChange) {
        let now = self.local(node);
        if let KeyChange::Add(key) = &change {
            self.keys.add(std::slice::from_ref(key));
        }
        let life = self.life(node);
        if let Some(seal) = &mut life.seal {
            seal.change_ring(&change);
        }
        let core = &mut life.core;
        let changed = match change {
            KeyChange::Add(key) => core.add_key(key),
            KeyChange::Primary(id) => core.make_primary(now, id),
            KeyChange::Remove(id) => core.remove_key(id),
        };
        if let Err(error) = changed {
            panic!("the keys of {node:?}: {error}");
        }
        if let Some(seal) = self.nodes[node.0].life.as_ref().and_then(|life| life.seal.as_ref()) {
            self.seals.holds(seal);
        }
        self.pump(node, Cause::Any);
    }

    fn note_rules(&mut self, rules: &super::network::Rules) {
        self.book.ledger.duplicated |= rules.duplicates();
    }

    /// What a node's clock shows.
    pub(super) fn local(&self, node: NodeId) -> lanc_core::Time {
        self.nodes[node.0].clock.read(self.now)
    }

    /// The alarm of a clock that was changed rings at another time.
    fn clock_changed(&mut self, id: NodeId) {
        let local = self.local(id);
        let node = &mut self.nodes[id.0];
        let Some(life) = &mut node.life else { return };
        life.wake = None;
        if node.paused {
            return;
        }
        life.core.handle_timeout(local);
        let clock = node.clock;
        self.book.resume(id, self.now, &clock);
        self.pump(id, Cause::Any);
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
        self.place(spec);
        self.boot(id);
    }

    fn place(&mut self, spec: Spec) {
        let id = NodeId(self.nodes.len());
        let is_open = spec.pipeline.keys().is_empty();
        let spec = if self.seals_all && is_open { spec.key(group_key(1)) } else { spec };
        let segment = spec.segment;
        self.keys.add(spec.pipeline.keys());
        let address = spec.address.unwrap_or_else(|| node::address(segment, id.0));
        let address = self.air.addresses.intern(address);
        self.air.segments.entry(segment).or_default().push(id);
        self.nodes.push(Node::new(spec, address));
    }

    /// The chance of the n-th life of a node.
    fn dice_of(&self, id: NodeId, life: u32) -> Dice {
        let stream = u64::try_from(id.0).unwrap_or(0) << 20 | u64::from(life);
        Dice::new(self.seed, 1000 + stream)
    }

    fn boot(&mut self, id: NodeId) {
        let dice = self.dice_of(id, self.nodes[id.0].lives);
        self.boot_with(id, Box::new(dice));
    }

    /// A copy of a node's process starts elsewhere: its session and all that the original had
    /// drawn by its first need are the same.
    fn clone_node(&mut self, of: NodeId) {
        let life = self.nodes[of.0].lives;
        let original = self.dice_of(of, life.saturating_sub(1));
        let spec = Spec { address: None, ..self.nodes[of.0].spec.clone() };
        let id = NodeId(self.nodes.len());
        let entropy = Forked { shared: Some(original), own: self.dice_of(id, 0) };
        self.place(spec);
        let session = self.life(of).core.session().short();
        self.book.ledger.cloned(session);
        if let Some(seal) = &mut self.life(of).seal {
            seal.is_twin = true;
        }
        self.boot_with(id, Box::new(entropy));
        if let Some(seal) = &mut self.life(id).seal {
            seal.is_twin = true;
        }
    }

    fn boot_with(&mut self, id: NodeId, entropy: Box<dyn Entropy>) {
        let now = self.local(id);
        let node = &mut self.nodes[id.0];
        self.air.addresses.own(node.address, Some(id));
        node.booted = self.steps;
        node.boot(id, now, entropy);
        let functions = node.spec.functions.clone();
        let life = self.life(id);
        for function in functions {
            life.register(now, function);
        }
        life.core.start(now);
        let session = life.core.session().short();
        let keyed = life.seal.is_some();
        if let Some(seal) = self.nodes[id.0].life.as_ref().and_then(|life| life.seal.as_ref()) {
            self.seals.holds(seal);
        }
        self.book.ledger.lives(session, keyed);
        self.pump(id, Cause::Any);
    }

    fn register_now(&mut self, id: NodeId, function: Function) {
        let now = self.local(id);
        let functions = &mut self.nodes[id.0].spec.functions;
        functions.retain(|known| known.name != function.name);
        functions.push(function.clone());
        self.life(id).register(now, function);
        self.pump(id, Cause::Any);
    }

    fn unregister_now(&mut self, id: NodeId, name: &str) {
        let now = self.local(id);
        self.nodes[id.0].spec.functions.retain(|known| known.name != name);
        self.life(id).core.unregister(now, name);
        self.pump(id, Cause::Any);
    }

    fn begin_call(&mut self, id: NodeId, ask: &Ask) {
        let now = self.local(id);
        let clock = self.nodes[id.0].clock;
        let world_now = self.now;
        let call = CallId(self.book.entries.len());
        self.coverage.calls += 1;
        let serves = ask.within.and_then(|call| self.book.entries[call.0].id);
        let repeats = ask.idempotent || self.is_idempotent(&ask.function);
        let life = self.life(id);
        let format = life.core.pipeline().first().format();
        let mut request = match request(ask, format) {
            Ok(request) => request,
            Err(why) => panic!("the call of {}: {why}", ask.function),
        };
        let mut running = life.running.iter();
        let serving = running.find(|(_, task)| serves.is_some() && task.id == serves);
        request.within = serving.map(|(key, _)| *key);
        let config = life.core.config();
        let wish = ask.deadline.unwrap_or(config.call_deadline());
        let due_local = now + wish.min(config.max_deadline());
        let due = clock.when(due_local);
        let mut entry = Entry {
            node: id,
            key: None,
            id: None,
            mode: ask.mode,
            repeats,
            due_local,
            due,
            keeps: ask.keeps,
            cancelled: false,
            ended: Ended::Open,
            outcome: None,
        };
        let mut refused = None;
        match life.core.call(now, request) {
            Ok(key) => {
                life.calls.insert(key, call);
                entry.key = Some(key);
                entry.id = life.core.exe_id(key);
            }
            Err(error) => {
                entry.ended = Ended::At(world_now);
                let from = config_name(life);
                refused = Some(error.code);
                entry.outcome =
                    Some(Ok(Outcome::One(Answer { from: from.into(), result: Err(error) })));
            }
        }
        if let Some(code) = refused {
            self.coverage.refused(code);
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
        let entry = &mut self.book.entries[call.0];
        let (id, key) = (entry.node, entry.key);
        // What a stopped process knows already it tells when it goes on.
        let is_open = entry.ended == Ended::Open && !self.nodes[id.0].paused;
        entry.cancelled |= !abandon && is_open;
        let entry = &self.book.entries[call.0];
        let now = self.local(id);
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
        let (now, number) = (self.local(id), self.pings.len());
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
        if let Some(life) = node.life.take() {
            self.coverage.life(life.core.counters());
        }
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
        let clock = node.clock;
        self.book.resume(id, self.now, &clock);
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

fn request(ask: &Ask, format: Format) -> Result<CallRequest, String> {
    let function = FunctionName::new(&ask.function).map_err(|error| error.to_string())?;
    let bytes = values::encode_args(format, &ask.args)?;
    let mut request = CallRequest::new(function, Arguments::new(format, &bytes, &[]));
    request.deadline = ask.deadline;
    request.wait = ask.wait;
    request.target = ask.target.clone();
    request.policy = ask.policy;
    request.mode = ask.mode;
    request.idempotent = ask.idempotent;
    // Nothing here is secret.
    request.compress = true;
    Ok(request)
}
