//! What must hold whatever comes in.

use lanc_core::{Core, Time};

/// Longest broadcast that programs of every version survive.
const MAX_BROADCAST: usize = 1024;

/// # Panics
/// When a frame is none, or a broadcast is not what older programs survive.
pub(super) fn frame(bytes: &[u8], is_broadcast: bool) {
    assert!(!bytes.is_empty(), "an empty frame");
    if is_broadcast {
        let is_plain = !bytes.contains(&b'\'') && !bytes.contains(&b'\n');
        assert!(bytes.len() <= MAX_BROADCAST && is_plain, "a broadcast that harms older programs");
    }
}

/// Tables keep their limits, counters add up, no timer is left behind.
///
/// # Panics
/// Where that does not hold.
pub(super) fn core(core: &Core, delivered: u64, now: Time) {
    let counters = core.counters();
    let accounted = counters.frames_accepted + counters.dropped_total();
    assert_eq!(counters.frames_received, delivered, "a frame was not counted");
    assert_eq!(accounted, delivered, "received is not accepted and dropped: {counters:?}");
    let (tables, config) = (core.tables(), core.config());
    let peers = config.max_peers() + config.max_tentative();
    let bounds = [
        ("hosts", tables.hosts, 4096),
        ("peers", tables.peers, peers),
        ("functions", tables.functions, config.max_functions()),
        ("open calls", tables.open_calls, config.max_calls()),
        ("results", tables.results, config.max_results()),
        ("queued", tables.queued, config.max_queued()),
        ("running", tables.running, config.workers() + config.max_async_running()),
        ("outbox", tables.outbox, config.max_outbox()),
        ("callers", tables.callers, config.max_callers()),
        ("remembered", tables.remembered, config.max_deduped()),
        ("senders", tables.senders, config.max_senders()),
        ("stored bytes", tables.stored_bytes, config.max_stored_answers()),
    ];
    for (table, entries, limit) in bounds {
        assert!(entries <= limit, "{entries} {table}, of at most {limit}");
    }
    if let Some((at, why)) = core.poll_timeout() {
        assert!(at >= now, "the timer `{why}` of {at:?} was passed over");
    }
}
