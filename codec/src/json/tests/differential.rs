//! The scanner against `serde_json`, on documents drawn from a seed.

use lanc_core::ports::{Codec, Item};
use serde_json::Value;

use super::{AMPLE, JsonCodec, accepted, in_list, reads_list, reads_map};

const TOKENS: &str = r#"{ } [ ] , : "a" " \ u \u d83d \ude00 0 1 - . e E + 9 true false null
    "\n" "k": "k":1 ä 1e400 18446744073709551616 {} []"#;

struct Draw(u64);

impl Draw {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn token(&mut self) -> Vec<u8> {
        let mut tokens: Vec<_> = TOKENS.split_whitespace().collect();
        tokens.extend([" ", "\n", "\t", "\u{1}"]);
        tokens[self.below(tokens.len())].as_bytes().to_vec()
    }

    fn valid(&mut self) -> Vec<u8> {
        let all = accepted();
        all[self.below(all.len())].0.as_bytes().to_vec()
    }

    /// A few tokens in a row: seldom valid.
    fn heap(&mut self) -> Vec<u8> {
        (0..self.below(9)).flat_map(|_| self.token()).collect()
    }

    /// A valid document with up to two faults in it.
    fn mutant(&mut self) -> Vec<u8> {
        let mut document = [&b"["[..], &self.valid(), b",{\"x\":", &self.valid(), b"}]"].concat();
        for _ in 0..self.below(3) {
            let at = self.below(document.len());
            match self.below(4) {
                0 => document[at] = u8::try_from(self.below(256)).unwrap(),
                1 => drop(document.remove(at)),
                2 => drop(document.splice(at..at, self.token())),
                _ => document[at] ^= 1 << self.below(8),
            }
        }
        document
    }
}

/// The two differ in the depth they allow (the budget here, 128 levels there) and in the keys
/// that are private to `serde_json`; no document of this test comes near either.
#[test]
fn accepts_what_serde_json_accepts() {
    let mut draw = Draw(1);
    let mut counts = [0; 2];
    for round in 0..60_000 {
        let document = if round % 3 == 0 { draw.heap() } else { draw.mutant() };
        for document in [in_list(&document), document] {
            let theirs = serde_json::from_slice::<Value>(&document).ok();
            let theirs = theirs.filter(|value| value.is_array() || value.is_object());
            let ours = reads_list(&document).is_ok() || reads_map(&document).is_ok();
            let shown = String::from_utf8_lossy(&document);
            assert_eq!(ours, theirs.is_some(), "{shown}");
            if let Some(Value::Array(items)) = theirs {
                reads_the_same(&document, &items);
            }
            counts[usize::from(ours)] += 1;
        }
    }
    assert!(counts.iter().all(|count| *count > 10_000), "one-sided documents: {counts:?}");
}

fn reads_the_same(document: &[u8], theirs: &[Value]) {
    let mut ours = Vec::new();
    JsonCodec
        .read_list(document, &mut AMPLE.clone(), &mut |value| {
            ours.push(value.item);
            Ok(())
        })
        .unwrap();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        let equal = match ours {
            Item::Null => theirs.is_null(),
            Item::Bool(is) => theirs.as_bool() == Some(*is),
            Item::Int(number) => theirs.as_i64() == Some(*number),
            Item::Uint(number) => theirs.as_u64() == Some(*number),
            Item::Float(number) => theirs.is_f64() && theirs.as_f64() == Some(*number),
            Item::Text(text) => theirs.as_str() == Some(text),
            Item::List(_) => theirs.is_array(),
            Item::Map(_) => theirs.is_object(),
            Item::Bytes(_) | Item::Encoded(_) | Item::Entries(_) => false,
        };
        assert!(equal, "{ours:?} is not {theirs:?}");
    }
}
