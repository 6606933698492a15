//! A request to call a function: which, to whom it may go, and what it travels by.

use std::time::Duration;

use crate::id::{FunctionName, SessionId, TaskKey};
use crate::payload::Arguments;
use crate::policy::Policy;
use crate::ports::Format;

/// To whom a call may go.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Target {
    /// This node if it has the function, else a provider chosen by the policy.
    #[default]
    Any,
    /// The peer with this session.
    Session(SessionId),
    /// The peer with this name, or whose session begins with these hex digits, or whose
    /// endpoint or address is written like this.
    Peer(String),
}

/// How many answers a call wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// One provider, one answer.
    #[default]
    One,
    /// Up to so many providers at once, at most five; the first success wins and the others are
    /// cancelled.
    Fastest(usize),
    /// One provider, and a copy to another each time the answer is later than such answers are,
    /// if the call may run more than once; else like [`Self::One`].
    Hedged,
    /// Every provider; all answers are collected.
    All,
    /// One provider, no answer: the call is over once it has left.
    OneWay,
}

/// What a call travels by, where its callee has both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Carrier {
    /// Datagrams; a connection for what is larger than 1200 bytes. So is the answer.
    #[default]
    Auto,
    /// A datagram: what does not fit one fails with `too_large`. An answer that does not fit one
    /// may still be brought by a connection that the callee makes.
    Datagrams,
    /// A connection, however small the call. The answer comes by it too.
    Connection,
    /// A datagram; the answer comes by a connection that the callee makes for it and closes (S0).
    OneShot,
}

/// A request to call a function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallRequest {
    /// The function's name.
    pub function: FunctionName,
    /// Its arguments.
    pub args: Arguments,
    /// Time until the outcome must be there; the configured default if absent. Longer than the
    /// configured `max_deadline` (24 h) is cut to that, and counted. With zero the call is not sent,
    /// and ends as `timeout`.
    pub deadline: Option<Duration>,
    /// How long to wait for a provider to appear, counted from the call; also for another one,
    /// where the only one is gone and the call may go on. If absent, a node waits the configured
    /// time after its first hello, and after a peer has restarted, else not at all.
    pub wait: Option<Duration>,
    /// To whom.
    pub target: Target,
    /// Which of several.
    pub policy: Policy,
    /// How many.
    pub mode: Mode,
    /// What it travels by.
    pub carrier: Carrier,
    /// Whether a byte stream belongs to it. Such a call travels by a connection.
    pub stream: bool,
    /// What it must be written in. If absent, what this node prefers and its callee reads.
    pub format: Option<Format>,
    /// Whether the function may run more than once. What its providers have announced so may in
    /// any case.
    pub idempotent: bool,
    /// In keyed mode, whether its arguments may be compressed: see
    /// [`LocalFunction::compress`](crate::LocalFunction::compress).
    pub compress: bool,
    /// The running function that makes the call: the call ends with it in time, and with the
    /// call that it serves.
    pub within: Option<TaskKey>,
}

impl CallRequest {
    /// A call with all defaults.
    pub fn new(function: FunctionName, args: Arguments) -> Self {
        Self {
            function,
            args,
            deadline: None,
            wait: None,
            target: Target::Any,
            policy: Policy::default(),
            mode: Mode::One,
            carrier: Carrier::Auto,
            stream: false,
            format: None,
            idempotent: false,
            compress: false,
            within: None,
        }
    }
}
