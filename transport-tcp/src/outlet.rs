//! The sending half.

use std::io::IoSlice;
use std::sync::Arc;

use lanc_core::endpoint::{Endpoint, LinkId};
use lanc_core::ports::{Close, Dest, Outlet, SendRefused, Sent};

use crate::ready::Token;
use crate::stats::Count;
use crate::transport::Shared;

pub(crate) struct TcpOutlet {
    shared: Arc<Shared>,
}

impl TcpOutlet {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
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
        let sent = line.send(frame, length);
        match sent {
            Ok(_) => self.shared.stats.count(Count::FrameOut),
            Err(SendRefused::Full) => self.shared.stats.count(Count::SendFull),
            Err(_) => {}
        }
        if matches!(sent, Ok(Sent::Buffered) | Err(SendRefused::Gone)) {
            self.shared.ready.wake(Token::Slot(link.slot));
        }
        sent
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
