//! What a UDP transport counts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use lanc_core::ports::{Statistic, StatisticKind, Statistics};

/// A cheap handle to a transport's counters; clones show the same transport, and go on showing
/// it after it was closed.
#[derive(Clone, Debug, Default)]
pub struct UdpStats {
    counters: Arc<Counters>,
}

/// The counters at one moment. Datagrams that the kernel received and did not deliver are not
/// in here: see [`UdpStats::kernel_drops`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UdpCounts {
    /// Frames received and passed on.
    pub frames_in: u64,
    /// Datagrams handed to the kernel; a broadcast counts once per interface.
    pub frames_out: u64,
    /// Received and dropped: this node's own broadcasts.
    pub dropped_own: u64,
    /// Received and dropped: broadcasts from outside the chosen interfaces, and datagrams that
    /// cannot be answered because their source port is 0.
    pub dropped_foreign: u64,
    /// Received and dropped: from a new address while the link table was full.
    pub dropped_table_full: u64,
    /// Sends the system refused, among them those that are tried again after
    /// [`LinkEvent::Writable`](lanc_core::ports::LinkEvent::Writable).
    pub send_refused: u64,
    /// Errors of receives that are only the echo of an earlier send.
    pub receive_errors: u64,
}

#[derive(Debug, Default)]
struct Counters {
    frames_in: AtomicU64,
    frames_out: AtomicU64,
    dropped_own: AtomicU64,
    dropped_foreign: AtomicU64,
    dropped_table_full: AtomicU64,
    send_refused: AtomicU64,
    receive_errors: AtomicU64,
    receive_buffer: AtomicUsize,
    send_buffer: AtomicUsize,
    sockets: OnceLock<Vec<u64>>,
}

/// One thing to count.
#[derive(Clone, Copy)]
pub(crate) enum Count {
    FrameIn,
    FrameOut,
    DroppedOwn,
    DroppedForeign,
    DroppedTableFull,
    SendRefused,
    ReceiveError,
}

impl UdpStats {
    /// The counters now.
    pub fn counts(&self) -> UdpCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &*self.counters;
        UdpCounts {
            frames_in: read(&counters.frames_in),
            frames_out: read(&counters.frames_out),
            dropped_own: read(&counters.dropped_own),
            dropped_foreign: read(&counters.dropped_foreign),
            dropped_table_full: read(&counters.dropped_table_full),
            send_refused: read(&counters.send_refused),
            receive_errors: read(&counters.receive_errors),
        }
    }

    /// The private socket's receive buffer in bytes, as the system granted it; 0 before the
    /// transport is opened.
    pub fn receive_buffer(&self) -> usize {
        self.counters.receive_buffer.load(Ordering::Relaxed)
    }

    /// The private socket's send buffer in bytes, as the system granted it; 0 before the
    /// transport is opened.
    pub fn send_buffer(&self) -> usize {
        self.counters.send_buffer.load(Ordering::Relaxed)
    }

    /// Datagrams that the kernel dropped because this transport did not read fast enough.
    ///
    /// Reads `/proc`, so it is for reports and not for every frame. `None` where the system
    /// does not tell, before the transport is opened and after it was closed.
    pub fn kernel_drops(&self) -> Option<u64> {
        let sockets = self.counters.sockets.get()?;
        let mut tables = String::new();
        for table in ["/proc/self/net/udp", "/proc/self/net/udp6"] {
            tables.push_str(&std::fs::read_to_string(table).unwrap_or_default());
        }
        drops(&tables, sockets)
    }

    pub(crate) fn count(&self, what: Count) {
        let counters = &*self.counters;
        let counter = match what {
            Count::FrameIn => &counters.frames_in,
            Count::FrameOut => &counters.frames_out,
            Count::DroppedOwn => &counters.dropped_own,
            Count::DroppedForeign => &counters.dropped_foreign,
            Count::DroppedTableFull => &counters.dropped_table_full,
            Count::SendRefused => &counters.send_refused,
            Count::ReceiveError => &counters.receive_errors,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn granted(&self, receive: usize, send: usize) {
        self.counters.receive_buffer.store(receive, Ordering::Relaxed);
        self.counters.send_buffer.store(send, Ordering::Relaxed);
    }

    /// Which sockets [`Self::kernel_drops`] asks for, by their inode numbers.
    pub(crate) fn watch(&self, sockets: Vec<u64>) {
        // Opened once, so there is nothing to replace.
        let _ = self.counters.sockets.set(sockets);
    }
}

impl Statistics for UdpStats {
    fn read(&self, each: &mut dyn FnMut(Statistic)) {
        let counts = self.counts();
        let mut tell = |kind, name, value| each(Statistic { name, kind, value });
        tell(StatisticKind::Count, "frames_in", counts.frames_in);
        tell(StatisticKind::Count, "frames_out", counts.frames_out);
        tell(StatisticKind::Count, "send_refused", counts.send_refused);
        tell(StatisticKind::Count, "receive_errors", counts.receive_errors);
        tell(StatisticKind::Drop, "own", counts.dropped_own);
        tell(StatisticKind::Drop, "foreign", counts.dropped_foreign);
        tell(StatisticKind::Drop, "table_full", counts.dropped_table_full);
        if let Some(drops) = self.kernel_drops() {
            tell(StatisticKind::Drop, "kernel", drops);
        }
        let bytes = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        tell(StatisticKind::Gauge, "receive_buffer_bytes", bytes(self.receive_buffer()));
        tell(StatisticKind::Gauge, "send_buffer_bytes", bytes(self.send_buffer()));
    }
}

/// The number by which the kernel's tables name a socket.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn inode(socket: &impl std::os::fd::AsRawFd) -> Option<u64> {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok()?;
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn inode<T>(_: &T) -> Option<u64> {
    None
}

/// Sums the last column over the rows of these sockets; `None` when none is listed.
fn drops(tables: &str, sockets: &[u64]) -> Option<u64> {
    let of_row = |row: &str| {
        let mut columns = row.split_ascii_whitespace().skip(9);
        let inode: u64 = columns.next()?.parse().ok()?;
        let drops: u64 = columns.last()?.parse().ok()?;
        sockets.contains(&inode).then_some(drops)
    };
    tables.lines().filter_map(of_row).reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_those_of_the_named_sockets() {
        let table = "\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1205: FFFFFF7F:B047 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 16302 2 0000000059656450 7
 1205: FFFFFF7F:B047 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 16301 2 00000000448ceec0 30
 8493: 0100007F:CCBF 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 16405 2 000000009ea1bf1c 500
";
        assert_eq!(drops(table, &[16302, 16405]), Some(507));
        assert_eq!(drops(table, &[1]), None);
        assert_eq!(drops("", &[16302]), None);
    }
}
