//! Nodes in processes of their own, on hosts of their own, under faults: loss, sudden ends, pauses,
//! exhaustion, overload. Needs root; elsewhere each test says why it checks nothing. With
//! `LANC_LAB_SCALE=10` ten times as much is done: `.ci/nightly`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

#[path = "netlab/ground.rs"]
mod ground;
#[path = "netlab/interfaces.rs"]
mod interfaces;
#[path = "netlab/kills.rs"]
mod kills;
#[path = "netlab/limits.rs"]
mod limits;
#[path = "netlab/loss.rs"]
mod loss;
#[path = "netlab/overload.rs"]
mod overload;
#[path = "netlab/pauses.rs"]
mod pauses;
#[path = "netlab/sealed.rs"]
mod sealed;
#[path = "netlab/usage.rs"]
mod usage;
