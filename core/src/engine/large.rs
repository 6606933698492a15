//! Large messages: what is sent from where it is, and what is kept where it arrived.

use super::Core;
use super::receive::From;
use crate::counters::Drop;
use crate::dialect::frame::FrameWriter;
use crate::endpoint::LinkId;
use crate::error::{CallError, Executed};
use crate::message::Message;
use crate::payload::{Encoded, Shared, Spliced, bulk};
use crate::time::Time;
use crate::wire::outbox::Outgoing;
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
}

impl Large {
    /// Appends a message, of which the bytes of `parts` that others hold are left out, if there
    /// are any; what is left out is at hand then. `false`: this frame cannot carry it.
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
