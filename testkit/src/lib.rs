//! Simulator and contract suites for LANC.

pub mod contract;
pub mod original;
pub mod sim;
