//! Calls to a node that restarts, dies or goes down, and calls of one that does.

use lanc_core::error::{ErrorCode, Executed};
use lanc_testkit::sim::{Ask, Ended, Function, Place, Spec, World, ms, secs};
use serde_json::json;

use super::pair::{assert_fails, pair, sleep};

#[test]
fn a_restarted_callee_refuses_a_call_to_its_earlier_life() {
    let (mut lan, a, b) = pair(14);
    // The call is on its way when the callee dies; the hello of the new life comes later.
    let call = lan.call(b, "add", json!([1, 2]));
    lan.restart(a, Place::Same);
    lan.run_for(ms(50));
    assert_fails(&lan, call, ErrorCode::LOST, Executed::Maybe);
    assert_eq!(lan.starts(call), 0);
    let call = lan.call(b, "add", json!([1, 2]));
    lan.run_for(ms(50));
    assert_eq!(lan.result(call), Some(Ok(json!(3))));
}

#[test]
fn calls_open_at_a_restart_end_as_lost() {
    let (mut lan, a, b) = pair(15);
    let call = lan.call(b, "sleep", json!([10_000]));
    lan.run_for(ms(100));
    lan.restart(a, Place::Same);
    lan.run_for(ms(10));
    assert_fails(&lan, call, ErrorCode::LOST, Executed::Maybe);
}

#[test]
fn calls_open_at_a_silent_death_end_with_the_lease() {
    let (mut lan, a, b) = pair(16);
    let call = lan.call(b, "sleep", json!([60_000]));
    lan.run_for(ms(100));
    lan.crash(a);
    lan.run_for(ms(21_100));
    assert_fails(&lan, call, ErrorCode::LOST, Executed::Maybe);
}

#[test]
fn a_node_that_goes_down_finishes_what_runs_refuses_the_rest_and_leaves_last() {
    let mut lan = World::new(28);
    let spec = Spec::new("a").config(|c| c.with_workers(1));
    let a = lan.add(spec.offers(Function::new("sleep", sleep)));
    let b = lan.node("b");
    lan.run_for(secs(8));
    let runs = lan.call(b, "sleep", json!([1000]));
    let queued = lan.call(b, "sleep", json!([1000]));
    lan.run_for(ms(10));
    lan.record_frames();
    lan.shutdown(a);
    let late = lan.call(b, "sleep", json!([1]));
    lan.run_for(ms(10));
    assert_fails(&lan, queued, ErrorCode::SHUTTING_DOWN, Executed::No);
    assert_fails(&lan, late, ErrorCode::SHUTTING_DOWN, Executed::No);
    assert_eq!(lan.ended(runs), Ended::Open);
    lan.run_for(secs(1));
    assert_eq!(lan.result(runs), Some(Ok(json!(1000))));
    assert!(lan.core(a).is_closed());
    let mine: Vec<_> = lan.frames().filter(|frame| frame.from == a).cloned().collect();
    assert!(mine.last().is_some_and(|frame| frame.has("bye")), "{mine:#?}");
    assert_eq!(mine.iter().filter(|frame| frame.has("bye")).count(), 1);
    lan.run_for(secs(10));
    assert_eq!(lan.frames().filter(|frame| frame.from == a).count(), mine.len());
    assert!(lan.peers(b).is_empty());
}

#[test]
fn going_down_waits_no_longer_than_configured() {
    let (mut lan, a, b) = pair(29);
    let call = lan.call(b, "sleep", json!([60_000]));
    lan.run_for(ms(10));
    lan.shutdown(a);
    lan.run_for(ms(5010));
    assert!(lan.core(a).is_closed());
    // An answer sent before the farewell may come after it.
    lan.run_for(ms(150));
    assert_fails(&lan, call, ErrorCode::LOST, Executed::Maybe);
}

#[test]
fn calls_of_a_node_that_goes_down_end_as_closed() {
    let (mut lan, _, b) = pair(30);
    let sent = lan.call(b, "sleep", json!([10_000]));
    let seeking = lan.ask(b, Ask::new("later", json!([])).wait(secs(20)));
    lan.run_for(ms(10));
    lan.shutdown(b);
    lan.run_for(ms(10));
    assert_fails(&lan, sent, ErrorCode::CLOSED, Executed::Maybe);
    assert_fails(&lan, seeking, ErrorCode::CLOSED, Executed::No);
    let after = lan.call(b, "add", json!([1]));
    assert_fails(&lan, after, ErrorCode::CLOSED, Executed::No);
}
