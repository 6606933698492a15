//! A hash map whose hash key is injected and whose order cannot be observed.

use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use ahash::RandomState;
use siphasher::sip::SipHasher13;

/// Builds hashers keyed from the node's own seed, so that nobody on the network can choose
/// names or addresses that collide (hash flooding), and a simulation is repeatable.
#[derive(Clone, Copy)]
pub struct HashKey(u64, u64);

impl HashKey {
    /// A key from sixteen secret bytes.
    pub fn new(seed: [u8; 16]) -> Self {
        let seed = u128::from_be_bytes(seed);
        let (high, low) = ((seed >> 64) & u128::from(u64::MAX), seed & u128::from(u64::MAX));
        Self(u64::try_from(high).unwrap_or(0), u64::try_from(low).unwrap_or(0))
    }
}

impl BuildHasher for HashKey {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// Lookups by wire name or wire key: a keyed hash map that has no iterator.
///
/// What is iterated must be kept in an ordered collection beside it; that rule is what makes
/// equal inputs give equal outputs.
pub struct KeyedMap<K, V> {
    map: HashMap<K, V, RandomState>,
}

impl<K: Hash + Eq, V> KeyedMap<K, V> {
    /// An empty map. Allocates nothing until the first insert.
    pub fn new(key: HashKey) -> Self {
        let HashKey(high, low) = key;
        // Four keys from two: the hash of a map need not stand alone against whoever sees it, as
        // a token must, but nobody sees it.
        let state = RandomState::with_seeds(high, low, !high, low.rotate_left(32));
        Self { map: HashMap::with_hasher(state) }
    }

    /// The value of `key`.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.map.get(key)
    }

    /// The value of `key`, to change it.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.map.get_mut(key)
    }

    /// Sets the value of `key` and returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.map.insert(key, value)
    }

    /// Removes `key` and returns its value.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let value = self.map.remove(key);
        // A table that a flood has grown gives its memory back once it is nearly empty.
        if self.map.len() * 8 < self.map.capacity() && self.map.capacity() > 64 {
            self.map.shrink_to(self.map.len() * 2);
        }
        value
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

/// Keys of a table by what they are called by, of which the one that was asked for last is often
/// asked for again: messages of one sender come together.
pub(crate) struct Recent<K, V> {
    map: KeyedMap<K, V>,
    /// What `map` holds as well.
    last: Cell<Option<(K, V)>>,
}

impl<K: Copy + Hash + Eq, V: Copy> Recent<K, V> {
    pub(crate) fn new(key: HashKey) -> Self {
        Self { map: KeyedMap::new(key), last: Cell::new(None) }
    }

    #[inline]
    pub(crate) fn get(&self, key: K) -> Option<V> {
        match self.last.get() {
            Some((last, value)) if last == key => Some(value),
            _ => self.look_up(key),
        }
    }

    fn look_up(&self, key: K) -> Option<V> {
        let value = *self.map.get(&key)?;
        self.last.set(Some((key, value)));
        Some(value)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.last.set(None);
        self.map.insert(key, value);
    }

    pub(crate) fn remove(&mut self, key: K) {
        self.last.set(None);
        self.map.remove(&key);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_last_is_what_is_there() {
        let mut map = Recent::new(HashKey::new([5; 16]));
        map.insert(1, 'a');
        map.insert(2, 'b');
        assert_eq!(
            [1, 1, 2, 3, 2].map(|key| map.get(key)),
            [Some('a'), Some('a'), Some('b'), None, Some('b')]
        );
        map.insert(2, 'c');
        assert_eq!(map.get(2), Some('c'), "another value");
        map.remove(2);
        assert_eq!((map.get(2), map.get(1)), (None, Some('a')));
    }
}
