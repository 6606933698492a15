//! Every limit and interval of a node, with its default and its ceiling.

use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::time::Duration;

use thiserror::Error;

/// A configuration that a node cannot run with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{setting} is {value}, but must be {allowed}")]
pub struct ConfigError {
    /// The setting's name.
    pub setting: &'static str,
    /// The value it has.
    pub value: String,
    /// What it may be.
    pub allowed: String,
}

/// Milliseconds of a day.
const DAY: u64 = 24 * 3_600_000;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident, $with:ident: $type:ty = $default:expr $(, in $range:expr)?;)*) => {
        /// A node's settings. Made by [`Config::default`] and the `with_*` methods, checked
        /// once in [`Core::new`](crate::Core::new).
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(#[$doc])* pub(crate) $name: $type,)*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Config {
            $($(#[$doc])*
            #[must_use]
            pub fn $with(mut self, $name: $type) -> Self {
                self.$name = $name;
                self
            }

            $(#[$doc])*
            pub fn $name(&self) -> $type {
                self.$name.clone()
            }
            )*

            /// Bytes of large messages that are put together at once on all links: they must not
            /// use up what small calls and results need.
            pub(crate) fn max_assembly_in_all(&self) -> usize {
                self.max_buffered / 2
            }

            /// How many containers may stand inside each other in a result: all of
            /// [`Self::max_depth`] but the message around it.
            pub fn max_result_depth(&self) -> u32 {
                self.max_depth.saturating_sub(1)
            }

            /// The same in an argument, and in one of many values that a function returns: they
            /// stand in a list or a map of their own.
            pub fn max_argument_depth(&self) -> u32 {
                self.max_depth.saturating_sub(2)
            }

            /// Each setting's name, its value, and the ends of its range, as `{:?}` writes them: for
            /// the test that the manual says the same.
            #[doc(hidden)]
            pub fn listed(&self) -> Vec<(&'static str, String, Option<[String; 2]>)> {
                vec![$((
                    stringify!($name),
                    format!("{:?}", self.$name),
                    None$(.or_else(|| Some(ends(&self.$name, &$range))))?,
                ),)*]
            }

            /// Checks every setting against the range that stands beside it.
            pub(crate) fn check(&self) -> Result<(), ConfigError> {
                $($(in_range(stringify!($name), &self.$name, &$range)?;)?)*
                in_range("call_deadline", &self.call_deadline, &(ms(1)..=self.max_deadline))?;
                Self::check_name(&self.name)
            }
        }
    };
}

settings! {
    /// The node's name, for people. Default: `node`, which a driver replaces by host and session.
    name, with_name: String = "node".to_owned();
    /// Shortest time between two hellos (S0: "every few seconds"). Default 5 s, 100 ms to 300 s.
    hello_interval, with_hello_interval: Duration = Duration::from_secs(5), in ms(100)..=ms(300_000);
    /// Hellos per second that a whole segment may carry; the interval grows with the number of
    /// peers to keep it. Default 50.
    segment_hello_rate, with_segment_hello_rate: u32 = 50, in 1..=100_000;
    /// How many announced intervals a peer may be silent before it is forgotten, in tenths.
    /// Default 35 (three and a half).
    lease_tenths, with_lease_tenths: u32 = 35, in 11..=1000;
    /// Quiet time after the last registration before names are broadcast (S0). Default 1 s.
    announce_quiet, with_announce_quiet: Duration = Duration::from_secs(1), in ms(0)..=ms(60_000);
    /// How long after the first hello a call still waits for a provider. Default 1.5 s.
    discovery_wait, with_discovery_wait: Duration = Duration::from_millis(1500), in ms(0)..=ms(600_000);
    /// Deadline of a call that names none. Default 30 s.
    call_deadline, with_call_deadline: Duration = Duration::from_secs(30);
    /// Longest deadline; a longer one is cut to it. Default 24 h.
    max_deadline, with_max_deadline: Duration = Duration::from_secs(24 * 3600), in ms(1)..=ms(30 * DAY);
    /// How long running functions may finish after a shutdown began. Default 5 s.
    drain, with_drain: Duration = Duration::from_secs(5), in ms(0)..=ms(3_600_000);
    /// Longest delay of the answer to a new peer's hello, per known peer; spreads the answers of
    /// a crowd. Default 2 ms.
    reply_spread, with_reply_spread: Duration = Duration::from_millis(2), in ms(0)..=ms(1000);
    /// Ceiling of that delay; well below the time a cold call waits. Default 800 ms.
    max_reply_spread, with_max_reply_spread: Duration = Duration::from_millis(800), in ms(0)..=ms(60_000);
    /// Answers to hellos per second, all peers together. Default 200.
    hello_replies, with_hello_replies: u32 = 200, in 1..=100_000;

    /// How often a connection that is kept is asked for a sign of life; after two that did not
    /// come it is closed. Default 10 s.
    keep_alive, with_keep_alive: Duration = Duration::from_secs(10), in ms(100)..=ms(3_600_000);
    /// How long a connection that this node began beside datagrams may be unused before it is
    /// closed. Default 60 s.
    connection_idle, with_connection_idle: Duration = Duration::from_secs(60), in ms(1000)..=ms(DAY);

    /// Peers that have proved their address. Default 4096, ceiling 65,536.
    max_peers, with_max_peers: usize = 4096, in 1..=65_536;
    /// Peers that have not. Default 2048, ceiling 4096.
    max_tentative, with_max_tentative: usize = 2048, in 1..=4096;
    /// Peers that have not, per IP address; not counted on loopback. Default 8, ceiling 64.
    max_tentative_per_ip, with_max_tentative_per_ip: usize = 8, in 1..=64;
    /// Connections that others began and have not proved; one more closes the oldest, of the host
    /// that has most of them. Less than the connections a transport allows. Default 64, ceiling
    /// 4096.
    max_newcomers, with_max_newcomers: usize = 64, in 1..=4096;
    /// Functions one peer may announce. Default 1024, ceiling 16,384.
    max_functions_per_peer, with_max_functions_per_peer: usize = 1024, in 1..=16_384;
    /// Function names known in all. Default 65,536.
    max_functions, with_max_functions: usize = 65_536, in 1..=1 << 20;
    /// Calls of this node that have no outcome yet. Default 16,384, ceiling 1,048,576.
    max_calls, with_max_calls: usize = 16_384, in 1..=1 << 20;
    /// The same, towards one peer. Default 1024.
    max_calls_per_peer, with_max_calls_per_peer: usize = 1024, in 1..=1 << 20;
    /// Providers that one call may go to, one after the other. Default 3.
    max_attempts, with_max_attempts: usize = 3, in 1..=5;
    /// Results kept until they are fetched. Default 4096.
    max_results, with_max_results: usize = 4096, in 1..=1 << 20;
    /// Bytes of results kept until they are fetched. Default 64 MiB.
    max_result_bytes, with_max_result_bytes: usize = 64 << 20, in 1024..=1 << 40;
    /// How long a result is kept. Default 10 min.
    result_lifetime, with_result_lifetime: Duration = Duration::from_secs(600), in ms(1)..=ms(30 * DAY);
    /// Received calls waiting for a place to run. Default 256, ceiling 65,536.
    max_queued, with_max_queued: usize = 256, in 1..=65_536;
    /// Calls queued and running for addresses that have not proved themselves. Default 64.
    max_stranger_tasks, with_max_stranger_tasks: usize = 64, in 1..=65_536;
    /// Bytes of arguments waiting with them. Default 64 MiB.
    max_queued_bytes, with_max_queued_bytes: usize = 64 << 20, in 1024..=1 << 40;
    /// Bytes that everything together may hold: arguments queued and running, answers and calls
    /// waiting to be sent, large messages on their way in and out, streams, results kept. Then
    /// new work is refused as `busy`; the last eighth is for results. Large messages that are put
    /// together have at most half of it, one by itself included. Default 512 MiB.
    max_buffered, with_max_buffered: usize = 512 << 20, in 64 << 10..=1 << 40;
    /// Blocking functions running at once. Default 4; a driver sets the number of cores.
    workers, with_workers: usize = 4, in 1..=4096;
    /// Async functions running at once. Default 1024.
    max_async_running, with_max_async_running: usize = 1024, in 1..=1 << 20;
    /// Largest message in bytes. Default 16 MiB, ceiling 1 GiB.
    max_message, with_max_message: usize = 16 << 20, in 1200..=1 << 30;
    /// Largest datagram accepted from a source that has not proved its address. Default 4096.
    max_unproved_frame, with_max_unproved_frame: usize = 4096, in 1200..=65_507;
    /// Containers inside each other in one message. The message is one of them, and the list or the
    /// map that an argument stands in is another: [`Self::max_result_depth`] and
    /// [`Self::max_argument_depth`] are left to values. What is deeper is refused with `too_large`
    /// before it is sent, arguments by the caller's node, results by the callee's. Where the far
    /// end's setting is lower, it says so in place of an answer if it has read which call it is
    /// (`docs/protocol.md`, section 6). Default 64, 4 to 100.
    max_depth, with_max_depth: u32 = 64, in 4..=100;
    /// Values in one message that came in one datagram. Default 65,536.
    max_nodes, with_max_nodes: u32 = 65_536, in 64..=1 << 24;
    /// Messages in one frame. Default 1024.
    max_messages_per_frame, with_max_messages_per_frame: usize = 1024, in 1..=65_536;
    /// Bytes of an error's text. Default 1024, ceiling 16 KiB.
    max_error_text, with_max_error_text: usize = 1024, in 16..=16 << 10;
    /// Frames per second from one address that has not proved itself, by datagrams and as many by
    /// connections; burst is twice as much; 0 turns the limit off. Not applied on loopback.
    /// Default 50.
    unproved_rate, with_unproved_rate: u32 = 50, in 0..=10_000_000;
    /// The same for all of them together, loopback included. Default 5000.
    unproved_rate_total, with_unproved_rate_total: u32 = 5000, in 0..=10_000_000;
    /// Port at which older programs are spoken to: the one they listen at. 0 leaves them alone.
    /// Default 5127.
    older_port, with_older_port: u16 = 5127;
    /// Bytes sent to one IP address in 10 s while it has not proved itself (and never more
    /// than three times what it sent). Not for older programs, for whom the factor holds alone.
    /// Default 1200.
    unproved_budget, with_unproved_budget: usize = 1200, in 400..=1 << 20;
    /// Events kept for the application. Default 1024.
    max_events, with_max_events: usize = 1024, in 1..=1 << 20;
    /// Calls on their way to one peer by datagrams without a receipt, at most; it begins with 32
    /// and follows what gets lost. Default 256, ceiling 1024.
    max_call_window, with_max_call_window: u32 = 256, in 1..=1024;
    /// Callers whose calls are remembered, so that a copy of one is recognised. Default 8192.
    max_callers, with_max_callers: usize = 8192, in 1..=1 << 20;
    /// Calls of one caller that run or wait for the receipt of their answer; as many again that
    /// are over. Default 4096.
    max_deduped_per_caller, with_max_deduped_per_caller: usize = 4096, in 1..=1 << 20;
    /// Calls remembered of all callers. Default 262,144.
    max_deduped, with_max_deduped: usize = 262_144, in 1..=1 << 24;
    /// Bytes of answers kept until their receipt comes. Default 64 MiB.
    max_stored_answers, with_max_stored_answers: usize = 64 << 20, in 1024..=1 << 40;
    /// Bytes of one of them; a larger one is sent once, and a copy of its call is told so.
    /// Default 1 MiB.
    max_stored_answer, with_max_stored_answer: usize = 1 << 20, in 64..=1 << 30;
    /// Messages waiting to be sent, all links together. Default 65,536.
    max_outbox, with_max_outbox: usize = 65_536, in 16..=1 << 20;
    /// How long the token is told that frames sealed for this node must name; the one before it
    /// is taken as long again. Default 10 min, 10 s to 24 h.
    token_lifetime, with_token_lifetime: Duration = Duration::from_secs(600), in ms(10_000)..=ms(DAY);
    /// Sessions with a key whose frames are remembered, so that no copy of one is taken, about
    /// 1.5 KiB each; besides them as many as `max_tentative` that have sent nothing to this node
    /// alone. Default 8192, ceiling 131,072.
    max_senders, with_max_senders: usize = 8192, in 1..=131_072;
    /// Byte streams of calls that each end of a link may have open there; as many large messages
    /// may be on their way at once. Default 256, ceiling 65,536.
    max_streams, with_max_streams: usize = 256, in 1..=65_536;
    /// Bytes that the far end may send on one stream before they are read, once it is running
    /// (it begins with 256 KiB by protocol); as many may be written before they are sent.
    /// Default 256 KiB, 16 KiB to 16 MiB.
    stream_window, with_stream_window: usize = 256 << 10, in 16 << 10..=16 << 20;
    /// Bytes of one stream that are sent before it is another's turn. Default 64 KiB, 1 KiB to
    /// 1 MiB.
    stream_record, with_stream_record: usize = 64 << 10, in 1 << 10..=1 << 20;
    /// Bytes of large messages that are put together at once on one link. Less than
    /// `max_message` bounds those messages too. Default 32 MiB.
    max_assembly, with_max_assembly: usize = 32 << 20, in 1200..=1 << 40;
    /// How long a large message may bring nothing new, or fall behind `min_message_rate`, before
    /// it is turned away; looked at every `keep_alive`. Default 30 s.
    message_stall, with_message_stall: Duration = Duration::from_secs(30), in ms(1000)..=ms(DAY);
    /// Bytes per second of one connection that a large message must bring its part of: divided by
    /// the streams there, because they take turns. Byte streams of calls may be as slow as they
    /// like.
    /// Default 16 KiB, 1 B to 1 GiB.
    min_message_rate, with_min_message_rate: u32 = 16 << 10, in 1..=1 << 30;
    /// Bytes of large messages that wait to be sent on one link. A single message may be larger.
    /// Default 64 MiB.
    max_message_queue, with_max_message_queue: usize = 64 << 20, in 1200..=1 << 40;
    /// Bytes that may wait on a connection whose far end has taken nothing for a second. More:
    /// it is closed, [`Event::SlowPeer`](crate::event::Event::SlowPeer). Default 16 MiB, ceiling
    /// 256 MiB.
    max_backlog, with_max_backlog: usize = 16 << 20, in 1200..=256 << 20;
    /// Calls that ended without anybody knowing whether their function ran, and that are
    /// remembered so that a late answer can be told:
    /// [`Event::LateAnswer`](crate::event::Event::LateAnswer). Default 256.
    max_doubts, with_max_doubts: usize = 256, in 0..=1 << 20;
    /// Pings in flight. Default 1024.
    max_pings, with_max_pings: usize = 1024, in 1..=1 << 20;
    /// Whether sources that are on no directly attached network are heard. Default no;
    /// configured peers always are.
    allow_off_link, with_allow_off_link: bool = false;
    /// Whether the node says hello to everybody and listens for it. Without it only configured
    /// peers are known. Default yes.
    discovery, with_discovery: bool = true;
}

/// The ends of the range of a setting, whose type says of what.
fn ends<T: Debug>(_: &T, range: &RangeInclusive<T>) -> [String; 2] {
    [range.start(), range.end()].map(|end| format!("{end:?}"))
}

fn in_range<T: PartialOrd + Debug>(
    setting: &'static str,
    value: &T,
    range: &RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if range.contains(value) {
        return Ok(());
    }
    let allowed = format!("between {:?} and {:?}", range.start(), range.end());
    Err(ConfigError { setting, value: format!("{value:?}"), allowed })
}

impl Config {
    /// Checks that a node may have this name: 1 to 64 bytes without control characters.
    ///
    /// # Errors
    /// [`ConfigError`], which says so.
    pub fn check_name(name: &str) -> Result<(), ConfigError> {
        if (1..=64).contains(&name.len()) && !name.chars().any(char::is_control) {
            return Ok(());
        }
        Err(ConfigError {
            setting: "name",
            value: name.chars().take(80).flat_map(char::escape_default).collect(),
            allowed: "1 to 64 bytes without control characters".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_holds_its_default_and_ends_where_it_says() {
        assert_eq!(Config::default().check(), Ok(()));
        assert!(Config::default().with_max_peers(65_536).check().is_ok());
        let error = Config::default().with_max_peers(65_537).check().unwrap_err();
        assert_eq!(error.to_string(), "max_peers is 65537, but must be between 1 and 65536");
        assert!(Config::default().with_hello_interval(ms(99)).check().is_err());
        assert!(Config::default().with_max_attempts(5).check().is_ok());
        assert!(Config::default().with_max_attempts(6).check().is_err());
        let late = Config::default().with_max_deadline(ms(5)).with_call_deadline(ms(6));
        assert_eq!(late.check().unwrap_err().setting, "call_deadline");
        assert!(Config::default().with_name("a".repeat(65)).check().is_err());
    }
}
