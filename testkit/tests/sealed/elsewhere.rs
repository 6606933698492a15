//! Copies of hellos from some address: who is believed, and where a node lives.

use lanc_core::Trust;
use lanc_core::counters::Drop;
use lanc_core::ports::Cast;
use lanc_testkit::sim::{Ask, Frame, Place, Spec, World, group_key as key, ms, secs};
use serde_json::json;

use super::pair::{assert_adds, believed, capture, dropped, pair, trust};

#[test]
fn a_copy_from_an_address_that_was_proved_makes_nobody_believed() {
    let (mut lan, a, _, frames) = capture(11);
    let hello = frames.iter().find(|frame| frame.from == a && frame.to.is_none()).unwrap();
    lan.restart(a, Place::Same);
    // Knows the second life of `a` only, and its address.
    let c = lan.add(Spec::new("c").key(key(1)));
    lan.run_for(secs(8));
    assert_eq!(trust(&lan, c, "a"), Some(Trust::Verified));
    let from = lan.address(a);
    lan.crash(a);
    assert!(lan.run_until(|lan| lan.peer(c, "a").is_none(), secs(60)));
    lan.inject(from, c, Cast::Broadcast, &hello.bytes);
    lan.run_for(ms(100));
    assert_eq!(trust(&lan, c, "a"), Some(Trust::Tentative));
    lan.run_for(secs(60));
    assert_eq!(trust(&lan, c, "a"), None);
}

#[test]
fn a_copy_of_another_session_does_not_keep_a_dead_peer() {
    let (mut lan, a, _, frames) = capture(13);
    let hello = frames.iter().find(|frame| frame.from == a && frame.to.is_none()).unwrap();
    lan.restart(a, Place::Same);
    let c = lan.add(Spec::new("c").key(key(1)));
    lan.run_for(secs(8));
    lan.crash(a);
    lan.run_for(secs(15));
    assert_eq!(trust(&lan, c, "a"), Some(Trust::Verified));
    lan.inject(lan.address(a), c, Cast::Broadcast, &hello.bytes);
    lan.run_for(secs(10));
    assert_eq!(trust(&lan, c, "a"), None, "its lease is over after 21 s");
}

/// Two copies that nobody has heard yet: one of an earlier life of `a`, from where `a` lives, and
/// one of `a`'s first hello, from elsewhere.
#[test]
fn a_copy_at_the_address_of_a_node_does_not_keep_the_node_from_being_heard() {
    let (mut lan, a, _, frames) = capture(15);
    let is_hello = |frame: &&Frame| frame.from == a && frame.to.is_none();
    let of_before = frames.iter().find(is_hello).unwrap();
    lan.restart(a, Place::Same);
    lan.run_for(secs(2));
    let of_now = lan.frames().skip(frames.len()).find(is_hello).unwrap().clone();
    let c = lan.add(Spec::new("c").key(key(1)));
    lan.cut(a, c);
    let before = lan.session(a);
    lan.inject("10.0.9.9:4000".parse().unwrap(), c, Cast::Broadcast, &of_now.bytes);
    lan.inject(lan.address(a), c, Cast::Broadcast, &of_before.bytes);
    lan.run_for(ms(1));
    assert_eq!(lan.peers(c).iter().filter(|peer| peer.trust == Trust::Tentative).count(), 2);
    lan.heal();
    assert!(lan.run_until(|lan| believed(lan, c).contains(&before), secs(7)));
    // What it seals for `c` is heard from now on, and answered there.
    assert_adds(&mut lan, c);
    let known = lan.peers(c).into_iter().find(|peer| peer.session == before).unwrap();
    assert_eq!(known.endpoint.socket_addr(), Some(lan.address(a)));
    assert_eq!(dropped(&lan, c, Drop::Forged), 0);
}

/// A copy of the first hello of a new life comes from elsewhere before any other.
#[test]
fn a_restarted_node_that_was_heard_elsewhere_first_is_known_where_it_lives() {
    let (mut lan, a, b) = pair(16);
    lan.cut(a, b);
    let seen = lan.frames().count();
    lan.restart(a, Place::Same);
    lan.run_for(secs(2));
    let is_hello = |frame: &&Frame| frame.from == a && frame.to.is_none();
    let hello = lan.frames().skip(seen).find(is_hello).unwrap().clone();
    lan.inject("10.0.9.9:4000".parse().unwrap(), b, Cast::Broadcast, &hello.bytes);
    lan.run_for(ms(1));
    assert_eq!(lan.peers(b).len(), 2, "its earlier life, and one that is not believed");
    lan.heal();
    let is_known = |lan: &World| {
        let peers = lan.peers(b);
        let one = peers.iter().filter(|peer| peer.session == lan.session(a));
        let place = |peer: &lanc_core::PeerInfo| peer.endpoint.socket_addr();
        peers.len() == 1 && one.map(place).collect::<Vec<_>>() == [Some(lan.address(a))]
    };
    assert!(lan.run_until(is_known, secs(8)), "{:?}", lan.peers(b));
    let call = lan.ask(b, Ask::new("add", json!([1, 2])).wait(secs(1)));
    lan.run_for(secs(2));
    assert_eq!(lan.result(call), Some(Ok(json!(3))));
}
