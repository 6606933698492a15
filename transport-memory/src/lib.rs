//! LANC frames between nodes of one process: the smallest complete [`Transport`].
//!
//! Read this crate first if you want to write a transport of your own. `lib.rs` is the port:
//! open, send, connect, close, receive. `network.rs` is what the port stands on, the wire of
//! this adapter: nodes behind one mutex. `node.rs` is one node's inbox and table of links.
//! Nothing here needs a runtime.
//!
//! ```
//! use lanc_core::ports::Transport;
//! use lanc_transport_memory::MemoryNetwork;
//!
//! let network = MemoryNetwork::new();
//! let transport = network.transport();
//! assert_eq!(transport.endpoint().to_string(), "memory://0");
//! assert!(transport.capabilities().broadcast);
//! ```

// Everything here reads what strangers send.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::panic
    )
)]

mod network;
mod node;

use std::io::IoSlice;
use std::task::{Context, Poll};

use async_trait::async_trait;
use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::ports::{
    Capabilities, Close, Dest, Inlet, Opened, Outlet, RecvBatch, SendRefused, Sent, Transport,
    TransportError,
};

pub use network::MemoryNetwork;
use network::{NodeId, SCHEME};

/// One node's way into a [`MemoryNetwork`]; from [`MemoryNetwork::transport`].
pub struct MemoryTransport {
    network: MemoryNetwork,
    node: NodeId,
}

impl MemoryTransport {
    /// Where others dial this node: `memory://N`. Known before the transport is opened.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::text(SCHEME, &self.node.to_string())
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn capabilities(&self) -> Capabilities {
        self.network.capabilities()
    }

    fn scheme(&self) -> &str {
        SCHEME
    }

    async fn open(&self, lane: Lane) -> Result<Opened, TransportError> {
        self.network.with(|net| net.join(self.node, lane))?;
        let half = || Half { network: self.network.clone(), node: self.node };
        Ok(Opened {
            outlet: Box::new(MemoryOutlet { half: half(), limits: self.capabilities() }),
            inlet: Box::new(MemoryInlet(half())),
            local: self.endpoint(),
        })
    }
}

/// What both halves hold. A node without either of them cannot take part, so the first one
/// that is dropped takes the node off the network.
struct Half {
    network: MemoryNetwork,
    node: NodeId,
}

impl Drop for Half {
    fn drop(&mut self) {
        self.network.with(|net| net.leave(self.node));
    }
}

struct MemoryOutlet {
    half: Half,
    limits: Capabilities,
}

impl Outlet for MemoryOutlet {
    fn try_send(&mut self, to: Dest, frame: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
        // Checked before the pieces are put together: a caller that offers too much costs nothing.
        let length = frame.iter().fold(0usize, |sum, piece| sum.saturating_add(piece.len()));
        let most = match to {
            Dest::Link(_) => self.limits.max_frame,
            Dest::Broadcast(_) => self.limits.max_broadcast,
        };
        if length > most {
            return Err(SendRefused::TooLarge);
        }
        let node = self.half.node;
        self.half.network.with(|net| match to {
            Dest::Link(link) => net.send(node, link, frame),
            Dest::Broadcast(_) if self.limits.broadcast => net.broadcast(node, frame),
            Dest::Broadcast(_) => Err(SendRefused::Unreachable),
        })?;
        Ok(Sent::Whole)
    }

    fn connect(&mut self, to: &Endpoint) {
        self.half.network.with(|net| net.connect(self.half.node, to));
    }

    fn close(&mut self, link: LinkId, _: Close) {
        // An accepted frame is in the far node's inbox already: nothing is left to flush.
        self.half.network.with(|net| net.close(self.half.node, link));
    }
}

struct MemoryInlet(Half);

impl Inlet for MemoryInlet {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>> {
        self.0.network.with(|net| net.receive(self.0.node, cx, into))
    }
}
