//! Copies of frames, frames that come late, and a copy of a process: nothing is taken twice, and no
//! nonce is used twice.

use lanc_core::counters::Drop;
use lanc_core::ports::Cast;
use lanc_testkit::sim::{Frame, Place, Rules, World, group_key as key, ms, secs};
use serde_json::json;

use super::pair::{assert_adds, believed, capture, dropped, pair, replay, strong};

#[test]
fn no_copy_of_a_frame_is_obeyed_whoever_gets_it() {
    let (mut lan, a, b, frames) = capture(3);
    let c = lan.add(strong("c").key(key(1)));
    lan.run_for(secs(8));
    let started = |lan: &World| {
        [a, b, c].map(|node| lan.core(node).counters().tasks_started).iter().sum::<u64>()
    };
    let before = started(&lan);
    replay(&mut lan, &frames, &[a, b, c]);
    assert_eq!(started(&lan), before);
    assert!(dropped(&lan, a, Drop::Replayed) > 0 && dropped(&lan, c, Drop::WrongToken) > 0);
    assert_adds(&mut lan, b);
}

#[test]
fn copies_are_harmless_after_either_has_restarted() {
    for seed in 0..20 {
        let (mut lan, a, b, frames) = capture(seed);
        for (restarts, place) in [(a, Place::Same), (b, Place::New), (b, Place::Same)] {
            lan.restart(restarts, place);
            lan.run_for(secs(2));
            let before = [a, b].map(|node| lan.core(node).counters().tasks_started);
            let known = [a, b].map(|node| believed(&lan, node));
            replay(&mut lan, &frames, &[a, b]);
            assert_eq!([a, b].map(|node| lan.core(node).counters().tasks_started), before);
            assert_eq!([a, b].map(|node| believed(&lan, node)), known, "seed {seed}");
            lan.run_for(secs(12));
            assert_adds(&mut lan, b);
        }
    }
}

/// Frames to everybody are often overtaken by others: they take another socket. Each must still be
/// heard, once.
#[test]
fn what_was_overtaken_on_its_way_is_heard_once() {
    for seed in 0..10 {
        let (mut lan, a, b) = pair(seed);
        lan.rules(Rules::default().delay(ms(0)..=ms(20)));
        for number in 0..1500 {
            lan.call(b, "add", json!([number, 1]));
            lan.run_for(ms(10));
        }
        let replayed = |lan: &World| [a, b].map(|node| dropped(lan, node, Drop::Replayed));
        assert_eq!(replayed(&lan), [0, 0], "seed {seed}");
        lan.rules(Rules::default());
        lan.run_for(secs(1));
        let frames: Vec<Frame> = lan.frames().cloned().collect();
        let hellos: Vec<Frame> = frames
            .into_iter()
            .filter(|frame| frame.from == b && frame.text().contains("hello"))
            .collect();
        assert!(hellos.len() >= 3, "{hellos:?}");
        for hello in &hellos {
            lan.inject(lan.address(b), a, Cast::Broadcast, &hello.bytes);
        }
        lan.run_for(ms(20));
        let copies = u64::try_from(hellos.len()).unwrap();
        assert_eq!(replayed(&lan), [copies, 0], "seed {seed}");
    }
}

/// Somebody keeps a hello back until the token that it tells is good no more.
#[test]
fn a_hello_that_was_held_back_changes_nothing() {
    let (mut lan, a, b) = pair(9);
    assert_adds(&mut lan, b);
    lan.cut(a, b);
    let seen = lan.frames().count();
    lan.run_for(secs(7));
    let held_back: Vec<Frame> =
        lan.frames().skip(seen).filter(|frame| frame.from == a).cloned().collect();
    assert!(!held_back.is_empty());
    lan.heal();
    for _ in 0..45 {
        lan.run_for(secs(28));
        assert_adds(&mut lan, b);
    }
    let replayed = dropped(&lan, b, Drop::Replayed);
    for frame in &held_back {
        lan.inject(lan.address(a), b, Cast::Broadcast, &frame.bytes);
    }
    lan.run_for(ms(20));
    assert_eq!(dropped(&lan, b, Drop::Replayed), replayed, "nobody has heard them before");
    assert_adds(&mut lan, b);
    assert_eq!(dropped(&lan, a, Drop::WrongToken), 0, "the old token is not used again");
}

#[test]
fn a_copy_of_a_process_uses_no_nonce_again() {
    for seed in 0..20 {
        let (mut lan, a, b) = pair(seed);
        // Both have drawn the same at first, and count from one. The world holds all nonces
        // beside each other.
        let copy = lan.clone_of(a);
        assert_eq!(lan.session(copy), lan.session(a));
        lan.run_for(secs(20));
        let sealed = |node| lan.core(node).sealing().unwrap().sealed;
        assert!(sealed(copy) > 3 && sealed(a) > 3);
        lan.crash(copy);
        lan.restart(a, Place::Same);
        lan.run_for(secs(30));
        assert_adds(&mut lan, b);
    }
}
