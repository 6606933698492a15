//! How fast a message must come, looked at every 10 s.

use std::time::Duration;

use super::*;
use crate::time::Time;

const PACE: Pace =
    Pace { patience: Duration::from_secs(30), rate: 100, between_looks: Duration::from_secs(10) };

/// Limits that are in nobody's way.
fn wide() -> StreamLimits {
    let most = 1 << 20;
    StreamLimits { streams: 300, initial: 1 << 20, message: most, assembly: most, ..limits() }
}

/// How many seconds an end takes a message for that brings so many bytes every 10 s, of ten
/// minutes at most.
fn lasts(end: &mut End, number: u32, each: usize) -> u64 {
    for second in (0..600).step_by(10) {
        if end.end_slow(Time::from_millis(second * 1000), PACE) > 0 {
            return second;
        }
        end.on_record(&bytes(number, &pattern(each))).unwrap();
    }
    600
}

#[test]
fn a_message_comes_at_the_least_rate_or_is_turned_away() {
    for (each, wanted) in [(1000, 600), (999, 600), (900, 300), (500, 60), (1, 40)] {
        let mut other: End = end(false, wide());
        other.on_record(&bytes(1, b"x")).unwrap();
        let found = lasts(&mut other, 1, each);
        assert_eq!(found, wanted, "{each} B in 10 s");
        assert_eq!(other.held().bytes_in == 0, found < 600);
        if found < 600 {
            let mut said = std::iter::from_fn(|| next(&mut other)).map(|(record, _)| record);
            assert!(said.any(|record| record == reset(1, ErrorCode::TIMEOUT)));
        }
    }
}

#[test]
fn a_burst_at_its_beginning_earns_a_message_nothing() {
    let mut other: End = end(false, wide());
    other.on_record(&bytes(1, b"x")).unwrap();
    assert_eq!(other.end_slow(Time::ZERO, PACE), 0);
    other.on_record(&bytes(1, &pattern(500_000))).unwrap();
    let look = |other: &mut End, second: u64| {
        let slow = other.end_slow(Time::from_millis(second * 1000), PACE);
        let _ = other.on_record(&bytes(1, b"x"));
        slow
    };
    let slow: Vec<_> = [10, 20, 30, 40].map(|second| look(&mut other, second)).into();
    assert_eq!(slow, [0, 0, 0, 0], "each byte earns a hundredth of a second");
    assert_eq!(look(&mut other, 50), 1);
}

#[test]
fn who_had_no_credit_and_waited_for_this_end_is_not_slow() {
    let narrow = StreamLimits { initial: 64, message_window: 64, ..wide() };
    let mut other: End = end(false, narrow);
    other.on_record(&bytes(1, b"x")).unwrap();
    for second in (0..600).step_by(10) {
        assert_eq!(other.end_slow(Time::from_millis(second * 1000), PACE), 0);
        // Its credit is told late, and used at once.
        while next(&mut other).is_some() {}
        let Some(Kind::Assembling(message)) = other.table.get(&1).map(|entry| &entry.kind) else {
            panic!("turned away at {second} s");
        };
        let allowed = usize::try_from(message.allowed).unwrap();
        other.on_record(&bytes(1, &pattern(allowed))).unwrap();
    }
    // Who brings nothing at all is turned away whatever it waits for.
    let look = |second: u64| Time::from_millis(second * 1000);
    let slow = [600, 610, 620, 630].map(|second| other.end_slow(look(second), PACE));
    assert_eq!(slow, [0, 0, 0, 1]);
}

#[test]
fn time_in_which_this_node_stood_still_does_not_count() {
    let mut other: End = end(false, wide());
    other.on_record(&bytes(1, b"x")).unwrap();
    assert_eq!(other.end_slow(Time::ZERO, PACE), 0);
    assert_eq!(other.end_slow(Time::from_millis(600_000), PACE), 0, "ten minutes are one look");
    assert_eq!(other.end_slow(Time::from_millis(610_000), PACE), 0);
    assert_eq!(other.end_slow(Time::from_millis(620_000), PACE), 1);
}

#[test]
fn byte_streams_of_calls_are_as_slow_as_they_like() {
    let mut other: End = end(false, wide());
    assert_eq!(other.expect(1), Ok(true));
    for second in (0..3600).step_by(10) {
        assert_eq!(other.end_slow(Time::from_millis(second * 1000), PACE), 0);
        if second % 600 == 0 {
            other.on_record(&bytes(1, b"x")).unwrap();
        }
    }
    assert_eq!(read_all(&mut other, 1), (b"xxxxxx".to_vec(), false));
}

/// A link that carries so many bytes a second, shared by as many streams as it may have.
#[test]
fn a_large_message_on_a_slow_link_beside_many_others_arrives() {
    let shared = StreamLimits { streams: 64, assembly: 1 << 20, queue: 1 << 20, ..wide() };
    for carries in [125_usize, 1000] {
        let (mut one, mut other): (End, End) = (end(true, shared), end(false, shared));
        let pace = Pace { rate: 100, ..PACE };
        one.push_message("large", pattern(5000)).unwrap();
        let (mut slow, mut second, mut has_come) = (0, 0, false);
        while !has_come {
            while one.held().messages_out < 65 {
                one.push_message("other", pattern(300)).unwrap();
            }
            let mut room = 10 * carries;
            while room > 0
                && let Some((record, _)) = next(&mut one)
            {
                room = room.saturating_sub(record.len() - HEAD);
                let arrived = other.on_record(&record).unwrap();
                has_come |= matches!(arrived, Arrived::Message(message) if message.len() == 5000);
            }
            carry(&mut other, &mut one);
            second += 10;
            slow += other.end_slow(Time::from_millis(second * 1000), pace);
            assert!(second < 100_000);
        }
        assert_eq!(slow, 0, "{carries} B/s");
        // Alone it would have had to be as fast as the whole link must be.
        assert!(second * 100 > 5000 + 3000, "it took {second} s");
    }
}
