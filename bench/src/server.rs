//! The server's side: its function calls come over the network, questions about it over stdin.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;

use lanc::counters::Counters;
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
}

impl Stats {
    fn now(counters: &Counters) -> Self {
        Self {
            cpu_s: process::cpu().as_secs_f64(),
            rss_mib: process::resident(),
            allocations: allocations::total(),
            frames_received: counters.frames_received,
            messages_accepted: counters.messages_accepted,
            frames_sent: counters.frames_sent,
            messages_sent: counters.messages_sent,
            dropped: counters.dropped_total() + counters.messages_unsent,
        }
    }
}

/// Serves until stdin ends.
///
/// # Errors
/// The node cannot be opened.
pub(crate) async fn run(options: Options, pooled: bool) -> Fallible<()> {
    let node = node::serve(options, pooled).await?;
    let address = node::address(&node)?;
    let counted = node.clone();
    attend(address, move || counted.counters()).await?;
    node.shutdown().await;
    Ok(())
}

/// Prints the address, answers `stats`, and returns when stdin ends.
///
/// # Errors
/// Stdin or stdout fails.
pub(crate) async fn attend(
    address: SocketAddr,
    counters: impl Fn() -> Counters + Send + 'static,
) -> Fallible<()> {
    let (ended, end) = oneshot::channel();
    // Reading stdin blocks; the runtime may have one thread only.
    std::thread::spawn(move || ended.send(converse(address, counters)));
    Ok(end.await??)
}

fn converse(address: SocketAddr, counters: impl Fn() -> Counters) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "ADDR {address}")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        if line?.trim() == "stats" {
            writeln!(out, "{}", serde_json::to_string(&Stats::now(&counters()))?)?;
            out.flush()?;
        }
    }
    Ok(())
}
