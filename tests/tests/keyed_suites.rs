//! The suites of open mode once more, every node with a key: the same files, which ask this
//! binary's name. The scenarios of the simulator do it by `LANC_SIM=keyed`, the matrix has its own
//! rows. Not here: `stranger.rs`, whose callers have no key and so are not heard
//! (`bounded.rs`, `testkit/tests/threats.rs`), and single tests that write plain by hand.
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

#[path = "depth.rs"]
mod depth;
#[path = "formats.rs"]
mod formats;
#[path = "lanes.rs"]
mod lanes;
#[path = "limits.rs"]
mod limits;
#[path = "links.rs"]
mod links;
#[path = "nested.rs"]
mod nested;
#[path = "one_shot.rs"]
mod one_shot;
#[path = "statistics.rs"]
mod statistics;
#[path = "stream_links.rs"]
mod stream_links;
#[path = "streams.rs"]
mod streams;
