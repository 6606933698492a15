//! Writing JSON: compact, on one line, without a raw apostrophe.

use std::io::{self, Write as _};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use lanc_core::ports::Item;
use serde_json::ser::{CompactFormatter, Formatter};

use super::{JsonCodec, words};

/// Bytes that are looked at together in long text.
const BLOCK: usize = 64;

pub(super) fn item(item: &Item<'_>, out: &mut Vec<u8>) {
    match item {
        Item::Null => out.extend_from_slice(b"null"),
        Item::Bool(true) => out.extend_from_slice(b"true"),
        Item::Bool(false) => out.extend_from_slice(b"false"),
        Item::Int(number) => into_vec(CompactFormatter.write_i64(out, *number)),
        Item::Uint(number) => into_vec(CompactFormatter.write_u64(out, *number)),
        Item::Float(number) if number.is_finite() => {
            into_vec(CompactFormatter.write_f64(out, *number));
        }
        Item::Float(_) => out.extend_from_slice(b"null"),
        Item::Text(value) => text(value, out),
        Item::Bytes(bytes) => base64(bytes, out),
        Item::List([]) => out.extend_from_slice(b"[]"),
        Item::Map([]) => out.extend_from_slice(b"{}"),
        Item::Encoded([]) => out.extend_from_slice(b"null"),
        Item::Entries(entries) => map(entries, out),
        Item::List(raw) | Item::Map(raw) | Item::Encoded(raw) => encoded(raw, out),
    }
}

pub(super) fn map(entries: &[(&str, Item<'_>)], out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        text(key, out);
        out.push(b':');
        item(value, out);
    }
    out.push(b'}');
}

pub(super) fn list(items: &[Item<'_>], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, value) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item(value, out);
    }
    out.push(b']');
}

/// How deep containers stand in each other in what is being written.
pub(super) struct Nesting {
    /// How many more may be opened.
    left: u32,
    is_exceeded: bool,
}

impl Nesting {
    pub(super) fn within(depth: u32) -> Self {
        Self { left: depth, is_exceeded: false }
    }

    /// Whether writing ended because of it.
    pub(super) fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }

    /// Goes in by so many levels.
    fn enter(&mut self, levels: u32) -> io::Result<()> {
        let left = self.left.checked_sub(levels);
        self.is_exceeded = left.is_none();
        self.left = left.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(())
    }

    fn leave(&mut self, levels: u32) {
        self.left = self.left.saturating_add(levels);
    }
}

/// Formats what serde writes the way [`item`] does, and counts how deep it nests on the way.
pub(super) struct OneLine<'n>(pub(super) &'n mut Nesting);

impl Formatter for OneLine<'_> {
    #[inline]
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.enter(1)?;
        writer.write_all(b"[")
    }

    #[inline]
    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.leave(1);
        writer.write_all(b"]")
    }

    #[inline]
    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.enter(1)?;
        writer.write_all(b"{")
    }

    #[inline]
    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.leave(1);
        writer.write_all(b"}")
    }

    /// Gets text without what JSON itself makes escape.
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        replace(fragment.as_bytes(), writer, |byte| is_special(byte, IN_JSON), escape)
    }

    /// Gets a value that is JSON already.
    fn write_raw_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let levels = JsonCodec::levels(fragment.as_bytes());
        self.0.enter(levels)?;
        self.0.leave(levels);
        one_line(fragment.as_bytes(), writer)
    }
}

/// What is escaped besides control characters: in text, and in what is JSON already.
const IN_TEXT: [u8; 4] = [b'"', b'\\', b'\'', 0x7f];
const IN_JSON: [u8; 2] = [b'\'', 0x7f];

fn text(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.push(b'"');
    if is_clean(bytes, IN_TEXT) {
        out.extend_from_slice(bytes);
    } else {
        into_vec(replace(bytes, out, |byte| is_special(byte, IN_TEXT), escape));
    }
    out.push(b'"');
}

fn encoded(raw: &[u8], out: &mut Vec<u8>) {
    if is_clean(raw, IN_JSON) {
        out.extend_from_slice(raw);
    } else {
        into_vec(one_line(raw, out));
    }
}

/// Copies JSON. Line feeds only stand between its tokens, apostrophes only in its strings.
fn one_line<W: io::Write + ?Sized>(raw: &[u8], out: &mut W) -> io::Result<()> {
    let special = |byte| is_special(byte, IN_JSON);
    replace(raw, out, special, |byte, out| match byte {
        b'\n' | b'\r' | b'\t' => out.write_all(b" "),
        _ => escape(byte, out),
    })
}

/// Whether `bytes` are few and hold none of `marked` and no control character. Most of what a small
/// message holds is so, and is not worth the start of a loop over blocks.
#[inline]
fn is_clean<const N: usize>(bytes: &[u8], marked: [u8; N]) -> bool {
    let clean = |word| words::marks(word, marked) == 0;
    let Some(last) = bytes.last_chunk() else { return clean(words::filled(bytes)) };
    // The last word may overlap the one before it.
    let (words, _) = bytes.as_chunks();
    bytes.len() < BLOCK && words.iter().chain([last]).all(|word| clean(u64::from_le_bytes(*word)))
}

#[inline]
fn is_special<const N: usize>(byte: u8, marked: [u8; N]) -> bool {
    // Without a branch, or blocks of bytes would be looked at one by one.
    marked.iter().fold(byte < 0x20, |any, other| any | (byte == *other))
}

/// Copies `bytes`, but lets `instead` write those that are `special`.
#[inline(never)]
fn replace<W: io::Write + ?Sized>(
    bytes: &[u8],
    out: &mut W,
    special: impl Fn(u8) -> bool,
    instead: impl Fn(u8, &mut W) -> io::Result<()>,
) -> io::Result<()> {
    let mut rest = bytes;
    loop {
        // Whole blocks first, without a branch per byte: text seldom holds anything special.
        let dirty = |block: &&[u8]| block.iter().fold(false, |any, byte| any | special(*byte));
        let blocks = rest.chunks(BLOCK).take_while(|block| !dirty(block));
        let clean: usize = blocks.map(<[u8]>::len).sum();
        let (head, tail) = rest.split_at_checked(clean).unwrap_or((rest, &[]));
        let more = tail.iter().take_while(|byte| !special(**byte)).count();
        let (plain, behind) = rest.split_at_checked(head.len() + more).unwrap_or((rest, &[]));
        out.write_all(plain)?;
        let Some((first, behind)) = behind.split_first() else { return Ok(()) };
        instead(*first, out)?;
        rest = behind;
    }
}

fn escape<W: io::Write + ?Sized>(byte: u8, out: &mut W) -> io::Result<()> {
    match byte {
        b'"' => out.write_all(b"\\\""),
        b'\\' => out.write_all(b"\\\\"),
        b'\n' => out.write_all(b"\\n"),
        b'\r' => out.write_all(b"\\r"),
        b'\t' => out.write_all(b"\\t"),
        _ => write!(out, "\\u{byte:04x}"),
    }
}

/// Base64 with padding, RFC 4648 section 4, as text.
fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    into_vec(write!(out, "{}", Base64Display::new(bytes, &STANDARD)));
    out.push(b'"');
}

/// Writing into a vector has no way to fail; the result only exists because the same code
/// writes through serde's formatter.
fn into_vec(written: io::Result<()>) {
    debug_assert!(written.is_ok(), "a vector takes any bytes");
}
