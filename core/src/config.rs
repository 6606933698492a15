//! Every limit and interval of a node, with its default and its ceiling.

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

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident, $with:ident: $type:ty = $default:expr;)*) => {
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
            pub fn $name(&self) -> &$type {
                &self.$name
            }
            )*
        }
    };
}

settings! {
    /// The node's name, for people. Default: `node`, which a driver replaces by host and session.
    name, with_name: String = "node".to_owned();
    /// Shortest time between two hellos (S0: "every few seconds"). Default 5 s, 100 ms to 300 s.
    hello_interval, with_hello_interval: Duration = Duration::from_secs(5);
    /// Hellos per second that a whole segment may carry; the interval grows with the number of
    /// peers to keep it. Default 50.
    segment_hello_rate, with_segment_hello_rate: u32 = 50;
    /// How many announced intervals a peer may be silent before it is forgotten, in tenths.
    /// Default 35 (three and a half).
    lease_tenths, with_lease_tenths: u32 = 35;
    /// How long an older peer, which announces no interval, may be silent. Default 30 s.
    legacy_lease, with_legacy_lease: Duration = Duration::from_secs(30);
    /// Quiet time after the last registration before names are broadcast (S0). Default 1 s.
    announce_quiet, with_announce_quiet: Duration = Duration::from_secs(1);
    /// How long after the first hello a call still waits for a provider. Default 1.5 s.
    discovery_wait, with_discovery_wait: Duration = Duration::from_millis(1500);
    /// Deadline of a call that names none. Default 30 s.
    call_deadline, with_call_deadline: Duration = Duration::from_secs(30);
    /// Longest deadline; a longer one is cut to it. Default 24 h.
    max_deadline, with_max_deadline: Duration = Duration::from_secs(24 * 3600);
    /// How long running functions may finish after a shutdown began. Default 5 s.
    drain, with_drain: Duration = Duration::from_secs(5);
    /// Longest delay of the answer to a new peer's hello, per known peer; spreads the answers of
    /// a crowd. Default 2 ms.
    reply_spread, with_reply_spread: Duration = Duration::from_millis(2);
    /// Ceiling of that delay. Default 2 s.
    max_reply_spread, with_max_reply_spread: Duration = Duration::from_secs(2);
    /// Answers to hellos per second, all peers together. Default 200.
    hello_replies, with_hello_replies: u32 = 200;

    /// Peers that have proved their address. Default 4096, ceiling 65,536.
    max_peers, with_max_peers: usize = 4096;
    /// Peers that have not. Default 2048, ceiling 65,536.
    max_tentative, with_max_tentative: usize = 2048;
    /// Peers that have not, per IP address; not counted on loopback. Default 8.
    max_tentative_per_ip, with_max_tentative_per_ip: usize = 8;
    /// Functions one peer may announce. Default 1024, ceiling 16,384.
    max_functions_per_peer, with_max_functions_per_peer: usize = 1024;
    /// Function names known in all. Default 65,536.
    max_functions, with_max_functions: usize = 65_536;
    /// Calls of this node that have no outcome yet. Default 16,384, ceiling 1,048,576.
    max_calls, with_max_calls: usize = 16_384;
    /// The same, towards one peer. Default 1024.
    max_calls_per_peer, with_max_calls_per_peer: usize = 1024;
    /// Results kept until they are fetched. Default 4096.
    max_results, with_max_results: usize = 4096;
    /// Bytes of results kept until they are fetched. Default 64 MiB.
    max_result_bytes, with_max_result_bytes: usize = 64 << 20;
    /// How long a result is kept. Default 10 min.
    result_lifetime, with_result_lifetime: Duration = Duration::from_secs(600);
    /// Received calls waiting for a place to run. Default 256, ceiling 65,536.
    max_queued, with_max_queued: usize = 256;
    /// Bytes of arguments waiting with them. Default 64 MiB.
    max_queued_bytes, with_max_queued_bytes: usize = 64 << 20;
    /// Blocking functions running at once. Default 4; a driver sets the number of cores.
    workers, with_workers: usize = 4;
    /// Async functions running at once. Default 1024.
    max_async_running, with_max_async_running: usize = 1024;
    /// Largest message in bytes. Default 16 MiB, ceiling 1 GiB.
    max_message, with_max_message: usize = 16 << 20;
    /// Largest datagram accepted from a source that has not proved its address. Default 4096.
    max_unproved_frame, with_max_unproved_frame: usize = 4096;
    /// Containers inside each other. Default 64, ceiling 100.
    max_depth, with_max_depth: u32 = 64;
    /// Values in one message that came in one datagram. Default 65,536.
    max_nodes, with_max_nodes: u32 = 65_536;
    /// Messages in one frame. Default 1024.
    max_messages_per_frame, with_max_messages_per_frame: usize = 1024;
    /// Bytes of an error's text. Default 1024, ceiling 16 KiB.
    max_error_text, with_max_error_text: usize = 1024;
    /// Frames per second from one address that has not proved itself; burst is twice as much;
    /// 0 turns the limit off. Not applied on loopback. Default 50.
    unproved_rate, with_unproved_rate: u32 = 50;
    /// The same for all of them together, loopback included. Default 5000.
    unproved_rate_total, with_unproved_rate_total: u32 = 5000;
    /// Bytes sent to one IP address in 10 s while it has not proved itself (and never more
    /// than three times what it sent). Default 1200.
    unproved_budget, with_unproved_budget: usize = 1200;
    /// Events kept for the application. Default 1024.
    max_events, with_max_events: usize = 1024;
    /// Messages waiting to be sent, all links together. Default 65,536.
    max_outbox, with_max_outbox: usize = 65_536;
    /// Pings in flight. Default 1024.
    max_pings, with_max_pings: usize = 1024;
    /// Whether sources that are on no directly attached network are heard. Default no;
    /// configured peers always are.
    allow_off_link, with_allow_off_link: bool = false;
    /// Whether the node says hello to everybody and listens for it. Without it only configured
    /// peers are known. Default yes.
    discovery, with_discovery: bool = true;
}

impl Config {
    /// Checks every setting against its range.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let range = |setting, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                let allowed = format!("between {low} and {high}");
                Err(ConfigError { setting, value: value.to_string(), allowed })
            }
        };
        let duration = |setting, value: Duration, low: Duration, high: Duration| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                let allowed = format!("between {low:?} and {high:?}");
                Err(ConfigError { setting, value: format!("{value:?}"), allowed })
            }
        };
        let ms = Duration::from_millis;
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        duration("hello_interval", self.hello_interval, ms(100), ms(300_000))?;
        duration("announce_quiet", self.announce_quiet, ms(0), ms(60_000))?;
        duration("discovery_wait", self.discovery_wait, ms(0), ms(600_000))?;
        duration("max_deadline", self.max_deadline, ms(1), ms(30 * 24 * 3_600_000))?;
        duration("call_deadline", self.call_deadline, ms(1), self.max_deadline)?;
        duration("legacy_lease", self.legacy_lease, ms(1000), ms(3_600_000))?;
        duration("drain", self.drain, ms(0), ms(3_600_000))?;
        duration("reply_spread", self.reply_spread, ms(0), ms(1000))?;
        duration("max_reply_spread", self.max_reply_spread, ms(0), ms(60_000))?;
        duration("result_lifetime", self.result_lifetime, ms(1), ms(30 * 24 * 3_600_000))?;
        range("hello_replies", size(self.hello_replies), 1, 100_000)?;
        range("max_result_bytes", self.max_result_bytes, 1024, 1 << 40)?;
        range("max_queued_bytes", self.max_queued_bytes, 1024, 1 << 40)?;
        range("max_tentative_per_ip", self.max_tentative_per_ip, 1, 65_536)?;
        range("unproved_rate", size(self.unproved_rate), 0, 10_000_000)?;
        range("unproved_rate_total", size(self.unproved_rate_total), 0, 10_000_000)?;
        range("unproved_budget", self.unproved_budget, 400, 1 << 20)?;
        range("segment_hello_rate", size(self.segment_hello_rate), 1, 100_000)?;
        range("lease_tenths", size(self.lease_tenths), 11, 1000)?;
        range("max_peers", self.max_peers, 1, 65_536)?;
        range("max_tentative", self.max_tentative, 1, 65_536)?;
        range("max_functions_per_peer", self.max_functions_per_peer, 1, 16_384)?;
        range("max_functions", self.max_functions, 1, 1 << 20)?;
        range("max_calls", self.max_calls, 1, 1 << 20)?;
        range("max_calls_per_peer", self.max_calls_per_peer, 1, 1 << 20)?;
        range("max_results", self.max_results, 1, 1 << 20)?;
        range("max_queued", self.max_queued, 1, 65_536)?;
        range("workers", self.workers, 1, 4096)?;
        range("max_async_running", self.max_async_running, 1, 1 << 20)?;
        range("max_message", self.max_message, 1200, 1 << 30)?;
        range("max_unproved_frame", self.max_unproved_frame, 1200, 65_507)?;
        range("max_depth", size(self.max_depth), 4, 100)?;
        range("max_nodes", size(self.max_nodes), 64, 1 << 24)?;
        range("max_messages_per_frame", self.max_messages_per_frame, 1, 65_536)?;
        range("max_error_text", self.max_error_text, 16, 16 << 10)?;
        range("max_events", self.max_events, 1, 1 << 20)?;
        range("max_outbox", self.max_outbox, 16, 1 << 20)?;
        range("max_pings", self.max_pings, 1, 1 << 20)?;
        if self.name.is_empty() || self.name.len() > 64 || self.name.chars().any(char::is_control) {
            return Err(ConfigError {
                setting: "name",
                value: self.name.chars().take(80).flat_map(char::escape_default).collect(),
                allowed: "1 to 64 bytes without control characters".to_owned(),
            });
        }
        Ok(())
    }
}
