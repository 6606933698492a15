//! What the program and the benches of this package share.

pub mod pair;
