//! `tests/golden/vectors.json`: what hangs on windows, tokens and labels. The rest is walked in the
//! crate `crypto`, which can open what is in the file.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::window::Window;
use super::*;
use crate::keyed::HashKey;
use crate::ports::{OpenError, TAG};

const VECTORS: &str = include_str!("../../../../tests/golden/vectors.json");

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("{field} of {case}"))
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn token(digits: &str) -> Token {
    Token::read(hex(digits).try_into().unwrap()).unwrap()
}

#[test]
fn every_step_of_the_window_is_as_written() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let steps = file["replay_window"].as_array().unwrap();
    let mut window = Window::new();
    let accepted = Cell::new(0);
    for step in steps {
        let fresh = window.check(step["counter"].as_u64().unwrap());
        assert_eq!(fresh.is_some(), step["accept"].as_bool().unwrap(), "{step}");
        if let Some(fresh) = fresh {
            window.commit(fresh);
            accepted.set(accepted.get() + 1);
        }
    }
    assert_eq!((steps.len(), accepted.get()), (31, 18));
}

/// A group whose keys open everything, or nothing, and say how often they were asked for.
#[derive(Debug)]
struct Gullible {
    id: KeyId,
    opens: bool,
    made: Arc<Mutex<usize>>,
}

struct Key(bool);

impl GroupKey for Gullible {
    fn id(&self) -> KeyId {
        self.id
    }

    fn session(&self, _: &[u8; 16], _: u32) -> Box<dyn SessionKey> {
        *self.made.lock().unwrap() += 1;
        Box::new(Key(self.opens))
    }
}

impl SessionKey for Key {
    fn seal(&self, _: &[u8; 12], _: &[u8], buffer: &mut Vec<u8>, _: usize) {
        buffer.extend_from_slice(&[0; TAG]);
    }

    fn open<'a>(
        &self,
        _: &[u8; 12],
        _: &[u8],
        buffer: &'a mut [u8],
    ) -> Result<&'a mut [u8], OpenError> {
        let (text, _) = buffer.split_last_chunk_mut::<TAG>().ok_or(OpenError)?;
        self.0.then_some(text).ok_or(OpenError)
    }
}

/// A node that takes these tokens, newest first, and how often it made a key.
fn receiver(id: KeyId, opens: bool, tokens: &[Token]) -> (Sessions, Arc<Mutex<usize>>) {
    let made = Arc::new(Mutex::new(0));
    let key = Arc::new(Gullible { id, opens, made: Arc::clone(&made) });
    let hash = HashKey::new([1; 16]);
    let oldest = *tokens.last().unwrap();
    let mut sessions = Sessions::new(SessionId([0xee; 16]), key, oldest, 8, 8, hash);
    for token in tokens.iter().rev().skip(1) {
        sessions.rotate(*token, |_| false);
    }
    assert_eq!(sessions.tokens.current(), tokens[0]);
    (sessions, made)
}

/// What is refused before a key is made for it costs nothing and cannot be opened by accident;
/// what is not genuine leaves no sender behind.
#[test]
fn what_must_fail_does_so_where_it_should() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let cases = file["open_fail"].as_array().unwrap();
    assert_eq!(cases.len(), 11);
    for case in cases {
        let (name, reason) = (text(case, "name"), text(case, "reason"));
        let tokens: Vec<_> = case["my_rx_tokens"].as_array().unwrap().iter().collect();
        let tokens: Vec<_> = tokens.iter().map(|digits| token(digits.as_str().unwrap())).collect();
        let labels = Labels {
            method: text(case, "method"),
            version: text(case, "version"),
            compress: text(case, "compress"),
        };
        let mut envelope = hex(text(case, "envelope"));
        let id = KeyId(envelope[4..8].try_into().unwrap());
        let (mut sessions, made) = receiver(id, reason != "bad-tag", &tokens);
        let outside = Outside { labels, connection: None };
        let opened = Head::read(&envelope).and_then(|head| {
            sessions.open(Time::ZERO, &head, outside, &mut envelope).map(|(seal, _)| seal)
        });
        let (expected, keys, failures) = match reason {
            "short" | "unsupported" | "counter" => (Some(Drop::Envelope), 0, 0),
            "not-for-me" | "broadcast-not-hello" => (Some(Drop::WrongToken), 0, 0),
            "bad-tag" => (Some(Drop::BadSeal), 1, 1),
            // Only the compressor finds these.
            "too-large" | "bad-compression" => (None, 1, 0),
            other => panic!("{name}: unknown reason {other}"),
        };
        assert_eq!(opened.err(), expected, "{name}");
        assert_eq!(*made.lock().unwrap(), keys, "{name}");
        assert_eq!(sessions.len(), usize::from(expected.is_none()), "{name}");
        assert_eq!(sessions.ring.get(id).unwrap().failures, failures, "{name}");
    }
}

/// The sealed vectors are taken once, as what they were sealed for.
#[test]
fn what_is_genuine_is_taken_once() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let cases = file["seal"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let name = text(case, "name");
        let envelope = hex(text(case, "envelope"));
        let id = KeyId(hex(text(case, "key_id")).try_into().unwrap());
        let to = Token::read(hex(text(case, "dst")).try_into().unwrap());
        let own = to.unwrap_or_else(|| token("0102030405060708"));
        let (mut sessions, made) = receiver(id, true, &[own]);
        let labels = Labels { method: text(case, "method"), ..Labels::HELLO };
        let outside = Outside { labels, connection: None };
        let head = Head::read(&envelope).unwrap();
        let mut open = || {
            let mut envelope = envelope.clone();
            let opened = sessions.open(Time::ZERO, &head, outside, &mut envelope);
            opened.map(|(seal, _)| seal)
        };
        let seal = open().unwrap();
        let proof = if to.is_some() { Proof::SealedToMe } else { Proof::Sealed };
        assert_eq!((seal.proof, seal.sender, seal.key), (proof, head.session, id), "{name}");
        assert_eq!(seal.may_act, labels.method != "hello", "{name}");
        assert_eq!(open().err(), Some(Drop::Replayed), "{name}");
        assert_eq!(*made.lock().unwrap(), 1, "{name}: its key is kept");
    }
}
