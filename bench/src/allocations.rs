//! How often this process asked for memory. Known only in a build with `count-allocations`.

use serde::{Deserialize, Serialize};

/// Since the start of the process.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Allocations {
    /// Allocations, and reallocations, which may be one.
    pub(crate) count: u64,
    /// Bytes asked for, not what was given back.
    pub(crate) bytes: u64,
}

impl Allocations {
    /// What came since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { count: self.count - before.count, bytes: self.bytes - before.bytes }
    }
}

#[cfg(feature = "count-allocations")]
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

/// What was allocated so far.
#[cfg(feature = "count-allocations")]
pub(crate) fn total() -> Option<Allocations> {
    let stats = ALLOCATOR.stats();
    let count = (stats.allocations + stats.reallocations) as u64;
    Some(Allocations { count, bytes: stats.bytes_allocated as u64 })
}

/// Bytes that are allocated now.
#[cfg(feature = "count-allocations")]
pub(crate) fn held() -> Option<u64> {
    let stats = ALLOCATOR.stats();
    Some(stats.bytes_allocated.saturating_sub(stats.bytes_deallocated) as u64)
}

/// Nobody counts.
#[cfg(not(feature = "count-allocations"))]
pub(crate) fn held() -> Option<u64> {
    None
}

/// Nobody counts.
#[cfg(not(feature = "count-allocations"))]
pub(crate) fn total() -> Option<Allocations> {
    None
}
