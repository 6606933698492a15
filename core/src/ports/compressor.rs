//! The compressor port: a byte transform with a limit.

use thiserror::Error;

/// Compressed bytes could not be expanded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ExpandError {
    /// They are not a whole, valid compressed body.
    #[error("the compressed body is damaged")]
    Damaged,
    /// The plain body would be larger than the limit.
    #[error("the compressed body expands beyond the limit")]
    TooLarge,
}

/// One compression. Contract: output is bounded while it is produced, not afterwards; bytes
/// after the end of the body are an error; no state is kept between two bodies.
pub trait Compressor: Send + Sync {
    /// The name in a message's `compress` field, `zlib` say.
    fn name(&self) -> &'static str;

    /// The first byte of every body it makes, by which a frame is recognised.
    fn claims(&self, first: u8) -> bool;

    /// Appends the compressed form of `plain`.
    fn compress(&self, plain: &[u8], out: &mut Vec<u8>);

    /// Appends the plain form of `packed`, at most `limit` bytes of it.
    ///
    /// # Errors
    /// [`ExpandError`]; `out` is then as it was.
    fn expand(&self, packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), ExpandError>;
}
