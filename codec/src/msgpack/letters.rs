//! Maps of letters: the forms that small messages nearly always have, each in few steps. For all
//! others there is the scanner.

use lanc_core::ports::{DecodeError, Letters, Short};

use super::scan::{Scanner, read_of};
use super::token::{behind_scalar, uint};

impl<'a> Scanner<'a> {
    /// Reads a map of letters and returns where it ends.
    #[inline]
    pub(super) fn letters(&mut self, into: &mut Letters<'a>) -> Result<usize, DecodeError> {
        let entries = self.entries()?;
        let depth = self.inner_depth()?;
        // Not in `self`, so that it need not be in memory.
        let mut rest = self.rest.0;
        for _ in 0..entries {
            rest = match self.usual_entry(rest, depth, into) {
                Some(behind) => behind,
                None => self.any_entry(rest, depth, into)?,
            };
        }
        self.rest.0 = rest;
        Ok(self.rest.at())
    }

    /// Reads a letter and its value, which have been counted, and in which at most `depth`
    /// containers may stand inside each other; what is behind them. `None`, and nothing done: the
    /// entry has no usual form, or is broken.
    #[inline(always)]
    fn usual_entry(
        &mut self,
        entry: &'a [u8],
        depth: u32,
        into: &mut Letters<'a>,
    ) -> Option<&'a [u8]> {
        let [0xa1, key @ b'a'..=b'z', value @ ..] = entry else { return None };
        if let Some((number, behind)) = uint(value) {
            into.put(*key, Short::Uint(number), read_of(value, behind));
            return Some(behind);
        }
        let (&marker, content) = value.split_first()?;
        match marker {
            0xa0..=0xbf => {
                let (text, behind) = content.split_at_checked(usize::from(marker & 0x1f))?;
                let text = std::str::from_utf8(text).ok()?;
                into.put(*key, Short::Text(text), read_of(value, behind));
                Some(behind)
            }
            0x90..=0x9f if depth > 0 => {
                let behind = self.behind_scalars(marker & 0x0f, content)?;
                let raw = read_of(value, behind);
                into.put(*key, Short::List(raw), raw);
                Some(behind)
            }
            _ => None,
        }
    }

    /// What is behind so many numbers, truth values and nothings, as arguments often are. `None`,
    /// and nothing taken from the budget, if there are others.
    #[inline(always)]
    fn behind_scalars(&mut self, count: u8, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let nodes = self.budget.nodes.checked_sub(u32::from(count))?;
        let mut rest = bytes;
        for _ in 0..count {
            rest = behind_scalar(rest)?;
        }
        self.budget.nodes = nodes;
        Some(rest)
    }

    /// The same as [`Self::usual_entry`], of whatever form.
    #[inline(never)]
    fn any_entry(
        &mut self,
        entry: &'a [u8],
        depth: u32,
        into: &mut Letters<'a>,
    ) -> Result<&'a [u8], DecodeError> {
        self.rest.0 = entry;
        let key = self.rest.key()?;
        let value = self.value(depth);
        if let [letter] = key.as_bytes() {
            match &value {
                Ok(value) => into.put(*letter, Short::of(value), value.raw),
                // Whose message it is can still be told by it.
                Err(DecodeError::TooDeep | DecodeError::TooManyValues) => {
                    into.put(*letter, Short::Null, &[])
                }
                Err(_) => {}
            }
        }
        value.map(|_| self.rest.0)
    }
}
