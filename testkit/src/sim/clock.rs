//! The clock of a node: it may run fast or slow, and leap.

use std::time::Duration;

use lanc_core::Time;

/// How fast a clock runs, in thousandths of the right speed.
const RIGHT: u64 = 1000;

/// Maps the time of the world to that of a node. It only goes forward, as the monotonic clock
/// of a real host does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Clock {
    world: Time,
    local: Time,
    rate: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { world: Time::ZERO, local: Time::ZERO, rate: RIGHT }
    }
}

impl Clock {
    /// What it shows at a moment of the world.
    pub(super) fn read(&self, world: Time) -> Time {
        self.local + scaled(world.since(self.world), self.rate, RIGHT, false)
    }

    /// The first moment of the world at which it shows `local` or more.
    pub(super) fn when(&self, local: Time) -> Time {
        self.world + scaled(local.since(self.local), RIGHT, self.rate, true)
    }

    /// From now on it runs at this many thousandths of the right speed.
    pub(super) fn run_at(&mut self, world: Time, rate: u32) {
        let local = self.read(world);
        *self = Self { world, local, rate: u64::from(rate.max(1)) };
    }

    /// It leaps forward, as after a machine was asleep.
    pub(super) fn leap(&mut self, by: Duration) {
        self.local = self.local + by;
    }
}

fn scaled(span: Duration, by: u64, of: u64, up: bool) -> Duration {
    if by == of {
        return span;
    }
    let (by, of) = (u128::from(by), u128::from(of));
    let nanos = span.as_nanos().saturating_mul(by);
    let nanos = if up { nanos.div_ceil(of) } else { nanos / of };
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_is_asked_for_has_come_when_the_clock_says_so() {
        for rate in [900, 1000, 1099, 1100] {
            let mut clock = Clock::default();
            clock.run_at(Time::from_millis(777), rate);
            clock.leap(Duration::from_secs(7200));
            for nanos in [0, 1, 3, 999_999_999, 86_400_000_000_007] {
                let local = clock.read(Time::from_millis(777)) + Duration::from_nanos(nanos);
                let when = clock.when(local);
                assert!(clock.read(when) >= local);
                assert!(clock.read(when).since(local) <= Duration::from_nanos(2));
            }
        }
    }
}
