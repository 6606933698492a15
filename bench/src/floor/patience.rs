//! Waiting for an answer, but not for ever.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::time::Sleep;

use crate::measure::{PATIENCE, now};

/// A limit to waiting that leaves the runtime's timer alone while answers come: a floor should
/// not pay for a timer per call.
pub(crate) struct Patience {
    sleep: Pin<Box<Sleep>>,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(PATIENCE)) }
    }

    /// What comes, or `None` after 5 s.
    pub(crate) async fn wait<T>(&mut self, what: impl Future<Output = T>) -> Option<T> {
        let mut what = pin!(what);
        let mut due = None;
        poll_fn(|cx| {
            if let Poll::Ready(got) = what.as_mut().poll(cx) {
                return Poll::Ready(Some(got));
            }
            let due = *due.get_or_insert_with(|| now() + PATIENCE);
            while self.sleep.as_mut().poll(cx).is_ready() {
                if now() >= due {
                    return Poll::Ready(None);
                }
                self.sleep.as_mut().reset(due.into());
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_sleep_does_not_cut_a_new_call_short() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut patience = Patience { sleep: Box::pin(tokio::time::sleep(PATIENCE / 5000)) };
            let later = tokio::time::sleep(PATIENCE / 100);
            assert_eq!(patience.wait(later).await, Some(()));
        });
    }
}
