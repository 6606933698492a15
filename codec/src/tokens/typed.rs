//! Typed values by way of [`serde_json::Value`], which serde can write and read.

use std::borrow::Cow;

use lanc_core::ports::{Budget, DecodeError, EncodeError};
use serde_json::{Map, Number, Value};

use super::scan::{Level, Scanner};
use super::{Token, TokenCodec, Tokens};
use crate::json::Finite;

pub(super) fn to_value(value: &dyn erased_serde::Serialize) -> Result<Value, String> {
    erased_serde::serialize(value, Finite::new(serde_json::value::Serializer))
        .map_err(|error| error.to_string())
}

/// Appends a value in which at most `depth` containers stand inside each other.
pub(super) fn write<T: Tokens>(
    tokens: &T,
    value: &Value,
    depth: u32,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let inner = || depth.checked_sub(1).ok_or(EncodeError::TooDeep);
    let token = match value {
        Value::Null => Token::Null,
        Value::Bool(is) => Token::Bool(*is),
        Value::Number(number) => number_token(number),
        Value::String(text) => Token::Text(Cow::Borrowed(text)),
        Value::Array(items) => {
            let inner = inner()?;
            tokens.write(&Token::List(Some(items.len())), out);
            items.iter().try_for_each(|item| write(tokens, item, inner, out))?;
            Token::End
        }
        Value::Object(entries) => {
            let inner = inner()?;
            tokens.write(&Token::Map(Some(entries.len())), out);
            for (key, item) in entries {
                tokens.write(&Token::Text(Cow::Borrowed(key)), out);
                write(tokens, item, inner, out)?;
            }
            Token::End
        }
    };
    tokens.write(&token, out);
    Ok(())
}

fn number_token(number: &Number) -> Token<'static> {
    let float = || number.as_f64().map_or(Token::Null, Token::Float);
    let uint = || number.as_u64().map(Token::Uint);
    number.as_i64().map(Token::Int).or_else(uint).unwrap_or_else(float)
}

/// Reads one value and nothing behind it.
pub(super) fn read<T: Tokens>(tokens: &T, bytes: &[u8]) -> Result<Value, DecodeError> {
    // How many there may be was checked when they arrived.
    let mut budget = Budget { depth: TokenCodec::<T>::MAX_DEPTH, nodes: u32::MAX };
    let depth = budget.depth;
    let mut scanner = Scanner::new(tokens, bytes, &mut budget);
    let first = scanner.next()?;
    let value = value(&mut scanner, first, depth)?;
    if scanner.is_at_end() { Ok(value) } else { Err(DecodeError::Shape) }
}

fn value<T: Tokens>(
    scanner: &mut Scanner<'_, '_, '_, T>,
    first: Token<'_>,
    depth: u32,
) -> Result<Value, DecodeError> {
    if let Some(level) = Level::begun_by(&first) {
        let depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        return container(scanner, level, depth);
    }
    Ok(match first {
        Token::Null => Value::Null,
        Token::Bool(is) => Value::Bool(is),
        Token::Int(number) => Value::from(number),
        Token::Uint(number) => Value::from(number),
        Token::Float(number) => Value::Number(Number::from_f64(number).ok_or(DecodeError::Number)?),
        Token::Text(text) => Value::String(text.into_owned()),
        Token::Bytes(bytes) => Value::from(bytes),
        Token::List(_) | Token::Map(_) | Token::End => return Err(DecodeError::Shape),
    })
}

fn container<T: Tokens>(
    scanner: &mut Scanner<'_, '_, '_, T>,
    mut level: Level,
    depth: u32,
) -> Result<Value, DecodeError> {
    let (mut items, mut entries) = (Vec::new(), Map::new());
    while let Some(entry) = scanner.entry(&mut level)? {
        let item = value(scanner, entry.first, depth)?;
        if level.map {
            entries.insert(entry.key.into_owned(), item);
        } else {
            items.push(item);
        }
    }
    Ok(if level.map { Value::Object(entries) } else { Value::Array(items) })
}
