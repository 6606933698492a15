//! A master key from a passphrase.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use sha2::{Digest, Sha256};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};

use crate::key::{KEY_LEN, MasterKey};

/// The group of nodes that name none.
pub const DEFAULT_GROUP: &str = "lanc";
/// Fewest characters of a passphrase, counted in Unicode normal form C.
pub const MIN_PASSPHRASE: usize = 12;

/// Memory of one derivation, KiB: the second recommended set of RFC 9106 (64 MiB).
const MEMORY_KIB: u32 = 65_536;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// No key could be derived.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Too few characters.
    #[error(
        "a passphrase of {0} characters can be guessed; use {MIN_PASSPHRASE} or more, or better a key file (`lanc key new FILE`)"
    )]
    TooShort(usize),
    /// The machine has no 64 MiB to spare.
    #[error(
        "deriving a key takes 64 MiB of memory, which is not there; free some, or use a key file"
    )]
    Memory,
    /// The derivation refused its input.
    #[error("this passphrase cannot be used; choose a shorter one, or use a key file")]
    Unusable,
}

impl MasterKey {
    /// Derives the key of a group from its passphrase: Argon2id over 64 MiB, a fifth of a second
    /// or more on purpose. Equal passphrases in groups of other names make other keys.
    ///
    /// Blocks its thread and takes 64 MiB while it runs: call it at start, not from a task.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn from_passphrase(passphrase: &str, group: &str) -> Result<Self, PassphraseError> {
        let passphrase = normal_form(passphrase);
        let characters = passphrase.chars().count();
        if characters < MIN_PASSPHRASE {
            return Err(PassphraseError::TooShort(characters));
        }
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(KEY_LEN))
            .map_err(|_| PassphraseError::Unusable)?;
        let mut memory = Vec::new();
        memory.try_reserve_exact(params.block_count()).map_err(|_| PassphraseError::Memory)?;
        memory.resize(params.block_count(), Block::default());
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let derived = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(
                passphrase.as_bytes(),
                &salt(group),
                key.as_mut_slice(),
                memory.as_mut_slice(),
            );
        memory.zeroize();
        derived.map_err(|_| PassphraseError::Unusable)?;
        Ok(Self::from_secret(key))
    }
}

/// The salt of a group. It cannot be random: there is nobody to ask for it.
pub(crate) fn salt(group: &str) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"LANC1/salt\0");
    hash.update(normal_form(group).as_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let (salt, _) = hash.split_first_chunk().unwrap_or((&[0; 16], &[]));
    *salt
}

/// Unicode normal form C: what looks equal is equal, whichever keyboard typed it.
fn normal_form(text: &str) -> Zeroizing<String> {
    // No character of the normal form takes more than three times its bytes, so that the text
    // is never moved and left behind.
    let mut normal = Zeroizing::new(String::with_capacity(3 * text.len()));
    normal.extend(text.nfc());
    normal
}
