//! Tokens and keys change while nodes run.

use lanc_core::counters::Drop;
use lanc_core::ports::Cast;
use lanc_testkit::sim::{Ask, Frame, KeyChange, group_key as key, ms, secs};
use serde_json::json;

use super::pair::{assert_adds, capture, dropped, pair, replay};

#[test]
fn tokens_change_and_nobody_notices() {
    let (mut lan, a, b) = pair(5);
    for _ in 0..90 {
        assert_adds(&mut lan, b);
        lan.run_for(secs(28));
    }
    assert_eq!(dropped(&lan, a, Drop::WrongToken) + dropped(&lan, b, Drop::WrongToken), 0);
    assert_eq!(lan.tables(a).senders, 1);
}

#[test]
fn a_peer_that_slept_through_two_changes_is_told_the_token() {
    let (mut lan, a, b) = pair(6);
    // Longer than two lifetimes of a token, shorter than the lease of a peer that is configured so.
    lan.cut_one_way(a, b);
    lan.run_for(secs(1300));
    lan.heal();
    let ask = Ask::new("add", json!([1, 2])).wait(secs(6));
    let call = lan.ask(b, ask);
    lan.run_for(secs(10));
    assert_eq!(lan.result(call), Some(Ok(json!(3))));
}

#[test]
fn keys_are_changed_while_calls_go_on() {
    let (mut lan, a, b) = pair(7);
    let (old, new) = (key(1).id(), key(2).id());
    for node in [a, b] {
        lan.keys(node, KeyChange::Add(key(2)));
        assert_adds(&mut lan, b);
    }
    for node in [a, b] {
        lan.keys(node, KeyChange::Primary(new));
        for _ in 0..8 {
            assert_adds(&mut lan, b);
        }
    }
    lan.run_for(secs(20));
    let keys = lan.core(a).keys(lan.now());
    assert_eq!((keys[0].id, keys[0].primary, keys[1].id), (new, true, old));
    assert!(keys[1].unused_for > Some(secs(15)), "{keys:?}");
    for node in [a, b] {
        lan.keys(node, KeyChange::Remove(old));
        assert_adds(&mut lan, b);
    }
    assert_eq!(lan.peers(b).len(), 1);
    lan.run_for(secs(60));
    assert_adds(&mut lan, b);
}

#[test]
fn what_came_under_a_key_is_remembered_when_the_key_comes_again() {
    let (mut lan, a, b, frames) = capture(10);
    let (old, new) = (key(1), key(2).id());
    for node in [a, b] {
        lan.keys(node, KeyChange::Add(key(2)));
        lan.keys(node, KeyChange::Primary(new));
        lan.keys(node, KeyChange::Remove(old.id()));
        lan.keys(node, KeyChange::Add(key(1)));
    }
    lan.run_for(secs(8));
    let before = [a, b].map(|node| lan.core(node).counters().dropped(Drop::Replayed));
    let unicasts: Vec<Frame> = frames.into_iter().filter(|frame| frame.to.is_some()).collect();
    // The world fails if one of them is opened again.
    replay(&mut lan, &unicasts, &[a, b]);
    for (node, before) in [a, b].into_iter().zip(before) {
        assert!(dropped(&lan, node, Drop::Replayed) > before);
    }
    assert_adds(&mut lan, b);
}

#[test]
fn a_hello_from_before_a_change_of_keys_does_not_bring_the_old_key_back() {
    let (mut lan, a, b) = pair(12);
    let seen = lan.frames().count();
    lan.cut_one_way(a, b);
    lan.run_for(secs(6));
    lan.heal();
    let lost = |frame: &&Frame| frame.from == a && frame.to.is_none();
    let hello = lan.frames().skip(seen).find(lost).unwrap().clone();
    for node in [a, b] {
        lan.keys(node, KeyChange::Add(key(2)));
    }
    for node in [a, b] {
        lan.keys(node, KeyChange::Primary(key(2).id()));
    }
    lan.run_for(secs(8));
    assert_adds(&mut lan, b);
    // Sealed under the first key, and nobody has heard it before.
    lan.inject(lan.address(a), b, Cast::Broadcast, &hello.bytes);
    lan.run_for(ms(1));
    lan.keys(a, KeyChange::Remove(key(1).id()));
    assert_adds(&mut lan, b);
}
