//! LANC's protocol as a pure machine: no socket, no clock, no runtime, no randomness of its own.

// Everything here reads what strangers send.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::panic
    )
)]

mod agenda;
mod buffers;
mod by_number;
mod byte_budget;
mod calls;
pub mod config;
mod copies;
pub mod counters;
pub mod dialect;
mod directory;
mod doubts;
pub mod endpoint;
mod engine;
pub mod error;
pub mod event;
mod fair_queue;
pub mod fields;
pub mod framing;
mod hex;
pub mod histogram;
mod homes;
pub mod id;
mod inbound;
pub mod keyed;
mod latency;
pub mod measures;
pub mod message;
#[cfg(lanc_mutant)]
pub mod mutant;
#[cfg(not(lanc_mutant))]
mod mutant;
pub mod note;
pub mod payload;
mod peers;
pub mod policy;
pub mod ports;
mod random;
mod recovery;
mod retry_budget;
pub mod slots;
mod tasks;
pub mod time;
mod timers;
mod wire;

pub use calls::{Answer, CallRequest, Carrier, Member, Mode, Outcome, Target};
pub use config::Config;
pub use directory::{Class, LocalFunction};
pub use engine::{
    Core, Done, ForeignGroup, FunctionInfo, InFlight, KeyInfo, LinkCommand, PeerInfo, PipeKey,
    RegisterError, Sealing, StreamGone, StreamKey, Tables, Task, TaskStep,
};
pub use peers::Trust;
pub use time::Time;
pub use wire::pipeline::Pipeline;
pub use wire::sessions::{RingError, Token};
pub use wire::sessions::{carriage, envelope};
