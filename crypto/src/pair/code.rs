//! The code that people carry from one machine to the other.

use std::fmt;
use std::str::FromStr;

use lanc_core::ports::Entropy;
use thiserror::Error;
use zeroize::Zeroizing;

/// Digits of a code, the first two of which are no secret.
const DIGITS: usize = 9;
/// How many codes there are.
const CODES: u32 = 1_000_000_000;

/// A code, `42-483-9127`: two digits that tell several pairings of one network apart, and seven
/// that are the secret. Digits, because every keyboard and every telephone has them; seven,
/// because an attacker has one guess at each end and not more.
///
/// Good for one pairing. Wiped from memory when dropped; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PairCode(Zeroizing<[u8; DIGITS]>);

impl PairCode {
    /// A new code.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let drawn = loop {
            let mut bytes = Zeroizing::new([0; 4]);
            entropy.fill(bytes.as_mut_slice());
            let drawn = u32::from_be_bytes(*bytes);
            // Four whole ranges: every code is as likely as any other.
            if drawn < 4 * CODES {
                break drawn % CODES;
            }
        };
        let mut digits = Zeroizing::new([b'0'; DIGITS]);
        let mut rest = drawn;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        Self(digits)
    }

    /// The two digits that everybody may see.
    pub(super) fn place(&self) -> [u8; 2] {
        let [a, b, ..] = *self.0;
        [a, b]
    }

    /// What both ends must know.
    pub(super) fn secret(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl fmt::Display for PairCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, digit) in self.0.iter().enumerate() {
            let dash = if matches!(place, 2 | 5) { "-" } else { "" };
            write!(f, "{dash}{}", char::from(*digit))?;
        }
        Ok(())
    }
}

impl fmt::Debug for PairCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairCode(..)")
    }
}

/// A text is no code. The message never repeats the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "a code has {DIGITS} digits, 42-483-9127 say; type it as `lanc pair` shows it on the other machine"
)]
pub struct PairCodeError;

/// Nine digits; dashes, dots and white space between them are ignored.
impl FromStr for PairCode {
    type Err = PairCodeError;

    fn from_str(text: &str) -> Result<Self, PairCodeError> {
        let is_between = |c: &char| matches!(c, '-' | '.') || c.is_ascii_whitespace();
        let mut written = text.chars().filter(|c| !is_between(c));
        let mut digits = Zeroizing::new([0; DIGITS]);
        for place in digits.iter_mut() {
            let digit = written.next().filter(char::is_ascii_digit).ok_or(PairCodeError)?;
            *place = u8::try_from(digit).map_err(|_| PairCodeError)?;
        }
        if written.next().is_some() { Err(PairCodeError) } else { Ok(Self(digits)) }
    }
}
