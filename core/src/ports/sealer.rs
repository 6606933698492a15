//! The sealer port: keys that a group shares, and authenticated encryption of one frame.
//!
//! All that has a state, counters, tokens and windows, is the core's (`wire/sessions`).

use std::fmt;
use std::ops::Range;

use thiserror::Error;

/// Bytes that sealing adds behind the plain ones.
pub const TAG: usize = 16;

/// Names a key without telling of it: these bytes stand before every frame sealed under it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A frame could not be opened. Says nothing more, so that nothing can be learnt from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the seal does not verify")]
pub struct OpenError;

/// A key that a group of nodes shares. Contract:
///
/// * Equal secrets have equal ids and make equal session keys; no id tells of its secret.
/// * The secret never reaches logs: an implementation prints at most the id.
pub trait GroupKey: fmt::Debug + Send + Sync {
    /// The key's name on the wire.
    fn id(&self) -> KeyId;

    /// The key of one sender's session in one epoch of its counter.
    fn session(&self, session: &[u8; 16], epoch: u32) -> Box<dyn SessionKey>;
}

/// Authenticated encryption with associated data under one key. Contract:
///
/// * Stateless: no counter, no clock, no window. The caller chooses every nonce and never uses
///   one twice with a key.
/// * What is sealed does not depend on where it stands: [`Self::seal_with_tail`] seals to the same
///   bytes as [`Self::seal`], and what either has sealed opens by [`Self::open`] as by
///   [`Self::open_into`].
/// * Opening leaves nothing plain behind when the tag does not verify, and takes a time that does
///   not depend on the content.
/// * Nothing allocates, but for room in the buffer that is sealed. The methods that are given here
///   may: they are for keys that are not in a hurry.
pub trait SessionKey: Send + Sync {
    /// Encrypts `buffer[from..]` in place and appends the tag. `from` is at most the length.
    fn seal(&self, nonce: &[u8; 12], aad: &[u8], buffer: &mut Vec<u8>, from: usize);

    /// Like [`Self::seal`] of `buffer[plain]` and `tail` behind it, without `tail` being copied
    /// first. What the buffer holds behind `plain` means nothing, and is room for what is to stand
    /// there: the buffer ends with the tag then. `plain` begins and ends within the buffer.
    fn seal_with_tail(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &mut Vec<u8>,
        plain: Range<usize>,
        tail: &[u8],
    ) {
        buffer.truncate(plain.end);
        buffer.extend_from_slice(tail);
        self.seal(nonce, aad, buffer, plain.start);
    }

    /// Verifies and decrypts `buffer`, which ends with the tag, in place, and returns the plain
    /// part.
    ///
    /// # Errors
    /// [`OpenError`] when the tag does not verify or the buffer is shorter than a tag.
    fn open<'a>(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError>;

    /// Like [`Self::open`], but `sealed` stays as it is and the plain part is written to `out`,
    /// which is [`TAG`] bytes shorter.
    ///
    /// # Errors
    /// [`OpenError`] when the tag does not verify or `out` has another length. What `out` held may
    /// be lost then, and nothing plain is in it.
    fn open_into(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<(), OpenError> {
        let mut copy = sealed.to_vec();
        let plain = self.open(nonce, aad, &mut copy)?;
        if plain.len() != out.len() {
            return Err(OpenError);
        }
        out.copy_from_slice(plain);
        Ok(())
    }
}
