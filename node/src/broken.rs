//! What is done where the driver does not come to its end by itself, for it has panicked or its
//! runtime has ended: nobody waits for a node that does nothing any more.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use lanc_core::event::Event;

use crate::contain;
use crate::hub::{Effects, Hub, Untold};

/// A driver, and what is done when it is gone. A runtime that ends polls nobody any more, so that
/// this must happen where it is dropped.
pub(crate) struct Watched<F> {
    /// `None`: it is over.
    driver: Option<Pin<Box<F>>>,
    hub: Arc<Hub>,
}

impl<F: Future<Output = ()>> Watched<F> {
    pub(crate) fn new(driver: F, hub: Arc<Hub>) -> Self {
        Self { driver: Some(Box::pin(driver)), hub }
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(driver) = &mut self.driver else { return Poll::Ready(()) };
        match contain::run(|| driver.as_mut().poll(cx)) {
            Some(Poll::Pending) => return Poll::Pending,
            Some(Poll::Ready(())) => contain::discard(self.driver.take()),
            None => {
                tracing::error!("the node is closed: its driver panicked, which is a bug of LANC");
                end(self.driver.take(), &self.hub);
            }
        }
        Poll::Ready(())
    }
}

impl<F> Drop for Watched<F> {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.take() {
            tracing::debug!("the node is closed: its runtime has ended");
            end(driver, &self.hub);
        }
    }
}

/// What waits for the node fails as `closed`, its peers hear its farewell if that can still be
/// said, and the node is closed. Never panics.
fn end<D>(driver: D, hub: &Hub) {
    // It leaves whom it held to be told, and its ways in: whoever waits for the end may open the
    // same port again at once.
    contain::discard(driver);
    // What the driver has left may be in any state: each step is taken whatever became of the others.
    for step in [close, tell, say_farewell, Hub::end] {
        if contain::run(|| step(hub)).is_none() {
            tracing::error!("the node could not be closed in order");
        }
    }
    contain::run(|| {
        // It may have been lost with the driver. Nobody looks at a second one.
        let _ = hub.events.send(Event::Closed);
    });
    contain::run(|| hub.closed.send_replace(true));
}

fn close(hub: &Hub) {
    let now = hub.clock.now();
    hub.state().core.close_now(now);
}

fn tell(hub: &Hub) {
    let mut effects = Effects::default();
    hub.state().collect(hub.clock.now(), &mut effects);
    hub.leave(Untold { wakers: effects.wakers, callbacks: effects.callbacks });
    for event in effects.events {
        // Nobody may be listening.
        let _ = hub.events.send(event);
    }
}

fn say_farewell(hub: &Hub) {
    let mut outlets = hub.outlets();
    outlets.flush(hub);
    outlets.close_all();
}

#[cfg(test)]
mod tests;
