//! A node's news as a stream.

use lanc_core::event::Event;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// The events of a node since this was made.
pub struct Events {
    receiver: Receiver<Event>,
    lost: u64,
}

impl Events {
    pub(crate) fn new(receiver: Receiver<Event>) -> Self {
        Self { receiver, lost: 0 }
    }

    /// The next event; `None` once the node is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(count)) => self.lost += count,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Events this subscriber was too slow for: more than 1024 were waiting.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}
