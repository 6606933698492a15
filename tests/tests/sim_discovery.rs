//! Who is there and what they offer: promises of discovery.

use std::sync::Arc;
use std::time::Duration;

use lanc_codec::JsonCodec;
use lanc_core::error::ErrorCode;
use lanc_core::event::{Event, PeerDownReason};
use lanc_core::ports::Capabilities;
use lanc_core::{Class, Config, Core, LocalFunction, Pipeline, RegisterError, Time, Trust};
use lanc_testkit::sim::{Ask, Dice, Function, NodeId, Place, Rules, Spec, World, ms, secs};
use serde_json::{Value, json};

fn nothing(_: &[Value]) -> lanc_testkit::sim::Reply {
    (ms(1), Ok(Value::Null))
}

fn named(name: &str) -> Function {
    Function::new(name, nothing)
}

fn is_verified(lan: &World, node: NodeId, peer: &str) -> bool {
    lan.peer(node, peer).is_some_and(|peer| peer.trust == Trust::Verified)
}

#[test]
fn first_contact_makes_functions_known_both_ways() {
    let mut lan = World::new(1);
    let old = lan.add(Spec::new("old").offers(named("old_one")));
    lan.run_for(secs(3));
    let new = lan.add(Spec::new("new").offers(named("new_one")));
    let known = |lan: &World| {
        lan.providers(old, "new_one") == ["new"] && lan.providers(new, "old_one") == ["old"]
    };
    assert!(lan.run_until(known, secs(1)), "not within a second");
    lan.run_for(ms(1));
    assert!(is_verified(&lan, old, "new"));
    assert!(is_verified(&lan, new, "old"));
}

#[test]
fn everybody_says_hello_once_per_interval() {
    let mut lan = World::new(2);
    let nodes = [lan.node("a"), lan.node("b"), lan.node("c")];
    lan.run_for(secs(10));
    lan.record_frames();
    lan.run_for(secs(60));
    for node in nodes {
        let times: Vec<_> = lan
            .frames()
            .filter(|frame| frame.from == node && frame.to.is_none() && frame.has("hello"))
            .map(|frame| frame.at)
            .collect();
        for pair in times.windows(2) {
            let gap = pair[1].since(pair[0]);
            assert!((secs(5)..=secs(6)).contains(&gap), "{node:?} was silent for {gap:?}");
        }
        assert!((10..=12).contains(&times.len()), "{} hellos in a minute", times.len());
    }
    let only_hellos = lan.frames().all(|frame| frame.to.is_none() && frame.has("hello"));
    assert!(only_hellos, "a settled network carries hellos and nothing else");
}

#[test]
fn a_silent_peer_is_forgotten_after_its_lease_and_not_before() {
    let mut lan = World::new(3);
    let (a, b) = (lan.node("a"), lan.add(Spec::new("b").offers(named("f"))));
    lan.run_for(secs(20));
    assert_eq!(lan.providers(a, "f"), ["b"]);
    lan.crash(b);
    let silent = lan.peer(a, "b").unwrap().silent_for;
    // Three and a half of the interval that its hello announced: 6 s.
    let lease = ms(21_000) - silent;
    lan.run_for(lease - ms(50));
    assert!(lan.peer(a, "b").is_some());
    lan.run_for(ms(100));
    assert!(lan.peer(a, "b").is_none());
    assert!(lan.providers(a, "f").is_empty());
    let reasons: Vec<_> = lan
        .events(a)
        .filter_map(|(_, event)| match event {
            Event::PeerDown { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, [PeerDownReason::Expired]);
}

#[test]
fn one_lost_hello_ends_no_lease() {
    let mut lan = World::new(4);
    let (a, b) = (lan.node("a"), lan.node("b"));
    lan.run_for(secs(20));
    for _ in 0..20 {
        // Exactly one of b's hellos is lost, then two arrive.
        lan.cut_one_way(b, a);
        lan.run_for(secs(5));
        lan.heal();
        lan.run_for(secs(12));
        assert!(lan.peer(a, "b").is_some());
    }
}

#[test]
fn registrations_are_announced_once_after_a_second_of_quiet() {
    let mut lan = World::new(5);
    let (a, b) = (lan.node("a"), lan.node("b"));
    lan.run_for(secs(3));
    lan.record_frames();
    for name in ["f0", "f1", "f2", "f3", "f4"] {
        lan.register(a, name, nothing);
        lan.run_for(ms(500));
    }
    let last = lan.now() - ms(500);
    lan.run_for(secs(2));
    let funcs: Vec<_> = lan.frames().filter(|frame| frame.has("func")).cloned().collect();
    assert_eq!(funcs.len(), 1, "{funcs:#?}");
    assert_eq!(funcs[0].to, None);
    assert_eq!(funcs[0].at.since(last), secs(1));
    for name in ["f0", "f1", "f2", "f3", "f4"] {
        assert_eq!(lan.providers(b, name), ["a"], "{name}");
    }
}

#[test]
fn a_restart_within_the_lease_is_whole_again_at_its_first_hello() {
    let mut lan = World::new(6);
    let a = lan.add(Spec::new("a").offers(named("f")).offers(named("g")));
    let b = lan.node("b");
    lan.run_for(secs(8));
    let before = lan.session(a);
    lan.restart(a, Place::Same);
    assert_ne!(lan.session(a), before);
    let at = lan.now();
    // Half a second: the new life's hello, the question for its functions, the answer.
    let whole = |lan: &World| {
        lan.peer(b, "a").is_some_and(|peer| peer.session != before)
            && lan.providers(b, "f") == ["a"]
            && lan.providers(b, "g") == ["a"]
    };
    assert!(lan.run_until(whole, secs(1)), "{:?}", lan.peers(b));
    let old_gone = lan.peers(b).iter().all(|peer| peer.session != before);
    assert!(old_gone, "the earlier life is still listed");
    assert!(lan.run_until(|lan| is_verified(lan, b, "a") && is_verified(lan, a, "b"), secs(1)));
    assert!(lan.now().since(at) < secs(1));
}

#[test]
fn a_restart_on_another_port_is_a_new_peer_and_the_old_one_expires() {
    let mut lan = World::new(7);
    let a = lan.add(Spec::new("a").offers(named("f")));
    let b = lan.node("b");
    lan.run_for(secs(8));
    lan.restart(a, Place::New);
    lan.run_for(secs(2));
    assert_eq!(lan.peers(b).len(), 2);
    lan.run_for(secs(21));
    assert_eq!(lan.peers(b).len(), 1);
    assert_eq!(lan.providers(b, "f"), ["a"]);
    assert_eq!(lan.peers(b)[0].session, lan.session(a));
}

#[test]
fn a_withdrawn_function_disappears_everywhere() {
    let mut lan = World::new(8);
    let a = lan.add(Spec::new("a").offers(named("f")).offers(named("g")));
    let b = lan.node("b");
    lan.run_for(secs(3));
    assert_eq!(lan.providers(b, "g"), ["a"]);
    lan.unregister(a, "g");
    lan.run_for(ms(1100));
    assert!(lan.providers(b, "g").is_empty());
    assert_eq!(lan.providers(b, "f"), ["a"]);
}

#[test]
fn the_last_function_withdrawn_disappears_too() {
    let mut lan = World::new(9);
    let a = lan.add(Spec::new("a").offers(named("f")));
    let b = lan.node("b");
    lan.run_for(secs(3));
    lan.unregister(a, "f");
    lan.run_for(ms(1100));
    assert!(lan.providers(b, "f").is_empty());
}

#[test]
fn a_long_list_of_functions_comes_in_parts_and_is_known_whole() {
    let mut lan = World::new(10);
    let mut spec = Spec::new("a");
    for number in 0..300 {
        spec = spec.offers(named(&format!("function_number_{number}")));
    }
    let (b, a) = (lan.node("b"), lan.add(spec));
    lan.record_frames();
    lan.run_for(secs(3));
    assert!(lan.frames().filter(|frame| frame.from == a && frame.has("func")).count() > 5);
    assert_eq!(lan.peer(b, "a").unwrap().functions, 300);
}

#[test]
fn a_lost_function_list_heals_by_asking() {
    let mut lan = World::new(11);
    let (a, b) = (lan.node("a"), lan.node("b"));
    lan.run_for(secs(8));
    lan.register(a, "f", nothing);
    lan.run_for(ms(900));
    // The announcement is lost, and with it the hello that came before.
    lan.cut_one_way(a, b);
    lan.run_for(ms(200));
    lan.heal();
    assert!(lan.providers(b, "f").is_empty());
    lan.record_frames();
    // The next hello speaks of a revision that b does not hold.
    assert!(lan.run_until(|lan| lan.providers(b, "f") == ["a"], ms(6500)));
    let asked = lan.frames().filter(|f| f.from == b && f.text().contains("\"want\":true"));
    assert_eq!(asked.count(), 1);
}

#[test]
fn the_question_for_functions_is_repeated_until_it_is_answered() {
    let mut lan = World::new(12);
    let a = lan.add(Spec::new("a").offers(named("f")));
    let b = lan.node("b");
    // Broadcasts of a reach b, every unicast between them is lost nine times in ten.
    lan.pair_rules(b, a, Rules::default().loss(900));
    assert!(lan.run_until(|lan| lan.providers(b, "f") == ["a"], secs(120)));
}

/// The network came up only just now, or the first hello of a program was lost.
#[test]
fn a_call_that_waits_for_a_provider_greets_again() {
    let mut lan = World::new(16);
    let server = lan.add(Spec::new("server").offers(named("f")));
    lan.run_for(secs(2));
    let desk = lan.node("desk");
    lan.cut(server, desk);
    let call = lan.call(desk, "f", json!([]));
    lan.run_for(ms(300));
    lan.heal();
    lan.run_for(ms(1100));
    assert_eq!(lan.result(call), Some(Ok(Value::Null)));

    // Whoever waits for what nobody offers greets ever more seldom, and stops with its call.
    lan.record_frames();
    let wait = Ask::new("g", json!([])).wait(secs(20));
    let call = lan.ask(desk, wait);
    lan.run_for(secs(60));
    assert_eq!(lan.failure(call).code, ErrorCode::NO_PROVIDER);
    let hellos = lan.frames().filter(|frame| frame.from == desk && frame.has("hello"));
    let count = hellos.count();
    assert!((10..=18).contains(&count), "{count} hellos in a minute");
}

#[test]
fn a_partition_heals_within_two_intervals() {
    let mut lan = World::new(13);
    let a = lan.add(Spec::new("a").offers(named("f")));
    let b = lan.add(Spec::new("b").offers(named("g")));
    lan.run_for(secs(10));
    lan.cut(a, b);
    lan.run_for(secs(30));
    assert!(lan.peers(a).is_empty() && lan.peers(b).is_empty());
    lan.heal();
    let whole = |lan: &World| lan.providers(b, "f") == ["a"] && lan.providers(a, "g") == ["b"];
    assert!(lan.run_until(whole, secs(12)));
}

#[test]
fn an_asymmetric_partition_never_verifies_and_heals() {
    let mut lan = World::new(14);
    let a = lan.add(Spec::new("a").offers(named("f")));
    let b = lan.add(Spec::new("b").offers(named("g")));
    lan.cut_one_way(a, b);
    lan.run_for(secs(40));
    assert!(lan.peers(b).is_empty());
    assert!(!is_verified(&lan, a, "b"));
    lan.heal();
    let whole = |lan: &World| {
        lan.providers(b, "f") == ["a"] && lan.providers(a, "g") == ["b"] && is_verified(lan, a, "b")
    };
    assert!(lan.run_until(whole, secs(12)));
}

#[test]
fn farewell_takes_a_node_off_every_list_at_once() {
    let mut lan = World::new(15);
    let a = lan.add(Spec::new("a").offers(named("f")));
    let b = lan.node("b");
    lan.run_for(secs(3));
    lan.shutdown(a);
    lan.run_for(ms(1));
    assert!(lan.peers(b).is_empty());
    let left = lan
        .events(b)
        .any(|(_, event)| matches!(event, Event::PeerDown { reason: PeerDownReason::Left, .. }));
    assert!(left);
}

#[test]
fn configured_peers_meet_across_segments() {
    let mut lan = World::new(16);
    let a = lan.add(Spec::new("a").offers(named("f")));
    let b = lan.add(Spec::new("b").segment(1).offers(named("g")));
    lan.run_for(secs(3));
    assert!(lan.peers(a).is_empty() && lan.peers(b).is_empty());
    lan.add_peer(a, b);
    lan.add_peer(b, a);
    let whole = |lan: &World| lan.providers(b, "f") == ["a"] && lan.providers(a, "g") == ["b"];
    assert!(lan.run_until(whole, secs(1)));
    // They stay: unicast hellos renew the lease.
    lan.run_for(secs(120));
    assert!(whole(&lan));
    let call = lan.call(a, "g", json!([]));
    lan.run_for(ms(10));
    assert_eq!(lan.result(call), Some(Ok(Value::Null)));
}

#[test]
fn a_configured_peer_that_starts_later_is_found() {
    let mut lan = World::new(17);
    let a = lan.node("a");
    let b = lan.add(Spec::new("b").segment(1).offers(named("g")));
    lan.crash(b);
    lan.add_peer(a, b);
    lan.run_for(secs(30));
    lan.restart(b, Place::Same);
    // b must know a too: strangers from another network are not heard.
    lan.add_peer(b, a);
    assert!(lan.run_until(|lan| lan.providers(a, "g") == ["b"], secs(12)));
}

#[test]
fn strangers_from_another_network_are_dropped_unless_allowed() {
    let mut lan = World::new(18);
    let a = lan.node("a");
    let b = lan.add(Spec::new("b").segment(1).config(|c| c.with_allow_off_link(true)));
    // Only one side configures the other.
    lan.add_peer(b, a);
    lan.run_for(secs(20));
    assert!(lan.peers(a).is_empty());
    assert!(lan.core(a).counters().dropped(lanc_core::counters::Drop::OffLink) > 0);
    assert_eq!(lan.sent(a).unicasts, 0, "a stranger from elsewhere was answered");

    let mut lan = World::new(18);
    let a = lan.add(Spec::new("a").config(|c| c.with_allow_off_link(true)));
    let b = lan.add(Spec::new("b").segment(1));
    lan.add_peer(b, a);
    assert!(lan.run_until(|lan| is_verified(lan, a, "b") && is_verified(lan, b, "a"), secs(7)));
}

#[test]
fn a_paused_process_is_known_again_when_it_goes_on() {
    let mut lan = World::new(19);
    let a = lan.add(Spec::new("a").offers(named("f")));
    let b = lan.add(Spec::new("b").offers(named("g")));
    lan.run_for(secs(5));
    lan.pause(a);
    lan.run_for(Duration::from_secs(60));
    assert!(lan.peers(b).is_empty());
    lan.record_frames();
    lan.resume(a);
    let whole = |lan: &World| lan.providers(b, "f") == ["a"] && lan.providers(a, "g") == ["b"];
    assert!(lan.run_until(whole, secs(12)));
}

/// A lane whose broadcasts have so many bytes at most.
fn lane(max_broadcast: usize) -> Capabilities {
    Capabilities {
        max_frame: 1472,
        max_broadcast,
        reliable: false,
        ordered: false,
        broadcast: true,
        connected: false,
    }
}

/// A node on such a lane, with so many functions of so many letters.
fn many(broadcast: usize, count: usize, letters: usize, idempotent: bool) -> Spec {
    let limit = count.max(1024);
    let spec = Spec::new("a").config(|c| c.with_max_functions_per_peer(limit));
    let function = |number| {
        let function = named(&format!("f{number:0width$}", width = letters - 1));
        if idempotent { function.idempotent() } else { function }
    };
    (0..count).map(function).fold(spec.capabilities(lane(broadcast)), Spec::offers)
}

/// In how many parts a node broadcasts its list.
fn parts(mut lan: World, spec: Spec) -> usize {
    lan.record_frames();
    lan.add(spec);
    lan.run_for(secs(3));
    lan.frames().filter(|frame| frame.to.is_none() && frame.has("func")).count()
}

/// Of section 3.3 of the manual.
#[test]
fn a_part_of_a_list_holds_as_many_names_as_the_manual_says() {
    for (world, letters, idempotent, most) in [
        (World::open as fn(u64) -> World, 8, false, 75),
        (World::open, 8, true, 59),
        (World::open, 128, false, 6),
        (World::sealed, 8, false, 38),
        (World::sealed, 128, false, 3),
    ] {
        let parts = |count| parts(world(20), many(1024, count, letters, idempotent));
        let found = (parts(most), parts(most + 1), parts(2 * most));
        assert_eq!(found, (1, 2, 2), "{most} of {letters}");
    }
}

#[test]
fn a_list_of_as_many_parts_as_may_be_is_learnt() {
    let mut lan = World::open(21);
    // Room for one name of 128 letters, and not for two.
    lan.add(many(335, 4096, 128, false));
    let b = lan.add(Spec::new("b").config(|c| c.with_max_functions_per_peer(4096)));
    let whole = |lan: &World| lan.peer(b, "a").is_some_and(|peer| peer.functions == 4096);
    assert!(lan.run_until(whole, secs(20)));
}

#[test]
fn a_list_of_more_parts_than_may_be_is_refused() {
    let open = || {
        let config = Config::default().with_max_functions_per_peer(16_384);
        let pipeline = Pipeline::new(Arc::new(JsonCodec));
        let mut core = Core::new(config, pipeline, Box::new(Dice::new(1, 0)), Time::ZERO).unwrap();
        core.add_lane(lane(335)).unwrap();
        core
    };
    let register = |core: &mut Core, name: &str| {
        core.register(Time::ZERO, name, LocalFunction::new(Class::Inline)).map(drop)
    };
    let long = |number: usize| format!("f{number:0127}");
    let mut core = open();
    for number in 0..4096 {
        assert_eq!(register(&mut core, &long(number)), Ok(()), "{number}");
    }
    let refused = register(&mut core, &long(4096)).unwrap_err();
    assert_eq!(refused, RegisterError::ListTooLong { names: 4097, parts: 4096 });
    assert_eq!(core.functions().len(), 4096);
    assert_eq!(register(&mut core, &long(7)), Ok(()), "one that is there may be replaced");
    assert!(core.unregister(Time::ZERO, &long(7)).is_some());
    assert_eq!(register(&mut core, &long(4096)), Ok(()));
    // Of short ones there may be more.
    let mut core = open();
    for number in 0..8192 {
        assert_eq!(register(&mut core, &format!("f{number}")), Ok(()), "{number}");
    }
}
