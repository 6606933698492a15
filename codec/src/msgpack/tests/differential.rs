//! The reader against `rmp-serde`, on documents drawn from a seed.

use std::io::Cursor;

use lanc_core::ports::{Budget, Codec, DecodeError, Item};
use serde::Deserialize;
use serde_json::{Map, Number, Value};

use super::{AMPLE, MsgpackCodec};

struct Draw(u64);

impl Draw {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn bytes(&mut self, count: usize, out: &mut Vec<u8>) {
        out.extend((0..count).map(|_| self.byte()));
    }

    fn text(&mut self, out: &mut Vec<u8>) {
        let text = ["", "k", "key", "ä€😀", "a text of thirty-two characters.!"][self.below(5)];
        let length = u8::try_from(text.len()).unwrap();
        match self.below(4) {
            0 => out.extend_from_slice(&[0xd9, length]),
            1 => out.extend_from_slice(&[0xda, 0, length]),
            2 => out.extend_from_slice(&[0xdb, 0, 0, 0, length]),
            _ if length < 32 => out.push(0xa0 | length),
            _ => out.extend_from_slice(&[0xd9, length]),
        }
        out.extend_from_slice(text.as_bytes());
    }

    /// A value in any form, not only the smallest.
    fn value(&mut self, depth: usize, out: &mut Vec<u8>) {
        match self.below(if depth == 0 { 12 } else { 18 }) {
            0 => out.push([0xc0, 0xc2, 0xc3][self.below(3)]),
            1 => out.push([0, 0x7f, 0xe0, 0xff][self.below(4)]),
            kind @ 2..=5 => {
                let size = kind - 2;
                let unsigned = self.below(2) == 0;
                out.push(if unsigned { 0xcc } else { 0xd0 } + u8::try_from(size).unwrap());
                self.bytes(1 << size, out);
            }
            6 => {
                out.push(0xca);
                self.bytes(4, out);
            }
            7 => {
                out.push(0xcb);
                self.bytes(8, out);
            }
            8..=11 => self.text(out),
            kind => {
                let count = self.below(4);
                let byte = u8::try_from(count).unwrap();
                match kind {
                    12 => out.push(0x90 | byte),
                    13 => out.extend_from_slice(&[0xdc, 0, byte]),
                    14 => out.extend_from_slice(&[0xdd, 0, 0, 0, byte]),
                    15 => out.push(0x80 | byte),
                    16 => out.extend_from_slice(&[0xde, 0, byte]),
                    _ => out.extend_from_slice(&[0xdf, 0, 0, 0, byte]),
                }
                for _ in 0..count {
                    if kind >= 15 {
                        self.text(out);
                    }
                    self.value(depth - 1, out);
                }
            }
        }
    }

    /// A valid document with up to two faults in it.
    fn mutant(&mut self) -> Vec<u8> {
        let mut document = Vec::new();
        self.value(4, &mut document);
        for _ in 0..self.below(3) {
            if document.is_empty() {
                break;
            }
            let at = self.below(document.len());
            match self.below(4) {
                0 => document[at] = self.byte(),
                1 => drop(document.remove(at)),
                2 => document.insert(at, self.byte()),
                _ => document[at] ^= 1 << self.below(8),
            }
        }
        document
    }

    fn heap(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let length = self.below(12);
        self.bytes(length, &mut bytes);
        bytes
    }
}

/// What `serde_json::Value` has no form for is an error there and none here: binary data,
/// extensions, keys that are no text.
enum Ours {
    Same(Value),
    More,
}

fn ours(item: &Item<'_>) -> Ours {
    Ours::Same(match item {
        Item::Null => Value::Null,
        Item::Bool(is) => Value::Bool(*is),
        Item::Int(number) => Value::from(*number),
        Item::Uint(number) => Value::from(*number),
        Item::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Item::Text(text) => Value::from(text.as_ref()),
        Item::Bytes(_) => return Ours::More,
        Item::Encoded(_) | Item::Entries(_) => panic!("only written, never read"),
        Item::List(raw) => {
            let mut items = Some(Vec::new());
            let read = MsgpackCodec.read_list(raw, &mut AMPLE.clone(), &mut |value| {
                match (ours(&value.item), &mut items) {
                    (Ours::Same(value), Some(items)) => items.push(value),
                    _ => items = None,
                }
                Ok(())
            });
            assert_eq!(read, Ok(raw.len()), "what was passed over is read otherwise");
            match items {
                Some(items) => Value::Array(items),
                None => return Ours::More,
            }
        }
        Item::Map(raw) => {
            let mut entries = Some(Map::new());
            let read = MsgpackCodec.read_map(raw, &mut AMPLE.clone(), &mut |key, value| {
                match (ours(&value.item), &mut entries) {
                    (Ours::Same(value), Some(entries)) => {
                        entries.insert(key.to_owned(), value);
                    }
                    _ => entries = None,
                }
                Ok(())
            });
            match (read, entries) {
                (Ok(used), Some(entries)) if used == raw.len() => Value::Object(entries),
                (Ok(_), None) | (Err(DecodeError::WrongType), _) => return Ours::More,
                (read, _) => panic!("what was passed over is read otherwise: {read:?}"),
            }
        }
    })
}

#[test]
fn reads_what_rmp_serde_reads() {
    let mut draw = Draw(1);
    let (mut same, mut more, mut refused) = (0, 0, 0);
    for round in 0..100_000 {
        let document = if round % 4 == 0 { draw.heap() } else { draw.mutant() };
        let mut deserializer = rmp_serde::Deserializer::new(Cursor::new(&document));
        let theirs = Value::deserialize(&mut deserializer).ok();
        let theirs = theirs.map(|value| (value, deserializer.position()));

        let list = [&[0x91], &document[..]].concat();
        let mut read = None;
        let budget = &mut Budget { depth: 64, nodes: u32::MAX };
        let used = MsgpackCodec.read_list(&list, budget, &mut |value| {
            read = Some(ours(&value.item));
            Ok(())
        });
        match (used, read, theirs) {
            (Ok(used), Some(Ours::Same(value)), Some((theirs, position))) => {
                assert_eq!(value, theirs, "{document:02x?}");
                assert_eq!(u64::try_from(used - 1), Ok(position), "{document:02x?}");
                same += 1;
            }
            (Ok(_), Some(Ours::More), None) => more += 1,
            (Err(_), _, None) => refused += 1,
            (used, _, theirs) => panic!("{used:?} is not {theirs:?}: {document:02x?}"),
        }
    }
    assert!(same > 10_000 && more > 1_000 && refused > 10_000, "{same} {more} {refused}");
}
