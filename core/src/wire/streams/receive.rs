//! What comes in: records, and reading what they brought.

use thiserror::Error;

use super::entry::{Application, Assembling, Class, Entry, Kind, move_front};
use super::record::{self, Record};
use super::{Gone, Pace, Streams};
use crate::error::ErrorCode;
use crate::ports::OwnRoom;
use crate::time::Time;

/// What a record has brought about. Events come once, at the change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Arrived<T> {
    /// Nothing that anybody waits for.
    Nothing,
    /// A whole message. Hand its buffer back with [`Streams::recycle`].
    Message(Vec<u8>),
    /// The stream has bytes to read where it had none.
    Readable(u32),
    /// After what there is to read, nothing more comes.
    Finished(u32),
    /// The far end ended both directions of the stream. It is forgotten, unread bytes included.
    Reset(u32, ErrorCode),
    /// The far end does not take this message. May come after [`Left::Message`](super::Left).
    Refused(T, ErrorCode),
    /// This end does not take a message of the far end and will say so.
    TurnedAway(ErrorCode),
    /// The node has no room for what came: this end does not take the message it belongs to, or
    /// ends this application stream, and will say so.
    Crowded(Option<u32>),
}

/// The far end broke the rules of streams: close the link with
/// [`ErrorCode::PROTOCOL`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(crate) enum StreamError {
    /// No record, or an unknown kind of control.
    #[error("a stream record that cannot be read")]
    Malformed,
    /// A stream that does not exist, and that the far end cannot open so.
    #[error("a record for stream {0}, which does not exist")]
    Unknown(u32),
    /// A number for a new stream that is in use.
    #[error("stream {0} is announced, but in use")]
    InUse(u32),
    /// More bytes than were allowed.
    #[error("more bytes on stream {0} than there was credit for")]
    BeyondCredit(u32),
    /// Bytes after the half-close.
    #[error("bytes on stream {0} after its end")]
    AfterEnd(u32),
    /// Bytes where only this end sends, or credit where only the far end does.
    #[error("a record on stream {0} in the wrong direction")]
    WrongWay(u32),
    /// A grant of nothing, or of 2^32 bytes and more in all.
    #[error("a grant of credit on stream {0} that makes no sense")]
    BadCredit(u32),
    /// Streams are opened faster than refusals can be sent.
    #[error("too many streams beyond the limit")]
    TooManyRefused,
}

/// What [`Streams::read`] has taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Taken {
    /// How many bytes; 0 without `end`: wait for [`Arrived::Readable`] or
    /// [`Arrived::Finished`].
    pub(crate) bytes: usize,
    /// Nothing more comes. The stream is forgotten if this end has finished it too.
    pub(crate) end: bool,
}

/// Bytes of a record.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Here(&'a [u8]),
    /// In the room of their message.
    Placed(usize),
}

impl Piece<'_> {
    fn len(self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Placed(count) => count,
        }
    }

    /// `false`: it cannot stand there.
    fn is_put_into(self, room: &mut OwnRoom) -> bool {
        match self {
            Self::Here(bytes) => room.copy(bytes),
            Self::Placed(count) => room.take(count),
        }
    }
}

impl<T> Streams<T> {
    /// A call of the far end announces an application stream. `false`: as many are open as may
    /// be, and the far end will be told that this one is refused as busy. That a number is not
    /// used twice is the far end's duty, and its own trouble.
    ///
    /// # Errors
    /// [`StreamError`]: the far end may not open such a number.
    pub(crate) fn expect(&mut self, number: u32) -> Result<bool, StreamError> {
        if number == 0 || self.is_own(number) {
            return Err(StreamError::Unknown(number));
        }
        if self.table.contains_key(&number) {
            return Err(StreamError::InUse(number));
        }
        // It may be below others: a large call is announced later than the calls behind it.
        self.highest = self.highest.max(number);
        if self.counts.far >= self.limits.streams {
            self.refuse(number, ErrorCode::BUSY)?;
            return Ok(false);
        }
        let stream = Application::new(self.limits.initial);
        self.insert(number, Entry::new(Class::Far, true, Kind::Application(stream)));
        self.grant(number);
        Ok(true)
    }

    /// Moves up to `most` bytes that have arrived to the end of `out`. Read until there are none
    /// before waiting: [`Arrived::Readable`] comes only when there were none.
    ///
    /// # Errors
    /// [`Gone`]: the stream is over.
    pub(crate) fn read(
        &mut self,
        number: u32,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<Taken, Gone> {
        let receive = &mut self.application(number)?.receive;
        let bytes = move_front(&mut receive.buffer, most, out);
        self.unread -= bytes;
        self.account.refund(bytes);
        let receive = &mut self.application(number)?.receive;
        let end = receive.ended && receive.buffer.is_empty();
        receive.told |= end;
        if end {
            self.forget_if_over(number);
        } else {
            self.grant(number);
        }
        Ok(Taken { bytes, end })
    }

    /// Takes one record of the far end.
    ///
    /// # Errors
    /// [`StreamError`]: the link must be closed.
    pub(crate) fn on_record(&mut self, frame: &[u8]) -> Result<Arrived<T>, StreamError> {
        let (number, record) = record::read(frame).ok_or(StreamError::Malformed)?;
        if self.table.get(&number).is_some_and(|entry| entry.announced) {
            return match record {
                Record::Bytes(bytes) => self.on_bytes(number, Piece::Here(bytes)),
                Record::Credit(bytes) => self.on_credit(number, bytes),
                Record::Reset(code) => Ok(self.on_reset(number, code)),
            };
        }
        match record {
            Record::Bytes(bytes) if !self.is_own(number) && number > self.highest => {
                self.highest = number;
                self.begin_assembly(number, bytes)
            }
            Record::Bytes(bytes) => {
                self.check_over(number)?;
                self.take_late(number, bytes.len())
            }
            Record::Credit(_) => {
                self.check_over(number)?;
                Ok(Arrived::Nothing)
            }
            Record::Reset(code) => {
                self.check_over(number)?;
                let at = self.recent.iter().position(|(left, _)| *left == number);
                let tag = at.and_then(|at| self.recent.remove(at));
                Ok(tag.map_or(Arrived::Nothing, |(_, tag)| Arrived::Refused(tag, code)))
            }
        }
    }

    /// Takes one record of the far end whose `count` bytes have been read into the room of its
    /// message.
    ///
    /// # Errors
    /// [`StreamError`]: the link must be closed.
    pub(crate) fn on_placed(
        &mut self,
        number: u32,
        count: usize,
    ) -> Result<Arrived<T>, StreamError> {
        if self.table.get(&number).is_some_and(|entry| entry.announced) {
            return self.on_bytes(number, Piece::Placed(count));
        }
        // It has been turned away meanwhile.
        self.check_over(number)?;
        self.take_late(number, count)
    }

    /// Whether a stream that is in no table, or not announced, was there once.
    fn check_over(&self, number: u32) -> Result<(), StreamError> {
        let was_there = if self.is_own(number) {
            (1..self.next).contains(&u64::from(number)) && !self.table.contains_key(&number)
        } else {
            (1..=self.highest).contains(&number)
        };
        if was_there { Ok(()) } else { Err(StreamError::Unknown(number)) }
    }

    /// Bytes that were on their way when their stream was reset here.
    fn take_late(&mut self, number: u32, count: usize) -> Result<Arrived<T>, StreamError> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.late = self.late.checked_sub(count).ok_or(StreamError::BeyondCredit(number))?;
        Ok(Arrived::Nothing)
    }

    fn begin_assembly(&mut self, number: u32, bytes: &[u8]) -> Result<Arrived<T>, StreamError> {
        if self.counts.assembling >= self.limits.streams {
            self.refuse(number, ErrorCode::BUSY)?;
            self.late = self.late.saturating_add(u64::from(self.limits.initial));
            self.take_late(number, bytes.len())?;
            return Ok(Arrived::TurnedAway(ErrorCode::BUSY));
        }
        let (memory, most) = (std::mem::take(&mut self.spare), self.largest());
        let room = self.rooms.0.open(self.rooms.1, number, memory, most);
        let message = Assembling { room, allowed: self.limits.initial, progress: None };
        self.insert(number, Entry::new(Class::Assembling, true, Kind::Assembling(message)));
        self.on_bytes(number, Piece::Here(bytes))
    }

    /// The largest message that is put together.
    fn largest(&self) -> usize {
        self.limits.message.min(self.limits.assembly)
    }

    fn on_bytes(&mut self, number: u32, piece: Piece<'_>) -> Result<Arrived<T>, StreamError> {
        let (size, largest) = (piece.len(), self.largest());
        let Some(entry) = self.table.get_mut(&number) else { return Ok(Arrived::Nothing) };
        if let Kind::Application(stream) = &entry.kind
            && stream.receive.ended
        {
            return Err(StreamError::AfterEnd(number));
        }
        let allowed = entry.allowed_mut().ok_or(StreamError::WrongWay(number))?;
        let count = u32::try_from(size).unwrap_or(u32::MAX);
        let left = allowed.checked_sub(count).ok_or(StreamError::BeyondCredit(number))?;
        *allowed = if size == 0 { 0 } else { left };
        let is_crowded = !self.account.has_share(size);
        match &mut entry.kind {
            Kind::Application(stream) if size == 0 => {
                stream.receive.ended = true;
                Ok(Arrived::Finished(number))
            }
            Kind::Application(_) if is_crowded => {
                self.end(number, ErrorCode::BUSY);
                Ok(Arrived::Crowded(Some(number)))
            }
            Kind::Application(stream) => {
                // Nobody lends room for it.
                let Piece::Here(bytes) = piece else { return Err(StreamError::Malformed) };
                let had_none = stream.receive.buffer.is_empty();
                stream.receive.buffer.extend(bytes);
                self.unread += size;
                self.account.charge(size);
                Ok(if had_none { Arrived::Readable(number) } else { Arrived::Nothing })
            }
            Kind::Assembling(_) if size == 0 => match self.remove(number) {
                Some(Kind::Assembling(message)) => {
                    let whole = message.room.finish();
                    whole.map(Arrived::Message).ok_or(StreamError::AfterEnd(number))
                }
                _ => Ok(Arrived::Nothing),
            },
            Kind::Assembling(message) => {
                let room = self.limits.assembly.saturating_sub(self.assembled.held());
                if size > largest.saturating_sub(message.room.len()) {
                    return Ok(self.turn_away(number, ErrorCode::TOO_LARGE));
                }
                if size > room {
                    return Ok(self.turn_away(number, ErrorCode::BUSY));
                }
                // What is left beside them is for results, and for smaller calls.
                if is_crowded || !self.account.budget().has_room_for_work(size) {
                    self.end(number, ErrorCode::BUSY);
                    return Ok(Arrived::Crowded(None));
                }
                if !piece.is_put_into(&mut message.room) {
                    return Err(StreamError::Malformed);
                }
                self.assembled.charge(size);
                self.account.charge(size);
                self.grant(number);
                Ok(Arrived::Nothing)
            }
            Kind::Ending { .. } | Kind::Sending(_) => Ok(Arrived::Nothing),
        }
    }

    /// Turns away messages that have fallen behind: that stand still, or nearly. Returns how many.
    /// To be called every now and then.
    pub(crate) fn end_slow(&mut self, now: Time, pace: Pace) -> usize {
        let (mut slow, streams) = (Vec::new(), self.table.len());
        for (number, entry) in &mut self.table {
            let Kind::Assembling(message) = &mut entry.kind else { continue };
            if message.is_too_slow(now, pace, streams) {
                slow.push(*number);
            }
        }
        for number in &slow {
            self.end(*number, ErrorCode::TIMEOUT);
        }
        slow.len()
    }

    /// Turns away the message being put together that has brought most: it makes room for those
    /// of others. `false`: there is none.
    pub(crate) fn end_largest(&mut self) -> bool {
        let of = |entry: &Entry<T>| match &entry.kind {
            Kind::Assembling(message) => Some(message.room.len()),
            _ => None,
        };
        let all = self.table.iter().filter_map(|(number, entry)| Some((of(entry)?, *number)));
        let Some((_, number)) = all.max() else { return false };
        self.end(number, ErrorCode::BUSY);
        true
    }

    /// Bytes of messages being put together.
    pub(crate) fn assembled(&self) -> usize {
        self.assembled.held()
    }

    /// The message being put together whose number ends with `low`, if it is among the last 2^16
    /// numbers of the far end.
    pub(crate) fn assembled_as(&self, low: u16) -> Option<u32> {
        let newest = (self.highest & !0xffff) | u32::from(low);
        let number = if newest > self.highest { newest.checked_sub(1 << 16)? } else { newest };
        let entry = self.table.get(&number)?;
        matches!(entry.kind, Kind::Assembling(_)).then_some(number)
    }

    fn turn_away(&mut self, number: u32, code: ErrorCode) -> Arrived<T> {
        self.end(number, code);
        Arrived::TurnedAway(code)
    }

    fn on_credit(&mut self, number: u32, more: u32) -> Result<Arrived<T>, StreamError> {
        let Some(entry) = self.table.get_mut(&number) else { return Ok(Arrived::Nothing) };
        let credit = match &mut entry.kind {
            Kind::Application(stream) => &mut stream.send.credit,
            Kind::Sending(message) => &mut message.credit,
            Kind::Assembling(_) => return Err(StreamError::WrongWay(number)),
            Kind::Ending { .. } => return Ok(Arrived::Nothing),
        };
        let sum = credit.checked_add(more).filter(|_| more > 0);
        *credit = sum.ok_or(StreamError::BadCredit(number))?;
        self.enqueue(number);
        Ok(Arrived::Nothing)
    }

    fn on_reset(&mut self, number: u32, code: ErrorCode) -> Arrived<T> {
        match self.remove(number) {
            Some(Kind::Application(_)) => Arrived::Reset(number, code),
            Some(Kind::Sending(message)) => Arrived::Refused(message.tag, code),
            Some(Kind::Assembling(message)) => {
                self.recycle(message.room.abandon().unwrap_or_default());
                Arrived::Nothing
            }
            Some(Kind::Ending { .. }) | None => Arrived::Nothing,
        }
    }
}
