//! A frame: what may stand before its messages, and one message after the other.

use std::sync::Arc;

use thiserror::Error;

use super::lean::{self, Head};
use super::native::{self, Unreadable};
use super::{Dialect, Form, Waits};
use crate::fields::Fields;
use crate::message::{Message, Method, WireId};
use crate::payload::Spliced;
use crate::ports::{Budget, Codec, DecodeError};

/// A message that was passed, but means nothing to this node.
#[derive(Clone, PartialEq, Debug)]
pub struct Unread<'a> {
    /// Why.
    pub why: Unreadable,
    /// The id, if it is a call: its caller waits.
    pub call: Option<WireId<'a>>,
    /// The message; nothing of a lean one.
    pub bytes: &'a [u8],
}

/// A message that cannot be read to its end. Nobody can tell where the next one would begin.
#[derive(Clone, PartialEq, Debug, Error)]
#[error("{why}")]
pub struct Broken<'a> {
    /// Why.
    pub why: DecodeError,
    /// Who waits for it: of a message that goes beyond a bound, if it says so before that.
    pub waits: Option<Waits<'a>>,
}

/// Takes a received frame apart.
pub struct FrameReader<'c, 'a> {
    codec: &'c dyn Codec,
    head: Option<Head>,
    rest: &'a [u8],
    budget: Budget,
}

impl<'c, 'a> FrameReader<'c, 'a> {
    /// Reads the frame's head, if it has one. `budget` is for the whole frame.
    ///
    /// # Errors
    /// [`Unreadable`]: nothing of the frame can be read.
    pub fn new(
        codec: &'c dyn Codec,
        frame: &'a [u8],
        mut budget: Budget,
    ) -> Result<Self, Unreadable> {
        if !frame.first().is_some_and(|first| lean::begins_with(codec.format(), *first)) {
            return Ok(Self { codec, head: None, rest: frame, budget });
        }
        let (head, used) = Head::read(codec, frame, &mut budget)?;
        let rest = frame.get(used..).unwrap_or_default();
        Ok(Self { codec, head: Some(head), rest, budget })
    }

    /// What the frame is written in.
    pub fn form(&self) -> Form {
        match self.head {
            Some(_) => Form::LEAN,
            None => Form::native(self.codec.format()),
        }
    }

    /// Whether all messages have been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next message, or passes it. One that means nothing does not spoil its
    /// neighbours.
    ///
    /// # Errors
    /// [`Broken`]: nothing behind this can be read.
    pub fn read(&mut self) -> Result<Result<Message<'a>, Unread<'a>>, Broken<'a>> {
        let mut message = Message::Pong(0);
        Ok(self.read_into(&mut message)?.map(|()| message))
    }

    /// [`Self::read`] for who reads many: a message is large, and is put where it stays. The place
    /// is what it was when the message means nothing.
    ///
    /// # Errors
    /// [`Broken`]: nothing behind this can be read.
    #[inline]
    pub fn read_into(
        &mut self,
        place: &mut Message<'a>,
    ) -> Result<Result<(), Unread<'a>>, Broken<'a>> {
        let Some(head) = &self.head else {
            return Ok(self.read_native()?.map(|message| *place = message));
        };
        let mut fields = lean::Fields::default();
        let read = fields.read(self.codec, self.rest, &mut self.budget);
        let broken = |why| Broken { why, waits: bound(why).and_then(|()| fields.waits(head)) };
        self.rest = read.and_then(|used| behind(self.rest, used)).map_err(broken)?;
        let unread = |why| Unread { why, call: fields.call(head), bytes: &[] };
        Ok(lean::read_into(&fields, head, place).map_err(unread))
    }

    fn read_native(&mut self) -> Result<Result<Message<'a>, Unread<'a>>, Broken<'a>> {
        let (codec, rest) = (self.codec, self.rest);
        let mut fields = Fields::default();
        let used = fields.read_into(codec, rest, &mut self.budget).map_err(|why| Broken {
            why,
            waits: bound(why).and_then(|()| native_waits(&fields)),
        })?;
        let message = native::read(&fields, codec, &mut self.budget);
        self.rest = behind(rest, used).map_err(|why| Broken { why, waits: None })?;
        let bytes = rest.get(..used).unwrap_or_default();
        Ok(message.map_err(|why| Unread { why, call: native_call(&fields), bytes }))
    }
}

/// What is behind a message, which takes some bytes.
#[inline]
fn behind(frame: &[u8], used: usize) -> Result<&[u8], DecodeError> {
    frame.get(used..).filter(|_| used > 0).ok_or(DecodeError::Malformed(0))
}

/// Whether a message may be as it should, and only goes beyond a bound of this node.
fn bound(why: DecodeError) -> Option<()> {
    matches!(why, DecodeError::TooDeep | DecodeError::TooManyValues).then_some(())
}

/// Who waits for a message of which this much could be read.
fn native_waits<'a>(fields: &Fields<'a>) -> Option<Waits<'a>> {
    let (method, _) = native::method_and_version(fields).ok()?;
    let id = native::read_id(fields).ok().flatten()?;
    match method {
        Method::Call => Some(Waits::Caller(id, None)),
        Method::Callback => Some(Waits::Call(id, None)),
        _ => None,
    }
}

/// The id of a call that cannot be read otherwise.
fn native_call<'a>(fields: &Fields<'a>) -> Option<WireId<'a>> {
    let method = fields.method.as_ref().and_then(|value| value.item.as_text());
    native::read_id(fields).ok().flatten().filter(|_| method == Some(Method::Call.name()))
}

/// Puts a frame together.
pub struct FrameWriter {
    codec: Arc<dyn Codec>,
    head: Option<Head>,
}

impl FrameWriter {
    /// Of messages with S0's nine keys.
    pub fn native(codec: Arc<dyn Codec>) -> Self {
        Self { codec, head: None }
    }

    /// Of lean messages, which share this head. The codec is MessagePack's.
    pub fn lean(codec: Arc<dyn Codec>, head: Head) -> Self {
        Self { codec, head: Some(head) }
    }

    /// What is written.
    pub fn form(&self) -> Form {
        let dialect = if self.head.is_some() { Dialect::Lean } else { Dialect::Native };
        Form { format: self.codec.format(), dialect }
    }

    /// The syntax.
    pub fn codec(&self) -> &dyn Codec {
        self.codec.as_ref()
    }

    /// Appends what goes before a message: the head of a new frame, or what separates it from
    /// the message before it.
    pub fn begin(&self, out: &mut Vec<u8>) {
        match &self.head {
            Some(head) if out.is_empty() => head.write(self.codec(), out),
            _ if out.is_empty() => {}
            _ => self.codec.write_separator(out),
        }
    }

    /// Whether large bytes may be left out of a message that is written here: where it is not
    /// known in which order a form has its fields, nobody could tell their place.
    pub(crate) fn leaves_out(&self, parts: &Spliced<'_>) -> bool {
        self.head.is_some() && !parts.own.is_empty()
    }

    /// Like [`Self::write`], with the list of arguments, or the result, as the last of what the
    /// message holds: `out` ends with it. Only in lean frames.
    pub(crate) fn write_bulk_last(&self, message: &Message<'_>, out: &mut Vec<u8>) -> bool {
        let head = self.head.as_ref();
        head.is_some_and(|head| lean::write_bulk_last(message, head, self.codec(), out))
    }

    /// Appends a message. `false`: this head cannot carry it; nothing was appended.
    pub fn write(&self, message: &Message<'_>, out: &mut Vec<u8>) -> bool {
        match &self.head {
            Some(head) => lean::write(message, head, self.codec(), out),
            None => {
                native::write(message, self.codec(), out);
                true
            }
        }
    }
}
