//! From messages to lean bytes.

use super::{Head, number_of, number_of_executed, number_of_state};
use crate::error::Fault;
use crate::message::{Call, Message, Receipt, WireId};
use crate::ports::{Codec, Short};

/// Appends a message. `false`, and nothing appended, for what this head cannot carry: methods
/// without a lean form, ids of other sessions, a call that is meant for somebody else.
pub fn write(message: &Message<'_>, head: &Head, codec: &dyn Codec, out: &mut Vec<u8>) -> bool {
    let mut entries = Entries::new();
    if entries.fill(message, head).is_none() {
        return false;
    }
    codec.write_letters(entries.filled(), out);
    true
}

/// The same with the arguments or the result behind everything else. Readers take the entries in any
/// order.
pub(crate) fn write_bulk_last(
    message: &Message<'_>,
    head: &Head,
    codec: &dyn Codec,
    out: &mut Vec<u8>,
) -> bool {
    let mut entries = Entries::new();
    if entries.fill(message, head).is_none() {
        return false;
    }
    let filled = entries.places.get_mut(..entries.used).unwrap_or_default();
    if let Some(at) = filled.iter().position(|(key, _)| matches!(*key, b'a' | b'v')) {
        filled.get_mut(at..).unwrap_or_default().rotate_left(1);
    }
    codec.write_letters(filled, out);
    true
}

/// Most entries of a message: a call's `i` `r` `f` `a` `k` `d` `o` `b` `p` `q` `n`.
const MOST: usize = 11;

/// The entries of one message: on the stack, since this is done for each. Compiled as one function,
/// in which the compiler knows most places.
struct Entries<'m> {
    places: [(u8, Short<'m>); MOST],
    used: usize,
}

impl<'m> Entries<'m> {
    fn new() -> Self {
        Self { places: [(0, Short::Null); MOST], used: 0 }
    }

    fn filled(&self) -> &[(u8, Short<'m>)] {
        self.places.get(..self.used).unwrap_or_default()
    }

    #[inline(always)]
    fn put(&mut self, key: u8, value: Short<'m>) {
        if let Some(place) = self.places.get_mut(self.used) {
            *place = (key, value);
            self.used += 1;
        }
    }

    /// `None`: it cannot be said under this head.
    #[inline(always)]
    fn fill(&mut self, message: &'m Message<'_>, head: &Head) -> Option<()> {
        // Who a call, a result and an error are is told by `f`, `v` and `e`.
        if !matches!(message, Message::Call(_) | Message::Callback(_) | Message::Error(_)) {
            self.put(b'm', Short::Uint(number_of(message.method())?));
        }
        match message {
            Message::Call(call) => self.call(call, head)?,
            Message::Callback(callback) => {
                self.id(&callback.id, head.receiver)?;
                let null = callback.result.is_empty();
                self.put(b'v', if null { Short::Null } else { Short::Encoded(callback.result) });
                self.token(callback.token);
                self.attempt(callback.attempt);
            }
            Message::Error(failure) => {
                if let Some(id) = &failure.id {
                    self.id(id, head.receiver)?;
                }
                self.fault(&failure.fault);
                self.token(failure.token);
                self.attempt(failure.attempt);
            }
            Message::Ack(ack) => {
                let (state, attempt) = match ack.receipt {
                    Receipt::Call { state, attempt } => (state, attempt),
                    Receipt::Answer { watermark } => {
                        let fits = watermark == head.watermark;
                        return if fits { self.id(&ack.id, Some(head.sender)) } else { None };
                    }
                };
                self.id(&ack.id, head.receiver)?;
                self.put(b's', Short::Uint(number_of_state(state)));
                self.put(b'n', Short::Uint(u64::from(attempt)));
            }
            Message::Probe(id) | Message::Cancel(id) => self.id(id, Some(head.sender))?,
            Message::Ping(number) | Message::Pong(number) => self.put(b'n', Short::Uint(*number)),
            Message::Hello(_) | Message::Func(_) | Message::Bye(_) => return None,
        }
        Some(())
    }

    #[inline(always)]
    fn id(&mut self, id: &WireId<'_>, session: Option<u64>) -> Option<()> {
        let WireId::Native(id) = id else { return None };
        if Some(id.session) != session || id.number == 0 {
            return None;
        }
        self.put(b'i', Short::Uint(id.number));
        self.put(b'r', Short::Uint(u64::from(id.random)));
        Some(())
    }

    /// Of an answer that is to come, or comes, by a connection of its own.
    #[inline(always)]
    fn token(&mut self, token: Option<u64>) {
        if let Some(token) = token {
            self.put(b'q', Short::Uint(token));
        }
    }

    /// Nothing of the first transmission.
    #[inline(always)]
    fn attempt(&mut self, attempt: u8) {
        if attempt > 0 {
            self.put(b'n', Short::Uint(u64::from(attempt)));
        }
    }

    #[inline(always)]
    fn call(&mut self, call: &'m Call<'_>, head: &Head) -> Option<()> {
        if call.to != head.receiver || call.watermark != head.watermark {
            return None;
        }
        if let Some(id) = &call.id {
            self.id(id, Some(head.sender))?;
        }
        self.put(b'f', Short::Text(&call.function));
        for (key, encoded) in [(b'a', call.args), (b'k', call.kwargs)] {
            if !encoded.is_empty() {
                self.put(key, Short::Encoded(encoded));
            }
        }
        if let Some(deadline) = call.deadline_ms {
            self.put(b'd', Short::Uint(deadline));
        }
        if call.one_way {
            self.put(b'o', Short::Bool(true));
        }
        if let Some(stream) = call.stream {
            self.put(b'b', Short::Uint(u64::from(stream)));
        }
        self.attempt(call.attempt);
        if let Some(reply) = call.reply_to {
            self.put(b'p', Short::Uint(u64::from(reply.port)));
        }
        self.token(call.reply_to.map(|reply| reply.token));
        Some(())
    }

    fn fault(&mut self, fault: &'m Fault) {
        self.put(b'e', Short::Uint(u64::from(fault.code.0)));
        self.put(b'x', Short::Uint(number_of_executed(fault.executed)));
        if !fault.message.is_empty() {
            self.put(b't', Short::Text(&fault.message));
        }
        if let Some(after) = fault.retry_after {
            let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            self.put(b'w', Short::Uint(millis));
        }
    }
}
