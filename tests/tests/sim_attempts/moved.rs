//! A call that has not run where it was sent goes on to another provider; how often, and when not.

use lanc_core::Mode;
use lanc_core::error::{ErrorCode, Executed};
use lanc_core::policy::Policy;
use lanc_testkit::sim::{Ask, Function, Spec, World, ms, secs};
use serde_json::json;

use super::room::{failure, fill, order, room, sleep, small, work};

#[test]
fn a_busy_provider_sends_the_call_on_and_the_body_runs_once() {
    let (mut lan, nodes, caller) =
        room(1, vec![small("one", work("one", 10)), small("two", work("two", 10))]);
    assert_eq!(order(&lan, caller), ["two", "one"]);
    fill(&mut lan, caller, "two", 2000);
    let call = lan.call(caller, "work", json!([]));
    lan.run_for(ms(50));
    assert_eq!(lan.result(call), Some(Ok(json!("one"))));
    assert_eq!(lan.starts(call), 1);
    assert_eq!(lan.core(caller).counters().calls_moved, 1);
    assert_eq!(lan.core(nodes[1]).counters().tasks_refused, 1);
}

#[test]
fn a_withdrawn_function_and_a_node_that_goes_down_send_the_call_on() {
    let (mut lan, nodes, caller) =
        room(2, vec![small("one", work("one", 10)), small("two", work("two", 10))]);
    lan.unregister(nodes[1], "work");
    let call = lan.call(caller, "work", json!([]));
    lan.run_for(ms(50));
    assert_eq!(lan.result(call), Some(Ok(json!("one"))));
    let (mut lan, nodes, caller) =
        room(3, vec![small("one", work("one", 10)), small("two", work("two", 10))]);
    lan.call(caller, "own_two", json!([2000]));
    lan.run_for(ms(5));
    lan.shutdown(nodes[1]);
    let call = lan.call(caller, "work", json!([]));
    lan.run_for(ms(50));
    assert_eq!(lan.result(call), Some(Ok(json!("one"))));
}

#[test]
fn this_node_s_own_full_queue_sends_the_call_on_with_its_arguments() {
    let mut lan = World::new(4);
    lan.add(Spec::new("other").offers(Function::new("sleep", sleep)));
    lan.run_for(secs(1));
    let me = lan.add(
        Spec::new("me")
            .config(|c| c.with_workers(1).with_max_queued(1))
            .offers(Function::new("sleep", sleep)),
    );
    lan.run_for(secs(8));
    let own: Vec<_> = (0..2).map(|_| lan.call(me, "sleep", json!([500]))).collect();
    let call = lan.call(me, "sleep", json!([17]));
    lan.run_for(ms(50));
    assert_eq!(lan.result(call), Some(Ok(json!(17))));
    lan.run_for(secs(2));
    assert!(own.iter().all(|call| lan.result(*call) == Some(Ok(json!(500)))));
}

#[test]
fn a_call_asks_three_providers_and_tells_of_each_that_failed() {
    let names = ["one", "two", "three", "four"];
    let specs = names.map(|name| small(name, work(name, 10))).to_vec();
    let (mut lan, _, caller) = room(5, specs);
    for name in ["two", "three", "four"] {
        fill(&mut lan, caller, name, 5000);
    }
    let call = lan.call(caller, "work", json!([]));
    lan.run_for(ms(50));
    let (code, executed, text) = failure(&lan, call);
    assert_eq!((code, executed), (ErrorCode::BUSY, Executed::No));
    assert!(text.starts_with("all 3 providers failed: `four` busy: "), "{text}");
    assert!(text.contains("; `three` busy: ") && text.contains("; `two` busy: "), "{text}");
    assert!(lan.failure(call).retry_after.is_some());
    assert_eq!(lan.starts(call), 0);
    assert_eq!(lan.core(caller).counters().calls_moved, 2);
}

#[test]
fn how_many_are_asked_is_a_setting() {
    let names = ["a", "b", "c", "d", "e", "f"];
    for most in [1, 2, 5] {
        let specs = names.map(|name| small(name, work(name, 10))).to_vec();
        let (mut lan, _, _) = room(30, specs);
        let caller = lan.add(Spec::new("another").config(|c| c.with_max_attempts(most)));
        lan.run_for(secs(8));
        for name in names {
            fill(&mut lan, caller, name, 5000);
        }
        let call = lan.call(caller, "work", json!([]));
        lan.run_for(ms(50));
        assert_eq!(failure(&lan, call).0, ErrorCode::BUSY);
        let moved = u64::try_from(most - 1).unwrap();
        assert_eq!(lan.core(caller).counters().calls_moved, moved);
    }
}

#[test]
fn a_call_to_one_peer_never_moves() {
    let (mut lan, _, caller) =
        room(6, vec![small("one", work("one", 10)), small("two", work("two", 10))]);
    fill(&mut lan, caller, "two", 2000);
    let call = lan.ask(caller, Ask::new("work", json!([])).to("two").idempotent());
    lan.run_for(ms(50));
    assert_eq!(failure(&lan, call).0, ErrorCode::BUSY);
    assert_eq!(lan.core(caller).counters().calls_moved, 0);
}

#[test]
fn a_peer_that_fails_too_often_is_sent_no_more_retries_nor_copies() {
    let (mut lan, nodes, caller) =
        room(23, vec![small("one", work("one", 10)), small("two", work("two", 10))]);
    for name in ["one", "two"] {
        fill(&mut lan, caller, name, 9000);
    }
    let refused = |lan: &World| {
        nodes.iter().map(|n| lan.core(*n).counters().tasks_refused).collect::<Vec<_>>()
    };
    // Both refuse each of the first six; then half of ten tokens are gone.
    for _ in 0..6 {
        lan.call(caller, "work", json!([]));
        lan.run_for(ms(5));
    }
    assert_eq!(refused(&lan), [6, 6]);
    let call = lan.call(caller, "work", json!([]));
    lan.run_for(ms(5));
    assert_eq!(refused(&lan), [6, 7]);
    assert!(failure(&lan, call).2.ends_with("they have failed too often of late"));
    assert_eq!(lan.core(caller).counters().retries_withheld, 1);
    let call = lan.ask(caller, Ask::new("work", json!([])).mode(Mode::Fastest(2)));
    lan.run_for(ms(5));
    assert_eq!(failure(&lan, call).0, ErrorCode::BUSY);
    assert_eq!(refused(&lan), [6, 8]);
    // First attempts are never withheld, and earn the budget back.
    lan.run_for(secs(19));
    for _ in 0..100 {
        let call = lan.ask(caller, Ask::new("work", json!([])).policy(Policy::Sticky));
        assert!(lan.run_until(|lan| lan.result(call).is_some(), secs(1)));
    }
    fill(&mut lan, caller, "two", 1000);
    let call = lan.call(caller, "work", json!([]));
    lan.run_for(ms(50));
    assert_eq!(lan.result(call), Some(Ok(json!("one"))));
}
