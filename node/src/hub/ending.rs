//! The end of the driver: whoever still waits for it is told that nothing more comes.
//!
//! The core ends calls and streams when it closes, and its driver tells those who wait. What is
//! here does not rely on either: a panic may have come from any of them.

use std::mem::take;
use std::sync::Arc;
use std::task::Waker;

use lanc_core::error::{CallError, ErrorCode, Executed};
use lanc_core::{Answer, Outcome};

use super::{Hub, OnDone, State};
use crate::callbacks;
use crate::contain;
use crate::context::Cancellation;

/// Who is to be told something, outside the lock.
#[derive(Default)]
pub(crate) struct Untold {
    pub(crate) wakers: Vec<Waker>,
    pub(crate) callbacks: Vec<(OnDone, Option<Outcome>)>,
}

/// The failure of what waits for a node that is closed.
pub(crate) fn closed(executed: Executed) -> CallError {
    CallError::new(ErrorCode::CLOSED, executed, "this node is shut down")
}

/// The same for a call whose end the core did not tell.
pub(super) fn closed_call() -> Outcome {
    Outcome::One(Answer { from: Arc::from(""), result: Err(closed(Executed::Maybe)) })
}

impl Hub {
    /// Takes over what a driver that did not come to its end has still to tell.
    pub(crate) fn leave(&self, untold: Untold) {
        let mut state = self.state();
        state.untold.wakers.extend(untold.wakers);
        state.untold.callbacks.extend(untold.callbacks);
    }

    /// Ends the waiting of everybody: to be called when the driver has ended. Nobody waits from
    /// then on.
    pub(crate) fn end(&self) {
        let (untold, running) = self.state().end();
        callbacks::run_all(&self.runtime, untold.callbacks);
        // A waker may be anybody's; the others are woken all the same.
        for running in running {
            contain::run(|| running.cancel());
        }
        for waker in untold.wakers {
            contain::run(|| waker.wake());
        }
    }
}

impl State {
    /// Everybody who waits, and the functions that run for nobody now.
    fn end(&mut self) -> (Untold, Vec<Arc<Cancellation>>) {
        self.is_over = true;
        let mut untold = take(&mut self.untold);
        for mut waiting in take(&mut self.waiting) {
            untold.wakers.extend(waiting.wakers());
            if let Some(on_done) = waiting.on_done {
                untold.callbacks.push((on_done, Some(closed_call())));
            }
        }
        // Their results stay for who has not looked yet.
        untold.wakers.extend(self.pings.values_mut().filter_map(|ping| ping.waker.take()));
        untold.wakers.extend(take(&mut self.streams).into_values().flatten());
        (untold, take(&mut self.running).into_iter().flatten().collect())
    }
}
