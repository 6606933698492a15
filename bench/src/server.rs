//! The server's side: its function calls come over the network, questions about it over stdin.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lanc::counters::Counters;
use lanc::{Event, Events};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::allocations::{self, Allocations};
use crate::args::Options;
use crate::{Fallible, node, process};

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
    /// Frames dropped, and messages given up before they were sent.
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

    fn of_node(counters: &Counters, demoted: u64) -> Self {
        Self {
            frames_received: counters.frames_received,
            messages_accepted: counters.messages_accepted,
            frames_sent: counters.frames_sent,
            messages_sent: counters.messages_sent,
            dropped: counters.dropped_total() + counters.messages_unsent,
            demoted,
            ..Self::of_process()
        }
    }
}

/// Serves until stdin ends.
///
/// # Errors
/// The node cannot be opened.
pub(crate) async fn run(options: &Options, pooled: bool) -> Fallible<()> {
    let node = node::serve(options, pooled).await?;
    let address = node::address(&node)?;
    let demoted = Arc::new(AtomicU64::new(0));
    tokio::spawn(count_demoted(node.events(), Arc::clone(&demoted)));
    let counted = node.clone();
    let stats = move || Stats::of_node(&counted.counters(), demoted.load(Ordering::Relaxed));
    attend(address, stats).await?;
    node.shutdown().await;
    Ok(())
}

async fn count_demoted(mut events: Events, demoted: Arc<AtomicU64>) {
    while let Some(event) = events.next().await {
        if matches!(event, Event::SlowFunction { .. }) {
            demoted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Prints the address, answers `stats`, and returns when stdin ends.
///
/// # Errors
/// Stdin or stdout fails.
pub(crate) async fn attend(
    address: SocketAddr,
    stats: impl Fn() -> Stats + Send + 'static,
) -> Fallible<()> {
    let (ended, end) = oneshot::channel();
    // Reading stdin blocks; the runtime may have one thread only.
    std::thread::spawn(move || ended.send(converse(address, stats)));
    Ok(end.await??)
}

fn converse(address: SocketAddr, stats: impl Fn() -> Stats) -> std::io::Result<()> {
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
