//! The two things the core may not ask for itself: the time and randomness.

use lanc_core::Time;
use lanc_core::ports::Entropy;
use tokio::time::Instant;

/// Core time, counted from the start of the node on the runtime's clock. A test that pauses
/// that clock pauses the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(crate) fn now(&self) -> Time {
        let nanos = self.origin.elapsed().as_nanos();
        Time::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The runtime's reading of a core time.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        let far = std::time::Duration::from_secs(86_400 * 365);
        self.origin + std::time::Duration::from_nanos(time.as_nanos()).min(far)
    }
}

/// Randomness from the operating system. Where there is none the process ends.
#[derive(Clone, Copy, Debug)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, into: &mut [u8]) {
        // Predictable ids would be worse than no node.
        if let Err(error) = getrandom::fill(into) {
            tracing::error!(%error, "the operating system gives no randomness");
            std::process::abort();
        }
    }
}
