//! What must hold of every frame and every table.

use lanc_core::ports::Cast;
use lanc_core::{Core, Time};

/// Longest broadcast that programs of every version survive.
const MAX_BROADCAST: usize = 1024;

/// Where `key` first stands in `bytes`.
pub(super) fn find(bytes: &[u8], key: &[u8]) -> Option<usize> {
    let first = *key.first()?;
    let mut from = 0;
    while let Some(step) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        let at = from + step;
        if bytes.get(at..)?.starts_with(key) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// Whether a JSON frame holds a message of this method.
pub(super) fn has_method(bytes: &[u8], method: &str) -> bool {
    let key = b"\"method\":\"";
    let mut rest = bytes;
    while let Some(at) = find(rest, key) {
        rest = rest.get(at + key.len()..).unwrap_or_default();
        if rest.strip_prefix(method.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'"')) {
            return true;
        }
    }
    false
}

/// A broadcast is one plain JSON object of bounded size without a raw apostrophe.
pub(super) fn broadcast(bytes: &[u8], limit: usize) -> Result<(), String> {
    if bytes.len() > limit.min(MAX_BROADCAST) {
        return Err(format!("a broadcast of {} bytes", bytes.len()));
    }
    if bytes.contains(&b'\'') || bytes.contains(&b'\n') {
        return Err("a broadcast with a raw apostrophe or a line feed".to_owned());
    }
    let object: Result<serde_json::Map<String, serde_json::Value>, _> =
        serde_json::from_slice(bytes);
    match object {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("a broadcast that is not one JSON object: {error}")),
    }
}

/// What caused the outputs that follow, as far as silence is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// An error may follow.
    Any,
    /// A frame that may never be answered by an error.
    Unanswerable,
}

impl Cause {
    /// Broadcasts, errors, callbacks and pongs are never answered by an error.
    pub(super) fn of(cast: Cast, bytes: &[u8]) -> Self {
        // A hello releases what waited for room or proof, an error about a call before it too.
        let may = has_method(bytes, "hello")
            || (cast == Cast::Unicast
                && ["call", "cancel", "probe"].iter().any(|method| has_method(bytes, method)));
        if may { Self::Any } else { Self::Unanswerable }
    }
}

/// Tables keep their limits, counters add up, the wheel runs.
pub(super) fn core(core: &Core, delivered: u64, now: Time) -> Result<(), String> {
    let counters = core.counters();
    let accounted = counters.frames_accepted + counters.dropped_total();
    if counters.frames_received != accounted || counters.frames_received != delivered {
        return Err(format!(
            "{delivered} frames delivered, {} received, {} accepted, {} dropped",
            counters.frames_received,
            counters.frames_accepted,
            counters.dropped_total()
        ));
    }
    let (tables, config) = (core.tables(), core.config());
    counters.audit(&tables)?;
    let peers = config.max_peers() + config.max_tentative();
    let bounds = [
        ("hosts", tables.hosts, 4096),
        ("peers", tables.peers, peers),
        // One per peer, stranger and configured endpoint, and the one that displaces another.
        ("links", tables.links, peers + config.max_tentative() + 1024 + 1),
        ("functions", tables.functions, config.max_functions()),
        ("open calls", tables.open_calls, config.max_calls()),
        ("results", tables.results, config.max_results()),
        ("queued", tables.queued, config.max_queued()),
        ("running", tables.running, config.workers() + config.max_async_running()),
        ("outbox", tables.outbox, config.max_outbox()),
        ("buffered bytes", tables.buffered, config.max_buffered()),
    ];
    for (table, entries, limit) in bounds {
        if entries > limit {
            return Err(format!("{entries} {table}, of at most {limit}"));
        }
    }
    match core.poll_timeout() {
        Some((at, why)) if at <= now => {
            Err(format!("the timer `{why}` of {at:?} is due again right after it was handled"))
        }
        _ => Ok(()),
    }
}
