//! Calls to several providers: the fastest of some, and all of them.

use std::collections::BTreeSet;

use lanc_core::Mode;
use lanc_core::error::{ErrorCode, Executed};
use lanc_testkit::sim::{Ask, Function, NodeId, Spec, World, ms, secs};
use serde_json::{Value, json};

/// Three providers that take 300, 20 and 100 ms, and a caller.
fn racers(seed: u64) -> (World, Vec<NodeId>, NodeId) {
    let mut lan = World::new(seed);
    let racer = |name: &'static str, time: u64| {
        let body = move |_: &[Value]| (ms(time), Ok(json!(name)));
        Spec::new(name).offers(Function::new("race", body).stops_when_cancelled())
    };
    let nodes = [("slow", 300), ("fast", 20), ("middle", 100)]
        .map(|(name, time)| lan.add(racer(name, time)));
    let caller = lan.node("caller");
    lan.run_for(secs(3));
    (lan, nodes.to_vec(), caller)
}

#[test]
fn the_fastest_of_several_wins_and_the_others_are_cancelled() {
    let (mut lan, nodes, caller) = racers(18);
    let call = lan.ask(caller, Ask::new("race", json!([])).mode(Mode::Fastest(3)));
    lan.run_for(ms(25));
    assert_eq!(lan.result(call), Some(Ok(json!("fast"))));
    for node in nodes {
        assert_eq!(lan.tables(node).running, 0, "{node:?} was not told");
    }
    assert_eq!(lan.tables(caller).open_calls, 0);
    assert_eq!(lan.tables(caller).results, 0);
}

#[test]
fn all_collects_every_answer() {
    let (mut lan, nodes, caller) = racers(19);
    let call = lan.ask(caller, Ask::new("race", json!([])).mode(Mode::All));
    lan.crash(nodes[2]);
    lan.run_for(ms(400));
    assert_eq!(lan.answers(call), None);
    lan.run_for(secs(31));
    let mut answers = lan.answers(call).unwrap();
    answers.sort_by(|(one, _), (other, _)| one.cmp(other));
    let names: Vec<_> = answers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["fast", "middle", "slow"]);
    assert_eq!(answers[0].1, Ok(json!("fast")));
    assert_eq!(answers[1].1.as_ref().unwrap_err().code, ErrorCode::LOST);
    assert_eq!(answers[2].1, Ok(json!("slow")));
}

#[test]
fn answers_to_a_call_to_all_are_not_crowded_out_by_other_results() {
    let (mut lan, nodes, _) = racers(35);
    let caller = lan.add(Spec::new("another").config(|c| c.with_max_results(1)));
    lan.run_for(secs(2));
    let call = lan.ask(caller, Ask::new("race", json!([])).mode(Mode::All));
    lan.run_for(ms(150));
    // Two of three have answered; results of other calls come and go.
    for _ in 0..3 {
        lan.ask(caller, Ask::new("race", json!([])).to("fast").keeps_result());
        lan.run_for(ms(30));
    }
    lan.run_for(ms(200));
    let answers = lan.answers(call).unwrap();
    assert_eq!(answers.len(), nodes.len(), "{answers:?}");
    assert!(answers.iter().all(|(_, result)| result.is_ok()));
}

#[test]
fn a_call_to_all_says_which_providers_it_had_no_room_to_ask() {
    // The call itself is one, and each provider one more.
    for (room, asked) in [(4, 3), (3, 2), (2, 1)] {
        let (mut lan, nodes, _) = racers(36);
        let caller = lan.add(Spec::new("another").config(|c| c.with_max_calls(room)));
        lan.run_for(secs(2));
        let call = lan.ask(caller, Ask::new("race", json!([])).mode(Mode::All));
        lan.run_for(ms(400));
        let answers = lan.answers(call).unwrap();
        let names: BTreeSet<_> = answers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((answers.len(), names.len()), (nodes.len(), nodes.len()), "{answers:?}");
        assert!(answers[..asked].iter().all(|(_, result)| result.is_ok()), "{answers:?}");
        for (_, result) in &answers[asked..] {
            let error = result.as_ref().unwrap_err();
            assert_eq!((error.code, error.executed), (ErrorCode::BUSY, Executed::No), "{error}");
        }
        let is_full = asked < nodes.len();
        assert_eq!(lan.core(caller).counters().limit_hits("max_calls"), u64::from(is_full));
        assert_eq!((lan.tables(caller).open_calls, lan.tables(caller).results), (0, 0));
    }
}

#[test]
fn a_call_to_all_keeps_the_answers_it_has_when_its_deadline_comes() {
    let (mut lan, _, caller) = racers(20);
    let ask = Ask::new("race", json!([])).mode(Mode::All).deadline(ms(150));
    let call = lan.ask(caller, ask);
    lan.run_for(ms(160));
    let answers = lan.answers(call).unwrap();
    let good = answers.iter().filter(|(_, result)| result.is_ok()).count();
    assert_eq!((answers.len(), good), (3, 2), "{answers:?}");
}
