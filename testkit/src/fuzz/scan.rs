//! The scan that bounds a message before anything is built agrees with the parser behind it.

use std::cell::Cell;
use std::fmt;

use lanc_codec::{JsonCodec, MsgpackCodec};
use lanc_core::ports::{Budget, Codec, DecodeError};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// JSON, with the bounds in its first two bytes.
pub fn json_scan(bytes: &[u8]) {
    agrees(&JsonCodec, bytes);
}

/// MessagePack, with the bounds in its first two bytes.
pub fn msgpack_scan(bytes: &[u8]) {
    agrees(&MsgpackCodec, bytes);
}

/// Whatever passes the bounds parses, and holds no more than they allow; what they alone refuse
/// holds more.
fn agrees(codec: &dyn Codec, bytes: &[u8]) {
    let [depth, nodes, value @ ..] = bytes else { return };
    let bounds = Budget { depth: u32::from(depth % 100), nodes: u32::from(*nodes) };
    let ample = Budget { depth: 100, nodes: u32::MAX };
    let (bounded, free) = (scan(codec, value, bounds), scan(codec, value, ample));
    let Ok(used) = free else {
        assert!(bounded.is_err(), "accepted within {bounds:?}, refused without: {free:?}");
        return;
    };
    let measure = Measure::default();
    let parsed = codec
        .deserialize(&value[..used], &mut |deserializer| measure.at(0).deserialize(deserializer));
    let (deep, many) = (measure.deepest.get(), measure.nodes.get());
    match bounded {
        Ok(same) => {
            assert_eq!(used, same);
            // Keys that are no text, extensions: the scan passes them, serde has no form for all.
            if parsed.is_ok() {
                assert!(deep <= bounds.depth && many <= bounds.nodes, "{deep} deep, {many} values");
            }
        }
        Err(DecodeError::TooDeep) => assert!(parsed.is_err() || deep > bounds.depth, "{deep} deep"),
        Err(DecodeError::TooManyValues) => {
            assert!(parsed.is_err() || many > bounds.nodes, "{many} values");
        }
        Err(other) => panic!("refused as {other:?} within bounds, accepted without"),
    }
    if codec.claims(b'{') {
        assert!(parsed.is_ok(), "passes the scan, but not the parser: {parsed:?}");
    }
}

/// A list, or a map where it is none.
fn scan(codec: &dyn Codec, bytes: &[u8], budget: Budget) -> Result<usize, DecodeError> {
    match codec.read_list(bytes, &mut budget.clone(), &mut |_| Ok(())) {
        Err(DecodeError::Malformed(_)) => {
            codec.read_map(bytes, &mut budget.clone(), &mut |_, _| Ok(()))
        }
        result => result,
    }
}

/// Counts what a parser finds: containers inside each other, and values with their keys.
#[derive(Default)]
struct Measure {
    deepest: Cell<u32>,
    nodes: Cell<u32>,
}

struct At<'m> {
    measure: &'m Measure,
    /// Containers around it.
    depth: u32,
}

impl Measure {
    fn at(&self, depth: u32) -> At<'_> {
        At { measure: self, depth }
    }
}

impl At<'_> {
    fn count(&self) {
        self.measure.nodes.set(self.measure.nodes.get() + 1);
    }

    fn enter(&self) -> Self {
        let depth = self.depth + 1;
        self.measure.deepest.set(self.measure.deepest.get().max(depth));
        At { measure: self.measure, depth }
    }
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.count();
        deserializer.deserialize_any(self)
    }
}

macro_rules! leaves {
    ($($method:ident: $type:ty,)*) => {
        $(fn $method<E>(self, _: $type) -> Result<(), E> { Ok(()) })*
    };
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    leaves! {
        visit_bool: bool,
        visit_i64: i64,
        visit_u64: u64,
        visit_f64: f64,
        visit_str: &str,
        visit_bytes: &[u8],
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.enter();
        while items.next_element_seed(inside.measure.at(inside.depth))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inside = self.enter();
        while entries.next_key_seed(inside.measure.at(inside.depth))?.is_some() {
            entries.next_value_seed(inside.measure.at(inside.depth))?;
        }
        Ok(())
    }
}
