//! A provider and a caller of one group: what they believe, what they drop, and what they have
//! said, once more.

use lanc_core::Trust;
use lanc_core::counters::Drop;
use lanc_core::id::SessionId;
use lanc_core::ports::Cast;
use lanc_testkit::sim::{Frame, Function, NodeId, Reply, Spec, World, group_key as key, ms, secs};
use serde_json::{Value, json};

fn add(args: &[Value]) -> Reply {
    let sum: i64 = args.iter().filter_map(Value::as_i64).sum();
    (ms(1), Ok(json!(sum)))
}

pub(crate) fn strong(name: &str) -> Spec {
    Spec::new(name).offers(Function::new("add", add))
}

/// A provider and a caller of one group that know each other.
pub(crate) fn pair(seed: u64) -> (World, NodeId, NodeId) {
    let mut lan = World::open(seed);
    lan.record_frames();
    let (a, b) = (lan.add(strong("a").key(key(1))), lan.add(Spec::new("b").key(key(1))));
    lan.run_for(secs(2));
    (lan, a, b)
}

pub(crate) fn assert_adds(lan: &mut World, caller: NodeId) {
    let call = lan.call(caller, "add", json!([1, 2]));
    lan.run_for(secs(2));
    assert_eq!(lan.result(call), Some(Ok(json!(3))));
}

pub(crate) fn trust(lan: &World, node: NodeId, peer: &str) -> Option<Trust> {
    lan.peer(node, peer).map(|peer| peer.trust)
}

/// The sessions that a node believes.
pub(crate) fn believed(lan: &World, node: NodeId) -> Vec<SessionId> {
    let peers = lan.peers(node).into_iter();
    peers.filter(|peer| peer.trust == Trust::Verified).map(|peer| peer.session).collect()
}

pub(crate) fn dropped(lan: &World, node: NodeId, why: Drop) -> u64 {
    lan.core(node).counters().dropped(why)
}

/// Every frame once more: to its receivers, and to everybody, as unicast and as broadcast.
pub(crate) fn replay(lan: &mut World, frames: &[Frame], to: &[NodeId]) {
    for frame in frames {
        for node in to {
            let from = lan.address(frame.from);
            for cast in [Cast::Unicast, Cast::Broadcast] {
                lan.inject(from, *node, cast, &frame.bytes);
                lan.inject("10.0.9.9:4000".parse().unwrap(), *node, cast, &frame.bytes);
            }
        }
        lan.run_for(ms(20));
    }
}

pub(crate) fn capture(seed: u64) -> (World, NodeId, NodeId, Vec<Frame>) {
    let (mut lan, a, b) = pair(seed);
    assert_adds(&mut lan, b);
    lan.run_for(secs(8));
    let frames: Vec<Frame> = lan.frames().cloned().collect();
    (lan, a, b, frames)
}
