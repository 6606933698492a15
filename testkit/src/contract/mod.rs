//! Contract suites: one check per sentence of a port's contract, for any adapter.

pub mod transport;
