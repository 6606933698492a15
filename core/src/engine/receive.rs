//! From a frame to the handler of each message in it.

use std::sync::Arc;

use super::Core;
use super::stream::Record;
use crate::counters::Drop;
use crate::dialect::frame::{Broken, FrameReader, Unread};
use crate::dialect::native::{self, Unreadable};
use crate::dialect::{Dialect, Form, Waits};
use crate::endpoint::LinkId;
use crate::error::{ErrorCode, Executed, Fault};
use crate::event::Event;
use crate::fields::Fields;
use crate::framing;
use crate::id::Version;
use crate::message::{Failure, Message, NO_COPY};
use crate::mutant::planted;
use crate::ports::{Budget, Cast, Codec, DecodeError, Origin, Received};
use crate::time::Time;
use crate::wire::outbox::Outgoing;
use crate::wire::pipeline::drop_of;
use crate::wire::sessions::{Proof, Seal, VERSION};

/// Room for expanded frames that is kept, bytes.
const SCRATCH_KEPT: usize = 16 << 10;

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct From {
    pub(super) link: LinkId,
    pub(super) cast: Cast,
    pub(super) origin: Origin,
    pub(super) form: Form,
    /// In keyed mode: who sealed it, and for whom.
    pub(super) seal: Option<Seal>,
}

impl From {
    /// Whether it cannot have been recorded and sent again by somebody else. In the open nobody
    /// can tell.
    pub(super) fn is_no_copy(&self) -> bool {
        self.seal.is_none_or(|seal| seal.proof == Proof::SealedToMe) || planted!(CopyProves)
    }
}

impl Core {
    /// Takes a received frame. It is counted once: as accepted when all its messages were
    /// taken, else under the reason of the first that was not.
    pub fn handle_frame(&mut self, now: Time, mut frame: Received<'_>) {
        self.counters.frames_received += 1;
        self.tell_outbox(now);
        let result = self.receive(now, &mut frame);
        self.count_frame(now, frame.link, result);
    }

    /// Counts a frame that was looked at.
    pub(super) fn count_frame(&mut self, now: Time, link: LinkId, result: Result<(), Drop>) {
        match result {
            Ok(()) => self.counters.frames_accepted += 1,
            Err(why) => {
                self.counters.drop_frame(why);
                self.tell_drop(now, link, why);
                self.turn_away(now, link, why);
            }
        }
    }

    /// Tells of a frame that was dropped because of a limit.
    fn tell_drop(&mut self, now: Time, link: LinkId, why: Drop) {
        match why {
            Drop::TooDeep => self.limit_hit(now, "max_depth"),
            Drop::TooMany => self.limit_hit(now, "max_nodes"),
            Drop::TooManyMessages => self.limit_hit(now, "max_messages_per_frame"),
            Drop::RateLimited if self.may_tell(now, "unproved_rate") => {
                if let Some(link) = self.links.get(link) {
                    let endpoint = link.remote.clone();
                    self.event(Event::RateLimited { endpoint });
                }
            }
            _ => {}
        }
    }

    fn receive(&mut self, now: Time, frame: &mut Received<'_>) -> Result<(), Drop> {
        let from = self.let_in(now, frame)?;
        if self.hears_sealed_only() {
            return self.receive_sealed(now, from, frame.bytes);
        }
        self.heard_in_plain(now, from.link, frame.bytes);
        self.receive_plain(now, from, frame.bytes)
    }

    pub(super) fn hears_sealed_only(&self) -> bool {
        self.is_keyed() && !planted!(PlaintextHeard)
    }

    /// Notes a frame that nobody has sealed for this node.
    pub(super) fn heard_in_plain(&mut self, now: Time, link: LinkId, frame: &[u8]) {
        self.heard(now, link, frame.len(), None);
        if frame.first() == Some(&VERSION) {
            self.note_foreign_envelope(now, link, frame);
        }
    }

    /// Takes a frame as it was before it was sealed.
    pub(super) fn receive_plain(
        &mut self,
        now: Time,
        from: From,
        bytes: &[u8],
    ) -> Result<(), Drop> {
        if bytes.first() == Some(&framing::RECORD) {
            return self.on_record(now, from, Record::Whole(bytes));
        }
        let limit = self.max_expanded(from.link);
        self.receive_messages(now, from, bytes, limit)
    }

    /// What a compressed frame may expand to: no more than its sender may put into a plain one.
    fn max_expanded(&self, link: LinkId) -> usize {
        match self.links.get(link) {
            Some(known) if known.proved || self.is_connection(link) => {
                known.max_frame.max(64 << 10).min(self.config.max_message)
            }
            _ => self.config.max_unproved_frame,
        }
    }

    /// Notes a sign of life of the far end; in keyed mode not of what another session may once
    /// have sealed for everybody.
    pub(super) fn heard(&mut self, now: Time, link: LinkId, size: usize, seal: Option<&Seal>) {
        let is_alive = seal.is_none_or(|seal| self.is_of_far_end(link, seal));
        let Some(link) = self.links.get_mut(link) else { return };
        link.was_heard = true;
        if is_alive {
            link.last_heard = now;
        }
        if !link.proved {
            link.heard_bytes = link.heard_bytes.saturating_add(size);
        }
    }

    /// Takes a frame's bytes, or a message that came as a stream. If they are compressed, `limit`
    /// is the most that they may expand to, bytes.
    pub(super) fn receive_messages(
        &mut self,
        now: Time,
        from: From,
        bytes: &[u8],
        limit: usize,
    ) -> Result<(), Drop> {
        let pipeline = Arc::clone(&self.pipeline);
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = pipeline.open(bytes, limit, &mut scratch).and_then(|(codec, bytes)| {
            let from = From { form: Form::native(codec.format()), ..from };
            self.read_messages(now, from, codec.as_ref(), bytes)
        });
        scratch.clear();
        // What took long to expand may as well take room anew: strangers' traps leave none behind.
        scratch.shrink_to(SCRATCH_KEPT);
        self.scratch = scratch;
        result
    }

    fn read_messages(
        &mut self,
        now: Time,
        from: From,
        codec: &dyn Codec,
        bytes: &[u8],
    ) -> Result<(), Drop> {
        // What is larger than a frame may hold as many more values.
        let frames = u32::try_from(bytes.len() / (64 << 10)).unwrap_or(u32::MAX).saturating_add(1);
        let nodes = self.config.max_nodes.saturating_mul(frames);
        let budget = Budget { depth: self.config.max_depth, nodes };
        let mut frame = FrameReader::new(codec, bytes, budget)
            .map_err(|why| self.unreadable(now, from, Unread { why, call: None, bytes: &[] }))?;
        let cast = from.cast;
        // What is said to a port that several programs share is said to none of them.
        let said = if cast == Cast::Shared { Cast::Broadcast } else { cast };
        let from = From { form: frame.form(), cast: said, ..from };
        // Any will do: where each is put.
        let mut message = Message::Pong(0);
        let mut count = 0;
        let mut first_drop = Ok(());
        while !frame.is_empty() {
            count += 1;
            self.counters.messages_received += 1;
            if count > self.config.max_messages_per_frame {
                self.counters.drop_message(Drop::TooManyMessages);
                return Err(Drop::TooManyMessages);
            }
            let result = match frame.read_into(&mut message) {
                Ok(Ok(())) => self.handle_message(now, &from, &mut message),
                Ok(Err(unread)) => self.read_otherwise(now, from, cast, codec, unread),
                // Nobody can tell where the next one would begin.
                Err(broken) => {
                    let why = drop_of(broken.why);
                    self.tell_of_bound(now, &from, broken);
                    self.counters.drop_message(why);
                    return Err(why);
                }
            };
            match result {
                Ok(()) => self.counters.messages_accepted += 1,
                Err(why) => {
                    self.counters.drop_message(why);
                    first_drop = first_drop.and(Err(why));
                }
            }
        }
        first_drop
    }

    /// Tells whoever waits for a message that goes beyond a bound of this node: where the far end's
    /// own are higher it is as it should be, and nobody would hear of it before the deadline.
    fn tell_of_bound(&mut self, now: Time, from: &From, broken: Broken<'_>) {
        let Some(waits) = broken.waits else { return };
        let beyond = match broken.why {
            DecodeError::TooDeep => {
                format!("nests deeper than {} levels (`max_depth`)", self.config.max_depth)
            }
            _ => "holds more values than may be read (`max_nodes`)".to_owned(),
        };
        match waits {
            Waits::Caller(id, to) => {
                let text = format!("the call {beyond} at `{}`", self.name);
                let may_act = from.seal.is_none_or(|seal| seal.may_act);
                if from.cast == Cast::Unicast && may_act {
                    let mut fault = Fault::new(ErrorCode::TOO_LARGE, text);
                    // An earlier life of this node may have read deeper.
                    if to.is_some_and(|to| to != self.session.short()) {
                        fault.executed = Executed::Maybe;
                    }
                    self.refuse(*from, id.into_owned(), fault, None);
                }
            }
            Waits::Call(id, token) => {
                let text = format!("the result has come, but {beyond} here");
                let fault = Fault::new(ErrorCode::TOO_LARGE, text);
                let fault = Fault { executed: Executed::Yes, ..fault };
                let failure = Failure { id: Some(id), fault, token, attempt: NO_COPY };
                // As if its callee had said so: it is asked who may, and counted below.
                let _ = self.handle_message(now, from, &mut Message::Error(failure));
            }
        }
    }

    /// A message that is none of this version's: an older program's, or what one said to another
    /// node of this host.
    fn read_otherwise(
        &mut self,
        now: Time,
        from: From,
        cast: Cast,
        codec: &dyn Codec,
        unread: Unread<'_>,
    ) -> Result<(), Drop> {
        if unread.why == Unreadable::Unsupported && !self.is_keyed() {
            self.note_foreign_message(now, from.link, codec, unread.bytes);
        }
        // Older programs have no key.
        if self.is_keyed() {
            return Err(self.unreadable(now, from, unread));
        }
        let is_foreign = matches!(unread.why, Unreadable::Version | Unreadable::UnknownMethod);
        if is_foreign && !unread.bytes.is_empty() {
            let (depth, nodes) = (self.config.max_depth, self.config.max_nodes);
            let mut budget = Budget { depth, nodes };
            let bytes = unread.bytes;
            let (fields, _) = Fields::read(codec, bytes, &mut budget).map_err(drop_of)?;
            if native::is_relay(&fields) {
                return self.on_relay(now, from, &fields, codec, &mut budget);
            }
            let dialect = Dialect::of(&fields);
            if dialect.profile().has_home {
                let from = From { cast, ..from };
                let heard = (dialect, &fields, bytes);
                if let Some(result) = self.on_older(now, from, heard, codec, &mut budget) {
                    return result;
                }
            }
        }
        Err(self.unreadable(now, from, unread))
    }

    fn handle_message(
        &mut self,
        now: Time,
        from: &From,
        message: &mut Message<'_>,
    ) -> Result<(), Drop> {
        let may_be_broadcast =
            || matches!(message, Message::Hello(_) | Message::Func(_) | Message::Bye(_));
        if from.cast == Cast::Broadcast && !may_be_broadcast() && !planted!(BroadcastObeyed) {
            return Err(Drop::Misaddressed);
        }
        if let Some(seal) = &from.seal {
            if !seal.may_act && !may_be_broadcast() && !planted!(BroadcastActs) {
                return Err(Drop::Misaddressed);
            }
            self.check_sender(from.link, seal, message)?;
        }
        if matches!(message, Message::Call(_) | Message::Callback(_) | Message::Error(_)) {
            self.touch(now, from.link);
        }
        match message {
            Message::Hello(hello) => self.on_hello(now, *from, hello),
            Message::Func(func) => self.on_func(now, *from, func),
            Message::Bye(session) => self.on_bye(now, *from, *session),
            Message::Call(call) => self.on_call(now, from, call),
            Message::Cancel(id) => self.on_cancel(now, *from, id),
            Message::Callback(callback) => {
                let extras = (callback.token, callback.attempt);
                self.on_answer(now, from, &callback.id, extras, Ok(callback.result))
            }
            Message::Error(failure) => self.on_error(now, from, failure),
            Message::Ping(number) => {
                self.send(from.link, Outgoing::Pong(*number));
                Ok(())
            }
            Message::Pong(number) => self.on_pong(now, *from, *number),
            Message::Ack(ack) => self.on_ack(now, *from, ack),
            Message::Probe(id) => self.on_probe(now, *from, id),
        }
    }

    fn on_error(&mut self, now: Time, from: &From, failure: &mut Failure<'_>) -> Result<(), Drop> {
        match &failure.id {
            Some(id) if planted!(ErrorAnswered) => {
                let fault = Fault::new(ErrorCode::UNKNOWN_CALL, "no such call");
                self.refuse(*from, id.clone().into_owned(), fault, None);
                Ok(())
            }
            Some(id) => {
                let extras = (failure.token, failure.attempt);
                let message = std::mem::take(&mut failure.fault.message);
                let fault = Fault { message, ..failure.fault.clone() };
                self.on_answer(now, from, id, extras, Err(fault))
            }
            None => {
                if failure.fault.code == ErrorCode::INCOMPATIBLE_VERSION {
                    self.incompatible(now, *from);
                }
                Ok(())
            }
        }
    }

    /// The counter of a message that cannot be read. A unicast call is answered, so that its
    /// caller need not wait for its deadline; nothing else ever is.
    fn unreadable(&mut self, now: Time, from: From, unread: Unread<'_>) -> Drop {
        let (drop, fault) = match unread.why {
            Unreadable::NotLanc => return Drop::NotLanc,
            Unreadable::UnknownMethod => return Drop::UnknownMethod,
            Unreadable::Version => {
                self.incompatible(now, from);
                let text = format!("this node speaks LANC {}", Version::NATIVE_TEXT);
                (Drop::Version, Fault::new(ErrorCode::INCOMPATIBLE_VERSION, text))
            }
            Unreadable::Unsupported => {
                let text = "this node reads neither the encryption nor the compression named";
                (Drop::Unsupported, Fault::new(ErrorCode::UNSUPPORTED, text))
            }
            Unreadable::Field(error) => {
                let mut fault = Fault::new(ErrorCode::DECODE_ERROR, format!("the call: {error}"));
                fault.executed = Executed::No;
                (drop_of(error), fault)
            }
        };
        if let (Cast::Unicast, Some(id)) = (from.cast, unread.call) {
            self.refuse(from, id.into_owned(), fault, None);
        }
        drop
    }

    fn incompatible(&mut self, now: Time, from: From) {
        let Some(endpoint) = self.links.get(from.link).map(|link| link.remote.clone()) else {
            return;
        };
        if self.may_tell(now, "version") {
            self.event(Event::IncompatibleVersion { endpoint });
        }
    }
}
