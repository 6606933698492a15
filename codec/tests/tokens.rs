//! A format that is given by its tokens keeps the codec contract, whether its containers end
//! with a mark or say how many values they have.

use std::borrow::Cow;

use lanc_codec::{Token, TokenCodec, Tokens};
use lanc_core::ports::{Budget, Codec, DecodeError, Format};
use serde::{Deserialize, Serialize};

/// One byte says what it is; numbers and lengths are eight bytes, big-endian.
struct Binary {
    counted: bool,
}

impl Tokens for Binary {
    fn format(&self) -> Format {
        Format::new("binary")
    }

    fn claims(&self, first: u8) -> bool {
        first == b'm'
    }

    fn read<'a>(&self, input: &'a [u8]) -> Result<(Token<'a>, usize), DecodeError> {
        let (tag, rest) = input.split_first().ok_or(DecodeError::Truncated)?;
        match (tag, self.counted) {
            (b'n', _) => return Ok((Token::Null, 1)),
            (b'y', _) => return Ok((Token::Bool(true), 1)),
            (b'z', _) => return Ok((Token::Bool(false), 1)),
            (b'l', false) => return Ok((Token::List(None), 1)),
            (b'm', false) => return Ok((Token::Map(None), 1)),
            (b'e', false) => return Ok((Token::End, 1)),
            _ => {}
        }
        let (number, rest) = rest.split_first_chunk::<8>().ok_or(DecodeError::Truncated)?;
        let count = usize::try_from(u64::from_be_bytes(*number)).unwrap_or(usize::MAX);
        let token = match tag {
            b'i' => Token::Int(i64::from_be_bytes(*number)),
            b'u' => Token::Uint(u64::from_be_bytes(*number)),
            b'f' => Token::Float(f64::from_be_bytes(*number)),
            b'l' => Token::List(Some(count)),
            b'm' => Token::Map(Some(count)),
            b't' | b'b' => {
                let bytes = rest.get(..count).ok_or(DecodeError::Truncated)?;
                let text = || std::str::from_utf8(bytes).map_err(|_| DecodeError::Text);
                let token =
                    if *tag == b'b' { Token::Bytes(bytes) } else { Token::Text(text()?.into()) };
                return Ok((token, 9 + count));
            }
            _ => return Err(DecodeError::Malformed(0)),
        };
        Ok((token, 9))
    }

    fn write(&self, token: &Token<'_>, out: &mut Vec<u8>) {
        let (tag, number, tail): (u8, Option<u64>, &[u8]) = match token {
            Token::Null => (b'n', None, &[]),
            Token::Bool(is) => (if *is { b'y' } else { b'z' }, None, &[]),
            Token::Int(number) => (b'i', Some(number.cast_unsigned()), &[]),
            Token::Uint(number) => (b'u', Some(*number), &[]),
            Token::Float(number) => (b'f', Some(number.to_bits()), &[]),
            Token::Text(text) => (b't', Some(text.len() as u64), text.as_bytes()),
            Token::Bytes(bytes) => (b'b', Some(bytes.len() as u64), bytes),
            Token::List(count) => (b'l', count.filter(|_| self.counted).map(|n| n as u64), &[]),
            Token::Map(count) => (b'm', count.filter(|_| self.counted).map(|n| n as u64), &[]),
            Token::End if self.counted => return,
            Token::End => (b'e', None, &[]),
        };
        out.push(tag);
        out.extend(number.into_iter().flat_map(u64::to_be_bytes));
        out.extend_from_slice(tail);
    }
}

mod marked {
    lanc_testkit::codec_contract!(super::TokenCodec(super::Binary { counted: false }));
}

mod counted {
    lanc_testkit::codec_contract!(super::TokenCodec(super::Binary { counted: true }));
}

#[test]
fn nesting_ends_at_the_ceiling_whatever_the_budget_says() {
    let codec = TokenCodec(Binary { counted: false });
    let most = usize::try_from(TokenCodec::<Binary>::MAX_DEPTH).unwrap();
    let read = |levels: usize| {
        let input = [b"l".repeat(levels), b"e".repeat(levels)].concat();
        let mut budget = Budget { depth: u32::MAX, nodes: u32::MAX };
        codec.read_list(&input, &mut budget, &mut |_| Ok(())).map(|used| used == input.len())
    };
    assert_eq!(read(most), Ok(true));
    assert_eq!(read(most + 1), Err(DecodeError::TooDeep));
}

#[test]
fn numbers_that_are_none_are_refused_both_ways() {
    let codec = TokenCodec(Binary { counted: false });
    let mut out = b"kept".to_vec();
    assert!(codec.serialize(&[f64::NAN].as_slice(), u32::MAX, &mut out).is_err());
    assert_eq!(out, b"kept");
    let mut bytes = Vec::new();
    codec.0.write(&Token::Float(f64::INFINITY), &mut bytes);
    assert!(codec.deserialize(&bytes, &mut |_| Ok(())).is_err());
}

#[test]
fn byte_strings_are_read_as_lists_of_numbers() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Blob(Vec<u8>);
    let codec = TokenCodec(Binary { counted: true });
    let mut bytes = Vec::new();
    codec.0.write(&Token::Bytes(&[1, 2, 255]), &mut bytes);
    let mut blob = None;
    let read = codec.deserialize(&bytes, &mut |value| {
        blob = Some(erased_serde::deserialize::<Blob>(value)?);
        Ok(())
    });
    assert_eq!((read, blob), (Ok(()), Some(Blob(vec![1, 2, 255]))));
}

/// A format with a mistake: it says it took another number of bytes than there can be.
struct Wrong(usize);

impl Tokens for Wrong {
    fn format(&self) -> Format {
        Format::new("wrong")
    }

    fn claims(&self, _: u8) -> bool {
        true
    }

    fn read<'a>(&self, input: &'a [u8]) -> Result<(Token<'a>, usize), DecodeError> {
        Ok(if input.first() == Some(&b'l') {
            (Token::List(None), 1)
        } else {
            (Token::Text(Cow::Borrowed("")), self.0)
        })
    }

    fn write(&self, _: &Token<'_>, _: &mut Vec<u8>) {}
}

#[test]
fn a_format_that_miscounts_its_bytes_is_an_error() {
    for used in [0, 4, usize::MAX] {
        let mut budget = Budget { depth: 9, nodes: u32::MAX };
        let read = TokenCodec(Wrong(used)).read_list(b"lxyz", &mut budget, &mut |_| Ok(()));
        assert_eq!(read, Err(DecodeError::Malformed(1)), "{used}");
    }
}
