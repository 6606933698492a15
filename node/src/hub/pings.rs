//! Who waits for a ping.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lanc_core::error::{CallError, Executed};
use lanc_core::id::PingKey;

use super::{Hub, State, closed};

#[derive(Default)]
pub(super) struct PingWait {
    pub(super) waker: Option<Waker>,
    result: Option<Option<Duration>>,
}

/// A ping on its way. Its result stays for it, however late it looks: the core has others in its
/// place by then.
pub(crate) struct Pinging {
    hub: Arc<Hub>,
    key: PingKey,
}

impl Pinging {
    /// To be made where the ping is begun, before the lock is given back.
    pub(crate) fn begin(hub: &Arc<Hub>, state: &mut State, key: PingKey) -> Self {
        state.pings.insert(key, PingWait::default());
        Self { hub: Arc::clone(hub), key }
    }

    /// Waits for it to come back; `None`: it did not.
    ///
    /// # Errors
    /// `closed`: the node was closed first.
    pub(crate) async fn pong(self) -> Result<Option<Duration>, CallError> {
        poll_fn(|cx| self.poll_pong(cx)).await
    }

    fn poll_pong(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Duration>, CallError>> {
        let mut state = self.hub.state();
        let is_over = state.is_over;
        let wait = state.pings.entry(self.key).or_default();
        match wait.result.take() {
            Some(result) => Poll::Ready(Ok(result)),
            None if is_over => Poll::Ready(Err(closed(Executed::No))),
            None => {
                wait.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Pinging {
    fn drop(&mut self) {
        // Dropped outside the lock: a waker is foreign code.
        let _wait = self.hub.state().pings.remove(&self.key);
    }
}

impl State {
    /// Notes what became of a ping; who waits for it.
    pub(super) fn end_ping(&mut self, key: PingKey, took: Option<Duration>) -> Option<Waker> {
        let wait = self.pings.get_mut(&key)?;
        wait.result = Some(took);
        wait.waker.take()
    }
}
