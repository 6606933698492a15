//! The text that Python's `repr` makes of a dictionary, turned into JSON.
//!
//! The published package sends `str(dict)`: strings in either quote, `None`, `True` and `False`,
//! tuples, and whatever else a function was given or returned.

mod rewrite;
mod string;
#[cfg(test)]
mod tests;

use lanc_core::ports::{DecodeError, Normalizer};

/// Reads frames written as Python literals.
///
/// | Python | JSON |
/// |---|---|
/// | `'text'`, `"text"` | text; a surrogate becomes U+FFFD |
/// | `None`, `True`, `False` | `null`, `true`, `false` |
/// | tuples and lists | lists |
/// | `inf`, `-inf`, `nan` | `null`: JSON has no other word for them |
/// | `b'bytes'` | a list of numbers |
/// | a key that is a number or a word | the same as text |
///
/// Sets and the texts of other objects are no values here: the frame is malformed.
#[derive(Clone, Copy, Debug, Default)]
pub struct PythonText;

impl PythonText {
    /// How many containers may stand inside each other.
    pub const MAX_DEPTH: usize = 100;
}

impl Normalizer for PythonText {
    /// A dictionary whose first key stands in apostrophes: JSON has none there.
    fn claims(&self, frame: &[u8]) -> bool {
        let Some((b'{', rest)) = frame.split_first() else { return false };
        let white = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        rest.iter().find(|byte| !white(byte)) == Some(&b'\'')
    }

    fn normalize(&self, frame: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let text = std::str::from_utf8(frame).map_err(|_| DecodeError::Text)?;
        rewrite::rewrite(text, limit, out)
    }
}
