//! The end of all connections in order, when their node ends.

use std::sync::Arc;
use std::task::{Context, Poll};

use lanc_core::ports::{Close, RecvBatch};

use super::{Place, TcpInlet};
use crate::ready::Token;
use crate::sink::Sink;

impl TcpInlet {
    /// Sends what was taken and waits until the far ends have closed too, for a while: a socket
    /// that is closed with bytes unread takes back what the far end has not read.
    pub(super) fn finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Nobody hears of what happens to links any more.
        let mut unheard = RecvBatch::default();
        let mut sink = Sink::new(&mut unheard);
        if !std::mem::replace(&mut self.finishes, true) {
            self.close_all(&mut sink);
        }
        let shared = Arc::clone(&self.shared);
        shared.ready.enter();
        loop {
            while let Some(token) = shared.ready.pop() {
                if matches!(token, Token::Slot(_) | Token::Clock) {
                    self.run(token, &mut sink);
                }
            }
            if self.slots.iter().all(|slot| matches!(slot.place, Place::Free)) {
                return Poll::Ready(());
            }
            if shared.ready.wait(cx.waker()) {
                return Poll::Pending;
            }
        }
    }

    fn close_all(&mut self, sink: &mut Sink<'_>) {
        for number in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
            match self.place(number) {
                Some(Place::Dialling(_)) => {
                    self.dial_failed(number, "the node ends".to_owned(), false, sink);
                }
                Some(Place::Open(open)) => {
                    let how = match open.silent_until {
                        None => open.line.closed().unwrap_or(Close::Flush),
                        // Who has said nothing is owed nothing.
                        Some(_) => Close::Abort,
                    };
                    self.close_here(number, how, sink);
                }
                Some(Place::Free | Place::Closing(_)) | None => {}
            }
        }
    }
}
