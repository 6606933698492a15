//! Simulator, contract suites and fuzzing harness for LANC.

pub mod contract;
pub mod fuzz;
pub mod keys;
pub mod original;
pub mod sim;
pub mod solo;
