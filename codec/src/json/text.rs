//! Strings of JSON.

use std::borrow::Cow;

use lanc_core::ports::DecodeError;

use super::scan::Scanner;
use super::words;

/// Keys by which `serde_json` talks to itself. In a document, with its feature `raw_value` on
/// anywhere in a program, such a key makes it parse the text behind it as a document of its own
/// with a recursion limit of its own: a few kilobytes of these overflow the stack.
const PRIVATE: &str = "$serde_json::private::";

/// What stands between two quotation marks, checked: UTF-8, no control characters, and escapes
/// that mean something.
#[derive(Clone, Copy)]
pub(super) struct Quoted<'a> {
    text: &'a str,
    escaped: bool,
}

/// A piece of the input that is known to be UTF-8. Checking many short strings together costs
/// a fraction of checking each.
#[derive(Default)]
pub(super) struct Window<'a> {
    at: usize,
    valid: &'a str,
}

impl<'a> Window<'a> {
    const BYTES: usize = 256;

    /// What is known of the text from here on.
    #[inline]
    fn from(&self, at: usize) -> Option<&'a str> {
        self.valid.get(at.checked_sub(self.at)?..)
    }

    /// The text between two positions, the later of which is below the length of `input`.
    fn text(&mut self, input: &'a [u8], from: usize, to: usize) -> Result<&'a str, DecodeError> {
        let known = |window: &Self| {
            window.valid.get(from.checked_sub(window.at)?..to.checked_sub(window.at)?)
        };
        if let Some(text) = known(self) {
            return Ok(text);
        }
        if to.saturating_sub(from) < Self::BYTES {
            let rest = input.get(from..).unwrap_or_default();
            let ahead = rest.get(..Self::BYTES).unwrap_or(rest);
            *self = Self { at: from, valid: valid_prefix(ahead) };
            return known(self).ok_or(DecodeError::Text);
        }
        let text = input.get(from..to).unwrap_or_default();
        std::str::from_utf8(text).map_err(|_| DecodeError::Text)
    }
}

fn valid_prefix(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_else(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        std::str::from_utf8(valid).unwrap_or_default()
    })
}

impl<'a> Scanner<'a> {
    /// Reads a string.
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let Quoted { text, escaped } = self.quoted()?;
        if escaped { unescape(text).map(Cow::Owned) } else { Ok(Cow::Borrowed(text)) }
    }

    /// Reads a key.
    pub(super) fn key(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let start = self.at;
        let key = self.text()?;
        if key.starts_with(PRIVATE) { Err(DecodeError::Malformed(start)) } else { Ok(key) }
    }

    /// Checks and passes a key.
    pub(super) fn pass_key(&mut self) -> Result<(), DecodeError> {
        let start = self.at;
        let Quoted { text, escaped } = self.quoted()?;
        let private = match escaped {
            true => unescape(text)?.starts_with(PRIVATE),
            false => text.starts_with(PRIVATE),
        };
        if private { Err(DecodeError::Malformed(start)) } else { Ok(()) }
    }

    /// Checks and passes a string.
    #[inline]
    pub(super) fn quoted(&mut self) -> Result<Quoted<'a>, DecodeError> {
        match self.plainly_quoted() {
            Some(text) => Ok(Quoted { text, escaped: false }),
            None => self.any_quoted(),
        }
    }

    /// Passes a string without escapes, if all of it is known to be UTF-8 and something follows:
    /// nearly every string of a small message is so, and they are most of it.
    #[inline]
    fn plainly_quoted(&mut self) -> Option<&'a str> {
        let text = self.window.from(self.at)?.strip_prefix('"')?;
        let (text, behind) = text.split_at_checked(plain_words(text.as_bytes()))?;
        if !behind.starts_with('"') {
            return None;
        }
        self.at += text.len() + 2;
        Some(text)
    }

    /// Passes any string.
    #[inline(never)]
    fn any_quoted(&mut self) -> Result<Quoted<'a>, DecodeError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.pass_plain();
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    let rest = self.input.get(self.at + 1..).unwrap_or_default();
                    let (_, used) = escape(rest).map_err(|error| match error {
                        DecodeError::Malformed(at) => DecodeError::Malformed(self.at + 1 + at),
                        other => other,
                    })?;
                    self.at += 1 + used;
                }
                _ => return Err(DecodeError::Malformed(self.at)),
            }
        }
        let text = self.window.text(self.input, start, self.at)?;
        self.at += 1;
        Ok(Quoted { text, escaped })
    }

    /// Moves to the next quotation mark, backslash or control character, eight bytes at a time.
    fn pass_plain(&mut self) {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let words = plain_words(rest);
        let plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
        let behind = rest.get(words..).unwrap_or_default();
        self.at += words + behind.iter().take_while(plain).count();
    }
}

/// How many bytes of `bytes` stand before the first quotation mark, backslash or control character.
/// Where there is none, up to seven at the end are left out.
#[inline]
fn plain_words(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let mut length = 0;
    for word in words {
        let marks = words::marks(u64::from_le_bytes(*word), [b'"', b'\\']);
        if marks != 0 {
            return length + usize::try_from(marks.trailing_zeros() / 8).unwrap_or(0);
        }
        length += 8;
    }
    length
}

/// The text that `text` means. Never longer than `text`.
fn unescape(text: &str) -> Result<String, DecodeError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, behind)) = rest.split_once('\\') {
        out.push_str(plain);
        let (character, used) = escape(behind.as_bytes())?;
        out.push(character);
        rest = behind.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

/// The character of the escape whose backslash stands before `input`, and the bytes it takes.
fn escape(input: &[u8]) -> Result<(char, usize), DecodeError> {
    let character = match input.first().ok_or(DecodeError::Truncated)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(input),
        _ => return Err(DecodeError::Malformed(0)),
    };
    Ok((character, 1))
}

/// `uXXXX`, or `uXXXX\uXXXX` for a character beyond U+FFFF.
fn unicode_escape(input: &[u8]) -> Result<(char, usize), DecodeError> {
    let first = hex4(input, 1)?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, 5));
    }
    for (at, wanted) in [(5, b'\\'), (6, b'u')] {
        if *input.get(at).ok_or(DecodeError::Truncated)? != wanted {
            return Err(DecodeError::Malformed(at));
        }
    }
    let second = hex4(input, 7)?;
    if !(0xd800..0xdc00).contains(&first) || !(0xdc00..0xe000).contains(&second) {
        return Err(DecodeError::Malformed(0));
    }
    let code = 0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
    Ok((char::from_u32(code).ok_or(DecodeError::Malformed(0))?, 11))
}

fn hex4(input: &[u8], from: usize) -> Result<u32, DecodeError> {
    (from..from + 4).try_fold(0, |code, at| {
        let byte = *input.get(at).ok_or(DecodeError::Truncated)?;
        let digit = char::from(byte).to_digit(16).ok_or(DecodeError::Malformed(at))?;
        Ok((code << 4) | digit)
    })
}
