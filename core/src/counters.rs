//! Counters for everything that happens to a frame, a message or a call. Nothing is dropped
//! uncounted: `frames_received` is the sum of `frames_accepted` and every kind of [`Drop`].

use std::collections::BTreeMap;

macro_rules! drops {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// Why a received frame was dropped, or some message of it.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        pub enum Drop { $($(#[$doc])* $variant,)* }

        impl Drop {
            /// All kinds, in the order of [`Counters::drops`].
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in statistics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

drops! {
    /// No byte in it.
    Empty => "empty",
    /// Larger than its source may send.
    Oversized => "oversized",
    /// Its source is on no attached network and is not configured.
    OffLink => "off_link",
    /// Its source, or all strangers together, sent too much.
    RateLimited => "rate_limited",
    /// It came on a link that is not there any more.
    UnknownLink => "unknown_link",
    /// Sealed, and this node has no key.
    Sealed => "sealed",
    /// Its compressed body is damaged or expands too far.
    Compression => "compression",
    /// Its first byte belongs to no format this node reads.
    UnknownFormat => "unknown_format",
    /// Its bytes break the grammar of their format.
    Malformed => "malformed",
    /// Containers too deep in each other.
    TooDeep => "too_deep",
    /// Too many values in one message.
    TooMany => "too_many",
    /// Too many messages in one frame.
    TooManyMessages => "too_many_messages",
    /// Not of type `LANC`.
    NotLanc => "not_lanc",
    /// A method this version does not know.
    UnknownMethod => "unknown_method",
    /// Another version of the protocol.
    Version => "version",
    /// Encrypted or compressed in an unknown way.
    Unsupported => "unsupported",
    /// A field is missing or has the wrong type.
    BadField => "bad_field",
    /// This node's own message.
    Own => "own",
    /// A method that may not be broadcast, in a broadcast.
    Misaddressed => "misaddressed",
    /// An answer to nothing that is waiting.
    UnknownCall => "unknown_call",
    /// An answer or a receipt for a call that is over.
    Late => "late",
    /// A call that may not start any more: its caller has given it up.
    Stale => "stale",
    /// A number of another call.
    Forged => "forged",
    /// A function list or farewell of nobody known.
    UnknownPeer => "unknown_peer",
    /// A table is full.
    TableFull => "table_full",
    /// A message whose feature this node does not announce.
    Unannounced => "unannounced",
    /// The node is closed.
    Closed => "closed",
}

/// Numbers since the start of the node. They only rise.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Frames handed in by transports.
    pub frames_received: u64,
    /// Frames all of whose messages were taken.
    pub frames_accepted: u64,
    /// Frames dropped, whole or some message of them, by the place of the kind in [`Drop::ALL`].
    pub drops: [u64; Drop::ALL.len()],
    /// Messages taken.
    pub messages_accepted: u64,
    /// Frames given to transports.
    pub frames_sent: u64,
    /// Messages in them.
    pub messages_sent: u64,
    /// Broadcast frames among them.
    pub broadcasts_sent: u64,
    /// Messages given up before they were sent: no room, budget of an unproved address, link gone.
    pub messages_unsent: u64,
    /// Calls begun here.
    pub calls_started: u64,
    /// Calls that got a result.
    pub calls_succeeded: u64,
    /// Calls that got a failure.
    pub calls_failed: u64,
    /// Calls sent again because no receipt came in time.
    pub calls_resent: u64,
    /// Answers sent again, for the same reason or because they were asked for.
    pub answers_resent: u64,
    /// Answers that were too large to be kept until their receipt came, or came when the room for
    /// that was used up.
    pub answers_not_kept: u64,
    /// Questions what became of a call.
    pub probes_sent: u64,
    /// Calls that went to another provider after one had failed.
    pub calls_moved: u64,
    /// Copies of calls that went to another provider beside one that had not answered.
    pub calls_copied: u64,
    /// Times that neither was done because the provider has failed too often of late.
    pub retries_withheld: u64,
    /// Connections closed because no sign of life came.
    pub connections_dead: u64,
    /// Connections closed because nobody used them.
    pub connections_idle: u64,
    /// Connections closed because their far end does not take what is sent to it.
    pub connections_slow: u64,
    /// Sends that the system had no room for; they were tried again.
    pub sends_full: u64,
    /// Datagrams that the system dropped because they were not read fast enough.
    pub kernel_drops: u64,
    /// Large messages turned away because they stood still half-way.
    pub messages_stalled: u64,
    /// Calls received from elsewhere, copies included.
    pub calls_received: u64,
    /// Copies of calls among them: none of them started a function.
    pub calls_repeated: u64,
    /// Functions started, for local callers too.
    pub tasks_started: u64,
    /// Functions that returned a result.
    pub tasks_succeeded: u64,
    /// Functions that failed, panicked or were given up.
    pub tasks_failed: u64,
    /// Calls refused with `busy`.
    pub tasks_refused: u64,
    /// Events that nobody fetched in time.
    pub events_lost: u64,
    /// How often each limit was hit that ever was, by the name of its setting.
    pub limits: BTreeMap<&'static str, u64>,
}

impl Counters {
    /// Frames dropped for this reason.
    pub fn dropped(&self, why: Drop) -> u64 {
        Drop::ALL.iter().zip(self.drops).find(|(kind, _)| **kind == why).map_or(0, |(_, n)| n)
    }

    /// Frames dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Every counter with its name, for printing.
    pub fn named(&self) -> Vec<(String, u64)> {
        let mut all = vec![
            ("frames_received".to_owned(), self.frames_received),
            ("frames_accepted".to_owned(), self.frames_accepted),
        ];
        for (kind, count) in Drop::ALL.iter().zip(self.drops) {
            all.push((format!("dropped_{}", kind.name()), count));
        }
        all.extend(
            [
                ("messages_accepted", self.messages_accepted),
                ("frames_sent", self.frames_sent),
                ("messages_sent", self.messages_sent),
                ("broadcasts_sent", self.broadcasts_sent),
                ("messages_unsent", self.messages_unsent),
                ("calls_started", self.calls_started),
                ("calls_succeeded", self.calls_succeeded),
                ("calls_failed", self.calls_failed),
                ("calls_resent", self.calls_resent),
                ("answers_resent", self.answers_resent),
                ("answers_not_kept", self.answers_not_kept),
                ("probes_sent", self.probes_sent),
                ("calls_moved", self.calls_moved),
                ("calls_copied", self.calls_copied),
                ("retries_withheld", self.retries_withheld),
                ("connections_dead", self.connections_dead),
                ("connections_idle", self.connections_idle),
                ("connections_slow", self.connections_slow),
                ("sends_full", self.sends_full),
                ("kernel_drops", self.kernel_drops),
                ("messages_stalled", self.messages_stalled),
                ("calls_received", self.calls_received),
                ("calls_repeated", self.calls_repeated),
                ("tasks_started", self.tasks_started),
                ("tasks_succeeded", self.tasks_succeeded),
                ("tasks_failed", self.tasks_failed),
                ("tasks_refused", self.tasks_refused),
                ("events_lost", self.events_lost),
            ]
            .map(|(name, count)| (name.to_owned(), count)),
        );
        all.extend(self.limits.iter().map(|(name, count)| (format!("limit_{name}"), *count)));
        all
    }

    /// How often this limit was hit.
    pub fn limit_hits(&self, limit: &str) -> u64 {
        self.limits.get(limit).copied().unwrap_or(0)
    }

    pub(crate) fn limit(&mut self, limit: &'static str) {
        *self.limits.entry(limit).or_default() += 1;
    }

    pub(crate) fn drop(&mut self, why: Drop) {
        for (kind, count) in Drop::ALL.iter().zip(&mut self.drops) {
            if *kind == why {
                *count += 1 + u64::from(crate::mutant::planted!(DropCountedTwice));
            }
        }
    }
}
