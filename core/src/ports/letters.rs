//! What small messages are made of: maps whose keys are letters.

use super::Short;

/// How many letters there are, `a` to `z`.
const COUNT: usize = 26;

/// The values of a map of letters that was read, each with the bytes it stood in. Other keys mean
/// nothing; of a letter that comes twice the last one counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Letters<'a> {
    places: [Option<(Short<'a>, &'a [u8])>; COUNT],
}

impl<'a> Letters<'a> {
    /// Puts down the value of a key, and the bytes it stood in.
    #[inline(always)]
    pub fn put(&mut self, key: u8, value: Short<'a>, raw: &'a [u8]) {
        if let Some(place) = self.places.get_mut(usize::from(key.wrapping_sub(b'a'))) {
            *place = Some((value, raw));
        }
    }

    /// The value of a letter.
    #[inline(always)]
    pub fn get(&self, letter: u8) -> Option<Short<'a>> {
        self.place(letter).map(|(value, _)| value)
    }

    /// The bytes in which the value of a letter stood.
    #[inline(always)]
    pub fn raw(&self, letter: u8) -> Option<&'a [u8]> {
        self.place(letter).map(|(_, raw)| raw)
    }

    #[inline(always)]
    fn place(&self, letter: u8) -> Option<(Short<'a>, &'a [u8])> {
        *self.places.get(usize::from(letter.wrapping_sub(b'a')))?
    }
}
