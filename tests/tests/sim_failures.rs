//! What happens when something fails: each row of the table in section 4 of `docs/protocol.md`,
//! by datagrams between two nodes of this version, and with an older peer.

use lanc_core::Config;
use lanc_core::counters::Drop;
use lanc_core::error::{ErrorCode, Executed};
use lanc_core::event::Event;
use lanc_core::ports::Cast;
use lanc_testkit::sim::{
    Ask, CallId, Ended, Function, NodeId, Place, Reply, Rules, Spec, World, ms, secs,
};
use serde_json::{Value, json};

/// Takes as many milliseconds as its argument says, and returns them.
fn sleep(args: &[Value]) -> Reply {
    let time = args.first().and_then(Value::as_u64).unwrap_or(0);
    (ms(time), Ok(json!(time)))
}

/// A callee `a` and a caller `b` that know each other well.
struct Scene {
    lan: World,
    a: NodeId,
    b: NodeId,
}

fn scene(seed: u64) -> Scene {
    scene_with(seed, |config| config)
}

fn scene_with(seed: u64, callee: impl Fn(Config) -> Config) -> Scene {
    scene_in(World::new(seed), callee)
}

fn scene_in(mut lan: World, callee: impl Fn(Config) -> Config) -> Scene {
    let spec = Spec::new("a").offers(Function::new("sleep", sleep)).config(callee);
    let (a, b) = (lan.add(spec), lan.node("b"));
    lan.run_for(secs(8));
    Scene { lan, a, b }
}

impl Scene {
    fn sleep(&mut self, millis: u64, deadline: u64) -> CallId {
        let ask = Ask::new("sleep", json!([millis])).deadline(ms(deadline));
        self.lan.ask(self.b, ask)
    }

    /// Loses everything that goes this way from now on.
    fn lose(&mut self, from: NodeId, to: NodeId) {
        self.lan.pair_rules(from, to, Rules::default().loss(1000));
    }

    fn good(&mut self) {
        for (from, to) in [(self.a, self.b), (self.b, self.a)] {
            self.lan.pair_rules(from, to, Rules::default());
        }
    }

    fn ok(&self, call: CallId, value: u64) {
        assert_eq!(self.lan.result(call), Some(Ok(json!(value))));
        assert_eq!(self.lan.starts(call), 1);
    }

    fn fails(&self, call: CallId, code: ErrorCode, executed: Executed) {
        let error = self.lan.failure(call);
        assert_eq!((error.code, error.executed), (code, executed), "{error}");
    }

    fn counters(&self, node: NodeId) -> &lanc_core::counters::Counters {
        self.lan.core(node).counters()
    }
}

#[test]
fn a_call_that_is_lost_is_sent_again() {
    let mut s = scene(1);
    s.lose(s.b, s.a);
    let call = s.sleep(5, 10_000);
    s.lan.run_for(ms(10));
    s.good();
    s.lan.run_for(ms(400));
    s.ok(call, 5);
    assert_eq!(s.counters(s.b).calls_resent, 1);
}

#[test]
fn a_call_is_sent_six_times_then_asked_about_and_its_timeout_says_that_it_may_have_run() {
    let mut s = scene(2);
    s.lose(s.b, s.a);
    let call = s.sleep(5, 10_000);
    s.lan.run_for(ms(9_999));
    assert_eq!(s.lan.ended(call), Ended::Open);
    let (resent, asked) = (s.counters(s.b).calls_resent, s.counters(s.b).probes_sent);
    assert!(asked > 0, "it may have come, and the answers been lost");
    assert_eq!(resent, 5 + asked, "or every copy has been lost: one more goes with each question");
    s.lan.run_for(ms(2));
    s.fails(call, ErrorCode::TIMEOUT, Executed::Maybe);
    assert_eq!(s.lan.starts(call), 0);
}

#[test]
fn a_call_of_which_six_copies_were_lost_runs_once_the_network_is_good_again() {
    let mut s = scene(22);
    s.lose(s.b, s.a);
    let call = s.sleep(5, 10_000);
    s.lan.run_for(ms(6_500));
    assert_eq!(s.counters(s.b).calls_resent, 5);
    s.good();
    s.lan.run_for(secs(3));
    s.ok(call, 5);
    assert_eq!((s.counters(s.b).calls_resent, s.counters(s.a).tasks_started), (6, 1));
}

#[test]
fn a_callee_that_says_it_has_a_call_is_asked_without_a_copy() {
    let mut s = scene(23);
    let call = s.sleep(5_000, 10_000);
    s.lan.run_for(ms(9_000));
    s.ok(call, 5_000);
    let counters = s.counters(s.b);
    assert_eq!((counters.calls_resent, counters.probes_sent > 1), (0, true));
}

#[test]
fn an_answer_that_is_lost_is_sent_again_and_the_function_is_not_run_again() {
    let mut s = scene(3);
    s.lose(s.a, s.b);
    let call = s.sleep(5, 10_000);
    s.lan.run_for(ms(100));
    s.good();
    s.lan.run_for(secs(1));
    s.ok(call, 5);
    assert!(s.counters(s.a).answers_resent > 0);
    assert_eq!(s.counters(s.a).tasks_started, 1);
    // The receipt came: nothing is kept any more.
    assert_eq!(s.lan.tables(s.a).stored_bytes, 0);
}

#[test]
fn a_second_copy_of_a_call_or_of_an_answer_does_nothing() {
    let mut s = scene(4);
    s.lan.rules(Rules::default().duplication(1000));
    let calls: Vec<_> = (0..50).map(|n| (n, s.sleep(n, 10_000))).collect();
    s.lan.run_for(secs(3));
    for (n, call) in calls {
        s.ok(call, n);
    }
    assert_eq!(s.counters(s.a).tasks_started, 50);
    let seen = [(s.a, s.counters(s.a).calls_repeated), (s.b, s.counters(s.b).dropped(Drop::Late))];
    for (node, repeated) in seen {
        // No copy of a sealed frame is ever opened.
        let is_keyed = s.lan.core(node).is_keyed();
        let replayed = s.counters(node).dropped(Drop::Replayed);
        assert_eq!((repeated > 0, replayed > 0), (!is_keyed, is_keyed));
    }
}

#[test]
fn calls_that_overtake_each_other_all_run() {
    let mut s = scene(5);
    s.lan.rules(Rules::default().delay(ms(1)..=ms(200)));
    let calls: Vec<_> = (0..100).map(|n| (n % 7, s.sleep(n % 7, 10_000))).collect();
    s.lan.run_for(secs(9));
    for (n, call) in calls {
        s.ok(call, n);
    }
}

#[test]
fn a_cancel_that_comes_first_keeps_the_call_from_starting() {
    let mut s = scene(6);
    // The call takes its time, the cancel does not.
    s.lan.pair_rules(s.b, s.a, Rules::default().delay(ms(100)..=ms(100)));
    let call = s.sleep(5, 10_000);
    s.lan.run_for(ms(1));
    s.good();
    s.lan.cancel(call);
    s.lan.run_for(secs(1));
    s.fails(call, ErrorCode::CANCELLED, Executed::Maybe);
    assert_eq!(s.lan.starts(call), 0);
    assert_eq!(s.counters(s.a).calls_received, 1);
}

#[test]
fn a_copy_that_comes_after_the_caller_gave_up_does_not_start() {
    let mut s = scene(7);
    s.lan.pair_rules(s.b, s.a, Rules::default().delay(ms(400)..=ms(400)));
    let late = s.sleep(5, 50);
    s.lan.run_for(ms(100));
    s.fails(late, ErrorCode::TIMEOUT, Executed::Maybe);
    s.good();
    let next = s.sleep(1, 10_000);
    s.lan.run_for(secs(2));
    s.ok(next, 1);
    assert_eq!(s.lan.starts(late), 0, "the watermark of the next call has passed it");
    assert!(s.counters(s.a).dropped(Drop::Stale) > 0);
}

#[test]
fn a_callee_that_dies_is_lost_when_its_lease_ends() {
    let mut s = scene(8);
    let call = s.sleep(60_000, 60_000);
    s.lan.run_for(ms(100));
    s.lan.crash(s.a);
    s.lan.run_for(secs(25));
    s.fails(call, ErrorCode::LOST, Executed::Maybe);
}

#[test]
fn a_callee_that_restarts_ends_old_calls_at_once_and_never_starts_them() {
    let mut s = scene(9);
    let call = s.sleep(60_000, 60_000);
    s.lan.run_for(ms(100));
    s.lan.restart(s.a, Place::Same);
    s.lan.run_for(secs(2));
    s.fails(call, ErrorCode::LOST, Executed::Maybe);
    assert_eq!(s.lan.starts(call), 1);
    let again = s.sleep(5, 10_000);
    s.lan.run_for(secs(1));
    s.ok(again, 5);
}

#[test]
fn a_restarted_callee_that_is_only_asked_says_that_it_knows_nothing() {
    let mut s = scene(10);
    let call = s.sleep(60_000, 60_000);
    s.lan.run_for(ms(100));
    // Nothing is heard of its hellos: only the question brings it out.
    s.lose(s.a, s.b);
    s.lan.restart(s.a, Place::Same);
    s.lan.run_for(ms(600));
    s.good();
    // With a key the question names a token of its former life: only its next hello tells.
    let is_keyed = s.lan.core(s.b).is_keyed();
    s.lan.run_for(if is_keyed { secs(9) } else { secs(2) });
    s.fails(call, ErrorCode::LOST, Executed::Maybe);
}

#[test]
fn a_caller_that_restarts_is_sent_nothing_of_its_former_life() {
    let mut s = scene(11);
    let call = s.sleep(3_000, 30_000);
    s.lan.run_for(ms(100));
    s.lan.restart(s.b, Place::Same);
    s.lan.run_for(secs(1));
    let before = s.lan.sent(s.a).unicasts;
    s.lan.run_for(secs(20));
    assert_eq!(s.lan.starts(call), 1, "the function has finished all the same");
    assert_eq!(s.lan.tables(s.a).remembered, 0);
    assert!(s.lan.sent(s.a).unicasts - before < 10);
}

#[test]
fn a_partition_that_heals_in_time_costs_nothing_but_time() {
    let mut s = scene(12);
    let call = s.sleep(500, 30_000);
    s.lan.run_for(ms(100));
    s.lan.cut(s.a, s.b);
    s.lan.run_for(secs(6));
    s.lan.heal();
    s.lan.run_for(secs(11));
    s.ok(call, 500);
}

#[test]
fn a_partition_that_lasts_is_a_timeout_once_and_a_late_answer_is_dropped() {
    let mut s = scene(13);
    let call = s.sleep(500, 3_000);
    s.lan.run_for(ms(100));
    s.lan.cut(s.a, s.b);
    s.lan.run_for(secs(3));
    s.fails(call, ErrorCode::TIMEOUT, Executed::Maybe);
    s.lan.heal();
    s.lan.run_for(secs(10));
    s.fails(call, ErrorCode::TIMEOUT, Executed::Maybe);
    assert_eq!(s.lan.tables(s.a).stored_bytes, 0);
}

#[test]
fn an_answer_that_comes_after_the_failure_is_told_once() {
    let mut s = scene(18);
    s.lan.pair_rules(s.a, s.b, Rules::default().delay(ms(700)..=ms(800)).duplication(1000));
    let calls = [500, 600].map(|time| s.sleep(time, 1_000));
    s.lan.run_for(ms(1_050));
    for call in calls {
        s.fails(call, ErrorCode::TIMEOUT, Executed::Maybe);
    }
    s.lan.run_for(secs(10));
    let told = s.lan.events(s.b).filter_map(|(_, event)| match event {
        Event::LateAnswer { function, peer, executed, .. } => Some((function, peer, executed)),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    let (function, peer) = ("sleep".to_owned(), "a".to_owned());
    assert_eq!(told, [(&function, &peer, &Executed::Yes); 2]);
    for call in calls {
        s.fails(call, ErrorCode::TIMEOUT, Executed::Maybe);
    }
}

#[test]
fn a_call_is_taken_back_by_its_caller_alone() {
    // With a key nobody but its caller could have sealed it.
    let mut s = scene_in(World::open(19), |config| config);
    s.lan.register_function(s.a, Function::new("nap", sleep).stops_when_cancelled());
    s.lan.run_for(secs(2));
    s.lan.record_frames();
    let call = s.lan.ask(s.b, Ask::new("nap", json!([5_000])).deadline(secs(10)));
    s.lan.run_for(ms(100));
    s.lose(s.b, s.a);
    s.lan.cancel(call);
    s.lan.run_for(ms(1));
    s.good();
    let of_b = s.lan.frames().filter(|frame| frame.from == s.b).map(|frame| frame.bytes.to_vec());
    let [call, cancel] = of_b.collect::<Vec<_>>().try_into().unwrap();

    let own = s.lan.address(s.b);
    s.lan.inject("10.0.0.77:5127".parse().unwrap(), s.a, Cast::Unicast, &cancel);
    s.lan.run_for(ms(10));
    assert_eq!(s.lan.tables(s.a).running, 1, "whoever has seen the id is not its caller");
    assert_eq!(s.counters(s.a).dropped(Drop::UnknownPeer), 1);
    s.lan.inject(own, s.a, Cast::Unicast, &cancel);
    s.lan.run_for(ms(10));
    assert_eq!(s.lan.tables(s.a).running, 0);

    // A copy of the call that comes late is told what became of it.
    s.lan.record_frames();
    s.lan.inject(own, s.a, Cast::Unicast, &call);
    s.lan.run_for(ms(10));
    let told = s.lan.frames().find(|frame| frame.from == s.a).unwrap();
    let told = String::from_utf8_lossy(&told.bytes).into_owned();
    assert!(told.contains("while its function ran") && told.contains("maybe"), "{told}");
}

#[test]
fn a_slow_callee_that_lives_is_waited_for_until_the_deadline() {
    let mut s = scene(14);
    let slow = s.sleep(25_000, 30_000);
    let too_slow = s.sleep(25_000, 20_000);
    s.lan.run_for(secs(21));
    s.fails(too_slow, ErrorCode::TIMEOUT, Executed::Maybe);
    assert_eq!(s.counters(s.b).calls_resent, 0, "a receipt came");
    s.lan.run_for(secs(5));
    s.ok(slow, 25_000);
}

#[test]
fn a_full_queue_refuses_at_once_and_the_refused_never_start() {
    let mut s = scene_with(15, |config| config.with_workers(1).with_max_queued(2));
    s.lan.rules(Rules::default().duplication(500));
    let calls: Vec<_> = (0..10).map(|_| s.sleep(1_000, 20_000)).collect();
    s.lan.run_for(secs(10));
    let mut refused = 0;
    for call in calls {
        match s.lan.result(call).unwrap() {
            Ok(_) => assert_eq!(s.lan.starts(call), 1),
            Err(error) => {
                assert_eq!((error.code, error.executed), (ErrorCode::BUSY, Executed::No));
                assert!(error.retry_after.is_some());
                assert_eq!(s.lan.starts(call), 0, "a later copy of it must not start");
                refused += 1;
            }
        }
    }
    assert!(refused >= 6);
}

#[test]
fn a_node_that_goes_down_answers_what_it_took() {
    let mut s = scene_with(16, |config| config.with_workers(1));
    let running = s.sleep(500, 20_000);
    let queued = s.sleep(500, 20_000);
    s.lan.run_for(ms(50));
    s.lan.shutdown(s.a);
    s.lan.run_for(secs(2));
    s.ok(running, 500);
    s.fails(queued, ErrorCode::SHUTTING_DOWN, Executed::No);
    assert!(!s.lan.is_open(s.a));
}

#[test]
fn the_window_holds_calls_back_and_lets_them_go_one_by_one() {
    let mut s = scene(17);
    s.lose(s.a, s.b);
    let calls: Vec<_> = (0..40).map(|_| s.sleep(1, 20_000)).collect();
    s.lan.run_for(ms(20));
    assert_eq!(s.counters(s.a).calls_received, 32, "as many as the first window holds");
    s.good();
    s.lan.run_for(secs(15));
    for call in calls {
        s.ok(call, 1);
    }
}

#[test]
fn nothing_is_remembered_once_all_is_quiet() {
    let mut s = scene(18);
    s.lan.rules(Rules::default().loss(200).duplication(200).delay(ms(1)..=ms(30)));
    for n in 0..200 {
        s.sleep(n % 40, 5_000);
        s.lan.run_for(ms(20));
    }
    s.lan.heal();
    s.lan.rules(Rules::default());
    s.lan.run_for(secs(10));
    let last = s.sleep(1, 1_000);
    s.lan.run_for(secs(2));
    s.ok(last, 1);
    for node in [s.a, s.b] {
        let tables = s.lan.tables(node);
        let busy = [tables.open_calls, tables.queued, tables.running, tables.stored_bytes];
        assert_eq!((busy, tables.outbox), ([0; 4], 0), "{tables:?}");
        assert!(tables.remembered <= 1, "{tables:?}");
    }
}
