//! MessagePack.

mod letters;
mod scan;
mod token;
mod words;
mod write;

#[cfg(test)]
mod tests;

use std::io;

use lanc_core::payload::bulk::Collector;
use lanc_core::ports::{
    Budget, Codec, DecodeError, EncodeError, Format, Item, Letters, OnEntry, OnItem, OnValue,
    Short, Shorts,
};
use rmp_serde::{Deserializer, Serializer};

use scan::Scanner;
use token::Rest;

/// MessagePack as its specification has it, without an extension type of our own.
///
/// * **Reading** takes every form of a value, not only the smallest. Whole numbers up to
///   `i64::MAX` become [`Item::Int`], larger ones [`Item::Uint`], both sizes of float
///   [`Item::Float`]; NaN and infinity are numbers of this format and allowed. Text must be UTF-8
///   and is always borrowed. The keys of the map that is read must be text
///   ([`DecodeError::WrongType`]); those of maps inside it may be anything, as values of the
///   user's types have such keys. The byte `0xc1`, which means nothing, is
///   [`DecodeError::Malformed`]. At most [`MsgpackCodec::MAX_DEPTH`] containers may stand inside
///   each other, whatever the budget says.
/// * **Extension values**, timestamps too, are opaque: their length is checked, and they are
///   [`Item::Bytes`] without the type. The type is still in [`Value::raw`], which is what is
///   handed to functions.
/// * **Writing** uses the smallest form of whole numbers, lengths and counts. A float is always
///   written in 64 bits. An empty slice is written as nil, an empty list or an empty map.
/// * **Typed values** have the shape they have in JSON: structs are maps by the names of their
///   fields, and types with a readable form (addresses) use it. Binary data has a form of its
///   own. [`Codec::serialize`] refuses a value that says it has more or fewer entries than it
///   writes, because that would spoil the messages behind it.
///
/// [`Value::raw`]: lanc_core::ports::Value::raw
#[derive(Clone, Copy, Debug, Default)]
pub struct MsgpackCodec;

impl MsgpackCodec {
    /// The deepest nesting that is read, and the deepest that is deserialised.
    pub const MAX_DEPTH: u32 = 127;

    /// `rmp-serde` counts down to zero and stops there.
    const TYPED_LEVELS: usize = 128;
}

impl Codec for MsgpackCodec {
    fn format(&self) -> Format {
        Format::MSGPACK
    }

    /// A map, or the short list that a lean frame begins with.
    fn claims(&self, first: u8) -> bool {
        matches!(first, 0x80..=0x9f | 0xde | 0xdf)
    }

    fn read_map<'a>(
        &self,
        input: &'a [u8],
        budget: &mut Budget,
        each: &mut OnEntry<'_, 'a>,
    ) -> Result<usize, DecodeError> {
        let mut scanner = Scanner::new(input, *budget);
        let result = scanner.map(each);
        budget.nodes = scanner.nodes_left();
        result
    }

    fn read_letters<'a>(
        &self,
        input: &'a [u8],
        budget: &mut Budget,
        into: &mut Letters<'a>,
    ) -> Result<usize, DecodeError> {
        let mut scanner = Scanner::new(input, *budget);
        let result = scanner.letters(into);
        budget.nodes = scanner.nodes_left();
        result
    }

    fn read_list<'a>(
        &self,
        input: &'a [u8],
        budget: &mut Budget,
        each: &mut OnItem<'_, 'a>,
    ) -> Result<usize, DecodeError> {
        let mut scanner = Scanner::new(input, *budget);
        let result = scanner.list(each);
        budget.nodes = scanner.nodes_left();
        result
    }

    fn read_shorts<'a>(&self, input: &'a [u8], into: &mut [Short<'a>]) -> Option<Shorts> {
        Rest(input, input.len()).shorts(into)
    }

    fn write_item(&self, item: &Item<'_>, out: &mut Vec<u8>) {
        write::item(item, out);
    }

    fn write_map(&self, entries: &[(&str, Item<'_>)], out: &mut Vec<u8>) {
        write::map(entries, out);
    }

    fn write_letters(&self, entries: &[(u8, Short<'_>)], out: &mut Vec<u8>) {
        write::letters(entries, out);
    }

    fn write_list(&self, items: &[Item<'_>], out: &mut Vec<u8>) {
        write::list(items, out);
    }

    /// Nothing: a map says by itself where it ends.
    fn write_separator(&self, _: &mut Vec<u8>) {}

    fn serialize(
        &self,
        value: &dyn erased_serde::Serialize,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let before = out.len();
        let mut writer = Writer { out: &mut *out, collector: Collector::begin() };
        let mut serializer = Serializer::new(&mut writer).with_struct_map().with_human_readable();
        let written = erased_serde::serialize(value, &mut serializer);
        let gap = writer.collector.gap();
        let written = written
            .map_err(|error| no_form(error.to_string()))
            .and_then(|()| check_written(out.get(before..).unwrap_or_default(), depth, gap));
        if written.is_err() {
            out.truncate(before);
        }
        written
    }

    fn deserialize(&self, bytes: &[u8], with: &mut OnValue<'_>) -> Result<(), String> {
        match whole_value(bytes, Self::MAX_DEPTH) {
            Ok(true) => {}
            Ok(false) => return Err("more bytes than one value".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        let mut deserializer = Deserializer::from_read_ref(bytes).with_human_readable();
        deserializer.set_max_depth(Self::TYPED_LEVELS);
        with(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut deserializer))
            .map_err(|error| words::reason(error.to_string()))
    }
}

fn no_form(reason: String) -> EncodeError {
    EncodeError::NoForm { format: Format::MSGPACK.name(), reason }
}

/// Whether one value, at most `depth` deep, takes all of `bytes`; else there are more.
fn whole_value(bytes: &[u8], depth: u32) -> Result<bool, DecodeError> {
    let budget = Budget { depth, nodes: u32::MAX };
    Scanner::new(bytes, budget).pass_value().map(|used| used == bytes.len())
}

/// Writes to the end of a buffer, but for what is not to be copied.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
    collector: Collector,
}

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.collector.takes(self.out.len(), bytes) {
            self.out.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts what was written, and how deep it nests. `gap`: where so many bytes are left out.
fn check_written(bytes: &[u8], depth: u32, gap: Option<(usize, usize)>) -> Result<(), EncodeError> {
    let around = gap.and_then(|(gap, length)| {
        // A marker and their length stand before them.
        let head = if u16::try_from(length).is_ok() { 3 } else { 5 };
        Some((bytes.get(..gap.checked_sub(head)?)?, bytes.get(gap..)?))
    });
    let value = match around {
        // As if the byte string were empty.
        Some((before, behind)) => whole_value(&[before, &[0xc4, 0], behind].concat(), depth),
        None => whole_value(bytes, depth),
    };
    match value {
        Ok(true) => Ok(()),
        Err(DecodeError::TooDeep) => Err(EncodeError::TooDeep),
        _ => Err(no_form("it holds another number of entries than it said".to_owned())),
    }
}
