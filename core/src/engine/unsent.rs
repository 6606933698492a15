//! What could not be sent: a message that is larger than its link carries, or whose link went down.

use super::Core;
use crate::calls::Carrier;
use crate::endpoint::LinkId;
use crate::error::{CallError, ErrorCode, Executed, Fault};
use crate::id::TaskKey;
use crate::inbound::Standing;
use crate::tasks::{Caller, Progress};
use crate::time::Time;
use crate::wire::outbox::{Outgoing, Refusal};

impl Core {
    /// A message is larger than the link carries, even alone.
    pub(super) fn too_large(
        &mut self,
        now: Time,
        link: LinkId,
        message: Outgoing,
        size: usize,
        limit: usize,
    ) {
        if self.divert(now, link, &message) {
            return;
        }
        self.limit_hit(now, "max_frame");
        let text =
            |what: &str| format!("{what} takes {size} bytes, a frame on this link carries {limit}");
        match message {
            // What is said with each transmission has grown since the first: that one may have
            // come, so its callee is asked from now on.
            Outgoing::Call(key) if self.was_sent(key) => self.ask_instead(now, key),
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
        self.unsent_by(now, message, "the link went down before the call was sent");
    }

    /// The same, with what became of a call in words.
    pub(super) fn unsent_by(&mut self, now: Time, message: Outgoing, text: &str) {
        self.counters.messages_unsent += 1;
        match message {
            // An earlier copy may have come.
            Outgoing::Call(key) if self.was_sent(key) => self.ask_instead(now, key),
            Outgoing::Call(key) => {
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
}
