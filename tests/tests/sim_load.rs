//! More calls than a node can run: who gets how much, what the others are told, and what it
//! costs in memory.

use std::time::Duration;

use lanc_core::error::{ErrorCode, Executed};
use lanc_core::event::Event;
use lanc_core::policy::Policy;
use lanc_core::{Class, Config};
use lanc_testkit::sim::{Ask, CallId, Ended, Function, NodeId, Reply, Spec, World, ms, secs};
use serde_json::{Value, json};

/// What two workers get done in a second, of calls of 10 ms.
const CAPACITY: u64 = 200;

fn work(_: &[Value]) -> Reply {
    (ms(10), Ok(Value::Null))
}

/// A node with two workers and a function that takes 10 ms, and callers that know it.
fn room(seed: u64, callers: usize, config: fn(Config) -> Config) -> (World, NodeId, Vec<NodeId>) {
    let mut lan = World::new(seed);
    let spec = Spec::new("worker").config(|c| config(c.with_workers(2)));
    let worker = lan.add(spec.offers(Function::new("work", work)));
    let callers = (0..callers).map(|n| lan.node(&format!("caller-{n}"))).collect();
    lan.run_for(secs(8));
    (lan, worker, callers)
}

/// What a caller asked for in the seconds that are looked at.
struct Offer {
    caller: NodeId,
    calls: Vec<CallId>,
    /// Time between two of them.
    every: Duration,
}

impl Offer {
    fn new(caller: NodeId, per_second: u64) -> Self {
        Self { caller, calls: Vec::new(), every: secs(1) / u32::try_from(per_second).unwrap() }
    }
}

/// Has everybody call for this long, whatever comes of it; `watch` sees the world every 10 ms.
fn offer(lan: &mut World, offers: &mut [Offer], time: Duration, mut watch: impl FnMut(&World)) {
    let began = lan.now();
    let mut now = Duration::ZERO;
    while now < time {
        for offer in &mut *offers {
            while offer.every * u32::try_from(offer.calls.len()).unwrap() <= now {
                // The size is what matters of it.
                let ask = Ask::new("work", json!(["x".repeat(500)]));
                offer.calls.push(lan.ask(offer.caller, ask.deadline(secs(20))));
            }
        }
        lan.run_for(ms(1));
        now = lan.now().since(began);
        if now.as_millis().is_multiple_of(10) {
            watch(lan);
        }
    }
    lan.run_for(secs(21));
}

/// How many of these calls succeeded; each of the others was refused with a hint.
#[track_caller]
fn successes(lan: &World, calls: &[CallId]) -> u64 {
    let mut count = 0;
    for call in calls {
        match lan.result(*call) {
            Some(Ok(_)) => count += 1,
            Some(Err(error)) => {
                assert_eq!(
                    (error.code, error.executed),
                    (ErrorCode::BUSY, Executed::No),
                    "{error}"
                );
                let hint = error.retry_after.expect("no hint when to come again");
                assert!((ms(10)..=ms(7500)).contains(&hint), "{hint:?}");
                assert_eq!(lan.starts(*call), 0);
            }
            None => panic!("{call:?} has no outcome"),
        }
    }
    count
}

#[test]
fn at_four_times_the_capacity_nothing_is_lost_but_what_is_too_much() {
    let (mut lan, worker, callers) = room(1, 4, |c| c);
    let mut offers: Vec<_> = callers.iter().map(|c| Offer::new(*c, CAPACITY)).collect();
    let (began, mut most) = (lan.now(), 0);
    offer(&mut lan, &mut offers, secs(5), |lan| most = most.max(lan.tables(worker).buffered));
    let (from, to) = (began + secs(1), began + secs(5));
    let is_good = |call: &&CallId| match lan.ended(**call) {
        Ended::At(at) => from <= at && at < to && lan.result(**call).is_some_and(|r| r.is_ok()),
        _ => false,
    };
    let good = offers.iter().flat_map(|offer| &offer.calls).filter(is_good).count();
    let peak = 4 * CAPACITY;
    let good = u64::try_from(good).unwrap();
    assert!(good * 10 >= peak * 9, "{good} of {peak}");
    // Each has its quarter of it.
    let each: Vec<u64> = offers.iter().map(|offer| successes(&lan, &offer.calls)).collect();
    let sum: u64 = each.iter().sum();
    assert!(each.iter().all(|own| own.abs_diff(sum / 4) <= sum / 40), "{each:?}");
    // The queue, what runs, and what waits to be answered: in bytes of arguments.
    assert!(most <= (256 + 2 + 64) * 504, "{most}");
    assert!(most >= 200 * 504, "{most}: the queue was never full");
    assert_eq!(lan.tables(worker).buffered, lan.tables(worker).stored_bytes);
    let counters = lan.core(worker).counters();
    assert_eq!(counters.tasks_refused + sum, counters.calls_received);
    assert!(counters.limit_hits("queue_share") > 0, "{:?}", counters.limits);
    let told = lan.events(worker).any(|(_, e)| *e == Event::LimitHit { limit: "queue_share" });
    assert!(told, "nobody was told");
}

#[test]
fn what_could_not_be_done_in_time_is_refused_at_once() {
    // A full queue takes more than a second: whoever waits for it to the end of 300 ms would be
    // run for nothing, and so would all.
    let (mut lan, worker, callers) = room(12, 4, |c| c);
    let began = lan.now();
    let mut calls = Vec::new();
    while lan.now().since(began) < secs(5) {
        for caller in &callers {
            let ask = Ask::new("work", json!([]));
            calls.push(lan.ask(*caller, ask.deadline(ms(300))));
        }
        lan.run_for(ms(5));
    }
    lan.run_for(secs(1));
    let good = calls.iter().filter(|call| lan.result(**call).is_some_and(|r| r.is_ok())).count();
    let started: u32 = calls.iter().map(|call| lan.starts(*call)).sum();
    assert!(good >= 900, "{good} of 1000 that two workers can do");
    assert!(started <= u32::try_from(good).unwrap() + 50, "{started} were run");
    assert!(lan.core(worker).counters().limit_hits("queue_wait") > 1000);
    let told = lan.events(worker).any(|(_, e)| *e == Event::LimitHit { limit: "queue_wait" });
    assert!(told, "nobody was told");
}

#[test]
fn who_asks_for_too_much_is_refused_and_who_does_not_is_served() {
    let (mut lan, _, callers) = room(2, 4, |c| c);
    let rates = [4 * CAPACITY, 20, 20, 20];
    let mut offers: Vec<_> =
        callers.iter().zip(rates).map(|(caller, rate)| Offer::new(*caller, rate)).collect();
    offer(&mut lan, &mut offers, secs(5), |_| {});
    for modest in &offers[1..] {
        assert_eq!(successes(&lan, &modest.calls), u64::try_from(modest.calls.len()).unwrap());
    }
    let rest = successes(&lan, &offers[0].calls);
    assert!(rest >= (5 * (CAPACITY - 60)) * 9 / 10, "{rest}");
}

#[test]
fn a_queue_full_of_one_callers_calls_has_room_for_another() {
    let (mut lan, worker, callers) = room(3, 2, |c| c.with_max_queued(16));
    let ask = |lan: &mut World, caller| lan.ask(caller, Ask::new("work", json!([])));
    let greedy: Vec<_> = (0..18).map(|_| ask(&mut lan, callers[0])).collect();
    lan.run_for(ms(2));
    assert_eq!((lan.tables(worker).running, lan.tables(worker).queued), (2, 16));
    let modest = ask(&mut lan, callers[1]);
    lan.run_for(ms(2));
    assert_eq!(lan.tables(worker).queued, 16);
    let displaced = lan.failure(greedy[17]);
    assert_eq!((displaced.code, displaced.executed), (ErrorCode::BUSY, Executed::No));
    assert!(displaced.retry_after.is_some());
    // Its turn comes second, not seventeenth.
    lan.run_for(ms(28));
    assert_eq!(lan.result(modest), Some(Ok(Value::Null)));
    // One above its quarter while another waits is refused.
    let others: Vec<_> = (0..2).map(|_| ask(&mut lan, callers[1])).collect();
    let refused = ask(&mut lan, callers[0]);
    lan.run_for(ms(2));
    assert_eq!(lan.failure(refused).code, ErrorCode::BUSY);
    lan.run_for(secs(1));
    for call in greedy[..17].iter().chain(&others) {
        assert_eq!(lan.result(*call), Some(Ok(Value::Null)));
    }
}

#[test]
fn what_expires_in_the_queue_leaves_it_and_does_not_run() {
    let (mut lan, worker, callers) = room(4, 1, |c| c);
    for _ in 0..20 {
        lan.call(callers[0], "work", json!([]));
    }
    let ask = Ask::new("work", json!(["late"]));
    let late = lan.ask(callers[0], ask.deadline(ms(30)));
    lan.run_for(ms(5));
    let queued = lan.tables(worker).queued;
    lan.run_for(ms(27));
    assert!(queued > 15 && lan.tables(worker).queued < queued - 6, "it waits on");
    lan.run_for(secs(1));
    let error = lan.failure(late);
    assert_eq!(error.code, ErrorCode::TIMEOUT, "{error}");
    assert_eq!(lan.starts(late), 0);
}

#[test]
fn when_all_is_held_that_may_be_new_work_is_refused_and_old_work_is_done() {
    // An eighth of it is for results.
    let small = |c: Config| c.with_max_buffered(64 << 10).with_max_queued(1000);
    let (mut lan, worker, callers) = room(5, 1, small);
    lan.register(worker, "wait", |_| (ms(200), Ok(Value::Null)));
    lan.run_for(secs(2));
    // `["xxx...x"]` takes four bytes more than its letters: 1024 in all.
    let ask = Ask::new("wait", json!(["x".repeat(1020)]));
    let calls: Vec<_> = (0..60).map(|_| lan.ask(callers[0], ask.clone())).collect();
    lan.run_for(ms(100));
    assert_eq!(lan.tables(worker).buffered, 56 << 10);
    let refused: Vec<_> = calls.iter().filter(|call| lan.result(**call).is_some()).collect();
    assert_eq!(refused.len(), 4);
    for call in refused {
        let error = lan.failure(*call);
        assert_eq!((error.code, error.executed), (ErrorCode::BUSY, Executed::No), "{error}");
        assert!(error.retry_after.is_some());
    }
    assert_eq!(lan.core(worker).counters().limit_hits("max_buffered"), 4);
    let full = Event::LimitHit { limit: "max_buffered" };
    let told = lan.events(worker).filter(|(_, event)| **event == full);
    assert_eq!(told.count(), 1, "once a second");
    lan.run_for(secs(8));
    let is_done = |call: &&CallId| lan.result(**call).is_some_and(|result| result.is_ok());
    assert_eq!(calls.iter().filter(is_done).count(), 56);
    // Answers are kept until their receipt comes.
    assert_eq!(lan.tables(worker).buffered, lan.tables(worker).stored_bytes);
    let again = lan.ask(callers[0], ask);
    lan.run_for(ms(300));
    assert_eq!(lan.result(again), Some(Ok(Value::Null)));
}

#[test]
fn a_caller_that_holds_all_it_may_begins_nothing_new() {
    let mut lan = World::new(6);
    lan.add(Spec::new("worker").offers(Function::new("work", |_| (secs(1), Ok(Value::Null)))));
    let caller = lan.add(Spec::new("caller").config(|c| c.with_max_buffered(64 << 10)));
    lan.run_for(secs(8));
    let ask = Ask::new("work", json!(["x".repeat(1020)]));
    let calls: Vec<_> = (0..56).map(|_| lan.ask(caller, ask.clone())).collect();
    assert_eq!(lan.tables(caller).buffered, 56 << 10);
    assert!(calls.iter().all(|call| lan.result(*call).is_none()));
    let refused = lan.ask(caller, Ask::new("work", json!([])));
    let error = lan.failure(refused);
    assert_eq!((error.code, error.executed), (ErrorCode::BUSY, Executed::No), "{error}");
    lan.run_for(secs(31));
    assert_eq!(lan.tables(caller).buffered, 0);
}

#[test]
fn a_result_without_room_is_a_short_error_and_says_that_the_function_ran() {
    let mut lan = World::new(7);
    let large = |_: &[Value]| (ms(1), Ok(json!("x".repeat(70_000))));
    let spec = Spec::new("worker").config(|c| c.with_max_buffered(64 << 10));
    let worker = lan.add(spec.offers(Function::new("large", large)));
    let caller = lan.node("caller");
    lan.run_for(secs(8));
    let call = lan.call(caller, "large", json!([]));
    lan.run_for(secs(1));
    let error = lan.failure(call);
    assert_eq!((error.code, error.executed), (ErrorCode::TOO_LARGE, Executed::Yes), "{error}");
    assert_eq!(lan.core(worker).counters().limit_hits("max_buffered"), 1);
    assert_eq!(lan.tables(worker).buffered, 0);
}

/// Providers of one function that tell their name, and a caller.
fn providers(seed: u64, names: &[&'static str]) -> (World, Vec<NodeId>, NodeId) {
    let mut lan = World::new(seed);
    let nodes = names
        .iter()
        .map(|name| {
            let name = *name;
            let body = move |_: &[Value]| (ms(100), Ok(json!(name)));
            let spec = Spec::new(name).config(|c| c.with_workers(2));
            lan.add(spec.offers(Function::new("who", body)))
        })
        .collect();
    let caller = lan.node("caller");
    lan.run_for(secs(8));
    (lan, nodes, caller)
}

fn by_load() -> Ask {
    Ask::new("who", json!([])).policy(Policy::LeastLoaded)
}

#[test]
fn the_least_loaded_is_called_by_what_its_hello_said() {
    let (mut lan, nodes, caller) = providers(8, &["a", "b"]);
    let other = lan.node("other");
    lan.run_for(secs(2));
    // A second's work for `b` every second, all from somebody else, for longer than a hello
    // takes to come round.
    for _ in 0..10 {
        for _ in 0..20 {
            lan.ask(other, Ask::new("who", json!([])).to("b").deadline(secs(20)));
        }
        lan.run_for(secs(1));
    }
    for _ in 0..40 {
        lan.ask(other, Ask::new("who", json!([])).to("b").deadline(secs(20)));
    }
    lan.run_for(ms(50));
    assert!(lan.peer(caller, "b").unwrap().load > 16, "{:?}", lan.peer(caller, "b"));
    assert_eq!(lan.peer(caller, "a").unwrap().load, 0);
    for _ in 0..5 {
        let call = lan.ask(caller, by_load());
        lan.run_for(ms(150));
        assert_eq!(lan.result(call), Some(Ok(json!("a"))));
    }
    // It tells when it is idle again.
    lan.run_for(secs(15));
    assert_eq!(lan.peer(caller, "b").unwrap().load, 0);
    assert_eq!(lan.tables(nodes[1]).running, 0);
}

#[test]
fn own_calls_count_at_once_so_that_a_burst_is_spread() {
    let names = ["a", "b", "c", "d"];
    let (mut lan, _, caller) = providers(9, &names);
    let calls: Vec<_> = (0..80).map(|_| lan.ask(caller, by_load())).collect();
    lan.run_for(secs(5));
    for name in names {
        let got = calls.iter().filter(|call| lan.result(**call) == Some(Ok(json!(name)))).count();
        assert!((18..=22).contains(&got), "`{name}` got {got} of 80");
    }
}

#[test]
fn a_hello_without_load_and_one_with_nonsense_are_read() {
    // Said in plain.
    let mut lan = World::open(10);
    let node = lan.node("node");
    lan.run_for(secs(1));
    for (number, load) in ["-1", "\"much\"", "null", "1e9", "300", "17", "{}"].iter().enumerate() {
        let hello = format!(
            r#"{{"type":"LANC","method":"hello","version":"0.2","data":{{"node":"p{number}","sid":"a{number:015x}{number:016x}","iv":5000,"load":{load}}},"encrypted":"no","compress":"no"}}"#
        );
        let from = ([10, 0, 77, u8::try_from(number).unwrap()], 9999).into();
        lan.inject(from, node, lanc_core::ports::Cast::Broadcast, hello.as_bytes());
    }
    lan.run_for(ms(10));
    let loads: Vec<_> =
        (0..7).map(|number| lan.peer(node, &format!("p{number}")).unwrap().load).collect();
    assert_eq!(loads, [0, 0, 0, 0, 255, 17, 0]);
}

#[test]
fn async_functions_take_turns_too() {
    let mut lan = World::new(11);
    let body = Function::new("later", work).class(Class::Async);
    let worker = lan.add(Spec::new("worker").config(|c| c.with_max_async_running(2)).offers(body));
    let callers = [lan.node("one"), lan.node("other")];
    lan.run_for(secs(8));
    let first: Vec<_> = (0..40).map(|_| lan.call(callers[0], "later", json!([]))).collect();
    lan.run_for(ms(1));
    let second = lan.call(callers[1], "later", json!([]));
    lan.run_for(ms(30));
    assert_eq!(lan.result(second), Some(Ok(Value::Null)));
    assert!(lan.tables(worker).queued > 20);
    lan.run_for(secs(1));
    assert!(first.iter().all(|call| lan.result(*call) == Some(Ok(Value::Null))));
}
