//! The smallest pieces: a marker byte and what belongs to it.

use lanc_core::ports::{DecodeError, Short, Shorts};

/// A value without what stands inside it.
#[derive(Clone, Copy)]
pub(super) enum Token<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// So many values follow.
    List(u32),
    /// So many keys, each with a value, follow.
    Map(u32),
}

/// The text of one ASCII letter.
#[inline]
fn one_letter(letter: u8) -> Option<&'static str> {
    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
    let place = usize::from(letter.checked_sub(b'a')?);
    LETTERS.get(place..place + 1)
}

/// A whole number that is not below zero and stands in a form for such, and what is behind it.
#[inline(always)]
pub(super) fn uint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&marker, behind) = bytes.split_first()?;
    Some(match marker {
        0x00..=0x7f => (u64::from(marker), behind),
        0xcc => behind.split_first().map(|(byte, behind)| (u64::from(*byte), behind))?,
        0xcd => {
            let (bytes, behind) = behind.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*bytes)), behind)
        }
        0xce => {
            let (bytes, behind) = behind.split_first_chunk()?;
            (u64::from(u32::from_be_bytes(*bytes)), behind)
        }
        0xcf => {
            let (bytes, behind) = behind.split_first_chunk()?;
            (u64::from_be_bytes(*bytes), behind)
        }
        _ => return None,
    })
}

/// Of how many bytes a value that begins with this one consists, if it is a number, a truth value
/// or nothing; 0 for all others.
const SCALARS: [u8; 256] = {
    let mut lengths = [0; 256];
    let mut places = lengths.as_mut_slice();
    let mut marker = 0_u16;
    while let [place, others @ ..] = places {
        *place = match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => 1,
            0xcc | 0xd0 => 2,
            0xcd | 0xd1 => 3,
            0xca | 0xce | 0xd2 => 5,
            0xcb | 0xcf | 0xd3 => 9,
            _ => 0,
        };
        places = others;
        marker += 1;
    }
    lengths
};

/// What is behind a number, a truth value or nothing. `None`: another value is next, or the input
/// ends.
#[inline(always)]
pub(super) fn behind_scalar(bytes: &[u8]) -> Option<&[u8]> {
    let length = *SCALARS.get(usize::from(*bytes.first()?))?;
    bytes.get(usize::from(length)..).filter(|_| length > 0)
}

/// The bytes that have not been read yet, and how many there were at first.
pub(super) struct Rest<'a>(pub(super) &'a [u8], pub(super) usize);

impl<'a> Rest<'a> {
    /// How many bytes have been read.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.1.saturating_sub(self.0.len())
    }

    /// Reads the next token.
    #[inline(always)]
    pub(super) fn token(&mut self) -> Result<Token<'a>, DecodeError> {
        let (&marker, behind) = self.0.split_first().ok_or(DecodeError::Truncated)?;
        match marker {
            0x00..=0x7f => {
                self.0 = behind;
                Ok(Token::Int(i64::from(marker)))
            }
            0xa0..=0xbf => {
                self.0 = behind;
                self.text(usize::from(marker & 0x1f)).map(Token::Text)
            }
            _ => self.other(marker, behind),
        }
    }

    /// Reads a key: of one letter, as those of a lean message are, or any other text.
    #[inline(always)]
    pub(super) fn key(&mut self) -> Result<&'a str, DecodeError> {
        if let [0xa1, letter, behind @ ..] = self.0
            && let Some(key) = one_letter(*letter)
        {
            self.0 = behind;
            return Ok(key);
        }
        match self.token()? {
            Token::Text(key) => Ok(key),
            _ => Err(DecodeError::WrongType),
        }
    }

    /// Reads a whole number if one is next that is not below zero and stands in a form for such.
    #[inline(always)]
    pub(super) fn uint(&mut self) -> Option<u64> {
        let (number, behind) = uint(self.0)?;
        self.0 = behind;
        Some(number)
    }

    /// Reads the beginning of a list of at most 15 items if that is next; how many it has.
    #[inline(always)]
    pub(super) fn short_list(&mut self) -> Option<u8> {
        let (marker @ 0x90..=0x9f, behind) = self.0.split_first()? else { return None };
        self.0 = behind;
        Some(marker & 0x0f)
    }

    /// See [`Codec::read_shorts`](lanc_core::ports::Codec::read_shorts).
    pub(super) fn shorts(&mut self, into: &mut [Short<'a>]) -> Option<Shorts> {
        let (places, shape) = match self.short_list().map(usize::from) {
            Some(count) => (into.get_mut(..count)?, Shorts::List(count)),
            None => (into.get_mut(..1)?, Shorts::One),
        };
        for place in places {
            *place = self.plain()?;
        }
        self.0.is_empty().then_some(shape)
    }

    /// Reads a value that is a number, a truth value or text.
    #[inline]
    fn plain(&mut self) -> Option<Short<'a>> {
        if let Some(number) = self.uint() {
            return Some(Short::Uint(number));
        }
        match self.token().ok()? {
            Token::Bool(is) => Some(Short::Bool(is)),
            Token::Int(number @ ..0) => Some(Short::Int(number)),
            Token::Int(number) => u64::try_from(number).ok().map(Short::Uint),
            Token::Text(text) => Some(Short::Text(text)),
            _ => None,
        }
    }

    /// Reads a token that is no short text.
    fn other(&mut self, marker: u8, behind: &'a [u8]) -> Result<Token<'a>, DecodeError> {
        let begin = self.at();
        self.0 = behind;
        Ok(match marker {
            0x80..=0x8f => Token::Map(u32::from(marker & 0x0f)),
            0x90..=0x9f => Token::List(u32::from(marker & 0x0f)),
            0xc0 => Token::Nil,
            0xc1 => return Err(DecodeError::Malformed(begin)),
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            0xe0..=0xff => Token::Int(i64::from(i8::from_be_bytes([marker]))),
            _ => return self.wide(marker),
        })
    }

    /// What has its size or its value behind the marker.
    fn wide(&mut self, marker: u8) -> Result<Token<'a>, DecodeError> {
        Ok(match marker {
            0xc4 => self.length1().and_then(|length| self.bytes(length))?,
            0xc5 => self.length2().and_then(|length| self.bytes(length))?,
            0xc6 => self.length4().and_then(|length| self.bytes(length))?,
            0xc7 => self.length1().and_then(|length| self.extension(length))?,
            0xc8 => self.length2().and_then(|length| self.extension(length))?,
            0xc9 => self.length4().and_then(|length| self.extension(length))?,
            0xca => Token::Float(f64::from(f32::from_be_bytes(self.array()?))),
            0xcb => Token::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Token::Int(i64::from(u8::from_be_bytes(self.array()?))),
            0xcd => Token::Int(i64::from(u16::from_be_bytes(self.array()?))),
            0xce => Token::Int(i64::from(u32::from_be_bytes(self.array()?))),
            0xcf => {
                let number = u64::from_be_bytes(self.array()?);
                i64::try_from(number).map_or(Token::Uint(number), Token::Int)
            }
            0xd0 => Token::Int(i64::from(i8::from_be_bytes(self.array()?))),
            0xd1 => Token::Int(i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => Token::Int(i64::from(i32::from_be_bytes(self.array()?))),
            0xd3 => Token::Int(i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4))?,
            0xd9 => self.length1().and_then(|length| self.text(length)).map(Token::Text)?,
            0xda => self.length2().and_then(|length| self.text(length)).map(Token::Text)?,
            0xdb => self.length4().and_then(|length| self.text(length)).map(Token::Text)?,
            0xdc => Token::List(u32::from(u16::from_be_bytes(self.array()?))),
            0xdd => Token::List(u32::from_be_bytes(self.array()?)),
            0xde => Token::Map(u32::from(u16::from_be_bytes(self.array()?))),
            // 0xdf; every other marker was taken above.
            _ => Token::Map(u32::from_be_bytes(self.array()?)),
        })
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, behind) = self.0.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.0 = behind;
        Ok(taken)
    }

    #[inline]
    pub(super) fn text(&mut self, length: usize) -> Result<&'a str, DecodeError> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| DecodeError::Text)
    }

    fn bytes(&mut self, length: usize) -> Result<Token<'a>, DecodeError> {
        self.take(length).map(Token::Bytes)
    }

    /// A byte that says which type, then `length` bytes.
    fn extension(&mut self, length: usize) -> Result<Token<'a>, DecodeError> {
        self.take(1)?;
        self.bytes(length)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (array, behind) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = behind;
        Ok(*array)
    }

    #[inline]
    fn length1(&mut self) -> Result<usize, DecodeError> {
        self.array().map(|array| usize::from(u8::from_be_bytes(array)))
    }

    fn length2(&mut self) -> Result<usize, DecodeError> {
        self.array().map(|array| usize::from(u16::from_be_bytes(array)))
    }

    fn length4(&mut self) -> Result<usize, DecodeError> {
        // Where memory is smaller than the length, so is the input.
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| DecodeError::Truncated)
    }
}
