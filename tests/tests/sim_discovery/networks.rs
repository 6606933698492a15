//! Networks that part and heal, and peers on another network.

use lanc_testkit::sim::{Place, Spec, World, ms, secs};
use serde_json::{Value, json};

use super::offers::{is_verified, named};

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
