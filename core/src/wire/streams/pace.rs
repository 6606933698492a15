//! How fast messages must come, and how long their bytes may take.

use std::time::Duration;

use crate::config::Config;

/// How fast messages must come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pace {
    /// How far a message may fall behind.
    pub(crate) patience: Duration,
    /// Bytes per second of all streams of a link together. They take turns, so that a message
    /// is owed only its part: on a slow link beside many it is slow through nobody's fault.
    pub(crate) rate: u32,
    /// How often it is looked at.
    pub(crate) between_looks: Duration,
}

impl Pace {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            patience: config.message_stall,
            rate: config.min_message_rate,
            between_looks: config.keep_alive,
        }
    }

    /// The time that so many bytes of one of so many streams may take.
    pub(super) fn time_for(self, bytes: usize, streams: usize) -> Duration {
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let millis = wide(bytes).saturating_mul(wide(streams)).saturating_mul(1000);
        Duration::from_millis(millis / u64::from(self.rate.max(1)))
    }
}
