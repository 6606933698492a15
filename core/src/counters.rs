//! Counters for everything that happens to a frame, a message or a call. Nothing is dropped
//! uncounted, and nothing ends twice: [`Counters::audit`] says which numbers add up to which.

use std::collections::BTreeMap;

use crate::engine::Tables;
use crate::error::ErrorCode;

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
    /// Sealed under a key that this node does not hold, if it has one at all.
    Sealed => "sealed",
    /// Not sealed, and this node has a key.
    Plaintext => "plaintext",
    /// No envelope of this version.
    Envelope => "envelope",
    /// Sealed for another node, or for another life or an earlier time of this one.
    WrongToken => "wrong_token",
    /// A copy of a frame that came before.
    Replayed => "replayed",
    /// Its seal does not verify.
    BadSeal => "bad_seal",
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

/// How often something ended in which way, by error code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outcomes([u64; Self::KINDS]);

impl Outcomes {
    /// LANC's own codes, those of applications, and those of later versions.
    const KINDS: usize = ErrorCode::ALL.len() + 2;

    /// How often it ended with this code. Those of applications are counted together, and so
    /// are those this version does not know.
    pub fn of(&self, code: ErrorCode) -> u64 {
        self.0.get(Self::place(code)).copied().unwrap_or(0)
    }

    /// How often it ended.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// How often it ended otherwise than with [`ErrorCode::OK`].
    pub fn failed(&self) -> u64 {
        self.total() - self.of(ErrorCode::OK)
    }

    /// Every way to end with its name and how often it came.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = ErrorCode::ALL.iter().map(|code| code.name());
        names.chain(["application", "unknown"]).zip(self.0)
    }

    pub(crate) fn count(&mut self, code: ErrorCode) {
        if let Some(count) = self.0.get_mut(Self::place(code)) {
            *count += 1;
        }
    }

    /// Codes have no gaps, which a test holds them to.
    fn place(code: ErrorCode) -> usize {
        let own = usize::from(code.0);
        if own < ErrorCode::ALL.len() {
            own
        } else if code.0 >= ErrorCode::FIRST_APPLICATION {
            ErrorCode::ALL.len()
        } else {
            ErrorCode::ALL.len() + 1
        }
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// Numbers since the start of the node. They only rise.
        #[derive(Clone, PartialEq, Eq, Debug, Default)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)*
            /// Frames dropped, whole or some message of them, by the place of the kind in
            /// [`Drop::ALL`].
            pub drops: [u64; Drop::ALL.len()],
            /// Messages dropped, by the place of the kind in [`Drop::ALL`].
            pub message_drops: [u64; Drop::ALL.len()],
            /// How calls of this node ended.
            pub calls_ended: Outcomes,
            /// How the attempts ended that calls to several providers consist of.
            pub attempts_ended: Outcomes,
            /// Calls received that did not become a task, by what their callers were told.
            pub calls_refused: Outcomes,
            /// How functions ended that were started.
            pub tasks_ended: Outcomes,
            /// Tasks that ended before their function was started.
            pub tasks_unstarted: Outcomes,
            /// How often each limit was hit that ever was, by the name of its setting.
            pub limits: BTreeMap<&'static str, u64>,
        }

        impl Counters {
            /// What each plain counter counts, by its name.
            pub const HELP: &'static [(&'static str, &'static str)] =
                &[$((stringify!($name), concat!($($doc),+)),)*];

            /// Every plain counter with its name, in the order of [`Self::HELP`].
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

counters! {
    /// Frames handed in by transports.
    frames_received,
    /// Frames all of whose messages were taken.
    frames_accepted,
    /// Messages found in frames, whether they could be read or not.
    messages_received,
    /// Messages taken.
    messages_accepted,
    /// Frames given to transports.
    frames_sent,
    /// Messages in them.
    messages_sent,
    /// Broadcast frames among them.
    broadcasts_sent,
    /// Messages given up before they were sent: no room, budget of an unproved address, link gone.
    messages_unsent,
    /// Frames that a transport had no room for and that are offered again.
    frames_deferred,
    /// Frames that a transport refused for good: link gone, too large, network unreachable.
    frames_refused,
    /// Frames, and messages larger than one, that went out compressed.
    frames_compressed,
    /// Bytes that they became shorter by.
    bytes_saved,
    /// Calls begun here, those among them that this node could not take.
    calls_started,
    /// Calls that got a result.
    calls_succeeded,
    /// Calls that got a failure.
    calls_failed,
    /// Attempts begun for calls to several providers.
    attempts_started,
    /// Calls sent again because no receipt came in time.
    calls_resent,
    /// Answers sent again, for the same reason or because they were asked for.
    answers_resent,
    /// Answers that were too large to be kept until their receipt came, or came when the room for
    /// that was used up.
    answers_not_kept,
    /// Round trips measured by answers and receipts that say which copy of a call they are of.
    round_trips,
    /// Their sum, in nanoseconds.
    round_trip_nanos,
    /// Questions what became of a call.
    probes_sent,
    /// Calls that went to another provider after one had failed.
    calls_moved,
    /// Copies of calls that went to another provider beside one that had not answered.
    calls_copied,
    /// Times that neither was done because the provider has failed too often of late.
    retries_withheld,
    /// Connections closed because no sign of life came.
    connections_dead,
    /// Connections closed because nobody used them.
    connections_idle,
    /// Connections closed because their far end does not take what is sent to it.
    connections_slow,
    /// Sends that the system had no room for; they were tried again.
    sends_full,
    /// Datagrams that the system dropped because they were not read fast enough.
    kernel_drops,
    /// Large messages turned away because they stood still half-way, or came too slowly.
    messages_stalled,
    /// Calls received from elsewhere, copies included.
    calls_received,
    /// Calls received that became a task.
    calls_accepted,
    /// Copies of calls among them: none of them started a function.
    calls_repeated,
    /// Calls among them that may not start any more, or have the number of another.
    calls_dropped,
    /// Tasks queued, those of local callers too.
    tasks_queued,
    /// Functions started, for local callers too.
    tasks_started,
    /// Functions that returned a result.
    tasks_succeeded,
    /// Functions that failed, panicked or were given up.
    tasks_failed,
    /// Calls refused with `busy`.
    tasks_refused,
    /// Events that nobody fetched in time.
    events_lost,
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

    /// Checks that what came in is what was taken and what was dropped, and that whatever began
    /// has ended once or goes on.
    ///
    /// # Errors
    /// The first sum that is wrong, with its numbers.
    pub fn audit(&self, tables: &Tables) -> Result<(), String> {
        let entries = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let refused = self.calls_refused.total();
        let messages_dropped = self.message_drops.iter().sum();
        let unstarted = self.tasks_unstarted.total();
        let (tasks_ended, calls_ended) = (self.tasks_ended.total(), self.calls_ended.total());
        let attempts_ended = self.attempts_ended.total();
        let (queued, running) = (entries(tables.queued), entries(tables.running));
        let (calls, attempts) = (entries(tables.calls), entries(tables.attempts));
        let sums: [(&str, u64, &[u64]); 9] = [
            (
                "frames_received",
                self.frames_received,
                &[self.frames_accepted, self.dropped_total()],
            ),
            (
                "messages_received",
                self.messages_received,
                &[self.messages_accepted, messages_dropped],
            ),
            ("calls_started", self.calls_started, &[calls_ended, calls]),
            ("calls_ended", calls_ended, &[self.calls_succeeded, self.calls_failed]),
            ("attempts_started", self.attempts_started, &[attempts_ended, attempts]),
            (
                "calls_received",
                self.calls_received,
                &[self.calls_accepted, self.calls_repeated, self.calls_dropped, refused],
            ),
            ("tasks_queued", self.tasks_queued, &[unstarted, self.tasks_started, queued]),
            ("tasks_started", self.tasks_started, &[tasks_ended, running]),
            ("tasks_ended", tasks_ended, &[self.tasks_succeeded, self.tasks_failed]),
        ];
        match sums.iter().find(|(_, whole, parts)| *whole != parts.iter().sum::<u64>()) {
            Some((name, whole, parts)) => {
                Err(format!("{name} is {whole}, its parts are {parts:?}"))
            }
            None => Ok(()),
        }
    }

    /// How often this limit was hit.
    pub fn limit_hits(&self, limit: &str) -> u64 {
        self.limits.get(limit).copied().unwrap_or(0)
    }

    pub(crate) fn limit(&mut self, limit: &'static str) {
        *self.limits.entry(limit).or_default() += 1;
    }

    pub(crate) fn drop_frame(&mut self, why: Drop) {
        add(&mut self.drops, why);
    }

    pub(crate) fn drop_message(&mut self, why: Drop) {
        add(&mut self.message_drops, why);
    }
}

fn add(drops: &mut [u64; Drop::ALL.len()], why: Drop) {
    for (kind, count) in Drop::ALL.iter().zip(drops) {
        if *kind == why {
            *count += 1 + u64::from(crate::mutant::planted!(DropCountedTwice));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_place_of_its_own() {
        for (place, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(Outcomes::place(*code), place, "{code}");
        }
        let mut outcomes = Outcomes::default();
        for code in [0, 4, 4, 999, ErrorCode::FIRST_APPLICATION, u16::MAX] {
            outcomes.count(ErrorCode(code));
        }
        let counted: Vec<_> = outcomes.named().filter(|(_, count)| *count > 0).collect();
        assert_eq!(
            counted,
            [("ok", 1), ("execution_error", 2), ("application", 2), ("unknown", 1)]
        );
        assert_eq!((outcomes.total(), outcomes.failed()), (6, 5));
    }

    #[test]
    fn names_and_help_go_together() {
        let counters = Counters { frames_sent: 7, ..Counters::default() };
        let names: Vec<_> = counters.named().into_iter().map(|(name, _)| name).collect();
        assert!(names.iter().eq(Counters::HELP.iter().map(|(name, _)| name)));
        assert!(counters.named().contains(&("frames_sent", 7)));
    }
}
