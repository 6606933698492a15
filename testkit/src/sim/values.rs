//! Arguments and results of simulated functions: JSON values in whatever format travels.

use lanc_codec::{JsonCodec, MsgpackCodec};
use lanc_core::error::{ErrorCode, Fault};
use lanc_core::payload::Payload;
use lanc_core::ports::{Codec, Format};
use serde_json::Value;

static JSON: JsonCodec = JsonCodec;
static MSGPACK: MsgpackCodec = MsgpackCodec;

/// Deeper than anything that is drawn.
const DEPTH: u32 = 60;

/// The codec of a format that simulated nodes know.
pub(super) fn codec(format: Format) -> &'static dyn Codec {
    if format == Format::MSGPACK { &MSGPACK } else { &JSON }
}

/// A value's bytes; none for null.
pub(super) fn encode_args(format: Format, args: &Value) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    if !args.is_null() {
        codec(format).serialize(args, DEPTH, &mut bytes).map_err(|error| error.to_string())?;
    }
    Ok(bytes)
}

/// The value in encoded bytes; an empty one (of a one-way call) is null.
pub(super) fn decode(format: Format, bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let mut value = Value::Null;
    codec(format).deserialize(bytes, &mut |read| {
        value = erased_serde::deserialize(read)?;
        Ok(())
    })?;
    Ok(value)
}

/// Positional arguments.
pub(super) fn decode_args(format: Format, bytes: &[u8]) -> Result<Vec<Value>, String> {
    match decode(format, bytes)? {
        Value::Null => Ok(Vec::new()),
        Value::Array(args) => Ok(args),
        other => Err(format!("{other} is no list")),
    }
}

/// A function's result as the core takes it.
pub(super) fn encode_result(
    format: Format,
    result: &Result<Value, Fault>,
) -> Result<Payload, Fault> {
    let value = result.as_ref().map_err(Fault::clone)?;
    let mut bytes = Vec::new();
    match codec(format).serialize(value, DEPTH, &mut bytes) {
        Ok(()) => Ok(Payload { format, bytes: bytes.into() }),
        Err(error) => Err(Fault::new(ErrorCode::UNENCODABLE, error.to_string())),
    }
}
