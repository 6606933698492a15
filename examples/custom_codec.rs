//! A codec of your own, between two nodes that speak nothing else: typed arguments and results.
//!
//! `Tokens` asks only for what is special about a format, one token; `TokenCodec` adds the rest of
//! the port. A format with a serde crate of its own implements `lanc_core::ports::Codec` itself.

use std::error::Error;
use std::str::{FromStr, from_utf8};

use lanc::NodeBuilder;
use lanc_codec::{Token, TokenCodec, Tokens};
use lanc_core::ports::{DecodeError, Format};
use lanc_transport_memory::MemoryNetwork;

/// Tagged netstrings: `i2:-5` is a number, `t3:abc` text, `m...e` a map, `l...e` a list.
struct Tagged;

impl Tokens for Tagged {
    fn format(&self) -> Format {
        Format::new("tagged")
    }
    fn claims(&self, first: u8) -> bool {
        first == b'm'
    }
    fn read<'a>(&self, input: &'a [u8]) -> Result<(Token<'a>, usize), DecodeError> {
        let (tag, rest) = input.split_first().ok_or(DecodeError::Truncated)?;
        match tag {
            b'm' => return Ok((Token::Map(None), 1)),
            b'l' => return Ok((Token::List(None), 1)),
            b'e' => return Ok((Token::End, 1)),
            _ => {}
        }
        let colon = rest.iter().position(|byte| *byte == b':').ok_or(DecodeError::Truncated)?;
        let (length, body) = rest.split_at(colon);
        // A stranger's claim: checked against what is there before anything is done with it.
        let length: usize = number(length)?;
        let body = body.get(1..).and_then(|body| body.get(..length));
        let body = body.ok_or(DecodeError::Truncated)?;
        let token = match tag {
            b'n' => Token::Null,
            b'b' => Token::Bool(number(body)?),
            b'i' => Token::Int(number(body)?),
            b'u' => Token::Uint(number(body)?),
            b'f' => Token::Float(number(body)?),
            b't' => Token::Text(from_utf8(body).map_err(|_| DecodeError::Text)?.into()),
            _ => return Err(DecodeError::Malformed(0)),
        };
        Ok((token, 2 + colon + length))
    }

    fn write(&self, token: &Token<'_>, out: &mut Vec<u8>) {
        let (tag, body) = match token {
            Token::Map(_) => return out.push(b'm'),
            Token::List(_) => return out.push(b'l'),
            Token::End => return out.push(b'e'),
            Token::Null => (b'n', String::new()),
            Token::Bool(is) => (b'b', is.to_string()),
            Token::Int(number) => (b'i', number.to_string()),
            Token::Uint(number) => (b'u', number.to_string()),
            Token::Float(number) => (b'f', number.to_string()),
            Token::Text(text) => (b't', text.to_string()),
            Token::Bytes(bytes) => (b't', bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        };
        out.push(tag);
        out.extend(format!("{}:{body}", body.len()).bytes());
    }
}

fn number<T: FromStr>(digits: &[u8]) -> Result<T, DecodeError> {
    from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(DecodeError::Malformed(0))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Every rule of the port; panics with the name of the one that is broken.
    lanc_testkit::contract::codec::all(&TokenCodec(Tagged));

    let network = MemoryNetwork::new();
    let node = || NodeBuilder::new().codec(TokenCodec(Tagged)).transport(network.transport());
    let (server, client) = (node().open().await?, node().open().await?);
    server.register("grow", |(name, radius): (String, f64), by: f64| (name, radius * by))?;
    let large: (String, f64) = client.call("grow", (("it's round", 1.5), 2.0)).await?;
    println!("over tagged netstrings: {large:?}");
    assert_eq!(large, ("it's round".to_owned(), 3.0));
    Ok(())
}
