//! Many calls among nodes with little room, in a network in trouble: none runs twice without leave.

use lanc_core::Mode;
use lanc_core::policy::Policy;
use lanc_testkit::sim::{Ask, Dice, Ended, Function, Place, Rules, Spec, World, ms, secs};
use serde_json::json;

use super::room::sleep;

/// Five nodes with little room that all offer `work`, and a network in trouble.
fn crowd(seed: u64) -> (u64, usize) {
    let mut lan = World::new(seed);
    let mut dice = Dice::new(seed, 11);
    let spec = |number: usize| {
        let work = Function::new("work", sleep).stops_when_cancelled();
        let spec = Spec::new(&format!("n{number}")).offers(work);
        spec.config(|c| c.with_workers(1).with_max_queued(1))
    };
    let nodes: Vec<_> = (0..5).map(|number| lan.add(spec(number))).collect();
    let callers = [lan.node("one"), lan.node("two")];
    lan.run_for(secs(3));
    let loss = u32::try_from(dice.below(200)).unwrap_or(0);
    lan.rules(Rules::default().loss(loss).delay(ms(0)..=ms(1 + dice.below(50))));
    let mut calls = Vec::new();
    for _ in 0..200 {
        let node = nodes[dice.place(nodes.len())];
        match dice.below(40) {
            0 => lan.restart(node, Place::Same),
            1 => lan.pause(node),
            2 => nodes.iter().for_each(|node| lan.resume(*node)),
            3 => lan.unregister(node, "work"),
            4 => lan.register(node, "work", sleep),
            5 => lan.cut(node, callers[0]),
            6 => lan.heal(),
            _ => {}
        }
        let args = json!([dice.below(400)]);
        let policy = [Policy::Latest, Policy::Sticky, Policy::Random][dice.place(3)];
        let mode = if dice.chance(300) { Mode::Hedged } else { Mode::One };
        let ask = Ask::new("work", args).policy(policy).mode(mode);
        calls.push(lan.ask(callers[dice.place(2)], ask.deadline(ms(1 + dice.below(4000)))));
        lan.run_for(ms(dice.below(100)));
    }
    lan.run_for(secs(10));
    for call in &calls {
        assert!(lan.starts(*call) <= 1, "seed {seed}: {call:?} ran {} times", lan.starts(*call));
        assert_ne!(lan.ended(*call), Ended::Open, "seed {seed}: {call:?}");
    }
    let moved = callers.map(|caller| lan.core(caller).counters().calls_moved);
    let copied = callers.map(|caller| lan.core(caller).counters().calls_copied);
    assert_eq!(copied, [0, 0], "seed {seed}");
    (moved.iter().sum(), calls.iter().filter(|call| lan.starts(**call) == 1).count())
}

#[test]
fn whatever_happens_a_body_starts_at_most_once_on_all_nodes_together() {
    let (mut moved, mut ran) = (0, 0);
    for seed in 500..540 {
        let (more, started) = crowd(seed);
        moved += more;
        ran += started;
    }
    assert!(moved > 1000, "only {moved} calls moved: the property was hardly tried");
    assert!(ran > 2000, "only {ran} calls ran");
}
