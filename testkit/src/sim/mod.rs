//! The simulator: any number of real [`Core`](lanc_core::Core)s in one process, with virtual time
//! and a network that misbehaves as a seed tells it.
//!
//! A [`World`] plays the part of driver, transport and functions for every node. Time moves from
//! event to event, so a minute of a quiet network costs microseconds. Equal seeds and equal
//! inputs give equal runs, on any machine and in any build: [`World::trace_hash`] is the proof.
//!
//! ```
//! use lanc_testkit::sim::{World, ms, secs};
//! use serde_json::{Value, json};
//!
//! let mut lan = World::new(7);
//! let strong = lan.node("strong");
//! let desk = lan.node("desk");
//! lan.register(strong, "add", |args: &[Value]| {
//!     let sum: i64 = args.iter().filter_map(Value::as_i64).sum();
//!     (ms(5), Ok(json!(sum)))
//! });
//! lan.run_for(secs(2));
//! let call = lan.call(desk, "add", json!([1, 2]));
//! lan.run_for(ms(100));
//! assert_eq!(lan.result(call), Some(Ok(json!(3))));
//! ```
//!
//! After every event the world checks what must hold whatever the network does, each
//! [`Invariant`]; a violation panics with the seed, the time and the last frames.
//! What a scenario does to its world is data, [`Input`]: [`World::inputs`] lists it and
//! [`World::replay`] runs it again. Scenarios that a seed draws are in [`swarm`].

mod apply;
mod calls;
mod check;
mod clock;
mod coverage;
mod dice;
mod envelope;
mod fan_out;
mod glance;
mod hear;
mod hostile;
mod input;
mod invariant;
mod ledger;
mod links;
mod network;
mod node;
mod originals;
mod pump;
mod quick;
mod seals;
mod step;
pub mod swarm;
mod trace;
mod trips;
mod values;
mod view;
mod watch;
mod world;

pub use calls::{CallId, Ended};
pub use coverage::Coverage;
pub use dice::Dice;
pub use envelope::group_key;
pub use hostile::{HostileId, HostileSpec, Script};
pub use input::{Ask, Body, Function, Input, KeyChange, Place, Reply, Spec};
pub use invariant::{Invariant, Violation};
pub use network::Rules;
pub use node::NodeId;
pub use originals::{OriginalAct, OriginalId, OriginalSpec};
pub use quick::Quick;
pub use view::{Frame, Traffic};
pub use world::{PingId, World};

use std::time::Duration;

/// `count` milliseconds.
pub const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// `count` seconds.
pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}
