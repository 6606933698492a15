//! What is derived from a master key: its id, session keys, keys of services.

use hkdf::Hkdf;
use lanc_core::ports::KeyId;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::aead::Aead;

/// HKDF's pseudorandom key. It is kept instead of the master key, and wiped when dropped.
pub(crate) struct Prk(Zeroizing<[u8; 32]>);

impl Prk {
    pub(crate) fn from_master(master: &[u8; 32]) -> Self {
        let (mut prk, _) = Hkdf::<Sha256>::extract(Some(b"LANC1/extract"), master);
        let kept = Zeroizing::new(prk.into());
        prk.as_mut_slice().zeroize();
        Self(kept)
    }

    #[cfg(test)]
    pub(crate) fn from_bytes(prk: [u8; 32]) -> Self {
        Self(Zeroizing::new(prk))
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    #[cfg(test)]
    pub(crate) fn secret(&self) -> &Zeroizing<[u8; 32]> {
        &self.0
    }

    pub(crate) fn key_id(&self) -> KeyId {
        KeyId(*self.expand::<4>(&[b"LANC1/key-id"]))
    }

    /// The bytes of `K(sid, epoch)`.
    pub(crate) fn session_bytes(&self, sid: &[u8; 16], epoch: u32) -> Zeroizing<[u8; 32]> {
        self.expand(&[b"LANC1/session", &[0x01], sid, &epoch.to_be_bytes()])
    }

    pub(crate) fn session_key(&self, sid: &[u8; 16], epoch: u32) -> Aead {
        Aead::new(&self.session_bytes(sid, epoch))
    }

    /// The master key of a service; `name` is in Unicode normal form C already.
    pub(crate) fn service(&self, name: &str) -> Zeroizing<[u8; 32]> {
        self.expand(&[b"LANC1/service", &[0x00], name.as_bytes()])
    }

    fn expand<const N: usize>(&self, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
        let mut out = Zeroizing::new([0; N]);
        let expanded = Hkdf::<Sha256>::from_prk(self.0.as_slice())
            .is_ok_and(|hkdf| hkdf.expand_multi_info(info, out.as_mut_slice()).is_ok());
        // Both can fail only by the lengths of their arguments, and those are constants here.
        assert!(expanded, "HKDF-SHA256 gives up to 8160 bytes from a key of 32");
        out
    }
}
