//! Functions whose values are numbers: some of them, or more than anybody takes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll};

use futures_core::Stream;
use lanc::Node;
use tokio::sync::mpsc;

/// An async stream of numbers that counts those it gave, and says when it is dropped.
pub(crate) struct Numbers {
    given: Arc<AtomicU64>,
    until: u64,
    dropped: Option<mpsc::Sender<()>>,
}

impl Stream for Numbers {
    type Item = u64;

    fn poll_next(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<u64>> {
        let number = self.given.load(Ordering::Relaxed);
        if number >= self.until {
            // One that waits for its next value, not one that has ended.
            return if self.dropped.is_some() { Poll::Pending } else { Poll::Ready(None) };
        }
        self.given.store(number + 1, Ordering::Relaxed);
        Poll::Ready(Some(number))
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        if let Some(dropped) = &self.dropped {
            dropped.try_send(()).unwrap();
        }
    }
}

pub(crate) fn numbers(until: u64) -> Numbers {
    Numbers { given: Arc::default(), until, dropped: None }
}

pub(crate) fn register_counters(node: &Node) {
    node.register_stream("later", numbers).unwrap();
    node.register_stream("now", |n: u64| 0..n).unwrap();
    let failing = |n: u64| (0..=n).map(move |i| if i < n { Ok(i) } else { Err("enough") });
    node.register_stream("failing", failing).unwrap();
    node.register("plain", |n: u64| n).unwrap();
    node.register("nothing", |_: u64| ()).unwrap();
}

/// Registers a function whose values nobody could take all of; returns how many it gave, and
/// when it was dropped.
pub(crate) fn register_endless(node: &Node) -> (Arc<AtomicU64>, mpsc::Receiver<()>) {
    let given = Arc::new(AtomicU64::new(0));
    let (dropped, was_dropped) = mpsc::channel(8);
    let counter = Arc::clone(&given);
    let begin = move |until: u64| {
        counter.store(0, Ordering::Relaxed);
        Numbers { given: Arc::clone(&counter), until, dropped: Some(dropped.clone()) }
    };
    node.register_stream("endless", begin).unwrap();
    (given, was_dropped)
}
