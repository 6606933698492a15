//! How often a function that was declared short may be long.

use std::collections::BTreeMap;
use std::time::Duration;

use lanc_core::id::FunctionKey;

use crate::workers::INLINE_LIMIT;

/// What one long body counts, in short ones that make up for it.
const WEIGHT: u32 = 32;
/// More than this is too much: three long bodies within 32 calls.
const LIMIT: u32 = 2 * WEIGHT;
/// A body this long is no accident.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The functions whose bodies were too long of late. A single long body may be the scheduler's
/// doing: on a busy machine every thread is stopped in the middle now and then.
#[derive(Default)]
pub(crate) struct Patience {
    counts: BTreeMap<FunctionKey, u32>,
}

impl Patience {
    /// Notes how long a body took. `true`: the function is not short.
    pub(crate) fn is_over(&mut self, function: FunctionKey, took: Duration) -> bool {
        if took <= INLINE_LIMIT {
            if let Some(count) = self.counts.get_mut(&function) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&function);
                }
            }
            return false;
        }
        let count = self.counts.entry(function).or_default();
        *count += WEIGHT;
        let is_over = *count > LIMIT || took >= AT_ONCE;
        if is_over {
            self.counts.remove(&function);
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use lanc_core::slots::Slots;

    use super::*;

    fn key() -> FunctionKey {
        Slots::new(1).insert(()).unwrap_or_else(|()| unreachable!("there is room"))
    }

    const LONG: Duration = Duration::from_millis(2);

    #[test]
    fn three_long_bodies_close_together_are_too_many() {
        let (mut patience, key) = (Patience::default(), key());
        let calls: Vec<_> = [LONG, Duration::ZERO, LONG, LONG].into();
        let over: Vec<_> = calls.into_iter().map(|took| patience.is_over(key, took)).collect();
        assert_eq!(over, [false, false, false, true]);
    }

    #[test]
    fn one_in_a_hundred_is_the_schedulers_doing_and_one_of_100_ms_is_not() {
        let (mut patience, key) = (Patience::default(), key());
        for call in 0..1000 {
            let took = if call % 100 == 0 { LONG } else { INLINE_LIMIT };
            assert!(!patience.is_over(key, took));
        }
        assert!(patience.counts.is_empty());
        assert!(patience.is_over(key, AT_ONCE));
    }
}
