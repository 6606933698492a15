//! The keys of LANC's keyed mode: whoever holds one is a member of its group; nobody else reads,
//! calls, answers or is seen.
//!
//! A [`MasterKey`] comes from a key file, from a passphrase, or is made anew; a [`Group`] is what a
//! node is built with. Both are pure but for the functions of key files. What is sealed, when and
//! for whom, and what is remembered against copies, is `lanc-core`'s.
//!
//! ```text
//! PRK      = HKDF-Extract-SHA256("LANC1/extract", MK)
//! key id   = HKDF-Expand(PRK, "LANC1/key-id", 4)
//! K(sid,e) = HKDF-Expand(PRK, "LANC1/session" 0x01 sid u32be(e), 32)     e = counter >> 24
//! MK_svc   = HKDF-Expand(PRK, "LANC1/service" 0x00 NFC(service), 32)
//! MK       = Argon2id(NFC(passphrase), SHA-256("LANC1/salt" 0x00 NFC(group))[0..16],
//!                     t = 3, m = 64 MiB, p = 4, 32)                      or the 32 bytes of a file
//! ```
//!
//! ```
//! use std::sync::Arc;
//!
//! use lanc_core::ports::GroupKey;
//! use lanc_crypto::{Group, MasterKey};
//!
//! let key: MasterKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f".parse()?;
//! let group: Arc<dyn GroupKey> = Arc::new(Group::new(&key));
//! println!("this group is known as {}", group.id());
//! # Ok::<(), lanc_crypto::ParseKeyError>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aead;
mod group;
mod key;
mod key_file;
pub mod pair;
mod passphrase;
mod schedule;
#[cfg(test)]
mod tests;

pub use group::Group;
pub use key::{KEY_LEN, MasterKey, ParseKeyError};
pub use key_file::{KeyFileError, MAX_FILE};
pub use passphrase::{DEFAULT_GROUP, MIN_PASSPHRASE, PassphraseError};
