//! Pairing: one machine hands a group's key to another by a short code that people carry over.
//!
//! Both ends know the code, and prove it to each other by SPAKE2: whoever listens learns nothing to
//! try codes against, and whoever takes part has **one guess**. A wrong guess ends the code for
//! good: the giver's half of the exchange is used up by the first proof it checks, the taker's by
//! the first offer it takes. A code has 7 secret digits, 23.2 bits: who interferes with one
//! pairing has a chance of two in ten million, one guess at each end, and both ends tell of it.
//!
//! ```text
//! taker                                giver
//!   ask   (broadcast)        ──────►           says which code by its first two digits
//!         ◄──────  offer                       giver's element
//!   proof                    ──────►           taker's element, and that it knows the code
//!         ◄──────  accept                      that the giver knows it
//!   ready                    ──────►           only now is the key sent
//!         ◄──────  key                         sealed under the code's key
//!   done                     ──────►
//!         ◄──────  no                          instead of `accept`: the code is wrong
//! ```
//!
//! [`Giver`] and [`Taker`] do no I/O and read no clock. The taker sends again what is not answered;
//! the giver only answers, and remembers nothing of anybody before a proof. No answer is longer
//! than its question until the far end has proved that it knows the code.

mod code;
mod giver;
mod secret;
mod taker;
#[cfg(test)]
mod tests;
mod wire;

pub use lanc_core::Time;

pub use code::{PairCode, PairCodeError};
pub use giver::{Given, Giver};
pub use taker::{TakeError, Taker};
pub use wire::MAX_DATAGRAM;
