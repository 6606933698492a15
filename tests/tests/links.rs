//! Several links between the same nodes, and messages on links they do not belong to.

use std::sync::Arc;

use lanc_codec::JsonCodec;
use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::id::{CallKey, FunctionName, TaskKey};
use lanc_core::payload::{Arguments, Payload};
use lanc_core::ports::{Cast, Dest, DownReason, Format, Initiator, LinkEvent, Origin, Received};
use lanc_core::{
    CallRequest, Class, Config, Core, LocalFunction, Outcome, Pipeline, TaskStep, Time,
};
use lanc_testkit::sim::Dice;
use lanc_testkit::solo::CONNECTION;
use lanc_tests::{in_mode, is_keyed};

/// Node `n` of the world; wire `w` is its link in slot `w`.
type Place = (usize, u32);

/// Cores joined by wires. A call runs when [`World::answer`] says so.
struct World {
    cores: Vec<Core>,
    wires: Vec<(Place, Place)>,
    now: Time,
    tasks: Vec<(usize, TaskKey)>,
}

fn link(wire: u32) -> LinkId {
    LinkId { lane: Lane(0), slot: wire, generation: 0 }
}

impl World {
    fn new<const N: usize>(names: [&str; N]) -> Self {
        let mut cores = Vec::new();
        for (seed, name) in (1..).zip(names) {
            let config = Config::default().with_name(name.to_owned());
            let pipeline = in_mode!(Pipeline::new(Arc::new(JsonCodec)));
            let mut core =
                Core::new(config, pipeline, Box::new(Dice::new(seed, 0)), Time::ZERO).unwrap();
            core.add_lane(CONNECTION).unwrap();
            let function = LocalFunction::new(Class::Inline);
            core.register(Time::ZERO, &format!("f{name}"), function).unwrap();
            core.start(Time::ZERO);
            cores.push(core);
        }
        Self { cores, wires: Vec::new(), now: Time::ZERO, tasks: Vec::new() }
    }

    /// Node `from` dials node `to`, as its configuration says.
    fn dial(&mut self, from: usize, to: usize) -> u32 {
        let wire = u32::try_from(self.wires.len()).unwrap();
        let there = Endpoint::text("wire", &format!("{to}"));
        self.cores[from].add_peer(self.now, there.clone());
        self.wires.push(((from, wire), (to, wire)));
        let up = LinkEvent::Up { link: link(wire), remote: there, initiator: Initiator::Us };
        self.cores[from].handle_link(self.now, up);
        let remote = Endpoint::text("wire", &format!("accepted-{wire}"));
        let up = LinkEvent::Up { link: link(wire), remote, initiator: Initiator::Them };
        self.cores[to].handle_link(self.now, up);
        wire
    }

    fn cut(&mut self, wire: u32) {
        self.wires[usize::try_from(wire).unwrap()] = ((usize::MAX, wire), (usize::MAX, wire));
    }

    /// The next frame of a node and the wire it leaves by.
    fn frame(&mut self, node: usize) -> Option<(u32, Vec<u8>)> {
        let mut bytes = Vec::new();
        match self.cores[node].poll_frame(self.now, &mut bytes)? {
            Dest::Link(link) => Some((link.slot, bytes)),
            Dest::Broadcast(_) => None,
        }
    }

    fn hand(&mut self, node: usize, wire: u32, mut bytes: Vec<u8>) {
        let bytes = bytes.as_mut_slice();
        let frame =
            Received { link: link(wire), cast: Cast::Unicast, origin: Origin::Network, bytes };
        self.cores[node].handle_frame(self.now, frame);
    }

    /// One frame from each node in turn until none has another: what is sent at the same time
    /// crosses.
    fn settle(&mut self) {
        loop {
            let nodes = 0..self.cores.len();
            let sent: Vec<_> = nodes.filter_map(|n| Some((n, self.frame(n)?))).collect();
            if sent.is_empty() {
                return;
            }
            for (from, (wire, bytes)) in sent {
                let (a, b) = self.wires[usize::try_from(wire).unwrap()];
                for (end, far) in [(a, b), (b, a)] {
                    if end.0 == from {
                        self.hand(far.0, wire, bytes.clone());
                    }
                }
            }
            for (node, core) in self.cores.iter_mut().enumerate() {
                while let Some(step) = core.poll_task(self.now) {
                    if let TaskStep::Run(task) = step {
                        self.tasks.push((node, task.key));
                    }
                }
            }
        }
    }

    fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 50 {
            self.settle();
            self.now = Time::from_millis(self.now.as_millis() + 50);
            for core in &mut self.cores {
                core.handle_timeout(self.now);
            }
        }
        self.settle();
    }

    fn call(&mut self, node: usize, name: &str) -> CallKey {
        let args = Arguments::new(Format::JSON, b"[]", b"");
        let request = CallRequest::new(FunctionName::new(name).unwrap(), args);
        self.cores[node].call(self.now, request).unwrap()
    }

    /// Ends the only task there is.
    fn answer(&mut self) -> usize {
        assert_eq!(self.tasks.len(), 1);
        let (node, task) = self.tasks.remove(0);
        let result = Payload { format: Format::JSON, bytes: b"1".to_vec().into() };
        self.cores[node].complete(self.now, task, Ok(result));
        node
    }

    fn succeeded(&mut self, node: usize, key: CallKey) -> bool {
        let taken = self.cores[node].is_done(key).then(|| self.cores[node].take(key)).flatten();
        taken.is_some_and(|outcome: Outcome| outcome.is_success())
    }

    /// Where `node` reaches the peer called `name`.
    fn route(&self, node: usize, name: &str) -> Option<String> {
        let peers = self.cores[node].peers(self.now);
        peers.iter().find(|peer| peer.name == name).map(|peer| peer.endpoint.to_string())
    }
}

#[test]
fn nodes_that_dial_each_other_at_once_learn_each_others_functions() {
    let mut world = World::new(["a", "b"]);
    world.dial(0, 1);
    world.dial(1, 0);
    world.pass(3000);
    assert_ne!(world.route(0, "b"), Some("wire://1".to_owned()), "each stays with the other's");
    assert_ne!(world.route(1, "a"), Some("wire://0".to_owned()), "each stays with the other's");
    for (node, name) in [(0, "fb"), (1, "fa")] {
        let key = world.call(node, name);
        world.settle();
        world.answer();
        world.settle();
        assert!(world.succeeded(node, key), "{name}");
    }
}

#[test]
fn only_the_link_a_call_left_by_brings_its_answer() {
    let mut world = World::new(["a", "b", "c"]);
    let (to_b, to_c) = (world.dial(0, 1), world.dial(0, 2));
    world.pass(3000);
    let key = world.call(0, "fb");
    world.settle();
    world.answer();
    let (wire, answer) = world.frame(1).unwrap();
    assert_eq!(wire, to_b);
    world.hand(0, to_c, answer.clone());
    assert!(!world.cores[0].is_done(key), "another peer's link brought it");
    world.hand(0, to_b, answer);
    assert!(world.succeeded(0, key));
}

#[test]
fn a_copied_hello_or_farewell_changes_nothing_on_another_link() {
    let mut world = World::new(["a", "b", "c"]);
    let to_b = world.dial(0, 1);
    let hello = world.frame(0).unwrap().1;
    world.hand(1, to_b, hello);
    world.cores[1].handle_timeout(world.now);
    let copied = world.frame(1).unwrap().1;
    world.hand(0, to_b, copied.clone());
    let to_c = world.dial(0, 2);
    world.pass(3000);
    let routes = (world.route(0, "b"), world.route(0, "c"));
    assert_eq!(routes, (Some("wire://1".to_owned()), Some("wire://2".to_owned())));
    world.cut(to_b);
    // Longer than a link is trusted to work, shorter than the lease.
    world.pass(12_000);
    world.hand(0, to_c, copied);
    world.settle();
    // In keyed mode it has no place on that connection, which is ended.
    let of_c = routes.1.clone().filter(|_| !is_keyed!());
    let expected = (routes.0.clone(), of_c);
    assert_eq!((world.route(0, "b"), world.route(0, "c")), expected, "the copy took a link over");
    world.cores[1].shutdown(world.now);
    while let Some((_, farewell)) = world.frame(1) {
        world.hand(0, to_c, farewell);
    }
    assert_eq!(world.route(0, "b"), routes.0, "the copied farewell was believed");
}

#[test]
fn a_peer_whose_link_fell_silent_is_followed_to_another_and_calls_keep_theirs() {
    // A sealed connection of which frames are missing is ended, and has no late answers.
    if is_keyed!() {
        return;
    }
    let mut world = World::new(["a", "b"]);
    let first = world.dial(0, 1);
    world.pass(3000);
    let old = world.call(0, "fb");
    world.settle();
    let late = world.tasks.remove(0);
    world.cut(first);
    // The second link speaks at once and keeps speaking: the first must not seem alive by it.
    world.dial(1, 0);
    let moved = Some("wire://accepted-1".to_owned());
    // A link that nobody needs is closed after 15 s: the late answer must come before.
    for _ in 0..340 {
        if world.route(0, "b") != moved {
            world.pass(50);
        }
    }
    assert_eq!(world.route(0, "b"), moved);
    let new = world.call(0, "fb");
    world.settle();
    world.answer();
    world.settle();
    assert!(world.succeeded(0, new));
    world.tasks.push(late);
    world.answer();
    let (wire, answer) = world.frame(1).unwrap();
    assert_eq!(wire, first, "answers leave by the link the call came on");
    world.hand(0, wire, answer);
    assert!(world.succeeded(0, old), "the answer came on the link the call left by");
}

#[test]
fn a_call_on_a_link_that_goes_down_is_asked_about_where_the_peer_is_now() {
    let mut world = World::new(["a", "b"]);
    let first = world.dial(0, 1);
    world.pass(3000);
    let old = world.call(0, "fb");
    world.settle();
    world.cut(first);
    world.dial(1, 0);
    world.pass(17_000);
    let down = LinkEvent::Down { link: link(first), reason: DownReason::Broken };
    world.cores[0].handle_link(world.now, down);
    assert!(!world.cores[0].is_done(old));
    world.settle();
    world.answer();
    world.settle();
    assert!(world.succeeded(0, old), "it would wait for its deadline");
}

#[test]
fn a_stranger_on_a_connection_gets_its_answer_whole() {
    if is_keyed!() {
        return;
    }
    let mut world = World::new(["a"]);
    let remote = Endpoint::text("wire", "stranger");
    let up = LinkEvent::Up { link: link(0), remote, initiator: Initiator::Them };
    world.cores[0].handle_link(world.now, up);
    let call =
        br#"{"type":"LANC","method":"call","version":"0.2","data":"fa","args":[],"exe_id":"1"}"#;
    world.hand(0, 0, call.to_vec());
    let Some(TaskStep::Run(task)) = world.cores[0].poll_task(world.now) else { panic!("no task") };
    let bytes = format!("\"{}\"", "y".repeat(5000)).into_bytes();
    let result = Payload { format: Format::JSON, bytes: bytes.into() };
    world.cores[0].complete(world.now, task.key, Ok(result));
    let (_, answer) = world.frame(0).unwrap();
    assert!(answer.len() > 5000, "the handshake proved the address: nothing is amplified");
}
