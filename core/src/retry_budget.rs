//! How much may be asked of a peer again: no more retries and copies go to one that fails often,
//! so that they do not add to what makes it fail (the numbers are gRPC's).

use std::time::Duration;

use crate::time::Time;

/// A full budget, in tenths of a token.
const FULL: u8 = 100;
/// Below half of it nothing goes there again.
const LEAST: u8 = 50;
const SUCCESS: u8 = 1;
const FAILURE: u8 = 10;
/// A token comes back in this time whatever happens: a peer that gets nothing but retries could
/// not earn it otherwise.
const REFILL: Duration = Duration::from_secs(10);

/// The retry budget of one peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryBudget {
    tenths: u8,
    filled: Time,
}

impl RetryBudget {
    pub(crate) fn new(now: Time) -> Self {
        Self { tenths: FULL, filled: now }
    }

    /// The peer has answered as it should.
    pub(crate) fn succeeded(&mut self) {
        self.tenths = self.tenths.saturating_add(SUCCESS).min(FULL);
    }

    /// A call failed there for a reason that is the peer's own.
    pub(crate) fn failed(&mut self, now: Time) {
        self.fill(now);
        self.tenths = self.tenths.saturating_sub(FAILURE);
    }

    /// Whether a call that went elsewhere first may go there.
    pub(crate) fn allows(&mut self, now: Time) -> bool {
        self.fill(now);
        self.tenths >= LEAST
    }

    fn fill(&mut self, now: Time) {
        while self.tenths < FULL && now.since(self.filled) >= REFILL {
            self.filled = self.filled + REFILL;
            self.tenths = self.tenths.saturating_add(FAILURE).min(FULL);
        }
        if self.tenths == FULL {
            self.filled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::ZERO;

    #[test]
    fn the_sixth_failure_in_a_row_ends_it_and_a_success_gives_a_tenth_back() {
        let mut budget = RetryBudget::new(START);
        for _ in 0..5 {
            budget.failed(START);
            assert!(budget.allows(START));
        }
        budget.failed(START);
        assert!(!budget.allows(START));
        for _ in 0..9 {
            budget.succeeded();
            assert!(!budget.allows(START));
        }
        budget.succeeded();
        assert!(budget.allows(START));
    }

    #[test]
    fn it_is_never_more_than_full_nor_less_than_nothing() {
        let mut budget = RetryBudget::new(START);
        (0..1000).for_each(|_| budget.succeeded());
        (0..6).for_each(|_| budget.failed(START));
        assert!(!budget.allows(START));
        (0..1000).for_each(|_| budget.failed(START));
        (0..50).for_each(|_| budget.succeeded());
        assert!(budget.allows(START));
    }

    #[test]
    fn time_alone_gives_a_token_every_ten_seconds() {
        let mut budget = RetryBudget::new(START);
        (0..10).for_each(|_| budget.failed(START));
        assert!(!budget.allows(START + REFILL * 5 - Duration::from_nanos(1)));
        assert!(budget.allows(START + REFILL * 5));
        let late = START + Duration::from_secs(24 * 3600);
        assert!(budget.allows(late));
        (0..6).for_each(|_| budget.failed(late));
        assert!(!budget.allows(late));
    }
}
