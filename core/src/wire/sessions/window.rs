//! Which counters of one sender have come: a window that slides with the highest.

/// Counters that a frame may be behind the newest one and still be taken.
const WIDTH: u64 = 8192;
const WORDS: usize = 128;

/// The counters of one sender that have come. 1 KiB.
pub(crate) struct Window {
    newest: u64,
    /// One bit a counter, at its place modulo [`WIDTH`].
    seen: [u64; WORDS],
}

/// A counter that has not come before. It is noted by [`Window::commit`], once its frame has
/// shown to be genuine: whoever forges frames must not move the window.
#[must_use]
#[derive(Debug)]
pub(crate) struct Fresh(u64);

impl Window {
    pub(crate) const fn new() -> Self {
        Self { newest: 0, seen: [0; WORDS] }
    }

    /// Whether a counter, at least 1, may still come. Changes nothing.
    pub(crate) fn check(&self, counter: u64) -> Option<Fresh> {
        let is_within = counter > 0 && counter.saturating_add(WIDTH) > self.newest;
        (is_within && !self.has(counter)).then_some(Fresh(counter))
    }

    /// The same for what must be newer than all that came: neither it nor anything sealed before it
    /// was for this receiver, so of what came before this window was made there may be copies.
    pub(crate) fn check_newest(&self, counter: u64) -> Option<Fresh> {
        (counter > self.newest).then_some(Fresh(counter))
    }

    /// Notes a counter.
    pub(crate) fn commit(&mut self, fresh: Fresh) {
        let Fresh(counter) = fresh;
        if counter > self.newest {
            // What lies between has not come.
            let skipped = (counter - self.newest).min(WIDTH);
            for gap in counter - skipped..counter {
                self.set(gap + 1, false);
            }
            self.newest = counter;
        }
        self.set(counter, true);
    }

    /// The highest counter that has come; 0: none has.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    fn has(&self, counter: u64) -> bool {
        let (word, bit) = place(counter);
        counter <= self.newest && self.seen.get(word).is_some_and(|word| word & bit != 0)
    }

    fn set(&mut self, counter: u64, came: bool) {
        let (word, bit) = place(counter);
        if let Some(word) = self.seen.get_mut(word) {
            if came { *word |= bit } else { *word &= !bit }
        }
    }
}

/// The word of a counter and its bit in there.
fn place(counter: u64) -> (usize, u64) {
    let place = counter % WIDTH;
    (usize::try_from(place / 64).unwrap_or(0), 1 << (place % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn take(window: &mut Window, counter: u64) -> bool {
        let fresh = window.check(counter);
        let is_fresh = fresh.is_some();
        if let Some(fresh) = fresh {
            window.commit(fresh);
        }
        is_fresh
    }

    #[test]
    fn it_agrees_with_a_set_of_all_that_came() {
        let mut seed = 7u64;
        let mut draw = move |most: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % most
        };
        for step in [1, 3, 100, 5000, 20_000] {
            let (mut window, mut came) = (Window::new(), BTreeSet::new());
            for _ in 0..20_000 {
                let newest = came.last().copied().unwrap_or(0);
                let counter = (newest + draw(step + 1)).saturating_sub(draw(9000));
                let expected = counter > 0 && counter + WIDTH > newest && !came.contains(&counter);
                assert_eq!(take(&mut window, counter), expected, "{counter} after {newest}");
                if expected {
                    came.insert(counter);
                }
                assert_eq!(window.newest(), came.last().copied().unwrap_or(0));
            }
        }
    }

    #[test]
    fn what_is_looked_at_is_not_noted() {
        let mut window = Window::new();
        assert!(window.check(5).is_some() && window.check(5).is_some());
        assert!(take(&mut window, 5) && !take(&mut window, 5));
        assert!(take(&mut window, 4));
        assert!(window.check_newest(5).is_none() && window.check_newest(3).is_none());
        assert!(window.check_newest(6).is_some());
        assert!(!take(&mut window, 0));
        let last = super::super::envelope::LAST_COUNTER;
        assert!(take(&mut window, last) && !take(&mut window, last - WIDTH));
        assert!(take(&mut window, last - WIDTH + 1));
    }
}
