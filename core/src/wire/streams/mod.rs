//! Byte streams of one link, and large messages, which are streams that the receiver puts
//! together: credit, turns, bounds.
//!
//! For links that are reliable and ordered. Pure: records go in by [`Streams::on_record`] and
//! come out of [`Streams::next_record_parts`]; the engine carries them between its small messages.
//!
//! An application stream is announced by the call that owns it. The far end must hear of it
//! before its bytes, so nothing of it is sent until [`Streams::announced`]. A message needs no
//! announcement: it gets its number with its first record, so that its number is above all that
//! the far end has heard of.

mod application;
mod body;
mod entry;
mod limits;
mod pace;
mod receive;
mod record;
mod send;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::{BTreeMap, VecDeque};

use thiserror::Error;

use crate::byte_budget::Account;
use crate::endpoint::LinkId;
use crate::error::ErrorCode;
use crate::ports::Rooms;
use entry::{Application, Class, Entry, Kind};

pub(crate) use body::{Body, Gap};
pub(crate) use limits::StreamLimits;
pub(crate) use pace::Pace;
pub(crate) use receive::{Arrived, StreamError, Taken};
pub(crate) use record::{bytes_head, stream_of_bytes};
pub(crate) use send::{Left, PushError};

/// Refusals of streams beyond the bound that may wait to be sent.
const MAX_REFUSALS: usize = 4096;

/// Messages that have left and whose refusal is still understood.
const MAX_RECENT: usize = 256;

/// Messages that may wait to begin, however small they are.
const MAX_WAITING: usize = 65_536;

/// The largest message buffer that is kept for the next message: for a mebibyte and its head.
const MAX_SPARE: usize = 2 << 20;

/// Places of a queue that are kept however little waits.
const KEPT_PLACES: usize = 32;

/// In the round: the next message that waits to begin. No stream has this number.
const BEGIN: u32 = 0;

/// The stream, or this direction of it, is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the stream has ended")]
pub(crate) struct Gone;

/// What a link's streams hold, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Held {
    /// Application streams, whoever opened them.
    pub(crate) streams: usize,
    /// Messages that wait or are being sent.
    pub(crate) messages_out: usize,
    /// Messages being put together.
    pub(crate) messages_in: usize,
    /// Bytes of `messages_out`.
    pub(crate) bytes_out: usize,
    /// Bytes of `messages_in` that have arrived.
    pub(crate) bytes_in: usize,
    /// Bytes of application streams that were written and not sent.
    pub(crate) unsent: usize,
    /// Bytes of application streams that arrived and were not read.
    pub(crate) unread: usize,
}

/// What ends with a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Remains<T> {
    /// Messages that have not wholly left, in the order they came.
    pub(crate) messages: Vec<T>,
    /// Application streams that nobody has reset, and of those whose far end has finished what
    /// is left to read.
    pub(crate) streams: Vec<(u32, Option<VecDeque<u8>>)>,
}

/// How many streams of each class there are.
#[derive(Default)]
struct Counts {
    own: usize,
    far: usize,
    sending: usize,
    assembling: usize,
}

impl Counts {
    fn of(&mut self, class: Class) -> &mut usize {
        match class {
            Class::Own => &mut self.own,
            Class::Far => &mut self.far,
            Class::Sending => &mut self.sending,
            Class::Assembling => &mut self.assembling,
        }
    }
}

/// The streams of one link. `T` names a message of this end: its sender is told by it when the
/// message has left, or was refused.
pub(crate) struct Streams<T> {
    initiator: bool,
    limits: StreamLimits,
    table: BTreeMap<u32, Entry<T>>,
    counts: Counts,
    /// The next number of this end; above 2^32: none is left.
    next: u64,
    /// The highest number of the far end that came up.
    highest: u32,
    /// Messages that have not begun.
    waiting: VecDeque<(T, Body)>,
    /// Bytes of messages that have not wholly left, waiting ones included.
    queued: usize,
    /// Bytes of those that have begun.
    begun: usize,
    /// Bytes of messages being put together: this link's part of those on all links.
    assembled: Account,
    /// Bytes of application streams that have arrived and were not read.
    unread: usize,
    /// Everything that is held: `queued`, `assembled`, `unread`, and what was written and not
    /// sent.
    account: Account,
    /// Whose turn it is to send bytes. May name streams that are gone.
    round: VecDeque<u32>,
    /// Whether [`BEGIN`] stands in the round.
    begin_in_round: bool,
    /// Streams with a grant or a reset to send. May name streams that are gone.
    controls: VecDeque<u32>,
    /// Resets of streams that never came into the table.
    refusals: VecDeque<(u32, ErrorCode)>,
    /// Bytes that the far end may still send on streams that are over.
    late: u64,
    /// The last messages that have left, in that order: their refusal may be on its way.
    recent: VecDeque<(u32, T)>,
    /// Where messages are put together, for others to read into, and whose they are there.
    rooms: (Rooms, LinkId),
    /// A buffer for a message that is put together alone: lent to each of many, it would
    /// cost far more than what has arrived.
    spare: Vec<u8>,
}

impl<T> Streams<T> {
    /// The streams of a new link. `initiator`: this end opened the link. All they hold is charged
    /// to `account`, and messages being put together to `assembled` as well. They are put together
    /// in `rooms`, as those of that link.
    pub(crate) fn new(
        initiator: bool,
        limits: StreamLimits,
        account: Account,
        assembled: Account,
        rooms: (Rooms, LinkId),
    ) -> Self {
        Self {
            initiator,
            limits,
            table: BTreeMap::new(),
            counts: Counts::default(),
            next: if initiator { 1 } else { 2 },
            highest: 0,
            waiting: VecDeque::new(),
            queued: 0,
            begun: 0,
            assembled,
            unread: 0,
            account,
            round: VecDeque::new(),
            begin_in_round: false,
            controls: VecDeque::new(),
            refusals: VecDeque::new(),
            late: 0,
            recent: VecDeque::new(),
            rooms,
            spare: Vec::new(),
        }
    }

    /// Takes back the buffer of a message that was handled, for the next one. Nothing happens if
    /// it is too large to be kept, or smaller than the one that is kept.
    pub(crate) fn recycle(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= MAX_SPARE && buffer.capacity() > self.spare.capacity() {
            // As it was left: what has been written to is not filled with zeros again.
            self.spare = buffer;
        }
    }

    /// Whether the next message has no buffer to use again.
    pub(crate) fn lacks_spare(&self) -> bool {
        self.spare.capacity() == 0
    }

    /// Whether that is felt: messages arrive.
    pub(crate) fn wants_spare(&self) -> bool {
        self.counts.assembling > 0 && self.lacks_spare()
    }

    /// Gives back memory that is kept for speed. For times when the link is quiet.
    pub(crate) fn relax(&mut self) {
        self.spare = Vec::new();
        self.waiting.shrink_to(KEPT_PLACES);
        self.round.shrink_to(KEPT_PLACES);
        self.controls.shrink_to(KEPT_PLACES);
        self.refusals.shrink_to(KEPT_PLACES);
    }

    /// What the end of the link ends with it.
    pub(crate) fn dissolve(self) -> Remains<T> {
        let (mut messages, mut streams) = (Vec::new(), Vec::new());
        for (number, entry) in self.table {
            match entry.kind {
                Kind::Sending(message) => messages.push(message.tag),
                Kind::Application(Application { receive, .. }) => {
                    let is_whole = receive.ended && !receive.told;
                    streams.push((number, is_whole.then_some(receive.buffer)));
                }
                Kind::Assembling(_) | Kind::Ending { .. } => {}
            }
        }
        messages.extend(self.waiting.into_iter().map(|(tag, _)| tag));
        Remains { messages, streams }
    }

    /// Whether there is no stream, no message and nothing to say.
    pub(crate) fn is_idle(&self) -> bool {
        self.table.is_empty() && self.waiting.is_empty() && self.refusals.is_empty()
    }

    /// What is held.
    pub(crate) fn held(&self) -> Held {
        Held {
            streams: self.counts.own + self.counts.far,
            messages_out: self.counts.sending + self.waiting.len(),
            messages_in: self.counts.assembling,
            bytes_out: self.queued,
            bytes_in: self.assembled.held(),
            unsent: self.account.held() - self.queued - self.assembled.held() - self.unread,
            unread: self.unread,
        }
    }

    /// Whether this end opens streams of this number.
    fn is_own(&self, number: u32) -> bool {
        (number % 2 == 1) == self.initiator
    }

    /// Whether there is a number beyond those for the messages that wait.
    fn has_number(&self) -> bool {
        let left = (u64::from(u32::MAX) + 2).saturating_sub(self.next) / 2;
        left > u64::try_from(self.waiting.len()).unwrap_or(u64::MAX)
    }

    fn take_number(&mut self) -> Option<u32> {
        let number = u32::try_from(self.next).ok()?;
        self.next += 2;
        Some(number)
    }

    fn insert(&mut self, number: u32, entry: Entry<T>) {
        *self.counts.of(entry.class) += 1;
        self.table.insert(number, entry);
    }

    /// Forgets a stream and returns what it was.
    fn remove(&mut self, number: u32) -> Option<Kind<T>> {
        let entry = self.table.remove(&number)?;
        *self.counts.of(entry.class) -= 1;
        self.give_back(&entry.kind);
        self.queue_begin();
        Some(entry.kind)
    }

    /// Takes what a stream holds off the sums.
    fn give_back(&mut self, kind: &Kind<T>) {
        match kind {
            Kind::Sending(message) => {
                self.queued -= message.bytes.len();
                self.begun -= message.bytes.len();
                self.account.refund(message.bytes.len());
            }
            Kind::Assembling(message) => {
                self.assembled.refund(message.room.len());
                self.account.refund(message.room.len());
            }
            Kind::Application(stream) => {
                let unread = stream.receive.buffer.len();
                self.unread -= unread;
                self.account.refund(unread + stream.send.buffer.len());
            }
            Kind::Ending { .. } => {}
        }
    }

    /// Drops what a stream holds and lets the far end know. Its place is free when that has left.
    fn end(&mut self, number: u32, code: ErrorCode) {
        let Some(entry) = self.table.get_mut(&number) else { return };
        let allowed = entry.allowed_mut().map_or(0, |allowed| *allowed);
        let kind = std::mem::replace(&mut entry.kind, Kind::Ending { code, allowed });
        let announced = entry.announced;
        self.give_back(&kind);
        if let Kind::Assembling(message) = kind {
            // It may announce a stream, whose bytes are on their way before its sender hears.
            self.late = self.late.saturating_add(u64::from(self.limits.initial));
            self.recycle(message.room.abandon().unwrap_or_default());
        }
        if announced {
            self.queue_control(number);
        }
    }

    /// Refuses a stream that is in no table.
    fn refuse(&mut self, number: u32, code: ErrorCode) -> Result<(), StreamError> {
        if self.refusals.len() >= MAX_REFUSALS {
            return Err(StreamError::TooManyRefused);
        }
        self.late = self.late.saturating_add(u64::from(self.limits.initial));
        self.refusals.push_back((number, code));
        Ok(())
    }
}
