//! How long things take: a histogram of fixed size, so that measuring allocates nothing.

use std::time::Duration;

/// Sub-buckets of each power of two: a bucket is at most an eighth as wide as what it holds.
const STEPS: u64 = 8;
const BUCKETS: usize = 256;
/// Above this many microseconds, 4.8 hours, everything shares the last bucket.
const LIMIT: u64 = 1 << 34;
/// Of a second.
const NANOS: u128 = 1_000_000_000;

/// Durations in 256 buckets: from 0 to 8 µs one for each microsecond, above it eight for each
/// power of two, to 4.8 hours. What it tells is at most an eighth too high.
///
/// A bucket holds what is longer than the upper edge of the one before it and not longer than its
/// own, as Prometheus counts.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; BUCKETS],
    count: u64,
    /// In nanoseconds, like the next: nothing is carried over to seconds for each duration.
    sum: u128,
    max: u128,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], count: 0, sum: 0, max: 0 }
    }
}

impl Histogram {
    /// Adds one duration.
    pub fn record(&mut self, took: Duration) {
        let nanos = took.as_nanos();
        self.add(u64::try_from(nanos).unwrap_or(u64::MAX), nanos);
    }

    /// Adds one duration, in nanoseconds.
    pub(crate) fn record_nanos(&mut self, nanos: u64) {
        self.add(nanos, nanos.into());
    }

    #[inline]
    fn add(&mut self, whole: u64, nanos: u128) {
        if let Some(bucket) = self.buckets.get_mut(place(whole.saturating_sub(1) / 1000)) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(nanos);
        self.max = self.max.max(nanos);
    }

    /// How many durations it holds.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        duration(self.sum)
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        duration(self.max)
    }

    /// The buckets that hold anything, the shortest first: upper edge in microseconds, and how
    /// many are in it. Longer ones than the last edge, 2^34, are in the last bucket.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.buckets.iter().enumerate().filter(|(_, count)| **count > 0).map(|(place, count)| {
            let place = u64::try_from(place).unwrap_or(u64::MAX);
            (edge(place), *count)
        })
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histogram").field("count", &self.count).finish_non_exhaustive()
    }
}

fn duration(nanos: u128) -> Duration {
    let within = u32::try_from(nanos % NANOS).unwrap_or_default();
    u64::try_from(nanos / NANOS).map_or(Duration::MAX, |seconds| Duration::new(seconds, within))
}

/// The bucket of a number of whole microseconds.
fn place(micros: u64) -> usize {
    let micros = micros.min(LIMIT - 1);
    let place = match micros.checked_ilog2() {
        // Below 8 a bucket is one microsecond.
        None | Some(..3) => micros,
        Some(power) => {
            let within = (micros >> (power - 3)) % STEPS;
            u64::from(power - 2) * STEPS + within
        }
    };
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The upper edge of a bucket in microseconds: the lower edge of the next one.
fn edge(place: u64) -> u64 {
    let next = place + 1;
    if next < STEPS {
        return next;
    }
    (STEPS + next % STEPS) << (next / STEPS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_the_bucket_whose_edges_enclose_it() {
        let mut micros: Vec<u64> = (1..5000).collect();
        micros.extend((0..200).map(|step| 5000 + step * 7_919_993));
        micros.extend((3..34).flat_map(|power| {
            let edge = 1_u64 << power;
            [edge - 1, edge, edge + 1]
        }));
        for micros in micros {
            let mut histogram = Histogram::default();
            histogram.record(Duration::from_micros(micros));
            let (upper, count) = histogram.buckets().next().unwrap();
            assert_eq!(count, 1);
            assert!(upper >= micros, "{micros} us is above its bucket's edge {upper}");
            assert!(upper - micros <= micros / 8 + 1, "{micros} us in a bucket up to {upper}");
        }
    }

    #[test]
    fn edges_rise_and_belong_to_the_bucket_below_them() {
        for place_of in 0..255_u64 {
            let upper = edge(place_of);
            assert!(upper < edge(place_of + 1));
            assert_eq!(u64::try_from(place(upper - 1)), Ok(place_of));
            assert_eq!(u64::try_from(place(upper)), Ok(place_of + 1));
        }
        assert_eq!(edge(255), LIMIT);
    }

    #[test]
    fn the_ends_of_the_range_are_counted() {
        let mut histogram = Histogram::default();
        for took in [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_micros(1),
            Duration::from_nanos(1001),
            Duration::MAX,
        ] {
            histogram.record(took);
        }
        assert_eq!(histogram.buckets().collect::<Vec<_>>(), [(1, 3), (2, 1), (LIMIT, 1)]);
        assert_eq!((histogram.count(), histogram.max()), (5, Duration::MAX));
        assert_eq!(histogram.sum(), Duration::MAX, "it saturates");
    }
}
