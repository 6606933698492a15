//! From lean bytes to messages.

use std::borrow::Cow;
use std::time::Duration;

use super::{Head, method_of, state_of};
use crate::dialect::Waits;
use crate::dialect::native::Unreadable;
use crate::error::{ErrorCode, Executed, Fault};
use crate::id::ExeId;
use crate::message::{
    Ack, Call, Callback, Failure, Message, Method, NO_COPY, Receipt, ReplyTo, WireId,
};
use crate::ports::{Budget, Codec, DecodeError, Letters, Short};

/// The fields of one lean message, before anybody asks what they mean. Unknown ones are
/// ignored; of a field given twice the last one counts.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Fields<'a>(Letters<'a>);

impl<'a> Fields<'a> {
    /// Reads one message into fields that are empty, and returns the number of bytes it took.
    ///
    /// # Errors
    /// [`DecodeError`], for input that is no map within the budget.
    #[inline]
    pub fn read(
        &mut self,
        codec: &dyn Codec,
        input: &'a [u8],
        budget: &mut Budget,
    ) -> Result<usize, DecodeError> {
        codec.read_letters(input, budget, &mut self.0)
    }

    /// A whole number, if the field is there.
    #[inline(always)]
    fn number(&self, letter: u8) -> Result<Option<u64>, DecodeError> {
        match self.0.get(letter) {
            None => Ok(None),
            Some(Short::Uint(number)) => Ok(Some(number)),
            Some(_) => Err(DecodeError::WrongType),
        }
    }

    /// One that has to fit a smaller type.
    #[inline(always)]
    fn small<T: TryFrom<u64>>(&self, letter: u8) -> Result<Option<T>, DecodeError> {
        self.number(letter)?.map(T::try_from).transpose().map_err(|_| DecodeError::WrongType)
    }

    fn needed(&self, letter: u8) -> Result<u64, DecodeError> {
        self.number(letter)?.ok_or(DecodeError::WrongType)
    }

    #[inline(always)]
    fn text(&self, letter: u8) -> Option<&'a str> {
        match self.0.get(letter) {
            Some(Short::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The user's own list of arguments; empty where there is none.
    #[inline(always)]
    fn args(&self) -> Result<&'a [u8], DecodeError> {
        match self.0.get(b'a') {
            Some(Short::List(raw)) => Ok(raw),
            None | Some(Short::Null) => Ok(&[]),
            Some(_) => Err(DecodeError::WrongType),
        }
    }

    /// The user's own map of arguments; empty where there is none.
    #[inline(always)]
    fn kwargs(&self) -> Result<&'a [u8], DecodeError> {
        match self.0.get(b'k') {
            Some(Short::Map(raw)) => Ok(raw),
            None | Some(Short::Null) => Ok(&[]),
            Some(_) => Err(DecodeError::WrongType),
        }
    }

    /// The id of a call, whatever else of it is wrong.
    pub fn call(&self, head: &Head) -> Option<WireId<'static>> {
        let is_call = self.method() == Ok(Method::Call);
        self.id(Some(head.sender)).ok().flatten().filter(|_| is_call)
    }

    /// Who waits for a message of which this much could be read.
    pub fn waits(&self, head: &Head) -> Option<Waits<'static>> {
        match self.method().ok()? {
            Method::Call => self.call(head).map(|id| Waits::Caller(id, head.receiver)),
            Method::Callback => {
                let id = self.id(head.receiver).ok().flatten()?;
                Some(Waits::Call(id, self.number(b'q').ok().flatten()))
            }
            _ => None,
        }
    }

    /// Said by `m`; without it a call by its `f`, a result by its `v`, an error by its `e`, of
    /// which a message has one.
    fn method(&self) -> Result<Method, Unreadable> {
        if let Some(number) = self.number(b'm')? {
            return method_of(number).ok_or(Unreadable::UnknownMethod);
        }
        match [b'f', b'v', b'e'].map(|letter| self.0.get(letter).is_some()) {
            [true, false, false] => Ok(Method::Call),
            [false, true, false] => Ok(Method::Callback),
            [false, false, true] => Ok(Method::Error),
            _ => Err(DecodeError::WrongType.into()),
        }
    }

    fn id(&self, session: Option<u64>) -> Result<Option<WireId<'static>>, DecodeError> {
        let number = match self.0.get(b'i') {
            Some(Short::Uint(number)) => number,
            // No id at all, as in the form with nine keys.
            None | Some(Short::Null) => return Ok(None),
            Some(_) => return Err(DecodeError::WrongType),
        };
        match (session, self.small(b'r')?) {
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
        let port = self.small(b'p')?.filter(|port| *port > 0);
        Ok(port.zip(self.number(b'q')?).map(|(port, token)| ReplyTo { port, token }))
    }

    #[inline]
    fn call_message(&self, head: &Head) -> Result<Call<'a>, DecodeError> {
        Ok(Call {
            id: self.id(Some(head.sender))?,
            args: self.args()?,
            kwargs: self.kwargs()?,
            to: head.receiver,
            deadline_ms: self.number(b'd')?,
            one_way: self.0.get(b'o') == Some(Short::Bool(true)),
            reply_to: self.reply_to()?,
            stream: self.small(b'b')?,
            attempt: self.small(b'n')?.unwrap_or_default(),
            watermark: head.watermark,
            function: Cow::Borrowed(self.text(b'f').ok_or(DecodeError::WrongType)?),
        })
    }

    #[inline]
    fn callback(&self, head: &Head) -> Result<Callback<'a>, DecodeError> {
        Ok(Callback {
            id: self.needed_id(head.receiver)?,
            result: self.0.raw(b'v').unwrap_or_default(),
            token: self.number(b'q')?,
            attempt: self.small(b'n')?.unwrap_or_default(),
        })
    }

    fn failure(&self, head: &Head) -> Result<Failure<'a>, DecodeError> {
        Ok(Failure {
            id: self.id(head.receiver)?,
            fault: self.fault(),
            token: self.number(b'q')?,
            attempt: self.small(b'n').map_or(NO_COPY, Option::unwrap_or_default),
        })
    }

    fn ack(&self, head: &Head) -> Result<Ack<'a>, DecodeError> {
        let Some(state) = self.number(b's')? else {
            let receipt = Receipt::Answer { watermark: head.watermark };
            return Ok(Ack { id: self.needed_id(Some(head.sender))?, receipt });
        };
        let state = state_of(state).ok_or(DecodeError::WrongType)?;
        let attempt = self.small(b'n')?.unwrap_or_default();
        let receipt = Receipt::Call { state, attempt };
        Ok(Ack { id: self.needed_id(head.receiver)?, receipt })
    }

    /// As generous as can be: a caller waits for this, whoever wrote it.
    fn fault(&self) -> Fault {
        let code = self.small(b'e').ok().flatten().map_or(ErrorCode::INTERNAL, ErrorCode);
        // An error that claims success is none.
        let code = if code == ErrorCode::OK { ErrorCode::PROTOCOL } else { code };
        let executed = match self.number(b'x') {
            Ok(None) => code.executed_by_callee(),
            Ok(Some(0)) => Executed::No,
            Ok(Some(2)) => Executed::Yes,
            Ok(Some(_)) | Err(_) => Executed::Maybe,
        };
        let message = self.text(b't').unwrap_or_default().to_owned();
        let retry_after = self.number(b'w').ok().flatten().map(Duration::from_millis);
        Fault { code, message, executed, retry_after }
    }
}

/// Puts down what the fields say under this head: where it stays, since a message is large.
///
/// # Errors
/// [`Unreadable`], a reason to drop and count the message; the place is what it was.
#[inline]
pub fn read_into<'a>(
    fields: &Fields<'a>,
    head: &Head,
    place: &mut Message<'a>,
) -> Result<(), Unreadable> {
    match fields.method()? {
        Method::Call => *place = Message::Call(fields.call_message(head)?),
        Method::Callback => *place = Message::Callback(fields.callback(head)?),
        Method::Error => *place = Message::Error(fields.failure(head)?),
        Method::Ack => *place = Message::Ack(fields.ack(head)?),
        Method::Probe => *place = Message::Probe(fields.needed_id(Some(head.sender))?),
        Method::Cancel => *place = Message::Cancel(fields.needed_id(Some(head.sender))?),
        Method::Ping => *place = Message::Ping(fields.needed(b'n')?),
        Method::Pong => *place = Message::Pong(fields.needed(b'n')?),
        Method::Hello | Method::Func | Method::Bye => return Err(Unreadable::UnknownMethod),
    }
    Ok(())
}
