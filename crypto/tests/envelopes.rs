//! One envelope under real keys: there and back, and every way of damaging it.

use lanc_core::Token;
use lanc_core::counters::Drop;
use lanc_core::envelope::{self, HEAD, Head, Labels, OVERHEAD};
use lanc_core::id::SessionId;
use lanc_core::ports::{GroupKey, OpenError, TAG};
use lanc_crypto::{Group, MasterKey};
use proptest::prelude::*;

fn group(of: u8) -> Group {
    Group::new(&MasterKey::from_bytes(&[of; 32]))
}

fn head(group: &Group) -> Head {
    Head {
        key: group.id(),
        session: SessionId([3; 16]),
        to: Token::read([4; 8]),
        counter: 5,
        salt: [6; 4],
        stream: 0,
    }
}

fn sealed(head: &Head, labels: Labels<'_>, plain: &[u8]) -> Vec<u8> {
    let mut frame = plain.to_vec();
    let key = group(1).session(&head.session.0, head.epoch());
    assert!(envelope::seal(head, labels, key.as_ref(), &mut frame));
    frame
}

/// As a receiver does it: it believes nothing but what stands in the envelope.
fn open(group: &Group, labels: Labels<'_>, whole: &[u8]) -> Option<Vec<u8>> {
    let head = Head::read(whole).ok().filter(|head| head.key == group.id())?;
    let key = group.session(&head.session.0, head.epoch());
    let mut bytes = whole.to_vec();
    envelope::open(&head, labels, key.as_ref(), &mut bytes).ok().map(|plain| plain.to_vec())
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(
        plain in prop::collection::vec(any::<u8>(), 0..2000),
        session: [u8; 16], to: [u8; 8], counter in 1..=envelope::LAST_COUNTER, salt: [u8; 4],
    ) {
        let group = group(1);
        let head = Head {
            key: group.id(), session: SessionId(session), to: Token::read(to), counter, salt,
            stream: 0,
        };
        let whole = sealed(&head, Labels::BATCH, &plain);
        prop_assert_eq!(whole.len(), plain.len() + OVERHEAD);
        prop_assert_eq!(Head::read(&whole), Ok(head));
        prop_assert_eq!(open(&group, Labels::BATCH, &whole), Some(plain));
    }

    #[test]
    fn labels_that_differ_in_any_way_fail(
        method in "[a-z]{0,16}", version in "[0-9.]{0,5}", compress in "[a-z]{0,5}",
        other in "[a-z]{0,17}", newer in "[0-9.]{0,5}", packed in "[a-z]{0,5}",
    ) {
        let group = group(1);
        let labels = Labels { method: &method, version: &version, compress: &compress };
        let others = Labels { method: &other, version: &newer, compress: &packed };
        let whole = sealed(&head(&group), labels, b"text");
        prop_assert_eq!(open(&group, others, &whole).is_some(), others == labels);
        prop_assert_eq!(open(&group, labels, &whole), Some(b"text".to_vec()));
    }

    #[test]
    fn forgeries_are_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let group = group(1);
        let whole = [head(&group).write().as_slice(), &text].concat();
        prop_assert_eq!(open(&group, Labels::BATCH, &whole), None);
    }
}

/// Labels that run into each other are told apart by their lengths.
#[test]
fn labels_cannot_lend_each_other_letters() {
    let group = group(1);
    let labels = Labels { method: "call", version: "0.2", compress: "no" };
    let whole = sealed(&head(&group), labels, b"text");
    let shifted = Labels { method: "cal", version: "l0.2", compress: "no" };
    assert_eq!(open(&group, shifted, &whole), None);
    assert_eq!(open(&group, labels, &whole), Some(b"text".to_vec()));
}

#[test]
fn labels_have_a_bound() {
    let group = group(1);
    let (long, longer) = ("m".repeat(16), "m".repeat(17));
    let labels = |method| Labels { method, ..Labels::BATCH };
    let key = group.session(&[3; 16], 0);
    let mut frame = b"text".to_vec();
    assert!(!envelope::seal(&head(&group), labels(&longer), key.as_ref(), &mut frame));
    assert_eq!(frame, b"text");
    assert!(envelope::seal(&head(&group), labels(&long), key.as_ref(), &mut frame));
    assert_eq!(open(&group, labels(&longer), &frame), None);
    assert_eq!(open(&group, labels(&long), &frame), Some(b"text".to_vec()));
}

#[test]
fn every_flipped_bit_fails() {
    let group = group(1);
    for labels in [Labels::HELLO, Labels::BATCH, Labels::RECORD] {
        let whole = sealed(&head(&group), labels, b"some text");
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&group, labels, &damaged), None, "bit {bit}");
        }
        assert_eq!(open(&group, labels, &whole), Some(b"some text".to_vec()));
    }
}

#[test]
fn every_cut_and_every_surplus_fails() {
    let group = group(1);
    let whole = sealed(&head(&group), Labels::BATCH, b"some text");
    for length in 0..whole.len() {
        let cut = &whole[..length];
        assert_eq!(Head::read(cut).err(), (length < OVERHEAD).then_some(Drop::Envelope));
        assert_eq!(open(&group, Labels::BATCH, cut), None, "{length} bytes");
    }
    for surplus in 1..20 {
        let longer = [whole.as_slice(), &vec![0; surplus]].concat();
        assert_eq!(open(&group, Labels::BATCH, &longer), None, "{surplus} more");
    }
    for length in 0..OVERHEAD {
        let key = group.session(&[3; 16], 0);
        let head = head(&group);
        let mut cut = whole[..length].to_vec();
        let opened = envelope::open(&head, Labels::BATCH, key.as_ref(), &mut cut);
        assert_eq!(opened, Err(OpenError), "a buffer shorter than what was read as a head");
    }
}

/// Another group with the same name of its key, which a search of 2^32 keys would find.
#[test]
fn another_key_does_not_open_it() {
    let (ours, theirs) = (group(1), group(2));
    let head = head(&ours);
    let whole = sealed(&head, Labels::BATCH, b"some text");
    let key = theirs.session(&head.session.0, head.epoch());
    let mut copy = whole.clone();
    assert_eq!(envelope::open(&head, Labels::BATCH, key.as_ref(), &mut copy), Err(OpenError));
    let other_session = ours.session(&[9; 16], head.epoch());
    let other_epoch = ours.session(&head.session.0, head.epoch() + 1);
    for key in [other_session, other_epoch] {
        let mut whole = whole.clone();
        let opened = envelope::open(&head, Labels::BATCH, key.as_ref(), &mut whole);
        assert_eq!(opened, Err(OpenError));
    }
}

#[test]
fn a_text_that_fails_is_wiped() {
    let group = group(1);
    let head = head(&group);
    let mut whole = sealed(&head, Labels::BATCH, b"some text");
    *whole.last_mut().unwrap() ^= 1;
    let key = group.session(&head.session.0, head.epoch());
    assert_eq!(envelope::open(&head, Labels::BATCH, key.as_ref(), &mut whole), Err(OpenError));
    assert!(whole[HEAD..whole.len() - TAG].iter().all(|byte| *byte == 0));
}
