//! Whether to look once more before going to sleep.
//!
//! To be woken costs what a dozen calls cost, at both ends: the sender's kernel must wake another
//! core, and this one must come out of its sleep. After a batch of many calls more of them follow
//! soon, as a rule, so that looking for a moment is cheaper; and where it is not, it is given up.

use std::time::Duration;

/// How long it is looked for more after many calls, at most.
const AFTER_MANY: Duration = Duration::from_micros(50);
/// So many are many.
const MANY: usize = 8;
/// Looks in vain after which none is taken for a while: twice as long each time, up to this.
const MOST_PASSED: u32 = 64;

/// How often and how long a driver looks for more before it sleeps.
#[derive(Debug)]
pub(crate) struct Linger {
    /// How long in any case.
    always: Duration,
    had_many: bool,
    /// Looks in vain, one after the other.
    vain: u32,
    /// Times that are passed over from now on.
    passed: u32,
}

impl Linger {
    /// `always`: how long it is looked for more whatever there was to do.
    pub(crate) fn new(always: Duration) -> Self {
        Self { always, had_many: false, vain: 0, passed: 0 }
    }

    /// Notes that so many calls were answered, or their callers woken, at once.
    pub(crate) fn note(&mut self, calls: usize) {
        self.had_many |= calls >= MANY;
    }

    /// How long to look for more now.
    pub(crate) fn time(&mut self) -> Duration {
        let had_many = std::mem::take(&mut self.had_many);
        if !had_many {
            return self.always;
        }
        if self.passed > 0 {
            self.passed -= 1;
            return self.always;
        }
        self.always.max(AFTER_MANY)
    }

    /// Notes whether anything came while it was looked for.
    pub(crate) fn came(&mut self, came: bool) {
        if came {
            self.vain = 0;
        } else {
            self.vain = self.vain.saturating_add(1);
            self.passed = 1_u32.checked_shl(self.vain).unwrap_or(MOST_PASSED).min(MOST_PASSED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_after_many_calls_only() {
        let mut linger = Linger::new(Duration::ZERO);
        assert_eq!(linger.time(), Duration::ZERO);
        linger.note(MANY - 1);
        assert_eq!(linger.time(), Duration::ZERO);
        linger.note(MANY);
        linger.note(1);
        assert_eq!(linger.time(), AFTER_MANY);
        linger.came(true);
        assert_eq!(linger.time(), Duration::ZERO, "there was nothing since");
    }

    #[test]
    fn where_nothing_comes_it_looks_ever_more_seldom() {
        let mut linger = Linger::new(Duration::ZERO);
        let mut looks = Vec::new();
        for turn in 0..400 {
            linger.note(MANY);
            if linger.time() > Duration::ZERO {
                looks.push(turn);
                linger.came(false);
            }
        }
        let pauses: Vec<_> = looks.windows(2).map(|pair| pair[1] - pair[0] - 1).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 64, 64, 64, 64]);
        // Once something comes it is worth while again.
        linger.note(MANY);
        while linger.time() == Duration::ZERO {
            linger.note(MANY);
        }
        linger.came(true);
        linger.note(MANY);
        assert_eq!(linger.time(), AFTER_MANY);
    }

    #[test]
    fn who_wants_to_be_fast_always_looks() {
        let mut linger = Linger::new(Duration::from_micros(200));
        for _ in 0..10 {
            assert_eq!(linger.time(), Duration::from_micros(200));
            linger.came(false);
        }
        let mut linger = Linger::new(Duration::from_micros(1));
        linger.note(MANY);
        assert_eq!(linger.time(), AFTER_MANY);
    }
}
