//! Who waits for a ping.

use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use lanc_core::error::{CallError, Executed};
use lanc_core::id::PingKey;

use super::{Hub, State, closed, slot};

#[derive(Default)]
pub(super) struct PingWait {
    pub(super) waker: Option<Waker>,
    result: Option<Option<Duration>>,
}

impl Hub {
    /// Waits for a ping to come back; `None`: it did not.
    ///
    /// # Errors
    /// `closed`: the node was closed first.
    pub(crate) async fn pong(&self, key: PingKey) -> Result<Option<Duration>, CallError> {
        poll_fn(|cx| {
            let mut state = self.state();
            let is_over = state.is_over;
            let wait = slot(&mut state.pings, key.slot());
            match wait.result.take() {
                Some(result) => Poll::Ready(Ok(result)),
                None if is_over => Poll::Ready(Err(closed(Executed::No))),
                None => {
                    wait.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl State {
    /// A new ping may use the slot of an old one whose waiter is gone.
    pub(crate) fn begin_ping(&mut self, key: PingKey) {
        *slot(&mut self.pings, key.slot()) = PingWait::default();
    }

    /// Notes what became of a ping; who waits for it.
    pub(super) fn end_ping(&mut self, key: PingKey, took: Option<Duration>) -> Option<Waker> {
        let wait = slot(&mut self.pings, key.slot());
        wait.result = Some(took);
        wait.waker.take()
    }
}
