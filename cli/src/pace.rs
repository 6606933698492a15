//! How many lines a second the comings and goings of others may write.

use std::time::Duration;

use tokio::time::Instant;

/// Lines in a second; strangers cannot fill a disk by them.
const MOST: u32 = 50;
const SECOND: Duration = Duration::from_secs(1);

/// Counts the lines of this second.
pub(crate) struct Pace {
    since: Instant,
    told: u32,
    untold: u32,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, told: 0, untold: 0 }
    }

    /// Whether one more line may be written, and how many were left out in the seconds before.
    pub(crate) fn next(&mut self, now: Instant) -> (bool, u32) {
        let mut left_out = 0;
        if now.duration_since(self.since) >= SECOND {
            left_out = std::mem::take(&mut self.untold);
            (self.since, self.told) = (now, 0);
        }
        let may = self.told < MOST;
        if may {
            self.told += 1
        } else {
            self.untold += 1
        }
        (may, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_second_holds_is_counted() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for _ in 0..MOST {
            assert_eq!(pace.next(start), (true, 0));
        }
        assert_eq!([pace.next(start), pace.next(start)], [(false, 0); 2]);
        assert_eq!(pace.next(start + SECOND), (true, 2));
        assert_eq!(pace.next(start + SECOND), (true, 0));
    }
}
