//! What a client is asked for. `bench/peers` has this file too.

use std::time::Duration;

use clap::Args;

/// What a client does.
#[derive(Args, Clone, Copy)]
pub(crate) struct Load {
    /// Callers at once, each with one call.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub(crate) in_flight: u32,
    /// Seconds to measure after the warm-up: 0.01 to 600.
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub(crate) secs: Duration,
    /// Bytes echoed by each call, up to 8 MiB; 0 calls `add` instead.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=8 << 20))]
    pub(crate) payload: u32,
}

/// Reads seconds.
///
/// # Errors
/// It is no number, or none of these.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let secs: f64 = text.parse().map_err(|_| "a number of seconds is needed")?;
    if (0.01..=600.0).contains(&secs) {
        return Ok(Duration::from_secs_f64(secs));
    }
    Err("it must be between 0.01 and 600".to_owned())
}
