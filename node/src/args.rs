//! Arguments: from a caller's tuple to bytes, and from bytes to a function's parameters.

use std::sync::Arc;

use lanc_core::error::{ErrorCode, Fault};
use lanc_core::payload::Arguments;
use lanc_core::ports::{Codec, EncodeError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bytes::decode_from;
use crate::flat;

/// What may stand as the arguments of a call: a tuple of up to eight values, a vector or array
/// of values of one type, or `()` for none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of arguments",
    note = "arguments are a tuple: write `(5,)` for one, `(1, 2)` for two, `()` for none"
)]
pub trait IntoArgs {
    /// Appends the arguments as an encoded list; nothing at all for no arguments. At most `depth`
    /// containers stand inside each other, the list included.
    ///
    /// # Errors
    /// [`EncodeError`] when the format cannot express a value, or it nests deeper.
    fn encode(&self, codec: &dyn Codec, depth: u32, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Whether they take a few bytes, whatever their values are.
    #[doc(hidden)]
    fn is_small(&self) -> bool {
        false
    }
}

impl IntoArgs for () {
    fn encode(&self, _: &dyn Codec, _: u32, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        Ok(())
    }
}

impl<T: Serialize> IntoArgs for Vec<T> {
    fn encode(&self, codec: &dyn Codec, depth: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.is_empty() { Ok(()) } else { codec.serialize(self, depth, out) }
    }
}

impl<T: Serialize, const N: usize> IntoArgs for [T; N] {
    fn encode(&self, codec: &dyn Codec, depth: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if N == 0 { Ok(()) } else { codec.serialize(&self.as_slice(), depth, out) }
    }
}

macro_rules! tuples {
    ($($($name:ident)+;)*) => {$(
        impl<$($name: Serialize),+> IntoArgs for ($($name,)+) {
            fn encode(
                &self,
                codec: &dyn Codec,
                depth: u32,
                out: &mut Vec<u8>,
            ) -> Result<(), EncodeError> {
                flat::encode(self, codec, depth, out)
            }

            fn is_small(&self) -> bool {
                flat::is_small(self)
            }
        }
    )*};
}

tuples! {
    A; A B; A B C; A B C D; A B C D E; A B C D E F; A B C D E F G; A B C D E F G H;
}

/// The arguments of a received call, still encoded.
#[derive(Clone)]
pub struct Args {
    arguments: Arguments,
    codec: Arc<dyn Codec>,
}

impl Args {
    pub(crate) fn new(arguments: Arguments, codec: Arc<dyn Codec>) -> Self {
        Self { arguments, codec }
    }

    pub(crate) fn into_parts(self) -> (Arguments, Arc<dyn Codec>) {
        (self.arguments, self.codec)
    }

    pub(crate) fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    pub(crate) fn codec(&self) -> &Arc<dyn Codec> {
        &self.codec
    }

    /// The positional arguments, as a list type: a vector, a tuple struct, a list of values.
    ///
    /// # Errors
    /// `invalid_arguments` when they do not fit.
    pub fn positional<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        self.read(self.arguments.positional(), "[]", "arguments")
    }

    /// The named arguments, as a map type or a struct.
    ///
    /// # Errors
    /// `invalid_arguments` when they do not fit.
    pub fn named<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        self.read(self.arguments.named(), "{}", "named arguments")
    }

    /// Whether the caller gave named arguments.
    pub fn has_named(&self) -> bool {
        !self.arguments.named().is_empty()
    }

    fn read<T: DeserializeOwned>(&self, bytes: &[u8], none: &str, what: &str) -> Result<T, Fault> {
        let invalid = |reason: String| {
            Fault::new(ErrorCode::INVALID_ARGUMENTS, format!("{what}: {}", printable(&reason)))
        };
        if bytes.is_empty() {
            // No arguments read like an empty container, whatever the format.
            return serde_json::from_str(none).map_err(|e| invalid(e.to_string()));
        }
        let source = self.arguments.shared();
        decode_from(source, || decode(self.codec.as_ref(), bytes)).map_err(invalid)
    }
}

impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Args({} bytes of {})", self.arguments.len(), self.arguments.format().name())
    }
}

/// Decodes one value.
pub(crate) fn decode<T: DeserializeOwned>(codec: &dyn Codec, bytes: &[u8]) -> Result<T, String> {
    match flat::decode(codec, bytes) {
        Some(value) => Ok(value),
        None => decode_long(codec, bytes),
    }
}

/// The same for whatever is not flat.
pub(crate) fn decode_long<T: DeserializeOwned>(
    codec: &dyn Codec,
    bytes: &[u8],
) -> Result<T, String> {
    let mut value = None;
    codec.deserialize(bytes, &mut |deserializer| {
        value = Some(T::deserialize(deserializer)?);
        Ok(())
    })?;
    value.ok_or_else(|| "no value".to_owned())
}

/// A decoding error without the place in the bytes, which means nothing to who wrote the value.
fn without_place(reason: &str) -> &str {
    match reason.rsplit_once(" at line ") {
        Some((what, place)) if place.bytes().all(|b| b" column0123456789".contains(&b)) => what,
        _ => reason,
    }
}

/// Text that may quote what a peer sent, made safe for a terminal and cut.
pub(crate) fn printable(text: &str) -> String {
    without_place(text)
        .chars()
        .take(300)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A parameter that the caller left out: `None` for an option, else an error.
pub(crate) fn missing<'de, T: Deserialize<'de>, E: serde::de::Error>(
    number: usize,
) -> Result<T, E> {
    let unit = serde::de::value::UnitDeserializer::<E>::new();
    T::deserialize(unit).map_err(|_| E::custom(format_args!("argument {number} is missing")))
}
