//! Each message of the outbox, written: what it says comes from the tables at the moment it leaves.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Core, StreamKey};
use crate::calls::{Mode, Stage};
use crate::copies::Arrival;
use crate::dialect::frame::FrameWriter;
use crate::dialect::native;
use crate::endpoint::{Lane, LinkId};
use crate::id::{CallKey, ExeId, TaskKey, Version};
use crate::message::{
    Ack, Call, CallState, Callback, Failure, Features, Func, Hello, Message, NO_COPY, Receipt,
    ReplyTo, WireId,
};
use crate::peers::Peer;
use crate::ports::Codec;
use crate::tasks::{Caller, Progress};
use crate::time::Time;
use crate::wire::outbox::Outgoing;

impl Core {
    pub(super) fn write_plain_broadcast(
        &mut self,
        lane: Lane,
        message: &Outgoing,
        out: &mut Vec<u8>,
    ) -> bool {
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
        &mut self,
        now: Time,
        on: LinkId,
        key: CallKey,
        frame: &FrameWriter,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        // It may have gone on to another provider while it waited here, and come back to another life
        // of this one, or a receipt has come while it waited to be sent again.
        let Stage::Remote { peer, link, flight, .. } = &call.stage else { return false };
        if *link != on || flight.is_acked || !flight.is_queued {
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
        let spliced = call.request.args.spliced().filter(|parts| frame.leaves_out(parts));
        let message = Message::Call(Call {
            id: Some(WireId::Native(call.wire)),
            function: Cow::Borrowed(call.request.function.as_str()),
            args: match &spliced {
                Some(parts) => parts.own,
                None => call.request.args.positional(),
            },
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
        });
        self.large.write(frame, &message, spliced, out)
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
        Some(ReplyTo { port, token: call.token? })
    }

    fn write_answer(
        &mut self,
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
        let mut spliced = None;
        let message = match &task.progress {
            Progress::Answered(Ok(payload)) => {
                spliced = payload.bytes.spliced().filter(|parts| frame.leaves_out(parts));
                let result = spliced.map_or_else(|| &*payload.bytes, |parts| parts.own);
                Message::Callback(Callback { id, result, token, attempt })
            }
            Progress::Answered(Err(fault)) => {
                let (id, fault) = (Some(id), fault.clone());
                Message::Error(Failure { id, fault, token, attempt })
            }
            _ => return false,
        };
        self.large.write(frame, &message, spliced, out)
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
}
