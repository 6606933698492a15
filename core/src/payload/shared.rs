//! Large bytes that several hold: a part of one buffer, which goes home when nobody holds it.

use std::fmt;
use std::ops::{Deref, Range, RangeBounds};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A part of a buffer that nobody changes while several hold it. Cloning copies nothing.
#[derive(Clone)]
pub struct Shared {
    buffer: Arc<Buffer>,
    range: Range<usize>,
}

struct Buffer {
    bytes: Vec<u8>,
    home: Weak<Home>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.give(std::mem::take(&mut self.bytes));
        }
    }
}

/// Where buffers come back to that were shared, whoever held them last. Bounded in bytes.
#[derive(Default)]
pub(crate) struct Home {
    back: Mutex<Vec<Vec<u8>>>,
}

impl Home {
    /// The capacities together of the buffers that wait to be used again, bytes.
    const MAX_BYTES: usize = 16 << 20;

    fn give(&self, buffer: Vec<u8>) {
        let mut back = self.back.lock().unwrap_or_else(PoisonError::into_inner);
        let held = back.iter().fold(0usize, |sum, held| sum.saturating_add(held.capacity()));
        if buffer.capacity() > 0 && held.saturating_add(buffer.capacity()) <= Self::MAX_BYTES {
            back.push(buffer);
        }
    }

    /// What came back last of those with so large a capacity, as it was left.
    pub(crate) fn take(&self, capacities: impl RangeBounds<usize>) -> Option<Vec<u8>> {
        let mut back = self.back.lock().unwrap_or_else(PoisonError::into_inner);
        let at = back.iter().rposition(|buffer| capacities.contains(&buffer.capacity()))?;
        Some(back.swap_remove(at))
    }

    /// How many wait, and their capacities together.
    pub(crate) fn held(&self) -> (usize, usize) {
        let back = self.back.lock().unwrap_or_else(PoisonError::into_inner);
        (back.len(), back.iter().map(Vec::capacity).sum())
    }
}

impl Shared {
    /// A whole buffer.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self::with_home(bytes, Weak::new())
    }

    /// A whole buffer that goes to `home` in the end.
    pub(crate) fn with_home(bytes: Vec<u8>, home: Weak<Home>) -> Self {
        let range = 0..bytes.len();
        Self { buffer: Arc::new(Buffer { bytes, home }), range }
    }

    /// The same bytes as `part`, which lies in this memory, held without a copy. `None`: it lies
    /// elsewhere, or it is so small a part that holding the whole for it would cost more than a
    /// copy.
    pub fn part(&self, part: &[u8]) -> Option<Self> {
        let begin = part.as_ptr().addr().checked_sub(self.as_ptr().addr())?;
        let end = begin.checked_add(part.len()).filter(|end| *end <= self.len())?;
        if part.is_empty() || self.capacity() / 4 > part.len() {
            return None;
        }
        let range = self.range.start + begin..self.range.start + end;
        Some(Self { buffer: Arc::clone(&self.buffer), range })
    }

    /// The bytes from `begin` on, at most `count`.
    pub(crate) fn slice(&self, begin: usize, count: usize) -> Self {
        let begin = self.range.start.saturating_add(begin).min(self.range.end);
        let end = begin.saturating_add(count).min(self.range.end);
        Self { buffer: Arc::clone(&self.buffer), range: begin..end }
    }

    /// Bytes of memory that are held as long as this is.
    pub fn capacity(&self) -> usize {
        self.buffer.bytes.capacity()
    }

    /// The bytes as a buffer of one's own: without a copy where nobody else holds them and
    /// nothing stands before them.
    pub fn into_vec(self) -> Vec<u8> {
        let Range { start, end } = self.range;
        match Arc::try_unwrap(self.buffer) {
            Ok(mut buffer) => {
                let mut bytes = std::mem::take(&mut buffer.bytes);
                bytes.truncate(end);
                bytes.drain(..start);
                bytes
            }
            Err(buffer) => buffer.bytes.get(start..end).unwrap_or_default().to_vec(),
        }
    }

    /// The whole buffer, where nobody else holds any of it.
    pub(crate) fn reclaim(self) -> Option<Vec<u8>> {
        Arc::try_unwrap(self.buffer).ok().map(|mut buffer| std::mem::take(&mut buffer.bytes))
    }

    /// The bytes, to be changed: they are copied first if somebody else holds them.
    pub fn make_mut(&mut self) -> &mut [u8] {
        if Arc::get_mut(&mut self.buffer).is_none() {
            *self = Self::new(self.to_vec());
        }
        let range = self.range.clone();
        // It is this one's alone now.
        let buffer = Arc::get_mut(&mut self.buffer);
        buffer.and_then(|buffer| buffer.bytes.get_mut(range)).unwrap_or_default()
    }
}

impl Deref for Shared {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.bytes.get(self.range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_held_without_a_copy_and_a_small_one_is_not() {
        let whole = Shared::new((0..200).collect());
        let part = whole.part(&whole[100..160]).unwrap();
        assert_eq!((part.as_ptr(), &part[..2]), (whole[100..].as_ptr(), &[100, 101][..]));
        let inner = part.part(&part[1..]).unwrap();
        assert_eq!((inner.as_ptr(), inner.len()), (whole[101..].as_ptr(), 59));
        assert!(part.part(&whole[99..160]).is_none(), "it begins before the part");
        assert!(part.part(&whole[100..161]).is_none(), "it ends behind the part");
        assert!(whole.part(&[7; 150]).is_none(), "it lies elsewhere");
        assert!(whole.part(&whole[..50]).is_some() && whole.part(&whole[..49]).is_none());
        assert!(whole.part(&[]).is_none());
    }

    #[test]
    fn what_somebody_else_holds_is_copied_before_it_is_changed() {
        let mut one = Shared::new(vec![1; 8]);
        let address = one.as_ptr();
        one.make_mut().fill(2);
        let mut other = one.clone();
        other.make_mut().fill(3);
        assert_eq!((one.as_ptr(), &*one, &*other), (address, &[2; 8][..], &[3; 8][..]));
        let part = one.part(&one[2..]).unwrap();
        assert_eq!((part.into_vec(), one.as_ptr()), (vec![2; 6], address));
        let own = one.into_vec();
        assert_eq!(own.as_ptr(), address);
    }

    #[test]
    fn buffers_come_home_up_to_the_bound() {
        let home = Arc::new(Home::default());
        let one = Shared::with_home(Vec::with_capacity(1 << 20), Arc::downgrade(&home));
        let other = one.clone();
        drop(one);
        assert_eq!(home.held(), (0, 0), "somebody holds it");
        drop(other);
        assert_eq!(home.held(), (1, 1 << 20));
        let full: Vec<_> = (0..=16)
            .map(|_| Shared::with_home(Vec::with_capacity(1 << 20), Arc::downgrade(&home)))
            .collect();
        drop(full);
        assert_eq!(home.held(), (16, Home::MAX_BYTES));
        assert!(home.take((1 << 20) + 1..).is_none());
        assert!(home.take(1..=1 << 20).is_some_and(|buffer| buffer.capacity() == 1 << 20));
        // Taken out by somebody, it does not come.
        drop(Shared::with_home(vec![1], Arc::downgrade(&home)).into_vec());
        assert_eq!(home.held().0, 15);
    }
}
