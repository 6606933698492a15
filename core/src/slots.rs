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
    free: Vec<u32>,
    limit: usize,
    tag: PhantomData<fn() -> Tag>,
}

impl<T, Tag> Slots<T, Tag> {
    /// An empty table that never holds more than `limit` entries.
    pub fn new(limit: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), limit: limit.min(1 << 30), tag: PhantomData }
    }

    /// Adds `value`, or gives it back when the table is full.
    ///
    /// # Errors
    /// `value` itself, when the table holds its limit.
    pub fn insert(&mut self, value: T) -> Result<Key<Tag>, T> {
        if self.len() >= self.limit {
            return Err(value);
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let Ok(slot) = u32::try_from(self.slots.len()) else { return Err(value) };
                self.slots.push(Slot { generation: 0, value: None });
                slot
            }
        };
        let Some(place) = self.slots.get_mut(index(slot)) else { return Err(value) };
        place.value = Some(value);
        Ok(Key { slot, generation: place.generation, table: PhantomData })
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
        place.generation = place.generation.wrapping_add(1);
        self.free.push(key.slot);
        Some(value)
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
        self.slots.len() - self.free.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
