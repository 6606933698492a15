//! Values of any format, as JSON has them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A value of any format as JSON has it: binary data is base64 text, as `lanc::Bytes` is in JSON;
/// a key that is a number or a truth value becomes text.
pub(crate) struct AsJson(pub(crate) Value);

impl<'de> Deserialize<'de> for AsJson {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

macro_rules! plain {
    ($($visit:ident($kind:ty);)*) => {$(
        fn $visit<E: Error>(self, value: $kind) -> Result<Value, E> {
            Ok(value.into())
        }
    )*};
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    plain! {
        visit_bool(bool);
        visit_i64(i64);
        visit_u64(u64);
        visit_f64(f64);
        visit_str(&str);
        visit_string(String);
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        let number = Number::from_i128(value);
        number.map(Value::Number).ok_or_else(|| E::custom("a number is too large for JSON"))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        let number = Number::from_u128(value);
        number.map(Value::Number).ok_or_else(|| E::custom("a number is too large for JSON"))
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::String(STANDARD.encode(value)))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<Value, D::Error> {
        value.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<Value, D::Error> {
        value.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(AsJson(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(AsJson(key)) = entries.next_key()? {
            let key = match key {
                Value::String(text) => text,
                Value::Number(_) | Value::Bool(_) => key.to_string(),
                _ => return Err(A::Error::custom("a key has no form in JSON")),
            };
            let AsJson(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use lanc::MsgpackCodec;
    use lanc::ports::Codec as _;
    use serde_json::json;

    use super::*;

    fn shown(bytes: &[u8]) -> Result<Value, String> {
        let mut value = Value::Null;
        MsgpackCodec.deserialize(bytes, &mut |from| {
            value = AsJson::deserialize(from)?.0;
            Ok(())
        })?;
        Ok(value)
    }

    #[test]
    fn what_json_has_no_form_for_gets_one() {
        // {1: bin 01 02 ff, true: nil, "a": [2.5, -1]}
        let map = b"\x83\x01\xc4\x03\x01\x02\xff\xc3\xc0\xa1a\x92\xcb\x40\x04\0\0\0\0\0\0\xff";
        assert_eq!(shown(map), Ok(json!({ "1": "AQL/", "true": null, "a": [2.5, -1] })));
        assert!(shown(b"\x81\x90\xc0").is_err(), "a list as a key");
    }
}
