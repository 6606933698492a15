//! The server's side: its function calls come over the network, questions about it over stdin.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lanc::counters::{Counters, Drop};
use lanc::{Event, Events};

use crate::args::Options;
use crate::attend::{Stats, attend};
use crate::{Fallible, node};

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
    let stats = move || of_node(&counted.counters(), demoted.load(Ordering::Relaxed));
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

/// Drops that say nothing of a loss: copies of what has come, which a busy machine sends again, and
/// receipts that their client's farewell, by another socket, has overtaken.
fn harmless(counters: &Counters) -> u64 {
    let kinds = [Drop::Late, Drop::Stale, Drop::UnknownCall];
    kinds.into_iter().map(|why| counters.dropped(why)).sum()
}

/// What was dropped, for a person.
fn kinds(counters: &Counters) -> String {
    let some = Drop::ALL.iter().map(|why| (why.name(), counters.dropped(*why)));
    let unsent = std::iter::once(("unsent", counters.messages_unsent));
    let told = some.chain(unsent).filter(|(_, count)| *count > 0);
    told.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

fn of_node(counters: &Counters, demoted: u64) -> Stats {
    let dropped = counters.dropped_total() - harmless(counters) + counters.messages_unsent;
    if dropped > 0 {
        eprintln!("dropped: {}", kinds(counters));
    }
    Stats {
        frames_received: counters.frames_received,
        messages_accepted: counters.messages_accepted,
        frames_sent: counters.frames_sent,
        messages_sent: counters.messages_sent,
        dropped,
        demoted,
        ..Stats::of_process()
    }
}
