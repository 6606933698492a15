//! What goes out: messages, bytes, and the records whose turn it is.

use std::time::Duration;

use thiserror::Error;

use super::body::Body;
use super::entry::{Class, Entry, Kind, Sending, move_front};
use super::{BEGIN, Gone, MAX_RECENT, MAX_WAITING, Streams, record};
use crate::error::ErrorCode;
use crate::framing::RECORD_HEAD;
use crate::payload::Shared;
use crate::time::Time;

/// Bytes that may be written on a stream while the node holds as many as it may.
const WITHOUT_ROOM: usize = 16 << 10;

/// One record was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Left<T> {
    /// Nobody needs to know.
    Record,
    /// It was the last of this message; here is its buffer. The far end may still refuse it.
    Message(T, Body),
    /// A writer that had found no room on this stream has some again.
    Writable(u32),
}

/// A message that is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(crate) enum PushError {
    /// Too much waits on the link.
    #[error("{waiting} bytes wait to be sent on the link, {size} more are above its limit")]
    Full {
        /// Bytes that wait.
        waiting: usize,
        /// Bytes of the message.
        size: usize,
    },
    /// The whole node holds as much as it may.
    #[error("the node holds as many bytes as it may; {size} more do not fit")]
    Crowded {
        /// Bytes of the message.
        size: usize,
    },
    /// It is larger than a message may be.
    #[error("a message of {size} bytes: at most {limit} are sent")]
    TooLarge {
        /// Bytes of the message.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// 2^31 streams and messages have passed.
    #[error("the link has no stream number left; open a new link")]
    Exhausted,
}

impl PushError {
    /// The code to tell the message's owner.
    pub(crate) fn code(self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } => ErrorCode::TOO_LARGE,
            Self::Full { .. } | Self::Crowded { .. } | Self::Exhausted => ErrorCode::BUSY,
        }
    }

    /// The setting that is in the way.
    pub(crate) fn limit(self) -> &'static str {
        match self {
            Self::Full { .. } => "max_message_queue",
            Self::Crowded { .. } => "max_buffered",
            Self::TooLarge { .. } => "max_message",
            Self::Exhausted => "stream_numbers",
        }
    }
}

impl<T> Streams<T> {
    /// Queues a whole message under a tag. Messages begin in the order they came.
    ///
    /// # Errors
    /// [`PushError`] and the message.
    pub(crate) fn push_message(
        &mut self,
        tag: T,
        bytes: impl Into<Body>,
    ) -> Result<(), (PushError, Body)> {
        let bytes = bytes.into();
        let (size, limit, waiting) = (bytes.len(), self.limits.message, self.queued);
        if size > limit {
            return Err((PushError::TooLarge { size, limit }, bytes));
        }
        let has_room = waiting == 0 || waiting.saturating_add(size) <= self.limits.queue;
        if !has_room || self.waiting.len() >= MAX_WAITING {
            return Err((PushError::Full { waiting, size }, bytes));
        }
        if !self.has_number() {
            return Err((PushError::Exhausted, bytes));
        }
        if !self.account.budget().has_room(size) {
            return Err((PushError::Crowded { size }, bytes));
        }
        self.account.charge(size);
        self.queued += size;
        self.waiting.push_back((tag, bytes));
        self.queue_begin();
        Ok(())
    }

    /// Stops sending a message. `false`: it has left already. Looks through all messages.
    pub(crate) fn cancel_message(&mut self, tag: &T) -> bool
    where
        T: PartialEq,
    {
        if let Some(at) = self.waiting.iter().position(|(waits, _)| waits == tag) {
            let bytes = self.waiting.remove(at).map_or(0, |(_, bytes)| bytes.len());
            self.queued -= bytes;
            self.account.refund(bytes);
            self.queue_begin();
            return true;
        }
        let mut all = self.table.iter();
        let is_it = |kind: &Kind<T>| matches!(kind, Kind::Sending(message) if message.tag == *tag);
        let Some(number) = all.find(|(_, entry)| is_it(&entry.kind)).map(|(number, _)| *number)
        else {
            return false;
        };
        self.end(number, ErrorCode::CANCELLED);
        true
    }

    /// Whether the far end has taken nothing of a message since it was looked at `patience` ago.
    /// To be called every now and then.
    pub(crate) fn is_stuck(&mut self, now: Time, patience: Duration) -> bool {
        let mut is_stuck = false;
        for entry in self.table.values_mut() {
            let Kind::Sending(message) = &mut entry.kind else { continue };
            match message.seen {
                Some((seen, since)) if seen == message.sent => {
                    is_stuck |= now.since(since) >= patience;
                }
                _ => message.seen = Some((message.sent, now)),
            }
        }
        is_stuck
    }

    /// Takes as many bytes as there is room for and returns how many. If not all,
    /// [`Left::Writable`] comes once half of the room is free.
    ///
    /// # Errors
    /// [`Gone`]: the stream is over, or this end has finished it.
    pub(crate) fn write(&mut self, number: u32, bytes: &[u8]) -> Result<usize, Gone> {
        let window = usize::try_from(self.limits.window).unwrap_or(usize::MAX);
        let has_room = self.account.budget().has_room_for_work(bytes.len().min(window));
        // Never nothing: room is told of when something has left.
        let most = if has_room { window } else { window.min(WITHOUT_ROOM) };
        let send = &mut self.application(number)?.send;
        if send.finished {
            return Err(Gone);
        }
        let taken = most.saturating_sub(send.buffer.len()).min(bytes.len());
        send.buffer.extend(bytes.get(..taken).unwrap_or_default());
        send.blocked |= taken < bytes.len();
        self.account.charge(taken);
        self.enqueue(number);
        Ok(taken)
    }

    /// Half-closes a stream: after what was written nothing more comes.
    ///
    /// # Errors
    /// [`Gone`]: the stream is over.
    pub(crate) fn finish(&mut self, number: u32) -> Result<(), Gone> {
        let send = &mut self.application(number)?.send;
        send.finished = true;
        send.blocked = false;
        self.enqueue(number);
        Ok(())
    }

    /// Whether [`Self::next_record_parts`] may have something.
    pub(crate) fn is_ready(&self) -> bool {
        !self.refusals.is_empty() || !self.controls.is_empty() || !self.round.is_empty()
    }

    /// Like [`Self::next_record_parts`], in one piece.
    #[cfg(test)]
    pub(crate) fn next_record(&mut self, most: usize, out: &mut Vec<u8>) -> Option<Left<T>>
    where
        T: Clone,
    {
        let mut tail = None;
        let left = self.next_record_parts(most, out, &mut tail);
        out.extend_from_slice(tail.as_deref().unwrap_or_default());
        left
    }

    /// Appends the next record to `out`: grants and resets first, then one record of bytes from
    /// each stream in turn; from each message as many as its turn lasts. Its last bytes are left where they are shared. A record has at most
    /// `most` bytes with its head; fewer than 11 are too few for any. `None`: nothing can be sent
    /// now.
    pub(crate) fn next_record_parts(
        &mut self,
        most: usize,
        out: &mut Vec<u8>,
        tail: &mut Option<Shared>,
    ) -> Option<Left<T>>
    where
        T: Clone,
    {
        let most = most.checked_sub(RECORD_HEAD).filter(|body| *body >= record::CONTROL)?;
        if let Some((number, code)) = self.refusals.pop_front() {
            record::write_reset(number, code, out);
            return Some(Left::Record);
        }
        while let Some(number) = self.controls.pop_front() {
            if self.write_control(number, out) {
                return Some(Left::Record);
            }
        }
        let most = most.min(self.limits.record);
        while let Some(turn) = self.round.pop_front() {
            let number = if turn == BEGIN { self.begin_message() } else { Some(turn) };
            if let Some(left) = number.and_then(|number| self.write_bytes(number, most, out, tail))
            {
                return Some(left);
            }
        }
        None
    }

    /// Whether a record that was just written is one of a message.
    pub(crate) fn is_of_message(&self, record: Option<&[u8]>) -> bool {
        let number = record.and_then(record::read).map(|(number, _)| number);
        let entry = number.and_then(|number| self.table.get(&number));
        entry.is_some_and(|entry| matches!(entry.kind, Kind::Sending(_)))
    }

    /// Gives the next message that waits its number.
    fn begin_message(&mut self) -> Option<u32> {
        self.begin_in_round = false;
        if !self.may_begin() {
            return None;
        }
        let (tag, bytes) = self.waiting.pop_front()?;
        // There is one: messages were only taken while there were numbers for them.
        let number = self.take_number()?;
        self.begun += bytes.len();
        let (credit, turn) = (self.limits.initial, self.limits.turn);
        let message = Sending { tag, bytes, sent: 0, credit, turn, seen: None };
        let mut entry = Entry::new(Class::Sending, true, Kind::Sending(message));
        entry.in_round = true;
        self.insert(number, entry);
        self.queue_begin();
        Some(number)
    }

    /// Writes a stream's grant or reset. `false`: there is none.
    fn write_control(&mut self, number: u32, out: &mut Vec<u8>) -> bool {
        let (window, of_message) = (self.limits.window, self.limits.message_window);
        let Some(entry) = self.table.get_mut(&number) else { return false };
        if !std::mem::take(&mut entry.in_controls) {
            return false;
        }
        if let Kind::Ending { code, allowed } = entry.kind {
            record::write_reset(number, code, out);
            self.late = self.late.saturating_add(u64::from(allowed));
            self.remove(number);
            return true;
        }
        let window = match entry.kind {
            Kind::Assembling(_) => window.max(of_message),
            _ => window,
        };
        let owed = entry.owed(window);
        let Some(allowed) = entry.allowed_mut().filter(|_| owed > 0) else { return false };
        *allowed = allowed.saturating_add(owed);
        record::write_credit(number, owed, out);
        true
    }

    /// Writes a stream's next record of bytes, or its half-close.
    fn write_bytes(
        &mut self,
        number: u32,
        most: usize,
        out: &mut Vec<u8>,
        tail: &mut Option<Shared>,
    ) -> Option<Left<T>>
    where
        T: Clone,
    {
        let half = usize::try_from(self.limits.window / 2).unwrap_or(usize::MAX);
        let only_messages = self.counts.own + self.counts.far == 0;
        let entry = self.table.get_mut(&number)?;
        if !std::mem::take(&mut entry.in_round) || !entry.is_sendable() {
            return None;
        }
        record::write_bytes_head(number, out);
        match &mut entry.kind {
            Kind::Application(stream) if stream.send.buffer.is_empty() => {
                stream.send.closed = true;
                self.forget_if_over(number);
                Some(Left::Record)
            }
            Kind::Application(stream) => {
                let send = &mut stream.send;
                let size = most.min(usize::try_from(send.credit).unwrap_or(usize::MAX));
                let size = move_front(&mut send.buffer, size, out);
                send.credit = send.credit.saturating_sub(u32::try_from(size).unwrap_or(u32::MAX));
                // The half-close alone does not wait for everybody's next record.
                let is_last = send.buffer.is_empty() && send.finished;
                let has_room = send.buffer.len() <= half && std::mem::take(&mut send.blocked);
                self.account.refund(size);
                self.next_turn(number, is_last);
                Some(if has_room { Left::Writable(number) } else { Left::Record })
            }
            Kind::Sending(message) if message.is_whole() => match self.remove(number) {
                Some(Kind::Sending(message)) => {
                    if self.recent.len() >= MAX_RECENT {
                        self.recent.pop_front();
                    }
                    self.recent.push_back((number, message.tag.clone()));
                    Some(Left::Message(message.tag, message.bytes))
                }
                _ => Some(Left::Record),
            },
            Kind::Sending(message) => {
                let size = most.min(usize::try_from(message.credit).unwrap_or(usize::MAX));
                let (size, shared) = message.bytes.append_or_share(message.sent, size, out);
                *tail = shared;
                message.sent += size;
                message.credit =
                    message.credit.saturating_sub(u32::try_from(size).unwrap_or(u32::MAX));
                message.turn = message.turn.saturating_sub(size);
                let goes_on = message.is_whole() || message.turn > 0 && only_messages;
                if !goes_on {
                    message.turn = self.limits.turn;
                }
                self.next_turn(number, goes_on);
                Some(Left::Record)
            }
            Kind::Assembling(_) | Kind::Ending { .. } => None,
        }
    }
}
