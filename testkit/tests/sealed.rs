//! Keyed mode in the simulator: everything works as in the open, and nothing is said or heard
//! that is not sealed.

use std::sync::Arc;

use lanc_core::ports::GroupKey;
use lanc_crypto::{Group, MasterKey};
use lanc_testkit::sim::{Function, NodeId, Reply, Spec, World, ms, secs};
use serde_json::{Value, json};

fn key(number: u8) -> Arc<dyn GroupKey> {
    Arc::new(Group::new(&MasterKey::from_bytes(&[number; 32])))
}

fn add(args: &[Value]) -> Reply {
    let sum: i64 = args.iter().filter_map(Value::as_i64).sum();
    (ms(1), Ok(json!(sum)))
}

fn strong(name: &str) -> Spec {
    Spec::new(name).offers(Function::new("add", add))
}

/// A provider and a caller of one group.
fn pair(seed: u64) -> (World, NodeId, NodeId) {
    let mut lan = World::new(seed);
    lan.record_frames();
    let (a, b) = (lan.add(strong("a").key(key(1))), lan.add(Spec::new("b").key(key(1))));
    (lan, a, b)
}

#[test]
fn two_nodes_with_one_key_find_each_other_and_call() {
    let (mut lan, a, b) = pair(1);
    let call = lan.call(b, "add", json!([1, 2]));
    lan.run_for(secs(2));
    for frame in lan.frames() {
        println!("{frame:?}");
    }
    println!("{:?} {:?}", lan.peers(a), lan.peers(b));
    assert_eq!(lan.result(call), Some(Ok(json!(3))));
}
