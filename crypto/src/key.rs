//! The master key: 32 bytes that make a group.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use lanc_core::ports::{Entropy, KeyId};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::schedule::Prk;

/// Bytes of a master key.
pub const KEY_LEN: usize = 32;

/// The secret of a group (or of a service). Whoever holds it can read, call and answer there.
///
/// Wiped from memory when dropped; never printed, `Debug` shows the key's id; compared in a time
/// that does not depend on where two keys differ.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; KEY_LEN]>);

impl MasterKey {
    /// The key of these bytes. The caller wipes its own copy.
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// A new key.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut key = Self(Zeroizing::new([0; KEY_LEN]));
        entropy.fill(key.0.as_mut_slice());
        key
    }

    /// Reads what a key file holds: 32 raw bytes, or a text as [`FromStr`] reads it.
    ///
    /// # Errors
    /// [`ParseKeyError`] says what was found.
    pub fn from_file_content(content: &[u8]) -> Result<Self, ParseKeyError> {
        if let Ok(raw) = <&[u8; KEY_LEN]>::try_from(content) {
            return Ok(Self::from_bytes(raw));
        }
        let text = std::str::from_utf8(content).map_err(|_| ParseKeyError::Bytes(content.len()))?;
        text.parse()
    }

    /// The key's name on the wire.
    pub fn key_id(&self) -> KeyId {
        Prk::from_master(&self.0).key_id()
    }

    /// The key of a service, derived from this one, the operator's. Who holds only the derived
    /// key learns nothing of this one. The name is brought to Unicode normal form C first.
    #[must_use]
    pub fn service(&self, name: &str) -> Self {
        let name: String = name.nfc().collect();
        Self(Prk::from_master(&self.0).service(&name))
    }

    /// The secret itself, to be written where it is kept.
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    pub(crate) fn prk(&self) -> Prk {
        Prk::from_master(&self.0)
    }

    #[cfg(test)]
    pub(crate) fn secret(&self) -> &Zeroizing<[u8; KEY_LEN]> {
        &self.0
    }

    pub(crate) fn from_secret(secret: Zeroizing<[u8; KEY_LEN]>) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.key_id())
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        let differ = self.0.iter().zip(other.0.iter()).fold(0, |differ, (a, b)| differ | (a ^ b));
        std::hint::black_box(differ) == 0
    }
}

impl Eq for MasterKey {}

/// A text is no key. The message never repeats the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ParseKeyError {
    /// Nothing but white space.
    #[error("there is no key in it; make one with `lanc key new FILE`")]
    Empty,
    /// So many bytes that are neither 32 nor text.
    #[error(
        "{0} bytes are no key: a key is 32 raw bytes, 64 hex digits, or 44 characters of base64; copy the file whole, or make one with `lanc key new FILE`"
    )]
    Bytes(usize),
    /// So many characters, which fit neither form.
    #[error(
        "{0} characters are no key: a key is 64 hex digits or 44 characters of base64; copy it whole. A passphrase is given as such, not as a key"
    )]
    Length(usize),
    /// The length is right, a character is not.
    #[error(
        "a character does not belong in a key of {0} characters: 64 are hex digits (0-9 a-f), 43 or 44 are base64 (A-Z a-z 0-9 + / =); copy it again"
    )]
    Character(usize),
}

/// 64 hex digits, or base64 (standard alphabet, with or without `=`). White space anywhere is
/// ignored.
impl FromStr for MasterKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let squeezed: Zeroizing<Vec<u8>> =
            Zeroizing::new(text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
        let mut key = Self(Zeroizing::new([0; KEY_LEN]));
        let length = squeezed.len();
        let read = match length {
            0 => return Err(ParseKeyError::Empty),
            64 => read_hex(&squeezed, &mut key.0),
            43 => read_base64(&STANDARD_NO_PAD, &squeezed, &mut key.0),
            44 => read_base64(&STANDARD, &squeezed, &mut key.0),
            _ => return Err(ParseKeyError::Length(text.chars().count())),
        };
        read.map_or(Err(ParseKeyError::Character(length)), |()| Ok(key))
    }
}

fn read_hex(digits: &[u8], into: &mut [u8; KEY_LEN]) -> Option<()> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    let (pairs, _) = digits.as_chunks::<2>();
    for (place, [high, low]) in into.iter_mut().zip(pairs) {
        *place = value(*high)? << 4 | value(*low)?;
    }
    Some(())
}

fn read_base64(engine: &impl Engine, text: &[u8], into: &mut [u8; KEY_LEN]) -> Option<()> {
    let mut decoded = Zeroizing::new([0; KEY_LEN + 4]);
    let length = engine.decode_slice(text, decoded.as_mut_slice()).ok()?;
    into.copy_from_slice(decoded.get(..length).filter(|bytes| bytes.len() == KEY_LEN)?);
    Some(())
}
