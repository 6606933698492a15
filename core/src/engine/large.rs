//! Large messages: what is sent from where it is, and what is kept where it arrived.

use super::Core;
use super::receive::From;
use super::stream::Record;
use crate::counters::Drop;
use crate::dialect::frame::FrameWriter;
use crate::endpoint::LinkId;
use crate::error::{CallError, Executed};
use crate::framing;
use crate::message::Message;
use crate::payload::{Encoded, Shared, Spliced, bulk};
use crate::ports::{Cast, Lent, Origin, Placed, Received, Rooms};
use crate::time::Time;
use crate::wire::outbox::Outgoing;
use crate::wire::sessions::{HEAD, Head, OVERHEAD, VERSION};
use crate::wire::streams::{Body, Gap, PushError};

/// What is at hand of a large message for as long as one step of the engine takes.
#[derive(Default)]
pub(super) struct Large {
    /// The one that is being read: what is kept of it may be a part of its memory.
    pub(super) arriving: Option<Shared>,
    /// What is left out of the message that was written last, and where.
    pub(super) gap: Option<Box<Gap>>,
    /// The last bytes of the frame that is being written, where others hold them too.
    pub(super) tail: Option<Shared>,
    /// The frame that is being written stands behind room for what sealing puts before it.
    pub(super) has_room: bool,
    /// The frame that was written last is a record.
    pub(super) is_record: bool,
    /// What its envelope promises: the low half of its stream's number, where it is of use.
    pub(super) stream: u16,
    /// Memory for frames that are sealed into it, as it was left.
    left: Vec<u8>,
    /// Where messages are put together.
    pub(super) rooms: Rooms,
}

/// Memory from this size on is used again as it was left: to fill it with zeros takes a tenth of the
/// time that sealing takes.
const LEFT: usize = 16 << 10;

impl Large {
    /// Empties a frame's buffer. If it has held a large frame, that memory is kept as it was left,
    /// and the buffer is another one.
    pub(super) fn empty(&mut self, out: &mut Vec<u8>) {
        if out.len() >= LEFT && out.len() > self.left.len() {
            std::mem::swap(out, &mut self.left);
        }
        out.clear();
    }

    /// Moves the first bytes of a frame to the beginning of memory as it was left, which is the
    /// frame's buffer then. Returns how many they are.
    pub(super) fn stand_apart(&mut self, frame: &mut Vec<u8>) -> usize {
        let count = frame.len();
        if self.left.len() < count {
            self.left.resize(count, 0);
        }
        if let Some(place) = self.left.get_mut(..count) {
            place.copy_from_slice(frame);
        }
        std::mem::swap(frame, &mut self.left);
        count
    }

    /// Gives back memory that is kept for speed.
    pub(super) fn relax(&mut self) {
        self.left = Vec::new();
    }

    /// Appends a message, of which the bytes of `parts` that others hold are left out, if there
    /// are any; what is left out is at hand then. `false`: this frame cannot carry it.
    #[inline(always)]
    pub(super) fn write(
        &mut self,
        frame: &FrameWriter,
        message: &Message<'_>,
        parts: Option<Spliced<'_>>,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(gap) = parts.map(Gap::of) else { return frame.write(message, out) };
        let written = frame.write_bulk_last(message, out);
        self.gap = Some(Box::new(gap.at_end_of(out)));
        written
    }
}

impl Core {
    /// Whether the frame that was polled last is a record of a stream: more of them may follow, and
    /// be sent with it at once.
    pub fn polled_record(&self) -> bool {
        self.large.is_record
    }

    /// Whether calls have left with the frame that was polled last: whether it is refused must be
    /// told before the next one is polled.
    pub fn polled_calls(&self) -> bool {
        !self.in_frame.calls.is_empty()
    }

    /// Takes a received frame that has memory of its own, like [`Self::handle_frame`]. What is kept
    /// of it may be held there: then other memory is left in its place, or none.
    pub fn handle_lent(&mut self, now: Time, frame: Lent<'_>) {
        let Lent { link, cast, origin, memory, bytes } = frame;
        let place = memory.get_mut(bytes.clone()).unwrap_or_default();
        // Records are put together elsewhere, sealed ones too.
        let is_record = place.first() == Some(&framing::RECORD)
            || Head::read_record(place).is_ok_and(|head| head.stream != 0);
        if place.len() < bulk::LEAST || is_record {
            return self.handle_frame(now, Received { link, cast, origin, bytes: place });
        }
        self.counters.frames_received += 1;
        self.tell_outbox(now);
        let capacity = memory.capacity();
        let whole = self.buffers.share(std::mem::take(memory));
        let mut frame = whole.slice(bytes.start, bytes.len());
        drop(whole);
        let result = self.receive_held(now, (link, cast, origin), &mut frame);
        *memory = frame.reclaim().unwrap_or_else(|| self.buffers.take_like(capacity));
        self.count_frame(now, link, result);
    }

    /// Memory of messages that are being put together: connections may read records into it, and
    /// hand them to [`Self::handle_placed`]. With a key nothing can be read there: the core opens
    /// records into them.
    pub fn rooms(&self) -> Rooms {
        if self.is_keyed() { Rooms::default() } else { self.large.rooms.clone() }
    }

    /// Takes a record, like [`Self::handle_frame`], whose bytes are in the room of their message.
    pub fn handle_placed(&mut self, now: Time, placed: Placed) {
        self.counters.frames_received += 1;
        self.tell_outbox(now);
        let result = self.receive_placed(now, placed);
        self.count_frame(now, placed.link, result);
    }

    fn receive_placed(&mut self, now: Time, placed: Placed) -> Result<(), Drop> {
        let Placed { link, origin, length, .. } = placed;
        let size = framing::RECORD_HEAD.saturating_add(length);
        let from = self.let_in_size(now, (link, Cast::Unicast, origin), size, true)?;
        if self.hears_sealed_only() {
            // It stands where sealed ones belong.
            self.break_off(now, link);
            return Err(Drop::Plaintext);
        }
        self.heard(now, link, size, None);
        self.on_record(now, from, Record::Placed(placed))
    }

    fn receive_held(
        &mut self,
        now: Time,
        (link, cast, origin): (LinkId, Cast, Origin),
        frame: &mut Shared,
    ) -> Result<(), Drop> {
        // Nobody else holds it yet.
        let bytes = frame.make_mut();
        let received = Received { link, cast, origin, bytes };
        let mut from = self.let_in(now, &received)?;
        let plain = if self.hears_sealed_only() {
            if received.bytes.first() != Some(&VERSION) {
                return self.receive_sealed(now, from, received.bytes);
            }
            from = self.open_bare(now, from, received.bytes)?.0;
            frame.slice(HEAD, frame.len().saturating_sub(OVERHEAD))
        } else {
            self.heard_in_plain(now, link, received.bytes);
            frame.clone()
        };
        let is_message = plain.first() != Some(&framing::RECORD);
        self.large.arriving = is_message.then(|| plain.clone());
        let result = self.receive_plain(now, from, &plain);
        self.large.arriving = None;
        result
    }

    /// Reads a message that was put together. What is kept of it may be held where it is: then its
    /// buffer comes back when nobody needs it any more.
    pub(super) fn receive_large(
        &mut self,
        now: Time,
        from: From,
        bytes: Vec<u8>,
    ) -> Result<(), Drop> {
        let limit = self.config.max_message;
        let message = self.buffers.share(bytes);
        self.large.arriving = Some(message.clone()).filter(|message| message.len() >= bulk::LEAST);
        let result = self.receive_messages(now, from, &message, limit);
        self.large.arriving = None;
        if let Some(buffer) = message.reclaim() {
            match self.streams_of(from.link) {
                Some(streams) if streams.lacks_spare() => streams.recycle(buffer),
                _ => self.buffers.give(buffer),
            }
        }
        result
    }

    /// Encoded bytes of the message that is being read, to be kept.
    pub(super) fn keep(&mut self, encoded: &[u8]) -> Encoded {
        if let Some(few) = Encoded::few(encoded) {
            return few;
        }
        if let Some(part) = self.large.arriving.as_ref().and_then(|message| message.part(encoded)) {
            return part.into();
        }
        let mut bytes = self.buffers.take(encoded.len());
        bytes.extend_from_slice(encoded);
        bytes.into()
    }

    /// Sends a message, which is `encoded`, as a stream of its own. `false`: the link has no
    /// streams, and the message is what it was.
    pub(super) fn send_large(
        &mut self,
        now: Time,
        link: LinkId,
        message: &Outgoing,
        encoded: &mut Vec<u8>,
    ) -> bool {
        // Asked first: without streams an answer's task is still needed.
        if self.streams_of(link).is_none() {
            return false;
        }
        let gap = self.large.gap.take();
        let size = encoded.len().saturating_add(gap.as_ref().map_or(0, |gap| gap.bulk.len()));
        let may_shrink = self.may_compress(message);
        // What is to be said if the far end does not take it. The answer's task is over.
        let tag = match message {
            Outgoing::Answer(key) => {
                let text = format!("the caller does not take an answer of {size} bytes");
                match self.take_refusal(*key, text) {
                    Some(refusal) => Outgoing::Refusal(Box::new(refusal)),
                    None => return true,
                }
            }
            other => other.clone(),
        };
        self.touch(now, link);
        // What is larger is refused here, not expanded and then refused there.
        let may_shrink = may_shrink && size <= self.config.max_message;
        let body = match gap {
            Some(gap) if !self.shrinks(link, may_shrink, size) => {
                let mut own = self.buffers.take(encoded.len());
                own.extend_from_slice(encoded);
                Body::with_gap(own, *gap)
            }
            gap => {
                let room = self.buffers.take(super::send::FRAME_ROOM);
                let mut bytes = std::mem::replace(encoded, room);
                if let Some(gap) = gap {
                    gap.fill(&mut bytes);
                }
                self.compress(link, may_shrink, &mut bytes);
                bytes.into()
            }
        };
        let Some(streams) = self.streams_of(link) else { return false };
        match (streams.push_message(tag.clone(), body), tag) {
            (Ok(()), tag) => {
                self.answers_leaving += usize::from(matches!(tag, Outgoing::Refusal(_)));
            }
            (Err((why, _)), Outgoing::Call(key)) => {
                self.limit_hit(now, why.limit());
                let error = CallError::new(why.code(), Executed::No, why.to_string());
                self.finish_failed(now, key, error);
            }
            (Err((why, _)), Outgoing::Refusal(mut refusal)) => {
                self.limit_hit(now, why.limit());
                refusal.fault.message = match why {
                    PushError::TooLarge { .. } => format!("the answer is too large: {why}"),
                    _ => why.to_string(),
                };
                self.send(link, Outgoing::Refusal(refusal));
            }
            _ => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_sealed_into_is_used_as_it_was_left() {
        let mut large = Large::default();
        let mut out = vec![7; LEFT];
        let memory = out.as_ptr();
        large.empty(&mut out);
        assert!(out.is_empty() && out.as_ptr() != memory);
        out.extend_from_slice(b"head");
        assert_eq!(large.stand_apart(&mut out), 4);
        assert_eq!((out.as_ptr(), &out[..6], out.len()), (memory, &b"head\x07\x07"[..], LEFT));
        // What is small is no use, nor is what is smaller than what there is.
        large.empty(&mut out);
        let mut small = vec![8; LEFT - 1];
        large.empty(&mut small);
        assert!(small.is_empty() && small.capacity() == LEFT - 1);
        let mut equal = vec![8; LEFT];
        large.empty(&mut equal);
        assert!(equal.is_empty() && equal.capacity() == LEFT);
        large.relax();
        assert_eq!(large.stand_apart(&mut equal), 0);
        assert!(equal.is_empty() && equal.capacity() == 0);
    }
}
