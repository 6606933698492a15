//! What the fields of a message mean, per dialect.
//!
//! A codec is syntax; a dialect is vocabulary and manners. [`native`] is LANC 0.2 with S0's nine
//! keys, [`lean`] the same in few bytes. Other forms of the protocol translate to and from the
//! same [`Message`](crate::message::Message) in files of their own beside them, and [`frame`]
//! finds the one that a frame is in, so that no other part asks.

pub mod frame;
pub mod lean;
pub mod native;

use crate::ports::Format;

/// Whose vocabulary a message is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// LANC 0.2 with S0's nine keys.
    Native,
    /// LANC 0.2 with a head for each frame and one-letter keys.
    Lean,
}

/// How messages to a far end are written: a format, and the vocabulary in it. A frame has one
/// form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form {
    /// The syntax.
    pub format: Format,
    /// The vocabulary.
    pub dialect: Dialect,
}

impl Form {
    /// Lean frames, which are MessagePack.
    pub const LEAN: Self = Self { format: Format::MSGPACK, dialect: Dialect::Lean };

    /// S0's nine keys in this format.
    pub const fn native(format: Format) -> Self {
        Self { format, dialect: Dialect::Native }
    }
}
