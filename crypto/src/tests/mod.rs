//! Tests that look inside: vectors name what is derived from keys, which nobody else sees.

mod apart;
mod vectors;
mod wycheproof;

use crate::aead::Aead;
use crate::key::MasterKey;
use crate::schedule::Prk;

fn hex(digits: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn hex_array<const N: usize>(digits: &str) -> [u8; N] {
    hex(digits).try_into().unwrap()
}

/// Wiped when dropped: the types say so, and this does not build when what they hold is not. What
/// seals is wiped by its library, whose memory nobody can look at here (decision 24).
#[test]
fn secrets_are_wiped() {
    fn wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
    wiped(&Aead::new(&[1; 32]));
    let key = MasterKey::from_bytes(&[1; 32]);
    wiped(key.secret());
    wiped(key.prk().secret());
}

/// The lengths of its arguments are constants: the one way it could fail is not there.
#[test]
fn a_schedule_is_made_of_any_key() {
    for byte in [0, 255] {
        let prk = Prk::from_master(&[byte; 32]);
        assert_ne!(*prk.session_bytes(&[byte; 16], u32::MAX), [byte; 32]);
        assert_ne!(prk.service(&"n".repeat(5000)), prk.service(""));
    }
}
