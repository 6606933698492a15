//! Large messages and byte streams of a link: between its table of streams, the messages that
//! announce them, and the application.

use super::promised::promise_of;
use super::receive::From;
use super::{Core, Done, StreamKey};
use crate::calls::{Call, Stage};
use crate::counters::Drop;
use crate::endpoint::LinkId;
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::{CallKey, PeerKey, TaskKey};
use crate::ports::{Capabilities, Cast, Close, Initiator, Placed};
use crate::time::Time;
use crate::wire::links::Link;
use crate::wire::outbox::{Outgoing, Refusal};
use crate::wire::sessions::HEAD;
use crate::wire::streams::{Arrived, Left, Pace, StreamLimits, Streams};

/// A sealed record from this size on says what it belongs to: smaller ones are as soon copied.
const PROMISED: usize = 16 << 10;

/// A record of the far end.
pub(super) enum Record<'a> {
    Whole(&'a [u8]),
    /// Its bytes are in the room of their message.
    Placed(Placed),
}

impl Core {
    /// Makes room for streams on a link that can carry them.
    pub(super) fn allow_streams(&mut self, link: LinkId, initiator: Initiator) {
        let can = |lane: &Capabilities| lane.connected && lane.reliable && lane.ordered;
        if !self.links.capabilities(link.lane).is_some_and(can) {
            return;
        }
        let limits = StreamLimits::of(&self.config);
        let (account, assembled) = (self.budget.account(), self.links.assembly.account());
        if let Some(link) = self.links.get_mut(link).filter(|link| link.streams.is_none()) {
            let (is_ours, rooms) = (initiator == Initiator::Us, self.large.rooms.clone());
            let streams = Streams::new(is_ours, limits, account, assembled, (rooms, link.id));
            link.streams = Some(Box::new(streams));
        }
    }

    pub(super) fn streams_of(&mut self, link: LinkId) -> Option<&mut Streams<Outgoing>> {
        self.links.get_mut(link)?.streams.as_deref_mut()
    }

    /// Takes a record of the far end.
    pub(super) fn on_record(
        &mut self,
        now: Time,
        from: From,
        record: Record<'_>,
    ) -> Result<(), Drop> {
        if from.cast == Cast::Broadcast || self.streams_of(from.link).is_none() {
            return Err(Drop::Misaddressed);
        }
        if self.links.get(from.link).is_none_or(Link::is_strangers) {
            self.break_off(now, from.link);
            return Err(Drop::UnknownPeer);
        }
        self.touch(now, from.link);
        let Some(streams) = self.streams_of(from.link) else { return Err(Drop::Misaddressed) };
        let arrived = match record {
            Record::Whole(record) => streams.on_record(record),
            Record::Placed(placed) => streams.on_placed(placed.stream, placed.length),
        };
        // Messages that come side by side use the buffers of earlier ones too.
        if streams.wants_spare()
            && let Some(buffer) = self.buffers.take_large()
            && let Some(streams) = self.streams_of(from.link)
        {
            streams.recycle(buffer);
        }
        let result = match arrived {
            Ok(arrived) => self.on_arrived(now, from, arrived),
            Err(_) => {
                self.break_off(now, from.link);
                return Err(Drop::Malformed);
            }
        };
        self.outbox.again(&mut self.links, from.link);
        self.make_room_for_messages(now);
        result
    }

    /// Closes a connection whose records are not taken: a stream with a hole in it is worse than
    /// none. Whoever sends them loses a connection of its own and nothing else.
    pub(super) fn break_off(&mut self, now: Time, link: LinkId) {
        if self.streams_of(link).is_some() {
            self.drop_link(now, link, Close::Abort);
        }
    }

    /// Turns away what the far end has begun and does not go on with, or too slowly. If it takes nothing of what
    /// this end has begun, the connection is over.
    pub(super) fn end_stalled(&mut self, now: Time, link: LinkId) {
        let pace = Pace::of(&self.config);
        let Some(streams) = self.streams_of(link) else { return };
        if streams.is_stuck(now, pace.patience) {
            return self.cut_off(now, link);
        }
        let count = streams.end_slow(now, pace);
        if count > 0 {
            self.counters.messages_stalled += u64::try_from(count).unwrap_or(u64::MAX);
            self.outbox.again(&mut self.links, link);
        }
    }

    fn on_arrived(
        &mut self,
        now: Time,
        from: From,
        arrived: Arrived<Outgoing>,
    ) -> Result<(), Drop> {
        match arrived {
            Arrived::Nothing => Ok(()),
            Arrived::Message(bytes) => self.receive_large(now, from, bytes),
            Arrived::Readable(number) | Arrived::Finished(number) => {
                if self.unread.get(&(from.link, number)).is_some() {
                    self.drop_unread(from.link, number);
                } else {
                    self.done.push_back(Done::Stream(StreamKey::Link(from.link, number)));
                }
                Ok(())
            }
            Arrived::Reset(number, _) => {
                self.unread.remove(&(from.link, number));
                self.done.push_back(Done::Stream(StreamKey::Link(from.link, number)));
                self.close_if_drained(now);
                Ok(())
            }
            Arrived::Refused(message, code) => {
                self.turned_away(now, from.link, message, code);
                Ok(())
            }
            Arrived::Crowded(stream) => {
                self.limit_hit(now, "max_buffered");
                if let Some(number) = stream {
                    self.unread.remove(&(from.link, number));
                    self.done.push_back(Done::Stream(StreamKey::Link(from.link, number)));
                    self.close_if_drained(now);
                }
                Err(Drop::TableFull)
            }
            Arrived::TurnedAway(code) => {
                let is_large = code == ErrorCode::TOO_LARGE;
                self.limit_hit(now, if is_large { "max_message" } else { "max_assembly" });
                Err(if code == ErrorCode::TOO_LARGE { Drop::Oversized } else { Drop::TableFull })
            }
        }
    }

    /// The far end has not taken a large message: nothing of it was looked at.
    fn turned_away(&mut self, now: Time, link: LinkId, message: Outgoing, code: ErrorCode) {
        match message {
            // It may have gone on to another provider since: who had it says nothing of it there.
            Outgoing::Call(key) if self.link_of_call(key) != Some(link) => {}
            Outgoing::Call(key) => {
                let text = match code {
                    ErrorCode::TIMEOUT => {
                        "the call came too slowly to the callee, or stood still half-way".to_owned()
                    }
                    _ => format!("the callee does not take a call of this size now ({code})"),
                };
                self.finish_failed(now, key, CallError::new(code, Executed::No, text));
            }
            refusal @ Outgoing::Refusal(_) => {
                self.large_answer_left(now);
                self.send(link, refusal);
            }
            _ => {}
        }
    }

    /// Writes the next record of a link. `true`: there was one.
    pub(super) fn write_record(&mut self, now: Time, link: LinkId, out: &mut Vec<u8>) -> bool {
        let Some(known) = self.links.get_mut(link) else { return false };
        let most = known.max_frame;
        let Some(streams) = &mut known.streams else { return false };
        // What is sealed stands behind room for its envelope's head.
        self.large.has_room = self.sealing.sessions.is_some();
        let room = if self.large.has_room { HEAD } else { 0 };
        out.resize(room, 0);
        let Some(left) = streams.next_record_parts(most, out, &mut self.large.tail) else {
            self.large.has_room = false;
            out.clear();
            return false;
        };
        let size = out.len() + self.large.tail.as_ref().map_or(0, |tail| tail.len());
        if self.large.has_room && size >= PROMISED && streams.is_of_message(out.get(room..)) {
            self.large.stream = out.get(room..).and_then(promise_of).unwrap_or_default();
        }
        known.last_used = now;
        self.large.is_record = true;
        match left {
            Left::Record => {}
            Left::Message(message, body) => {
                self.buffers.give(body.into_buffer());
                self.large_left(now, link, &message);
            }
            Left::Writable(number) => {
                self.done.push_back(Done::Stream(StreamKey::Link(link, number)));
            }
        }
        true
    }

    fn large_left(&mut self, now: Time, link: LinkId, message: &Outgoing) {
        match message {
            Outgoing::Call(_) => self.message_left(now, link, message),
            _ => self.large_answer_left(now),
        }
    }

    /// An answer that was sent as a stream has left, or never will.
    fn large_answer_left(&mut self, now: Time) {
        self.answers_leaving = self.answers_leaving.saturating_sub(1);
        self.close_if_drained(now);
    }

    /// A link is gone, and its streams with it. Whose answers were cut off is told by another of
    /// its links. Returns the calls that had not left.
    pub(super) fn streams_down(
        &mut self,
        now: Time,
        link: LinkId,
        peer: Option<PeerKey>,
        streams: Streams<Outgoing>,
    ) -> Vec<CallKey> {
        let other = peer.and_then(|key| self.peers.get(key)).map(|peer| peer.link);
        let remains = streams.dissolve();
        for (number, rest) in remains.streams {
            let is_unread = self.unread.remove(&(link, number)).is_some();
            if let Some(rest) = rest.filter(|_| !is_unread) {
                self.pipe_bytes.charge(rest.len());
                self.leftovers.insert((link, number), rest);
            }
            self.done.push_back(Done::Stream(StreamKey::Link(link, number)));
        }
        let mut unsent = Vec::new();
        for message in remains.messages {
            match message {
                Outgoing::Call(call) => unsent.push(call),
                Outgoing::Refusal(refusal) => {
                    if let Some(other) = other.filter(|other| *other != link) {
                        self.answer_cut_off(other, *refusal);
                    }
                    self.large_answer_left(now);
                }
                _ => {}
            }
        }
        self.close_if_drained(now);
        unsent
    }

    /// An answer waited for a link that is gone. Its caller is told if its call came by another.
    pub(super) fn answer_unsent(&mut self, now: Time, task: TaskKey) {
        self.counters.messages_unsent += 1;
        let to = self.tasks.get(task).and_then(|task| task.caller.link());
        let refusal = self.take_refusal(task, String::new());
        if let (Some(to), Some(refusal)) = (to, refusal) {
            self.answer_cut_off(to, refusal);
        }
        self.close_if_drained(now);
    }

    fn answer_cut_off(&mut self, to: LinkId, mut refusal: Refusal) {
        refusal.fault.code = ErrorCode::NETWORK;
        "the connection broke that was to bring the answer".clone_into(&mut refusal.fault.message);
        self.send(to, Outgoing::Refusal(Box::new(refusal)));
    }

    /// Opens the byte stream of a call on the link it leaves by.
    ///
    /// # Errors
    /// The link has no room for another.
    pub(super) fn open_stream(
        &mut self,
        now: Time,
        key: CallKey,
        link: LinkId,
    ) -> Result<(), CallError> {
        let wants = |call: &Call| call.request.stream && matches!(call.stage, Stage::Remote { .. });
        if !self.calls.get(key).is_some_and(wants) {
            return Ok(());
        }
        let fail = |code, text: String| Err(CallError::new(code, Executed::No, text));
        let Some(streams) = self.streams_of(link) else {
            return fail(ErrorCode::UNSUPPORTED, "the link carries no byte streams".to_owned());
        };
        match streams.open() {
            Ok(number) => {
                if let Some(call) = self.calls.get_mut(key) {
                    call.stream = Some(StreamKey::Link(link, number));
                }
                self.done.push_back(Done::Opened(key));
                Ok(())
            }
            Err(error) => {
                self.limit_hit(now, "max_streams");
                fail(ErrorCode::BUSY, error.to_string())
            }
        }
    }

    /// The call that announces a stream has left, or has ended before.
    pub(super) fn stream_announced(&mut self, key: CallKey) {
        let Some(StreamKey::Link(link, number)) = self.stream_of(key) else { return };
        if let Some(streams) = self.streams_of(link) {
            streams.announced(number);
            self.outbox.again(&mut self.links, link);
        }
    }

    /// A call has ended that may never have left: nobody hears of its stream, or of its large
    /// message.
    pub(super) fn call_over(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(key) else { return };
        let Stage::Remote { link, sent: false, .. } = call.stage else { return };
        let stream = call.stream;
        let Some(streams) = self.streams_of(link) else { return };
        streams.cancel_message(&Outgoing::Call(key));
        if let Some(StreamKey::Link(_, number)) = stream {
            streams.withdraw(number);
            self.done.push_back(Done::Stream(StreamKey::Link(link, number)));
        }
        self.outbox.again(&mut self.links, link);
    }

    /// Whether what functions wrote on their streams is still on its way out.
    pub(super) fn streams_leaving(&self) -> bool {
        self.links.connections().filter_map(|link| link.streams.as_ref()).any(|s| s.is_answering())
    }

    /// The node is closed: nothing is read or written any more.
    pub(super) fn cut_streams(&mut self) {
        let links: Vec<_> = self.links.connections().map(|link| link.id).collect();
        for link in links {
            let Some(streams) = self.streams_of(link) else { continue };
            for number in streams.cut() {
                self.done.push_back(Done::Stream(StreamKey::Link(link, number)));
            }
            self.outbox.again(&mut self.links, link);
        }
        for pipe in self.pipes.keys() {
            self.stream_drop(StreamKey::Pipe(pipe, true), ErrorCode::CLOSED);
        }
    }

    /// A call of the far end announces a byte stream. `false`: there is no room for it.
    pub(super) fn expect_stream(&mut self, now: Time, link: LinkId, number: u32) -> bool {
        let Some(streams) = self.streams_of(link) else { return false };
        match streams.expect(number) {
            Ok(taken) => {
                self.outbox.again(&mut self.links, link);
                taken
            }
            Err(_) => {
                self.break_off(now, link);
                false
            }
        }
    }
}
