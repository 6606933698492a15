//! What is done where the driver has panicked: nobody waits for a node that does nothing any more.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use lanc_core::event::Event;
use tokio::task::JoinHandle;

use crate::hub::{Effects, Hub, Untold};

/// Waits for the driver's end. After a panic what waits for this node fails as `closed`, its peers
/// hear its farewell if that can still be said, and the node is closed.
pub(crate) async fn watch(driver: JoinHandle<()>, hub: Arc<Hub>) {
    let panicked = driver.await.is_err_and(|error| error.is_panic());
    if !panicked {
        return;
    }
    tracing::error!("the node is closed: its driver panicked, which is a bug of LANC");
    // What the driver has left may be in any state: each step is taken whatever became of the others.
    for step in [close, tell, say_farewell, Hub::end] {
        if std::panic::catch_unwind(AssertUnwindSafe(|| step(&hub))).is_err() {
            tracing::error!("the node could not be closed in order");
        }
    }
    // It may have been lost with the driver. Nobody looks at a second one.
    let _ = hub.events.send(Event::Closed);
    hub.closed.send_replace(true);
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
