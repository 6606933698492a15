//! Python's string literals, as `repr` writes them.

use lanc_core::ports::DecodeError;

use super::rewrite::Out;

/// Writes the literal at the start of `input` as JSON text; returns its length.
pub(super) fn text(input: &str, out: &mut Out<'_>) -> Result<usize, DecodeError> {
    out.put(b"\"")?;
    let length = literal(input, true, &mut |piece| match piece {
        Piece::Plain(text) => out.put(text.as_bytes()),
        Piece::Char(code) => {
            let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            escaped(character, out)
        }
    })?;
    out.put(b"\"")?;
    Ok(length)
}

/// Writes the literal behind a `b` as a list of numbers; returns its length.
pub(super) fn bytes(input: &str, out: &mut Out<'_>) -> Result<usize, DecodeError> {
    out.put(b"[")?;
    let mut first = true;
    let mut number = |code: u32, out: &mut Out<'_>| {
        if !std::mem::take(&mut first) {
            out.put(b",")?;
        }
        out.put(code.to_string().as_bytes())
    };
    let length = literal(input, false, &mut |piece| match piece {
        Piece::Plain(text) if text.is_ascii() => {
            text.bytes().try_for_each(|byte| number(u32::from(byte), out))
        }
        Piece::Char(code) if code < 256 => number(code, out),
        _ => Err(DecodeError::Text),
    })?;
    out.put(b"]")?;
    Ok(length)
}

enum Piece<'a> {
    /// Characters that mean themselves, in JSON too.
    Plain(&'a str),
    /// What an escape means, or a character that JSON must escape.
    Char(u32),
}

/// Hands out what the literal at the start of `input` means, and returns its length.
fn literal(
    input: &str,
    wide: bool,
    each: &mut dyn FnMut(Piece<'_>) -> Result<(), DecodeError>,
) -> Result<usize, DecodeError> {
    let quote = input.chars().next().ok_or(DecodeError::Truncated)?;
    let special = |c: char| c == quote || matches!(c, '"' | '\\' | '\0'..='\x1f' | '\x7f');
    let mut rest = input.get(1..).unwrap_or_default();
    loop {
        let plain = rest.find(special).ok_or(DecodeError::Truncated)?;
        let (head, tail) = rest.split_at_checked(plain).ok_or(DecodeError::Truncated)?;
        if !head.is_empty() {
            each(Piece::Plain(head))?;
        }
        let mut characters = tail.chars();
        let found = characters.next().ok_or(DecodeError::Truncated)?;
        rest = characters.as_str();
        if found == quote {
            return Ok(input.len() - rest.len());
        }
        let code = if found == '\\' { escape(&mut rest, wide)? } else { u32::from(found) };
        each(Piece::Char(code))?;
    }
}

/// What the escape behind a backslash means; takes it off `rest`.
fn escape(rest: &mut &str, wide: bool) -> Result<u32, DecodeError> {
    let mut characters = rest.chars();
    let kind = characters.next().ok_or(DecodeError::Truncated)?;
    *rest = characters.as_str();
    let digits = match kind {
        'n' => return Ok(0x0a),
        'r' => return Ok(0x0d),
        't' => return Ok(0x09),
        'a' => return Ok(0x07),
        'b' => return Ok(0x08),
        'f' => return Ok(0x0c),
        'v' => return Ok(0x0b),
        '\\' | '\'' | '"' => return Ok(u32::from(kind)),
        'x' => 2,
        'u' if wide => 4,
        'U' if wide => 8,
        _ => return Err(DecodeError::Malformed(0)),
    };
    let hex = rest.get(..digits).ok_or(DecodeError::Truncated)?;
    *rest = rest.get(digits..).unwrap_or_default();
    if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(DecodeError::Malformed(0));
    }
    u32::from_str_radix(hex, 16).map_err(|_| DecodeError::Malformed(0))
}

fn escaped(character: char, out: &mut Out<'_>) -> Result<(), DecodeError> {
    match character {
        '"' => out.put(b"\\\""),
        '\\' => out.put(b"\\\\"),
        '\0'..='\x1f' | '\x7f' => out.put(format!("\\u{:04x}", u32::from(character)).as_bytes()),
        _ => out.put(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}
