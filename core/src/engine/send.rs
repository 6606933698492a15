//! What waits in the outbox, to one frame.

use std::sync::Arc;

use super::Core;
use super::form::FarEnd;
use crate::calls::Mode;
use crate::dialect::frame::FrameWriter;
use crate::endpoint::{Lane, LinkId};
use crate::message::Features;
use crate::payload::Shared;
use crate::ports::Dest;
use crate::time::Time;
use crate::wire::outbox::{Broadcast, Outgoing};
use crate::wire::sessions::HEAD;
use crate::wire::streams::Gap;

/// A frame's buffer that has held a larger message than this is given back.
const LARGEST_KEPT: usize = 1 << 20;

/// Room of the buffer for the next frame once a large message has taken the one there was.
pub(super) const FRAME_ROOM: usize = 64 << 10;

/// What a large message has besides its arguments or its result, mostly.
const HEAD_ROOM: usize = 512;

/// What became of one message that was to be packed.
enum Packed {
    /// It is in the frame.
    Yes,
    /// It has nothing to say any more: its call or task is over.
    Nothing,
    /// It does not fit behind what the frame holds already; it may fit the next one.
    NoRoom,
    /// The far end may not be sent this much, even alone.
    OverBudget,
    /// It does not fit an empty frame either.
    TooLarge(usize),
}

/// What a frame says of more than its messages.
#[derive(Clone, Copy, Default)]
struct Says {
    /// Its link is used.
    work: bool,
    /// This node's watermark.
    watermark: bool,
}

impl Says {
    fn and(self, message: &Outgoing) -> Self {
        let is_call = matches!(message, Outgoing::Call(_));
        Self {
            work: self.work || is_call || matches!(message, Outgoing::Answer(_)),
            watermark: self.watermark || is_call || matches!(message, Outgoing::Receipt(..)),
        }
    }
}

impl Core {
    /// Writes the next frame into `out` (cleared first) and says where it goes. Messages to one
    /// link are packed together. Filled by inputs and timeouts.
    pub fn poll_frame(&mut self, now: Time, out: &mut Vec<u8>) -> Option<Dest> {
        let (dest, tail) = self.poll_frame_parts(now, out)?;
        out.extend_from_slice(tail.as_deref().unwrap_or_default());
        Some(dest)
    }

    /// Like [`Self::poll_frame`], but large bytes are not copied: what is returned with the
    /// destination is the rest of the frame behind `out`. A buffer is best handed in as it was
    /// left, and may come back as another one.
    pub fn poll_frame_parts(
        &mut self,
        now: Time,
        out: &mut Vec<u8>,
    ) -> Option<(Dest, Option<Shared>)> {
        self.large.empty(out);
        self.frame_taken(now);
        self.large.is_record = false;
        while let Some((lane, message)) = self.outbox.next_broadcast() {
            if self.write_broadcast(now, lane, message, out) {
                self.counters.frames_sent += 1;
                self.counters.messages_sent += 1;
                self.counters.broadcasts_sent += 1;
                return Some((Dest::Broadcast(lane), None));
            }
        }
        while let Some(link) = self.outbox.next_link(&mut self.links) {
            let packed = self.fill(now, link, out);
            let tail = self.large.tail.take();
            // Before anything follows from it: the link may be closed once this has left.
            let leaves = packed > 0 && self.seal_for(link, out, tail.as_deref());
            (self.large.has_room, self.large.stream) = (false, 0);
            self.outbox.again(&mut self.links, link);
            self.close_one_shot(now, link);
            if leaves {
                self.counters.frames_sent += 1;
                self.counters.messages_sent += u64::try_from(packed).unwrap_or(0);
                self.close_if_drained(now);
                // Sealed, it is in the frame.
                return Some((Dest::Link(link), tail.filter(|_| !self.is_keyed())));
            }
        }
        None
    }

    /// The frame that was polled last was not refused.
    fn frame_taken(&mut self, now: Time) {
        self.in_frame.to = None;
        self.in_frame.calls.clear();
        while let Some(key) = self.in_frame.one_way.pop() {
            self.finish_one_way(now, key);
        }
    }

    /// Fills a frame with small messages, or with a record of a stream: they take turns. Returns
    /// how many are in it.
    fn fill(&mut self, now: Time, link: LinkId, out: &mut Vec<u8>) -> usize {
        if self.says_hello_only(link) {
            return self.pack_hello(now, link, out);
        }
        let Some(known) = self.links.get_mut(link) else { return 0 };
        let begins_with_streams = !std::mem::take(&mut known.streams_had_turn);
        if begins_with_streams && self.write_record(now, link, out) {
            if let Some(known) = self.links.get_mut(link) {
                known.streams_had_turn = true;
            }
            return 1;
        }
        let packed = self.pack(now, link, out);
        if packed == 0 && self.write_record(now, link, out) { 1 } else { packed }
    }

    /// A broadcast is always one message: older nodes listen. In keyed mode it goes out once under
    /// each key that is in use.
    fn write_broadcast(
        &mut self,
        now: Time,
        lane: Lane,
        message: Broadcast,
        out: &mut Vec<u8>,
    ) -> bool {
        let mut keys = message.keys.clone();
        if keys.is_empty() {
            keys = self.broadcast_keys(now);
        }
        let key = keys.pop();
        if !keys.is_empty() {
            let message = message.message.clone();
            self.outbox.broadcast_next(lane, Broadcast { message, keys });
        }
        if !self.write_plain_broadcast(lane, &message.message, out) {
            return false;
        }
        key.is_none_or(|key| self.seal_broadcast(key, out))
    }

    /// Packs a link's messages of one form into one frame and returns how many are in it.
    fn pack(&mut self, now: Time, link: LinkId, out: &mut Vec<u8>) -> usize {
        if self.links.get(link).is_some_and(|link| link.is_home) {
            return self.pack_home(now, link, out);
        }
        let Some(to) = self.far_end(link) else { return 0 };
        let mut frame = FrameWriter::native(Arc::clone(self.pipeline.plain()));
        let (mut packed, mut shrinks, mut says) = (0, false, Says::default());
        while !self.is_frame_closed() {
            let Some(message) = self.next_message(link) else { break };
            let own = self.form_of(&to, &message);
            let may_shrink = self.may_compress(&message);
            if packed > 0 && (own != frame.form() || may_shrink != shrinks) {
                self.put_back(link, message);
                break;
            }
            if own != frame.form() {
                frame = self.frame_of(&to, own);
            }
            shrinks = may_shrink;
            let before = out.len();
            if packed == 0 {
                self.suit(&message, to.max_frame, out);
            }
            match self.pack_one(now, &to, &message, &frame, out) {
                Packed::Yes => {
                    self.outbox.took(&message);
                    says = says.and(&message);
                    self.left(now, link, &message);
                    packed += 1;
                }
                Packed::Nothing => {
                    self.outbox.took(&message);
                    out.truncate(before);
                }
                Packed::TooLarge(size) => {
                    self.outbox.took(&message);
                    if !self.leave_one_shot(link, &message)
                        && !self.send_large(now, link, &message, out)
                    {
                        self.too_large(now, link, message, size, to.max_frame);
                    }
                    discard(out);
                }
                Packed::NoRoom => {
                    out.truncate(before);
                    self.put_back(link, message);
                    break;
                }
                Packed::OverBudget => {
                    out.clear();
                    packed = self.challenge(now, link, message, out);
                    break;
                }
            }
        }
        self.frame_left(now, link, says);
        // Of a message that could not be sent.
        self.large.gap = None;
        if packed > 0 {
            self.end_frame(now, link, shrinks, out);
        }
        packed
    }

    /// Whether nothing may follow what the frame that is being packed ends with.
    fn is_frame_closed(&self) -> bool {
        self.large.tail.is_some() || self.large.has_room
    }

    /// Counts a frame that was packed, and makes it smaller if that pays.
    fn end_frame(&mut self, now: Time, link: LinkId, shrinks: bool, out: &mut Vec<u8>) {
        let tail = self.large.tail.as_ref().map_or(0, |tail| tail.len());
        let room = if self.large.has_room { HEAD } else { 0 };
        self.spend_budget(now, link, out.len() - room + tail + self.envelope_size());
        self.compress(link, shrinks && tail == 0 && room == 0, out);
    }

    /// What is too large for a frame is written into a buffer that suits it, and sent from there.
    fn suit(&mut self, message: &Outgoing, limit: usize, out: &mut Vec<u8>) {
        let (size, spliced) = match message {
            Outgoing::Call(key) => {
                let args = self.calls.get(*key).map(|call| &call.request.args);
                args.map_or((0, false), |args| (args.len(), args.spliced().is_some()))
            }
            Outgoing::Answer(key) => {
                let task = self.tasks.get(*key);
                task.map_or((0, false), |task| (task.answer_bytes(), task.is_spliced()))
            }
            _ => (0, false),
        };
        if !spliced && size > limit && size.saturating_add(HEAD_ROOM) > out.capacity() {
            let fitting = self.buffers.take(size.saturating_add(HEAD_ROOM));
            self.buffers.give(std::mem::replace(out, fitting));
        }
    }

    /// Compresses a frame, or a message that is larger than one, if it may and where that pays.
    pub(super) fn compress(&mut self, link: LinkId, may_shrink: bool, frame: &mut Vec<u8>) {
        let expands = may_shrink && self.far_end_has(link, Features::COMPRESSED);
        if self.pipeline.close(frame, expands, &mut self.scratch) {
            let saved = frame.len().saturating_sub(self.scratch.len());
            self.counters.frames_compressed += 1;
            self.counters.bytes_saved += u64::try_from(saved).unwrap_or(u64::MAX);
            std::mem::swap(frame, &mut self.scratch);
        }
        discard(&mut self.scratch);
    }

    /// Whether a message of `size` bytes is tried to be made smaller.
    pub(super) fn shrinks(&self, link: LinkId, may_shrink: bool, size: usize) -> bool {
        may_shrink && self.pipeline.compresses(size) && self.far_end_has(link, Features::COMPRESSED)
    }

    /// Whether a message may go into a frame that is compressed. In keyed mode only what is said to
    /// be harmless when its length is seen.
    pub(super) fn may_compress(&self, message: &Outgoing) -> bool {
        if !self.is_keyed() {
            return true;
        }
        match message {
            Outgoing::Call(key) | Outgoing::Probe(key) => {
                self.calls.get(*key).is_some_and(|call| call.request.compress)
            }
            Outgoing::Answer(key) => {
                let function = self.tasks.get(*key).map(|task| task.function);
                let function = function.and_then(|function| self.directory.get(function));
                let local = function.and_then(|function| function.local.as_ref());
                local.is_some_and(|local| local.compress)
            }
            _ => false,
        }
    }

    /// What an answer counts against what may wait on a link; other messages are small.
    pub(super) fn answer_bytes(&self, message: &Outgoing) -> usize {
        match message {
            Outgoing::Answer(key) => self.tasks.get(*key).map_or(0, |task| task.answer_bytes()),
            _ => 0,
        }
    }

    /// Takes the next message off a link's queue.
    pub(super) fn next_message(&mut self, link: LinkId) -> Option<Outgoing> {
        let link = self.links.get_mut(link)?;
        let message = self.outbox.pop(link)?;
        // An answer that was given up meanwhile counts nothing any more.
        if link.queue.is_empty() {
            link.answer_bytes = 0;
        } else if let Outgoing::Answer(key) = &message {
            let bytes = self.tasks.get(*key).map_or(0, |task| task.answer_bytes());
            link.answer_bytes = link.answer_bytes.saturating_sub(bytes);
        }
        Some(message)
    }

    /// Puts a message back to the front of a link's queue.
    pub(super) fn put_back(&mut self, link: LinkId, message: Outgoing) {
        let bytes = self.answer_bytes(&message);
        if let Some(link) = self.links.get_mut(link) {
            link.answer_bytes = link.answer_bytes.saturating_add(bytes);
            self.outbox.put_back(link, message);
        }
    }

    fn pack_one(
        &mut self,
        now: Time,
        to: &FarEnd,
        message: &Outgoing,
        frame: &FrameWriter,
        out: &mut Vec<u8>,
    ) -> Packed {
        let link = to.link;
        let empty = out.is_empty();
        frame.begin(out);
        self.large.gap = None;
        if !self.write_message(now, link, message, frame, out) {
            return Packed::Nothing;
        }
        let length = out.len() + self.large.gap.as_ref().map_or(0, |gap| gap.bulk.len());
        let size = length + self.envelope_size();
        let is_within = match message {
            _ if to.receives => true,
            Outgoing::Hello { .. } => self.within_budget(now, link, size),
            _ => self.within_budget_after_hello(now, link, size),
        };
        if length > to.max_frame {
            // What goes alone needs its own head, which counts too.
            if empty { Packed::TooLarge(length) } else { Packed::NoRoom }
        } else if is_within {
            if let Some(gap) = self.large.gap.take() {
                self.close_frame(link, message, *gap, out);
            }
            Packed::Yes
        } else if empty {
            Packed::OverBudget
        } else {
            Packed::NoRoom
        }
    }

    /// Ends a frame with a message that was written with a gap. What is made smaller is so in one
    /// piece.
    fn close_frame(&mut self, link: LinkId, message: &Outgoing, gap: Gap, out: &mut Vec<u8>) {
        let size = out.len().saturating_add(gap.bulk.len());
        if self.shrinks(link, self.may_compress(message), size) {
            gap.fill(out);
        } else if self.is_keyed() {
            // While it is small: its bulk need not be moved for its envelope.
            out.splice(..0, [0; HEAD]);
            self.large.has_room = true;
            self.large.tail = gap.behind(HEAD).close(out);
        } else {
            self.large.tail = gap.close(out);
        }
    }

    /// What follows from a message having left that shares its frame with no other.
    pub(super) fn message_left(&mut self, now: Time, link: LinkId, message: &Outgoing) {
        self.left(now, link, message);
        self.frame_left(now, link, Says::default().and(message));
    }

    /// What follows from what a frame says, once for all its messages.
    fn frame_left(&mut self, now: Time, link: LinkId, says: Says) {
        if says.work {
            self.touch(now, link);
        }
        if says.watermark {
            self.watermark_left(link);
        }
    }

    /// What follows from a message having been packed.
    fn left(&mut self, now: Time, link: LinkId, message: &Outgoing) {
        self.note_left(message);
        match message {
            Outgoing::Call(key) => {
                self.in_frame.to = Some(link);
                self.in_frame.calls.push(*key);
                self.call_left(now, link, *key);
                let Some(call) = self.calls.get(*key) else { return };
                if call.request.mode == Mode::OneWay {
                    self.in_frame.one_way.push(*key);
                }
                self.stream_announced(*key);
            }
            Outgoing::Answer(key) => self.answer_left(now, link, *key),
            _ => {}
        }
    }

    fn far_end_has(&self, link: LinkId, feature: Features) -> bool {
        let peer = self.links.get(link).and_then(|link| link.peer);
        peer.and_then(|key| self.peers.get(key)).is_some_and(|peer| peer.features.has(feature))
    }
}

/// Empties a frame's buffer that has held a message too large for any frame.
pub(super) fn discard(frame: &mut Vec<u8>) {
    frame.clear();
    if frame.capacity() > LARGEST_KEPT {
        frame.shrink_to(0);
    }
}
