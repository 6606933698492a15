//! Eight bytes of text at once.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES << 7;

/// The high bit of each byte that is one of `marked` or a control character below 0x20. A borrow may
/// also mark bytes above the lowest such byte; the lowest mark is exact, and so is none.
#[inline]
pub(super) fn marks<const N: usize>(word: u64, marked: [u8; N]) -> u64 {
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    let all = marked.into_iter().fold(controls, |all, byte| {
        let word = word ^ (ONES * u64::from(byte));
        all | (word.wrapping_sub(ONES) & !word)
    });
    all & HIGH
}

/// A word of fewer than eight bytes, some of them twice, and of spaces.
#[inline]
pub(super) fn filled(bytes: &[u8]) -> u64 {
    const SPACES: u64 = ONES * 0x20;
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    bytes.iter().fold(SPACES, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKED: [u8; 3] = [b'"', b'\'', 0x7f];

    fn is_special(byte: &u8) -> bool {
        *byte < 0x20 || MARKED.contains(byte)
    }

    #[test]
    fn the_lowest_mark_is_that_of_the_first_special_byte() {
        for place in 0..8 {
            for (byte, other) in (0..=u8::MAX).flat_map(|byte| [(byte, b'~'), (byte, byte ^ 1)]) {
                let mut word = [b' '; 8];
                word[place] = byte;
                word[7 - place / 2] = other;
                let expected = word.iter().position(is_special);
                let marks = marks(u64::from_le_bytes(word), MARKED);
                let first = Some(marks.trailing_zeros() / 8).filter(|_| marks != 0);
                assert_eq!(first, expected.map(|at| u32::try_from(at).unwrap()), "{word:?}");
            }
        }
    }

    #[test]
    fn a_filled_word_is_marked_if_one_of_its_bytes_is() {
        for length in 0..8 {
            let text = &b"abcdefg"[..length];
            assert_eq!(marks(filled(text), MARKED), 0);
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = text.to_vec();
                    text[place] = byte;
                    assert_eq!(marks(filled(&text), MARKED) != 0, is_special(&byte), "{text:?}");
                }
            }
        }
    }
}
