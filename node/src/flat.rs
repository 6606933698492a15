//! A short way for values that most calls consist of: whole numbers, truth values and text, alone
//! or in a tuple.
//!
//! Any serialisable type goes through the codec as a trait object, a call for each value. These are
//! handed over by value instead; the compiler sees through the whole of it. Whatever is not flat,
//! or does not fit, says so, and goes the long way: that one words the errors.

mod read;
mod write;

use std::fmt;

use lanc_core::ports::{Codec, EncodeError, Short};
use serde::de::{self, DeserializeOwned};
use serde::ser::{self, Serialize};

/// Most values of a list that are handed over at once: a function has at most eight parameters.
const MOST: usize = 8;

/// The value is not flat, or does not fit; which of both does not matter here.
#[derive(Debug)]
struct Otherwise;

impl fmt::Display for Otherwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("for the codec alone")
    }
}

impl std::error::Error for Otherwise {}

impl ser::Error for Otherwise {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl de::Error for Otherwise {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }

    // Without their text, which would be put together first.
    fn invalid_type(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self
    }

    fn invalid_value(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self
    }

    fn invalid_length(_: usize, _: &dyn de::Expected) -> Self {
        Self
    }
}

/// Appends a value in which at most `depth` containers stand inside each other, 1 or more: a flat
/// one has no more.
///
/// # Errors
/// [`EncodeError`] when the format cannot express it; `out` is then as it was.
pub(crate) fn encode<T: Serialize + ?Sized>(
    value: &T,
    codec: &dyn Codec,
    depth: u32,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if write(value, codec, out) { Ok(()) } else { codec.serialize(&value, depth, out) }
}

/// Appends a value that is flat; `false` for any other.
pub(crate) fn write<T: Serialize + ?Sized>(
    value: &T,
    codec: &dyn Codec,
    out: &mut Vec<u8>,
) -> bool {
    let values = write::values(value);
    if let Some(values) = &values {
        values.write(codec, out);
    }
    values.is_some()
}

/// Whether a value takes a few bytes: it holds whole numbers and truth values alone.
pub(crate) fn is_small<T: Serialize + ?Sized>(value: &T) -> bool {
    write::values(value).is_some()
}

/// Reads a value that is flat; `None` for any other, and for what does not fit.
pub(crate) fn decode<T: DeserializeOwned>(codec: &dyn Codec, bytes: &[u8]) -> Option<T> {
    let mut values = [Short::Null; MOST];
    let shape = codec.read_shorts(bytes, &mut values)?;
    let values = values.get(..shape.len())?;
    T::deserialize(read::Values { values, shape }).ok()
}

#[cfg(test)]
mod tests;
