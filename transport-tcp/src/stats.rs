//! What a TCP transport counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lanc_core::ports::{Statistic, StatisticKind, Statistics};

/// A cheap handle to a transport's counters; clones show the same transport, and go on showing
/// it after it was closed.
#[derive(Clone, Debug, Default)]
pub struct TcpStats {
    counters: Arc<[AtomicU64; Count::ALL]>,
}

/// The counters at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TcpCounts {
    /// Frames received and passed on.
    pub frames_in: u64,
    /// Frames taken for sending.
    pub frames_out: u64,
    /// Frames received and dropped: of a service or kind that is not known, of another kind than
    /// their header says, or stream records that are too large.
    pub frames_ignored: u64,
    /// Sends that found no room; the frame is offered again after
    /// [`LinkEvent::Writable`](lanc_core::ports::LinkEvent::Writable).
    pub sends_full: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections dialled that came up.
    pub dialled: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// Accepted connections refused: as many as may be are there.
    pub refused_total: u64,
    /// Refused: its host has as many as it may have.
    pub refused_host: u64,
    /// Refused: it came to an address of an interface that is not configured.
    pub refused_interface: u64,
    /// Closed: the bytes were no frames (wrong magic or version, impossible length).
    pub closed_malformed: u64,
    /// Closed: no first frame came in time, or before another connection needed the place.
    pub closed_silent: u64,
    /// Closed: the far end took nothing of what was to be sent to it.
    pub closed_stalled: u64,
    /// Times the system could not accept a connection, for want of file descriptors say.
    pub accept_failures: u64,
}

/// One thing to count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    FrameIn,
    FrameOut,
    FrameIgnored,
    SendFull,
    Accepted,
    Dialled,
    DialFailed,
    RefusedTotal,
    RefusedHost,
    RefusedInterface,
    ClosedMalformed,
    ClosedSilent,
    ClosedStalled,
    AcceptFailure,
}

impl Count {
    const ALL: usize = 14;

    const fn place(self) -> usize {
        match self {
            Self::FrameIn => 0,
            Self::FrameOut => 1,
            Self::FrameIgnored => 2,
            Self::SendFull => 3,
            Self::Accepted => 4,
            Self::Dialled => 5,
            Self::DialFailed => 6,
            Self::RefusedTotal => 7,
            Self::RefusedHost => 8,
            Self::ClosedMalformed => 10,
            Self::ClosedSilent => 11,
            Self::ClosedStalled => 12,
            Self::AcceptFailure => 13,
            Self::RefusedInterface => 9,
        }
    }
}

impl TcpStats {
    /// The counters now.
    pub fn counts(&self) -> TcpCounts {
        let read = |what: Count| {
            self.counters.get(what.place()).map_or(0, |counter| counter.load(Ordering::Relaxed))
        };
        TcpCounts {
            frames_in: read(Count::FrameIn),
            frames_out: read(Count::FrameOut),
            frames_ignored: read(Count::FrameIgnored),
            sends_full: read(Count::SendFull),
            accepted: read(Count::Accepted),
            dialled: read(Count::Dialled),
            dials_failed: read(Count::DialFailed),
            refused_total: read(Count::RefusedTotal),
            refused_host: read(Count::RefusedHost),
            refused_interface: read(Count::RefusedInterface),
            closed_malformed: read(Count::ClosedMalformed),
            closed_silent: read(Count::ClosedSilent),
            closed_stalled: read(Count::ClosedStalled),
            accept_failures: read(Count::AcceptFailure),
        }
    }

    pub(crate) fn count(&self, what: Count) {
        if let Some(counter) = self.counters.get(what.place()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Statistics for TcpStats {
    fn read(&self, each: &mut dyn FnMut(Statistic)) {
        let counts = self.counts();
        let mut tell = |kind, name, value| each(Statistic { name, kind, value });
        tell(StatisticKind::Count, "frames_in", counts.frames_in);
        tell(StatisticKind::Count, "frames_out", counts.frames_out);
        tell(StatisticKind::Count, "sends_full", counts.sends_full);
        tell(StatisticKind::Count, "accepted", counts.accepted);
        tell(StatisticKind::Count, "dialled", counts.dialled);
        tell(StatisticKind::Count, "dials_failed", counts.dials_failed);
        tell(StatisticKind::Count, "accept_failures", counts.accept_failures);
        tell(StatisticKind::Count, "refused_full", counts.refused_total);
        tell(StatisticKind::Count, "refused_host", counts.refused_host);
        tell(StatisticKind::Count, "refused_interface", counts.refused_interface);
        tell(StatisticKind::Count, "closed_malformed", counts.closed_malformed);
        tell(StatisticKind::Count, "closed_silent", counts.closed_silent);
        tell(StatisticKind::Count, "closed_stalled", counts.closed_stalled);
        tell(StatisticKind::Drop, "ignored", counts.frames_ignored);
    }
}
