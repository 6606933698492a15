//! AES-256-GCM: the only file that knows which library encrypts.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use lanc_core::ports::{OpenError, SessionKey, TAG};
use zeroize::Zeroize;

/// A key ready for use: its schedule is computed once. Wiped when dropped.
pub(crate) struct Aead(pub(crate) Aes256Gcm);

impl Aead {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }
}

impl SessionKey for Aead {
    fn seal(&self, nonce: &[u8; 12], aad: &[u8], buffer: &mut Vec<u8>, from: usize) {
        let text = buffer.get_mut(from..).unwrap_or_default();
        let sealed = self.0.encrypt_inout_detached(&Nonce::from(*nonce), aad, InOutBuf::from(text));
        match sealed {
            Ok(tag) => buffer.extend_from_slice(&tag),
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
        let sealed = InOutBuf::from(&mut *text);
        let opened =
            self.0.decrypt_inout_detached(&Nonce::from(*nonce), aad, sealed, &Tag::from(*tag));
        if opened.is_err() {
            // Whoever looks at it all the same finds nothing.
            text.zeroize();
            return Err(OpenError);
        }
        Ok(text)
    }
}
