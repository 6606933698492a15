//! Noting the steps of calls, where somebody traces them.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use crate::calls::Outcome;
use crate::endpoint::LinkId;
use crate::error::ErrorCode;
use crate::id::{CallKey, TaskKey};
use crate::message::WireId;
use crate::note::Note;
use crate::tasks::Caller;
use crate::wire::outbox::Outgoing;

impl Core {
    /// Whether the steps of calls are noted from now on: see [`Self::poll_note`]. It costs an
    /// allocation for some of them; off, which is the default, it costs nothing.
    pub fn note_calls(&mut self, wanted: bool) {
        self.notes.wanted = wanted;
    }

    /// The next step of a call. Filled by inputs, timeouts and [`Self::poll_frame`] while
    /// [`Self::note_calls`] is on; at most 4096 wait.
    pub fn poll_note(&mut self) -> Option<Note> {
        self.notes.pop()
    }

    pub(super) fn note_begun(&mut self, key: CallKey) {
        if self.notes.wanted
            && let Some(call) = self.calls.get(key)
        {
            let (id, function) = (call.id, call.request.function.clone());
            self.notes.push(Note::Begun { id, function });
        }
    }

    /// A message is about to be marked as sent.
    pub(super) fn note_left(&mut self, message: &Outgoing) {
        if !self.notes.wanted {
            return;
        }
        match message {
            Outgoing::Call(key) => {
                let Some(call) = self.calls.get(*key) else { return };
                let crate::calls::Stage::Remote { peer_name, sent, .. } = &call.stage else {
                    return;
                };
                let (id, to, again) = (call.id, Arc::clone(peer_name), *sent);
                self.notes.push(Note::Sent { id, to, again });
            }
            Outgoing::Answer(key) => {
                let id = self.tasks.get(*key).and_then(|task| wire_id(&task.caller));
                self.notes.push(Note::Answered { id });
            }
            _ => {}
        }
    }

    pub(super) fn note_ended(&mut self, key: CallKey, outcome: &Outcome, nanos: u64) {
        if self.notes.wanted
            && let Some(call) = self.calls.get(key)
        {
            let (id, function, code) = (call.id, call.request.function.clone(), outcome.code());
            // The call itself has left its callee by now.
            let from = match outcome {
                Outcome::One(answer) => Arc::clone(&answer.from),
                Outcome::All(_) => Arc::clone(&self.name),
            };
            let took = Duration::from_nanos(nanos);
            self.notes.push(Note::Ended { id, function, from, code, took });
        }
    }

    pub(super) fn note_received(&mut self, key: TaskKey) {
        if self.notes.wanted
            && let Some(task) = self.tasks.get(key)
        {
            let (id, function) = (wire_id(&task.caller), task.name.clone());
            let (_, caller) = self.who_asked(&task.caller);
            self.notes.push(Note::Received { id, function, caller });
        }
    }

    pub(super) fn note_refused(
        &mut self,
        link: LinkId,
        id: Option<&WireId<'static>>,
        code: ErrorCode,
    ) {
        if self.notes.wanted {
            let peer = self.links.get(link).and_then(|link| link.peer);
            let caller = self.name_at(link, peer);
            self.notes.push(Note::Refused { id: id.cloned(), caller, code });
        }
    }

    pub(super) fn note_started(&mut self, task: &super::Task) {
        if self.notes.wanted {
            let (id, function) = (task.id.clone(), task.name.clone());
            self.notes.push(Note::Started { id, function });
        }
    }

    pub(super) fn note_finished(&mut self, key: TaskKey, code: ErrorCode, nanos: [u64; 2]) {
        if self.notes.wanted
            && let Some(task) = self.tasks.get(key)
        {
            let (id, caller) = self.who_asked(&task.caller);
            let function = task.name.clone();
            let [waited, ran] = nanos.map(Duration::from_nanos);
            self.notes.push(Note::Finished { id, function, caller, code, waited, ran });
        }
    }
}

fn wire_id(caller: &Caller) -> Option<WireId<'static>> {
    match caller {
        Caller::Local(_) => None,
        Caller::Remote { id, .. } => id.clone(),
    }
}
