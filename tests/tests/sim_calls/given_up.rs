//! Calls that are given up: by their deadline, by who made them, by a caller that leaves.

use lanc_core::Mode;
use lanc_core::error::{ErrorCode, Executed};
use lanc_testkit::sim::{Ask, Ended, Function, Spec, World, ms, secs};
use serde_json::json;

use super::pair::{add, assert_fails, pair, sleep};

#[test]
fn the_deadline_ends_a_call_without_an_answer_as_timeout_maybe() {
    let (mut lan, a, b) = pair(5);
    let call = lan.ask(b, Ask::new("sleep", json!([60_000])).deadline(ms(700)));
    let at = lan.now();
    lan.run_for(secs(1));
    assert_fails(&lan, call, ErrorCode::TIMEOUT, Executed::Maybe);
    assert_eq!(lan.ended(call), Ended::At(at + ms(700)));
    // The function runs on and keeps its place; its late result is dropped.
    assert_eq!(lan.tables(a).running, 1);
    lan.run_for(secs(70));
    assert_eq!(lan.tables(a).running, 0);
    assert_eq!(lan.starts(call), 1);
}

#[test]
fn a_lost_answer_is_a_timeout_that_may_have_run() {
    let (mut lan, a, b) = pair(6);
    lan.cut_one_way(a, b);
    let call = lan.ask(b, Ask::new("add", json!([1, 2])).deadline(secs(2)));
    lan.run_for(secs(3));
    assert_fails(&lan, call, ErrorCode::TIMEOUT, Executed::Maybe);
    assert_eq!(lan.starts(call), 1);
}

#[test]
fn a_cancelled_function_is_told_and_a_queued_one_never_runs() {
    let mut lan = World::new(7);
    let sleeper = Function::new("sleep", sleep).stops_when_cancelled();
    let a = lan.add(Spec::new("a").config(|c| c.with_workers(1)).offers(sleeper));
    let b = lan.node("b");
    lan.run_for(secs(2));
    let runs = lan.call(b, "sleep", json!([20_000]));
    let waits = lan.call(b, "sleep", json!([20_000]));
    lan.run_for(ms(10));
    assert_eq!((lan.tables(a).running, lan.tables(a).queued), (1, 1));
    lan.cancel(waits);
    lan.cancel(runs);
    lan.run_for(ms(10));
    assert_fails(&lan, runs, ErrorCode::CANCELLED, Executed::Maybe);
    assert_fails(&lan, waits, ErrorCode::CANCELLED, Executed::Maybe);
    assert_eq!((lan.tables(a).running, lan.tables(a).queued), (0, 0));
    assert_eq!((lan.starts(runs), lan.starts(waits)), (1, 0));
}

/// Its farewell may overtake what it says of them.
#[test]
fn calls_of_a_caller_that_leaves_are_cancelled_and_one_way_ones_are_not() {
    let mut lan = World::new(7);
    let sleeper = Function::new("sleep", sleep).stops_when_cancelled();
    let spec = Spec::new("a").config(|c| c.with_workers(1)).offers(sleeper);
    let a = lan.add(spec.offers(Function::new("add", add)));
    let b = lan.node("b");
    lan.run_for(secs(2));
    let runs = lan.call(b, "sleep", json!([20_000]));
    let waits = lan.call(b, "sleep", json!([20_000]));
    lan.ask(b, Ask::new("add", json!([1, 2])).mode(Mode::OneWay));
    lan.run_for(ms(10));
    assert_eq!((lan.tables(a).running, lan.tables(a).queued), (1, 2));
    lan.shutdown(b);
    lan.run_for(ms(50));
    assert_eq!((lan.tables(a).running, lan.tables(a).queued), (0, 0));
    assert_eq!((lan.starts(runs), lan.starts(waits)), (1, 0));
    assert_eq!(lan.core(a).counters().tasks_started, 2);
}

#[test]
fn a_cancelled_call_keeps_its_place_until_the_function_ends() {
    let mut lan = World::new(8);
    let spec = Spec::new("a").config(|c| c.with_workers(1));
    let a = lan.add(spec.offers(Function::new("sleep", sleep)));
    let b = lan.node("b");
    lan.run_for(secs(2));
    let first = lan.call(b, "sleep", json!([1000]));
    lan.run_for(ms(10));
    lan.cancel(first);
    let second = lan.call(b, "sleep", json!([5]));
    lan.run_for(ms(500));
    assert_eq!(lan.tables(a).running, 1);
    assert_eq!(lan.starts(second), 0);
    lan.run_for(secs(1));
    assert_eq!(lan.result(second), Some(Ok(json!(5))));
}

#[test]
fn work_whose_time_is_up_in_the_queue_is_not_started() {
    let mut lan = World::new(33);
    let spec = Spec::new("a").config(|c| c.with_workers(1));
    let a = lan.add(spec.offers(Function::new("sleep", sleep)));
    let b = lan.node("b");
    lan.run_for(secs(2));
    let long = lan.call(b, "sleep", json!([1000]));
    let short = lan.ask(b, Ask::new("sleep", json!([1])).deadline(ms(300)));
    lan.run_for(secs(2));
    assert!(lan.result(long).is_some_and(|result| result.is_ok()));
    assert_eq!(lan.failure(short).code, ErrorCode::TIMEOUT);
    assert_eq!(lan.starts(short), 0);
    assert_eq!(lan.core(a).counters().tasks_started, 1);
}
