use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::id::CallKey;
use crate::slots::Slots;

/// Against an ordered map, over random sets, cancels and steps.
#[test]
fn agrees_with_an_ordered_map() {
    let mut table: Slots<(), crate::id::tag::Call> = Slots::new(1 << 20);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |most: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % most
    };
    let mut wheel = Timers::new();
    let mut model: BTreeMap<(Time, u64), (TimerKey, CallKey)> = BTreeMap::new();
    let mut now = Time::ZERO;
    let mut sequence = 0;
    for _ in 0..20_000 {
        match random(10) {
            0..5 => {
                let span = 1 << (random(40) + 1);
                let at = now + Duration::from_nanos(random(span));
                let call = table.insert(()).unwrap();
                sequence += 1;
                model.insert((at, sequence), (wheel.set(at, Timer::Deadline(call)), call));
            }
            5..7 => {
                let skip = usize::try_from(random(64)).unwrap();
                if let Some(key) = model.keys().nth(skip).copied() {
                    let (timer, _) = model.remove(&key).unwrap();
                    wheel.cancel(timer);
                    wheel.cancel(timer);
                }
            }
            _ => {
                let span = 1 << (random(38) + 1);
                now = now + Duration::from_nanos(random(span));
                let mut fired = Vec::new();
                while let Some(Timer::Deadline(call)) = wheel.pop_due(now) {
                    fired.push(call);
                }
                let mut expected = Vec::new();
                while let Some((&(at, _), _)) = model.first_key_value() {
                    if at > now {
                        break;
                    }
                    expected.push(model.pop_first().unwrap().1.1);
                }
                fired.sort();
                expected.sort();
                assert_eq!(fired, expected);
            }
        }
        assert_eq!(wheel.len(), model.len());
        if let Some((&(at, _), _)) = model.first_key_value() {
            assert!(wheel.next().unwrap().0 <= at, "a timer would be late");
        }
    }
}

#[test]
fn waking_at_the_next_time_always_makes_progress() {
    let mut table: Slots<(), crate::id::tag::Call> = Slots::new(8);
    let call = table.insert(()).unwrap();
    let mut wheel = Timers::new();
    let cancelled = wheel.set(Time::from_millis(3), Timer::Deadline(call));
    wheel.set(Time::from_nanos(5_000_000_123), Timer::Deadline(call));
    wheel.cancel(cancelled);
    let mut wakes = 0;
    while let Some((at, _)) = wheel.next() {
        wakes += 1;
        if wheel.pop_due(at).is_some() {
            assert_eq!(at, Time::from_nanos(5_000_000_123));
        }
    }
    assert!(wakes <= 2, "{wakes} wake-ups for one timer");
}
