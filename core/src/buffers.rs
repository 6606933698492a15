//! Buffers of arguments and results, kept for those of the next calls.
//!
//! A call in steady state takes what the calls before it gave back. What is taken for a known
//! size is less than four times as large: a small value never pins a large buffer.

use std::sync::Arc;

use crate::payload::{Home, Shared};

/// Buffers that are kept: those of a few hundred calls in flight.
const MAX_COUNT: usize = 512;
/// Their capacities together, in bytes: a few messages of a mebibyte, at both ends of their way
/// through the engine.
const MAX_BYTES: usize = 16 << 20;
/// The smallest capacity that counts as large: it is given back when it is not used.
const LARGE: usize = 64 << 10;
/// The smallest capacity that is made.
const LEAST: usize = 64;
/// Above it, capacities are whole pages: values of nearly one size share their buffers.
const PAGE: usize = 4096;
/// The largest buffer that is kept has less than twice this.
const LARGEST_SHELF: u32 = 20;
const SMALLEST_SHELF: u32 = LEAST.trailing_zeros();
const SHELVES: usize = 15;
const _: () = assert!(LARGEST_SHELF - SMALLEST_SHELF + 1 == 15);

/// The pool. Shelf `n` holds capacities from `64 << n` up to twice as much.
#[derive(Default)]
pub(crate) struct Buffers {
    shelves: [Vec<Vec<u8>>; SHELVES],
    count: usize,
    bytes: usize,
    /// What was shared and comes back by itself, large all of it.
    home: Arc<Home>,
}

impl Buffers {
    /// An empty buffer with room for `size` bytes and little more.
    pub(crate) fn take(&mut self, size: usize) -> Vec<u8> {
        let size = size.max(LEAST);
        if let Some(place) = shelf(size) {
            for place in [place, place + 1] {
                let shelf = self.shelves.get_mut(place);
                let fits = |buffer: &mut Vec<u8>| buffer.capacity() >= size;
                if let Some(buffer) = shelf.and_then(|shelf| shelf.pop_if(fits)) {
                    return self.taken(buffer);
                }
            }
        }
        let page = if size <= PAGE { size.next_power_of_two() } else { PAGE };
        Vec::with_capacity(size.checked_next_multiple_of(page).unwrap_or(size))
    }

    /// The largest buffer there is, empty, for something whose size is not known yet. What is
    /// kept of it for long goes through [`Self::fit`].
    pub(crate) fn take_largest(&mut self) -> Vec<u8> {
        match self.shelves.iter_mut().rev().find_map(Vec::pop) {
            Some(buffer) => self.taken(buffer),
            // Large enough to be kept once it is given back.
            None => Vec::with_capacity(LEAST),
        }
    }

    /// A large buffer as it was left, if there is one: for a message whose size is not known yet.
    pub(crate) fn take_large(&mut self) -> Option<Vec<u8>> {
        if let Some(buffer) = self.home.take(2 * LARGE..) {
            return Some(buffer);
        }
        let least = shelf(LARGE)?;
        let large = self.shelves.get_mut(least..)?;
        let buffer = large.iter_mut().rev().find_map(Vec::pop)?;
        Some(self.taken(buffer))
    }

    /// Memory of about a capacity that was shared and came back, as it was left; none if there is
    /// none.
    pub(crate) fn take_like(&mut self, capacity: usize) -> Vec<u8> {
        self.home.take(capacity..=capacity.saturating_mul(2)).unwrap_or_default()
    }

    /// Frees a large buffer of each size. To be called every now and then: what a burst has left
    /// goes, and costs a burst that lasts little.
    pub(crate) fn relax(&mut self) {
        drop(self.home.take(..));
        let large = shelf(LARGE).and_then(|least| self.shelves.get_mut(least..));
        for buffer in large.into_iter().flatten().filter_map(Vec::pop) {
            self.count -= 1;
            self.bytes -= buffer.capacity();
        }
    }

    /// How many buffers are kept, and their capacities together.
    pub(crate) fn held(&self) -> (usize, usize) {
        let (count, bytes) = self.home.held();
        (self.count + count, self.bytes + bytes)
    }

    /// Bytes for several to hold, whose buffer comes back when nobody does.
    pub(crate) fn share(&self, bytes: Vec<u8>) -> Shared {
        Shared::with_home(bytes, Arc::downgrade(&self.home))
    }

    fn taken(&mut self, buffer: Vec<u8>) -> Vec<u8> {
        self.count -= 1;
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Takes a buffer back, or frees it when enough are kept.
    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        // Of a value that needed none.
        if capacity == 0 {
            return;
        }
        if self.count >= MAX_COUNT || self.bytes.saturating_add(capacity) > MAX_BYTES {
            return;
        }
        let shelf = shelf(capacity).and_then(|place| self.shelves.get_mut(place));
        if let Some(shelf) = shelf {
            buffer.clear();
            shelf.push(buffer);
            self.count += 1;
            self.bytes += capacity;
        }
    }

    /// The same bytes in a buffer that suits them: small ones are copied, large ones moved.
    pub(crate) fn fit(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        if bytes.capacity() <= PAGE || bytes.capacity() / 4 <= bytes.len() {
            return bytes;
        }
        let mut fitting = self.take(bytes.len());
        fitting.extend_from_slice(&bytes);
        self.give(bytes);
        fitting
    }
}

/// Where a capacity belongs; `None` for those that are not kept.
fn shelf(capacity: usize) -> Option<usize> {
    let power = capacity.checked_ilog2()?;
    let is_kept = (SMALLEST_SHELF..=LARGEST_SHELF).contains(&power);
    usize::try_from(power.checked_sub(SMALLEST_SHELF)?).ok().filter(|_| is_kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_for_its_own_size_and_not_for_a_much_smaller_one() {
        let mut buffers = Buffers::default();
        let large = buffers.take(65_541);
        assert!(large.capacity() >= 65_541 && large.capacity() < 65_541 + PAGE);
        let address = large.as_ptr();
        buffers.give(large);
        assert!(buffers.take(10).capacity() <= 128);
        assert!(buffers.take(20_000).capacity() < 40_000);
        let larger = buffers.take(150_000);
        assert_ne!(larger.as_ptr(), address, "it is too small");
        let again = buffers.take(65_530);
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
        buffers.give(again);
        let largest = buffers.take_largest();
        assert_eq!(largest.as_ptr(), address);
        assert_eq!((buffers.count, buffers.bytes), (0, 0));
    }

    #[test]
    fn no_more_is_kept_than_the_bounds_allow() {
        let mut buffers = Buffers::default();
        (0..=MAX_COUNT).for_each(|_| buffers.give(Vec::with_capacity(LEAST)));
        assert_eq!((buffers.count, buffers.bytes), (MAX_COUNT, MAX_COUNT * LEAST));
        let mut buffers = Buffers::default();
        (0..=16).for_each(|_| buffers.give(Vec::with_capacity(1 << 20)));
        assert_eq!((buffers.count, buffers.bytes), (16, MAX_BYTES));
        let mut buffers = Buffers::default();
        buffers.give(Vec::new());
        buffers.give(Vec::with_capacity(LEAST - 1));
        buffers.give(Vec::with_capacity(2 << LARGEST_SHELF));
        buffers.give(Vec::with_capacity(usize::from(u16::MAX)));
        assert_eq!(buffers.count, 1);
    }

    #[test]
    fn large_ones_are_taken_by_themselves_and_given_back_one_by_one() {
        let mut buffers = Buffers::default();
        (0..3).for_each(|_| buffers.give(Vec::with_capacity(LARGE)));
        buffers.give(Vec::with_capacity(1 << 20));
        buffers.give(Vec::with_capacity(LARGE - 1));
        assert_eq!(buffers.take_large().map(|buffer| buffer.capacity()), Some(1 << 20));
        buffers.relax();
        assert_eq!(buffers.count, 3);
        (0..3).for_each(|_| buffers.relax());
        assert_eq!((buffers.count, buffers.take_large()), (1, None));
    }

    #[test]
    fn small_is_copied_and_large_is_moved() {
        let mut buffers = Buffers::default();
        let mut large = Vec::with_capacity(1 << 18);
        large.extend_from_slice(b"abc");
        let fitting = buffers.fit(large);
        assert_eq!((fitting.as_slice(), fitting.capacity()), (&b"abc"[..], LEAST));
        assert_eq!((buffers.count, buffers.bytes), (1, 1 << 18));
        let mut large = Vec::with_capacity(1 << 18);
        large.resize(1 << 17, 1);
        let address = large.as_ptr();
        let moved = buffers.fit(large);
        assert_eq!(moved.as_ptr(), address);
    }
}
