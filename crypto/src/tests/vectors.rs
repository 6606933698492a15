//! `tests/golden/vectors.json`, made by an independent implementation: every case of every group.
//! What hangs on tokens and windows is walked where those are: `core/src/wire/sessions/golden.rs`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lanc_codec::{JsonCodec, MsgpackCodec, Zlib};
use lanc_core::Token;
use lanc_core::carriage;
use lanc_core::envelope::{self, HEAD, Head, Labels, OVERHEAD};
use lanc_core::id::SessionId;
use lanc_core::ports::{Codec, Compressor, ExpandError, GroupKey, KeyId, OpenError, TAG};
use serde_json::Value;

use super::{hex, hex_array};
use crate::group::Group;
use crate::key::MasterKey;
use crate::schedule::Prk;

const VECTORS: &str = include_str!("../../../tests/golden/vectors.json");

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("{field} of {case}"))
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    hex(text(case, field))
}

fn labels(case: &Value) -> Labels<'_> {
    Labels {
        method: text(case, "method"),
        version: text(case, "version"),
        compress: text(case, "compress"),
    }
}

fn prk(case: &Value) -> Prk {
    Prk::from_bytes(hex_array(text(case, "prk")))
}

/// A group that is neither here nor in the file would be one that nobody walks.
#[test]
fn every_group_of_the_file_is_walked() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(file["format"], "lanc-envelope-vectors-1");
    type Walk = fn(&Value);
    let groups: [(&str, usize, Walk); 6] = [
        ("keys", 2, key),
        ("session_keys", 2, session_key),
        ("seal", 5, seal),
        ("open_fail", 11, open_fail),
        // In the core, where windows are.
        ("replay_window", 31, |_| {}),
        ("sizes_bytes", 3, sizes),
    ];
    let mut walked = vec!["format", "constants"];
    for (name, expected, walk) in groups {
        let cases = file[name].as_array().unwrap();
        assert_eq!(cases.len(), expected, "cases of {name}");
        cases.iter().for_each(walk);
        walked.push(name);
    }
    constants(&file["constants"]);
    let mut present: Vec<_> = file.as_object().unwrap().keys().map(String::as_str).collect();
    walked.sort_unstable();
    present.sort_unstable();
    assert_eq!(walked, present);
}

fn constants(constants: &Value) {
    let head = Head {
        key: KeyId([1; 4]),
        session: SessionId([2; 16]),
        to: None,
        counter: (1 << 24) - 1,
        salt: [0; 4],
        stream: 0,
    };
    let [version, suite, ..] = head.write();
    let next = Head { counter: head.counter + 1, ..head };
    assert_eq!((head.epoch(), next.epoch()), (0, 1), "an epoch is 24 bits of the counter");
    let expected = serde_json::json!({
        "env_version": version,
        "suite": suite,
        "header_len": HEAD,
        "tag_len": TAG,
        "epoch_shift": 24,
        // The steps of `replay_window` prove it.
        "replay_window": 8192,
        // `keys` proves them.
        "argon2id": {"version": 0x13, "t": 3, "m_kib": 65536, "p": 4, "len": 32},
    });
    assert_eq!(*constants, expected);
    assert_eq!(version, envelope::VERSION);
}

fn key(case: &Value) {
    let (passphrase, group) = (text(case, "passphrase"), text(case, "group"));
    assert_eq!(crate::passphrase::salt(group), *bytes(case, "salt"));
    let key = MasterKey::from_passphrase(passphrase, group).unwrap();
    assert_eq!(key.expose(), bytes(case, "mk").as_slice());
    assert_eq!(key.prk().bytes(), bytes(case, "prk").as_slice());
    assert_eq!(key.key_id().to_string(), text(case, "key_id"));
    assert_eq!(Group::new(&key).id(), key.key_id());
}

fn session_key(case: &Value) {
    let counter = case["counter"].as_u64().unwrap();
    let epoch = u32::try_from(case["epoch"].as_u64().unwrap()).unwrap();
    let session = SessionId(hex_array(text(case, "sid")));
    let head = Head { key: KeyId([0; 4]), session, to: None, counter, salt: [0; 4], stream: 0 };
    assert_eq!(head.epoch(), epoch);
    assert_eq!(*prk(case).session_bytes(&session.0, epoch), *bytes(case, "key"));
}

fn seal(case: &Value) {
    let name = text(case, "name");
    let head = Head {
        key: KeyId(hex_array(text(case, "key_id"))),
        session: SessionId(hex_array(text(case, "sid"))),
        to: Token::read(hex_array(text(case, "dst"))),
        counter: case["counter"].as_u64().unwrap(),
        salt: hex_array(text(case, "salt")),
        stream: 0,
    };
    let (labels, group) = (labels(case), Group::from_prk(prk(case)));
    let (whole, plain) = (bytes(case, "envelope"), bytes(case, "plaintext"));
    assert_eq!(group.id(), head.key, "{name}");
    assert_eq!(head.write().as_slice(), bytes(case, "header"), "{name}");
    assert_eq!(Head::read(&whole), Ok(head), "{name}");
    assert_eq!(head.nonce().as_slice(), bytes(case, "nonce"), "{name}");
    let session = prk(case).session_bytes(&head.session.0, head.epoch());
    assert_eq!(session.as_slice(), bytes(case, "session_key"), "{name}");
    let key = group.session(&head.session.0, head.epoch());

    // The cipher with the file's own associated data, so that the core's are known to be those.
    let mut sealed = [head.write().as_slice(), &plain].concat();
    key.seal(&head.nonce(), &bytes(case, "aad"), &mut sealed, HEAD);
    assert_eq!(sealed, whole, "{name}");

    let mut frame = plain.clone();
    assert!(envelope::seal(&head, labels, key.as_ref(), &mut frame), "{name}");
    assert_eq!(frame, whole, "{name}");
    let opened = envelope::open(&head, labels, key.as_ref(), &mut frame);
    assert_eq!(opened.as_deref(), Ok(plain.as_slice()), "{name}");
    let inner = match labels.compress {
        "no" => Ok(plain),
        _ => expand(&plain, 1 << 20),
    };
    assert_eq!(inner, Ok(bytes(case, "inner")), "{name}");
    carried(case, labels, &whole);
}

fn expand(packed: &[u8], limit: usize) -> Result<Vec<u8>, ExpandError> {
    let mut out = Vec::new();
    Zlib::new().expand(packed, limit, &mut out).map(|()| out)
}

/// The message around an envelope, in both formats, as this node reads and writes it.
fn carried(case: &Value, labels: Labels<'_>, whole: &[u8]) {
    let messages: [(&dyn Codec, Vec<u8>, Vec<u8>); 2] = [
        (&JsonCodec, text(case, "outer_json").into(), outer_json(labels, whole).into()),
        (&MsgpackCodec, bytes(case, "outer_msgpack"), outer_msgpack(labels, whole)),
    ];
    for (codec, message, expected) in messages {
        assert_eq!(message, expected);
        let mut found = b"what was there before".to_vec();
        let outer = carriage::read(codec, &message, &mut found).map_err(|why| why.name());
        assert_eq!(outer.map(|outer| outer.labels() == labels), Ok(true));
        assert_eq!(found, whole);
        if labels == Labels::HELLO {
            let mut written = Vec::new();
            carriage::write(whole, codec, &mut written);
            assert_eq!(written, message);
        }
    }
}

fn outer_json(labels: Labels<'_>, whole: &[u8]) -> String {
    format!(
        r#"{{"type":"LANC","method":"{}","version":"{}","data":"{}","encrypted":"AES-256-GCM","compress":"{}"}}"#,
        labels.method,
        labels.version,
        STANDARD.encode(whole),
        labels.compress
    )
}

fn outer_msgpack(labels: Labels<'_>, whole: &[u8]) -> Vec<u8> {
    let mut out = vec![0x86];
    let text = |out: &mut Vec<u8>, text: &str| {
        out.push(0xa0 | u8::try_from(text.len()).unwrap());
        out.extend_from_slice(text.as_bytes());
    };
    let before = ["type", "LANC", "method", labels.method, "version", labels.version, "data"];
    before.iter().for_each(|part| text(&mut out, part));
    match u8::try_from(whole.len()) {
        Ok(length) => out.extend_from_slice(&[0xc4, length]),
        Err(_) => {
            out.push(0xc5);
            out.extend_from_slice(&u16::try_from(whole.len()).unwrap().to_be_bytes());
        }
    }
    out.extend_from_slice(whole);
    let after = ["encrypted", "AES-256-GCM", "compress", labels.compress];
    after.iter().for_each(|part| text(&mut out, part));
    out
}

fn open_fail(case: &Value) {
    let (name, mut whole) = (text(case, "name"), bytes(case, "envelope"));
    let head = Head::read(&whole);
    let opened = head.map(|head| {
        let key = Group::from_prk(prk(case)).session(&head.session.0, head.epoch());
        envelope::open(&head, labels(case), key.as_ref(), &mut whole).map(|plain| plain.to_vec())
    });
    match text(case, "reason") {
        "short" | "unsupported" | "counter" => {
            assert_eq!(opened.map_err(|why| why.name()), Err("envelope"), "{name}");
        }
        "bad-tag" => assert_eq!(opened.ok(), Some(Err(OpenError)), "{name}"),
        // Genuine: whoever looks at tokens and labels refuses them.
        "not-for-me" | "broadcast-not-hello" => {
            assert!(opened.is_ok_and(|opened| opened.is_ok()), "{name}");
        }
        // What fails only after opening is the compressor's to refuse.
        "too-large" | "bad-compression" => {
            let limit = usize::try_from(case["max_plain"].as_u64().unwrap()).unwrap();
            let why = expand(&opened.ok().unwrap().unwrap(), limit).unwrap_err();
            let expected = ["too-large", "bad-compression"];
            let found = expected[usize::from(why == ExpandError::Damaged)];
            assert_eq!(found, text(case, "reason"), "{name}");
        }
        other => panic!("{name}: unknown reason {other}"),
    }
}

fn sizes(case: &Value) {
    let message = text(case, "message");
    let method = message.split([',', ' ']).next().unwrap();
    let labels = Labels { method, version: "0.2", compress: "no" };
    let size = |field: &str| usize::try_from(case[field].as_u64().unwrap()).unwrap();
    let sealed = |inner: &str| vec![0; OVERHEAD + size(inner)];
    let json = |inner: &str| outer_json(labels, &sealed(inner)).len();
    assert_eq!(size("json_sealed_json_inner"), json("inner_json"), "{message}");
    assert_eq!(size("json_sealed_mp_inner"), json("inner_mp"), "{message}");
    let msgpack = outer_msgpack(labels, &sealed("inner_mp"));
    assert_eq!(size("msgpack_sealed"), msgpack.len(), "{message}");
    // The file was made when the stream header had 5 bytes; it has 12 now.
    assert_eq!(size("tcp_record_sealed"), 5 + sealed("inner_mp").len(), "{message}");
    // Unsealed sizes say nothing of the envelope, but none is larger than the sealed one.
    assert!(size("json_plain") < size("json_sealed_json_inner"), "{message}");
    assert!(size("msgpack_plain") < size("msgpack_sealed"), "{message}");
}
