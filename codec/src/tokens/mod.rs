//! A whole codec from a format's tokens.

mod scan;
mod typed;

use std::borrow::Cow;

use lanc_core::ports::{
    Budget, Codec, DecodeError, EncodeError, Format, Item, OnEntry, OnItem, OnValue,
};

use scan::Scanner;

/// The smallest piece of a format: a value that holds no other, or an end of a container.
#[derive(Clone, PartialEq, Debug)]
pub enum Token<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64::MAX`.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// Text; owned only if it held escapes.
    Text(Cow<'a, str>),
    /// Binary data. A format without it writes text, and never reads this.
    Bytes(&'a [u8]),
    /// A list begins. When it is written, the number of its items is always there; when it is
    /// read, `None` says that the list goes on until [`Self::End`].
    List(Option<usize>),
    /// A map begins: each entry is a text and a value. The number is that of its entries.
    Map(Option<usize>),
    /// The innermost container ends. Written behind every container; a format that counts
    /// writes nothing for it, and never reads it.
    End,
}

/// A format as it reads and writes one token: all that is special about it.
/// [`TokenCodec`] makes a [`Codec`] of it.
pub trait Tokens: Send + Sync {
    /// Which format this is.
    fn format(&self) -> Format;

    /// Whether a map in this format may begin with this byte. See [`Codec::claims`].
    fn claims(&self, first: u8) -> bool;

    /// Reads the token at the start of `input` and returns how many bytes it took, at least 1.
    /// Claimed lengths are checked against the bytes that are there. Never panics.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when `input` ends within the token, else another.
    fn read<'a>(&self, input: &'a [u8]) -> Result<(Token<'a>, usize), DecodeError>;

    /// Appends a token. What is written here is read back equal.
    fn write(&self, token: &Token<'_>, out: &mut Vec<u8>);
}

/// The [`Codec`] of a format that is given by its [`Tokens`]. It does what all codecs share:
/// nesting, budgets, spans, and typed values.
///
/// Typed values pass through [`serde_json::Value`]: that costs allocations, the fields of a
/// struct stand in the order of their names, byte strings become lists of numbers (base64 text in
/// a [`BYTES_NEWTYPE`](lanc_core::ports::BYTES_NEWTYPE)), and NaN and infinity are refused. A format for large amounts of data implements [`Codec`] itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenCodec<T>(pub T);

impl<T> TokenCodec<T> {
    /// The deepest nesting that is read, whatever the budget says.
    pub const MAX_DEPTH: u32 = 127;
}

impl<T: Tokens> TokenCodec<T> {
    fn write_text(&self, text: &str, out: &mut Vec<u8>) {
        self.0.write(&Token::Text(Cow::Borrowed(text)), out);
    }
}

impl<T: Tokens> Codec for TokenCodec<T> {
    fn format(&self) -> Format {
        self.0.format()
    }

    fn claims(&self, first: u8) -> bool {
        self.0.claims(first)
    }

    fn read_map<'a>(
        &self,
        input: &'a [u8],
        budget: &mut Budget,
        each: &mut OnEntry<'_, 'a>,
    ) -> Result<usize, DecodeError> {
        Scanner::new(&self.0, input, budget).container(true, each)
    }

    fn read_list<'a>(
        &self,
        input: &'a [u8],
        budget: &mut Budget,
        each: &mut OnItem<'_, 'a>,
    ) -> Result<usize, DecodeError> {
        Scanner::new(&self.0, input, budget).container(false, &mut |_, value| each(value))
    }

    fn write_item(&self, item: &Item<'_>, out: &mut Vec<u8>) {
        let token = match item {
            Item::Null | Item::Encoded([]) => Token::Null,
            Item::Bool(is) => Token::Bool(*is),
            Item::Int(number) => Token::Int(*number),
            Item::Uint(number) => i64::try_from(*number).map_or(Token::Uint(*number), Token::Int),
            Item::Float(number) => Token::Float(*number),
            Item::Text(text) => Token::Text(Cow::Borrowed(text)),
            Item::Bytes(bytes) => Token::Bytes(bytes),
            Item::List([]) => return self.write_list(&[], out),
            Item::Map([]) => return self.write_map(&[], out),
            Item::Entries(entries) => return self.write_map(entries, out),
            Item::List(raw) | Item::Map(raw) | Item::Encoded(raw) => {
                return out.extend_from_slice(raw);
            }
        };
        self.0.write(&token, out);
    }

    fn write_map(&self, entries: &[(&str, Item<'_>)], out: &mut Vec<u8>) {
        self.0.write(&Token::Map(Some(entries.len())), out);
        for (key, item) in entries {
            self.write_text(key, out);
            self.write_item(item, out);
        }
        self.0.write(&Token::End, out);
    }

    fn write_list(&self, items: &[Item<'_>], out: &mut Vec<u8>) {
        self.0.write(&Token::List(Some(items.len())), out);
        for item in items {
            self.write_item(item, out);
        }
        self.0.write(&Token::End, out);
    }

    /// Nothing: a map says by itself where it ends.
    fn write_separator(&self, _: &mut Vec<u8>) {}

    fn serialize(
        &self,
        value: &dyn erased_serde::Serialize,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let format = self.format().name();
        let value =
            typed::to_value(value).map_err(|reason| EncodeError::NoForm { format, reason })?;
        let before = out.len();
        let written = typed::write(&self.0, &value, depth.min(Self::MAX_DEPTH), out);
        if written.is_err() {
            out.truncate(before);
        }
        written
    }

    fn deserialize(&self, bytes: &[u8], with: &mut OnValue<'_>) -> Result<(), String> {
        let value = typed::read(&self.0, bytes).map_err(|error| error.to_string())?;
        with(&mut <dyn erased_serde::Deserializer<'_>>::erase(value))
            .map_err(|error| error.to_string())
    }
}
