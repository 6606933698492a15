//! The codec port: one way of writing values as bytes.
//!
//! A codec knows syntax only: maps, lists, text, numbers. Which keys a LANC message has is
//! [`fields`](crate::fields); what they mean is [`dialect`](crate::dialect). So another format
//! is one implementation of this trait and one line of assembly.

use std::borrow::Cow;

use thiserror::Error;

use super::Letters;

/// The bytes of names that are compared often: a static has one address in the whole program, which
/// a constant need not have.
static JSON: [u8; 4] = *b"json";
static MSGPACK: [u8; 7] = *b"msgpack";

const fn ascii(bytes: &'static [u8]) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(name) => name,
        Err(_) => "",
    }
}

/// The name of a data format on the wire.
#[derive(Clone, Copy, Eq, PartialOrd, Ord, Debug)]
pub struct Format(&'static str);

impl PartialEq for Format {
    /// Names are compared several times for each message, nearly always with themselves.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0) || self.0 == other.0
    }
}

impl std::hash::Hash for Format {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Format {
    /// JSON, RFC 8259: S0's own form.
    pub const JSON: Self = Self(ascii(&JSON));
    /// MessagePack.
    pub const MSGPACK: Self = Self(ascii(&MSGPACK));

    /// A format by a short name of lower-case ASCII letters and digits.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// One value, as far as the message layer looks into it: containers stay bytes.
#[derive(Clone, PartialEq, Debug)]
pub enum Item<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number below zero, or any that fits.
    Int(i64),
    /// A whole number above `i64::MAX`.
    Uint(u64),
    /// Any other number. Never NaN or infinite when it was read from JSON.
    Float(f64),
    /// Text; borrowed unless it held escapes.
    Text(Cow<'a, str>),
    /// Binary data, in formats that have it.
    Bytes(&'a [u8]),
    /// A list: its encoded bytes, already checked against the budget.
    List(&'a [u8]),
    /// A map: its encoded bytes, already checked against the budget.
    Map(&'a [u8]),
    /// Any value that is encoded already. Only written, never read.
    Encoded(&'a [u8]),
    /// A map as its entries, in their order. Only written, never read: it saves the map inside
    /// a message a buffer of its own.
    Entries(&'a [(&'a str, Self)]),
}

/// A value that was read: what it is, and the bytes it stood in.
#[derive(Clone, PartialEq, Debug)]
pub struct Value<'a> {
    /// What it is.
    pub item: Item<'a>,
    /// Its encoded bytes, without white space around them.
    pub raw: &'a [u8],
}

impl<'a> Item<'a> {
    /// The number as `u64`, if it is a whole number in range.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Int(number) => u64::try_from(number).ok(),
            Self::Uint(number) => Some(number),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text itself, if it is text.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A value of a map of letters: what small messages are made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Short<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number, not below zero.
    Uint(u64),
    /// One below zero.
    Int(i64),
    /// Text without escapes.
    Text(&'a str),
    /// A list: its encoded bytes, already checked against the budget.
    List(&'a [u8]),
    /// A map: its encoded bytes, already checked against the budget.
    Map(&'a [u8]),
    /// Anything else, checked too. An empty slice is written as nothing.
    Encoded(&'a [u8]),
}

impl<'a> Short<'a> {
    /// A value that was read.
    pub fn of(value: &Value<'a>) -> Self {
        match &value.item {
            Item::Null => Self::Null,
            Item::Bool(is) => Self::Bool(*is),
            Item::Text(Cow::Borrowed(text)) => Self::Text(text),
            Item::List(raw) => Self::List(raw),
            Item::Map(raw) => Self::Map(raw),
            Item::Int(number @ ..0) => Self::Int(*number),
            item => item.as_u64().map_or(Self::Encoded(value.raw), Self::Uint),
        }
    }

    /// As a value to be written.
    pub fn item(self) -> Item<'a> {
        match self {
            Self::Null => Item::Null,
            Self::Bool(is) => Item::Bool(is),
            Self::Uint(number) => Item::Uint(number),
            Self::Int(number) => Item::Int(number),
            Self::Text(text) => Item::Text(Cow::Borrowed(text)),
            Self::List(raw) => Item::List(raw),
            Self::Map(raw) => Item::Map(raw),
            Self::Encoded(raw) => Item::Encoded(raw),
        }
    }
}

/// What [`Codec::read_shorts`] has read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shorts {
    /// One value that stands alone.
    One,
    /// A list of so many.
    List(usize),
}

impl Shorts {
    /// How many values there are.
    pub fn len(self) -> usize {
        match self {
            Self::One => 1,
            Self::List(count) => count,
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Bounds for reading one message. Reading takes from it; what is left bounds the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// How many containers may stand inside each other.
    pub depth: u32,
    /// How many values (containers and keys included) may still be read.
    pub nodes: u32,
}

impl Budget {
    /// Takes `count` values from the budget.
    ///
    /// # Errors
    /// [`DecodeError::TooManyValues`] when they are used up.
    pub fn spend(&mut self, count: u32) -> Result<(), DecodeError> {
        self.nodes = self.nodes.checked_sub(count).ok_or(DecodeError::TooManyValues)?;
        Ok(())
    }
}

/// Bytes are not what they should be. Never says more than a counter needs: the bytes come
/// from strangers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The format's grammar is broken at this offset.
    #[error("malformed at byte {0}")]
    Malformed(usize),
    /// The bytes end in the middle of a value.
    #[error("cut short")]
    Truncated,
    /// Containers stand too deep in each other.
    #[error("nested too deep")]
    TooDeep,
    /// More values than the budget allows.
    #[error("too many values")]
    TooManyValues,
    /// A number cannot be expressed: out of range, NaN or infinite.
    #[error("a number is out of range")]
    Number,
    /// Text is not UTF-8.
    #[error("text is not UTF-8")]
    Text,
    /// A value has another type than the message needs.
    #[error("a field has the wrong type")]
    WrongType,
    /// The bytes do not hold the typed value that was asked for.
    #[error("the value has another shape than was asked for")]
    Shape,
}

/// A value cannot be written.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The format has no form for it.
    #[error("cannot be expressed as {format}: {reason}")]
    NoForm {
        /// The format that was asked.
        format: &'static str,
        /// What it could not express.
        reason: String,
    },
    /// More containers stand inside each other than may.
    #[error("nested too deep")]
    TooDeep,
}

/// The name of a newtype struct that holds a byte string and reads back from base64 text too.
/// A format without binary data writes such a newtype as text, base64 with padding (RFC 4648
/// section 4); one with binary data needs to know nothing of it. Other byte strings of serde
/// have no such reader and become lists of numbers there.
pub const BYTES_NEWTYPE: &str = "lanc::Bytes";

/// Called with a map's entries, in order.
pub type OnEntry<'f, 'a> = dyn FnMut(&str, Value<'a>) -> Result<(), DecodeError> + 'f;
/// Called with a list's items, in order.
pub type OnItem<'f, 'a> = dyn FnMut(Value<'a>) -> Result<(), DecodeError> + 'f;
/// Called with a deserializer over the value.
pub type OnValue<'f> =
    dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error> + 'f;

/// One data format. Contract:
///
/// * Reading is iterative: its stack use does not depend on the input. Depth and count are
///   taken from the [`Budget`] before anything is built; nothing is allocated but the text of
///   escaped strings, which is never longer than its source.
/// * Any input gives a value or a [`DecodeError`]; none panics.
/// * A claimed length is checked against the bytes that are there before it is used.
/// * What `write_*` wrote, `read_*` reads back equal: order, and keys that occur twice, too.
/// * Every value and every key costs one of [`Budget::nodes`], the container itself included.
/// * An error of `each` ends the reading at once and is what is returned.
/// * Object safe, without state: one instance serves every thread.
pub trait Codec: Send + Sync {
    /// Which format this is.
    fn format(&self) -> Format;

    /// Whether a frame that begins with this byte is in this format. No two codecs of a node
    /// may claim the same byte, and none may claim `0x01`, with which sealed frames begin.
    fn claims(&self, first: u8) -> bool;

    /// Reads the map at the start of `input`, entry by entry, and returns how many bytes it
    /// took, with white space (or what else may stand between messages) behind it.
    ///
    /// # Errors
    /// [`DecodeError`] from the bytes or from `each`.
    fn read_map<'a>(
        &self,
        input: &'a [u8],
        budget: &mut Budget,
        each: &mut OnEntry<'_, 'a>,
    ) -> Result<usize, DecodeError>;

    /// [`Self::read_map`], for a map in which only letters mean something, into some that hold
    /// nothing yet. A format in which small messages are written should have a shorter way here.
    ///
    /// # Errors
    /// [`DecodeError`] from the bytes; what was read before is then in `into`. Of a letter whose
    /// value goes beyond the budget it may say that it is there, and nothing of the value.
    fn read_letters<'a>(
        &self,
        input: &'a [u8],
        budget: &mut Budget,
        into: &mut Letters<'a>,
    ) -> Result<usize, DecodeError> {
        self.read_map(input, budget, &mut |key, value| {
            if let [key] = key.as_bytes() {
                into.put(*key, Short::of(&value), value.raw);
            }
            Ok(())
        })
    }

    /// Reads the list at the start of `input`, item by item, and returns how many bytes it took.
    ///
    /// # Errors
    /// [`DecodeError`] from the bytes or from `each`.
    fn read_list<'a>(
        &self,
        input: &'a [u8],
        budget: &mut Budget,
        each: &mut OnItem<'_, 'a>,
    ) -> Result<usize, DecodeError>;

    /// Reads all of `input`, if that is a number, a truth value or text without escapes, or a list of
    /// no more of them than there are places in `into`. `None` for anything else, and where the
    /// format has no short way for it: [`Self::deserialize`] reads everything.
    fn read_shorts<'a>(&self, _input: &'a [u8], _into: &mut [Short<'a>]) -> Option<Shorts> {
        None
    }

    /// Appends one value. Containers must be bytes of this codec's own format; an empty slice
    /// stands for an empty container, or for nothing in [`Item::Encoded`]. A text format escapes
    /// so that the frame is one line; JSON never writes a raw apostrophe either.
    fn write_item(&self, item: &Item<'_>, out: &mut Vec<u8>);

    /// Appends a map of `entries`, in their order; a key that occurs twice is written twice.
    fn write_map(&self, entries: &[(&str, Item<'_>)], out: &mut Vec<u8>);

    /// [`Self::write_map`], of letters of ASCII. A format in which small messages are written
    /// should have a shorter way here.
    fn write_letters(&self, entries: &[(u8, Short<'_>)], out: &mut Vec<u8>) {
        let keys: Vec<_> = entries.iter().map(|(key, _)| char::from(*key).to_string()).collect();
        let entries = entries.iter().zip(&keys).map(|((_, value), key)| (&**key, value.item()));
        self.write_map(&entries.collect::<Vec<_>>(), out);
    }

    /// Appends a list of `items`.
    fn write_list(&self, items: &[Item<'_>], out: &mut Vec<u8>);

    /// Appends what stands between two messages of one frame: a line feed in JSON, nothing in a
    /// format whose maps say where they end. [`Self::read_map`] takes it with the map before it.
    fn write_separator(&self, out: &mut Vec<u8>);

    /// Appends any serialisable value in which at most `depth` containers stand inside each other:
    /// what is deeper than its reader takes would be dropped there, and nobody told.
    ///
    /// # Errors
    /// [`EncodeError`] when the format has no form for it, or it is deeper; `out` is then as it was.
    fn serialize(
        &self,
        value: &dyn erased_serde::Serialize,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError>;

    /// Reads a typed value: `with` is handed a deserializer over `bytes`. The bytes have been
    /// checked against a [`Budget`] when they arrived; an implementation still bounds recursion,
    /// at 100 levels or more.
    ///
    /// # Errors
    /// The text of what does not fit, for the person who wrote the types; also when more than
    /// the one value is there.
    fn deserialize(&self, bytes: &[u8], with: &mut OnValue<'_>) -> Result<(), String>;
}
