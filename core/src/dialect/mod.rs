//! What the fields of a message mean, per dialect.
//!
//! A codec is syntax; a dialect is vocabulary and manners. [`native`] is LANC 0.2 with S0's nine
//! keys, [`lean`] the same in few bytes, and [`frame`] finds the one that a frame is in. The older
//! forms of the protocol have files of their own beside them. Their manners are a [`Profile`], so
//! that no other part asks which dialect a peer speaks.

pub mod frame;
pub mod lean;
pub mod native;
pub mod older;
mod profile;
mod published;
mod s0;

pub use profile::Profile;

use crate::fields::Fields;
use crate::id::Version;
use crate::message::WireId;
use crate::ports::{Format, Item};

/// Whose vocabulary a message is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// LANC 0.2 with S0's nine keys.
    Native,
    /// LANC 0.2 with a head for each frame and one-letter keys.
    Lean,
    /// LANC 0.1 as S0 writes it down: method names, version 0.1.
    S0,
    /// What the published Python package speaks: method numbers, arguments as a map.
    Published,
}

impl Dialect {
    /// The dialect a message is written in: a method that is a number is the published
    /// package's, a version below 0.2 S0's.
    pub fn of(fields: &Fields<'_>) -> Self {
        match fields.method.as_ref().map(|value| &value.item) {
            Some(Item::Int(_) | Item::Uint(_) | Item::Float(_)) => return Self::Published,
            Some(Item::Text(_)) => {}
            _ => return Self::Native,
        }
        let version = match fields.version.as_ref().map(|value| &value.item) {
            Some(Item::Text(text)) => Version::parse(text),
            Some(Item::Float(number)) if (0.0..1.0).contains(number) => {
                Version::parse(&number.to_string())
            }
            Some(Item::Int(0)) => Some(Version { major: 0, minor: 0 }),
            _ => None,
        };
        if version.is_some_and(|v| v.major == 0 && v < Version::NATIVE) {
            Self::S0
        } else {
            Self::Native
        }
    }
}

/// Somebody who waits for what becomes of a message.
#[derive(Clone, PartialEq, Debug)]
pub enum Waits<'a> {
    /// It is a call with this id, perhaps with the session that it is for.
    Caller(WireId<'a>, Option<u64>),
    /// It is the result of a call of this node, perhaps with what only its callee was told.
    Call(WireId<'a>, Option<u64>),
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
