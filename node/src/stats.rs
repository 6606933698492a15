//! What a node tells of itself: counters, tables, peers and functions at one moment, in a form
//! that can be sent to another process.

mod gather;
mod latency;
mod prometheus;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use latency::Latency;

/// Numbers by name. Names are `snake_case` and stable; `docs/statistics.md` lists them.
pub type Numbers = BTreeMap<String, u64>;

/// A node at one moment: [`Node::stats`](crate::Node::stats).
///
/// Whatever reads it must expect names it does not know, and miss others: two processes of one
/// machine need not be of one version.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Stats {
    /// The node's name.
    pub node: String,
    /// Its session, 32 hex digits: another one means that the counters began anew.
    pub session: String,
    /// Its version of LANC.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Milliseconds since it was opened.
    pub uptime_ms: u64,
    /// Plain counters since then: frames, messages, calls, tasks.
    pub counters: Numbers,
    /// Frames received and dropped, whole or some message of them, by reason.
    pub frames_dropped: Numbers,
    /// Messages received and dropped, by reason.
    pub messages_dropped: Numbers,
    /// Calls of this node by how they ended: `ok` or the name of an error code.
    pub calls_ended: Numbers,
    /// The same of the attempts that calls to several providers consist of.
    pub attempts_ended: Numbers,
    /// Calls received and refused, by the code their callers were told.
    pub calls_refused: Numbers,
    /// Functions of this node that were started, by how they ended.
    pub tasks_ended: Numbers,
    /// Calls received that ended in the queue, by how they ended.
    pub tasks_unstarted: Numbers,
    /// How often each limit of the configuration was hit.
    pub limits: Numbers,
    /// How many entries each table holds now; `stream_bytes` and `buffer_bytes` are bytes.
    pub tables: Numbers,
    /// What each transport counts by itself.
    pub transports: Vec<TransportStats>,
    /// Its keys, the one it seals under first; none in open mode.
    pub keys: Vec<KeyStats>,
    /// The peers, by name.
    pub peers: Vec<PeerStats>,
    /// The functions of this node and those called from here, by name. At most 1024 are measured
    /// each for itself; `*` stands for all others.
    pub functions: Vec<FunctionStats>,
}

/// What a transport counts by itself, below what the core sees.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TransportStats {
    /// Its scheme: `udp`, `tcp`.
    pub scheme: String,
    /// The node's own endpoint on it.
    pub endpoint: String,
    /// What happened there.
    pub counters: Numbers,
    /// Frames lost there, by reason; `kernel` are datagrams that the system received and had no
    /// room to keep.
    pub dropped: Numbers,
    /// Sizes and states.
    pub gauges: Numbers,
}

/// A key: what it is called, never what it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct KeyStats {
    /// Its id, 8 hex digits.
    pub id: String,
    /// Whether this node seals under it; the others are opened only.
    pub primary: bool,
    /// Milliseconds since somebody who is not known to hold the primary key used it; absent:
    /// nobody has.
    pub unused_ms: Option<u64>,
    /// Frames that named it and did not verify.
    pub failures: u64,
}

/// A peer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PeerStats {
    /// Its name.
    pub name: String,
    /// Its session, 32 hex digits.
    pub session: String,
    /// Where it is: `udp://10.0.0.7:40112`.
    pub endpoint: String,
    /// `verified`: it has proved that its address receives; `tentative`: not yet.
    pub state: String,
    /// The lane it is spoken to on: `udp`, `tcp`.
    pub lane: String,
    /// Smoothed round trip in microseconds, once one was measured.
    pub round_trip_us: Option<u64>,
    /// How many calls may be on their way to it by datagrams without a receipt.
    pub window: u64,
    /// Calls of this node that it has not answered.
    pub calls_in_flight: u64,
    /// Functions it offers.
    pub functions: u64,
    /// Milliseconds since it was first heard.
    pub known_ms: u64,
    /// Milliseconds since it was last heard.
    pub silent_ms: u64,
}

/// A function.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct FunctionStats {
    /// Its name; `*` for all that are not measured each for itself.
    pub name: String,
    /// How this node runs it, if it offers it now: `blocking`, `async` or `inline`.
    pub class: Option<String>,
    /// How many peers offer it.
    pub providers: u64,
    /// Its runs here, once there was one.
    pub served: Option<ServedStats>,
    /// Calls of it from here, once there was one.
    pub called: Option<CalledStats>,
}

/// The runs of a function of this node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ServedStats {
    /// Runs that have ended.
    pub count: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// The ways in which any ended: `ok` or the name of an error code.
    pub ended: Numbers,
    /// Calls that wait for their turn now.
    pub queued: u64,
    /// Runs going on now.
    pub running: u64,
    /// From the arrival of the call to the start of the function.
    pub wait: Latency,
    /// From the start of the function to its result.
    pub run: Latency,
}

/// The calls of a function from this node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CalledStats {
    /// Calls that have ended.
    pub count: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// The ways in which any ended: `ok` or the name of an error code.
    pub ended: Numbers,
    /// Calls that have not ended.
    pub in_flight: u64,
    /// From the call to its outcome, failures among them.
    pub whole: Latency,
}
