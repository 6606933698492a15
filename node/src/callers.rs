//! Callers whose outcome is there, and how they are woken.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::hub::Hub;

/// Callers woken before what they submit is sent. Work in chunks leaves while the rest is still
/// being done, which keeps both sides busy; measured against other policies and sizes in
/// `docs/decisions/0007`.
pub(crate) const CHUNK: usize = 32;
/// The same where one thread runs all callers, of whom half are woken then: with more than a frame
/// of them, a turn of the driver for each frame would cost more than the frame gains.
const MOST: usize = 128;
/// Trips through the run queue before what the woken callers have submitted is sent.
const TRIPS: u32 = 4;
/// Longer than these take no further one is begun.
const TRIPS_TAKE: Duration = Duration::from_micros(50);
/// So many are woken in one go.
const MANY: usize = 3;
/// A trip that takes as long was through a queue of other work.
const BUSY: Duration = Duration::from_millis(1);
/// Chunks that are woken at once after such a trip.
const AT_ONCE: u32 = 64;

/// Those who have not been woken yet.
pub(crate) struct Callers {
    held: VecDeque<Waker>,
    /// Whether another thread would come for each of them that is woken by itself.
    is_shared: bool,
    /// Chunks to wake at once from now on.
    at_once: u32,
}

impl Callers {
    /// `is_shared`: whether the runtime has several threads.
    pub(crate) fn new(is_shared: bool) -> Self {
        Self { held: VecDeque::new(), is_shared, at_once: 0 }
    }

    pub(crate) fn hold(&mut self, callers: impl Iterator<Item = Waker>) {
        self.held.extend(callers);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Wakes everybody.
    pub(crate) fn wake_all(&mut self) {
        self.held.drain(..).for_each(Waker::wake);
    }

    /// Everybody, to be woken elsewhere.
    pub(crate) fn take_all(&mut self) -> VecDeque<Waker> {
        std::mem::take(&mut self.held)
    }

    /// Wakes the next chunk, and gives way until as many have submitted something: what they do
    /// next shares a frame. Another thread may have taken some of them, so it goes through the run
    /// queue a few times; but not for long, as some have nothing more to say, and others may have
    /// much to do first. A single caller has nobody to share with, and is not waited for.
    ///
    /// Returns how many were woken.
    pub(crate) async fn wake(&mut self, hub: &Hub) -> usize {
        if self.held.len() < 2 {
            let count = self.held.len();
            self.wake_all();
            return count;
        }
        let (before, open) = {
            let state = hub.state();
            (state.submitted, state.core.open_calls())
        };
        let (count, began) = (self.chunk(open), hub.clock.now());
        if count >= MANY && self.is_shared && self.at_once == 0 {
            self.wake_together(count).await;
            if hub.clock.now().since(began) > BUSY {
                self.at_once = AT_ONCE;
            }
        } else {
            self.at_once = self.at_once.saturating_sub(1);
            self.held.drain(..count).for_each(Waker::wake);
            tokio::task::yield_now().await;
        }
        for _ in 1..TRIPS {
            let submitted = hub.state().submitted.wrapping_sub(before);
            let all = u64::try_from(count).is_ok_and(|count| submitted >= count);
            if all || hub.clock.now().since(began) > TRIPS_TAKE {
                break;
            }
            tokio::task::yield_now().await;
        }
        count
    }

    /// How many to wake, if so many calls are open beside those who are held: two chunks take turns.
    fn chunk(&self, open: usize) -> usize {
        let held = self.held.len();
        let half = open.saturating_add(held) / 2;
        let most = if self.is_shared { CHUNK } else { half.clamp(CHUNK, MOST) };
        held.min(most)
    }

    /// Has `count` callers run, and comes back when this thread has run its share of them.
    ///
    /// A worker of a runtime with several threads calls another one for each task that it wakes
    /// beside the first; that one takes what little there is, sleeps again, and is called again.
    /// Tasks that give way are woken all together when the worker has nothing else to do, and one
    /// other is called then for half of them. So each caller is made to look as if it gave way.
    async fn wake_together(&mut self, count: usize) {
        let mut woken = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut woken, true) {
                return Poll::Ready(());
            }
            for (number, caller) in self.held.drain(..count).enumerate() {
                give_way(&caller);
                // Who gave way last is woken first and runs first, but for the very last to be woken,
                // who runs before all. This task is last but one, so that it runs after them.
                if number == 0 {
                    give_way(cx.waker());
                }
            }
            Poll::Pending
        })
        .await;
    }
}

/// Has `task` woken when the worker has nothing else to do. Where there is none, at once.
fn give_way(task: &Waker) {
    let yielding = pin!(tokio::task::yield_now());
    // It is over when it is polled again, which nobody needs: it has taken the waker.
    let _ = yielding.poll(&mut Context::from_waker(task));
}
