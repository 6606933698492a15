//! When a call goes to another provider, or to several, and when it must not.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lanc_core::error::{ErrorCode, Executed, Fault};
use lanc_core::policy::Policy;
use lanc_core::{Class, Mode};
use lanc_testkit::sim::{
    Ask, CallId, Dice, Ended, Function, NodeId, Place, Reply, Rules, Spec, World, ms, secs,
};
use serde_json::{Value, json};

/// Takes as long as its argument says.
fn sleep(args: &[Value]) -> Reply {
    let time = args.first().and_then(Value::as_u64).unwrap_or(0);
    (ms(time), Ok(json!(time)))
}

/// A function that takes so long and returns who ran it.
fn work(name: &'static str, time: u64) -> Function {
    Function::new("work", move |_| (ms(time), Ok(json!(name)))).stops_when_cancelled()
}

/// A provider with one worker and room for one more call.
fn small(name: &'static str, function: Function) -> Spec {
    let spec = Spec::new(name).config(|c| c.with_workers(1).with_max_queued(1));
    spec.offers(function).offers(Function::new(&format!("own_{name}"), sleep))
}

/// Providers, the last of which is the latest announcer, and a caller that knows them.
fn room(seed: u64, specs: Vec<Spec>) -> (World, Vec<NodeId>, NodeId) {
    let mut lan = World::new(seed);
    let caller = lan.node("caller");
    let mut nodes = Vec::new();
    for spec in specs {
        lan.run_for(secs(1));
        nodes.push(lan.add(spec));
    }
    lan.run_for(secs(8));
    (lan, nodes, caller)
}

/// Fills a small provider: one call runs for so long, one waits.
fn fill(lan: &mut World, caller: NodeId, name: &str, time: u64) -> [CallId; 2] {
    let own = format!("own_{name}");
    [0, 1].map(|_| {
        let call = lan.call(caller, &own, json!([time]));
        lan.run_for(ms(5));
        call
    })
}

/// The order in which the policy `latest` asks.
fn order(lan: &World, caller: NodeId) -> Vec<String> {
    lan.providers(caller, "work")
}

fn failure(lan: &World, call: CallId) -> (ErrorCode, Executed, String) {
    let error = lan.failure(call);
    (error.code, error.executed, error.message)
}

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
fn a_long_list_of_functions_that_may_run_again_is_known_whole() {
    let mut lan = World::new(31);
    let b = lan.node("b");
    let name = |number: usize| format!("f{number}");
    let spec = (0..1000).fold(Spec::new("a"), |spec, number| {
        let function = Function::new(&name(number), sleep);
        spec.offers(if number % 3 == 0 { function } else { function.idempotent() })
    });
    let a = lan.add(spec);
    lan.run_for(secs(8));
    let functions = lan.core(b).functions();
    assert_eq!(functions.len(), 1000);
    for number in 0..1000 {
        let function = functions.iter().find(|f| f.name == name(number)).unwrap();
        assert_eq!(function.idempotent, number % 3 != 0, "{function:?}");
    }
    // Said otherwise anew, it is otherwise.
    lan.register_function(a, Function::new("f1", sleep));
    lan.register_function(a, Function::new("f3", sleep).idempotent());
    lan.run_for(secs(8));
    let idempotent =
        |name: &str| lan.core(b).functions().iter().any(|f| f.name == name && f.idempotent);
    assert_eq!(["f1", "f2", "f3"].map(idempotent), [false, true, true]);
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
fn what_may_have_run_never_moves_without_idempotent() {
    let (mut lan, nodes, caller) =
        room(7, vec![small("one", work("one", 10)), small("two", work("two", 60_000))]);
    let silent = lan.ask(caller, Ask::new("work", json!([])).deadline(secs(5)));
    lan.run_for(secs(6));
    assert_eq!(failure(&lan, silent).0, ErrorCode::TIMEOUT);
    let call = lan.call(caller, "work", json!([]));
    lan.run_for(ms(50));
    lan.crash(nodes[1]);
    lan.run_for(secs(29));
    let (code, executed, _) = failure(&lan, call);
    assert_eq!((code, executed), (ErrorCode::LOST, Executed::Maybe));
    assert_eq!(lan.core(caller).counters().calls_moved, 0);
    assert_eq!(lan.core(nodes[0]).counters().tasks_started, 0);
}

#[test]
fn a_refusal_that_does_not_say_no_is_final_without_idempotent() {
    let unsure = |_: &[Value]| {
        let fault = Fault { executed: Executed::Maybe, ..Fault::new(ErrorCode::BUSY, "who knows") };
        (ms(1), Err(fault))
    };
    let (mut lan, nodes, caller) =
        room(32, vec![small("one", work("one", 10)), small("two", Function::new("work", unsure))]);
    let call = lan.call(caller, "work", json!([]));
    lan.run_for(ms(50));
    let (code, executed, _) = failure(&lan, call);
    assert_eq!((code, executed), (ErrorCode::BUSY, Executed::Maybe));
    assert_eq!(lan.core(nodes[0]).counters().tasks_started, 0);
    let call = lan.ask(caller, Ask::new("work", json!([])).idempotent());
    lan.run_for(ms(50));
    assert_eq!(lan.result(call), Some(Ok(json!("one"))));
}

#[test]
fn a_call_given_up_may_have_run_where_a_copy_of_it_is() {
    let (mut lan, nodes, _) =
        room(33, vec![small("one", work("one", 60_000)), small("two", work("two", 60_000))]);
    let caller = lan.add(Spec::new("another").config(|c| c.with_max_attempts(2)));
    lan.run_for(secs(8));
    // The call waits in the queue of the first provider, whichever that is, and its copy runs at
    // the second.
    let first = order(&lan, caller).remove(0);
    let (at_first, at_second) =
        if first == "one" { (nodes[0], nodes[1]) } else { (nodes[1], nodes[0]) };
    lan.ask(caller, Ask::new(&format!("own_{first}"), json!([20_000])).to(&first));
    let call = lan.ask(caller, Ask::new("work", json!([])).idempotent());
    lan.run_for(ms(14_990));
    assert_eq!(lan.tables(at_second).running, 0);
    lan.run_for(ms(20));
    assert_eq!(lan.tables(at_second).running, 1);
    lan.shutdown(at_first);
    lan.run_for(ms(50));
    assert_eq!(lan.result(call), None);
    lan.cancel(call);
    lan.run_for(ms(10));
    let (code, executed, text) = failure(&lan, call);
    assert_eq!((code, executed), (ErrorCode::CANCELLED, Executed::Maybe));
    assert!(text.contains(&format!("before that `{first}` shutting_down: ")), "{text}");
    assert_eq!(lan.tables(at_second).running, 0);
}

#[test]
fn a_failing_function_is_final_even_when_it_may_run_again() {
    let fails = |_: &[Value]| (ms(1), Err(Fault::new(ErrorCode::EXECUTION_ERROR, "no disk")));
    let failing = Function::new("work", fails).idempotent();
    let (mut lan, nodes, caller) =
        room(8, vec![small("one", work("one", 10).idempotent()), small("two", failing)]);
    let call = lan.ask(caller, Ask::new("work", json!([])).idempotent());
    lan.run_for(ms(50));
    let (code, executed, text) = failure(&lan, call);
    assert_eq!(
        (code, executed, text.as_str()),
        (ErrorCode::EXECUTION_ERROR, Executed::Yes, "no disk")
    );
    assert_eq!(lan.core(nodes[0]).counters().tasks_started, 0);
}

/// A call whose callee dies while it runs, and what became of it.
fn after_a_death(seed: u64, first: Function, second: Function, ask: Ask) -> (World, CallId) {
    let (mut lan, nodes, caller) = room(seed, vec![small("one", first), small("two", second)]);
    // The share of each attempt ends long after the callee is known to be gone.
    let call = lan.ask(caller, ask.deadline(secs(600)));
    lan.run_for(ms(50));
    lan.crash(nodes[1]);
    lan.run_for(secs(61));
    (lan, call)
}

#[test]
fn a_lost_idempotent_call_goes_on_where_it_may() {
    let plain = || Ask::new("work", json!([]));
    let (one, two) = (work("one", 10), work("two", 90_000));
    let (lan, call) = after_a_death(9, one.clone(), two.clone(), plain().idempotent());
    assert_eq!(lan.result(call), Some(Ok(json!("one"))));
    // Announced by both is as good as marked by the caller.
    let announced = (one.clone().idempotent(), two.clone().idempotent());
    let (lan, call) = after_a_death(10, announced.0, announced.1, plain());
    assert_eq!(lan.result(call), Some(Ok(json!("one"))));
    // Announced by one of them is not.
    let (lan, call) = after_a_death(11, one, two.idempotent(), plain());
    let (code, executed, _) = failure(&lan, call);
    assert_eq!((code, executed), (ErrorCode::LOST, Executed::Maybe));
}

#[test]
fn a_late_call_is_not_stale_where_later_ones_have_been() {
    let (mut lan, nodes, caller) =
        room(35, vec![small("one", work("one", 10)), small("two", work("two", 90_000))]);
    let ask = Ask::new("work", json!([])).idempotent().deadline(secs(600));
    let call = lan.ask(caller, ask.keeps_result());
    lan.run_for(ms(50));
    lan.crash(nodes[1]);
    // Nobody waits for any of these any more when the call comes after them.
    for _ in 0..20 {
        let other = lan.call(caller, "own_one", json!([1]));
        lan.run_for(secs(2));
        assert_eq!(lan.result(other), Some(Ok(json!(1))));
    }
    // The application knows it by the id that it began with.
    assert!(lan.get(call).is_ok_and(|outcome| outcome.is_success()));
    assert_eq!(lan.core(caller).counters().calls_moved, 1);
}

#[test]
fn a_function_announced_anew_is_known_as_what_it_is() {
    let (mut lan, nodes, caller) =
        room(12, vec![small("one", work("one", 10)), small("two", work("two", 90_000))]);
    for (node, function) in [(0, work("one", 10)), (1, work("two", 90_000))] {
        lan.register_function(nodes[node], function.idempotent());
    }
    lan.run_for(secs(8));
    let call = lan.ask(caller, Ask::new("work", json!([])).deadline(secs(600)));
    lan.run_for(ms(50));
    lan.crash(nodes[1]);
    lan.run_for(secs(61));
    assert_eq!(lan.result(call), Some(Ok(json!("one"))));
}

#[test]
fn a_silent_provider_has_its_share_of_the_deadline() {
    let (mut lan, nodes, caller) = room(
        13,
        vec![
            small("one", work("one", 10)),
            small("two", work("two", 60_000)),
            small("three", work("three", 60_000)),
        ],
    );
    let began = lan.now();
    let ask = Ask::new("work", json!([])).idempotent().deadline(secs(9));
    let call = lan.ask(caller, ask);
    // A third of nine seconds, then half of six.
    lan.run_for(ms(2990));
    assert_eq!(lan.tables(nodes[1]).running, 0);
    lan.run_for(ms(20));
    assert_eq!((lan.tables(nodes[2]).running, lan.tables(nodes[1]).running), (1, 1));
    lan.run_for(ms(2980));
    assert_eq!(lan.core(nodes[0]).counters().tasks_started, 0);
    assert!(lan.run_until(|lan| lan.result(call) == Some(Ok(json!("one"))), ms(60)));
    assert!(lan.now() < began + ms(6060));
    // Those that lost are told.
    lan.run_for(ms(10));
    assert_eq!((lan.tables(nodes[1]).running, lan.tables(nodes[2]).running), (0, 0));
    assert_eq!(lan.tables(caller).open_calls, 0);
    assert_eq!(lan.core(caller).counters().calls_copied, 2);
}

#[test]
fn the_first_provider_may_still_win_after_its_share() {
    let (mut lan, nodes, caller) =
        room(14, vec![small("one", work("one", 60_000)), small("two", work("two", 5000))]);
    let call = lan.ask(caller, Ask::new("work", json!([])).idempotent().deadline(secs(9)));
    lan.run_for(ms(5010));
    assert_eq!(lan.result(call), Some(Ok(json!("two"))));
    lan.run_for(ms(10));
    assert_eq!(lan.tables(nodes[0]).running, 0, "the copy was not taken back");
    assert_eq!(lan.tables(caller).open_calls, 0);
}

#[test]
fn the_deadline_is_one_for_all_attempts_and_executed_is_the_most_of_them() {
    let (mut lan, _, caller) = room(
        15,
        vec![
            small("one", work("one", 60_000)),
            small("two", work("two", 60_000)),
            small("three", work("three", 60_000)),
        ],
    );
    fill(&mut lan, caller, "three", 20_000);
    let began = lan.now();
    let call = lan.ask(caller, Ask::new("work", json!([])).idempotent().deadline(secs(6)));
    lan.run_for(ms(6010));
    assert_eq!(lan.ended(call), Ended::At(began + secs(6)));
    let (code, executed, text) = failure(&lan, call);
    assert_eq!((code, executed), (ErrorCode::TIMEOUT, Executed::Maybe));
    assert!(text.contains("before that `three` busy: "), "{text}");
    lan.run_for(ms(10));
    assert_eq!(lan.tables(caller).open_calls, 2, "but for the two that fill `three`");
}

#[test]
fn of_several_failures_the_one_that_says_most_about_execution_is_told() {
    let (mut lan, nodes, caller) =
        room(16, vec![small("one", work("one", 60_000)), small("two", work("two", 60_000))]);
    fill(&mut lan, caller, "one", 60_000);
    let call = lan.ask(caller, Ask::new("work", json!([])).idempotent().deadline(secs(50)));
    lan.run_for(ms(50));
    lan.crash(nodes[1]);
    lan.run_for(secs(40));
    let (code, executed, text) = failure(&lan, call);
    assert_eq!((code, executed), (ErrorCode::LOST, Executed::Maybe));
    assert!(text.starts_with("all 2 providers failed: "), "{text}");
    assert!(text.contains("`one` busy: ") && text.contains("`two` lost: "), "{text}");
}

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

/// A function that runs on `server` for a call of `client` with this deadline, and a `backend`.
fn chain(seed: u64, deadline: Duration) -> (World, [NodeId; 3], CallId) {
    let outer = Function::new("outer", sleep).class(Class::Async);
    let inner = Function::new("inner", sleep).stops_when_cancelled();
    let (mut lan, nodes, client) =
        room(seed, vec![Spec::new("backend").offers(inner), Spec::new("server").offers(outer)]);
    let call = lan.ask(client, Ask::new("outer", json!([50_000])).deadline(deadline));
    lan.run_for(ms(10));
    (lan, [nodes[0], nodes[1], client], call)
}

#[test]
fn a_nested_call_has_no_more_time_than_the_call_it_serves() {
    let (mut lan, [backend, server, _], outer) = chain(24, secs(2));
    let nested = lan.ask(server, Ask::new("inner", json!([50_000])).within(outer));
    lan.run_for(ms(1980));
    assert_eq!(lan.result(nested), None);
    assert_eq!(lan.tables(backend).running, 1);
    lan.run_for(ms(30));
    assert_eq!(failure(&lan, nested).0, ErrorCode::TIMEOUT);
    assert_eq!(lan.tables(backend).running, 0);
    // What comes after that is not even sent.
    let late = lan.ask(server, Ask::new("inner", json!([1])).within(outer));
    let (code, executed, text) = failure(&lan, late);
    assert_eq!((code, executed), (ErrorCode::TIMEOUT, Executed::No));
    assert!(text.starts_with("the time is up of the call that this function serves"), "{text}");
}

#[test]
fn the_time_of_a_nested_call_is_known_to_its_callee() {
    let (mut lan, [backend, server, _], outer) = chain(34, secs(2));
    lan.ask(server, Ask::new("inner", json!([50_000])).within(outer));
    lan.run_for(ms(10));
    lan.crash(server);
    lan.run_for(ms(1960));
    assert_eq!(lan.tables(backend).running, 1);
    lan.run_for(ms(40));
    assert_eq!(lan.tables(backend).running, 0);
}

#[test]
fn a_nested_call_with_less_time_of_its_own_keeps_it() {
    let (mut lan, [_, server, _], outer) = chain(25, secs(20));
    let began = lan.now();
    let ask = Ask::new("inner", json!([50_000])).within(outer).deadline(secs(1));
    let nested = lan.ask(server, ask);
    lan.run_for(secs(2));
    assert_eq!(lan.ended(nested), Ended::At(began + secs(1)));
    assert_eq!(lan.result(outer), None);
}

#[test]
fn a_nested_call_is_cancelled_with_the_call_it_serves() {
    let (mut lan, [backend, server, _], outer) = chain(26, secs(30));
    let nested = lan.ask(server, Ask::new("inner", json!([50_000])).within(outer));
    let other = lan.ask(server, Ask::new("inner", json!([50_000])));
    lan.run_for(ms(10));
    assert_eq!(lan.tables(backend).running, 2);
    lan.cancel(outer);
    lan.run_for(ms(10));
    let (code, executed, _) = failure(&lan, nested);
    assert_eq!((code, executed), (ErrorCode::CANCELLED, Executed::Maybe));
    assert_eq!(lan.tables(backend).running, 1);
    assert_eq!(lan.result(other), None);
    let late = lan.ask(server, Ask::new("inner", json!([1])).within(outer));
    let (code, executed, _) = failure(&lan, late);
    assert_eq!((code, executed), (ErrorCode::CANCELLED, Executed::No));
}

/// Five nodes with little room that all offer `work`, and a network in trouble.
fn crowd(seed: u64) -> (u64, usize) {
    let mut lan = World::new(seed);
    let mut dice = Dice::new(seed, 11);
    let spec = |number: usize| {
        let work = Function::new("work", sleep).stops_when_cancelled();
        let spec = Spec::new(&format!("n{number}")).offers(work);
        spec.config(|c| c.with_workers(1).with_max_queued(1))
    };
    let nodes: Vec<_> = (0..5).map(|number| lan.add(spec(number))).collect();
    let callers = [lan.node("one"), lan.node("two")];
    lan.run_for(secs(3));
    let loss = u32::try_from(dice.below(200)).unwrap_or(0);
    lan.rules(Rules::default().loss(loss).delay(ms(0)..=ms(1 + dice.below(50))));
    let mut calls = Vec::new();
    for _ in 0..200 {
        let node = nodes[dice.place(nodes.len())];
        match dice.below(40) {
            0 => lan.restart(node, Place::Same),
            1 => lan.pause(node),
            2 => nodes.iter().for_each(|node| lan.resume(*node)),
            3 => lan.unregister(node, "work"),
            4 => lan.register(node, "work", sleep),
            5 => lan.cut(node, callers[0]),
            6 => lan.heal(),
            _ => {}
        }
        let args = json!([dice.below(400)]);
        let policy = [Policy::Latest, Policy::Sticky, Policy::Random][dice.place(3)];
        let mode = if dice.chance(300) { Mode::Hedged } else { Mode::One };
        let ask = Ask::new("work", args).policy(policy).mode(mode);
        calls.push(lan.ask(callers[dice.place(2)], ask.deadline(ms(1 + dice.below(4000)))));
        lan.run_for(ms(dice.below(100)));
    }
    lan.run_for(secs(10));
    for call in &calls {
        assert!(lan.starts(*call) <= 1, "seed {seed}: {call:?} ran {} times", lan.starts(*call));
        assert_ne!(lan.ended(*call), Ended::Open, "seed {seed}: {call:?}");
    }
    let moved = callers.map(|caller| lan.core(caller).counters().calls_moved);
    let copied = callers.map(|caller| lan.core(caller).counters().calls_copied);
    assert_eq!(copied, [0, 0], "seed {seed}");
    (moved.iter().sum(), calls.iter().filter(|call| lan.starts(**call) == 1).count())
}

#[test]
fn whatever_happens_a_body_starts_at_most_once_on_all_nodes_together() {
    let (mut moved, mut ran) = (0, 0);
    for seed in 500..540 {
        let (more, started) = crowd(seed);
        moved += more;
        ran += started;
    }
    assert!(moved > 1000, "only {moved} calls moved: the property was hardly tried");
    assert!(ran > 2000, "only {ran} calls ran");
}

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
fn who_says_nothing_any_more_is_passed_over_while_another_is_known() {
    let (mut lan, nodes, caller) =
        room(81, vec![small("one", work("one", 10)), small("two", work("two", 10))]);
    let ask = || Ask::new("work", json!([])).deadline(ms(500));
    lan.pause(nodes[1]);
    let first = lan.ask(caller, ask());
    lan.run_for(ms(600));
    assert_eq!(failure(&lan, first).0, ErrorCode::TIMEOUT);
    for _ in 0..5 {
        let call = lan.ask(caller, ask());
        lan.run_for(ms(100));
        assert_eq!(lan.result(call), Some(Ok(json!("one"))));
    }
    // Once it says anything, it is the latest announcer again.
    lan.resume(nodes[1]);
    lan.run_for(secs(6));
    let call = lan.ask(caller, ask());
    lan.run_for(ms(100));
    assert_eq!(lan.result(call), Some(Ok(json!("two"))));
    // Where all are silent the policy chooses, and it is tried.
    nodes.iter().for_each(|node| lan.pause(*node));
    for _ in 0..3 {
        let call = lan.ask(caller, ask());
        lan.run_for(ms(600));
        assert_eq!(failure(&lan, call).0, ErrorCode::TIMEOUT);
    }
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
