//! What the older dialects can say, and the way to and from it.

use std::borrow::Cow;

use thiserror::Error;

use super::native::{Unreadable, read_id};
use super::{Dialect, published, s0};
use crate::error::Fault;
use crate::fields::{Fields, map_or_nothing};
use crate::id::FunctionName;
use crate::message::{Method, WireId};
use crate::ports::{Budget, Codec, DecodeError, Item, Value};

/// A message of an older dialect. Its sender is known by its address alone.
#[derive(Clone, PartialEq, Debug)]
pub enum Older<'a> {
    /// I am here.
    Hello,
    /// These functions are mine. Adds to what was said before.
    Func(Vec<Cow<'a, str>>),
    /// Run one.
    Call {
        /// The caller's id for it. Without one there is no answer.
        id: Option<WireId<'a>>,
        /// The function's name.
        function: Cow<'a, str>,
        /// Encoded list, or empty.
        args: &'a [u8],
        /// Encoded map, or empty.
        kwargs: &'a [u8],
    },
    /// Here is its result.
    Callback {
        /// The call's id, as the caller wrote it.
        id: WireId<'a>,
        /// The encoded result.
        result: &'a [u8],
    },
}

/// A message has no form in the dialect of its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Inexpressible {
    /// The published package hands named arguments on only behind positional ones; alone their
    /// names would become the values.
    #[error(
        "an older program passes the names for the values of named arguments that stand alone: \
         give at least one argument by position"
    )]
    NamedAlone,
    /// The older dialects have no such method.
    #[error("an older program knows no such message")]
    Unknown,
}

/// Reads a message of an older dialect. Generous: objects and plain names in func, lists and maps
/// for arguments, whatever dialect it is. `room` holds arguments that had to be rewritten.
///
/// # Errors
/// [`Unreadable`], a reason to drop and count the message.
pub fn read<'a>(
    dialect: Dialect,
    fields: &Fields<'a>,
    codec: &dyn Codec,
    budget: &mut Budget,
    room: &'a mut Vec<u8>,
) -> Result<Older<'a>, Unreadable> {
    Ok(match method(dialect, fields).ok_or(Unreadable::UnknownMethod)? {
        Method::Hello => Older::Hello,
        Method::Func => Older::Func(names(fields, codec, budget)?),
        Method::Call => {
            let name = fields.data.as_ref().and_then(|value| value.item.clone().into_text());
            Older::Call {
                id: read_id(fields)?.filter(|id| !is_nothing(id)),
                function: name.ok_or(DecodeError::WrongType)?,
                args: positional(fields.args.as_ref(), codec, budget, room)?,
                kwargs: map_or_nothing(fields.kwargs.as_ref())?,
            }
        }
        Method::Callback => {
            let result = fields.data.as_ref().map_or(&[][..], |value| value.raw);
            let id = read_id(fields)?.ok_or(DecodeError::WrongType)?;
            Older::Callback { id, result }
        }
        _ => return Err(Unreadable::UnknownMethod),
    })
}

/// Whether a message lists functions.
pub(crate) fn is_func(dialect: Dialect, fields: &Fields<'_>) -> bool {
    method(dialect, fields) == Some(Method::Func)
}

fn method(dialect: Dialect, fields: &Fields<'_>) -> Option<Method> {
    match dialect {
        Dialect::Published => published::method(fields),
        _ => Method::from_name(fields.method.as_ref()?.item.as_text()?),
    }
}

/// Zero and empty text stand for no id: an answer could not carry them.
fn is_nothing(id: &WireId<'_>) -> bool {
    match id {
        WireId::Native(_) => false,
        WireId::Text(text) => text.is_empty(),
        WireId::Number(number) => *number == 0,
    }
}

fn names<'a>(
    fields: &Fields<'a>,
    codec: &dyn Codec,
    budget: &mut Budget,
) -> Result<Vec<Cow<'a, str>>, DecodeError> {
    let Some(Item::List(raw)) = fields.data.as_ref().map(|value| &value.item) else {
        return Err(DecodeError::WrongType);
    };
    let (mut names, mut objects) = (Vec::new(), Vec::new());
    codec.read_list(raw, budget, &mut |value| {
        match value.item {
            Item::Text(name) => names.push(name),
            Item::Map(raw) => objects.push(raw),
            _ => {}
        }
        Ok(())
    })?;
    for raw in objects {
        codec.read_map(raw, budget, &mut |key, value| {
            if let ("name", Item::Text(name)) = (key, value.item) {
                names.push(name);
            }
            Ok(())
        })?;
    }
    names.retain(|name| FunctionName::is_valid(name));
    Ok(names)
}

/// The positional arguments as a list; of a map the values in their order, whatever its keys.
fn positional<'a>(
    field: Option<&Value<'a>>,
    codec: &dyn Codec,
    budget: &mut Budget,
    room: &'a mut Vec<u8>,
) -> Result<&'a [u8], DecodeError> {
    match field.map(|value| &value.item) {
        None | Some(Item::Null) => Ok(&[]),
        Some(Item::List(raw)) => Ok(raw),
        Some(Item::Map(raw)) => {
            let mut values = Vec::new();
            codec.read_map(raw, budget, &mut |_, value| {
                values.push(Item::Encoded(value.raw));
                Ok(())
            })?;
            room.clear();
            codec.write_list(&values, room);
            Ok(room)
        }
        Some(_) => Err(DecodeError::WrongType),
    }
}

/// Appends a message in an older dialect.
///
/// # Errors
/// [`Inexpressible`]; nothing was appended.
pub fn write(
    dialect: Dialect,
    message: &Older<'_>,
    codec: &dyn Codec,
    out: &mut Vec<u8>,
) -> Result<(), Inexpressible> {
    match dialect {
        Dialect::Published => published::write(message, codec, out),
        Dialect::S0 => {
            s0::write(message, codec, out);
            Ok(())
        }
        Dialect::Native | Dialect::Lean => Err(Inexpressible::Unknown),
    }
}

/// Appends the answer to a call that failed: a result that is a text, since the older callers
/// wait without end for one and know no error. `error CODE NAME: MESSAGE`, cut to the frame.
pub fn write_failure(
    dialect: Dialect,
    id: &WireId<'_>,
    fault: &Fault,
    codec: &dyn Codec,
    out: &mut Vec<u8>,
) {
    let begin = out.len();
    let mut message = fault.message.as_str();
    loop {
        let text = format!("error {} {}: {message}", fault.code.0, fault.code.name());
        let mut result = Vec::new();
        codec.write_item(&Item::Text(Cow::Owned(text)), &mut result);
        let callback = Older::Callback { id: id.clone(), result: &result };
        let written = write(dialect, &callback, codec, out);
        let fits = out.len() - begin <= dialect.profile().max_frame;
        if fits || written.is_err() || message.is_empty() {
            return;
        }
        out.truncate(begin);
        let half = message.len() / 2;
        let end = (0..=half).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        message = message.get(..end).unwrap_or_default();
    }
}

/// The id as a value of a message.
pub(super) fn id_item<'a>(id: &'a WireId<'_>) -> Item<'a> {
    match id {
        WireId::Native(id) => Item::Text(Cow::Owned(id.to_string())),
        WireId::Text(text) => Item::Text(Cow::Borrowed(text)),
        WireId::Number(number) => Item::Uint(*number),
    }
}
