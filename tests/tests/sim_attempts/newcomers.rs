//! Providers that are heard of while a call waits.

use std::time::Duration;

use lanc_core::Mode;
use lanc_core::error::{ErrorCode, Executed};
use lanc_testkit::sim::{Ask, CallId, NodeId, World, ms, secs};
use serde_json::json;

use super::room::{failure, order, room, small, work};

/// A call some `time` after it began, when its only provider is one that never answers.
fn alone(seed: u64, ask: Ask, time: Duration) -> (World, NodeId, CallId) {
    let (mut lan, nodes, caller) = room(seed, vec![small("silent", work("silent", 600_000))]);
    let call = lan.ask(caller, ask);
    lan.run_for(ms(10));
    lan.crash(nodes[0]);
    lan.run_for(time - ms(10));
    (lan, caller, call)
}

#[test]
fn a_provider_heard_of_while_a_call_waits_is_asked_when_the_answer_is_late() {
    let ask = || Ask::new("work", json!([])).idempotent().deadline(secs(18));
    // A hedge waits for a second, as nobody knows how long it takes; others for a third of 18 s.
    for (seed, mode, share) in [(40, Mode::Hedged, secs(1)), (41, Mode::One, secs(6))] {
        let late = || small("late", work("late", 10));
        // The time is up when the other comes: it is asked as soon as it is heard of.
        let (mut lan, caller, call) = alone(seed, ask().mode(mode), share + secs(2));
        lan.add(late());
        assert!(lan.run_until(|lan| !lan.providers(caller, "work").is_empty(), secs(2)));
        lan.run_for(secs(2));
        assert_eq!(lan.result(call), Some(Ok(json!("late"))), "{mode:?}");
        // It is not: the provider that was asked first has the rest of its time.
        let (mut lan, caller, call) = alone(seed, ask().mode(mode), ms(20));
        let began = lan.now();
        let node = lan.add(late());
        assert!(lan.run_until(|lan| lan.result(call).is_some(), secs(17)));
        assert_eq!(lan.result(call), Some(Ok(json!("late"))), "{mode:?}");
        let took = lan.now().since(began);
        assert!(took > share - ms(40), "{mode:?}: asked too early, after {took:?}");
        assert!(took < share.max(secs(2)) + ms(40), "{mode:?}: {took:?}");
        assert_eq!(lan.core(node).counters().tasks_started, 1);
        assert_eq!(lan.tables(caller).open_calls, 0);
    }
}

#[test]
fn a_provider_heard_of_later_is_not_asked_without_leave_to_run_twice() {
    for mode in [Mode::One, Mode::Hedged] {
        let ask = Ask::new("work", json!([])).mode(mode).deadline(secs(18));
        let (mut lan, _, call) = alone(42, ask, secs(3));
        let late = lan.add(small("late", work("late", 10).idempotent()));
        lan.run_for(secs(16));
        let (code, executed, _) = failure(&lan, call);
        assert_eq!((code, executed), (ErrorCode::TIMEOUT, Executed::Maybe));
        assert_eq!(lan.core(late).counters().tasks_started, 0);
    }
}

#[test]
fn of_providers_heard_of_later_no_more_are_asked_than_of_others() {
    let ask = Ask::new("work", json!([])).idempotent().mode(Mode::Hedged).deadline(secs(19));
    let (mut lan, _, call) = alone(43, ask, secs(2));
    let mut others = Vec::new();
    for name in ["late", "later", "last", "behind"] {
        lan.run_for(secs(2));
        others.push(lan.add(small(name, work(name, 60_000))));
    }
    lan.run_for(secs(4));
    let started: Vec<_> =
        others.iter().map(|node| lan.core(*node).counters().tasks_started).collect();
    assert_eq!(started, [1, 1, 0, 0], "three with the silent one");
    lan.cancel(call);
    lan.run_for(ms(10));
    assert!(others.iter().all(|node| lan.tables(*node).running == 0));
}

#[test]
fn a_call_whose_own_attempt_failed_goes_on_to_a_provider_heard_of_later() {
    let (mut lan, nodes, caller) =
        room(44, vec![small("one", work("one", 600_000)), small("two", work("two", 600_000))]);
    let ask = Ask::new("work", json!([])).idempotent().mode(Mode::Hedged).deadline(secs(60));
    let call = lan.ask(caller, ask);
    lan.run_for(secs(2));
    assert!(nodes.iter().all(|node| lan.tables(*node).running == 1));
    // The one that was asked first dies; its copy is open, and nobody else is known.
    lan.crash(nodes[1]);
    lan.run_for(secs(30));
    assert_eq!(order(&lan, caller), ["one"]);
    assert_eq!(lan.result(call), None);
    lan.add(small("three", work("three", 10)));
    lan.run_for(secs(3));
    assert_eq!(lan.result(call), Some(Ok(json!("three"))));
}

#[test]
fn a_call_whose_provider_has_withdrawn_the_function_is_sent_to_one_heard_of_later() {
    let spec = || small("one", work("one", 600_000));
    let (mut lan, nodes, caller) = room(45, vec![spec()]);
    let ask = Ask::new("work", json!([])).idempotent().mode(Mode::Hedged).deadline(secs(18));
    let call = lan.ask(caller, ask);
    lan.run_for(ms(10));
    lan.unregister(nodes[0], "work");
    lan.run_for(secs(3));
    assert!(order(&lan, caller).is_empty());
    lan.add(small("two", work("two", 10)));
    lan.run_for(secs(3));
    assert_eq!(lan.result(call), Some(Ok(json!("two"))));
}
