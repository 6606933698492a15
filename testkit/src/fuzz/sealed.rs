//! Envelopes, and the message around those that are for everybody: what was sealed opens to itself,
//! and nothing else does.

use std::sync::Arc;

use lanc_codec::{JsonCodec, MsgpackCodec};
use lanc_core::envelope::{self, HEAD, Head, LAST_COUNTER, Labels, OVERHEAD};
use lanc_core::id::SessionId;
use lanc_core::ports::{Codec, GroupKey};
use lanc_core::{Token, carriage};

use super::Script;
use crate::sim::group_key;

/// First any bytes, as an envelope and as a message around one; then a frame of the script's, that
/// is sealed, changed and opened.
pub fn sealed_frame(bytes: &[u8]) {
    read_any(bytes);
    for codec in [&JsonCodec as &dyn Codec, &MsgpackCodec] {
        carried_any(codec, bytes);
    }
    seal_and_change(&mut Script::new(bytes));
}

/// A head is what was written, or none; and noise is sealed by nobody.
fn read_any(bytes: &[u8]) {
    let Ok(head) = Head::read_record(bytes) else { return };
    assert_eq!(Head::read(bytes).is_ok(), head.stream == 0, "records alone name a stream");
    assert!(bytes.len() >= OVERHEAD && (1..=LAST_COUNTER).contains(&head.counter), "{head:?}");
    assert_eq!(head.write()[..], bytes[..HEAD], "{head:?}");
    let key = group_key(1).session(&head.session.0, head.epoch());
    let mut copy = bytes.to_vec();
    let opened = envelope::open(&head, Labels::HELLO, key.as_ref(), &mut copy);
    assert!(opened.is_err(), "nobody has sealed this");
    assert_eq!(copy[..HEAD], bytes[..HEAD], "the head was changed");
}

/// What a message carries it carries again when it is written anew.
fn carried_any(codec: &dyn Codec, bytes: &[u8]) {
    let mut envelope = b"old".to_vec();
    let Ok(outer) = carriage::read(codec, bytes, &mut envelope) else { return };
    let labels = outer.labels();
    let lengths = [labels.method, labels.version, labels.compress].map(str::len);
    assert!(lengths.iter().all(|length| *length <= 16), "{labels:?}");
    let (mut message, mut again) = (Vec::new(), Vec::new());
    carriage::write(&envelope, codec, &mut message);
    let outer = carriage::read(codec, &message, &mut again);
    let labels = outer.as_ref().map(carriage::Outer::labels);
    assert_eq!(labels, Ok(Labels::HELLO));
    assert_eq!(again, envelope);
}

fn seal_and_change(script: &mut Script<'_>) {
    let session = SessionId([script.byte(); 16]);
    let to = Token::from_bits(script.number());
    let counter = script.number().clamp(1, LAST_COUNTER);
    let salt = [script.byte(); 4];
    let group: Arc<dyn GroupKey> = group_key(1);
    let labels = script.one_of(&[Labels::HELLO, Labels::BATCH, Labels::RECORD]);
    let stream = if labels == Labels::RECORD { u16::from(salt[0]) << 4 } else { 0 };
    let head = Head { key: group.id(), session, to, counter, salt, stream };
    let (change, bit) = (script.byte(), usize::from(script.pair()));
    let plain = script.rest();
    let key = group.session(&session.0, head.epoch());
    let mut sealed = plain.to_vec();
    assert!(envelope::seal(&head, labels, key.as_ref(), &mut sealed));
    assert_eq!(sealed.len(), plain.len() + OVERHEAD);
    assert_eq!(Head::read_record(&sealed), Ok(head));
    let open = |labels, mut bytes: Vec<u8>| {
        let head = Head::read_record(&bytes).ok()?;
        let key = group.session(&head.session.0, head.epoch());
        let opened = envelope::open(&head, labels, key.as_ref(), &mut bytes);
        opened.map(|plain| plain.to_vec()).ok()
    };
    assert_eq!(open(labels, sealed.clone()).as_deref(), Some(plain));
    let others = [Labels::HELLO, Labels::BATCH, Labels::RECORD];
    for other in others.into_iter().filter(|other| *other != labels) {
        assert_eq!(open(other, sealed.clone()), None, "{labels:?} opened as {other:?}");
    }
    let mut changed = sealed.clone();
    match change % 4 {
        0 => changed[bit / 8 % sealed.len()] ^= 1 << (bit % 8),
        1 => changed.truncate(bit % sealed.len()),
        2 => changed.push(change),
        _ => changed.rotate_right(1),
    }
    // A frame of one byte over and over may be rotated into itself.
    assert!(changed == sealed || open(labels, changed).is_none(), "a changed envelope was opened");
}
