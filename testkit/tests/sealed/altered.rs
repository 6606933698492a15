//! Frames that were changed or forged on their way.

use lanc_core::counters::Drop;
use lanc_core::ports::Cast;
use lanc_testkit::sim::{Frame, ms, secs};
use serde_json::json;

use super::pair::{assert_adds, dropped, pair};

#[test]
fn what_is_changed_on_its_way_is_not_heard() {
    let (mut lan, a, b) = pair(8);
    lan.cut(a, b);
    let seen = lan.frames().count();
    let call = lan.call(b, "add", json!([1, 2]));
    lan.run_for(ms(10));
    let frames: Vec<Frame> = lan.frames().skip(seen).cloned().collect();
    let [frame] = frames.as_slice() else { panic!("one frame, not {frames:?}") };
    let (from, accepted) = (lan.address(b), lan.core(a).counters().frames_accepted);
    for bit in 0..frame.bytes.len() * 8 {
        let mut bytes = frame.bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        lan.inject(from, a, Cast::Unicast, &bytes);
    }
    for length in 0..frame.bytes.len() {
        lan.inject(from, a, Cast::Unicast, &frame.bytes[..length]);
    }
    lan.run_for(ms(1));
    let counters = lan.core(a).counters();
    assert_eq!((counters.frames_accepted, counters.tasks_started), (accepted, 0));
    assert!(counters.dropped(Drop::BadSeal) > 500, "{counters:?}");
    lan.inject(from, a, Cast::Unicast, &frame.bytes);
    lan.run_for(ms(10));
    assert_eq!(lan.core(a).counters().tasks_started, 1, "the window has not moved before");
    lan.heal();
    lan.run_for(secs(2));
    assert_eq!(lan.result(call), Some(Ok(json!(3))));
}

/// Heads are no secret: with that of a peer anybody can have keys made for every epoch.
#[test]
fn keys_are_not_made_for_forged_epochs_at_the_rate_of_the_network() {
    let (mut lan, a, b) = pair(10);
    lan.cut(a, b);
    let seen = lan.frames().count();
    lan.call(b, "add", json!([1, 2]));
    lan.run_for(ms(10));
    let call = lan.frames().nth(seen).unwrap().bytes.to_vec();
    lan.heal();
    for epoch in 1..=5000u32 {
        let mut forged = call.clone();
        forged[34..37].copy_from_slice(&epoch.to_be_bytes()[1..]);
        lan.inject(lan.address(b), a, Cast::Unicast, &forged);
    }
    lan.run_for(ms(10));
    let (tried, refused) = (dropped(&lan, a, Drop::BadSeal), dropped(&lan, a, Drop::RateLimited));
    assert_eq!(tried + refused, 5000);
    assert!(tried <= 200, "{tried} keys were made");
    assert_adds(&mut lan, b);
    assert_eq!(dropped(&lan, a, Drop::RateLimited), refused, "its own frames are not held up");
}
