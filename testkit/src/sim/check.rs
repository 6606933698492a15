//! What must hold of every frame and every table.

use lanc_core::{Core, Time};
use memchr::memmem::find;

use super::invariant::{Broken, Invariant};

/// Longest broadcast that programs of every version survive.
const MAX_BROADCAST: usize = 1024;

/// Timers of a node that nothing is under way on: hello, announcement, sweep, older programs.
const OWN_TIMERS: usize = 8;

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
pub(super) fn broadcast(bytes: &[u8], limit: usize, messages: u32) -> Result<(), Broken> {
    let holds = |this: bool, why: &str| {
        Invariant::OlderUnharmed.holds_if(this, || {
            let text = String::from_utf8_lossy(bytes);
            format!("a broadcast of {} bytes {why}: {}", bytes.len(), text.escape_debug())
        })
    };
    holds(bytes.len() <= limit.min(MAX_BROADCAST), "is too long")?;
    let plain = !bytes.iter().any(|byte| matches!(byte, b'\'' | b'\n'));
    holds(plain, "has a raw apostrophe or a line feed")?;
    holds(bytes.first() == Some(&b'{') && messages == 1, "is not one JSON object")
}

/// Counters add up, the wheel moves. Cheap: after every event.
pub(super) fn core(core: &Core, delivered: u64, now: Time) -> Result<(), Broken> {
    let counters = core.counters();
    let accounted = counters.frames_accepted + counters.dropped_total();
    let adds_up = counters.frames_received == accounted && counters.frames_received == delivered;
    Invariant::CountersAddUp.holds_if(adds_up, || {
        format!(
            "{delivered} frames delivered, {} received, {} accepted, {} dropped",
            counters.frames_received,
            counters.frames_accepted,
            counters.dropped_total()
        )
    })?;
    match core.poll_timeout() {
        Some((at, why)) if at <= now => Err(Invariant::TimersMove.broken(format!(
            "the timer `{why}` of {at:?} is due again right after it was handled"
        ))),
        _ => Ok(()),
    }
}

/// Tables keep their limits.
pub(super) fn tables(core: &Core) -> Result<(), Broken> {
    let (tables, config) = (core.tables(), core.config());
    let audited = core.counters().audit(&tables);
    audited.map_err(|why| Invariant::CountersAddUp.broken(why))?;
    let peers = config.max_peers() + config.max_tentative();
    let work = tables.open_calls + tables.queued + tables.running + tables.outbox;
    let bounds = [
        ("hosts", tables.hosts, 4096),
        ("peers", tables.peers, peers),
        // One per peer, stranger and configured endpoint, and the one that displaces another.
        ("links", tables.links, peers + config.max_tentative() + 1024 + 1),
        ("functions", tables.functions, config.max_functions()),
        ("open calls", tables.open_calls, config.max_calls()),
        ("results", tables.results, config.max_results().max(1)),
        ("queued", tables.queued, config.max_queued()),
        ("running", tables.running, config.workers() + config.max_async_running()),
        ("outbox", tables.outbox, config.max_outbox()),
        ("buffered bytes", tables.buffered, config.max_buffered()),
        ("senders", tables.senders, config.max_senders() + config.max_tentative()),
        ("callers", tables.callers, config.max_callers()),
        ("bytes of answers", tables.stored_bytes, config.max_stored_answers()),
        ("timers", tables.timers, OWN_TIMERS + 6 * tables.peers + 6 * work + config.max_pings()),
    ];
    for (table, entries, limit) in bounds {
        Invariant::Bounded
            .holds_if(entries <= limit, || format!("{entries} {table}, of at most {limit}"))?;
    }
    Ok(())
}

/// Two leases after the last datagram nothing is left but the node's own.
pub(super) fn silence(core: &Core, own_functions: usize) -> Result<(), Broken> {
    let tables = core.tables();
    let holds = |what: &str, entries: usize, most: usize| {
        Invariant::Bounded.holds_if(entries <= most, || {
            format!("{entries} {what} two leases after silence: {tables:?}")
        })
    };
    holds("peers", tables.peers, 0)?;
    // Its own broadcasts came by one.
    holds("links", tables.links, 1)?;
    holds("hosts", tables.hosts, 1)?;
    holds("functions", tables.functions, own_functions)?;
    holds("open calls", tables.open_calls, 0)?;
    holds("queued calls", tables.queued, 0)?;
    holds("running calls", tables.running, 0)?;
    holds("messages", tables.outbox, 0)?;
    holds("streams", tables.streams, 0)?;
    holds("callers", tables.callers, 0)?;
    holds("remembered calls", tables.remembered, 0)?;
    holds("bytes of answers", tables.stored_bytes, 0)?;
    Invariant::TimersMove.holds_if(tables.timers <= OWN_TIMERS + tables.results, || {
        format!("{} timers two leases after silence", tables.timers)
    })
}
