//! From lean bytes to messages.

use std::borrow::Cow;
use std::time::Duration;

use super::{Head, method_of, state_of};
use crate::dialect::native::Unreadable;
use crate::error::{ErrorCode, Executed, Fault};
use crate::id::ExeId;
use crate::message::{
    Ack, Call, Callback, Failure, Message, Method, NO_COPY, Receipt, ReplyTo, WireId,
};
use crate::ports::{Budget, Codec, DecodeError, Letter, Short};

/// What stands where a whole number should.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Number {
    #[default]
    Absent,
    Is(u64),
    /// Something else.
    Wrong,
}

impl Number {
    fn of(value: Short<'_>) -> Self {
        match value {
            Short::Uint(number) => Self::Is(number),
            _ => Self::Wrong,
        }
    }

    fn optional(self) -> Result<Option<u64>, DecodeError> {
        match self {
            Self::Absent => Ok(None),
            Self::Is(number) => Ok(Some(number)),
            Self::Wrong => Err(DecodeError::WrongType),
        }
    }

    fn needed(self) -> Result<u64, DecodeError> {
        self.optional()?.ok_or(DecodeError::WrongType)
    }

    /// One that has to fit a smaller type.
    fn small<T: TryFrom<u64>>(self) -> Result<Option<T>, DecodeError> {
        self.optional()?.map(T::try_from).transpose().map_err(|_| DecodeError::WrongType)
    }
}

/// Encoded bytes that belong to the user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Encoded<'a> {
    #[default]
    Absent,
    Is(&'a [u8]),
    /// Not a list, or not a map.
    Wrong,
}

impl<'a> Encoded<'a> {
    fn or_nothing(self) -> Result<&'a [u8], DecodeError> {
        match self {
            Self::Absent => Ok(&[]),
            Self::Is(raw) => Ok(raw),
            Self::Wrong => Err(DecodeError::WrongType),
        }
    }
}

fn text_of(value: Short<'_>) -> Option<&str> {
    match value {
        Short::Text(text) => Some(text),
        _ => None,
    }
}

/// The fields of one lean message, before anybody asks what they mean. Unknown ones are
/// ignored; of a field given twice the last one counts. Small, because there is one for each
/// message.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Fields<'a> {
    method: Number,
    number: Number,
    random: Number,
    /// `None` where it is no text.
    function: Option<Option<&'a str>>,
    args: Encoded<'a>,
    kwargs: Encoded<'a>,
    deadline: Number,
    one_way: bool,
    stream: Number,
    port: Number,
    token: Number,
    result: Option<&'a [u8]>,
    code: Number,
    executed: Number,
    text: Option<&'a str>,
    retry: Number,
    state: Number,
    count: Number,
}

impl<'a> Fields<'a> {
    /// Reads one message into fields that are empty, and returns the number of bytes it took.
    ///
    /// # Errors
    /// [`DecodeError`], for input that is no map within the budget.
    pub fn read(
        &mut self,
        codec: &dyn Codec,
        input: &'a [u8],
        budget: &mut Budget,
    ) -> Result<usize, DecodeError> {
        codec.read_letters(input, budget, &mut |letter| self.take(letter))
    }

    #[inline]
    fn take(&mut self, Letter { key, value, raw }: Letter<'a>) {
        match key {
            b'm' => self.method = Number::of(value),
            // No id at all, as in the form with nine keys.
            b'i' if value == Short::Null => self.number = Number::Absent,
            b'i' => self.number = Number::of(value),
            b'r' => self.random = Number::of(value),
            b'f' => self.function = Some(text_of(value)),
            b'a' => {
                self.args = match value {
                    Short::List(raw) => Encoded::Is(raw),
                    Short::Null => Encoded::Absent,
                    _ => Encoded::Wrong,
                }
            }
            b'k' => {
                self.kwargs = match value {
                    Short::Map(raw) => Encoded::Is(raw),
                    Short::Null => Encoded::Absent,
                    _ => Encoded::Wrong,
                }
            }
            b'd' => self.deadline = Number::of(value),
            b'o' => self.one_way = value == Short::Bool(true),
            b'b' => self.stream = Number::of(value),
            b'p' => self.port = Number::of(value),
            b'q' => self.token = Number::of(value),
            b'v' => self.result = Some(raw),
            b'e' => self.code = Number::of(value),
            b'x' => self.executed = Number::of(value),
            b't' => self.text = text_of(value),
            b'w' => self.retry = Number::of(value),
            b's' => self.state = Number::of(value),
            b'n' => self.count = Number::of(value),
            _ => {}
        }
    }

    /// The id of a call, whatever else of it is wrong.
    pub fn call(&self, head: &Head) -> Option<WireId<'static>> {
        let is_call = self.method() == Ok(Method::Call);
        self.id(Some(head.sender)).ok().flatten().filter(|_| is_call)
    }

    /// Said by `m`; without it a call by its `f`, a result by its `v`, an error by its `e`, of
    /// which a message has one.
    fn method(&self) -> Result<Method, Unreadable> {
        if let Some(number) = self.method.optional()? {
            return method_of(number).ok_or(Unreadable::UnknownMethod);
        }
        match (&self.function, &self.result, self.code) {
            (Some(_), None, Number::Absent) => Ok(Method::Call),
            (None, Some(_), Number::Absent) => Ok(Method::Callback),
            (None, None, Number::Is(_) | Number::Wrong) => Ok(Method::Error),
            _ => Err(DecodeError::WrongType.into()),
        }
    }

    fn id(&self, session: Option<u64>) -> Result<Option<WireId<'static>>, DecodeError> {
        let Some(number) = self.number.optional()? else { return Ok(None) };
        match (session, self.random.small()?) {
            (Some(session), Some(random)) if number > 0 => {
                Ok(Some(WireId::Native(ExeId { session, number, random })))
            }
            _ => Err(DecodeError::WrongType),
        }
    }

    fn needed_id(&self, session: Option<u64>) -> Result<WireId<'static>, DecodeError> {
        self.id(session)?.ok_or(DecodeError::WrongType)
    }

    fn reply_to(&self) -> Result<Option<ReplyTo>, DecodeError> {
        let port = self.port.small()?.filter(|port| *port > 0);
        Ok(port.zip(self.token.optional()?).map(|(port, token)| ReplyTo { port, token }))
    }

    #[inline]
    fn call_message(&self, head: &Head) -> Result<Call<'a>, DecodeError> {
        Ok(Call {
            id: self.id(Some(head.sender))?,
            args: self.args.or_nothing()?,
            kwargs: self.kwargs.or_nothing()?,
            to: head.receiver,
            deadline_ms: self.deadline.optional()?,
            one_way: self.one_way,
            reply_to: self.reply_to()?,
            stream: self.stream.small()?,
            attempt: self.count.small()?.unwrap_or_default(),
            watermark: head.watermark,
            function: Cow::Borrowed(self.function.flatten().ok_or(DecodeError::WrongType)?),
        })
    }

    fn ack(&self, head: &Head) -> Result<Ack<'a>, DecodeError> {
        let Some(state) = self.state.optional()? else {
            let receipt = Receipt::Answer { watermark: head.watermark };
            return Ok(Ack { id: self.needed_id(Some(head.sender))?, receipt });
        };
        let state = state_of(state).ok_or(DecodeError::WrongType)?;
        let attempt = self.count.small()?.unwrap_or_default();
        let receipt = Receipt::Call { state, attempt };
        Ok(Ack { id: self.needed_id(head.receiver)?, receipt })
    }

    /// As generous as can be: a caller waits for this, whoever wrote it.
    fn fault(&self) -> Fault {
        let code = self.code.small().ok().flatten().map_or(ErrorCode::INTERNAL, ErrorCode);
        // An error that claims success is none.
        let code = if code == ErrorCode::OK { ErrorCode::PROTOCOL } else { code };
        let executed = match self.executed {
            Number::Absent => code.executed_by_callee(),
            Number::Is(0) => Executed::No,
            Number::Is(2) => Executed::Yes,
            Number::Is(_) | Number::Wrong => Executed::Maybe,
        };
        let message = self.text.unwrap_or_default().to_owned();
        let retry_after = self.retry.optional().ok().flatten().map(Duration::from_millis);
        Fault { code, message, executed, retry_after }
    }
}

/// What the fields say under this head.
///
/// # Errors
/// [`Unreadable`], a reason to drop and count the message.
#[inline]
pub fn read<'a>(fields: &Fields<'a>, head: &Head) -> Result<Message<'a>, Unreadable> {
    Ok(match fields.method()? {
        Method::Call => Message::Call(fields.call_message(head)?),
        Method::Callback => Message::Callback(Callback {
            id: fields.needed_id(head.receiver)?,
            result: fields.result.unwrap_or_default(),
            token: fields.token.optional()?,
            attempt: fields.count.small()?.unwrap_or_default(),
        }),
        Method::Error => Message::Error(Failure {
            id: fields.id(head.receiver)?,
            fault: fields.fault(),
            token: fields.token.optional()?,
            attempt: fields.count.small().map_or(NO_COPY, Option::unwrap_or_default),
        }),
        Method::Ack => Message::Ack(fields.ack(head)?),
        Method::Probe => Message::Probe(fields.needed_id(Some(head.sender))?),
        Method::Cancel => Message::Cancel(fields.needed_id(Some(head.sender))?),
        Method::Ping => Message::Ping(fields.count.needed()?),
        Method::Pong => Message::Pong(fields.count.needed()?),
        Method::Hello | Method::Func | Method::Bye => return Err(Unreadable::UnknownMethod),
    })
}
