//! An answer: from the end of its function to the link it leaves by.

use super::Core;
use super::lane::{Way, is_large};
use crate::calls::{Carrier, Stage};
use crate::endpoint::LinkId;
use crate::error::{CallError, ErrorCode, Executed, Fault};
use crate::id::TaskKey;
use crate::inbound::Standing;
use crate::payload::Payload;
use crate::tasks::{Caller, Progress};
use crate::time::Time;
use crate::wire::outbox::Outgoing;

impl Core {
    /// A function has ended. Its answer goes to whoever still waits for it.
    pub fn complete(&mut self, now: Time, key: TaskKey, mut result: Result<Payload, Fault>) {
        let code = result.as_ref().err().map_or(ErrorCode::OK, |fault| fault.code);
        self.measure_task(now, key, code);
        if let Ok(payload) = &mut result {
            payload.bytes.change_own(|own| self.buffers.fit(own));
        }
        self.settle(now, key, result);
        self.close_if_drained(now);
    }

    /// Forgets a task whose answer has left, or which nobody waits for.
    pub(super) fn end_task(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.get(key) else { return };
        let executed = match &task.progress {
            Progress::Answered(Err(fault)) => fault.executed,
            _ => Executed::Yes,
        };
        let standing = match executed {
            // It had begun when it was told to end.
            Executed::No if task.cancelled => Standing::GivenUp(Executed::Maybe),
            executed if task.cancelled => Standing::GivenUp(executed),
            executed => Standing::Expired(executed),
        };
        self.remove_task(key, standing);
    }

    /// Moves a task to its end and sends the answer on its way.
    pub(super) fn settle(&mut self, now: Time, key: TaskKey, mut result: Result<Payload, Fault>) {
        if let Err(fault) = &mut result
            && cut(&mut fault.message, self.config.max_error_text)
        {
            self.limit_hit(now, "max_error_text");
        }
        self.put_answer_into(key, &mut result);
        self.refuse_bytes(now, key, &mut result);
        if !self.tasks.settle(now, key, result) {
            return;
        }
        let Some(task) = self.tasks.get_mut(key) else { return };
        let timer = task.deadline_timer.take();
        if let Some(stream) = task.stream.take() {
            self.stream_leave(stream);
        }
        let Some(task) = self.tasks.get_mut(key) else { return };
        let late = task.cancelled || task.deadline.is_some_and(|deadline| deadline < now);
        let caller = match &task.caller {
            Caller::Local(call) => Ok(*call),
            Caller::Remote { link, id, .. } => Err((*link, id.is_some())),
        };
        self.cancel_timer(timer);
        match caller {
            Ok(call) => {
                let result = self.tasks.end(key, |task| {
                    match std::mem::replace(&mut task.progress, Progress::Queued) {
                        Progress::Answered(result) => Some(result),
                        _ => None,
                    }
                });
                let Some(result) = result.flatten() else { return };
                let waits = self
                    .calls
                    .get(call)
                    .is_some_and(|call| matches!(call.stage, Stage::Local(task) if task == key));
                if waits {
                    self.finish_one(now, call, result.map_err(CallError::from_fault));
                }
            }
            Err((link, true)) if !late => {
                let link = self.answer_link(key).unwrap_or(link);
                self.answer(now, link, key);
            }
            Err(_) => self.end_task(key),
        }
    }

    /// Sends an answer back: the way its call came, or by a connection if it is large.
    pub(super) fn answer(&mut self, now: Time, link: LinkId, key: TaskKey) {
        if let Some(task) = self.tasks.get_mut(key) {
            task.is_queued = true;
        }
        if self.answer_by_one_shot(now, link, key) {
            return;
        }
        let bytes = self.tasks.get(key).map_or(0, |task| task.answer_bytes());
        let peer = self.links.get(link).and_then(|link| link.peer);
        let mut way = Way::Link(link);
        if let Some(peer) = peer.filter(|_| is_large(bytes) && !self.is_connection(link)) {
            way = self.way_to(now, peer, Carrier::Auto, bytes);
        }
        if let Way::Link(by) = way
            && self.is_slow(now, by, bytes)
        {
            self.cut_off(now, by);
            return self.answer_unsent(now, key);
        }
        if let Way::Link(by) = way
            && let Some(waiting) = self.stuck_bytes(by, bytes)
        {
            self.limit_hit(now, "max_message_queue");
            let text = format!("{waiting} bytes of answers wait on a link that takes nothing");
            return self.shorten_answer(key, text);
        }
        match (way, peer) {
            (Way::Dialling, Some(peer)) => self.wait_for_connection(peer, Outgoing::Answer(key)),
            (Way::Link(by), _) => self.send_answer(by, key),
            _ => self.end_task(key),
        }
    }

    /// Queues an answer on a link.
    pub(super) fn send_answer(&mut self, link: LinkId, key: TaskKey) {
        if !self.send(link, Outgoing::Answer(key)) {
            self.answer_finds_no_place(key);
        }
    }

    /// Without a place in the outbox an answer is kept for a caller that will ask again, else its
    /// task is over.
    pub(super) fn answer_finds_no_place(&mut self, key: TaskKey) {
        if let Some(task) = self.tasks.get_mut(key) {
            task.is_queued = false;
        }
        if !self.keep_answer(key) {
            self.end_task(key);
        }
    }

    /// How much waits on a link that takes nothing, if that leaves no room for so many bytes.
    fn stuck_bytes(&self, link: LinkId, bytes: usize) -> Option<usize> {
        let link = self.links.get(link).filter(|link| link.full && link.answer_bytes > 0)?;
        let sum = link.answer_bytes.saturating_add(bytes);
        (sum > self.config.max_message_queue).then_some(link.answer_bytes)
    }

    /// Puts a short error in the place of a result that this node has no room for.
    fn refuse_bytes(&mut self, now: Time, key: TaskKey, result: &mut Result<Payload, Fault>) {
        let Some(bytes) = result.as_ref().ok().map(|payload| payload.bytes.len()) else { return };
        if !self.tasks.has_room_for_answer(key, bytes) {
            self.limit_hit(now, "max_buffered");
            let text = format!("`{}` has no room for a result of {bytes} bytes", self.name);
            let mut fault = Fault::new(ErrorCode::TOO_LARGE, text);
            fault.executed = Executed::Yes;
            *result = Err(fault);
        }
    }

    /// Puts a result into the format its caller reads.
    fn put_answer_into(&self, key: TaskKey, result: &mut Result<Payload, Fault>) {
        let (Some(task), Ok(payload)) = (self.tasks.get(key), result.as_mut()) else { return };
        let Caller::Remote { form, id: Some(_), .. } = &task.caller else { return };
        if payload.format == form.format || payload.bytes.is_empty() {
            return;
        }
        let mut bytes = Vec::with_capacity(payload.bytes.len() * 2);
        let (from, depth) = ((payload.format, &*payload.bytes), self.config.max_result_depth());
        if self.pipeline.transcode(from, form.format, depth, &mut bytes) {
            *payload = Payload { format: form.format, bytes: bytes.into() };
        } else {
            let text = format!("the result cannot be written as {}", form.format.name());
            *result = Err(Fault::new(ErrorCode::UNENCODABLE, text));
        }
    }
}

/// Cuts text to a number of bytes, at a character. `true`: it was longer.
fn cut(text: &mut String, most: usize) -> bool {
    let is_longer = text.len() > most;
    if is_longer {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    is_longer
}
