//! Which call the code that runs right now serves: what it calls in turn is bounded by it.
//!
//! Known while the body of a function runs: on its thread for one that blocks, during each poll
//! for a future. A task or thread that the function starts itself knows nothing of it; there
//! [`Context::call`](crate::Context::call) says it.

use std::cell::Cell;
use std::time::Duration;

use lanc_core::CallRequest;
use lanc_core::id::{SessionId, TaskKey};
use tokio::time::Instant;

use crate::hub::Hub;

thread_local! {
    static NOW: Cell<Option<Serving>> = const { Cell::new(None) };
}

/// The call that a running function serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Serving {
    /// The node that runs it.
    pub(crate) session: SessionId,
    pub(crate) task: TaskKey,
    /// When its caller stops waiting.
    pub(crate) deadline: Option<Instant>,
}

impl Serving {
    /// What the code that runs right now serves.
    pub(crate) fn current() -> Option<Self> {
        NOW.get()
    }

    /// Runs code that serves this call.
    pub(crate) fn run<T>(self, code: impl FnOnce() -> T) -> T {
        let _before = Before(NOW.replace(Some(self)));
        code()
    }

    /// Bounds a call that this function makes from a node. The one that runs the function ends
    /// the call with it; another one knows no more than the time that is left.
    pub(crate) fn bound(self, hub: &Hub, request: &mut CallRequest) {
        if hub.session == self.session {
            request.within = Some(self.task);
        } else if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            let own = request.deadline.unwrap_or(hub.call_deadline);
            // A call that has no time at all fails as one that had too little.
            request.deadline = Some(own.min(left).max(Duration::from_millis(1)));
        }
    }
}

/// Puts back what was there, even when the code panics.
struct Before(Option<Serving>);

impl Drop for Before {
    fn drop(&mut self) {
        NOW.set(self.0);
    }
}
