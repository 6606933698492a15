//! Open calls by the numbers in their ids.
//!
//! Numbers are handed out in order, so that the calls of a while have places of their own in a
//! ring; what has been open for long finds its place taken by and by, and stands in a map. A map
//! alone would be felt on every call: three lookups, and the table rehashed every so often.

use crate::id::CallKey;
use crate::keyed::{HashKey, KeyedMap};

/// Places of the ring, powers of two: at first, and at most.
const FIRST_PLACES: usize = 64;
const MOST_PLACES: usize = 1024;

/// The table.
pub(crate) struct ByNumber {
    /// By the number's low bits; empty until the first call.
    ring: Vec<Option<(u64, CallKey)>>,
    /// Those that found their place taken.
    others: KeyedMap<u64, CallKey>,
}

impl ByNumber {
    pub(crate) fn new(hash: HashKey) -> Self {
        Self { ring: Vec::new(), others: KeyedMap::new(hash) }
    }

    /// The call of a number.
    pub(crate) fn get(&self, number: u64) -> Option<CallKey> {
        match self.ring.get(self.place(number)) {
            Some(Some((own, call))) if *own == number => Some(*call),
            // Without a ring there is no call at all.
            Some(_) if !self.others.is_empty() => self.others.get(&number).copied(),
            _ => None,
        }
    }

    /// Adds a call. Its number has none yet.
    pub(crate) fn insert(&mut self, number: u64, call: CallKey) {
        loop {
            let (place, places) = (self.place(number), self.ring.len());
            match self.ring.get_mut(place) {
                Some(free @ None) => {
                    *free = Some((number, call));
                    return;
                }
                _ if places < MOST_PLACES => self.grow(),
                _ => {
                    self.others.insert(number, call);
                    return;
                }
            }
        }
    }

    /// Takes a number out.
    pub(crate) fn remove(&mut self, number: u64) {
        let place = self.place(number);
        match self.ring.get_mut(place) {
            Some(place) if place.is_some_and(|(own, _)| own == number) => *place = None,
            _ => {
                self.others.remove(&number);
            }
        }
    }

    /// Twice as many places. What had one has one again.
    fn grow(&mut self) {
        let places = (self.ring.len() * 2).max(FIRST_PLACES);
        let old = std::mem::replace(&mut self.ring, vec![None; places]);
        for (number, call) in old.into_iter().flatten() {
            let place = self.place(number);
            if let Some(place) = self.ring.get_mut(place) {
                *place = Some((number, call));
            }
        }
    }

    fn place(&self, number: u64) -> usize {
        usize::try_from(number).unwrap_or(usize::MAX) & self.ring.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::tag;
    use crate::slots::Slots;

    #[test]
    fn a_call_is_found_by_its_number_whether_its_place_was_taken_or_not() {
        let mut keys = Slots::<(), tag::Call>::new(16);
        let key: Vec<_> = (0..4).map(|_| keys.insert(()).unwrap()).collect();
        let mut table = ByNumber::new(HashKey::new([7; 16]));
        assert_eq!(table.get(5), None);
        table.remove(5);
        let round = u64::try_from(MOST_PLACES).unwrap();
        for turn in 0..3 {
            table.insert(5 + turn * round, key[usize::try_from(turn).unwrap()]);
        }
        table.insert(6, key[3]);
        let found = |table: &ByNumber| {
            [5, 5 + round, 5 + 2 * round, 5 + 3 * round, 6].map(|number| table.get(number))
        };
        assert_eq!(found(&table), [Some(key[0]), Some(key[1]), Some(key[2]), None, Some(key[3])]);
        table.remove(5);
        assert_eq!(found(&table), [None, Some(key[1]), Some(key[2]), None, Some(key[3])]);
        // Its place is free for the next one, though others are remembered of the same.
        table.insert(5 + 3 * round, key[0]);
        table.remove(5 + round);
        assert_eq!(found(&table), [None, None, Some(key[2]), Some(key[0]), Some(key[3])]);
        table.remove(5 + 2 * round);
        table.remove(5 + 3 * round);
        table.remove(6);
        assert_eq!(found(&table), [None; 5]);
        assert!(table.others.is_empty());
    }

    #[test]
    fn numbers_in_a_row_have_places_of_their_own_up_to_the_most() {
        let call = Slots::<(), tag::Call>::new(1).insert(()).unwrap();
        let mut table = ByNumber::new(HashKey::new([7; 16]));
        let most = u64::try_from(MOST_PLACES).unwrap();
        for number in 1..=most {
            table.insert(number, call);
        }
        assert_eq!((table.ring.len(), table.others.len()), (MOST_PLACES, 0));
        table.insert(most + 1, call);
        assert_eq!((table.ring.len(), table.others.len()), (MOST_PLACES, 1), "one more");
        assert!((1..=most + 1).all(|number| table.get(number) == Some(call)));
    }
}
