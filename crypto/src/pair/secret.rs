//! The exchange itself: SPAKE2, and what both ends derive of it. The only file that knows which
//! library it is.

use hkdf::Hkdf;
use lanc_core::ports::{Entropy, SessionKey};
use sha2::Sha256;
use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::Zeroizing;

use super::code::PairCode;
use super::wire::{ELEMENT, PROOF, SESSION};
use crate::aead::Aead;
use crate::key::{KEY_LEN, MasterKey};

const GIVER: &[u8] = b"LANC1/pair giver";
const TAKER: &[u8] = b"LANC1/pair taker";

/// Which end this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Giver,
    Taker,
}

/// One end's half, for one guess: finishing takes it away.
pub(super) struct Half {
    role: Role,
    place: [u8; 2],
    spake: Spake2<Ed25519Group>,
    own: [u8; ELEMENT],
}

impl Half {
    pub(super) fn begin(role: Role, code: &PairCode, entropy: &mut dyn Entropy) -> Self {
        let password = Password::new(code.secret());
        let (giver, taker) = (Identity::new(GIVER), Identity::new(TAKER));
        let random = Random(entropy);
        let (spake, element) = match role {
            Role::Giver => Spake2::start_a_with_rng(&password, &giver, &taker, random),
            Role::Taker => Spake2::start_b_with_rng(&password, &giver, &taker, random),
        };
        let mut own = [0; ELEMENT];
        // The library's elements have this length.
        own.copy_from_slice(&element);
        Self { role, place: code.place(), spake, own }
    }

    /// What the far end gets of it.
    pub(super) fn element(&self) -> &[u8; ELEMENT] {
        &self.own
    }

    /// `None`: what the far end sent is no element, or this end's own kind of one.
    pub(super) fn finish(self, theirs: &[u8], session: &[u8; SESSION]) -> Option<Agreed> {
        let Self { role, place, spake, own } = self;
        let shared = Zeroizing::new(spake.finish(theirs).ok()?);
        let (giver, taker) = match role {
            Role::Giver => (own.as_slice(), theirs),
            Role::Taker => (theirs, own.as_slice()),
        };
        let prk = Hkdf::<Sha256>::new(Some(b"LANC1/pair"), &shared);
        let derive = |label: &[u8]| {
            let mut out = Zeroizing::new([0; 32]);
            let info = [b"LANC1/pair/", label, &place, session, giver, taker];
            let is_filled = prk.expand_multi_info(&info, out.as_mut_slice()).is_ok();
            is_filled.then_some(out)
        };
        Some(Agreed {
            proof: derive(b"proof")?,
            accept: derive(b"accept")?,
            ready: derive(b"ready")?,
            done: derive(b"done")?,
            seal: Aead::new(&*derive(b"seal")?),
        })
    }
}

/// What both ends know once the exchange is over; equal only if both had the same code. Each is
/// bound to the roles, to the pairing's session and to both elements.
pub(super) struct Agreed {
    pub(super) proof: Zeroizing<[u8; PROOF]>,
    pub(super) accept: Zeroizing<[u8; PROOF]>,
    pub(super) ready: Zeroizing<[u8; PROOF]>,
    pub(super) done: Zeroizing<[u8; PROOF]>,
    seal: Aead,
}

/// The seal's key is of this one pairing and seals one message.
const NONCE: [u8; 12] = [0; 12];

impl Agreed {
    /// The key, sealed. To be done once.
    pub(super) fn seal(&self, head: &[u8], key: &MasterKey) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(super::wire::SEALED);
        sealed.extend_from_slice(key.expose());
        self.seal.seal(&NONCE, head, &mut sealed, 0);
        sealed
    }

    pub(super) fn open(&self, head: &[u8], sealed: &[u8]) -> Option<MasterKey> {
        let mut buffer = Zeroizing::new(sealed.to_vec());
        let plain = self.seal.open(&NONCE, head, buffer.as_mut_slice()).ok()?;
        let key: &[u8; KEY_LEN] = (&*plain).try_into().ok()?;
        Some(MasterKey::from_bytes(key))
    }
}

/// Whether a proof is the one that is due, in a time that does not depend on where they differ.
pub(super) fn is_same(due: &[u8; PROOF], came: &[u8]) -> bool {
    let differ = due.iter().zip(came).fold(0, |differ, (a, b)| differ | (a ^ b));
    came.len() == PROOF && std::hint::black_box(differ) == 0
}

/// The library's idea of randomness.
struct Random<'e>(&'e mut dyn Entropy);

impl rand_core::RngCore for Random<'_> {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, into: &mut [u8]) {
        self.0.fill(into);
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.fill(into);
        Ok(())
    }
}

impl rand_core::CryptoRng for Random<'_> {}
