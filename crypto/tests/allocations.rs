//! What sealing and opening allocate once a buffer has grown to its size: nothing. To link the
//! counter is to make this binary's allocator a counting one.

use allocation_counter::measure;
use lanc_core::Token;
use lanc_core::envelope::{self, Head, Labels};
use lanc_core::id::SessionId;
use lanc_core::ports::{GroupKey, TAG};
use lanc_crypto::{Group, MasterKey};

fn allocated(run: impl FnOnce()) -> (u64, u64) {
    let counted = measure(run);
    (counted.count_total, counted.bytes_total)
}

#[test]
fn frames_allocate_nothing() {
    let group = Group::new(&MasterKey::from_bytes(&[1; 32]));
    let session = SessionId([3; 16]);
    let key = group.session(&session.0, 0);
    let to = Token::read([4; 8]);
    let mut frame = Vec::with_capacity(20_000);
    for (labels, size) in [(Labels::BATCH, 1400), (Labels::HELLO, 900), (Labels::RECORD, 16 * 1024)]
    {
        let mut round = |counter| {
            frame.clear();
            frame.resize(size, 7);
            let head = Head { key: group.id(), session, to, counter, salt: [5; 4], stream: 0 };
            assert!(envelope::seal(&head, labels, key.as_ref(), &mut frame));
            let head = Head::read(&frame).unwrap();
            let plain = envelope::open(&head, labels, key.as_ref(), &mut frame).unwrap();
            assert!(plain.len() == size && plain[0] == 7);
            frame[60] ^= 1;
            assert!(envelope::open(&head, labels, key.as_ref(), &mut frame).is_err());
        };
        assert_eq!(allocated(|| (1..2000).for_each(&mut round)), (0, 0), "{labels:?}");
    }
}

/// Neither do frames whose last bytes are elsewhere, and those that are opened to elsewhere.
#[test]
fn frames_in_several_places_allocate_nothing() {
    let group = Group::new(&MasterKey::from_bytes(&[1; 32]));
    let key = group.session(&[3; 16], 0);
    let (tail, mut out) = (vec![7; 64 << 10], vec![0; (64 << 10) + 6]);
    let mut buffer = Vec::with_capacity(out.len() + 44 + TAG);
    buffer.resize(50, 0);
    let mut round = |counter: u8| {
        let nonce = [counter; 12];
        key.seal_with_tail(&nonce, b"aad", &mut buffer, 44..50, &tail);
        assert!(key.open_into(&nonce, b"aad", &buffer[44..], &mut out).is_ok());
        assert!(out[6..] == tail);
        buffer[60] ^= 1;
        assert!(key.open_into(&nonce, b"aad", &buffer[44..], &mut out).is_err());
    };
    assert_eq!(allocated(|| (1..100).for_each(&mut round)), (0, 0));
}

/// A key costs one allocation, the box it is in, whoever it is made for, beside what its library has
/// of its own.
#[test]
fn a_session_key_is_one_allocation() {
    let group = Group::new(&MasterKey::from_bytes(&[1; 32]));
    let (count, bytes) = allocated(|| drop(group.session(&[3; 16], 7)));
    assert_eq!(count, 1);
    assert!(bytes <= 1024, "{bytes} B");
}
