//! AES-256-GCM: the only file that knows which library encrypts.

use lanc_core::ports::{OpenError, SessionKey, TAG};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A key ready for use: its schedule is computed once. Wiped when dropped.
///
/// What is less safe about it is that the library leaves the nonces to the core (`protocol.md`,
/// 3.15).
pub(crate) struct Aead(LessSafeKey);

impl Aead {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(schedule(key))
    }

    /// The library does not wipe what it holds. The schedule of another key takes the same place
    /// and leaves no byte of it: which parts there are depends on the processor, not on the key.
    pub(crate) fn wipe(&mut self) {
        self.0 = schedule(&[0; 32]);
        // Nobody reads it any more, so it need not be written, were it not for this.
        zeroize::optimization_barrier(&self.0);
    }
}

impl Drop for Aead {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl ZeroizeOnDrop for Aead {}

fn schedule(key: &[u8; 32]) -> LessSafeKey {
    match UnboundKey::new(&AES_256_GCM, key) {
        Ok(key) => LessSafeKey::new(key),
        // It can fail only by the key's length, and that is a constant here.
        Err(_) => unreachable!("AES-256 takes a key of 32 bytes"),
    }
}

impl SessionKey for Aead {
    fn seal(&self, nonce: &[u8; 12], aad: &[u8], buffer: &mut Vec<u8>, from: usize) {
        let text = buffer.get_mut(from..).unwrap_or_default();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        match self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), text) {
            Ok(tag) => buffer.extend_from_slice(tag.as_ref()),
            // Only above 64 GiB, which no frame has: what was not sealed must not leave.
            Err(_) => buffer.clear(),
        }
    }

    fn open<'a>(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        let (text, tag) = buffer.split_last_chunk_mut::<TAG>().ok_or(OpenError)?;
        let (nonce, tag) = (Nonce::assume_unique_for_key(*nonce), Tag::from(*tag));
        let opened = self.0.open_in_place_separate_tag(nonce, Aad::from(aad), tag, text, 0..);
        if opened.is_err() {
            // Whoever looks at it all the same finds nothing. The library decrypts before it
            // knows, and says that it cleans up; this does not depend on it.
            text.zeroize();
            return Err(OpenError);
        }
        Ok(text)
    }
}
