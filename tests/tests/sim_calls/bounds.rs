//! What is bounded: the queue for the workers and who stands in it, open calls, frames.

use lanc_core::Class;
use lanc_core::error::{ErrorCode, Executed};
use lanc_testkit::sim::{Ask, Ended, Function, Spec, World, ms, secs};
use serde_json::{Value, json};

use super::pair::{assert_fails, echo, pair, sleep, strong};

#[test]
fn a_full_queue_says_busy_and_when_to_come_again() {
    let mut lan = World::new(22);
    let a = lan.add(
        Spec::new("a")
            .config(|c| c.with_workers(2).with_max_queued(3))
            .offers(Function::new("sleep", sleep)),
    );
    let b = lan.node("b");
    lan.run_for(secs(2));
    let accepted: Vec<_> = (0..5).map(|_| lan.call(b, "sleep", json!([200]))).collect();
    lan.run_for(ms(10));
    assert_eq!((lan.tables(a).running, lan.tables(a).queued), (2, 3));
    let refused = lan.call(b, "sleep", json!([200]));
    lan.run_for(ms(10));
    assert_fails(&lan, refused, ErrorCode::BUSY, Executed::No);
    assert!(lan.failure(refused).retry_after.is_some_and(|after| after >= ms(10)));
    lan.run_for(secs(1));
    for call in accepted {
        assert_eq!(lan.result(call), Some(Ok(json!(200))));
    }
}

#[test]
fn arguments_in_the_queue_are_bounded_in_bytes() {
    let mut lan = World::new(23);
    let spec = Spec::new("a").config(|c| c.with_workers(1).with_max_queued_bytes(2048));
    let a = lan.add(spec.offers(Function::new("wait", |_| (secs(1), Ok(Value::Null)))));
    let b = lan.node("b");
    lan.run_for(secs(2));
    // `["xxx...x"]` takes four bytes more than its letters: 1024 in all.
    let args = json!(["x".repeat(1020)]);
    let accepted: Vec<_> = (0..3).map(|_| lan.call(b, "wait", args.clone())).collect();
    lan.run_for(ms(10));
    assert_eq!((lan.tables(a).running, lan.tables(a).queued), (1, 2));
    let refused = lan.call(b, "wait", json!([1]));
    lan.run_for(ms(10));
    assert_fails(&lan, refused, ErrorCode::BUSY, Executed::No);
    lan.run_for(secs(4));
    assert!(accepted.iter().all(|call| lan.result(*call) == Some(Ok(Value::Null))));
}

#[test]
fn open_calls_are_bounded_in_all_and_per_peer() {
    let mut lan = World::new(24);
    lan.add(strong("a"));
    let b = lan.add(Spec::new("b").config(|c| c.with_max_calls(4).with_max_calls_per_peer(2)));
    lan.run_for(secs(2));
    let calls: Vec<_> = (0..3).map(|_| lan.call(b, "sleep", json!([100]))).collect();
    assert_fails(&lan, calls[2], ErrorCode::BUSY, Executed::No);
    let seeking: Vec<_> =
        (0..3).map(|_| lan.ask(b, Ask::new("later", json!([])).wait(secs(1)))).collect();
    assert_fails(&lan, seeking[2], ErrorCode::BUSY, Executed::No);
    lan.run_for(secs(2));
    assert_eq!(lan.result(calls[1]), Some(Ok(json!(100))));
    assert_fails(&lan, seeking[0], ErrorCode::NO_PROVIDER, Executed::No);
    assert_eq!(lan.tables(b).open_calls, 0);
}

#[test]
fn what_does_not_fit_a_frame_is_too_large() {
    let (mut lan, a, b) = pair(25);
    let long = "x".repeat(1400);
    let call = lan.call(b, "echo", json!([long]));
    lan.run_for(ms(10));
    assert_fails(&lan, call, ErrorCode::TOO_LARGE, Executed::No);
    assert_eq!(lan.starts(call), 0);
    let body = |_: &[Value]| (ms(1), Ok(json!("x".repeat(1400))));
    lan.register(a, "long", body);
    lan.run_for(secs(2));
    let call = lan.call(b, "long", json!([]));
    lan.run_for(ms(10));
    assert_fails(&lan, call, ErrorCode::TOO_LARGE, Executed::Yes);
}

#[test]
fn async_and_inline_functions_do_not_wait_for_the_workers() {
    let mut lan = World::new(34);
    let spec = Spec::new("a")
        .config(|c| c.with_workers(1))
        .offers(Function::new("sleep", sleep))
        .offers(Function::new("quick", echo).class(Class::Inline))
        .offers(Function::new("soon", sleep).class(Class::Async));
    lan.add(spec);
    let b = lan.node("b");
    lan.run_for(secs(2));
    let long = lan.call(b, "sleep", json!([1000]));
    lan.run_for(ms(10));
    let quick = lan.call(b, "quick", json!(["now"]));
    let soon: Vec<_> = (0..10).map(|_| lan.call(b, "soon", json!([100]))).collect();
    lan.run_for(ms(110));
    assert_eq!(lan.result(quick), Some(Ok(json!("now"))));
    assert!(soon.iter().all(|call| lan.result(*call) == Some(Ok(json!(100)))));
    assert_eq!(lan.ended(long), Ended::Open);
}
