//! The steps of each call, for whoever traces them. Nothing is noted unless it is asked for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorCode;
use crate::id::{ExeId, FunctionName};
use crate::message::WireId;

/// Notes that wait to be polled; newer ones are dropped. A driver polls after each frame.
const MAX_NOTES: usize = 4096;

/// One step of a call, at its caller or at its callee. The `exe_id` is the same on both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Note {
    /// Here: a call, or an attempt of one, was begun.
    Begun {
        /// Its id.
        id: ExeId,
        /// The function.
        function: FunctionName,
    },
    /// Here: it was put into a frame.
    Sent {
        /// Its id.
        id: ExeId,
        /// The callee's name.
        to: Arc<str>,
        /// It had been sent before.
        again: bool,
    },
    /// Here: it has its outcome.
    Ended {
        /// Its id.
        id: ExeId,
        /// The function.
        function: FunctionName,
        /// The callee's name; this node's own while there was none.
        from: Arc<str>,
        /// How it ended.
        code: ErrorCode,
        /// From its begin.
        took: Duration,
    },
    /// From elsewhere: a call was queued.
    Received {
        /// Its id at the caller, if it wants an answer.
        id: Option<WireId<'static>>,
        /// The function.
        function: FunctionName,
        /// The caller's name, or where it is.
        caller: Arc<str>,
    },
    /// From elsewhere: a call was not taken.
    Refused {
        /// Its id at the caller, if it wants an answer.
        id: Option<WireId<'static>>,
        /// The caller's name, or where it is.
        caller: Arc<str>,
        /// What the caller is told.
        code: ErrorCode,
    },
    /// A function was handed out to be run.
    Started {
        /// The call's id, if it wants an answer.
        id: Option<WireId<'static>>,
        /// The function.
        function: FunctionName,
    },
    /// A function has ended.
    Finished {
        /// The call's id, if it wants an answer.
        id: Option<WireId<'static>>,
        /// The function.
        function: FunctionName,
        /// The caller's name, or where it is.
        caller: Arc<str>,
        /// How it ended.
        code: ErrorCode,
        /// From the arrival of the call to the start of the function.
        waited: Duration,
        /// From there to its end.
        ran: Duration,
    },
    /// The answer to a call from elsewhere was put into a frame.
    Answered {
        /// The call's id.
        id: Option<WireId<'static>>,
    },
}

/// Notes until they are polled.
#[derive(Default)]
pub(crate) struct Notes {
    queue: VecDeque<Note>,
    /// Whether anybody wants them.
    pub(crate) wanted: bool,
}

impl Notes {
    pub(crate) fn push(&mut self, note: Note) {
        if self.queue.len() < MAX_NOTES {
            self.queue.push_back(note);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Note> {
        let note = self.queue.pop_front();
        if note.is_none() && self.queue.capacity() > 0 {
            // Wanted for a while only.
            self.queue = VecDeque::new();
        }
        note
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_polls_is_bounded() {
        let mut notes = Notes::default();
        (0..=MAX_NOTES).for_each(|_| notes.push(Note::Answered { id: None }));
        assert_eq!(std::iter::from_fn(|| notes.pop()).count(), MAX_NOTES);
        assert_eq!(notes.queue.capacity(), 0);
    }
}
