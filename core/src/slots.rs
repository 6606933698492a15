//! Tables addressed by a small key that goes stale when its entry is gone.

use std::fmt;
use std::marker::PhantomData;

/// Names one entry of a [`Slots`] table. A key kept after its entry was removed finds nothing,
/// even when the place is used again.
pub struct Key<T> {
    slot: u32,
    generation: u32,
    table: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// The place in the table, for a table kept beside it (wakers, say).
    pub fn slot(self) -> usize {
        usize::try_from(self.slot).unwrap_or(usize::MAX)
    }

    /// Slot and generation in one number, for logs and traces.
    pub fn bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.slot == other.slot && self.generation == other.generation
    }
}
impl<T> Eq for Key<T> {}
impl<T> PartialOrd for Key<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Key<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.slot, self.generation).cmp(&(other.slot, other.generation))
    }
}
impl<T> std::hash::Hash for Key<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.slot, self.generation).hash(state);
    }
}
impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.slot, self.generation)
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// A bounded table: insertion, removal and lookup in constant time, iteration in slot order.
///
/// `Tag` is the type its keys carry, so that a key of one table is no key of another.
pub struct Slots<T, Tag = T> {
    slots: Vec<Slot<T>>,
    /// Places to use again. Those past the end of `slots` were given back since; the table
    /// grows only when this is empty, so that none of them comes to life unnoticed.
    free: Vec<u32>,
    live: usize,
    /// Generation of fresh places: not below that of any place given back.
    epoch: u32,
    limit: usize,
    tag: PhantomData<fn() -> Tag>,
}

/// Places that are kept however few entries there are.
const KEPT: usize = 16;
/// Of so many places one is taken at least, or the end of the table is looked at.
const MOST_FREE: usize = 4;

impl<T, Tag> Slots<T, Tag> {
    /// An empty table that never holds more than `limit` entries.
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(1 << 30);
        Self { slots: Vec::new(), free: Vec::new(), live: 0, epoch: 0, limit, tag: PhantomData }
    }

    /// Adds `value`, or gives it back when the table is full.
    ///
    /// # Errors
    /// `value` itself, when the table holds its limit.
    pub fn insert(&mut self, value: T) -> Result<Key<Tag>, T> {
        let Some(slot) = self.vacant() else { return Err(value) };
        let Some(place) = self.slots.get_mut(index(slot)) else { return Err(value) };
        place.value = Some(value);
        self.live += 1;
        Ok(Key { slot, generation: place.generation, table: PhantomData })
    }

    /// Adds what `make` makes; `None` when the table is full. What is large is made where it
    /// stays, and not moved there.
    #[inline(always)]
    pub fn insert_with(&mut self, make: impl FnOnce() -> T) -> Option<Key<Tag>> {
        let slot = self.vacant()?;
        let place = self.slots.get_mut(index(slot))?;
        // Free, so nothing is dropped here: what is made need not wait elsewhere for that.
        place.value.get_or_insert_with(make);
        self.live += 1;
        Some(Key { slot, generation: place.generation, table: PhantomData })
    }

    /// A free place. It is to be taken at once.
    fn vacant(&mut self) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        loop {
            match self.free.pop() {
                Some(slot) if index(slot) < self.slots.len() => return Some(slot),
                Some(_) => {}
                None => {
                    let slot = u32::try_from(self.slots.len()).ok()?;
                    self.slots.push(Slot { generation: self.epoch, value: None });
                    return Some(slot);
                }
            }
        }
    }

    /// The entry of `key`, if it is still there.
    pub fn get(&self, key: Key<Tag>) -> Option<&T> {
        let place = self.slots.get(index(key.slot))?;
        if place.generation == key.generation { place.value.as_ref() } else { None }
    }

    /// The entry of `key`, to change it.
    pub fn get_mut(&mut self, key: Key<Tag>) -> Option<&mut T> {
        let place = self.slots.get_mut(index(key.slot))?;
        if place.generation == key.generation { place.value.as_mut() } else { None }
    }

    /// Takes the entry of `key` out; the key is stale from here on.
    pub fn remove(&mut self, key: Key<Tag>) -> Option<T> {
        let place = self.slots.get_mut(index(key.slot))?;
        if place.generation != key.generation {
            return None;
        }
        let value = place.value.take()?;
        self.vacate(key);
        Some(value)
    }

    /// Ends the entry of `key` where it stands, after a last look at it: what is large is not
    /// moved for being dropped.
    pub fn end<R>(&mut self, key: Key<Tag>, last: impl FnOnce(&mut T) -> R) -> Option<R> {
        let place = self.slots.get_mut(index(key.slot))?;
        if place.generation != key.generation {
            return None;
        }
        let result = last(place.value.as_mut()?);
        place.value = None;
        self.vacate(key);
        Some(result)
    }

    fn vacate(&mut self, key: Key<Tag>) {
        if let Some(place) = self.slots.get_mut(index(key.slot)) {
            place.generation = place.generation.wrapping_add(1);
        }
        self.free.push(key.slot);
        self.live -= 1;
        // Rarely: a place that is cut off is made anew, as large as what stands there.
        if self.live == 0 || self.slots.len() > MOST_FREE * self.live.max(KEPT) {
            self.give_back();
        }
    }

    /// Gives back the empty end of a table that a burst has grown.
    fn give_back(&mut self) {
        while self.slots.len() > KEPT
            && let Some(Slot { generation, value: None }) = self.slots.last()
        {
            self.epoch = self.epoch.max(*generation);
            // Not popped: what is free is as large as what is not.
            self.slots.truncate(self.slots.len() - 1);
        }
        let end = self.slots.len();
        if self.slots.capacity() > MOST_FREE * end.max(KEPT) {
            self.slots.shrink_to(2 * end);
            self.free.retain(|slot| index(*slot) < end);
            self.free.shrink_to(2 * end);
        }
    }

    /// All entries in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Key<Tag>, &T)> {
        (0u32..).zip(&self.slots).filter_map(|(slot, place)| {
            let key = Key { slot, generation: place.generation, table: PhantomData };
            place.value.as_ref().map(|value| (key, value))
        })
    }

    /// The keys of all entries in slot order.
    pub fn keys(&self) -> Vec<Key<Tag>> {
        self.iter().map(|(key, _)| key).collect()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no entry more fits.
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// How many entries fit.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_stale_with_its_entry() {
        let mut slots: Slots<_> = Slots::new(4);
        let first = slots.insert('a').unwrap();
        assert_eq!(slots.remove(first), Some('a'));
        let second = slots.insert('b').unwrap();
        assert_eq!(second.slot(), first.slot());
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&'b'));
    }

    #[test]
    fn what_a_burst_has_grown_is_given_back_and_no_old_key_finds_anything() {
        let mut slots: Slots<_> = Slots::new(10_000);
        let kept = slots.insert(0).unwrap();
        let burst: Vec<_> = (1..10_000).map(|n| slots.insert(n).unwrap()).collect();
        assert!(slots.insert(0).is_err());
        for key in &burst {
            assert!(slots.remove(*key).is_some());
        }
        assert!(slots.slots.capacity() <= 4 * KEPT && slots.free.capacity() <= 4 * KEPT);
        assert_eq!((slots.len(), slots.get(kept)), (1, Some(&0)));
        for n in 1..10_000 {
            slots.insert(n).unwrap();
        }
        assert_eq!(slots.len(), 10_000);
        assert!(burst.iter().all(|key| slots.get(*key).is_none()));
    }

    #[test]
    fn one_past_the_limit_is_given_back() {
        let mut slots: Slots<_> = Slots::new(2);
        slots.insert(1).unwrap();
        let two = slots.insert(2).unwrap();
        assert_eq!(slots.insert(3), Err(3));
        slots.remove(two);
        assert!(slots.insert(3).is_ok());
        assert_eq!(slots.iter().map(|(_, v)| *v).collect::<Vec<_>>(), [1, 3]);
    }
}
