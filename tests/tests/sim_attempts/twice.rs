//! What may have run goes on only if it may run twice, as its caller says or all who offer it.

use lanc_core::error::{ErrorCode, Executed, Fault};
use lanc_testkit::sim::{Ask, CallId, Function, Spec, World, ms, secs};
use serde_json::{Value, json};

use super::room::{failure, fill, order, room, sleep, small, work};

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
