//! Ids and tokens as text and back, without the machinery of `fmt`: each message has several.

use std::borrow::Cow;

use crate::hex;
use crate::id::{ExeId, SessionId};
use crate::ports::Item;

/// Room for the longest [`ExeId`].
const LONGEST: usize = 16 + 1 + 20 + 1 + 8;

/// The text of an id or a token, without a heap.
pub(super) struct Short {
    bytes: [u8; LONGEST],
    count: usize,
}

impl Short {
    /// As it is displayed.
    pub(super) fn exe_id(id: &ExeId) -> Self {
        let mut short = Self::hex(id.session);
        short.push(b".");
        short.push_decimal(id.number);
        short.push(b".");
        short.push(&hex::written(id.random));
        short
    }

    /// As it is displayed.
    pub(super) fn session(id: SessionId) -> Self {
        let mut short = Self::hex(id.short());
        let [.., a, b, c, d, e, f, g, h] = id.0;
        short.push_hex(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        short
    }

    /// Sixteen digits.
    pub(super) fn hex(number: u64) -> Self {
        let mut short = Self { bytes: [0; LONGEST], count: 0 };
        short.push_hex(number);
        short
    }

    pub(super) fn item(&self) -> Item<'_> {
        let bytes = self.bytes.get(..self.count).unwrap_or_default();
        Item::Text(Cow::Borrowed(std::str::from_utf8(bytes).unwrap_or_default()))
    }

    fn push_hex(&mut self, number: u64) {
        let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
        self.push(&hex::written(u32::from_be_bytes([a, b, c, d])));
        self.push(&hex::written(u32::from_be_bytes([e, f, g, h])));
    }

    fn push_decimal(&mut self, number: u64) {
        let mut digits = [0; 20];
        let (mut rest, mut count) = (number, 0);
        for place in digits.iter_mut().rev() {
            *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            (rest, count) = (rest / 10, count + 1);
            if rest == 0 {
                break;
            }
        }
        self.push(digits.get(digits.len() - count..).unwrap_or_default());
    }

    #[inline]
    fn push(&mut self, text: &[u8]) {
        let end = self.count + text.len();
        let place = self.bytes.get_mut(self.count..end);
        debug_assert!(place.is_some(), "longer than any id");
        if let Some(place) = place {
            place.copy_from_slice(text);
            self.count = end;
        }
    }
}

/// Reads sixteen digits, of whichever case.
pub(super) fn read_hex64(text: &str) -> Option<u64> {
    hex::read::<16>(text.as_bytes().try_into().ok()?, hex::UPPER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(short: &Short) -> String {
        short.item().into_text().unwrap().into_owned()
    }

    #[test]
    fn ids_and_tokens_are_written_as_displayed() {
        let numbers = [0, 1, 9, 10, 0x9f2c_4e1a, 0x0123_4567_89ab_cdef, u64::MAX / 10, u64::MAX];
        for number in numbers.into_iter().chain((0..64).map(|bits| 1 << bits)) {
            let random = u32::try_from(number & 0xffff_ffff).unwrap();
            let id = ExeId { session: number.rotate_left(9), number, random };
            assert_eq!(written(&Short::exe_id(&id)), id.to_string());

            let text = format!("{number:016x}");
            assert_eq!(written(&Short::hex(number)), text);
            assert_eq!(read_hex64(&text), Some(number));
            assert_eq!(read_hex64(&text.to_uppercase()), Some(number));

            let bytes = (u128::from(number) << 40 | 0xfe).to_be_bytes();
            assert_eq!(written(&Short::session(SessionId(bytes))), SessionId(bytes).to_string());
        }
    }

    #[test]
    fn a_token_is_sixteen_digits_of_either_case() {
        for byte in 0..=u8::MAX {
            let text = format!("012345678{}abcdef", char::from(byte));
            let expected =
                byte.is_ascii_hexdigit().then(|| u64::from_str_radix(&text, 16).unwrap());
            assert_eq!(read_hex64(&text), expected, "{text}");
        }
        for wrong in ["", "0", "+00000000000000f", "00000000000000000"] {
            assert_eq!(read_hex64(wrong), None, "{wrong}");
        }
    }
}
