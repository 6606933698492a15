//! The port's contract of what is sealed from, and opened to, another place.

use lanc_core::ports::{OpenError, SessionKey, TAG};

use crate::aead::Aead;

const NONCE: [u8; 12] = [2; 12];

/// Around blocks, and around what the library does at once.
const SIZES: [usize; 14] =
    [0, 1, 6, 15, 16, 17, 255, 256, 257, 1023, 1200, 16 << 10, 65_535, (64 << 10) + 6];

fn key() -> Aead {
    Aead::new(&[1; 32])
}

fn text(count: usize) -> Vec<u8> {
    (0..=250).cycle().take(count).collect()
}

/// Only what the port demands: the rest is given by it.
struct Plain(Aead);

impl SessionKey for Plain {
    fn seal(&self, nonce: &[u8; 12], aad: &[u8], buffer: &mut Vec<u8>, from: usize) {
        self.0.seal(nonce, aad, buffer, from);
    }
    fn open<'a>(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        buffer: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        self.0.open(nonce, aad, buffer)
    }
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    key().seal(&NONCE, b"aad", &mut buffer, 0);
    buffer
}

#[test]
fn a_tail_is_sealed_to_the_same_bytes_as_if_it_stood_there() {
    let keys: [Box<dyn SessionKey>; 2] = [Box::new(key()), Box::new(Plain(key()))];
    for key in keys {
        for (size, left) in SIZES.into_iter().flat_map(|size| [(size, 0), (size, 70_000)]) {
            for head in [0, 1, 6, 16, 300] {
                let (start, tail) = (text(head), text(size));
                let mut buffer = [b"head", start.as_slice(), &vec![0xee; left]].concat();
                key.seal_with_tail(&NONCE, b"aad", &mut buffer, 4..4 + head, &tail);
                let expected = [b"head", sealed(&[start, tail].concat()).as_slice()].concat();
                assert!(buffer == expected, "{head} bytes, {size} elsewhere, room for {left}");
            }
        }
    }
}

#[test]
fn what_is_sealed_is_opened_to_another_place() {
    let keys: [Box<dyn SessionKey>; 2] = [Box::new(key()), Box::new(Plain(key()))];
    for key in keys {
        for size in SIZES {
            let sealed = sealed(&text(size));
            let mut out = vec![0xee; size + 5];
            assert_eq!(key.open_into(&NONCE, b"aad", &sealed, &mut out[3..3 + size]), Ok(()));
            let expected = [&[0xee; 3][..], &text(size), &[0xee; 2]].concat();
            assert!(out == expected, "{size} bytes, and none beside them");
        }
    }
}

#[test]
fn nothing_plain_is_left_where_a_tag_does_not_verify() {
    let keys: [Box<dyn SessionKey>; 2] = [Box::new(key()), Box::new(Plain(key()))];
    for key in keys {
        for size in [1, 16, 257, 64 << 10] {
            let plain = text(size);
            let whole = sealed(&plain);
            for at in [0, size - 1, size, size + TAG - 1] {
                let mut forged = whole.clone();
                forged[at] ^= 1;
                let mut out = vec![0; size];
                assert_eq!(key.open_into(&NONCE, b"aad", &forged, &mut out), Err(OpenError));
                assert!(out.iter().all(|byte| *byte == 0), "byte {at} of {size}");
            }
            let mut out = vec![0; size];
            assert_eq!(key.open_into(&NONCE, b"other", &whole, &mut out), Err(OpenError));
            assert_eq!(key.open_into(&[3; 12], b"aad", &whole, &mut out), Err(OpenError));
            assert!(out.iter().all(|byte| *byte == 0));
        }
    }
}

#[test]
fn what_does_not_fit_its_place_is_not_opened() {
    let keys: [Box<dyn SessionKey>; 2] = [Box::new(key()), Box::new(Plain(key()))];
    for key in keys {
        let whole = sealed(&text(100));
        for length in [0, 99, 101, 116] {
            let mut out = vec![0; length];
            assert_eq!(key.open_into(&NONCE, b"aad", &whole, &mut out), Err(OpenError));
            assert!(out.iter().all(|byte| *byte == 0));
        }
        for length in 0..TAG {
            assert_eq!(key.open_into(&NONCE, b"aad", &vec![0; length], &mut []), Err(OpenError));
        }
    }
}
