//! Our readers against those of `serde_json` and `rmp-serde`, on the same bytes.

use std::fmt;
use std::io::Cursor;

use lanc_codec::{JsonCodec, MsgpackCodec};
use lanc_core::ports::{Budget, Codec, DecodeError, Item};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

/// Deeper input is left to the bounds of each: theirs differ from ours by a level.
const DEPTH: u32 = 100;
/// Keys by which `serde_json` passes values of its own; ours refuses them.
const PRIVATE: &str = "$serde_json::private";

/// JSON: one list or map.
pub fn json_differential(bytes: &[u8]) {
    let ours = tree(&JsonCodec, bytes);
    if matches!(ours, Err(DecodeError::TooDeep)) || holds(bytes, PRIVATE.as_bytes()) {
        return;
    }
    let theirs = serde_json::from_slice::<Value>(bytes).ok();
    let theirs = theirs.filter(|value| value.is_array() || value.is_object());
    match (ours, theirs) {
        (Ok((Some(ours), used)), Some(theirs)) => {
            assert_eq!(ours, theirs);
            assert_eq!(used, bytes.len());
        }
        // Several values in a row are a frame, but no document.
        (Ok((_, used)), None) if used < bytes.len() => {}
        (Err(_), None) => {}
        (ours, theirs) => panic!("{ours:?} is not {theirs:?}"),
    }
}

/// MessagePack: one list or map, and anything behind it.
pub fn msgpack_differential(bytes: &[u8]) {
    let ours = tree(&MsgpackCodec, bytes);
    // Duplicate text keys and the order of keys do not matter: both keep the last.
    let mut deserializer = rmp_serde::Deserializer::new(Cursor::new(bytes));
    deserializer.set_max_depth(usize::try_from(DEPTH).unwrap_or(0) + 8);
    let theirs = Tree::deserialize(&mut deserializer).ok().map(|Tree(value)| value);
    let theirs = theirs.filter(|value| value.is_array() || value.is_object());
    match (ours, theirs) {
        (Ok((Some(ours), used)), Some(theirs)) => {
            assert_eq!(ours, theirs);
            assert_eq!(u64::try_from(used).ok(), Some(deserializer.position()));
        }
        // A tree has no form for binary data, extensions and keys that are no text.
        (Ok((None, _)) | Err(_), None) => {}
        (Err(DecodeError::TooDeep), Some(_)) => {}
        (ours, theirs) => panic!("{ours:?} is not {theirs:?}"),
    }
}

/// A [`Value`] whose keys are text and nothing else: its own reader takes binary data for a key
/// where that happens to be UTF-8.
struct Tree(Value);

struct Text(String);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TreeVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(TextVisitor).map(Self)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = String;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("text")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a value that JSON has too")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, is: bool) -> Result<Value, E> {
        Ok(Value::Bool(is))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Tree(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Map::new();
        while let Some((Text(key), Tree(value))) = map.next_entry()? {
            entries.insert(key, value);
        }
        Ok(Value::Object(entries))
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The whole value as our reader hands it out, and how many bytes it took; `None` where
/// [`Value`] has no form for it.
fn tree(codec: &dyn Codec, bytes: &[u8]) -> Result<(Option<Value>, usize), DecodeError> {
    match list(codec, bytes) {
        Err(DecodeError::Malformed(_)) => map(codec, bytes),
        result => result,
    }
}

fn budget() -> Budget {
    Budget { depth: DEPTH, nodes: u32::MAX }
}

fn list(codec: &dyn Codec, bytes: &[u8]) -> Result<(Option<Value>, usize), DecodeError> {
    let mut items = Some(Vec::new());
    let used = codec.read_list(bytes, &mut budget(), &mut |value| {
        match (item(codec, &value.item), &mut items) {
            (Some(value), Some(items)) => items.push(value),
            _ => items = None,
        }
        Ok(())
    })?;
    Ok((items.map(Value::Array), used))
}

fn map(codec: &dyn Codec, bytes: &[u8]) -> Result<(Option<Value>, usize), DecodeError> {
    let mut entries = Some(Map::new());
    let used = codec.read_map(bytes, &mut budget(), &mut |key, value| {
        match (item(codec, &value.item), &mut entries) {
            (Some(value), Some(entries)) => drop(entries.insert(key.to_owned(), value)),
            _ => entries = None,
        }
        Ok(())
    })?;
    Ok((entries.map(Value::Object), used))
}

/// What was passed over as one value is read as one: a map only with keys that are text.
fn item(codec: &dyn Codec, item: &Item<'_>) -> Option<Value> {
    Some(match item {
        Item::Null => Value::Null,
        Item::Bool(is) => Value::Bool(*is),
        Item::Int(number) => Value::from(*number),
        Item::Uint(number) => Value::from(*number),
        Item::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Item::Text(text) => Value::from(text.as_ref()),
        Item::Bytes(_) => return None,
        Item::Encoded(_) | Item::Entries(_) => panic!("only written, never read"),
        Item::List(raw) => whole(list(codec, raw), raw)?,
        Item::Map(raw) => match map(codec, raw) {
            Err(DecodeError::WrongType) => return None,
            read => whole(read, raw)?,
        },
    })
}

fn whole(read: Result<(Option<Value>, usize), DecodeError>, raw: &[u8]) -> Option<Value> {
    match read {
        Ok((value, used)) if used == raw.len() => value,
        other => panic!("{raw:02x?} was passed over as one value, but reads as {other:?}"),
    }
}
