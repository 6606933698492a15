//! The normalizer port: what an older program writes, turned into what a codec reads.

use crate::ports::DecodeError;

/// One foreign way of writing a frame's values. Contract:
///
/// * Lexical and iterative: tokens are replaced by tokens, nothing is built, and stack use does
///   not depend on the input.
/// * Output is bounded while it is produced, not afterwards.
/// * Any input gives text or a [`DecodeError`]. The text need not be valid in the codec's format:
///   the codec checks it as it checks any frame.
pub trait Normalizer: Send + Sync {
    /// Whether a frame that begins like this one is written that way. No frame of a codec's own
    /// format may be claimed.
    fn claims(&self, frame: &[u8]) -> bool;

    /// Appends the frame in the codec's format, at most `limit` bytes of it.
    ///
    /// # Errors
    /// [`DecodeError`]; what was appended so far means nothing.
    fn normalize(&self, frame: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), DecodeError>;
}
