//! Hexadecimal digits, without the machinery of `fmt`: each message in JSON has several ids.

/// The eight digits of a number, all of them at once: each half of a byte becomes a byte.
pub(crate) fn written(number: u32) -> [u8; 8] {
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

/// At most 16 digits, each of which is in [`DIGITS`] with no bit but those of `cases`.
pub(crate) fn read<const N: usize>(text: &[u8; N], cases: u8) -> Option<u64> {
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
pub(crate) const LOWER: u8 = 0x0f;
/// The same and that of an upper-case letter.
pub(crate) const UPPER: u8 = 0x1f;
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
