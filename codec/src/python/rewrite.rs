//! Token by token from Python to JSON.

use lanc_core::ports::DecodeError;

use super::{PythonText, string};

/// Appends `text` as JSON, at most `limit` bytes.
pub(super) fn rewrite(text: &str, limit: usize, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let mut out = Out { bytes: out, left: limit };
    let mut open = Open::default();
    let mut rest = text;
    // A comma is written when the next value begins: a tuple of one ends with it.
    let mut comma = false;
    while let Some(first) = rest.as_bytes().first().copied() {
        let at = text.len() - rest.len();
        if matches!(first, b' ' | b'\t' | b'\r' | b'\n') {
            out.put(b" ")?;
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        if std::mem::take(&mut comma) && first != b')' {
            out.put(b",")?;
        }
        let taken = match first {
            b'{' | b'[' | b'(' => {
                open.enter(first, at)?;
                out.put(if first == b'{' { b"{" } else { b"[" })?;
                1
            }
            b'}' | b']' | b')' => {
                open.leave(first, at)?;
                out.put(if first == b'}' { b"}" } else { b"]" })?;
                1
            }
            b',' => {
                comma = true;
                open.next_entry();
                1
            }
            b':' => {
                open.in_value();
                out.put(b":")?;
                1
            }
            b'\'' | b'"' => string::text(rest, &mut out)?,
            b'b' | b'B' if matches!(rest.as_bytes().get(1), Some(b'\'' | b'"')) => {
                if open.at_key() {
                    return Err(DecodeError::Malformed(at));
                }
                1 + string::bytes(rest.get(1..).unwrap_or_default(), &mut out)?
            }
            _ => word(rest, at, open.at_key(), &mut out)?,
        };
        rest = rest.get(taken..).ok_or(DecodeError::Malformed(at))?;
    }
    if open.containers.is_empty() && !comma { Ok(()) } else { Err(DecodeError::Truncated) }
}

/// A number or a name; returns how long it is.
fn word(rest: &str, at: usize, is_key: bool, out: &mut Out<'_>) -> Result<usize, DecodeError> {
    let part =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_');
    let length = rest.bytes().take_while(part).count();
    let word = rest.get(..length).unwrap_or_default();
    let is_number = word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    let json = match word {
        "None" | "null" | "nan" | "inf" | "-inf" => "null",
        "True" | "true" => "true",
        "False" | "false" => "false",
        number if is_number => number,
        _ => return Err(DecodeError::Malformed(at)),
    };
    if is_key {
        out.put(b"\"")?;
        out.put(json.as_bytes())?;
        out.put(b"\"")?;
    } else {
        out.put(json.as_bytes())?;
    }
    Ok(length)
}

/// The containers that are open, and whether the innermost waits for a key.
#[derive(Default)]
struct Open {
    containers: Vec<(u8, bool)>,
}

impl Open {
    fn enter(&mut self, kind: u8, at: usize) -> Result<(), DecodeError> {
        if self.containers.len() >= PythonText::MAX_DEPTH {
            return Err(DecodeError::TooDeep);
        }
        if self.at_key() {
            return Err(DecodeError::Malformed(at));
        }
        self.containers.push((kind, kind == b'{'));
        Ok(())
    }

    fn leave(&mut self, close: u8, at: usize) -> Result<(), DecodeError> {
        let kind = match close {
            b'}' => b'{',
            b']' => b'[',
            _ => b'(',
        };
        match self.containers.pop() {
            Some((opened, _)) if opened == kind => Ok(()),
            _ => Err(DecodeError::Malformed(at)),
        }
    }

    fn next_entry(&mut self) {
        if let Some((kind, key)) = self.containers.last_mut() {
            *key = *kind == b'{';
        }
    }

    fn in_value(&mut self) {
        if let Some((_, key)) = self.containers.last_mut() {
            *key = false;
        }
    }

    fn at_key(&self) -> bool {
        self.containers.last().is_some_and(|(_, key)| *key)
    }
}

/// Where the JSON goes, until the limit.
pub(super) struct Out<'o> {
    bytes: &'o mut Vec<u8>,
    left: usize,
}

impl Out<'_> {
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(DecodeError::TooManyValues)?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}
