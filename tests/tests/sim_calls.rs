//! What a caller may rely on: promises of calls.

use std::collections::BTreeSet;

use lanc_core::error::{ErrorCode, Executed, Fault};
use lanc_core::event::Event;
use lanc_core::policy::Policy;
use lanc_core::{Class, Mode};
use lanc_testkit::sim::{
    Ask, CallId, Ended, Function, NodeId, Place, Reply, Spec, World, ms, secs,
};
use serde_json::{Value, json};

fn add(args: &[Value]) -> Reply {
    let sum: i64 = args.iter().filter_map(Value::as_i64).sum();
    (ms(1), Ok(json!(sum)))
}

fn echo(args: &[Value]) -> Reply {
    (ms(1), Ok(args.first().cloned().unwrap_or(Value::Null)))
}

/// Sleeps as many milliseconds as its argument says, and returns them.
fn sleep(args: &[Value]) -> Reply {
    let time = args.first().and_then(Value::as_u64).unwrap_or(0);
    (ms(time), Ok(json!(time)))
}

fn fail(_: &[Value]) -> Reply {
    (ms(1), Err(Fault::new(ErrorCode::EXECUTION_ERROR, "can't open the disk")))
}

fn strong(name: &str) -> Spec {
    Spec::new(name)
        .offers(Function::new("add", add))
        .offers(Function::new("echo", echo))
        .offers(Function::new("sleep", sleep))
        .offers(Function::new("fail", fail))
}

/// A provider `a` and a caller `b` that know each other well.
fn pair(seed: u64) -> (World, NodeId, NodeId) {
    let mut lan = World::new(seed);
    let (a, b) = (lan.add(strong("a")), lan.node("b"));
    lan.run_for(secs(8));
    (lan, a, b)
}

fn assert_fails(lan: &World, call: CallId, code: ErrorCode, executed: Executed) {
    let error = lan.failure(call);
    assert_eq!((error.code, error.executed), (code, executed), "{error}");
}

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
fn an_unknown_function_of_a_known_peer_is_not_found() {
    let (mut lan, _, b) = pair(9);
    let call = lan.ask(b, Ask::new("ad", json!([])).to("a"));
    lan.run_for(ms(10));
    assert_fails(&lan, call, ErrorCode::NOT_FOUND, Executed::No);
}

#[test]
fn a_function_withdrawn_meanwhile_is_not_found_at_the_callee() {
    let (mut lan, a, b) = pair(10);
    lan.unregister(a, "add");
    let call = lan.call(b, "add", json!([1]));
    lan.run_for(ms(10));
    assert_fails(&lan, call, ErrorCode::NOT_FOUND, Executed::No);
    assert_eq!(lan.starts(call), 0);
}

#[test]
fn nobody_offers_it_is_said_at_once_by_a_settled_node() {
    let (mut lan, _, b) = pair(11);
    let call = lan.call(b, "nothing", json!([]));
    assert_fails(&lan, call, ErrorCode::NO_PROVIDER, Executed::No);
}

#[test]
fn a_cold_node_waits_a_second_and_a_half_for_a_provider() {
    let mut lan = World::new(12);
    let b = lan.node("b");
    let call = lan.call(b, "add", json!([1, 2]));
    lan.run_for(ms(1499));
    assert_eq!(lan.ended(call), Ended::Open);
    lan.run_for(ms(2));
    assert_fails(&lan, call, ErrorCode::NO_PROVIDER, Executed::No);
}

#[test]
fn a_cold_call_goes_out_as_soon_as_the_provider_is_known() {
    let mut lan = World::new(13);
    lan.add(strong("a"));
    lan.run_for(secs(3));
    let b = lan.node("b");
    let call = lan.call(b, "add", json!([1, 2]));
    assert!(lan.run_until(|lan| lan.result(call) == Some(Ok(json!(3))), ms(100)));
}

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
fn the_latest_of_two_providers_is_called_and_the_conflict_is_told() {
    let (mut lan, _, b) = pair(17);
    let name = |text: &'static str| move |_: &[Value]| (secs(3), Ok(json!(text)));
    let first = lan.add(Spec::new("first").offers(Function::new("who", name("first"))));
    lan.run_for(secs(1));
    let in_flight = lan.call(b, "who", json!([]));
    lan.run_for(secs(1));
    lan.add(Spec::new("second").offers(Function::new("who", name("second"))));
    lan.run_for(secs(1));
    let conflicts = lan
        .events(b)
        .filter(|(_, event)| {
            matches!(event,
            Event::FunctionConflict { function, peer, providers: 2 }
                if function == "who" && peer == "second")
        })
        .count();
    assert_eq!(conflicts, 1);
    assert_eq!(lan.providers(b, "who"), ["second", "first"]);
    let (latest, sticky) = (
        lan.call(b, "who", json!([])),
        lan.ask(b, Ask::new("who", json!([])).policy(Policy::Sticky)),
    );
    lan.run_for(secs(4));
    assert_eq!(lan.result(in_flight), Some(Ok(json!("first"))), "the call in flight was moved");
    assert_eq!(lan.result(latest), Some(Ok(json!("second"))));
    assert_eq!(lan.result(sticky), Some(Ok(json!("first"))));
    lan.crash(first);
    lan.run_for(secs(25));
    assert_eq!(lan.providers(b, "who"), ["second"]);
}

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
fn get_says_not_ready_then_the_result_then_expired() {
    let (mut lan, _, b) = pair(26);
    let call = lan.ask(b, Ask::new("sleep", json!([100])).keeps_result());
    lan.run_for(ms(50));
    assert_eq!(lan.get(call).unwrap_err().code, ErrorCode::NOT_READY);
    lan.run_for(ms(100));
    assert!(lan.get(call).unwrap().is_success());
    assert_eq!(lan.get(call).unwrap_err().code, ErrorCode::RESULT_EXPIRED);
}

#[test]
fn results_nobody_fetches_are_forgotten_by_number_and_by_age() {
    let mut lan = World::new(27);
    lan.add(strong("a"));
    let spec = Spec::new("b").config(|c| c.with_max_results(3).with_result_lifetime(secs(60)));
    let b = lan.add(spec);
    lan.run_for(secs(2));
    let calls: Vec<_> = (0..4)
        .map(|n| {
            let call = lan.ask(b, Ask::new("add", json!([n])).keeps_result());
            lan.run_for(ms(10));
            call
        })
        .collect();
    assert_eq!(lan.tables(b).results, 3);
    assert_eq!(lan.get(calls[0]).unwrap_err().code, ErrorCode::RESULT_EXPIRED);
    assert!(lan.get(calls[1]).is_ok());
    lan.run_for(ms(59_900));
    assert!(lan.get(calls[2]).is_ok());
    lan.run_for(ms(100));
    assert_eq!(lan.get(calls[3]).unwrap_err().code, ErrorCode::RESULT_EXPIRED);
    assert_eq!(lan.tables(b).results, 0);
}

#[test]
fn outcomes_that_come_at_once_all_reach_their_waiters() {
    let mut lan = World::new(36);
    lan.add(strong("a"));
    let b = lan.add(Spec::new("b").config(|c| c.with_max_results(2)));
    lan.run_for(secs(2));
    let calls: Vec<_> = (0..9).map(|_| lan.call(b, "sleep", json!([10_000]))).collect();
    lan.run_for(ms(10));
    lan.shutdown(b);
    for call in calls {
        assert_fails(&lan, call, ErrorCode::CLOSED, Executed::Maybe);
    }
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
