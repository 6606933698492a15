//! Sealing: AES-256-GCM under a session's key, in place, with the head of an envelope beside it.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use lanc::{Group, MasterKey};
use lanc_core::ports::{GroupKey as _, SessionKey};

/// A small call, a full packet, a record of a large message, a large frame.
const SIZES: [usize; 4] = [64, 1400, 16 << 10, 64 << 10];
const NONCE: [u8; 12] = [3; 12];
const HEAD: [u8; 44] = [5; 44];

fn key() -> Box<dyn SessionKey> {
    Group::new(&MasterKey::from_bytes(&[7; 32])).session(&[9; 16], 0)
}

#[divan::bench(args = SIZES)]
fn seal(bencher: Bencher, size: usize) {
    let (key, mut buffer) = (key(), vec![0x5a; size]);
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        buffer.truncate(size);
        key.seal(&NONCE, &HEAD, black_box(&mut buffer), 0);
    });
}

/// With a copy of the sealed bytes, which opening turns into plain ones.
#[divan::bench(args = SIZES)]
fn open(bencher: Bencher, size: usize) {
    let (key, mut sealed) = (key(), vec![0x5a; size]);
    key.seal(&NONCE, &HEAD, &mut sealed, 0);
    let mut buffer = sealed.clone();
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        buffer.copy_from_slice(black_box(&sealed));
        key.open(&NONCE, &HEAD, &mut buffer).expect("it verifies").len()
    });
}

#[divan::bench]
fn make_the_key_of_a_session() -> Box<dyn SessionKey> {
    key()
}
