//! Many seeds, each with faults of its own: what holds in all of them, and that they heal.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use std::sync::Arc;

use lanc_core::{Mode, Outcome, Time};
use lanc_testkit::sim::{
    Ask, CallId, Dice, Ended, Function, NodeId, Place, Reply, Rules, Spec, World, ms, secs,
};
use serde_json::{Value, json};

fn echo(args: &[Value]) -> Reply {
    (ms(1), Ok(args.first().cloned().unwrap_or(Value::Null)))
}

fn sleep(args: &[Value]) -> Reply {
    let time = args.first().and_then(Value::as_u64).unwrap_or(0);
    (ms(time), Ok(json!(time)))
}

/// What a seed may do to its world.
#[derive(Clone, Copy)]
struct Faults {
    duplication: u32,
    corruption: u32,
    small_limits: bool,
}

fn spec(number: usize, faults: Faults, dice: &mut Dice) -> Spec {
    let own = format!("own{number}");
    let spec = Spec::new(&format!("n{number}"))
        .offers(Function::new(&own, echo))
        .offers(Function::new("echo", echo))
        .offers(Function::new("sleep", sleep).stops_when_cancelled());
    if !faults.small_limits || dice.chance(500) {
        return spec;
    }
    let small = |dice: &mut Dice| dice.place(8) + 1;
    let (calls, per_peer, queued) = (small(dice), small(dice), small(dice));
    let (results, workers, events) = (small(dice), small(dice), small(dice));
    spec.config(|config| {
        config
            .with_max_calls(calls)
            .with_max_calls_per_peer(per_peer)
            .with_max_queued(queued)
            .with_max_results(results)
            .with_workers(workers)
            .with_max_events(events)
            .with_max_outbox(64)
    })
}

fn rules(faults: Faults, dice: &mut Dice) -> Rules {
    let longest = ms(dice.below(200) + 1);
    Rules::default()
        .loss(u32::try_from(dice.below(401)).unwrap())
        .duplication(faults.duplication)
        .corruption(faults.corruption)
        .truncation(faults.corruption)
        .delay(ms(0)..=longest)
}

fn any(nodes: &[NodeId], dice: &mut Dice) -> NodeId {
    nodes[dice.place(nodes.len())]
}

/// One thing that happens to a world in trouble.
fn disturb(lan: &mut World, nodes: &[NodeId], calls: &mut Vec<CallId>, f: Faults, d: &mut Dice) {
    let node = any(nodes, d);
    match d.below(24) {
        0 => lan.crash(node),
        1 => lan.restart(node, if d.chance(700) { Place::Same } else { Place::New }),
        2 if lan.is_alive(node) => lan.pause(node),
        3 if lan.is_alive(node) => lan.resume(node),
        4 => lan.cut(node, any(nodes, d)),
        5 => lan.cut_one_way(node, any(nodes, d)),
        6 => lan.pair_rules(node, any(nodes, d), rules(f, d)),
        7 => {
            lan.heal();
            lan.rules(rules(f, d));
        }
        8 if lan.is_open(node) => {
            let name = format!("extra{}", d.below(3));
            lan.register(node, &name, echo);
        }
        9 if lan.is_open(node) => lan.unregister(node, &format!("extra{}", d.below(3))),
        10 if d.chance(100) && lan.is_alive(node) => lan.shutdown(node),
        11 if lan.is_alive(node) => {
            let peer = format!("n{}", d.place(nodes.len()));
            lan.ping(node, &peer);
        }
        12 => {
            let call = calls.get(d.place(calls.len())).copied();
            if let Some(call) = call.filter(|call| lan.ended(*call) == Ended::Open) {
                if d.chance(500) { lan.cancel(call) } else { lan.abandon(call) }
            }
        }
        _ if lan.is_alive(node) => calls.push(call(lan, node, nodes.len(), d)),
        _ => lan.restart(node, Place::Same),
    }
}

fn call(lan: &mut World, node: NodeId, nodes: usize, dice: &mut Dice) -> CallId {
    let function = match dice.below(4) {
        0 => "echo".to_owned(),
        1 => "sleep".to_owned(),
        2 => "missing".to_owned(),
        _ => format!("own{}", dice.place(nodes)),
    };
    let mode = match dice.below(8) {
        0 => Mode::All,
        1 => Mode::Fastest(dice.place(4) + 1),
        2 => Mode::OneWay,
        3 => Mode::Hedged,
        _ => Mode::One,
    };
    let deadline = ms(dice.below(8000) + 1);
    let ask = Ask::new(&function, json!([dice.below(3000)])).mode(mode).deadline(deadline);
    let ask = if dice.chance(200) { ask.idempotent() } else { ask };
    lan.ask(node, if dice.chance(200) { ask.wait(ms(dice.below(3000))) } else { ask })
}

/// A minute of trouble, then half a minute in which everything must settle.
fn swarm(seed: u64, faults: Faults) -> World {
    let mut lan = World::new(seed);
    let mut dice = Dice::new(seed, 7);
    let count = 2 + dice.place(11);
    lan.rules(rules(faults, &mut dice));
    let nodes: Vec<_> = (0..count)
        .map(|number| {
            lan.run_for(ms(dice.below(500)));
            lan.add(spec(number, faults, &mut dice))
        })
        .collect();
    let mut calls = Vec::new();
    while lan.now() < Time::from_millis(60_000) {
        disturb(&mut lan, &nodes, &mut calls, faults, &mut dice);
        lan.run_for(ms(dice.below(400)));
    }
    lan.heal();
    for node in &nodes {
        if !lan.is_alive(*node) || lan.core(*node).is_closed() {
            lan.restart(*node, Place::Same);
        }
        lan.resume(*node);
        // A damaged list may look like a good one: only the next revision replaces it.
        if faults.corruption > 0 && lan.is_open(*node) {
            lan.register(*node, "fresh", echo);
        }
    }
    settle(&mut lan, &nodes, seed);
    assert_serves(&mut lan, &nodes, seed);
    for call in calls {
        assert_ne!(lan.ended(call), Ended::Open, "seed {seed}: {call:?}");
        if let Some(Outcome::All(answers)) = lan.outcome(call) {
            assert!(!answers.is_empty(), "seed {seed}: {call:?}");
        }
    }
    lan
}

/// Two hello intervals after the network is good again, everybody knows everybody's functions.
fn settle(lan: &mut World, nodes: &[NodeId], seed: u64) {
    // A node that is going down meanwhile is restarted.
    lan.run_for(secs(6));
    for node in nodes {
        if lan.core(*node).is_closed() {
            lan.restart(*node, Place::Same);
        }
    }
    let names: Arc<Vec<String>> =
        Arc::new((0..nodes.len()).map(|number| format!("own{number}")).collect());
    let everybody_knows = |lan: &World| {
        nodes.iter().enumerate().all(|(number, node)| {
            let sees = |other: usize| {
                let life = lan.session(nodes[other]);
                let peers = lan.peers(*node);
                let peer = peers.iter().any(|peer| peer.session == life);
                peer && lan.providers(*node, &names[other]).contains(&format!("n{other}"))
            };
            (0..nodes.len()).all(|other| other == number || sees(other))
        })
    };
    if !lan.run_until(everybody_knows, secs(12)) {
        for node in nodes {
            for (number, other) in nodes.iter().enumerate().filter(|(_, other)| *other != node) {
                let peer = lan.peers(*node).into_iter().find(|p| p.session == lan.session(*other));
                if !lan.providers(*node, &names[number]).contains(&format!("n{number}")) {
                    println!("{node:?} does not know {}: {peer:#?}", names[number]);
                }
            }
        }
        panic!("seed {seed} does not settle");
    }
    // What died in other places is forgotten too.
    lan.run_for(secs(24));
    for (number, node) in nodes.iter().enumerate() {
        let peers = lan.peers(*node);
        assert_eq!(peers.len(), nodes.len() - 1, "seed {seed}: {number} lists {peers:#?}");
    }
    assert!(everybody_knows(lan), "seed {seed} did not stay settled");
}

/// After all that, every node still calls and is called, and nothing is left over.
fn assert_serves(lan: &mut World, nodes: &[NodeId], seed: u64) {
    for (number, node) in nodes.iter().enumerate() {
        let other = (number + 1) % nodes.len();
        let call = lan.call(*node, &format!("own{other}"), json!(["still here"]));
        lan.run_for(ms(50));
        assert_eq!(lan.result(call), Some(Ok(json!("still here"))), "seed {seed}");
    }
    lan.run_for(secs(10));
    for node in nodes {
        let tables = lan.tables(*node);
        let left = (tables.open_calls, tables.queued, tables.running, tables.outbox);
        assert_eq!(left, (0, 0, 0, 0), "seed {seed}: {tables:?}");
        assert!(
            tables.results > 0 || tables.buffered == tables.stored_bytes,
            "seed {seed}: {tables:?}"
        );
    }
}

/// How many seeds to run; the environment variable `LANC_SWARM_SEEDS` asks for more.
fn seeds(default: u64) -> u64 {
    let wish = std::env::var("LANC_SWARM_SEEDS").ok();
    wish.and_then(|wish| wish.parse().ok()).unwrap_or(default)
}

#[test]
fn swarms_without_duplicates_run_every_body_at_most_once_and_heal() {
    for seed in 0..seeds(100) {
        swarm(seed, Faults { duplication: 0, corruption: 0, small_limits: true });
    }
}

#[test]
fn swarms_with_duplicates_keep_every_other_promise_and_heal() {
    for seed in 0..seeds(100) {
        let small_limits = seed % 2 == 0;
        swarm(100_000 + seed, Faults { duplication: 150, corruption: 0, small_limits });
    }
}

#[test]
fn swarms_on_a_network_that_damages_frames_heal() {
    let faults = Faults { duplication: 100, corruption: 10, small_limits: true };
    for seed in 0..seeds(40) {
        swarm(200_000 + seed, faults);
    }
}

#[test]
fn equal_seeds_give_equal_runs_and_other_seeds_others() {
    let faults = Faults { duplication: 50, corruption: 5, small_limits: true };
    let hashes: Vec<_> = (2000..2004).map(|seed| swarm(seed, faults).trace_hash()).collect();
    for (seed, hash) in (2000..2004).zip(&hashes) {
        assert_eq!(swarm(seed, faults).trace_hash(), *hash, "seed {seed}");
    }
    let mut distinct = hashes.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), hashes.len());
}

#[test]
fn a_run_can_be_repeated_from_its_inputs() {
    let faults = Faults { duplication: 50, corruption: 5, small_limits: true };
    let lan = swarm(3000, faults);
    let again = World::replay(3000, lan.inputs(), lan.now());
    assert_eq!(again.trace_hash(), lan.trace_hash());
    assert_eq!(again.traffic(), lan.traffic());
}
