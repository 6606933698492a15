//! Latencies as numbers.

use lanc_core::histogram::Histogram;
use serde::{Deserialize, Serialize};

/// How long something took, in microseconds. Quantiles are at most an eighth too high; they are
/// zero where there is nothing to tell.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// All of them together.
    pub sum_us: u64,
    /// The longest.
    pub max_us: u64,
    /// Half of them took no longer.
    pub p50_us: u64,
    /// 95 of 100 took no longer.
    pub p95_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
    /// The buckets that hold any: the longest time that belongs there, and how many are in it.
    /// The last edge there is, 2^34, holds what is longer too.
    pub buckets: Vec<(u64, u64)>,
}

impl Latency {
    /// What was measured since `earlier`, an older state of the same. Its longest is at most the
    /// longest of all.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |edge: u64| {
            let place = earlier.buckets.binary_search_by_key(&edge, |(edge, _)| *edge).ok();
            place.and_then(|place| earlier.buckets.get(place)).map_or(0, |(_, count)| *count)
        };
        let buckets: Vec<_> = self
            .buckets
            .iter()
            .map(|(edge, count)| (*edge, count.saturating_sub(before(*edge))))
            .filter(|(_, count)| *count > 0)
            .collect();
        let longest = buckets.last().map_or(0, |(edge, _)| *edge);
        Self::of(buckets, self.sum_us.saturating_sub(earlier.sum_us), self.max_us.min(longest))
    }

    /// Those of several functions or nodes together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut buckets = std::collections::BTreeMap::new();
        for (edge, count) in self.buckets.iter().chain(&other.buckets) {
            *buckets.entry(*edge).or_insert(0) += count;
        }
        let sum = self.sum_us.saturating_add(other.sum_us);
        Self::of(buckets.into_iter().collect(), sum, self.max_us.max(other.max_us))
    }

    /// How many took at most this many microseconds. Exact where a bucket ends: at every power
    /// of two.
    pub fn within(&self, micros: u64) -> u64 {
        let whole = self.buckets.iter().take_while(|(edge, _)| *edge <= micros);
        whole.map(|(_, count)| count).sum()
    }

    fn of(buckets: Vec<(u64, u64)>, sum_us: u64, max_us: u64) -> Self {
        let count = buckets.iter().map(|(_, count)| count).sum::<u64>();
        let at = |hundredths: u128| {
            let rank = (u128::from(count) * hundredths).div_ceil(100);
            let mut reached = 0;
            let reached = buckets.iter().find(|(_, count)| {
                reached += u128::from(*count);
                reached >= rank
            });
            reached.map_or(0, |(edge, _)| (*edge).min(max_us))
        };
        let (p50_us, p95_us, p99_us) = (at(50), at(95), at(99));
        Self { count, sum_us, max_us, p50_us, p95_us, p99_us, buckets }
    }
}

impl From<&Histogram> for Latency {
    fn from(histogram: &Histogram) -> Self {
        let micros = |took: std::time::Duration| {
            // What is longer than one microsecond is not told as one.
            u64::try_from(took.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
        };
        Self::of(histogram.buckets().collect(), micros(histogram.sum()), micros(histogram.max()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> (Histogram, Latency) {
        let mut histogram = Histogram::default();
        micros.into_iter().for_each(|took| histogram.record(Duration::from_micros(took)));
        let latency = Latency::from(&histogram);
        (histogram, latency)
    }

    #[test]
    fn quantiles_are_at_most_an_eighth_too_high() {
        for most in [1_u64, 2, 3, 99, 100, 101, 1000, 20_000] {
            let (_, latency) = of(1..=most);
            let quantiles = [(latency.p50_us, 50), (latency.p95_us, 95), (latency.p99_us, 99)];
            for (told, hundredths) in quantiles {
                let exact = (most * hundredths).div_ceil(100);
                assert!(told >= exact && told <= exact + exact / 8 + 1, "{told}, not {exact}");
            }
            assert_eq!((latency.count, latency.max_us), (most, most));
            assert_eq!(latency.sum_us, most * (most + 1) / 2);
        }
        assert_eq!(of([]).1, Latency::default());
    }

    #[test]
    fn an_interval_is_what_came_since() {
        let (mut histogram, earlier) = of([5, 5, 900]);
        for took in [5, 7000] {
            histogram.record(Duration::from_micros(took));
        }
        let since = Latency::from(&histogram).since(&earlier);
        assert_eq!((since.count, since.sum_us, since.max_us), (2, 7005, 7000));
        assert_eq!((since.p50_us, since.p99_us), (5, 7000));
        assert_eq!(since.since(&since), Latency::default());
        assert_eq!(earlier.and(&since), Latency::from(&histogram));
    }

    #[test]
    fn powers_of_two_end_a_bucket() {
        let (_, latency) = of([1, 64, 65, 1024, 1025, 1 << 30]);
        let within = [1, 64, 1024, 1 << 30].map(|micros| latency.within(micros));
        assert_eq!(within, [1, 2, 4, 6]);
    }
}
