//! Connections that others make: which are taken, and who makes room for them.

use std::task::{Context, Poll};

use lanc_core::ports::{DownReason, Initiator, LinkEvent};
use tokio::net::TcpStream;

use super::{Place, Step, TcpInlet};
use crate::admission::{Full, Host};
use crate::line::reset;
use crate::ready::Token;
use crate::sink::Sink;
use crate::stats::Count;

/// Connections accepted in one turn of the listener.
const ACCEPTS: usize = 16;

impl TcpInlet {
    pub(super) fn accept(&mut self, sink: &mut Sink<'_>) {
        for _ in 0..ACCEPTS {
            let mut cx = Context::from_waker(&self.listener_waker);
            let accepted = self.listener.poll_accept(&mut cx, &self.shared.stats);
            let Poll::Ready((stream, remote)) = accepted else { return };
            if !self.is_expected(&stream) {
                self.shared.stats.count(Count::RefusedInterface);
                sink.event(LinkEvent::Limited { lane: self.lane, limit: "interfaces" });
                reset(&stream);
                continue;
            }
            let host = Host::of(remote.ip());
            if let Err(why) = self.admit(host, sink) {
                self.shared.stats.count(why.count());
                sink.event(LinkEvent::Limited { lane: self.lane, limit: why.limit() });
                reset(&stream);
                continue;
            }
            self.shared.stats.count(Count::Accepted);
            let slot = self.take_slot(Place::Free);
            self.open(slot, stream, remote, Initiator::Them, host, sink);
            self.admission.listens(slot, host);
            self.start_clock();
        }
        self.shared.ready.wake(Token::Listener);
    }

    /// Takes a place for an accepted connection. Where there is none, one that has said nothing
    /// gives its own: who is silent keeps nobody out.
    fn admit(&mut self, host: Option<Host>, sink: &mut Sink<'_>) -> Result<(), Full> {
        loop {
            let Err(why) = self.admission.accept(host) else { return Ok(()) };
            let Some(silent) = self.admission.displaced(why, host) else { return Err(why) };
            self.shared.stats.count(Count::ClosedSilent);
            sink.event(LinkEvent::Limited { lane: self.lane, limit: why.limit() });
            self.admission.spoke(silent);
            self.follow(silent, Step::Over(DownReason::Broken), sink);
        }
    }

    /// Whether a connection came to an interface where connections are taken.
    fn is_expected(&mut self, stream: &TcpStream) -> bool {
        let Some(names) = &self.shared.config.interfaces else { return true };
        stream.local_addr().is_ok_and(|own| self.networks.is_of(names, own.ip()))
    }
}
