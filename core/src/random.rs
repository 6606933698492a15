//! Randomness, injected.

use crate::mutant::planted;

/// Where random bytes come from: the operating system in a node, a seed in the simulator.
///
/// Contract: never blocks for long, never fails (an implementation that cannot deliver must
/// abort its program at start rather than hand out predictable bytes), and two nodes never
/// share a stream unless a test wants them to.
pub trait Entropy: Send {
    /// Fills `into` with unpredictable bytes.
    fn fill(&mut self, into: &mut [u8]);
}

/// The core's draw of randomness: the [`Entropy`] port behind a buffer, so that a call id does
/// not cost a system call.
pub(crate) struct Random {
    source: Box<dyn Entropy>,
    buffer: [u8; BUFFER],
    used: usize,
}

/// Bytes drawn at once: enough for the ids of some eighty calls.
const BUFFER: usize = 1024;

impl Random {
    pub(crate) fn new(source: Box<dyn Entropy>) -> Self {
        Self { source, buffer: [0; BUFFER], used: BUFFER }
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= BUFFER, "more than the buffer holds") };
        if self.buffer.len() - self.used < N {
            self.source.fill(&mut self.buffer);
            self.used = 0;
        }
        let mut out = [0; N];
        if let Some(places) = self.buffer.get_mut(self.used..self.used + N) {
            out.copy_from_slice(places);
            places.fill(0);
        }
        self.used += N;
        out
    }

    /// Bytes drawn this very moment, past the buffer: a fork or a clone of this process has the
    /// same buffer, and must not have the same of these.
    pub(crate) fn fresh<const N: usize>(&mut self) -> [u8; N] {
        if planted!(SaltBuffered) {
            return self.bytes();
        }
        let mut out = [0; N];
        self.source.fill(&mut out);
        out
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.bytes())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        #[cfg(lanc_mutant)]
        if planted!(ChanceFromOutside) {
            return u64::from_be_bytes(self.bytes()) ^ crate::mutant::outside();
        }
        u64::from_be_bytes(self.bytes())
    }

    /// Uniform in `0..=most` (the bias of the modulus is below 2^-32 for the ranges used here).
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        if most == u64::MAX { self.u64() } else { self.u64() % (most + 1) }
    }

    /// A duration uniform in `0..=most`.
    pub(crate) fn duration_up_to(&mut self, most: std::time::Duration) -> std::time::Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        std::time::Duration::from_nanos(self.up_to(nanos))
    }
}
