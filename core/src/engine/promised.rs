//! Keyed mode: bare envelopes, and among them records of large messages, which are opened where
//! their message is put together.
//!
//! What is sealed does not show what it belongs to, so the head of such a record's envelope promises
//! it: the low half of its stream's number. It is authenticated with the rest. Where the promise is
//! of use, in the room of that stream, what is opened is taken like a record that was read there;
//! elsewhere it is opened in place, as everything else is. Who breaks a promise loses the connection.

use super::Core;
use super::receive::From;
use super::stream::Record;
use crate::counters::Drop;
use crate::endpoint::LinkId;
use crate::framing::RECORD_HEAD;
use crate::ports::{Close, LentRoom, OpenError, Placed};
use crate::time::Time;
use crate::wire::sessions::{Head, Labels, OVERHEAD, envelope};
use crate::wire::streams::{bytes_head, stream_of_bytes};

impl Core {
    /// Takes a bare envelope.
    pub(super) fn receive_bare(
        &mut self,
        now: Time,
        from: From,
        frame: &mut [u8],
    ) -> Result<(), Drop> {
        let (head, labels) = self.read_bare(from.link, frame)?;
        if let Some(room) = self.room_for(from, head.stream, frame.len()) {
            return self.receive_into(now, from, (head, labels), frame, room);
        }
        let size = frame.len();
        let (from, plain) = self.open_in_place(now, from, (head, labels, size), frame)?;
        self.receive_promised(now, from, head.stream, plain)
    }

    /// What a bare envelope on a link says of itself, and what it was sealed as.
    fn read_bare(&self, link: LinkId, frame: &[u8]) -> Result<(Head, Labels<'static>), Drop> {
        let head = Head::read_record(frame)?;
        // For everybody: an announcement, on whatever link it comes.
        let labels = if head.to.is_none() { Labels::HELLO } else { self.labels_in(link) };
        if head.stream != 0 && labels != Labels::RECORD {
            return Err(Drop::Envelope);
        }
        Ok((head, labels))
    }

    /// Opens a bare envelope in place: what was sealed stands between its head and its tag.
    pub(super) fn open_bare<'a>(
        &mut self,
        now: Time,
        from: From,
        frame: &'a mut [u8],
    ) -> Result<(From, &'a [u8]), Drop> {
        let (head, labels) = self.read_bare(from.link, frame)?;
        let size = frame.len();
        self.open_in_place(now, from, (head, labels, size), frame)
    }

    /// The room that the plain bytes of a frame of this size are promised to belong to.
    fn room_for(&mut self, from: From, promised: u16, size: usize) -> Option<LentRoom> {
        if promised == 0 {
            return None;
        }
        let length = size.checked_sub(OVERHEAD + RECORD_HEAD).filter(|length| *length > 0)?;
        let stream = self.streams_of(from.link)?.assembled_as(promised)?;
        let mut room = self.large.rooms.lend(from.link, stream, length)?;
        // Where nothing has arrived yet there is no place for the record's head.
        if room.write_record(|_| Ok::<_, OpenError>(())).is_some() {
            return Some(room);
        }
        room.give_back(0);
        None
    }

    /// Opens a record into a room.
    fn receive_into(
        &mut self,
        now: Time,
        from: From,
        (head, labels): (Head, Labels<'_>),
        frame: &[u8],
        mut room: LentRoom,
    ) -> Result<(), Drop> {
        let opened = self.open(now, from, (head, labels, frame.len()), |key| {
            let open = |out: &mut [u8]| envelope::open_into(&head, labels, key, frame, out);
            room.write_record(open).unwrap_or(Err(OpenError))
        });
        let (from, start) = match opened {
            Ok(opened) => opened,
            Err(why) => {
                room.give_back(0);
                return Err(why);
            }
        };
        let length = room.space().len();
        if start == bytes_head(room.stream()) {
            let (link, origin) = (from.link, from.origin);
            let stream = room.give_back(length);
            return self.on_record(
                now,
                from,
                Record::Placed(Placed { link, origin, stream, length }),
            );
        }
        // Of another stream, whose number may end like that of the one that has the room.
        let plain = [&start, &*room.space()].concat();
        room.give_back(0);
        self.receive_promised(now, from, head.stream, &plain)
    }

    /// Takes a frame that was opened, if it is what was promised.
    fn receive_promised(
        &mut self,
        now: Time,
        from: From,
        promised: u16,
        plain: &[u8],
    ) -> Result<(), Drop> {
        if promised != 0 && promise_of(plain) != Some(promised) {
            self.drop_link(now, from.link, Close::Abort);
            return Err(Drop::Malformed);
        }
        self.receive_plain(now, from, plain)
    }
}

/// What may be promised of a plain frame; `None`: it is no record that brings bytes.
pub(super) fn promise_of(plain: &[u8]) -> Option<u16> {
    let [_, _, low @ ..] = stream_of_bytes(plain)?.to_be_bytes();
    Some(u16::from_be_bytes(low))
}
