//! A node's news as a stream.

use lanc_core::event::Event;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// The events of a node since this was made.
pub struct Events {
    receiver: Receiver<Event>,
    lost: u64,
    /// It was closed before anybody listened.
    is_over: bool,
    ended: bool,
}

impl Events {
    pub(crate) fn new(receiver: Receiver<Event>, is_over: bool) -> Self {
        Self { receiver, lost: 0, is_over, ended: false }
    }

    /// The next event; `None` after [`Event::Closed`]. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.is_over) {
            self.ended = true;
            return Some(Event::Closed);
        }
        while !self.ended {
            match self.receiver.recv().await {
                Ok(event) => {
                    self.ended = event == Event::Closed;
                    return Some(event);
                }
                Err(RecvError::Lagged(count)) => self.lost += count,
                Err(RecvError::Closed) => self.ended = true,
            }
        }
        None
    }

    /// Events this subscriber was too slow for: more than 1024 were waiting.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}
