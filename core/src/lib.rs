//! LANC's protocol as a pure machine: no socket, no clock, no runtime, no randomness of its own.

pub mod config;
pub mod dialect;
pub mod endpoint;
pub mod error;
pub mod fields;
pub mod id;
pub mod keyed;
pub mod message;
pub mod payload;
pub mod ports;
mod random;
pub mod slots;
pub mod time;
