//! The sealer port: authenticated encryption of one frame.

use thiserror::Error;

/// A frame could not be opened. Says nothing more, so that nothing can be learnt from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the seal does not verify")]
pub struct OpenError;

/// Authenticated encryption with associated data. Contract:
///
/// * Stateless: no counter, no clock, no window. The caller chooses every nonce and never uses
///   one twice with a key.
/// * `open` changes the buffer only when the tag verifies; else it wipes what it may have
///   written and returns [`OpenError`], in a time that does not depend on the content.
/// * Keys never reach logs: an implementation prints at most their id.
pub trait Sealer: Send + Sync {
    /// Bytes a sealed frame is longer than the plain one (the tag).
    fn overhead(&self) -> usize;

    /// Encrypts `buffer[from..]` in place under `key` and appends the tag.
    fn seal(&self, key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], buffer: &mut Vec<u8>, from: usize);

    /// Verifies and decrypts `buffer` in place and returns the plain part.
    ///
    /// # Errors
    /// [`OpenError`] when the tag does not verify or the buffer is shorter than a tag.
    fn open<'a>(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError>;
}
