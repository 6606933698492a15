//! A thousand nodes on one segment.

use lanc_testkit::sim::{Function, NodeId, Spec, World, group_key, ms, secs};
use serde_json::Value;

const NODES: usize = 1000;
/// With a key every two of them have to meet: two hundred are enough to see that they do.
const KEYED: usize = 200;

fn node(number: usize) -> Spec {
    let function = Function::new(&format!("f{number}"), |_| (ms(1), Ok(Value::Null)));
    Spec::new(&format!("node{number}")).offers(function)
}

fn crowd(lan: &mut World) -> Vec<NodeId> {
    (0..NODES).map(|number| lan.add(node(number))).collect()
}

/// All start in the same instant, which no real building does; the figures are upper bounds.
#[test]
fn a_thousand_nodes_know_each_other_within_ten_seconds_and_then_keep_quiet() {
    // With a key a crowd is not answered by one broadcast, but each newcomer by itself.
    let mut lan = World::open(1000);
    lan.keep_events(0);
    let nodes = crowd(&mut lan);
    let complete = |lan: &World, node: NodeId| lan.tables(node).functions == NODES;
    let mut seconds = 0;
    let all = loop {
        let done = lan.run_until(|lan| nodes.iter().all(|n| complete(lan, *n)), secs(1));
        seconds += 1;
        let whole = nodes.iter().filter(|n| complete(&lan, **n)).count();
        println!("{:?}: {whole} nodes know everything, {:?}", lan.now(), lan.traffic());
        if done || seconds >= 15 {
            break done;
        }
    };
    let at = lan.now();
    assert!(all && at.as_millis() <= 10_000);

    // The answers that are still owed, and the tokens, are over after a while.
    let mut quiet = lan.traffic();
    for second in 1..=120 {
        lan.run_for(secs(1));
        let now = lan.traffic();
        let rate = now.datagrams() - quiet.datagrams();
        if second % 10 == 0 || rate <= 50 {
            println!("{:?}: {rate} datagrams in the last second", lan.now());
        }
        quiet = now;
        if rate <= 50 {
            break;
        }
    }
    let before = lan.traffic();
    lan.run_for(secs(20));
    let steady = lan.traffic().datagrams() - before.datagrams();
    println!(
        "steady: {} datagrams in 20 s; total {:?}; {} steps",
        steady,
        lan.traffic(),
        lan.steps()
    );
    assert!(steady <= 50 * 20, "{steady} datagrams in 20 s");
    assert!(nodes.iter().all(|node| complete(&lan, *node)));
}

/// What names a token of its receiver is for one node alone, so a crowd is not answered by one
/// broadcast. Three datagrams make two nodes believe each other, prove both addresses and tell both
/// lists.
#[test]
fn nodes_with_a_key_meet_by_three_datagrams_a_pair() {
    let mut lan = World::open(1001);
    lan.keep_events(0);
    let nodes: Vec<NodeId> =
        (0..KEYED).map(|number| lan.add(node(number).key(group_key(1)))).collect();
    let is_complete = |lan: &World| nodes.iter().all(|n| lan.tables(*n).functions == nodes.len());
    assert!(lan.run_until(is_complete, secs(2)), "{:?}", lan.now());
    let met = lan.traffic();
    println!("{:?}: all know everything, {met:?}", lan.now());
    let pairs = u64::try_from(KEYED * (KEYED - 1) / 2).unwrap();
    assert!(met.unicasts <= pairs * 3, "{met:?}");
    lan.run_for(secs(20));
    let steady = lan.traffic().datagrams() - met.datagrams();
    println!("{steady} datagrams in 20 s");
    assert!(steady <= 50 * 20, "{steady} datagrams in 20 s");
    assert!(is_complete(&lan));
}
