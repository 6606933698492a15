//! What a scenario may look at.

use std::net::SocketAddr;
use std::sync::Arc;

use lanc_core::event::Event;
use lanc_core::id::SessionId;
use lanc_core::{Core, PeerInfo, Tables, Time};

use super::check;
use super::node::NodeId;
use super::world::World;

/// How much was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Datagrams to one address.
    pub unicasts: u64,
    /// Datagrams to a whole segment, each counted once.
    pub broadcasts: u64,
    /// Bytes of both, a broadcast counted once.
    pub bytes: u64,
}

impl Traffic {
    /// Datagrams of both kinds.
    pub fn datagrams(&self) -> u64 {
        self.unicasts + self.broadcasts
    }

    pub(super) fn count(&mut self, broadcast: bool, bytes: usize) {
        if broadcast {
            self.broadcasts += 1;
        } else {
            self.unicasts += 1;
        }
        self.bytes += u64::try_from(bytes).unwrap_or(0);
    }
}

/// A frame that was sent.
#[derive(Clone)]
pub struct Frame {
    /// When.
    pub at: Time,
    /// By whom.
    pub from: NodeId,
    /// To which address; `None` for a broadcast.
    pub to: Option<SocketAddr>,
    /// What, as it went.
    pub bytes: Arc<[u8]>,
    /// What it held before it was sealed; the same in open mode.
    pub plain: Arc<[u8]>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let to = self.to.map_or("everybody".to_owned(), |to| to.to_string());
        write!(f, "{:?} {:?} to {to}: {}", self.at, self.from, self.text().escape_debug())
    }
}

impl Frame {
    /// Whether it held, before it was sealed, a message of this method.
    pub fn has(&self, method: &str) -> bool {
        check::has_method(&self.plain, method)
    }

    /// Its text before it was sealed.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.plain).into_owned()
    }
}

impl World {
    /// Whether a node's process lives.
    pub fn is_alive(&self, node: NodeId) -> bool {
        self.nodes[node.0].life.is_some()
    }

    /// Whether a node's process lives and is not stopped.
    pub fn is_awake(&self, node: NodeId) -> bool {
        self.is_alive(node) && !self.nodes[node.0].paused
    }

    /// Whether a node's process lives and has not begun to go down.
    pub fn is_open(&self, node: NodeId) -> bool {
        self.nodes[node.0].life.as_ref().is_some_and(|life| !life.draining)
    }

    /// A node's core.
    ///
    /// # Panics
    /// When the node is dead.
    pub fn core(&self, node: NodeId) -> &Core {
        match &self.nodes[node.0].life {
            Some(life) => &life.core,
            None => panic!("{node:?} is dead"),
        }
    }

    /// A node's session.
    pub fn session(&self, node: NodeId) -> SessionId {
        self.core(node).session()
    }

    /// A node's address.
    pub fn address(&self, node: NodeId) -> SocketAddr {
        self.air.addresses.address(self.nodes[node.0].address)
    }

    /// A node's peers, by name.
    pub fn peers(&self, node: NodeId) -> Vec<PeerInfo> {
        self.core(node).peers(self.now())
    }

    /// What a node knows of one peer.
    pub fn peer(&self, node: NodeId, name: &str) -> Option<PeerInfo> {
        self.peers(node).into_iter().find(|peer| peer.name == name)
    }

    /// Who offers a function, as a node sees it; the latest announcer first.
    pub fn providers(&self, node: NodeId, function: &str) -> Vec<String> {
        let functions = self.core(node).functions().into_iter();
        functions.filter(|f| f.name == function).flat_map(|f| f.providers).collect()
    }

    /// How full a node's tables are.
    pub fn tables(&self, node: NodeId) -> Tables {
        self.core(node).tables()
    }

    /// A node's events, as many as are kept.
    pub fn events(&self, node: NodeId) -> impl Iterator<Item = (Time, &Event)> {
        self.nodes[node.0].events.iter().map(|(at, event)| (*at, event))
    }

    /// What a node has sent in all its lives.
    pub fn sent(&self, node: NodeId) -> Traffic {
        self.nodes[node.0].traffic
    }

    /// What all nodes have sent.
    pub fn traffic(&self) -> Traffic {
        self.air.traffic
    }

    /// The frames sent since [`World::record_frames`].
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.air.recorded.iter()
    }
}
