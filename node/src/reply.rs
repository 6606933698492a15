//! Results: from what a function returned to bytes.

use std::sync::Arc;

use lanc_core::error::{ErrorCode, Fault};
use lanc_core::payload::{Payload, bulk};
use lanc_core::ports::Codec;
use serde::ser::{self, Serialize};

use crate::context::Room;
use crate::{flat, spare};

/// A result, encoded.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) payload: Payload,
}

impl Reply {
    /// Encodes a result in the format its caller reads.
    ///
    /// # Errors
    /// `unencodable` when the format cannot express it, `too_large` when it nests deeper than
    /// [`Config::max_result_depth`](lanc_core::Config::max_result_depth). The function ran.
    pub fn new<T: Serialize + ?Sized>(ctx: &crate::Context, value: &T) -> Result<Self, Fault> {
        let mut room = Room::of(Arc::clone(ctx.node().hub()));
        let payload = encode(value, ctx.args().codec().as_ref(), &mut room)?;
        spare::give(ctx.node().hub(), room.spent());
        Ok(Self { payload })
    }
}

fn encode<T: Serialize + ?Sized>(
    value: &T,
    codec: &dyn Codec,
    room: &mut Room,
) -> Result<Payload, Fault> {
    let mut buffer = room.take();
    let bytes = if flat::write(value, codec, &mut buffer) {
        buffer.into()
    } else {
        bulk::collect(buffer, |out| codec.serialize(&value, room.depth(), out))
            .map_err(|error| room.unanswered(&error))?
    };
    let (bytes, rest) = bytes.compact();
    room.reuse(rest);
    Ok(Payload { format: codec.format(), bytes })
}

/// Encodes what a function returned. A `Result` is told from other values by how it serialises,
/// so that one registration serves functions that can fail and those that cannot.
pub(crate) fn reply<T: Serialize>(
    value: &T,
    codec: &dyn Codec,
    room: &mut Room,
) -> Result<Payload, Fault> {
    match value.serialize(Probe { codec, room }) {
        Ok(result) => result,
        Err(NotResult) => encode(value, codec, room),
    }
}

/// A failed function's error as a fault. A [`Fault`] keeps its own code, but not that the function
/// did not run.
pub(crate) fn fault<E: std::error::Error + 'static>(error: &E) -> Fault {
    let any: &(dyn std::error::Error + 'static) = error;
    match any.downcast_ref::<Fault>() {
        Some(fault) => fault.clone().from_function(),
        None => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(source) = cause {
                text = format!("{text}: {source}");
                cause = source.source();
            }
            Fault::new(ErrorCode::EXECUTION_ERROR, text)
        }
    }
}

/// Serialises only a `Result`, and gives up at once on anything else.
struct Probe<'r> {
    codec: &'r dyn Codec,
    room: &'r mut Room,
}

/// The value is no `Result`.
#[derive(Debug)]
struct NotResult;

impl std::fmt::Display for NotResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a Result")
    }
}

impl std::error::Error for NotResult {}

impl ser::Error for NotResult {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self
    }
}

type Impossible = ser::Impossible<Result<Payload, Fault>, NotResult>;

macro_rules! refuse {
    ($($method:ident($($kind:ty),*);)*) => {$(
        fn $method(self, $(_: $kind),*) -> Result<Self::Ok, NotResult> { Err(NotResult) }
    )*};
}

impl ser::Serializer for Probe<'_> {
    type Ok = Result<Payload, Fault>;
    type Error = NotResult;
    type SerializeSeq = Impossible;
    type SerializeTuple = Impossible;
    type SerializeTupleStruct = Impossible;
    type SerializeTupleVariant = Impossible;
    type SerializeMap = Impossible;
    type SerializeStruct = Impossible;
    type SerializeStructVariant = Impossible;

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Self::Ok, NotResult> {
        match (name, variant) {
            ("Result", "Ok") => Ok(encode(value, self.codec, self.room)),
            ("Result", "Err") => {
                // Text as it is; anything else as JSON, which people can read.
                let text = match serde_json::to_value(value) {
                    Ok(serde_json::Value::String(text)) => text,
                    Ok(other) => other.to_string(),
                    Err(error) => format!("the function failed, and so did its error: {error}"),
                };
                Ok(Err(Fault::new(ErrorCode::EXECUTION_ERROR, text)))
            }
            _ => Err(NotResult),
        }
    }

    refuse! {
        serialize_bool(bool); serialize_i8(i8); serialize_i16(i16); serialize_i32(i32);
        serialize_i64(i64); serialize_i128(i128); serialize_u8(u8); serialize_u16(u16);
        serialize_u32(u32); serialize_u64(u64); serialize_u128(u128); serialize_f32(f32);
        serialize_f64(f64); serialize_char(char); serialize_str(&str); serialize_bytes(&[u8]);
        serialize_none(); serialize_unit(); serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Self::Ok, NotResult> {
        Err(NotResult)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<Self::Ok, NotResult> {
        Err(NotResult)
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Impossible, NotResult> {
        Err(NotResult)
    }
    fn serialize_tuple(self, _: usize) -> Result<Impossible, NotResult> {
        Err(NotResult)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Impossible, NotResult> {
        Err(NotResult)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Impossible, NotResult> {
        Err(NotResult)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Impossible, NotResult> {
        Err(NotResult)
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Impossible, NotResult> {
        Err(NotResult)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Impossible, NotResult> {
        Err(NotResult)
    }
}
