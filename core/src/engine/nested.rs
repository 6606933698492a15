//! Calls that a function of this node makes while it serves another one: they have no more time
//! than that one, and end when nobody waits for it any more.

use super::Core;
use crate::calls::{Call, CallRequest};
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::TaskKey;
use crate::tasks::{Progress, Task};
use crate::time::Time;

impl Core {
    /// Bounds a call by the one that the function making it serves.
    pub(super) fn inherit(
        &mut self,
        now: Time,
        request: &mut CallRequest,
    ) -> Result<(), CallError> {
        // A function that has ended bounds nothing that it left behind, though its answer may be
        // kept still.
        let task = request.within.and_then(|task| self.tasks.get_mut(task));
        let has_ended = |task: &Task| matches!(task.progress, Progress::Answered(_));
        let Some(task) = task.filter(|task| !has_ended(task)) else { return Ok(()) };
        task.has_calls = true;
        let fail = |code, what| {
            let text = format!(
                "{what} the call that this function serves; what must be done all \
                                the same is to be called detached"
            );
            Err(CallError::new(code, Executed::No, text))
        };
        if let Some(deadline) = task.deadline {
            if deadline <= now {
                return fail(ErrorCode::TIMEOUT, "the time is up of");
            }
            let own = request.deadline.unwrap_or(self.config.call_deadline);
            request.deadline = Some(own.min(deadline.since(now)));
        }
        if task.cancelled {
            return fail(ErrorCode::CANCELLED, "nobody waits any more for");
        }
        Ok(())
    }

    /// Ends the calls that a running function has made, because nobody waits for it any more.
    pub(super) fn end_calls_of(&mut self, now: Time, task: TaskKey, code: ErrorCode, why: &str) {
        if !self.tasks.get(task).is_some_and(|task| task.has_calls) {
            return;
        }
        let is_its = |call: &Call| call.request.within == Some(task);
        let open = self.calls.iter().filter(|(_, call)| is_its(call)).map(|(key, _)| key);
        for key in open.collect::<Vec<_>>() {
            self.give_up(now, key, code, why);
        }
    }
}
