//! Contract suites: every sentence of a port's contract as a check that a new adapter can run.
//! A failure names the rule that was broken.

pub mod codec;
