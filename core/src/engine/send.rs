//! What waits in the outbox, to one frame.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Core, StreamKey};
use crate::calls::{Carrier, Mode, Stage};
use crate::copies::Arrival;
use crate::dialect::frame::FrameWriter;
use crate::dialect::native;
use crate::endpoint::{Lane, LinkId};
use crate::error::{CallError, ErrorCode, Executed, Fault};
use crate::id::{CallKey, ExeId, TaskKey, Version};
use crate::inbound::Standing;
use crate::message::{
    Ack, Call, CallState, Callback, Failure, Features, Func, Hello, Message, NO_COPY, Receipt,
    ReplyTo, WireId,
};
use crate::peers::Peer;
use crate::ports::{Codec, Dest};
use crate::tasks::{Caller, Progress};
use crate::time::Time;
use crate::wire::outbox::{Broadcast, Outgoing, Refusal};

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

impl Core {
    /// Writes the next frame into `out` (cleared first) and says where it goes. Messages to one
    /// link are packed together. Filled by inputs and timeouts.
    pub fn poll_frame(&mut self, now: Time, out: &mut Vec<u8>) -> Option<Dest> {
        out.clear();
        self.in_frame.clear();
        while let Some((lane, message)) = self.outbox.next_broadcast() {
            if self.write_broadcast(now, lane, message, out) {
                self.counters.frames_sent += 1;
                self.counters.messages_sent += 1;
                self.counters.broadcasts_sent += 1;
                return Some(Dest::Broadcast(lane));
            }
        }
        while let Some(link) = self.outbox.next_link(&mut self.links) {
            let packed = self.fill(now, link, out);
            // Before anything follows from it: the link may be closed once this has left.
            let leaves = packed > 0 && self.seal_for(link, out);
            self.outbox.again(&mut self.links, link);
            self.close_one_shot(now, link);
            if leaves {
                self.counters.frames_sent += 1;
                self.counters.messages_sent += u64::try_from(packed).unwrap_or(0);
                self.close_if_drained(now);
                return Some(Dest::Link(link));
            }
        }
        None
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

    fn write_plain_broadcast(&mut self, lane: Lane, message: &Outgoing, out: &mut Vec<u8>) -> bool {
        let codec = Arc::clone(self.pipeline.plain());
        match message {
            Outgoing::Hello { wants } => {
                let hello = self.hello(None, None, None, *wants);
                native::write(&Message::Hello(hello), codec.as_ref(), out);
            }
            Outgoing::Func { part } => self.write_func(*part, codec.as_ref(), out),
            Outgoing::Bye => native::write(&Message::Bye(self.session), codec.as_ref(), out),
            _ => return false,
        }
        let limit = self.links.capabilities(lane).map_or(0, |c| c.max_broadcast);
        let fits = !out.is_empty() && out.len() <= limit;
        if !fits {
            out.clear();
            self.counters.messages_unsent += 1;
        }
        fits
    }

    fn hello(
        &self,
        link: Option<LinkId>,
        token: Option<u64>,
        echo: Option<u64>,
        wants: bool,
    ) -> Hello<'_> {
        Hello {
            version: Version::NATIVE,
            session: self.session,
            name: Cow::Borrowed(&self.config.name),
            interval: self.hello_interval() * 6 / 5,
            revision: self.announcing.announced,
            features: self.features,
            token,
            echo,
            receiver: self.token_told(link),
            wants,
            connection_port: self.links.connection_lane().map(|(_, port)| port),
            load: self.tasks.load(),
        }
    }

    /// A unicast hello: it asks for proof of the far end's address while there is none, or while
    /// the proof there was is in doubt.
    pub(super) fn write_hello(
        &self,
        link: LinkId,
        wants: bool,
        codec: &dyn Codec,
        out: &mut Vec<u8>,
    ) {
        let known = self.links.get(link);
        let trusted = known.is_some_and(|known| known.proved && !known.challenged);
        let token = if trusted { None } else { self.token_for(link) };
        let echo = known.and_then(|known| known.echo);
        native::write(&Message::Hello(self.hello(Some(link), token, echo, wants)), codec, out);
    }

    /// Appends what a new peer is sent: hello and all functions.
    pub(super) fn write_greeting(&mut self, link: LinkId, out: &mut Vec<u8>) {
        let codec = Arc::clone(self.pipeline.plain());
        self.write_hello(link, false, codec.as_ref(), out);
        for part in 0..u16::try_from(self.func_parts().len()).unwrap_or(u16::MAX) {
            codec.write_separator(out);
            self.write_func(part, codec.as_ref(), out);
        }
    }

    fn write_func(&mut self, part: u16, codec: &dyn Codec, out: &mut Vec<u8>) {
        let (session, revision) = (self.session, self.directory.revision());
        let parts = self.func_parts();
        let count = u16::try_from(parts.len()).unwrap_or(u16::MAX);
        let Some(names) = parts.get(usize::from(part)) else { return };
        let places = names.iter().zip(0u16..).filter(|((_, idempotent), _)| *idempotent);
        let idempotent = places.map(|(_, place)| place).collect();
        let names = names.iter().map(|(name, _)| Cow::Borrowed(name.as_str())).collect();
        let session = Some(session);
        let func = Func { session, revision, part, parts: count, names, idempotent };
        native::write(&Message::Func(func), codec, out);
    }

    /// Packs a link's messages of one form into one frame and returns how many are in it.
    fn pack(&mut self, now: Time, link: LinkId, out: &mut Vec<u8>) -> usize {
        if self.links.get(link).is_some_and(|link| link.is_home) {
            return self.pack_home(now, link, out);
        }
        let peer = self.links.get(link).and_then(|link| link.peer);
        self.frame_watermark = peer.and_then(|peer| self.watermark(peer));
        let mut frame = FrameWriter::native(Arc::clone(self.pipeline.plain()));
        let (mut packed, mut shrinks) = (0, false);
        while let Some(limit) = self.links.get(link).map(|link| link.max_frame) {
            let Some(message) = self.next_message(link) else { break };
            let own = self.form_of(link, &message);
            let may_shrink = self.may_compress(&message);
            if packed > 0 && (own != frame.form() || may_shrink != shrinks) {
                self.put_back(link, message);
                break;
            }
            if own != frame.form() {
                frame = self.frame_of(link, own);
            }
            shrinks = may_shrink;
            let before = out.len();
            if packed == 0 {
                self.suit(&message, limit, out);
            }
            match self.pack_one(now, link, &message, limit, &frame, out) {
                Packed::Yes => {
                    self.outbox.took(&message);
                    self.message_left(now, link, &message);
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
                        self.too_large(now, link, message, size, limit);
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
        if packed > 0 {
            self.spend_budget(now, link, out.len() + self.envelope_size());
            self.compress(link, shrinks, out);
        }
        packed
    }

    /// What is too large for a frame is written into a buffer that suits it, and sent from there.
    fn suit(&mut self, message: &Outgoing, limit: usize, out: &mut Vec<u8>) {
        let size = match message {
            Outgoing::Call(key) => self.calls.get(*key).map_or(0, |call| call.request.args.len()),
            message => self.answer_bytes(message),
        };
        if size > limit && size.saturating_add(HEAD_ROOM) > out.capacity() {
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

    /// Whether a message may go into a frame that is compressed. In keyed mode only what is said to
    /// be harmless when its length is seen.
    pub(super) fn may_compress(&self, message: &Outgoing) -> bool {
        if !self.is_keyed() {
            return true;
        }
        match message {
            Outgoing::Call(key) => self.calls.get(*key).is_some_and(|call| call.request.compress),
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
        let message = self.outbox.pop(self.links.get_mut(link)?)?;
        let bytes = self.answer_bytes(&message);
        let link = self.links.get_mut(link)?;
        // An answer that was given up meanwhile counts nothing any more.
        let is_last = link.queue.is_empty();
        link.answer_bytes = if is_last { 0 } else { link.answer_bytes.saturating_sub(bytes) };
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
        link: LinkId,
        message: &Outgoing,
        limit: usize,
        frame: &FrameWriter,
        out: &mut Vec<u8>,
    ) -> Packed {
        let empty = out.is_empty();
        frame.begin(out);
        if !self.write_message(now, link, message, frame, out) {
            return Packed::Nothing;
        }
        let size = out.len() + self.envelope_size();
        let is_within = match message {
            Outgoing::Hello { .. } => self.within_budget(now, link, size),
            _ => self.within_budget_after_hello(now, link, size),
        };
        if out.len() > limit {
            // What goes alone needs its own head, which counts too.
            if empty { Packed::TooLarge(out.len()) } else { Packed::NoRoom }
        } else if is_within {
            Packed::Yes
        } else if empty {
            Packed::OverBudget
        } else {
            Packed::NoRoom
        }
    }

    /// Appends one message. `false`: there is nothing to send any more.
    pub(super) fn write_message(
        &mut self,
        now: Time,
        link: LinkId,
        message: &Outgoing,
        frame: &FrameWriter,
        out: &mut Vec<u8>,
    ) -> bool {
        match message {
            Outgoing::Hello { wants } => self.write_hello(link, *wants, frame.codec(), out),
            Outgoing::Func { part } => {
                let before = out.len();
                self.write_func(*part, frame.codec(), out);
                return out.len() > before;
            }
            Outgoing::Call(key) => return self.write_call(now, link, *key, frame, out),
            Outgoing::Answer(key) => return self.write_answer(now, link, *key, frame, out),
            Outgoing::Refusal(refusal) => {
                let failure = Failure {
                    id: Some(refusal.id.clone()),
                    fault: refusal.fault.clone(),
                    token: None,
                    attempt: self.copy_answered(now, link, refusal.arrival),
                };
                return frame.write(&Message::Error(failure), out);
            }
            Outgoing::Ack(key) => return self.write_ack(now, *key, frame, out),
            Outgoing::Unknown(asked) => {
                let receipt = Receipt::Call { state: CallState::Unknown, attempt: NO_COPY };
                return frame
                    .write(&Message::Ack(Ack { id: WireId::Native(asked.0), receipt }), out);
            }
            Outgoing::Receipt(number, random) => {
                let id = ExeId { session: self.session.short(), number: *number, random: *random };
                let receipt = Receipt::Answer { watermark: self.frame_watermark };
                return frame.write(&Message::Ack(Ack { id: WireId::Native(id), receipt }), out);
            }
            Outgoing::Probe(key) => {
                let Some(call) = self.calls.get(*key) else { return false };
                // It may have gone on to another provider, who is not the one to be asked.
                let asks = matches!(call.stage, Stage::Remote { link: by, .. } if by == link);
                let id = WireId::Native(call.wire);
                return asks && frame.write(&Message::Probe(id), out);
            }
            Outgoing::Cancel(id) => {
                return frame.write(&Message::Cancel(id.as_ref().clone()), out);
            }
            Outgoing::Bye => return frame.write(&Message::Bye(self.session), out),
            Outgoing::Ping(number) => return frame.write(&Message::Ping(*number), out),
            Outgoing::Pong(number) => return frame.write(&Message::Pong(*number), out),
            Outgoing::Relay(relayed) => {
                let relay = native::Relay { from: relayed.from, frame: &relayed.frame };
                native::write_relay(&relay, frame.codec(), out);
            }
            // Only homes are sent these, which are written elsewhere.
            Outgoing::Ripe(_) => return false,
        }
        true
    }

    fn write_call(
        &self,
        now: Time,
        on: LinkId,
        key: CallKey,
        frame: &FrameWriter,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        // It may have gone on to another provider while it waited here, or a receipt has come while
        // it waited to be sent again.
        let Stage::Remote { peer, link, flight, .. } = &call.stage else { return false };
        if *link != on || flight.is_acked {
            return false;
        }
        // After a stop the clock may be ahead of the timers: its outcome is due.
        if call.deadline <= now {
            return false;
        }
        // Its callee has said farewell meanwhile: without a session to bind it to, the next life
        // of that node would run it.
        let Some(callee) = self.peers.get(*peer) else { return false };
        let left = u64::try_from(call.deadline.since(now).as_millis()).unwrap_or(u64::MAX);
        let message = Call {
            id: Some(WireId::Native(call.wire)),
            function: Cow::Borrowed(call.request.function.as_str()),
            args: call.request.args.positional(),
            kwargs: call.request.args.named(),
            to: Some(callee.session.short()),
            deadline_ms: Some(left.max(1)),
            one_way: call.request.mode == Mode::OneWay,
            reply_to: self.reply_port(call),
            stream: match call.stream {
                Some(StreamKey::Link(_, number)) => Some(number),
                _ => None,
            },
            attempt: flight.sends,
            watermark: if self.links.get(on).and_then(|link| link.peer) == Some(*peer) {
                self.frame_watermark
            } else {
                self.watermark(*peer)
            },
        };
        frame.write(&Message::Call(message), out)
    }

    fn write_ack(&self, now: Time, key: TaskKey, frame: &FrameWriter, out: &mut Vec<u8>) -> bool {
        let Some(task) = self.tasks.get(key) else { return false };
        let Caller::Remote { id: Some(id), .. } = &task.caller else { return false };
        let attempt = task.arrival.map_or(NO_COPY, |arrival| arrival.acknowledged(now));
        let receipt = Receipt::Call { state: task.state(), attempt };
        frame.write(&Message::Ack(Ack { id: id.clone(), receipt }), out)
    }

    /// Where the answer to a call is to be brought, if by a connection of its own.
    fn reply_port(&self, call: &crate::calls::Call) -> Option<ReplyTo> {
        let (_, port) = self.links.connection_lane()?;
        let asks = call.request.carrier == Carrier::OneShot;
        asks.then_some(ReplyTo { port, token: call.token })
    }

    fn write_answer(
        &self,
        now: Time,
        link: LinkId,
        key: TaskKey,
        frame: &FrameWriter,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(task) = self.tasks.get(key) else { return false };
        let Caller::Remote { id: Some(id), reply_to, .. } = &task.caller else { return false };
        let (id, token) = (id.clone(), reply_to.map(|reply| reply.token));
        let attempt = self.copy_answered(now, link, task.arrival);
        let message = match &task.progress {
            Progress::Answered(Ok(payload)) => {
                Message::Callback(Callback { id, result: &payload.bytes, token, attempt })
            }
            Progress::Answered(Err(fault)) => {
                let (id, fault) = (Some(id), fault.clone());
                Message::Error(Failure { id, fault, token, attempt })
            }
            _ => return false,
        };
        frame.write(&message, out)
    }

    /// Which copy of a call an answer says that it answers. Nothing to whom that is known to mean
    /// nothing; who is not known may reckon with it.
    fn copy_answered(&self, now: Time, link: LinkId, arrival: Option<Arrival>) -> u8 {
        let attempt = arrival.map_or(NO_COPY, |arrival| arrival.answered(now));
        let peer = self.links.get(link).and_then(|link| link.peer);
        let reads = |peer: &Peer| peer.features.has(Features::COPIES);
        match peer.filter(|_| attempt > 0).and_then(|peer| self.peers.get(peer)) {
            Some(peer) if !reads(peer) => 0,
            _ => attempt,
        }
    }

    /// What follows from a message having been packed.
    pub(super) fn message_left(&mut self, now: Time, link: LinkId, message: &Outgoing) {
        self.note_left(message);
        match message {
            Outgoing::Call(key) => {
                self.touch(now, link);
                self.in_frame.push(*key);
                self.call_left(now, link, *key);
                self.watermark_left(link);
                let Some(call) = self.calls.get(*key) else { return };
                let is_one_way = call.request.mode == Mode::OneWay;
                self.stream_announced(*key);
                if is_one_way {
                    self.finish_one_way(now, *key);
                }
            }
            Outgoing::Answer(key) => {
                self.touch(now, link);
                self.answer_left(now, link, *key);
            }
            Outgoing::Receipt(..) => self.watermark_left(link),
            _ => {}
        }
    }

    /// A message is larger than the link carries, even alone.
    fn too_large(&mut self, now: Time, link: LinkId, message: Outgoing, size: usize, limit: usize) {
        if self.divert(now, link, &message) {
            return;
        }
        self.limit_hit(now, "max_frame");
        let text =
            |what: &str| format!("{what} takes {size} bytes, a frame on this link carries {limit}");
        match message {
            // What is said with each transmission has grown since the first: that one may have
            // come, so its callee is asked from now on.
            Outgoing::Call(key) if self.flight(key).is_some_and(|flight| flight.sends > 0) => {
                self.ask_instead(now, key);
            }
            Outgoing::Call(key) => {
                let request = self.calls.get(key).map(|call| call.request.carrier);
                let mut text = text("the call");
                if request == Some(Carrier::Datagrams) {
                    text.push_str("; it may use datagrams only, else it would take a connection");
                }
                let error = CallError::new(ErrorCode::TOO_LARGE, Executed::No, text);
                self.finish_failed(now, key, error);
            }
            Outgoing::Answer(key) => self.shorten_answer(key, text("the answer")),
            _ => self.counters.messages_unsent += 1,
        }
    }

    /// Puts a short `too_large` in the place of an answer that cannot be sent. It goes the way
    /// the call came.
    pub(super) fn shorten_answer(&mut self, key: TaskKey, why: String) {
        let Some(link) = self.tasks.get(key).and_then(|task| task.caller.link()) else { return };
        if let Some(refusal) = self.take_refusal(key, why) {
            self.send(link, Outgoing::Refusal(Box::new(refusal)));
        }
    }

    /// The short `too_large` to be sent instead of an answer, whose task is over. Whether the
    /// function ran is what the answer said.
    pub(super) fn take_refusal(&mut self, key: TaskKey, why: String) -> Option<Refusal> {
        let task = self.tasks.get(key)?;
        let executed = match &task.progress {
            Progress::Answered(Err(answer)) => answer.executed,
            _ => Executed::Yes,
        };
        let arrival = task.arrival;
        let caller = match &task.caller {
            Caller::Remote { id: Some(id), form, .. } => Some((id.clone(), *form)),
            _ => None,
        };
        self.remove_task(key, Standing::Expired(executed));
        let (id, form) = caller?;
        let mut fault = Fault::new(ErrorCode::TOO_LARGE, why);
        fault.executed = executed;
        Some(Refusal { form, id, fault, arrival })
    }

    /// Notes that a message will never be sent.
    pub(super) fn unsent(&mut self, now: Time, message: Outgoing) {
        self.counters.messages_unsent += 1;
        match message {
            Outgoing::Call(key) => {
                let text = "the link went down before the call was sent";
                let error = CallError::new(ErrorCode::NETWORK, Executed::No, text);
                self.finish_failed(now, key, error);
            }
            Outgoing::Answer(key) => {
                self.end_task(key);
                self.close_if_drained(now);
            }
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
