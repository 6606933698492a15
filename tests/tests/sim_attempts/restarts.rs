//! Providers that restart, go down or are gone, and calls that wait for them or for others.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lanc_core::Mode;
use lanc_core::error::{ErrorCode, Executed};
use lanc_testkit::sim::{
    Ask, CallId, Ended, Function, NodeId, Place, Rules, Spec, World, ms, secs,
};
use serde_json::json;

use super::room::{failure, fill, room, sleep, small, work};

/// A provider whose first call takes so long, and every other one 10 ms.
fn slow_once(time: Duration) -> Spec {
    let runs = AtomicU32::new(0);
    let work = Function::new("work", move |_| {
        let is_first = runs.fetch_add(1, Ordering::Relaxed) == 0;
        (if is_first { time } else { ms(10) }, Ok(json!("again")))
    });
    small("one", work)
}

/// A call to the only provider, which runs it.
fn running(seed: u64, ask: Ask) -> (World, NodeId, NodeId, CallId) {
    let (mut lan, nodes, caller) = room(seed, vec![slow_once(secs(600))]);
    let call = lan.ask(caller, ask);
    lan.run_for(ms(100));
    assert_eq!(lan.tables(nodes[0]).running, 1);
    (lan, caller, nodes[0], call)
}

#[test]
fn a_call_that_may_run_again_outlives_a_restart_of_its_only_provider() {
    let ask = || Ask::new("work", json!([])).deadline(secs(20));
    for seed in 50..60 {
        let (mut lan, caller, provider, call) = running(seed, ask().idempotent());
        lan.restart(provider, Place::Same);
        assert!(lan.run_until(|lan| lan.result(call).is_some(), secs(3)), "{seed}");
        assert_eq!(lan.result(call), Some(Ok(json!("again"))), "{seed}");
        assert_eq!(lan.tables(caller).open_calls, 0);
    }
    // What must not run twice is over as soon as it is known.
    let (mut lan, _, provider, call) = running(60, ask());
    lan.restart(provider, Place::Same);
    assert!(lan.run_until(|lan| lan.result(call).is_some(), secs(3)));
    let (code, executed, _) = failure(&lan, call);
    assert_eq!((code, executed), (ErrorCode::LOST, Executed::Maybe));
}

#[test]
fn a_call_made_before_a_restarted_provider_has_said_what_it_offers_waits_for_that() {
    let mut tried = 0;
    for seed in 61..261 {
        let (mut lan, nodes, caller) = room(seed, vec![small("one", work("one", 10))]);
        lan.rules(Rules::default().loss(600));
        lan.restart(nodes[0], Place::Same);
        // It was heard, its list was not.
        if !lan.run_until(|lan| lan.providers(caller, "work").is_empty(), secs(4)) {
            continue;
        }
        lan.rules(Rules::default());
        let call = lan.call(caller, "work", json!([]));
        assert!(lan.run_until(|lan| lan.result(call).is_some(), secs(2)), "{seed}");
        assert_eq!(lan.result(call), Some(Ok(json!("one"))), "{seed}");
        tried += 1;
    }
    assert!(tried >= 10, "only {tried} lists were lost");
}

#[test]
fn a_call_whose_only_provider_is_gone_waits_for_another_as_long_as_it_may_wait_for_one() {
    let ask = || Ask::new("work", json!([])).idempotent().deadline(secs(60));
    // Its lease runs out, and nobody comes.
    let gone = |seed, ask| {
        let (mut lan, caller, provider, call) = running(seed, ask);
        let began = lan.now();
        lan.crash(provider);
        assert!(lan.run_until(|lan| lan.providers(caller, "work").is_empty(), secs(30)));
        (lan, caller, call, began)
    };
    let (lan, _, call, _) = gone(72, ask());
    assert_eq!(failure(&lan, call).0, ErrorCode::LOST, "a settled node does not wait");
    let (mut lan, _, call, began) = gone(73, ask().wait(secs(40)));
    assert_eq!(lan.result(call), None);
    assert!(lan.run_until(|lan| lan.result(call).is_some(), secs(40)));
    let waited = lan.now().since(began);
    assert!((ms(39_800)..=ms(40_000)).contains(&waited), "{waited:?}");
    let (code, executed, text) = failure(&lan, call);
    assert_eq!((code, executed), (ErrorCode::LOST, Executed::Maybe), "{text}");
    // Another comes in time.
    let (mut lan, caller, call, _) = gone(74, ask().wait(secs(40)));
    lan.add(small("two", work("two", 10)));
    assert!(lan.run_until(|lan| lan.result(call).is_some(), secs(3)));
    assert_eq!(lan.result(call), Some(Ok(json!("two"))));
    assert_eq!(lan.tables(caller).open_calls, 0);
    // The deadline is before that time; its caller gives it up.
    let (mut lan, _, call, began) = gone(75, ask().wait(secs(40)).deadline(secs(30)));
    assert!(lan.run_until(|lan| lan.result(call).is_some(), secs(40)));
    let (code, executed, _) = failure(&lan, call);
    assert_eq!((code, executed), (ErrorCode::TIMEOUT, Executed::Maybe));
    assert!(lan.now().since(began) <= secs(30));
    let (mut lan, _, call, _) = gone(76, ask().wait(secs(40)));
    lan.cancel(call);
    let (code, executed, _) = failure(&lan, call);
    assert_eq!((code, executed), (ErrorCode::CANCELLED, Executed::Maybe));
}

#[test]
fn a_call_refused_by_a_provider_that_goes_down_waits_for_another_as_long_as_it_may() {
    let refused = |seed, ask: Ask| {
        let (mut lan, nodes, caller) = room(seed, vec![slow_once(secs(3))]);
        lan.call(caller, "work", json!([]));
        lan.run_for(ms(5));
        lan.shutdown(nodes[0]);
        let call = lan.ask(caller, ask);
        lan.run_for(secs(1));
        assert_eq!(lan.core(nodes[0]).counters().calls_refused.of(ErrorCode::SHUTTING_DOWN), 1);
        (lan, nodes[0], call)
    };
    let ask = || Ask::new("work", json!([])).deadline(secs(60));
    let (lan, _, call) = refused(77, ask());
    let (code, executed, _) = failure(&lan, call);
    assert_eq!((code, executed), (ErrorCode::SHUTTING_DOWN, Executed::No));
    for place in [Place::Same, Place::New] {
        let (mut lan, provider, call) = refused(78, ask().wait(secs(20)));
        assert_eq!(lan.result(call), None);
        lan.run_for(secs(4));
        lan.restart(provider, place);
        assert!(lan.run_until(|lan| lan.result(call).is_some(), secs(3)), "{place:?}");
        assert_eq!(lan.result(call), Some(Ok(json!("again"))), "{place:?}");
    }
    // Busy is not gone: whoever waits for a provider has found one.
    let (mut lan, _, caller) = room(79, vec![small("one", work("one", 10))]);
    fill(&mut lan, caller, "one", 5000);
    let call = lan.ask(caller, ask().wait(secs(20)));
    lan.run_for(ms(50));
    assert_eq!(failure(&lan, call).0, ErrorCode::BUSY);
}

#[test]
fn of_providers_that_restart_no_more_than_three_are_asked() {
    let names = ["one", "two", "three", "four"];
    let (mut lan, nodes, caller) =
        room(80, names.map(|name| small(name, work(name, 600_000))).to_vec());
    let ask = Ask::new("work", json!([])).idempotent().mode(Mode::Hedged).deadline(secs(30));
    lan.ask(caller, ask);
    // A second has been asked after 1 s.
    lan.run_for(ms(1500));
    // Lost: a third is asked at once. That it is late then is no reason for a fourth.
    lan.restart(nodes[3], Place::Same);
    lan.run_for(secs(3));
    let started = |node: &NodeId| lan.core(*node).counters().tasks_started;
    assert_eq!(nodes.iter().map(started).collect::<Vec<_>>(), [0, 1, 1, 0]);
}

#[test]
fn a_call_that_waits_while_a_peer_restarts_waits_for_its_list_and_goes_to_those_who_are_known() {
    for (seed, mode) in (83..).zip([Mode::All, Mode::Fastest(3), Mode::One]) {
        let specs = vec![small("one", work("one", 10)), small("two", work("two", 10))];
        let (mut lan, _, caller) = room(seed, specs);
        let other = lan.node("other");
        lan.run_for(secs(8));
        lan.restart(other, Place::Same);
        lan.run_for(ms(100));
        let name = if mode == Mode::One { "own" } else { "work" };
        let call = lan.ask(caller, Ask::new(name, json!([1])).mode(mode).deadline(secs(20)));
        // It may offer more than before, and restarts again before that is due.
        lan.run_for(ms(1200));
        lan.restart(other, Place::Same);
        lan.run_for(ms(300));
        if mode == Mode::One {
            lan.register_function(other, Function::new("own", sleep));
        }
        assert!(lan.run_until(|lan| lan.ended(call) != Ended::Open, secs(3)));
        match mode {
            Mode::All => assert_eq!(lan.answers(call).map(|answers| answers.len()), Some(2)),
            _ => assert!(matches!(lan.result(call), Some(Ok(_))), "{:?}", lan.result(call)),
        }
    }
}
