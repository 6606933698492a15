//! Seeded randomness: SplitMix64, the same on every machine.

use std::ops::RangeInclusive;
use std::time::Duration;

use lanc_core::ports::Entropy;

/// A stream of numbers that its seed and its number determine. No secret: for simulations only.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Stream number `stream` of a seed. Different streams are independent.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        // Neighbouring seeds must not begin alike.
        let start = dice.number() ^ dice.number().rotate_left(17);
        Self(start)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..limit`; 0 if `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number().checked_rem(limit).unwrap_or(0)
    }

    /// The same for places in a list.
    pub fn place(&mut self, len: usize) -> usize {
        let limit = u64::try_from(len).unwrap_or(u64::MAX);
        usize::try_from(self.below(limit)).unwrap_or(0)
    }

    /// `true` in `per_mille` of a thousand cases.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }

    /// A time within the range, both ends included.
    pub fn time(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let span = range.end().saturating_sub(*range.start());
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX - 1);
        *range.start() + Duration::from_nanos(self.below(nanos.saturating_add(1)))
    }
}

/// The randomness of a copy of a process: what the original has drawn by then, a first buffer of
/// it, and from there on its own.
pub(super) struct Forked {
    pub(super) shared: Option<Dice>,
    pub(super) own: Dice,
}

impl Entropy for Forked {
    fn fill(&mut self, into: &mut [u8]) {
        match self.shared.take() {
            Some(mut dice) => dice.fill(into),
            None => self.own.fill(into),
        }
    }
}

impl Entropy for Dice {
    fn fill(&mut self, into: &mut [u8]) {
        for chunk in into.chunks_mut(8) {
            let bytes = self.number().to_le_bytes();
            for (place, byte) in chunk.iter_mut().zip(bytes) {
                *place = byte;
            }
        }
    }
}
