//! Contract suites: what each port promises, rule by rule, for anyone who implements one.

pub mod codec;
pub mod compressor;
pub mod transport;
