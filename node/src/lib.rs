//! A LANC node: the driver that joins the core, the transports and the functions.
//!
//! ```text
//!  callers ──► Hub { core, outlets } ◄── driver task ──► transports
//!                      ▲                     │
//!                      └── results ── workers, spawned futures, inline functions
//! ```
//!
//! Callers put their calls into the core themselves, under one short lock, and wake the driver;
//! the driver is the only one that waits for anything. No user code runs under the lock.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

mod all;
mod args;
pub mod blocking;
mod broken;
mod builder;
mod bytes;
mod call;
mod callbacks;
mod callers;
mod clock;
mod contain;
mod context;
mod depth;
mod driver;
mod events;
mod flat;
mod functions;
mod hub;
mod keys;
mod linger;
mod name;
mod node;
mod outlets;
mod patience;
mod pending;
mod reply;
mod results;
mod run;
mod serving;
mod spare;
mod starts;
pub mod stats;
mod stream;
mod streaming;
mod trace;
mod typed;
mod values;
mod workers;

pub use all::{AllCall, Answer};
pub use args::{Args, IntoArgs};
pub use builder::{NodeBuilder, OpenError};
pub use bytes::Bytes;
pub use call::{Call, Calling};
pub use clock::SystemEntropy;
pub use context::Context;
pub use events::Events;
pub use functions::{Handler, Registration};
pub use lanc_core::dialect::Dialect;
pub use lanc_core::error::{CallError, ErrorCode, Executed, Fault};
pub use lanc_core::event::{Event, PeerDownReason};
pub use lanc_core::id::{ExeId, SessionId};
pub use lanc_core::policy::Policy;
pub use lanc_core::ports::Format;
pub use lanc_core::ports::{GroupKey, KeyId};
pub use lanc_core::{
    Carrier, Class, Config, ForeignGroup, FunctionInfo, KeyInfo, PeerInfo, RegisterError,
    RingError, Tables, Trust,
};
pub use node::Node;
pub use reply::Reply;
pub use stats::Stats;
pub use stream::{ByteStream, Running};
pub use streaming::{IntoStreaming, Items};
pub use typed::IntoFunction;
#[doc(hidden)]
pub use typed::{Boxed, marker};
pub use values::Values;
