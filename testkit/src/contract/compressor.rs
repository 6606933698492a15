//! What every [`Compressor`] promises. A new one runs all of it with one line:
//!
//! ```
//! mod zlib {
//!     lanc_testkit::compressor_contract!(lanc_codec::Zlib::new());
//! }
//! ```

use std::fmt::Display;

use lanc_core::ports::{Compressor, ExpandError};

/// One `#[test]` for each rule that a [`Compressor`] keeps.
#[macro_export]
macro_rules! compressor_contract {
    (@rules $how:ident $compressor:expr) => {
        $crate::compressor_contract!(@$how $compressor;
            what_is_compressed_is_claimed
            bodies_round_trip
            bodies_stand_for_themselves
            the_limit_is_exact
            cut_bodies_are_refused
            what_follows_is_refused
            changed_bodies_are_refused
            any_bytes_are_survived
        );
    };
    (@tests $compressor:expr; $($rule:ident)*) => {
        $(#[test]
        fn $rule() {
            $crate::contract::compressor::$rule(&$compressor);
        })*
    };
    (@calls $compressor:expr; $($rule:ident)*) => {
        $($crate::contract::compressor::$rule($compressor);)*
    };
    ($compressor:expr) => { $crate::compressor_contract!(@rules tests $compressor); };
}

/// Checks every rule.
///
/// # Panics
/// With the name of the rule that is broken.
pub fn all(compressor: &dyn Compressor) {
    compressor_contract!(@rules calls compressor);
}

/// More than any body here holds.
const AMPLE: usize = 1 << 22;

/// Z1: what it makes begins with a byte that it claims and that no format has; it only appends.
pub fn what_is_compressed_is_claimed(compressor: &dyn Compressor) {
    const RULE: &str = "rule Z1: a compressor claims what it makes, and appends";
    let name = compressor.name();
    holds(RULE, !name.is_empty() && name.len() <= 16, format_args!("its name is {name:?}"));
    for plain in plains() {
        let mut out = b"kept".to_vec();
        compressor.compress(&plain, &mut out);
        let first = out.strip_prefix(b"kept").and_then(<[u8]>::first);
        let claimed = first.is_some_and(|first| compressor.claims(*first));
        holds(RULE, claimed, format_args!("a body begins with {first:?}"));
    }
    // JSON, MessagePack, records, envelopes.
    let taken = (0x80..=0x9f).chain([b'{', 0xde, 0xdf, 0x01, 0x02]);
    for first in taken {
        holds(RULE, !compressor.claims(first), format_args!("{first:#x} belongs to others"));
    }
}

/// Z2: everything comes back as it was, behind what stood in the buffer.
pub fn bodies_round_trip(compressor: &dyn Compressor) {
    const RULE: &str = "rule Z2: what was compressed expands to itself, and is appended";
    for plain in plains() {
        let mut out = b"kept".to_vec();
        let result = compressor.expand(&packed(compressor, &plain), AMPLE, &mut out);
        let same = out.strip_prefix(b"kept") == Some(plain.as_slice());
        holds(RULE, result == Ok(()) && same, format_args!("{} bytes: {result:?}", plain.len()));
    }
}

/// Z3: a body is the same whatever was compressed or expanded before, whole or not.
pub fn bodies_stand_for_themselves(compressor: &dyn Compressor) {
    const RULE: &str = "rule Z3: no body knows of another";
    let plains = plains();
    let first: Vec<_> = plains.iter().map(|plain| packed(compressor, plain)).collect();
    for (plain, body) in plains.iter().zip(&first).rev() {
        holds(RULE, packed(compressor, plain) == *body, "a second body differs from the first");
        let _ = compressor.expand(&body[..body.len() / 2], AMPLE, &mut Vec::new());
        let _ = compressor.expand(body, plain.len() / 2, &mut Vec::new());
        holds(RULE, expanded(compressor, body, AMPLE) == Ok(plain.clone()), "after a failure");
    }
}

/// Z4: exactly so many bytes come out, and never a byte more; what is refused leaves no trace.
pub fn the_limit_is_exact(compressor: &dyn Compressor) {
    const RULE: &str = "rule Z4: the limit is the number of bytes that may come out";
    for plain in plains() {
        let body = packed(compressor, &plain);
        let exact = expanded(compressor, &body, plain.len());
        holds(RULE, exact.as_ref() == Ok(&plain), format_args!("at the limit: {:?}", exact.err()));
        for less in [1, 2, plain.len() / 2, plain.len()] {
            let Some(limit) = plain.len().checked_sub(less).filter(|_| less > 0) else { continue };
            let mut out = b"kept".to_vec();
            let result = compressor.expand(&body, limit, &mut out);
            let refused = result == Err(ExpandError::TooLarge);
            holds(RULE, refused, format_args!("{less} above it: {result:?}"));
            holds(RULE, out == b"kept", "what was refused left a trace");
        }
    }
}

/// Z5: half a body is none, wherever it is cut.
pub fn cut_bodies_are_refused(compressor: &dyn Compressor) {
    const RULE: &str = "rule Z5: a body without its end is damaged";
    for plain in plains().iter().filter(|plain| plain.len() < 3000) {
        let body = packed(compressor, plain);
        for length in 0..body.len() {
            let mut out = b"kept".to_vec();
            let result = compressor.expand(&body[..length], AMPLE, &mut out);
            let refused = result == Err(ExpandError::Damaged) && out == b"kept";
            holds(RULE, refused, format_args!("{length} of {} bytes: {result:?}", body.len()));
        }
    }
}

/// Z6: bytes behind the end are an error: somebody would smuggle them past whoever looks.
pub fn what_follows_is_refused(compressor: &dyn Compressor) {
    const RULE: &str = "rule Z6: bytes behind the end are an error";
    for plain in plains() {
        let body = packed(compressor, &plain);
        for behind in [&b"\0"[..], b"{}", &body] {
            let longer = [body.as_slice(), behind].concat();
            let result = expanded(compressor, &longer, AMPLE).map(|_| ());
            holds(RULE, result == Err(ExpandError::Damaged), format_args!("{result:?}"));
        }
    }
}

/// Z7: no changed body expands to something else: the checksum is looked at.
pub fn changed_bodies_are_refused(compressor: &dyn Compressor) {
    const RULE: &str = "rule Z7: a body that was changed is damaged";
    for plain in plains().iter().filter(|plain| plain.len() < 3000) {
        let body = packed(compressor, plain);
        for bit in 0..body.len() * 8 {
            let mut changed = body.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let result = expanded(compressor, &changed, AMPLE);
            // Some bits say how it was made and not what it holds.
            let harmless = result.as_ref().map_or(true, |found| found == plain);
            holds(RULE, harmless, format_args!("bit {bit} of {} bytes", body.len()));
        }
    }
}

/// Z8: any bytes end in a body or an error, within the limit and without a trace.
pub fn any_bytes_are_survived(compressor: &dyn Compressor) {
    const RULE: &str = "rule Z8: any bytes are a body or an error";
    let mut draw = Draw(8);
    let bodies: Vec<_> = plains().iter().map(|plain| packed(compressor, plain)).collect();
    for round in 0..4000 {
        let mut bytes = match round % 2 {
            0 => {
                let count = 1 + draw.below(300);
                draw.bytes(count)
            }
            _ => bodies[draw.below(bodies.len())].iter().copied().take(2000).collect(),
        };
        for _ in 0..1 + draw.below(4) {
            let place = draw.below(bytes.len());
            bytes[place] = draw.byte();
        }
        let limit = draw.below(5000);
        let mut out = b"kept".to_vec();
        let result = compressor.expand(&bytes, limit, &mut out);
        let within = out.len() - 4 <= limit && (result.is_ok() || out == b"kept");
        holds(RULE, within, format_args!("{} bytes came out: {result:?}", out.len() - 4));
    }
}

fn packed(compressor: &dyn Compressor, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compressor.compress(plain, &mut out);
    out
}

fn expanded(
    compressor: &dyn Compressor,
    body: &[u8],
    limit: usize,
) -> Result<Vec<u8>, ExpandError> {
    let mut out = Vec::new();
    compressor.expand(body, limit, &mut out).map(|()| out)
}

/// Nothing, little, much; the same over and over, text, and what does not compress at all.
fn plains() -> Vec<Vec<u8>> {
    let mut draw = Draw(1);
    let mut plains = vec![Vec::new(), b"{}".to_vec(), b"{".to_vec()];
    for length in [1, 100, 1024, 2500, 70_000, 1 << 20] {
        plains.push(vec![b'0'; length]);
        plains.push(
            b"{\"temperature\":20.5,\"room\":\"hall\"}"
                .iter()
                .copied()
                .cycle()
                .take(length)
                .collect(),
        );
        plains.push(draw.bytes(length));
    }
    plains
}

struct Draw(u64);

impl Draw {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0.to_be_bytes()[0]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    fn below(&mut self, most: usize) -> usize {
        let drawn = [self.byte(), self.byte(), self.byte()];
        drawn.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)) % most
    }
}

fn holds(rule: &str, kept: bool, found: impl Display) {
    assert!(kept, "{rule}: {found}");
}
