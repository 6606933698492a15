//! Swarms: scenarios that a seed draws, run through a phase of faults and a phase in which
//! everything must settle, with every [`Invariant`](super::Invariant) checked on the way.
//!
//! A [`Plan`] is data: its `Debug` text is the whole scenario. [`Plan::draw`] makes one of a
//! seed, [`run`] runs it, [`shrink`] makes a failing one smaller, [`sweep`] runs many seeds.

mod acts;
mod draw;
mod plan;
mod run;
mod shrink;
mod sweep;

pub use plan::{Act, Keying, Limits, NodePlan, Plan, Weather, Wish};
pub use run::{Report, run};
pub use shrink::shrink;
pub use sweep::{Swept, sweep};
