//! The sending half.

use std::io::IoSlice;
use std::sync::Arc;

use lanc_core::endpoint::{Endpoint, LinkId};
use lanc_core::ports::{Close, Dest, Outlet, SendRefused, Sent};

use crate::line::{MOST_AT_ONCE, Next};
use crate::ready::Token;
use crate::stats::Count;
use crate::transport::Shared;

pub(crate) struct TcpOutlet {
    shared: Arc<Shared>,
    /// The links with gathered frames, each once.
    gathered: Vec<LinkId>,
}

impl TcpOutlet {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, gathered: Vec::new() }
    }

    /// Does what a frame has left to be done.
    fn follow(&mut self, link: LinkId, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Flush => self.gathered.push(link),
            Next::Look => self.shared.ready.wake(Token::Slot(link.slot)),
        }
    }
}

impl Outlet for TcpOutlet {
    fn try_send(&mut self, to: Dest, frame: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
        let Dest::Link(link) = to else { return Err(SendRefused::Unreachable) };
        let length = frame.iter().fold(0usize, |sum, piece| sum.saturating_add(piece.len()));
        if length > self.shared.config.max_frame {
            return Err(SendRefused::TooLarge);
        }
        let line = self.shared.line(link).ok_or(SendRefused::Gone)?;
        let (sent, next) = line.send(frame, length);
        match sent {
            Ok(_) => self.shared.stats.count(Count::FrameOut),
            Err(SendRefused::Full) => self.shared.stats.count(Count::SendFull),
            Err(_) => {}
        }
        self.follow(link, next);
        sent
    }

    fn try_send_all(
        &mut self,
        to: Dest,
        frames: &[[IoSlice<'_>; 2]],
    ) -> (usize, Option<SendRefused>) {
        let Dest::Link(link) = to else { return (0, Some(SendRefused::Unreachable)) };
        let Some(line) = self.shared.line(link) else { return (0, Some(SendRefused::Gone)) };
        let (mut taken, mut refused) = (0, None);
        for frames in frames.chunks(MOST_AT_ONCE) {
            let (count, why, next) = line.send_all(frames, self.shared.config.max_frame);
            self.follow(link, next);
            taken += count;
            if why.is_some() {
                refused = why;
                break;
            }
        }
        (0..taken).for_each(|_| self.shared.stats.count(Count::FrameOut));
        if refused == Some(SendRefused::Full) {
            self.shared.stats.count(Count::SendFull);
        }
        (taken, refused)
    }

    fn flush(&mut self) {
        for link in self.gathered.drain(..) {
            // Of a link that was closed meanwhile the inlet sends what is left.
            if self.shared.line(link).is_some_and(|line| line.flush()) {
                self.shared.ready.wake(Token::Slot(link.slot));
            }
        }
    }

    fn connect(&mut self, to: &Endpoint) {
        self.shared.dial(to.clone());
    }

    fn close(&mut self, link: LinkId, how: Close) {
        if self.shared.line(link).is_some_and(|line| line.close(how)) {
            self.shared.ready.wake(Token::Slot(link.slot));
        }
    }
}
