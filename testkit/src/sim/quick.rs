//! A compression that costs the simulator next to nothing, where deflate would be most of a run.
//!
//! A body is `z`, the length of the plain form, its checksum, then pieces: literal bytes, or what
//! stood so many bytes before.

use std::hash::Hasher as _;

use lanc_core::ports::{Compressor, ExpandError};
use siphasher::sip::SipHasher13;

const FIRST: u8 = b'z';
/// First byte, length, checksum.
const HEAD: usize = 1 + 4 + 8;
/// Places remembered, by a hash of the four bytes that stand there.
const PLACES: usize = 512;
/// Bytes of the shortest repetition, and of the longest piece.
const SHORTEST: usize = 4;
const LONGEST: usize = 127;
/// Set in the first byte of a repetition.
const AGAIN: u8 = 0x80;

/// The compression of simulated nodes.
#[derive(Clone, Copy, Debug)]
pub struct Quick;

fn checksum(plain: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x7175, 0x6963);
    hasher.write(plain);
    hasher.finish()
}

fn place_of(four: &[u8]) -> usize {
    let word = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    usize::try_from(word.wrapping_mul(0x9e37_79b1) >> 23).unwrap_or(0) % PLACES
}

/// How many bytes two places have in common.
fn common(plain: &[u8], old: usize, new: usize) -> usize {
    let pairs = plain[old..].iter().zip(&plain[new..]);
    pairs.take(LONGEST).take_while(|(a, b)| a == b).count()
}

fn literal(bytes: &[u8], out: &mut Vec<u8>) {
    for piece in bytes.chunks(LONGEST) {
        out.push(u8::try_from(piece.len()).unwrap_or(0));
        out.extend_from_slice(piece);
    }
}

impl Compressor for Quick {
    fn name(&self) -> &'static str {
        "quick"
    }

    fn claims(&self, first: u8) -> bool {
        first == FIRST
    }

    fn compress(&self, plain: &[u8], out: &mut Vec<u8>) {
        out.push(FIRST);
        out.extend_from_slice(&u32::try_from(plain.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&checksum(plain).to_be_bytes());
        let mut places = [0_usize; PLACES];
        let (mut at, mut written) = (0, 0);
        while at + SHORTEST <= plain.len() {
            let place = &mut places[place_of(&plain[at..])];
            let old = std::mem::replace(place, at);
            let length = if old < at { common(plain, old, at) } else { 0 };
            let back = u16::try_from(at - old.min(at));
            if let (SHORTEST.., Ok(back)) = (length, back) {
                literal(&plain[written..at], out);
                out.push(AGAIN | u8::try_from(length).unwrap_or(0));
                out.extend_from_slice(&back.to_be_bytes());
                at += length;
                written = at;
            } else {
                at += 1;
            }
        }
        literal(&plain[written..], out);
    }

    fn expand(&self, packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), ExpandError> {
        let start = out.len();
        let result = expand(packed, limit, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }
}

fn expand(packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), ExpandError> {
    let start = out.len();
    let (head, mut rest) = packed.split_at_checked(HEAD).ok_or(ExpandError::Damaged)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    let (length, sum) = (number(&head[1..5]), number(&head[5..]));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if head[0] != FIRST {
        return Err(ExpandError::Damaged);
    }
    while let Some((first, behind)) = rest.split_first() {
        let count = usize::from(first & !AGAIN);
        let more = out.len() - start + count;
        if count == 0 || more > length {
            return Err(ExpandError::Damaged);
        }
        if more > limit {
            return Err(ExpandError::TooLarge);
        }
        if first & AGAIN == 0 {
            let piece = behind.get(..count).ok_or(ExpandError::Damaged)?;
            out.extend_from_slice(piece);
            rest = &behind[count..];
        } else {
            let (back, behind) = behind.split_first_chunk().ok_or(ExpandError::Damaged)?;
            let back = usize::from(u16::from_be_bytes(*back));
            let from = out.len().checked_sub(back).filter(|from| *from >= start && back > 0);
            let from = from.ok_or(ExpandError::Damaged)?;
            for place in from..from + count {
                out.push(out[place]);
            }
            rest = behind;
        }
    }
    let is_whole = out.len() - start == length && checksum(&out[start..]) == sum;
    if is_whole { Ok(()) } else { Err(ExpandError::Damaged) }
}
