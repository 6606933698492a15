//! How long answers of a function take: a histogram of fixed size in which old answers fade.

use std::time::Duration;

/// Four classes for each doubling from 64 us to 64 s; the ends take what is beyond them.
const CLASSES: usize = 80;
/// The upper end of the first class.
const LEAST_MICROS: u64 = 64;
/// Answers after which all that were counted weigh half.
const FADES_AT: u16 = 1024;
/// Fewer answers say nothing about one in twenty.
const ENOUGH: u16 = 20;

/// The latest answers, by their class.
#[derive(Clone, Debug)]
pub(crate) struct Latency {
    classes: [u16; CLASSES],
    total: u16,
}

impl Default for Latency {
    fn default() -> Self {
        Self { classes: [0; CLASSES], total: 0 }
    }
}

impl Latency {
    /// Counts an answer.
    pub(crate) fn record(&mut self, took: Duration) {
        if self.total >= FADES_AT {
            self.classes.iter_mut().for_each(|count| *count /= 2);
            self.total = self.classes.iter().sum();
        }
        if let Some(count) = self.classes.get_mut(class(took)) {
            *count += 1;
            self.total += 1;
        }
    }

    /// The time in which 95 of 100 answers came, rounded up by at most a quarter. `None`: too
    /// few have come.
    pub(crate) fn p95(&self) -> Option<Duration> {
        if self.total < ENOUGH {
            return None;
        }
        let mut later = self.total / 20;
        for (class, count) in self.classes.iter().enumerate().rev() {
            if *count > later {
                return Some(upper_end(class));
            }
            later -= count;
        }
        None
    }
}

/// The class of a time: two bits behind its highest one.
fn class(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(LEAST_MICROS);
    let doublings = micros.ilog2() - LEAST_MICROS.ilog2();
    let quarter = (micros >> (micros.ilog2() - 2)) & 3;
    let class = u64::from(doublings) * 4 + quarter;
    usize::try_from(class).unwrap_or(CLASSES).min(CLASSES - 1)
}

/// The shortest time beyond a class.
fn upper_end(class: usize) -> Duration {
    let next = u32::try_from(class + 1).unwrap_or(0);
    let base = LEAST_MICROS << (next / 4);
    Duration::from_micros(base + base / 4 * u64::from(next % 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn every_time_is_in_the_class_that_ends_behind_it() {
        let mut micros = 1;
        while micros < 70_000_000 {
            let took = Duration::from_micros(micros);
            let at = class(took);
            if at < CLASSES - 1 {
                assert!(took < upper_end(at), "{took:?}");
            }
            if at > 0 {
                assert!(took >= upper_end(at - 1), "{took:?}");
            }
            micros += 1 + micros / 7;
        }
        assert_eq!(class(Duration::ZERO), 0);
        assert_eq!(class(Duration::MAX), CLASSES - 1);
    }

    #[test]
    fn p95_is_known_from_twenty_answers_on_and_leaves_one_in_twenty_out() {
        let mut latency = Latency::default();
        for _ in 0..19 {
            latency.record(ms(10));
            assert_eq!(latency.p95(), None);
        }
        latency.record(ms(900));
        let p95 = latency.p95().unwrap();
        assert!(p95 >= ms(10) && p95 <= ms(13), "{p95:?}");
        latency.record(ms(900));
        let p95 = latency.p95().unwrap();
        assert!(p95 >= ms(900) && p95 <= ms(1125), "{p95:?}");
    }

    #[test]
    fn old_answers_fade_and_no_count_overflows() {
        let mut latency = Latency::default();
        (0..100_000).for_each(|_| latency.record(ms(500)));
        assert!(latency.p95().unwrap() >= ms(500));
        (0..10_000).for_each(|_| latency.record(ms(1)));
        assert!(latency.p95().unwrap() < ms(2));
    }
}
