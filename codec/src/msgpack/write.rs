//! Writing MessagePack, each value in its smallest form.

use lanc_core::ports::{Item, Short};

pub(super) fn item(item: &Item<'_>, out: &mut Vec<u8>) {
    match item {
        Item::Null | Item::Encoded([]) => out.push(0xc0),
        Item::Bool(false) => out.push(0xc2),
        Item::Bool(true) => out.push(0xc3),
        Item::Int(number) => int(*number, out),
        Item::Uint(number) => uint(*number, out),
        Item::Float(number) => {
            out.push(0xcb);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Item::Text(value) => text(value, out),
        Item::Bytes(value) => bytes(value, out),
        Item::List([]) => out.push(0x90),
        Item::Map([]) => out.push(0x80),
        Item::Entries(entries) => map(entries, out),
        Item::List(raw) | Item::Map(raw) | Item::Encoded(raw) => out.extend_from_slice(raw),
    }
}

pub(super) fn map(entries: &[(&str, Item<'_>)], out: &mut Vec<u8>) {
    head(entries.len(), out);
    for (key, value) in entries {
        text(key, out);
        item(value, out);
    }
}

/// A map of letters.
pub(super) fn letters(entries: &[(u8, Short<'_>)], out: &mut Vec<u8>) {
    head(entries.len(), out);
    for (key, value) in entries {
        let key = [0xa1, *key];
        match *value {
            Short::Uint(number) => keyed_uint(key, number, out),
            Short::Text(value) => keyed_text(key, value, out),
            Short::Encoded(raw) if !raw.is_empty() => {
                out.extend_from_slice(&key);
                out.extend_from_slice(raw);
            }
            value => {
                out.extend_from_slice(&key);
                item(&value.item(), out);
            }
        }
    }
}

/// Text behind its key.
fn keyed_text([marker, letter]: [u8; 2], value: &str, out: &mut Vec<u8>) {
    match u8::try_from(value.len()) {
        Ok(length @ 0..=31) => {
            out.extend_from_slice(&[marker, letter, 0xa0 | length]);
            out.extend_from_slice(value.as_bytes());
        }
        _ => {
            out.extend_from_slice(&[marker, letter]);
            text(value, out);
        }
    }
}

/// A number behind its key.
fn keyed_uint([marker, letter]: [u8; 2], number: u64, out: &mut Vec<u8>) {
    if let Ok(number @ 0..=0x7f) = u8::try_from(number) {
        out.extend_from_slice(&[marker, letter, number]);
    } else if let Ok(number) = u16::try_from(number) {
        if let Ok(number) = u8::try_from(number) {
            return out.extend_from_slice(&[marker, letter, 0xcc, number]);
        }
        let [a, b] = number.to_be_bytes();
        out.extend_from_slice(&[marker, letter, 0xcd, a, b]);
    } else if let Ok(number) = u32::try_from(number) {
        let [a, b, c, d] = number.to_be_bytes();
        out.extend_from_slice(&[marker, letter, 0xce, a, b, c, d]);
    } else {
        let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
        out.extend_from_slice(&[marker, letter, 0xcf, a, b, c, d, e, f, g, h]);
    }
}

/// How many entries a map has.
fn head(entries: usize, out: &mut Vec<u8>) {
    match u8::try_from(entries) {
        Ok(count @ 0..=15) => out.push(0x80 | count),
        _ => long(entries, [None, Some(0xde), Some(0xdf)], out),
    }
}

pub(super) fn list(items: &[Item<'_>], out: &mut Vec<u8>) {
    match u8::try_from(items.len()) {
        Ok(count @ 0..=15) => out.push(0x90 | count),
        _ => long(items.len(), [None, Some(0xdc), Some(0xdd)], out),
    }
    for value in items {
        item(value, out);
    }
}

fn int(number: i64, out: &mut Vec<u8>) {
    if let Ok(number) = u64::try_from(number) {
        uint(number, out);
    } else if let Ok(small) = i8::try_from(number) {
        if small < -32 {
            out.push(0xd0);
        }
        out.extend_from_slice(&small.to_be_bytes());
    } else if let Ok(number) = i16::try_from(number) {
        out.push(0xd1);
        out.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = i32::try_from(number) {
        out.push(0xd2);
        out.extend_from_slice(&number.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn uint(number: u64, out: &mut Vec<u8>) {
    if let Ok(small) = u8::try_from(number) {
        if small > 0x7f {
            out.push(0xcc);
        }
        out.push(small);
    } else if let Ok(number) = u16::try_from(number) {
        out.push(0xcd);
        out.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = u32::try_from(number) {
        out.push(0xce);
        out.extend_from_slice(&number.to_be_bytes());
    } else {
        out.push(0xcf);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    // Most keys.
    if let [letter] = text.as_bytes() {
        return out.extend_from_slice(&[0xa1, *letter]);
    }
    match u8::try_from(text.len()) {
        Ok(length @ 0..=31) => out.push(0xa0 | length),
        _ => long(text.len(), [Some(0xd9), Some(0xda), Some(0xdb)], out),
    }
    out.extend_from_slice(text.as_bytes());
}

fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    long(bytes.len(), [Some(0xc4), Some(0xc5), Some(0xc6)], out);
    out.extend_from_slice(bytes);
}

/// Writes a length in 1, 2 or 4 bytes behind the marker of that size.
fn long(length: usize, [one, two, four]: [Option<u8>; 3], out: &mut Vec<u8>) {
    if let (Some(marker), Ok(length)) = (one, u8::try_from(length)) {
        out.extend_from_slice(&[marker, length]);
    } else if let (Some(marker), Ok(length)) = (two, u16::try_from(length)) {
        out.push(marker);
        out.extend_from_slice(&length.to_be_bytes());
    } else if let Some(marker) = four {
        // A frame never holds 4 GiB: what is longer is refused by its size, not by this count.
        out.push(marker);
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
}
