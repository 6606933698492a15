//! What a frame says, read once when it is sent and not again by each who gets it.

use lanc_core::dialect::frame::FrameReader;
use lanc_core::id::ExeId;
use lanc_core::message::{Features, Message, WireId};
use lanc_core::ports::{Budget, Cast, Format};

use super::check::has_method;
use super::invariant::{Broken, Invariant};
use super::values::codec;

/// More than any frame of a node holds.
const AMPLE: Budget = Budget { depth: 100, nodes: 1 << 20 };

/// A call in a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SeenCall {
    pub(super) id: ExeId,
    /// The session it is meant for.
    pub(super) to: Option<u64>,
    /// Milliseconds left.
    pub(super) deadline: Option<u64>,
    /// Which copy of it.
    pub(super) attempt: u8,
}

/// What the checks want to know of a frame.
#[derive(Default)]
pub(super) struct Glance {
    pub(super) calls: Vec<SeenCall>,
    /// Calls of which it holds an answer or a receipt.
    pub(super) answered: Vec<ExeId>,
    /// Sessions that say hello, with what they can do.
    pub(super) hellos: Vec<(u64, Features)>,
    /// Sessions that say farewell.
    pub(super) byes: Vec<u64>,
    /// The codes of the errors in it.
    pub(super) errors: Vec<u16>,
    /// Messages of which nothing but an error of its own may never follow: hello, call, cancel,
    /// probe.
    pub(super) asks: bool,
    /// Acks and probes.
    pub(super) receipts: u32,
    pub(super) messages: u32,
}

impl Glance {
    fn clear(&mut self) {
        self.calls.clear();
        self.answered.clear();
        self.hellos.clear();
        self.byes.clear();
        self.errors.clear();
        (self.asks, self.receipts, self.messages) = (false, 0, 0);
    }

    /// Whether nothing in the frame asks or answers anything but who is there.
    pub(super) fn announces_only(&self) -> bool {
        self.calls.is_empty()
            && self.answered.is_empty()
            && self.errors.is_empty()
            && self.receipts == 0
    }

    /// Reads a frame that a node has written.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(&mut self, frame: &[u8]) -> Result<(), Broken> {
        self.clear();
        let json = frame.first() == Some(&b'{');
        let codec = codec(if json { Format::JSON } else { Format::MSGPACK });
        let unreadable = || {
            let text = String::from_utf8_lossy(frame);
            Invariant::Readable.broken(format!("a frame nobody can read: {}", text.escape_debug()))
        };
        let mut reader = FrameReader::new(codec, frame, AMPLE).map_err(|_| unreadable())?;
        while !reader.is_empty() {
            self.messages += 1;
            match reader.read() {
                Ok(Ok(message)) => self.note(&message),
                // Words of an older dialect.
                Ok(Err(unread)) if !unread.bytes.is_empty() => {}
                _ => return Err(unreadable()),
            }
        }
        Ok(())
    }

    fn note(&mut self, message: &Message<'_>) {
        match message {
            Message::Hello(hello) => {
                self.hellos.push((hello.session.short(), hello.features));
                self.asks = true;
            }
            Message::Bye(session) => self.byes.push(session.short()),
            Message::Call(call) => {
                self.asks = true;
                if let Some(WireId::Native(id)) = call.id {
                    let (to, deadline, attempt) = (call.to, call.deadline_ms, call.attempt);
                    self.calls.push(SeenCall { id, to, deadline, attempt });
                }
            }
            Message::Cancel(_) => self.asks = true,
            Message::Probe(_) => (self.asks, self.receipts) = (true, self.receipts + 1),
            Message::Error(failure) => {
                self.errors.push(failure.fault.code.0);
                self.note_answer(failure.id.as_ref());
            }
            Message::Ack(ack) => {
                self.receipts += 1;
                self.note_answer(Some(&ack.id));
            }
            Message::Callback(callback) => self.note_answer(Some(&callback.id)),
            Message::Func(_) | Message::Ping(_) | Message::Pong(_) => {}
        }
    }

    fn note_answer(&mut self, id: Option<&WireId<'_>>) {
        if let Some(WireId::Native(id)) = id {
            self.answered.push(*id);
        }
    }
}

/// What caused the outputs that follow, as far as silence is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// An error may follow.
    Any,
    /// A frame that may never be answered by an error.
    Unanswerable,
    /// A frame that a keyed node has not opened: at most a peer that has lost the token is told
    /// it again. `true`: it was sealed at all.
    Unheard(bool),
}

impl Cause {
    /// Broadcasts, errors, callbacks and pongs are never answered by an error. A hello releases
    /// what waited for room or proof, an error about a call before it too.
    pub(super) fn of(cast: Cast, glance: &Glance) -> Self {
        let may = !glance.hellos.is_empty() || (cast == Cast::Unicast && glance.asks);
        if may { Self::Any } else { Self::Unanswerable }
    }

    /// The same of a frame that no node has written.
    pub(super) fn of_text(cast: Cast, bytes: &[u8]) -> Self {
        let may = has_method(bytes, "hello")
            || (cast == Cast::Unicast
                && ["call", "cancel", "probe"].iter().any(|method| has_method(bytes, method)));
        if may || bytes.first() != Some(&b'{') { Self::Any } else { Self::Unanswerable }
    }
}
