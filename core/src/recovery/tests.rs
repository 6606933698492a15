//! Timeouts, windows, and what counts towards the watermark.

use super::*;
use crate::id::tag;
use crate::slots::Slots;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn the_timeout_follows_the_round_trip_and_doubles_within_its_bounds() {
    let mut round_trip = RoundTrip::default();
    assert_eq!(round_trip.timeout(1), ms(200), "nothing is known yet");
    assert_eq!(round_trip.timeout(2), ms(400));
    round_trip.sample(ms(2));
    for _ in 0..50 {
        round_trip.sample(ms(2));
    }
    assert_eq!(round_trip.timeout(1), ms(24), "the floor");
    assert_eq!(round_trip.timeout(6), ms(768));
    assert_eq!(round_trip.timeout(9), ms(2000), "the ceiling");
    for _ in 0..50 {
        round_trip.sample(ms(100));
    }
    let settled = round_trip.timeout(1);
    assert!((ms(115)..ms(130)).contains(&settled), "{settled:?}");
}

#[test]
fn answers_sent_again_do_not_widen_the_timeout_for_good() {
    let mut round_trip = RoundTrip::default();
    // The machine was busy, and every third answer is a second copy.
    for _ in 0..3 {
        round_trip.sample(ms(100));
    }
    for turn in 0..90 {
        round_trip.sample_if_plausible(ms(if turn % 3 == 0 { 33 } else { 3 }));
    }
    assert_eq!(round_trip.timeout(1), ms(24), "{round_trip:?}");
}

#[test]
fn a_window_widens_by_clean_round_trips_and_is_halved_once_per_loss_burst() {
    let mut window = Window::new(256);
    for _ in 0..32 {
        assert!(window.has_room());
        window.take();
    }
    assert!(!window.has_room(), "the 33rd waits");
    window.release(true);
    window.release(false);
    assert_eq!(window.size(), 33);
    let at = |millis| Time::from_millis(millis);
    window.shrink(at(100), ms(30));
    window.shrink(at(110), ms(30));
    assert_eq!(window.size(), 16);
    window.shrink(at(131), ms(30));
    assert_eq!(window.size(), 8);
    for later in 2..20 {
        window.shrink(at(1000 * later), ms(30));
    }
    assert_eq!(window.size(), 1, "one call may always go");
    for _ in 0..1000 {
        window.release(true);
    }
    assert_eq!(window.size(), 256);
}

#[test]
fn timeouts_but_the_first_are_spread_by_a_fifth() {
    let second = ms(1000);
    assert_eq!(spread(second, 399, 1), second);
    let all: Vec<_> = (0..4000).map(|random| spread(second, random << 10, 2)).collect();
    assert_eq!(all.iter().min(), Some(&ms(800)));
    assert_eq!(all.iter().max(), Some(&ms(1200)));
}

#[test]
fn a_flight_knows_when_each_copy_left() {
    let mut flight = Flight::default();
    assert_eq!(flight.left_at(0), None);
    for sends in 0..=MAX_SENDS {
        flight.leaves(Time::from_millis(u64::from(sends) + 1));
    }
    let left = |attempt| flight.left_at(attempt).map(Time::as_millis);
    assert_eq!([left(0), left(MAX_SENDS - 1)], [Some(1), Some(u64::from(MAX_SENDS))]);
    assert_eq!([left(MAX_SENDS), left(u8::MAX)], [None, None], "one more than are kept");
}

#[test]
fn behind_an_open_call_few_are_kept_that_are_over() {
    let mut calls: Slots<(), tag::Call> = Slots::new(1);
    let call = calls.insert(()).unwrap();
    let mut recovery = Recovery::new(1);
    let is_open = |number: u64| number % 10_000 == 1;
    let most = |open: usize| 2 * open + MOST_OVER;
    for number in 1..=100_000 {
        recovery.opened(Open { number, call, until: Time::ZERO });
        recovery.compact(|open| is_open(open.number));
        assert!(recovery.open.len() <= most(10), "{}", recovery.open.len());
    }
    let open: Vec<_> = recovery.open.iter().map(|open| open.number).collect();
    assert_eq!(open.first(), Some(&1));
    assert_eq!(open.iter().filter(|number| is_open(**number)).count(), 10);
    // When nearly all are open, they are looked at once in as many as they are.
    let looked = std::cell::Cell::new(0);
    for number in 100_001..=200_000 {
        recovery.opened(Open { number, call, until: Time::ZERO });
        recovery.compact(|_| {
            looked.set(looked.get() + 1);
            true
        });
    }
    assert!(looked.get() < 300_000, "{}", looked.get());
}

#[test]
fn probes_come_ever_more_seldom() {
    let seconds: Vec<_> = (0..6).map(|probes| probe_after(probes).as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
}
