//! The sending half.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use lanc_core::endpoint::{Endpoint, LinkId};
use lanc_core::ports::{Capabilities, Close, Dest, Initiator, Outlet, SendRefused, Sent};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::interfaces::Scope;
use crate::links::SCHEME;
use crate::refusal::Refusal;
use crate::stats::Count;
use crate::transport::{Blocked, Shared};

/// More pieces than this are put together first; systems take no more than some hundreds.
const MAX_PIECES: usize = 64;

pub(crate) struct UdpOutlet {
    socket: Arc<UdpSocket>,
    shared: Arc<Shared>,
    limits: Capabilities,
    /// The port broadcasts go to.
    port: u16,
}

impl UdpOutlet {
    pub(crate) fn new(
        socket: Arc<UdpSocket>,
        shared: Arc<Shared>,
        limits: Capabilities,
        port: u16,
    ) -> Self {
        Self { socket, shared, limits, port }
    }

    /// Where a broadcast goes.
    fn targets(&self) -> Vec<SocketAddr> {
        let target = |ip: &Ipv4Addr| SocketAddr::new((*ip).into(), self.port);
        self.shared.with(|state| state.view.targets.iter().map(target).collect())
    }

    fn send_on(&mut self, link: LinkId, frame: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
        let target = self.shared.with(|state| state.links.target(link));
        let Some((address, max_frame)) = target else { return Err(SendRefused::Gone) };
        if length(frame) > max_frame {
            return Err(SendRefused::TooLarge);
        }
        let Err(refusal) = self.send_to(address, frame) else { return Ok(Sent::Whole) };
        let until = match refusal {
            Refusal::TooLarge => return Err(SendRefused::TooLarge),
            Refusal::Noise => return Err(SendRefused::Unreachable),
            Refusal::Unreachable => {
                self.shared.reread();
                return Err(SendRefused::Unreachable);
            }
            Refusal::NotReady => Blocked::UntilWritable,
            Refusal::NoBuffers => Blocked::ForAWhile,
        };
        self.shared.leave(|state| {
            state.blocked = state.blocked.max(until);
            state.links.block(link);
        });
        Err(SendRefused::Full)
    }

    /// Sends to each interface; what one refuses does not keep it from the others. There is no
    /// Writable for a broadcast, so one without room is lost and the next will do.
    fn broadcast(&mut self, frame: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
        self.shared.reread();
        let mut refused = SendRefused::Unreachable;
        let mut sent = false;
        for target in self.targets() {
            match self.send_to(target, frame) {
                Ok(()) => sent = true,
                Err(Refusal::TooLarge) => refused = SendRefused::TooLarge,
                Err(refusal) => tracing::debug!(%target, ?refusal, "a broadcast was refused"),
            }
        }
        if sent { Ok(Sent::Whole) } else { Err(refused) }
    }

    fn send_to(&self, to: SocketAddr, frame: &[IoSlice<'_>]) -> Result<(), Refusal> {
        let mut result = self.send_once(to, frame);
        if let Err(error) = &result
            && Refusal::of(error) == Refusal::Noise
        {
            result = self.send_once(to, frame);
        }
        let stats = &self.shared.stats;
        result.map(|_| stats.count(Count::FrameOut)).map_err(|error| {
            stats.count(Count::SendRefused);
            Refusal::of(&error)
        })
    }

    fn send_once(&self, to: SocketAddr, frame: &[IoSlice<'_>]) -> io::Result<usize> {
        match frame {
            [] => self.socket.try_send_to(&[], to),
            [one] => self.socket.try_send_to(one, to),
            few if few.len() <= MAX_PIECES => self.socket.try_io(Interest::WRITABLE, || {
                SockRef::from(&*self.socket).send_to_vectored(few, &to.into())
            }),
            many => {
                let whole: Vec<u8> = many.iter().flat_map(|piece| piece.iter().copied()).collect();
                self.socket.try_send_to(&whole, to)
            }
        }
    }

    /// Why `to` cannot be dialled, or its address.
    fn dialled(&self, to: &Endpoint) -> Result<SocketAddr, String> {
        let address = (to.scheme() == SCHEME).then(|| to.socket_addr()).flatten();
        let Some(address) = address else {
            return Err(format!("`{to}` is no UDP endpoint: write ADDRESS:PORT"));
        };
        let own = self.shared.own;
        if address.is_ipv6() != own.is_ipv6() {
            return Err(format!("this node is bound to {own}: it cannot reach {address}"));
        }
        if self.shared.scope == Scope::Loopback && !address.ip().is_loopback() {
            return Err(format!("this node keeps to loopback: it does not reach {address}"));
        }
        let ip = address.ip();
        let one = !ip.is_unspecified() && !ip.is_multicast() && address.port() != 0;
        if one && !self.is_broadcast(address) {
            Ok(address)
        } else {
            Err(format!("{address} does not name one node"))
        }
    }

    fn is_broadcast(&self, address: SocketAddr) -> bool {
        let same = |target: &SocketAddr| target.ip() == address.ip();
        self.targets().iter().any(same)
            || matches!(address.ip(), std::net::IpAddr::V4(ip) if ip.is_broadcast())
    }
}

fn length(frame: &[IoSlice<'_>]) -> usize {
    frame.iter().fold(0, |sum, piece| sum.saturating_add(piece.len()))
}

impl Outlet for UdpOutlet {
    fn try_send(&mut self, to: Dest, frame: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
        match to {
            Dest::Link(link) => self.send_on(link, frame),
            Dest::Broadcast(_) if !self.limits.broadcast => Err(SendRefused::Unreachable),
            Dest::Broadcast(_) if length(frame) > self.limits.max_broadcast => {
                Err(SendRefused::TooLarge)
            }
            Dest::Broadcast(_) => self.broadcast(frame),
        }
    }

    fn connect(&mut self, to: &Endpoint) {
        let dialled = self.dialled(to);
        self.shared.leave(|state| {
            let reason = match dialled {
                Err(reason) => reason,
                Ok(address) => {
                    let view = &state.view;
                    let origin = |address: SocketAddr| view.origin(address.ip());
                    match state.links.link(address, Initiator::Us, origin) {
                        Some((link, _)) => return state.links.announce(link),
                        None => "the table of links is full".to_owned(),
                    }
                }
            };
            state.links.fail(to.clone(), reason);
        });
    }

    fn close(&mut self, link: LinkId, _: Close) {
        // A datagram that was taken is the kernel's already: there is nothing to flush.
        self.shared.leave(|state| state.links.close(link));
    }
}
