//! From fields to messages.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use thiserror::Error;

use super::ids::read_hex64;
use crate::error::{ErrorCode, Executed, Fault};
use crate::fields::{Fields, list_or_nothing, map_or_nothing};
use crate::id::{FunctionName, SessionId, Version};
use crate::message::{
    Ack, Call, CallState, Callback, Failure, Features, Func, Hello, Message, Method, NO_COPY,
    Receipt, ReplyTo, WireId,
};
use crate::ports::{Budget, Codec, DecodeError, Item, Value};
use crate::wire::sessions::Token;

/// A message cannot be read as LANC 0.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// `type` is not `LANC`.
    #[error("not a LANC message")]
    NotLanc,
    /// A method this version does not know; a newer peer may use it.
    #[error("unknown method")]
    UnknownMethod,
    /// Another major version, an older minor one, or none.
    #[error("another version of the protocol")]
    Version,
    /// It says it is encrypted or compressed in a way this node does not read.
    #[error("encrypted or compressed in an unknown way")]
    Unsupported,
    /// A field is missing or has the wrong type.
    #[error("field: {0}")]
    Field(#[from] DecodeError),
}

/// Longest name of a peer, in bytes.
pub const MAX_PEER_NAME: usize = 64;
/// Most parts a list of functions may come in.
pub const MAX_PARTS: u16 = 4096;

/// Reads a message. Unknown fields and unknown feature bits are ignored; an `error` is read
/// whatever version it claims.
///
/// # Errors
/// [`Unreadable`], a reason to drop and count the message.
pub fn read<'a>(
    fields: &Fields<'a>,
    codec: &dyn Codec,
    budget: &mut Budget,
) -> Result<Message<'a>, Unreadable> {
    let (method, version) = method_and_version(fields)?;
    let mut reader = Reader { fields, codec, budget };
    Ok(match method {
        Method::Hello => Message::Hello(reader.hello(version.unwrap_or(Version::NATIVE))?),
        Method::Func => Message::Func(reader.func()?),
        Method::Call => Message::Call(reader.call()?),
        Method::Callback => {
            let result = fields.data.as_ref().map_or(&[][..], |value| value.raw);
            let (id, (token, attempt)) = (reader.id()?, reader.answer_extras()?);
            Message::Callback(Callback { id, result, token, attempt: attempt? })
        }
        Method::Error => Message::Error(reader.error()?),
        Method::Ack => Message::Ack(reader.ack()?),
        Method::Probe => Message::Probe(reader.id()?),
        Method::Cancel => Message::Cancel(reader.id()?),
        Method::Bye => Message::Bye(reader.bye()?),
        Method::Ping => Message::Ping(reader.echo()?),
        Method::Pong => Message::Pong(reader.echo()?),
    })
}

/// What stands before everything else in a message that this version reads.
pub(crate) fn method_and_version(
    fields: &Fields<'_>,
) -> Result<(Method, Option<Version>), Unreadable> {
    if fields.kind.as_ref().and_then(|v| v.item.as_text()) != Some("LANC") {
        return Err(Unreadable::NotLanc);
    }
    let method =
        fields.method.as_ref().and_then(|v| v.item.as_text()).ok_or(Unreadable::Version)?;
    let method = Method::from_name(method).ok_or(Unreadable::UnknownMethod)?;
    let version = fields.version.as_ref().and_then(|v| v.item.as_text()).and_then(version);
    if method != Method::Error {
        let same_major = version.is_some_and(|v| v.major == Version::NATIVE.major);
        if !same_major || version < Some(Version::NATIVE) {
            return Err(Unreadable::Version);
        }
        for field in [&fields.encrypted, &fields.compress] {
            if field.as_ref().is_some_and(|v| v.item.as_text() != Some("no")) {
                return Err(Unreadable::Unsupported);
            }
        }
    }
    Ok((method, version))
}

/// Nearly every message is of this node's own version.
fn version(text: &str) -> Option<Version> {
    if text == Version::NATIVE_TEXT { Some(Version::NATIVE) } else { Version::parse(text) }
}

/// Reads the call's id, if there is one.
///
/// # Errors
/// [`DecodeError::WrongType`] when it is neither text of at most 64 bytes nor a whole number.
pub fn read_id<'a>(fields: &Fields<'a>) -> Result<Option<WireId<'a>>, DecodeError> {
    let Some(value) = &fields.exe_id else { return Ok(None) };
    match &value.item {
        Item::Null => Ok(None),
        Item::Text(text) => match text.parse().ok() {
            Some(id) => Ok(Some(WireId::Native(id))),
            None if (1..=WireId::MAX_TEXT).contains(&text.len()) => {
                Ok(Some(WireId::Text(text.clone())))
            }
            None => Err(DecodeError::WrongType),
        },
        item => Ok(Some(WireId::Number(item.as_u64().ok_or(DecodeError::WrongType)?))),
    }
}

struct Reader<'r, 'a> {
    fields: &'r Fields<'a>,
    codec: &'r dyn Codec,
    budget: &'r mut Budget,
}

impl<'a> Reader<'_, 'a> {
    /// Hands the entries of a map field to `each`; an absent field has none.
    fn entries(
        &mut self,
        field: Option<&Value<'a>>,
        each: &mut dyn FnMut(&str, Value<'a>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let raw = map_or_nothing(field)?;
        if !raw.is_empty() {
            self.codec.read_map(raw, self.budget, each)?;
        }
        Ok(())
    }

    fn id(&self) -> Result<WireId<'a>, DecodeError> {
        self.optional_id()?.ok_or(DecodeError::WrongType)
    }

    fn optional_id(&self) -> Result<Option<WireId<'a>>, DecodeError> {
        read_id(self.fields)
    }

    fn hello(&mut self, version: Version) -> Result<Hello<'a>, DecodeError> {
        let mut session = None;
        let mut name = None;
        let mut hello = Hello {
            version,
            session: SessionId([0; 16]),
            name: Cow::Borrowed(""),
            interval: Duration::from_secs(5),
            revision: 0,
            features: Features::default(),
            token: None,
            echo: None,
            receiver: None,
            wants: false,
            connection_port: None,
            load: 0,
        };
        self.entries(self.fields.data.as_ref(), &mut |key, value| {
            match key {
                "sid" => session = value.item.as_text().and_then(SessionId::from_hex),
                "node" => name = value.item.into_text(),
                "iv" => hello.interval = Duration::from_millis(number(&value)?),
                "rev" => hello.revision = number(&value)?,
                "feat" => {
                    let low = number(&value)? & u64::from(u32::MAX);
                    hello.features = Features(u32::try_from(low).unwrap_or(0));
                }
                "tok" => hello.token = Some(hex64(&value)?),
                "echo" => hello.echo = Some(hex64(&value)?),
                "rx" => hello.receiver = Token::from_bits(hex64(&value)?),
                "tcp" => hello.connection_port = Some(small(&value)?).filter(|port| *port > 0),
                // Good for nothing but a choice: whatever stands there, the hello is read.
                "load" => {
                    let load = value.item.as_u64().unwrap_or(0);
                    hello.load = u8::try_from(load).unwrap_or(u8::MAX);
                }
                "want" => hello.wants = value.item == Item::Bool(true),
                _ => {}
            }
            Ok(())
        })?;
        hello.session = session.ok_or(DecodeError::WrongType)?;
        hello.name = name.ok_or(DecodeError::WrongType)?;
        let printable = !hello.name.chars().any(char::is_control);
        if !(1..=MAX_PEER_NAME).contains(&hello.name.len()) || !printable {
            return Err(DecodeError::WrongType);
        }
        Ok(hello)
    }

    fn func(&mut self) -> Result<Func<'a>, DecodeError> {
        let mut func = Func {
            session: None,
            revision: 0,
            part: 0,
            parts: 1,
            names: Vec::new(),
            idempotent: Vec::new(),
        };
        let mut idempotent = None;
        self.entries(self.fields.x.as_ref(), &mut |key, value| {
            match key {
                "sid" => func.session = value.item.as_text().and_then(SessionId::from_hex),
                "rev" => func.revision = number(&value)?,
                "part" => func.part = small(&value)?,
                "parts" => func.parts = small(&value)?,
                "idem" => match value.item {
                    Item::List(raw) => idempotent = Some(raw),
                    _ => return Err(DecodeError::WrongType),
                },
                _ => {}
            }
            Ok(())
        })?;
        if func.part >= func.parts || func.parts > MAX_PARTS {
            return Err(DecodeError::WrongType);
        }
        // An absent list is no empty one: it would take every function of the peer away.
        let raw = match self.fields.data.as_ref().map(|value| &value.item) {
            Some(Item::List(raw)) => *raw,
            _ => return Err(DecodeError::WrongType),
        };
        let codec = self.codec;
        let mut places = BTreeSet::new();
        if let Some(raw) = idempotent {
            codec.read_list(raw, self.budget, &mut |value| {
                places.insert(usize::from(small::<u16>(&value)?));
                Ok(())
            })?;
        }
        let mut objects = Vec::new();
        let mut place = 0;
        codec.read_list(raw, self.budget, &mut |value| {
            match value.item {
                Item::Text(name) => keep_name(&mut func, name, places.contains(&place)),
                Item::Map(raw) => objects.push((raw, places.contains(&place))),
                _ => {}
            }
            place += 1;
            Ok(())
        })?;
        for (raw, idempotent) in objects {
            codec.read_map(raw, self.budget, &mut |key, value| {
                if let ("name", Item::Text(name)) = (key, value.item) {
                    keep_name(&mut func, name, idempotent);
                }
                Ok(())
            })?;
        }
        Ok(func)
    }

    fn call(&mut self) -> Result<Call<'a>, DecodeError> {
        let name = self.fields.data.as_ref().and_then(|value| value.item.clone().into_text());
        let id = self.optional_id()?;
        let name = name.ok_or(DecodeError::WrongType)?;
        let args = list_or_nothing(self.fields.args.as_ref())?;
        let mut call = Call::new(id, name, args, map_or_nothing(self.fields.kwargs.as_ref())?);
        let (mut port, mut token) = (None, None);
        self.entries(self.fields.x.as_ref(), &mut |key, value| {
            match key {
                "to" => call.to = Some(hex64(&value)?),
                "dl" => call.deadline_ms = Some(number(&value)?),
                "ow" => call.one_way = value.item == Item::Bool(true),
                "st" => {
                    call.stream = Some(small(&value)?);
                }
                "at" => call.attempt = small(&value)?,
                "lo" => call.watermark = Some(number(&value)?),
                "re" => port = Some(small(&value)?).filter(|port| *port > 0),
                "tok" => token = Some(hex64(&value)?),
                _ => {}
            }
            Ok(())
        })?;
        call.reply_to = port.zip(token).map(|(port, token)| ReplyTo { port, token });
        Ok(call)
    }

    fn error(&mut self) -> Result<Failure<'a>, DecodeError> {
        let mut code = ErrorCode::INTERNAL;
        let mut message = String::new();
        let mut executed = None;
        let mut retry_after = None;
        // As generous as can be: a caller waits for this, whoever wrote it.
        let read = self.entries(self.fields.data.as_ref(), &mut |key, value| {
            match key {
                "code" => code = small(&value).map_or(ErrorCode::INTERNAL, ErrorCode),
                "message" => value.item.as_text().unwrap_or("").clone_into(&mut message),
                "ex" => {
                    executed = match value.item.as_text() {
                        Some("no") => Some(Executed::No),
                        Some("yes") => Some(Executed::Yes),
                        _ => Some(Executed::Maybe),
                    }
                }
                "retry_ms" => retry_after = number(&value).ok().map(Duration::from_millis),
                _ => {}
            }
            Ok(())
        });
        if read.is_err() {
            "the error has no readable description".clone_into(&mut message);
        }
        // An error that claims success is none.
        if code == ErrorCode::OK {
            code = ErrorCode::PROTOCOL;
        }
        let executed = executed.unwrap_or_else(|| code.executed_by_callee());
        let fault = Fault { code, message, executed, retry_after };
        let (id, (token, attempt)) = (self.optional_id()?, self.answer_extras()?);
        Ok(Failure { id, fault, token, attempt: attempt.unwrap_or(NO_COPY) })
    }

    /// The token of an answer that comes by a connection of its own, and which transmission of
    /// the call it answers.
    fn answer_extras(&mut self) -> Result<(Option<u64>, Result<u8, DecodeError>), DecodeError> {
        let (mut token, mut attempt) = (None, Ok(0));
        self.entries(self.fields.x.as_ref(), &mut |key, value| {
            match key {
                "tok" => token = Some(hex64(&value)?),
                "at" => attempt = small(&value),
                _ => {}
            }
            Ok(())
        })?;
        Ok((token, attempt))
    }

    fn ack(&mut self) -> Result<Ack<'a>, DecodeError> {
        let (mut state, mut attempt, mut watermark) = (None, 0, None);
        self.entries(self.fields.data.as_ref(), &mut |key, value| {
            match key {
                "state" => {
                    let name = value.item.as_text();
                    let known = name.and_then(CallState::from_name);
                    state = Some(known.ok_or(DecodeError::WrongType)?);
                }
                "at" => attempt = small(&value)?,
                "lo" => watermark = Some(number(&value)?),
                _ => {}
            }
            Ok(())
        })?;
        let receipt = match state {
            Some(state) => Receipt::Call { state, attempt },
            None => Receipt::Answer { watermark },
        };
        Ok(Ack { id: self.id()?, receipt })
    }

    fn bye(&mut self) -> Result<SessionId, DecodeError> {
        let mut session = None;
        self.entries(self.fields.data.as_ref(), &mut |key, value| {
            if key == "sid" {
                session = value.item.as_text().and_then(SessionId::from_hex);
            }
            Ok(())
        })?;
        session.ok_or(DecodeError::WrongType)
    }

    fn echo(&self) -> Result<u64, DecodeError> {
        number(self.fields.data.as_ref().ok_or(DecodeError::WrongType)?)
    }
}

fn keep_name<'a>(func: &mut Func<'a>, name: Cow<'a, str>, idempotent: bool) {
    if !FunctionName::is_valid(&name) {
        return;
    }
    if let (true, Ok(place)) = (idempotent, u16::try_from(func.names.len())) {
        func.idempotent.push(place);
    }
    func.names.push(name);
}

fn number(value: &Value<'_>) -> Result<u64, DecodeError> {
    value.item.as_u64().ok_or(DecodeError::WrongType)
}

fn small<T: TryFrom<u64>>(value: &Value<'_>) -> Result<T, DecodeError> {
    T::try_from(number(value)?).map_err(|_| DecodeError::WrongType)
}

fn hex64(value: &Value<'_>) -> Result<u64, DecodeError> {
    value.item.as_text().and_then(read_hex64).ok_or(DecodeError::WrongType)
}
