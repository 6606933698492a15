//! Numbers of JSON.

use lanc_core::ports::{DecodeError, Item};

use super::scan::Scanner;

/// Numbers without an exponent and no longer than this are in the range of `f64`.
const SURELY_FINITE: usize = 300;

/// Numbers of so many digits are in the range of `i64`.
const SURELY_WHOLE: usize = 18;

/// What the characters of a number say about it.
struct Shape {
    start: usize,
    negative: bool,
    /// The digits before the point, where they fit.
    magnitude: Option<u64>,
    fraction: bool,
    exponent: bool,
}

impl<'a> Scanner<'a> {
    /// Reads a number.
    pub(super) fn number(&mut self) -> Result<Item<'a>, DecodeError> {
        if let Some(whole) = self.small_whole() {
            return Ok(Item::Int(whole));
        }
        let shape = self.shape()?;
        if let (false, false, Some(magnitude)) = (shape.fraction, shape.exponent, shape.magnitude) {
            if !shape.negative {
                return Ok(i64::try_from(magnitude).map_or(Item::Uint(magnitude), Item::Int));
            }
            // A negative zero is only kept by a float.
            if let (1.., Some(number)) = (magnitude, 0_i64.checked_sub_unsigned(magnitude)) {
                return Ok(Item::Int(number));
            }
        }
        self.float(shape.start).map(Item::Float)
    }

    /// Checks and passes a number.
    pub(super) fn pass_number(&mut self) -> Result<(), DecodeError> {
        if self.small_whole().is_some() {
            return Ok(());
        }
        let shape = self.shape()?;
        if shape.exponent || self.since(shape.start).len() > SURELY_FINITE {
            self.float(shape.start)?;
        }
        Ok(())
    }

    /// Reads nothing but digits, and not too many of them: most numbers are so.
    #[inline]
    fn small_whole(&mut self) -> Option<i64> {
        let here = self.input.get(self.at..)?;
        let (mut value, mut count) = (0_i64, 0);
        for byte in here.iter().take(SURELY_WHOLE + 1) {
            match byte {
                b'0'..=b'9' => value = value.wrapping_mul(10).wrapping_add(i64::from(byte - b'0')),
                b'.' | b'e' | b'E' => return None,
                _ => break,
            }
            count += 1;
        }
        let many = if here.first() == Some(&b'0') { 2 } else { SURELY_WHOLE + 1 };
        if !(1..many).contains(&count) {
            return None;
        }
        self.at += count;
        Some(value)
    }

    fn shape(&mut self) -> Result<Shape, DecodeError> {
        let start = self.at;
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let magnitude = if self.peek()? == b'0' {
            self.at += 1;
            Some(0)
        } else {
            self.digits()?
        };
        let fraction = self.input.get(self.at) == Some(&b'.');
        if fraction {
            self.at += 1;
            self.digits()?;
        }
        let exponent = matches!(self.input.get(self.at), Some(b'e' | b'E'));
        if exponent {
            self.at += 1;
            self.at += usize::from(matches!(self.peek()?, b'+' | b'-'));
            self.digits()?;
        }
        Ok(Shape { start, negative, magnitude, fraction, exponent })
    }

    /// Passes one digit or more; their value, where it fits.
    fn digits(&mut self) -> Result<Option<u64>, DecodeError> {
        if !self.peek()?.is_ascii_digit() {
            return Err(DecodeError::Malformed(self.at));
        }
        let mut value = Some(0_u64);
        while let Some(digit @ b'0'..=b'9') = self.input.get(self.at) {
            let digit = u64::from(digit - b'0');
            value = value.and_then(|value| value.checked_mul(10)?.checked_add(digit));
            self.at += 1;
        }
        Ok(value)
    }

    fn float(&self, start: usize) -> Result<f64, DecodeError> {
        std::str::from_utf8(self.since(start))
            .ok()
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|number| number.is_finite())
            .ok_or(DecodeError::Number)
    }
}
