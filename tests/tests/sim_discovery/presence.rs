//! Nodes that come, greet, fall silent, restart and leave.

use std::time::Duration;

use lanc_core::error::ErrorCode;
use lanc_core::event::{Event, PeerDownReason};
use lanc_testkit::sim::{Ask, Place, Spec, World, ms, secs};
use serde_json::{Value, json};

use super::offers::{is_verified, named};

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
