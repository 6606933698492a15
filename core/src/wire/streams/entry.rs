//! One stream of a link: what is kept of it while it lasts.

use std::collections::VecDeque;
use std::time::Duration;

use super::Pace;
use super::body::Body;
use crate::error::ErrorCode;
use crate::ports::OwnRoom;
use crate::time::Time;

/// What an empty buffer of an application stream may keep.
const KEPT: usize = 64 << 10;

/// A stream and where it stands in the queues of its link.
pub(super) struct Entry<T> {
    pub(super) class: Class,
    /// The far end knows of it. Nothing of a stream is sent before.
    pub(super) announced: bool,
    /// It waits for its turn to send bytes.
    pub(super) in_round: bool,
    /// A grant or a reset is due.
    pub(super) in_controls: bool,
    pub(super) kind: Kind<T>,
}

/// Which bound a stream counts against. Stays when the stream has been reset, until the reset
/// has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// An application stream that this end opened.
    Own,
    /// An application stream that the far end opened.
    Far,
    /// A message of this end.
    Sending,
    /// A message of the far end.
    Assembling,
}

/// What a stream is.
pub(super) enum Kind<T> {
    /// Bytes of a call, both ways.
    Application(Application),
    /// A message on its way out.
    Sending(Sending<T>),
    /// A message on its way in.
    Assembling(Assembling),
    /// Reset by this end; the record that says so waits. The far end may still send `allowed`
    /// bytes, which nobody wants.
    Ending { code: ErrorCode, allowed: u32 },
}

impl<T> Entry<T> {
    pub(super) fn new(class: Class, announced: bool, kind: Kind<T>) -> Self {
        Self { class, announced, in_round: false, in_controls: false, kind }
    }

    /// Whether there is something that may be sent when its turn comes.
    pub(super) fn is_sendable(&self) -> bool {
        self.announced
            && match &self.kind {
                Kind::Application(stream) => stream.send.is_sendable(),
                Kind::Sending(message) => message.credit > 0 || message.is_whole(),
                Kind::Assembling(_) | Kind::Ending { .. } => false,
            }
    }

    /// How much more than now the far end may be allowed to send.
    pub(super) fn owed(&self, window: u32) -> u32 {
        match &self.kind {
            _ if !self.announced => 0,
            Kind::Application(stream) => stream.receive.owed(window),
            Kind::Assembling(message) => window.saturating_sub(message.allowed),
            Kind::Sending(_) | Kind::Ending { .. } => 0,
        }
    }

    /// What the far end may still send; `None` where it sends nothing.
    pub(super) fn allowed_mut(&mut self) -> Option<&mut u32> {
        match &mut self.kind {
            Kind::Application(stream) => Some(&mut stream.receive.allowed),
            Kind::Assembling(message) => Some(&mut message.allowed),
            Kind::Ending { allowed, .. } => Some(allowed),
            Kind::Sending(_) => None,
        }
    }
}

/// The two directions of an application stream.
pub(super) struct Application {
    pub(super) send: Outflow,
    pub(super) receive: Inflow,
}

impl Application {
    pub(super) fn new(initial: u32) -> Self {
        let send = Outflow {
            buffer: VecDeque::new(),
            credit: initial,
            finished: false,
            closed: false,
            blocked: false,
        };
        let receive =
            Inflow { buffer: VecDeque::new(), allowed: initial, ended: false, told: false };
        Self { send, receive }
    }

    /// Both directions are over and the reader knows.
    pub(super) fn is_over(&self) -> bool {
        self.send.closed && self.receive.told
    }
}

/// The direction that this end writes.
pub(super) struct Outflow {
    /// Written, not sent.
    pub(super) buffer: VecDeque<u8>,
    /// Bytes that the far end allows.
    pub(super) credit: u32,
    /// There will be no more.
    pub(super) finished: bool,
    /// The half-close has left.
    pub(super) closed: bool,
    /// A writer waits for room.
    pub(super) blocked: bool,
}

impl Outflow {
    fn is_sendable(&self) -> bool {
        if self.buffer.is_empty() { self.finished && !self.closed } else { self.credit > 0 }
    }
}

/// The direction that this end reads.
pub(super) struct Inflow {
    /// Arrived, not read.
    pub(super) buffer: VecDeque<u8>,
    /// Bytes that the far end may still send; 0 once it has ended.
    pub(super) allowed: u32,
    /// The half-close has come.
    pub(super) ended: bool,
    /// The reader has been told that nothing more comes.
    pub(super) told: bool,
}

impl Inflow {
    fn owed(&self, window: u32) -> u32 {
        if self.ended {
            return 0;
        }
        let unread = u32::try_from(self.buffer.len()).unwrap_or(u32::MAX);
        window.saturating_sub(self.allowed).saturating_sub(unread)
    }
}

/// A message that is being sent.
pub(super) struct Sending<T> {
    pub(super) tag: T,
    pub(super) bytes: Body,
    pub(super) sent: usize,
    pub(super) credit: u32,
    /// What is left of its turn.
    pub(super) turn: usize,
    /// How much had left when it was looked at last, and when that was new.
    pub(super) seen: Option<(usize, Time)>,
}

impl<T> Sending<T> {
    /// Whether all of it has left.
    pub(super) fn is_whole(&self) -> bool {
        self.sent >= self.bytes.len()
    }
}

/// A message that is being received.
pub(super) struct Assembling {
    pub(super) room: OwnRoom,
    pub(super) allowed: u32,
    /// How it got on until it was looked at last.
    pub(super) progress: Option<Progress>,
}

/// How a message gets on that is being received.
pub(super) struct Progress {
    arrived: usize,
    looked: Time,
    /// How much later it is than at the least rate. What came faster earlier does not count: who
    /// begins with a burst must go on too.
    behind: Duration,
}

impl Assembling {
    /// Looks at it again, one of so many streams. Whether it has fallen behind too far.
    pub(super) fn is_too_slow(&mut self, now: Time, pace: Pace, streams: usize) -> bool {
        let arrived = self.room.len();
        let start = Progress { arrived, looked: now, behind: Duration::ZERO };
        let last = self.progress.get_or_insert(start);
        // A look that is late was held up by this node, and what has come may wait unread.
        let passed = now.since(last.looked).min(pace.between_looks);
        let brought = arrived.saturating_sub(last.arrived);
        // It may have waited for credit. Only if it used some: what brings nothing is kept no
        // longer for a far end that takes no credit.
        let had_no_credit = brought > 0 && self.allowed == 0;
        let earned = if had_no_credit { passed } else { pace.time_for(brought, streams) };
        last.behind = last.behind.saturating_add(passed).saturating_sub(earned);
        (last.arrived, last.looked) = (arrived, now);
        last.behind >= pace.patience
    }
}

/// Moves the first `count` bytes, or all there are, to the end of `out`; returns how many.
pub(super) fn move_front(from: &mut VecDeque<u8>, count: usize, out: &mut Vec<u8>) -> usize {
    let count = count.min(from.len());
    let (front, back) = from.as_slices();
    let of_front = count.min(front.len());
    out.extend_from_slice(front.get(..of_front).unwrap_or_default());
    out.extend_from_slice(back.get(..count - of_front).unwrap_or_default());
    from.drain(..count);
    if from.is_empty() && from.capacity() > KEPT {
        *from = VecDeque::new();
    }
    count
}
