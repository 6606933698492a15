//! What calls and functions cost, noted where they end.

use super::Core;
use crate::calls::Outcome;
use crate::error::ErrorCode;
use crate::id::{CallKey, TaskKey};
use crate::tasks::Progress;
use crate::time::Time;

impl Core {
    /// Says when a function that was handed out really began: it may have waited for a thread,
    /// or for others of its batch. Without it, it began when it was handed out.
    pub fn began(&mut self, key: TaskKey, at: Time) {
        if let Some(task) = self.tasks.get_mut(key)
            && let Progress::Running { since } = &mut task.progress
        {
            *since = at;
        }
    }

    /// Counts how a call of the application ended.
    pub(super) fn count_call(&mut self, code: ErrorCode) {
        self.counters.calls_ended.count(code);
        match code {
            ErrorCode::OK => self.counters.calls_succeeded += 1,
            _ => self.counters.calls_failed += 1,
        }
    }

    /// A call ends. What it consists of is counted apart: the application made one call.
    pub(super) fn measure_call(&mut self, now: Time, key: CallKey, outcome: &Outcome) {
        let Some(call) = self.calls.get(key) else { return };
        let (code, took) = (outcome.code(), now.nanos_since(call.started));
        if call.parent.is_some() {
            self.counters.attempts_ended.count(code);
        } else {
            self.measures.called(&call.request.function, code, took);
            self.count_call(code);
        }
        self.note_ended(key, outcome, took);
    }

    /// A function that was started has ended.
    pub(super) fn measure_task(&mut self, now: Time, key: TaskKey, code: ErrorCode) {
        let Some(task) = self.tasks.get(key) else { return };
        let Progress::Running { since } = task.progress else { return };
        let (waited, ran) = (since.nanos_since(task.since), now.nanos_since(since));
        self.measures.served(&task.name, code, waited, ran);
        self.note_finished(key, code, [waited, ran]);
        self.counters.tasks_ended.count(code);
        match code {
            ErrorCode::OK => self.counters.tasks_succeeded += 1,
            _ => self.counters.tasks_failed += 1,
        }
    }
}
