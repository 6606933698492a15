//! One value, from the format it is in to another, without a copy in between.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{self, Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

/// The value that a deserializer holds, to be serialised once.
pub(super) struct Transcoded<D>(Cell<Option<D>>);

impl<'de, D: Deserializer<'de>> Transcoded<D> {
    pub(super) fn new(from: D) -> Self {
        Self(Cell::new(Some(from)))
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Transcoded<D> {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        let from = self.0.take().ok_or_else(|| S::Error::custom("the value was read before"))?;
        from.deserialize_any(Into(into)).map_err(S::Error::custom)
    }
}

/// The error of the writing side, on its way through the reading side. Its text cannot go with
/// it: the errors inside an erased serializer have none.
fn unwritable<S: ser::Error, D: de::Error>(_: S) -> D {
    D::custom("the other format has no form for it")
}

/// Writes what it is shown.
struct Into<S>(S);

macro_rules! plain {
    ($($visit:ident($kind:ty) => $serialize:ident;)*) => {$(
        fn $visit<E: de::Error>(self, value: $kind) -> Result<S::Ok, E> {
            self.0.$serialize(value).map_err(unwritable)
        }
    )*};
}

impl<'de, S: Serializer> Visitor<'de> for Into<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    plain! {
        visit_bool(bool) => serialize_bool;
        visit_i64(i64) => serialize_i64;
        visit_i128(i128) => serialize_i128;
        visit_u64(u64) => serialize_u64;
        visit_u128(u128) => serialize_u128;
        visit_f32(f32) => serialize_f32;
        visit_f64(f64) => serialize_f64;
        visit_str(&str) => serialize_str;
        visit_bytes(&[u8]) => serialize_bytes;
    }

    fn visit_unit<E: de::Error>(self) -> Result<S::Ok, E> {
        self.0.serialize_unit().map_err(unwritable)
    }

    fn visit_none<E: de::Error>(self) -> Result<S::Ok, E> {
        self.0.serialize_none().map_err(unwritable)
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<S::Ok, D::Error> {
        self.0.serialize_some(&Transcoded::new(value)).map_err(unwritable)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<S::Ok, D::Error> {
        value.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<S::Ok, A::Error> {
        let mut into = self.0.serialize_seq(items.size_hint()).map_err(unwritable)?;
        while items.next_element_seed(Item(&mut into))?.is_some() {}
        into.end().map_err(unwritable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<S::Ok, A::Error> {
        let mut into = self.0.serialize_map(entries.size_hint()).map_err(unwritable)?;
        while entries.next_key_seed(Key(&mut into))?.is_some() {
            entries.next_value_seed(Entry(&mut into))?;
        }
        into.end().map_err(unwritable)
    }
}

macro_rules! parts {
    ($($seed:ident: $into:ident, $serialize:ident;)*) => {$(
        struct $seed<'s, S>(&'s mut S);

        impl<'de, S: $into> DeserializeSeed<'de> for $seed<'_, S> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
                self.0.$serialize(&Transcoded::new(from)).map_err(unwritable)
            }
        }
    )*};
}

parts! {
    Item: SerializeSeq, serialize_element;
    Key: SerializeMap, serialize_key;
    Entry: SerializeMap, serialize_value;
}
