//! JSON, RFC 8259.

mod finite;
mod number;
mod scan;
mod text;
mod words;
mod write;

#[cfg(test)]
mod tests;

use lanc_core::ports::{
    Budget, Codec, DecodeError, EncodeError, Format, Item, OnEntry, OnItem, OnValue,
};

pub(crate) use finite::Finite;
use scan::Scanner;
use write::{Nesting, OneLine};

/// JSON as RFC 8259 has it.
///
/// * **Reading** is strict: no comments, trailing commas, NaN, byte order mark or lone
///   surrogates. Whole numbers become [`Item::Int`] or [`Item::Uint`] where they fit; others
///   (`-0` too) become [`Item::Float`], and one beyond the range of `f64` is
///   [`DecodeError::Number`]. A key that begins with `$serde_json::private::` is refused. White space is taken with the value on both of its sides. At most
///   [`JsonCodec::MAX_DEPTH`] containers may stand inside each other, whatever the budget says.
/// * **Writing** is compact and one line. Control characters are escaped, and the apostrophe is
///   `\u0027`: a published peer turns every raw one into a quotation mark. Both hold for
///   [`Item::Encoded`] and containers too. An empty slice is written as `null`, `[]` or `{}`.
/// * [`Item::Bytes`] has no form of its own: it is written as text, base64 with padding
///   (RFC 4648 section 4), and comes back as [`Item::Text`]. A NaN or an infinity in
///   [`Item::Float`] is written as `null`; [`Codec::serialize`] refuses it instead, and writes
///   the byte strings of serde as lists of numbers, which [`Codec::deserialize`] reads back;
///   those in a [`BYTES_NEWTYPE`] as base64 text.
///
/// [`BYTES_NEWTYPE`]: lanc_core::ports::BYTES_NEWTYPE
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonCodec;

impl JsonCodec {
    /// The deepest nesting that is read. One below the recursion limit of `serde_json`, so that
    /// what was read can also be deserialised.
    pub const MAX_DEPTH: u32 = 127;

    /// How many containers stand inside each other in a value that is JSON, however many.
    pub fn levels(json: &[u8]) -> u32 {
        let (mut open, mut most) = (0_u32, 0);
        let (mut in_text, mut is_escaped) = (false, false);
        for byte in json {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_text = !in_text,
                b'[' | b'{' if !in_text => {
                    open = open.saturating_add(1);
                    most = most.max(open);
                }
                b']' | b'}' if !in_text => open = open.saturating_sub(1),
                _ => {}
            }
        }
        most
    }
}

impl Codec for JsonCodec {
    fn format(&self) -> Format {
        Format::JSON
    }

    fn claims(&self, first: u8) -> bool {
        first == b'{'
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

    fn write_item(&self, item: &Item<'_>, out: &mut Vec<u8>) {
        write::item(item, out);
    }

    fn write_map(&self, entries: &[(&str, Item<'_>)], out: &mut Vec<u8>) {
        write::map(entries, out);
    }

    fn write_list(&self, items: &[Item<'_>], out: &mut Vec<u8>) {
        write::list(items, out);
    }

    fn write_separator(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
    }

    fn serialize(
        &self,
        value: &dyn erased_serde::Serialize,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let before = out.len();
        let mut nesting = Nesting::within(depth.min(Self::MAX_DEPTH));
        let format = OneLine(&mut nesting);
        let mut serializer = serde_json::Serializer::with_formatter(&mut *out, format);
        erased_serde::serialize(value, Finite::new(&mut serializer)).map_err(|error| {
            out.truncate(before);
            if nesting.is_exceeded() {
                return EncodeError::TooDeep;
            }
            EncodeError::NoForm { format: Format::JSON.name(), reason: error.to_string() }
        })
    }

    fn deserialize(&self, bytes: &[u8], with: &mut OnValue<'_>) -> Result<(), String> {
        // serde_json stops at 128 levels by itself.
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        with(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut deserializer))
            .map_err(|error| error.to_string())?;
        deserializer.end().map_err(|error| error.to_string())
    }
}
