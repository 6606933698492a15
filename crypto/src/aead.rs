//! AES-256-GCM: the only file that knows which library encrypts.

use std::ops::Range;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use lanc_core::ports::{OpenError, SessionKey, TAG};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A key ready for use: its schedule is computed once. Wiped when dropped: the library overwrites
/// whatever memory it gives back.
///
/// What is less safe about it is that the library leaves the nonces to the core (`protocol.md`,
/// 3.15).
pub(crate) struct Aead(LessSafeKey);

impl Aead {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        match UnboundKey::new(&AES_256_GCM, key) {
            Ok(key) => Self(LessSafeKey::new(key)),
            // It can fail only by the key's length, and that is a constant here.
            Err(_) => unreachable!("AES-256 takes a key of 32 bytes"),
        }
    }
}

impl ZeroizeOnDrop for Aead {}

fn nonce(bytes: &[u8; 12]) -> Nonce {
    Nonce::assume_unique_for_key(*bytes)
}

impl SessionKey for Aead {
    fn seal(&self, nonce_bytes: &[u8; 12], aad: &[u8], buffer: &mut Vec<u8>, from: usize) {
        let text = buffer.get_mut(from..).unwrap_or_default();
        match self.0.seal_in_place_separate_tag(nonce(nonce_bytes), Aad::from(aad), text) {
            Ok(tag) => buffer.extend_from_slice(tag.as_ref()),
            // Only above 64 GiB, which no frame has: what was not sealed must not leave.
            Err(_) => buffer.clear(),
        }
    }

    fn seal_with_tail(
        &self,
        nonce_bytes: &[u8; 12],
        aad: &[u8],
        buffer: &mut Vec<u8>,
        plain: Range<usize>,
        tail: &[u8],
    ) {
        // Only what is new is filled with zeros.
        buffer.resize(plain.end.saturating_add(tail.len()).saturating_add(TAG), 0);
        let sealed = buffer.split_at_mut_checked(plain.end).and_then(|(here, behind)| {
            let here = here.get_mut(plain.start..)?;
            let (nonce, aad) = (nonce(nonce_bytes), Aad::from(aad));
            self.0.seal_in_place_scatter(nonce, aad, here, tail, behind).ok()
        });
        if sealed.is_none() {
            buffer.clear();
        }
    }

    fn open<'a>(
        &self,
        nonce_bytes: &[u8; 12],
        aad: &[u8],
        buffer: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        let (text, tag) = buffer.split_last_chunk_mut::<TAG>().ok_or(OpenError)?;
        let (nonce, aad) = (nonce(nonce_bytes), Aad::from(aad));
        if self.0.open_in_place_separate_tag(nonce, aad, &*tag, text).is_err() {
            // Whoever looks at it all the same finds nothing. The library decrypts before it
            // knows, and cleans up; this does not depend on it.
            text.zeroize();
            return Err(OpenError);
        }
        Ok(text)
    }

    fn open_into(
        &self,
        nonce_bytes: &[u8; 12],
        aad: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<(), OpenError> {
        let (text, tag) = sealed.split_last_chunk::<TAG>().ok_or(OpenError)?;
        if text.len() != out.len() {
            return Err(OpenError);
        }
        let (nonce, aad) = (nonce(nonce_bytes), Aad::from(aad));
        self.0.open_separate_gather(nonce, aad, text, tag, out).map_err(|_| {
            out.zeroize();
            OpenError
        })
    }
}
