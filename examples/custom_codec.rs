//! A codec of your own, between two nodes that speak nothing else: typed arguments and results.
//!
//! `lanc_codec::Tokens` asks only for what is special about a format: how one token is read and
//! written. `TokenCodec` adds the rest of the codec port. A format that has a serde crate of its
//! own, or must be fast, implements `lanc_core::ports::Codec` itself.

use std::error::Error;
use std::str::{FromStr, from_utf8};
use std::sync::Arc;

use lanc::{Node, NodeBuilder, OpenError};
use lanc_codec::{Token, TokenCodec, Tokens};
use lanc_core::ports::{DecodeError, Format};
use lanc_transport_memory::MemoryNetwork;
use serde::{Deserialize, Serialize};

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
            // This format has no form for binary data: it becomes text.
            Token::Bytes(bytes) => (b't', bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        };
        out.push(tag);
        out.extend(format!("{}:{body}", body.len()).bytes());
    }
}

fn number<T: FromStr>(digits: &[u8]) -> Result<T, DecodeError> {
    from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(DecodeError::Malformed(0))
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Circle {
    name: String,
    radius: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Every rule of the port; panics with the name of the one that is broken.
    lanc_testkit::contract::codec::all(&TokenCodec(Tagged));

    let network = MemoryNetwork::new();
    let (server, client) = (open(&network).await?, open(&network).await?);
    server.register("grow", |c: Circle, by: f64| Circle { radius: c.radius * by, ..c })?;

    let small = Circle { name: "it's round".to_owned(), radius: 1.5 };
    let large: Circle = client.call("grow", (&small, 2.0)).await?;
    println!("{small:?} became {large:?}");
    assert_eq!(large, Circle { radius: 3.0, ..small });
    Ok(())
}

async fn open(network: &MemoryNetwork) -> Result<Node, OpenError> {
    NodeBuilder::new().codec(TokenCodec(Tagged)).transport(network.transport()).open().await
}
