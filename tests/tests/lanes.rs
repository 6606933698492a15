//! Nodes that have a lane of datagrams and one of connections: which of them a message takes,
//! and what becomes of it when connections come, fail and go. In virtual time.
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

#[path = "lanes/assembly.rs"]
mod assembly;
#[path = "lanes/carriers.rs"]
mod carriers;
#[path = "lanes/compressed.rs"]
mod compressed;
#[path = "lanes/ends.rs"]
mod ends;
#[path = "lanes/gone.rs"]
mod gone;
#[path = "lanes/keeping.rs"]
mod keeping;
#[path = "lanes/newcomers.rs"]
mod newcomers;
#[path = "lanes/one_shots.rs"]
mod one_shots;
#[path = "lanes/refused.rs"]
mod refused;
#[path = "lanes/strangers.rs"]
mod strangers;
#[path = "lanes/world.rs"]
mod world;
