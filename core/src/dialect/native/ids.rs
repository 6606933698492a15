//! Ids and tokens as text and back, without the machinery of `fmt`: each message has several.

use std::borrow::Cow;

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
        short.push(&hex(id.random));
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
        self.push(&hex(u32::from_be_bytes([a, b, c, d])));
        self.push(&hex(u32::from_be_bytes([e, f, g, h])));
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

/// The eight digits of a number, all of them at once: each half of a byte becomes a byte.
fn hex(number: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let halves = u64::from(number);
    let halves = (halves | halves << 16) & 0x0000_ffff_0000_ffff;
    let halves = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    let halves = (halves | halves << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // One where ten and more are written as a letter.
    let letters = ((halves + ONES * 6) >> 4) & ONES;
    let to_letter = u64::from(b'a' - b'0' - 10);
    (halves + ONES * u64::from(b'0') + letters * to_letter).to_be_bytes()
}

/// Reads what [`Short::exe_id`] writes, and nothing else: an id is echoed byte for byte.
pub(super) fn read_exe_id(text: &str) -> Option<ExeId> {
    let (session, rest) = text.as_bytes().split_first_chunk::<16>()?;
    let (rest, random) = rest.split_last_chunk::<8>()?;
    let [b'.', number @ .., b'.'] = rest else { return None };
    Some(ExeId {
        session: read_hex(session, LOWER)?,
        number: read_decimal(number)?,
        random: u32::try_from(read_hex(random, LOWER)?).ok()?,
    })
}

/// Reads sixteen digits, of whichever case.
pub(super) fn read_hex64(text: &str) -> Option<u64> {
    read_hex::<16>(text.as_bytes().try_into().ok()?, UPPER)
}

/// Without a zero in front.
fn read_decimal(text: &[u8]) -> Option<u64> {
    if matches!(text, [] | [b'0', ..]) {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// At most 16 digits, each of which is in [`DIGITS`] with no bit but those of `cases`.
fn read_hex<const N: usize>(text: &[u8; N], cases: u8) -> Option<u64> {
    const { assert!(N <= 16) };
    let (mut number, mut seen) = (0_u64, 0);
    for byte in text {
        let digit = DIGITS.get(usize::from(*byte)).copied().unwrap_or(NONE);
        seen |= digit;
        number = (number << 4) | u64::from(digit & 0xf);
    }
    (seen & !cases == 0).then_some(number)
}

/// The bits of a digit's value.
const LOWER: u8 = 0x0f;
/// The same and that of an upper-case letter.
const UPPER: u8 = 0x1f;
const NONE: u8 = 0x80;

/// What each byte means as a hex digit.
static DIGITS: [u8; 256] = {
    let mut digits = [NONE; 256];
    let (mut rest, mut byte) = (digits.as_mut_slice(), 0_u8);
    while let Some((place, behind)) = rest.split_first_mut() {
        *place = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => (byte - b'A' + 10) | 0x10,
            _ => NONE,
        };
        (rest, byte) = (behind, byte.wrapping_add(1));
    }
    digits
};

#[cfg(test)]
mod tests {
    use super::*;

    fn written(short: &Short) -> String {
        short.item().into_text().unwrap().into_owned()
    }

    #[test]
    fn ids_and_tokens_are_written_as_displayed_and_read_back() {
        let numbers = [0, 1, 9, 10, 0x9f2c_4e1a, 0x0123_4567_89ab_cdef, u64::MAX / 10, u64::MAX];
        for number in numbers.into_iter().chain((0..64).map(|bits| 1 << bits)) {
            let random = u32::try_from(number & 0xffff_ffff).unwrap();
            let id = ExeId { session: number.rotate_left(9), number, random };
            assert_eq!(written(&Short::exe_id(&id)), id.to_string());
            assert_eq!(read_exe_id(&id.to_string()), id.to_string().parse().ok(), "{id}");

            let text = format!("{number:016x}");
            assert_eq!(written(&Short::hex(number)), text);
            assert_eq!(read_hex64(&text), Some(number));
            assert_eq!(read_hex64(&text.to_uppercase()), Some(number));

            let bytes = (u128::from(number) << 40 | 0xfe).to_be_bytes();
            assert_eq!(written(&Short::session(SessionId(bytes))), SessionId(bytes).to_string());
        }
    }

    #[test]
    fn other_text_is_read_as_the_api_reads_it() {
        let good = "1011a21314151617.18446744073709551615.9f2c4e1a";
        assert!(read_exe_id(good).is_some());
        let cut = (0..good.len()).flat_map(|at| [&good[at..], &good[..at]]);
        let cut: Vec<_> = cut.map(str::to_owned).collect();
        let changed = (0..good.len()).flat_map(|at| {
            ["", "0", "9", "g", "A", ".", "-", "+", " ", "\0", "ä"].map(|other| {
                let (before, behind) = good.split_at(at);
                format!("{before}{other}{}", &behind[1..])
            })
        });
        let others = ["1011a21314151617..9f2c4e1a", "1011a21314151617.9f2c4e1a", "ä"];
        for text in cut.into_iter().chain(changed).chain(others.map(str::to_owned)) {
            assert_eq!(read_exe_id(&text), text.parse().ok(), "{text}");
        }
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
