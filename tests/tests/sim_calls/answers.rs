//! A call and what it brings: a result, a failure, or nothing if it is one way; and a ping.

use lanc_core::Mode;
use lanc_core::error::{ErrorCode, Executed};
use lanc_testkit::sim::{Ask, Ended, ms, secs};
use serde_json::{Value, json};

use super::pair::{assert_fails, pair};

#[test]
fn a_call_returns_its_result_in_two_datagrams() {
    let (mut lan, _, b) = pair(1);
    let before = lan.traffic().unicasts;
    let call = lan.call(b, "add", json!([1, 2]));
    lan.run_for(ms(5));
    assert_eq!(lan.result(call), Some(Ok(json!(3))));
    assert_eq!(lan.traffic().unicasts - before, 2);
}

#[test]
fn a_failing_function_says_so_and_that_it_ran() {
    let (mut lan, _, b) = pair(2);
    let call = lan.call(b, "fail", json!([]));
    lan.run_for(ms(5));
    assert_fails(&lan, call, ErrorCode::EXECUTION_ERROR, Executed::Yes);
    assert_eq!(lan.failure(call).message, "can't open the disk");
}

#[test]
fn calls_that_are_ready_together_share_a_frame_each_way() {
    let (mut lan, a, b) = pair(3);
    lan.pause(b);
    let calls: Vec<_> = (0..4).map(|n| lan.call(b, "add", json!([n, 1]))).collect();
    let before = lan.sent(b).unicasts;
    lan.resume(b);
    lan.run_for(ms(10));
    assert_eq!(lan.sent(b).unicasts - before, 1);
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(lan.result(call), Some(Ok(json!(n + 1))));
    }
    assert!(lan.core(a).counters().calls_received >= 4);
}

#[test]
fn a_call_to_oneself_sends_no_frame() {
    let (mut lan, a, _) = pair(4);
    let before = lan.traffic().unicasts;
    let call = lan.call(a, "add", json!([20, 22]));
    lan.run_for(ms(5));
    assert_eq!(lan.result(call), Some(Ok(json!(42))));
    assert_eq!(lan.traffic().unicasts, before);
}

#[test]
fn one_way_is_over_once_it_has_left_and_is_never_answered() {
    let (mut lan, a, b) = pair(21);
    let before = lan.sent(a).unicasts;
    let good = lan.ask(b, Ask::new("add", json!([1, 2])).mode(Mode::OneWay));
    assert_eq!(lan.result(good), Some(Ok(Value::Null)));
    let bad = lan.ask(b, Ask::new("fail", json!([])).mode(Mode::OneWay));
    lan.run_for(secs(1));
    assert_eq!(lan.starts(good), 0, "a one-way call carries an id nobody needs");
    assert_eq!(lan.core(a).counters().tasks_started, 2);
    assert_eq!(lan.sent(a).unicasts, before);
    assert!(matches!(lan.ended(bad), Ended::At(_)));
}

#[test]
fn a_ping_measures_the_round_trip_and_a_lost_one_ends() {
    let (mut lan, a, b) = pair(31);
    let ping = lan.ping(b, "a");
    lan.run_for(ms(10));
    assert_eq!(lan.pong(ping), Some(Some(std::time::Duration::from_micros(400))));
    lan.cut(a, b);
    let ping = lan.ping(b, "a");
    lan.run_for(ms(5001));
    assert_eq!(lan.pong(ping), Some(None));
    let nobody = lan.ping(b, "nobody");
    assert_eq!(lan.pong(nobody), Some(None));
}

#[test]
fn a_paused_caller_gets_the_answer_that_waited_in_its_socket() {
    let (mut lan, _, b) = pair(32);
    let call = lan.ask(b, Ask::new("sleep", json!([100])).deadline(secs(2)));
    lan.run_for(ms(10));
    lan.pause(b);
    lan.run_for(secs(3));
    assert_eq!(lan.ended(call), Ended::Open);
    lan.resume(b);
    assert_eq!(lan.result(call), Some(Ok(json!(100))));
}
