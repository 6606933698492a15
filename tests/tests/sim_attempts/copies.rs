//! Calls that several providers run at once: hedges, the fastest of some, all of them.

use lanc_core::Mode;
use lanc_core::error::{ErrorCode, Executed};
use lanc_testkit::sim::{Ask, Ended, NodeId, World, ms, secs};
use serde_json::json;

use super::room::{failure, fill, room, small, work};

#[test]
fn a_cancelled_call_takes_every_attempt_back() {
    let (mut lan, nodes, caller) =
        room(17, vec![small("one", work("one", 60_000)), small("two", work("two", 60_000))]);
    let call = lan.ask(caller, Ask::new("work", json!([])).mode(Mode::Fastest(2)));
    lan.run_for(ms(10));
    assert!(nodes.iter().all(|node| lan.tables(*node).running == 1));
    lan.cancel(call);
    lan.run_for(ms(10));
    assert!(nodes.iter().all(|node| lan.tables(*node).running == 0));
    assert_eq!(failure(&lan, call).0, ErrorCode::CANCELLED);
    assert_eq!(failure(&lan, call).1, Executed::Maybe);
    assert_eq!(lan.tables(caller).open_calls, 0);
    assert_eq!(lan.tables(caller).results, 0);
}

/// Makes the caller know how long `work` takes: 100 answers of `time`.
fn learn(lan: &mut World, caller: NodeId, peer: &str) {
    for _ in 0..100 {
        let call = lan.ask(caller, Ask::new("work", json!([])).to(peer).idempotent());
        assert!(lan.run_until(|lan| lan.result(call).is_some(), secs(1)));
    }
}

#[test]
fn a_hedge_leaves_when_the_answer_is_later_than_nineteen_of_twenty() {
    let (mut lan, nodes, caller) =
        room(18, vec![small("quick", work("quick", 20)), small("slow", work("slow", 60_000))]);
    learn(&mut lan, caller, "quick");
    let before = lan.core(nodes[0]).counters().tasks_started;
    let call = lan.ask(caller, Ask::new("work", json!([])).idempotent().mode(Mode::Hedged));
    lan.run_for(ms(20));
    assert_eq!(lan.core(nodes[0]).counters().tasks_started, before, "too early");
    assert!(lan.run_until(|lan| lan.result(call) == Some(Ok(json!("quick"))), ms(30)));
    lan.run_for(ms(5));
    assert_eq!(lan.tables(nodes[1]).running, 0, "the slow one was not told");
    assert_eq!(lan.tables(caller).open_calls, 0);
}

#[test]
fn a_hedge_goes_to_three_peers_at_most_and_never_twice_to_one() {
    let names = ["one", "two", "three", "four"];
    let specs = names.map(|name| small(name, work(name, 60_000))).to_vec();
    let (mut lan, nodes, caller) = room(19, specs);
    let ask = Ask::new("work", json!([])).idempotent().mode(Mode::Hedged).deadline(secs(20));
    lan.ask(caller, ask);
    // Nobody knows how long it takes: a second each.
    lan.run_for(ms(990));
    let running = |lan: &World| nodes.iter().map(|node| lan.tables(*node).running).sum::<usize>();
    assert_eq!(running(&lan), 1);
    lan.run_for(ms(1000));
    assert_eq!(running(&lan), 2);
    lan.run_for(secs(10));
    assert_eq!(running(&lan), 3);
    assert!(nodes.iter().all(|node| lan.core(*node).counters().tasks_started <= 1));
}

#[test]
fn a_hedge_without_leave_to_run_twice_is_an_ordinary_call() {
    let (mut lan, _, caller) =
        room(20, vec![small("one", work("one", 10)), small("two", work("two", 5000))]);
    let call = lan.ask(caller, Ask::new("work", json!([])).mode(Mode::Hedged));
    lan.run_for(ms(5010));
    assert_eq!(lan.result(call), Some(Ok(json!("two"))));
    assert_eq!(lan.core(caller).counters().calls_copied, 0);
}

#[test]
fn a_copy_that_fails_is_replaced_at_once() {
    let (mut lan, _, caller) = room(
        21,
        vec![
            small("one", work("one", 10)),
            small("two", work("two", 10)),
            small("three", work("three", 60_000)),
        ],
    );
    fill(&mut lan, caller, "two", 20_000);
    let call = lan.ask(caller, Ask::new("work", json!([])).idempotent().mode(Mode::Hedged));
    lan.run_for(ms(990));
    assert_eq!(lan.result(call), None);
    lan.run_for(ms(50));
    assert_eq!(lan.result(call), Some(Ok(json!("one"))));
}

#[test]
fn the_fastest_of_many_asks_five_at_most() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let specs = names.map(|name| small(name, work(name, 60_000))).to_vec();
    let (mut lan, nodes, caller) = room(22, specs);
    lan.ask(caller, Ask::new("work", json!([])).mode(Mode::Fastest(100)));
    lan.run_for(ms(10));
    assert_eq!(nodes.iter().map(|node| lan.tables(*node).running).sum::<usize>(), 5);
}

#[test]
fn a_call_to_several_waits_for_more_of_them_for_half_of_its_time_at_most() {
    let mut lan = World::new(82);
    for name in ["one", "two"] {
        lan.add(small(name, work(name, 10)));
    }
    lan.run_for(secs(3));
    // It has just been opened, and waits for 1.5 s for all who answer its hello.
    for (mode, deadline) in [(Mode::All, secs(1)), (Mode::Fastest(3), secs(1))] {
        let caller = lan.node("caller");
        let began = lan.now();
        let call = lan.ask(caller, Ask::new("work", json!([])).mode(mode).deadline(deadline));
        assert!(lan.run_until(|lan| lan.ended(call) != Ended::Open, secs(2)));
        let took = lan.now().since(began);
        assert!((ms(500)..ms(600)).contains(&took), "{mode:?}: {took:?}");
        match mode {
            Mode::All => assert_eq!(lan.answers(call).map(|answers| answers.len()), Some(2)),
            _ => assert!(matches!(lan.result(call), Some(Ok(_)))),
        }
    }
}
