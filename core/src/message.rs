//! What a message means, whatever dialect and format it came in.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::Fault;
use crate::id::{ExeId, SessionId, Version};
use crate::wire::sessions::Token;

/// The methods of the native dialect. `batch`, the twelfth row of the message table, is a frame
/// that holds several of these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Method {
    /// I am here.
    Hello,
    /// These functions are mine.
    Func,
    /// Run one.
    Call,
    /// Here is its result.
    Callback,
    /// Here is why there is none.
    Error,
    /// A call or a result has arrived.
    Ack,
    /// What became of this call?
    Probe,
    /// The result is not wanted any more.
    Cancel,
    /// I am leaving.
    Bye,
    /// Send this back.
    Ping,
    /// Here it is back.
    Pong,
}

impl Method {
    /// Every method, in the order of the table in `docs/protocol.md`.
    pub const ALL: [Self; 11] = [
        Self::Hello,
        Self::Func,
        Self::Call,
        Self::Callback,
        Self::Error,
        Self::Ack,
        Self::Probe,
        Self::Cancel,
        Self::Bye,
        Self::Ping,
        Self::Pong,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Func => "func",
            Self::Call => "call",
            Self::Callback => "callback",
            Self::Error => "error",
            Self::Ack => "ack",
            Self::Probe => "probe",
            Self::Cancel => "cancel",
            Self::Bye => "bye",
            Self::Ping => "ping",
            Self::Pong => "pong",
        }
    }

    /// The method of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// One message, read or to be written.
#[derive(Clone, PartialEq, Debug)]
pub enum Message<'a> {
    /// I am here.
    Hello(Hello<'a>),
    /// These functions are mine.
    Func(Func<'a>),
    /// Run one.
    Call(Call<'a>),
    /// Here is its result.
    Callback(Callback<'a>),
    /// Here is why there is none.
    Error(Failure<'a>),
    /// A call or a result has arrived.
    Ack(Ack<'a>),
    /// What became of this call?
    Probe(WireId<'a>),
    /// The result is not wanted any more.
    Cancel(WireId<'a>),
    /// The session is leaving.
    Bye(SessionId),
    /// Send this back.
    Ping(u64),
    /// Here it is back.
    Pong(u64),
}

impl Message<'_> {
    /// Its method.
    pub fn method(&self) -> Method {
        match self {
            Self::Hello(_) => Method::Hello,
            Self::Func(_) => Method::Func,
            Self::Call(_) => Method::Call,
            Self::Callback(_) => Method::Callback,
            Self::Error(_) => Method::Error,
            Self::Ack(_) => Method::Ack,
            Self::Probe(_) => Method::Probe,
            Self::Cancel(_) => Method::Cancel,
            Self::Bye(_) => Method::Bye,
            Self::Ping(_) => Method::Ping,
            Self::Pong(_) => Method::Pong,
        }
    }
}

/// What a native node says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello<'a> {
    /// The version the message claims.
    pub version: Version,
    /// Its life. Another session under the same endpoint is a restart.
    pub session: SessionId,
    /// Its name, for people: 1 to 64 bytes.
    pub name: Cow<'a, str>,
    /// The longest time until its next hello.
    pub interval: Duration,
    /// Rises by one whenever its list of functions changes; 0 until the first registration.
    pub revision: u64,
    /// What it can do beyond this table.
    pub features: Features,
    /// To be sent back in the next hello: proves that the address receives.
    pub token: Option<u64>,
    /// The receiver's own token, sent back.
    pub echo: Option<u64>,
    /// What is sealed for the sender names this token, on the link the hello came by. Only a
    /// keyed node has one.
    pub receiver: Option<Token>,
    /// The sender asks for a hello and the list of functions.
    pub wants: bool,
    /// The TCP port where the sender takes connections, at the address the hello comes from.
    pub connection_port: Option<u16>,
    /// How much the sender had to do: 16 when every worker has a call, twice that when as many
    /// wait. 0 is not written: idle, or it does not say.
    pub load: u8,
}

/// What a node can do beyond the table, as bits in hello. Unknown bits are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features(pub u32);

impl Features {
    /// Sends `ack` and answers `probe`: a call may be resent to it.
    pub const ACK: Self = Self(1);
    /// Reads MessagePack frames.
    pub const MSGPACK: Self = Self(1 << 1);
    /// Accepts TCP links.
    pub const STREAM: Self = Self(1 << 2);
    /// Honours `cancel`.
    pub const CANCEL: Self = Self(1 << 3);
    /// Reads compressed frames.
    pub const COMPRESSED: Self = Self(1 << 4);
    /// Reads lean MessagePack frames.
    pub const LEAN: Self = Self(1 << 5);
    /// Says in an answer which copy of its call it answers.
    pub const COPIES: Self = Self(1 << 6);

    /// What every node of this version can do, whatever it is built with.
    pub(crate) const EVERYWHERE: Self = Self::ACK.with(Self::CANCEL).with(Self::COPIES);

    /// Whether all bits of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A node's functions, or a part of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Func<'a> {
    /// Whose they are; absent from a peer that announces none.
    pub session: Option<SessionId>,
    /// The revision this list is of.
    pub revision: u64,
    /// Which part this is, from 0.
    pub part: u16,
    /// How many parts the revision has: 1 to 4096.
    pub parts: u16,
    /// The names. Invalid ones were left out while reading.
    pub names: Vec<Cow<'a, str>>,
    /// The places in `names` of functions that may run more than once, rising.
    pub idempotent: Vec<u16>,
}

/// A call's id as it stands in a message.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum WireId<'a> {
    /// An id of a native caller.
    Native(ExeId),
    /// Any other text, 1 to 64 bytes: echoed unchanged.
    Text(Cow<'a, str>),
    /// A whole number: echoed unchanged.
    Number(u64),
}

impl WireId<'_> {
    /// Longest foreign id in bytes.
    pub const MAX_TEXT: usize = 64;

    /// The id, owned.
    pub fn into_owned(self) -> WireId<'static> {
        match self {
            Self::Native(id) => WireId::Native(id),
            Self::Text(text) => WireId::Text(Cow::Owned(text.into_owned())),
            Self::Number(number) => WireId::Number(number),
        }
    }
}

impl std::fmt::Display for WireId<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Native(id) => write!(f, "{id}"),
            Self::Text(text) => write!(f, "{}", text.escape_debug()),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// A request to run a function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call<'a> {
    /// The caller's id for it. Without one there is no answer.
    pub id: Option<WireId<'a>>,
    /// The function's name (in `data`, as the published package has it).
    pub function: Cow<'a, str>,
    /// Encoded list, or empty.
    pub args: &'a [u8],
    /// Encoded map, or empty.
    pub kwargs: &'a [u8],
    /// [`SessionId::short`] of the callee it is meant for: a restarted callee refuses it.
    pub to: Option<u64>,
    /// Time left, in milliseconds.
    pub deadline_ms: Option<u64>,
    /// Nobody waits for an answer.
    pub one_way: bool,
    /// The answer is to come by a connection of its own.
    pub reply_to: Option<ReplyTo>,
    /// The number of the byte stream that belongs to the call, on the link it comes by.
    pub stream: Option<u32>,
    /// Which transmission of the call this is, from 0.
    pub attempt: u8,
    /// The caller's watermark.
    pub watermark: Option<Watermark>,
}

/// Stands where an answer or a receipt says which transmission of the call has brought it out,
/// when none has: it was not sent at once, so the time it took says nothing about the way.
pub const NO_COPY: u8 = u8::MAX;

impl<'a> Call<'a> {
    /// A call that says nothing more than S0's does.
    pub fn new(
        id: Option<WireId<'a>>,
        function: Cow<'a, str>,
        args: &'a [u8],
        kwargs: &'a [u8],
    ) -> Self {
        Self {
            id,
            function,
            args,
            kwargs,
            to: None,
            deadline_ms: None,
            one_way: false,
            reply_to: None,
            stream: None,
            attempt: 0,
            watermark: None,
        }
    }
}

/// Nobody waits any more for calls of the session with lower numbers, and none of them may
/// start: what the callee keeps of them may be forgotten (RIFL's acknowledged sequence).
pub type Watermark = u64;

/// Where a caller takes a connection for one answer: at the address its call came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyTo {
    /// The TCP port.
    pub port: u16,
    /// To be sent back with the answer: only who has seen the call knows it.
    pub token: u64,
}

/// A result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Callback<'a> {
    /// The call's id, as the caller wrote it.
    pub id: WireId<'a>,
    /// The encoded result. Empty stands for null.
    pub result: &'a [u8],
    /// [`ReplyTo::token`] of the call, if it had one.
    pub token: Option<u64>,
    /// Which transmission of the call has brought it out, from 0, or [`NO_COPY`]. Means nothing
    /// from a callee without [`Features::COPIES`].
    pub attempt: u8,
}

/// A failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure<'a> {
    /// The call it belongs to, if any.
    pub id: Option<WireId<'a>>,
    /// What happened.
    pub fault: Fault,
    /// [`ReplyTo::token`] of the call, if it had one.
    pub token: Option<u64>,
    /// The same as [`Callback::attempt`].
    pub attempt: u8,
}

/// Where a call stands at its callee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallState {
    /// Waiting for a place to run.
    Queued,
    /// Running.
    Running,
    /// Finished.
    Done,
    /// Never heard of, or forgotten.
    Unknown,
}

impl CallState {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Unknown => "unknown",
        }
    }

    /// The state of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Done, Self::Unknown]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// What has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receipt {
    /// The call: said by the callee.
    Call {
        /// Where it stands.
        state: CallState,
        /// Which transmission of the call, from 0, or [`NO_COPY`].
        attempt: u8,
    },
    /// Its answer: said by the caller.
    Answer {
        /// The caller's watermark.
        watermark: Option<Watermark>,
    },
}

/// A receipt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ack<'a> {
    /// The call's id.
    pub id: WireId<'a>,
    /// What has arrived of it.
    pub receipt: Receipt,
}
