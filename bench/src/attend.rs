//! How a server is spoken with: it says where it listens and, as often as it is asked, what it has
//! used. `bench/peers` has this file too.

use std::fmt::Display;
use std::io::{BufRead as _, Write as _};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::allocations::{self, Allocations};
use crate::{Fallible, process};

/// What a server says of itself when it reads the line `stats`. Everything only rises, but for
/// the memory.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// CPU time of its process in seconds.
    pub(crate) cpu_s: f64,
    /// Resident memory in MiB, where the system says it.
    pub(crate) rss_mib: Option<f64>,
    /// In a build that counts them.
    pub(crate) allocations: Option<Allocations>,
    /// Frames the node was given; zero, like all that follow, for a bare socket.
    pub(crate) frames_received: u64,
    /// Messages taken from them.
    pub(crate) messages_accepted: u64,
    /// Frames the node gave to its transport.
    pub(crate) frames_sent: u64,
    /// Messages in them.
    pub(crate) messages_sent: u64,
    /// Frames dropped, but for copies and late receipts, and messages given up before they were sent.
    pub(crate) dropped: u64,
    /// Inline functions that took over 1 ms too often, and run on worker threads since.
    pub(crate) demoted: u64,
}

impl Stats {
    /// Of the process alone.
    pub(crate) fn of_process() -> Self {
        Self {
            cpu_s: process::cpu().as_secs_f64(),
            rss_mib: process::resident(),
            allocations: allocations::total(),
            ..Self::default()
        }
    }
}

/// Prints the address, answers `stats`, and returns when stdin ends.
///
/// # Errors
/// Stdin or stdout fails.
pub(crate) async fn attend(
    address: impl Display + Send + 'static,
    stats: impl Fn() -> Stats + Send + 'static,
) -> Fallible<()> {
    let (ended, end) = oneshot::channel();
    // Reading stdin blocks; the runtime may have one thread only.
    std::thread::spawn(move || ended.send(converse(address, stats)));
    Ok(end.await??)
}

fn converse(address: impl Display, stats: impl Fn() -> Stats) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "ADDR {address}")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        if line?.trim() == "stats" {
            writeln!(out, "{}", serde_json::to_string(&stats())?)?;
            out.flush()?;
        }
    }
    Ok(())
}
