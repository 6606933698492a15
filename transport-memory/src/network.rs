//! The network itself: nodes behind one mutex, and what passes between them.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::ports::{
    Capabilities, Cast, DownReason, Initiator, LinkEvent, Origin, RecvBatch, SendRefused,
    TransportError,
};

use crate::MemoryTransport;
use crate::node::{Item, Node, State};

pub(crate) const SCHEME: &str = "memory";

/// Frames that wait in a node's inbox before further ones are dropped.
const INBOX: usize = 1024;
/// Frames of one link that wait before its sender hears [`SendRefused::Full`] (connected mode).
const ROOM: usize = 64;
/// Links of one node.
pub(crate) const MAX_LINKS: usize = 1024;
/// Events in a node's inbox before its own `connect` calls are ignored.
const MAX_EVENTS: usize = 4 * MAX_LINKS;
/// Buffers of read frames that are kept for the next ones.
const SPARE: usize = 64;

pub(crate) type NodeId = u64;

/// A network that nodes of one process share. A handle: clones are the same network.
#[derive(Clone)]
pub struct MemoryNetwork {
    shared: Arc<Mutex<Net>>,
    connected: bool,
    max_frame: Option<usize>,
}

impl Default for MemoryNetwork {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryNetwork {
    /// A network that behaves like datagrams: whoever sends has a link, broadcasts reach
    /// everybody, and frames for a node with 1024 unread ones are dropped and counted.
    pub fn new() -> Self {
        Self { shared: Arc::new(Mutex::new(Net::default())), connected: false, max_frame: None }
    }

    /// Makes it a network that behaves like connections: links come up on both sides by
    /// `connect`, carry every frame in order and refuse more than 64 unread ones; there is no
    /// broadcast. To be said before the first [`Self::transport`].
    #[must_use]
    pub fn connected(self) -> Self {
        self.with(|net| net.connected = true);
        Self { connected: true, ..self }
    }

    /// Sets the largest frame in bytes, 1200 at least. Default 1472, and 64 KiB for connections.
    /// To be said before the first [`Self::transport`].
    #[must_use]
    pub fn with_max_frame(self, bytes: usize) -> Self {
        Self { max_frame: Some(bytes.max(1200)), ..self }
    }

    /// A new node's transport. The node joins when the transport is opened, and leaves when
    /// one of the two halves is dropped.
    pub fn transport(&self) -> MemoryTransport {
        let node = self.with(|net| {
            net.named += 1;
            net.named - 1
        });
        MemoryTransport { network: self.clone(), node }
    }

    /// How many frames were lost: the inbox was full, or the far node had left.
    pub fn dropped(&self) -> u64 {
        self.with(|net| net.dropped)
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        Capabilities {
            max_frame: self.max_frame.unwrap_or(if self.connected { 64 * 1024 } else { 1472 }),
            max_broadcast: 1024,
            reliable: self.connected,
            ordered: self.connected,
            broadcast: !self.connected,
            connected: self.connected,
        }
    }

    /// Works on the network, then wakes whom that concerns. A waker may run other code, so it
    /// is only called once the lock is free.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Net) -> R) -> R {
        let (result, wakers) = {
            let mut net = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            let result = work(&mut net);
            let last = net.to_wake.pop();
            // Mostly there is but one: the list keeps its room.
            let others = if net.to_wake.is_empty() { vec![] } else { mem::take(&mut net.to_wake) };
            (result, others.into_iter().chain(last))
        };
        wakers.for_each(Waker::wake);
        result
    }
}

#[derive(Default)]
pub(crate) struct Net {
    connected: bool,
    named: NodeId,
    nodes: BTreeMap<NodeId, Node>,
    dropped: u64,
    to_wake: Vec<Waker>,
    spare: Vec<Vec<u8>>,
}

impl Net {
    pub(crate) fn join(&mut self, id: NodeId, lane: Lane) -> Result<(), TransportError> {
        if self.nodes.contains_key(&id) {
            return Err(TransportError::Io(std::io::Error::other(
                "this transport was opened before: make another with MemoryNetwork::transport",
            )));
        }
        self.nodes.insert(id, Node::new(lane));
        Ok(())
    }

    pub(crate) fn leave(&mut self, id: NodeId) {
        let Some(mut gone) = self.nodes.remove(&id) else { return };
        self.to_wake.extend(gone.waker.take());
        if self.connected {
            for far in gone.by_node.into_keys() {
                self.take_down(far, id, DownReason::ClosedThere);
            }
        }
    }

    pub(crate) fn broadcast(
        &mut self,
        from: NodeId,
        frame: &[IoSlice<'_>],
    ) -> Result<(), SendRefused> {
        if !self.nodes.contains_key(&from) {
            return Err(SendRefused::Gone);
        }
        let others: Vec<NodeId> = self.nodes.keys().copied().filter(|id| *id != from).collect();
        for to in others {
            self.deliver(from, to, frame, Cast::Broadcast);
        }
        Ok(())
    }

    pub(crate) fn send(
        &mut self,
        from: NodeId,
        link: LinkId,
        frame: &[IoSlice<'_>],
    ) -> Result<(), SendRefused> {
        let Some(far) = self.nodes.get(&from).and_then(|node| node.far(link)) else {
            return Err(SendRefused::Gone);
        };
        if self.connected {
            let slot = self.nodes.get_mut(&far).and_then(|node| node.slot_from(from));
            let Some(slot) = slot else { return Err(SendRefused::Gone) };
            if slot.unread >= ROOM {
                slot.sender_waits = true;
                return Err(SendRefused::Full);
            }
        }
        self.deliver(from, far, frame, Cast::Unicast);
        Ok(())
    }

    fn deliver(&mut self, from: NodeId, to: NodeId, frame: &[IoSlice<'_>], cast: Cast) {
        let full = |node: &Node| !self.connected && node.frames >= INBOX;
        let node = self.nodes.get_mut(&to).filter(|node| !full(node));
        let link = node.and_then(|node| {
            let link = node.link_to(from, Initiator::Them)?;
            node.slot_from(from)?.unread += 1;
            node.frames += 1;
            let mut bytes = self.spare.pop().unwrap_or_default();
            bytes.clear();
            frame.iter().for_each(|piece| bytes.extend_from_slice(piece));
            node.inbox.push_back(Item::Frame { link, cast, bytes });
            self.to_wake.extend(node.waker.take());
            Some(link)
        });
        if link.is_none() {
            self.dropped += 1;
        }
    }

    pub(crate) fn connect(&mut self, from: NodeId, to: &Endpoint) {
        let far = (to.scheme() == SCHEME).then(|| to.address().parse::<NodeId>().ok()).flatten();
        let is_refused =
            self.connected && far.is_some_and(|far| far != from && !self.nodes.contains_key(&far));
        let result = match far {
            None => Err(format!("`{to}` is no endpoint of this transport: write {SCHEME}://N")),
            Some(far) if far == from => Err(format!("{to} is this node itself")),
            Some(_) if is_refused => Err(format!("nobody is at {to}")),
            Some(far) => self.link_both(from, far),
        };
        let Err(reason) = result else { return };
        self.tell(from, LinkEvent::Failed { remote: to.clone(), reason, is_refused });
    }

    fn link_both(&mut self, from: NodeId, far: NodeId) -> Result<(), String> {
        let full = || format!("one of the two nodes has {MAX_LINKS} links already");
        let known = self.nodes.get(&from).and_then(|node| node.by_node.get(&far)).copied();
        if let Some(link) = known {
            let initiator = Initiator::Us;
            self.tell(from, LinkEvent::Up { link, remote: endpoint(far), initiator });
            return Ok(());
        }
        // Datagrams need no consent: the far node learns of the link by its first frame.
        if self.connected {
            let node = self.nodes.get_mut(&far).ok_or_else(full)?;
            node.link_to(from, Initiator::Them).ok_or_else(full)?;
            self.to_wake.extend(node.waker.take());
        }
        let ours = self.nodes.get_mut(&from).and_then(|node| {
            self.to_wake.extend(node.waker.take());
            node.link_to(far, Initiator::Us)
        });
        if ours.is_none() {
            self.take_down(far, from, DownReason::Broken);
        }
        ours.map(|_| ()).ok_or_else(full)
    }

    pub(crate) fn close(&mut self, from: NodeId, link: LinkId) {
        let Some(far) = self.nodes.get(&from).and_then(|node| node.far(link)) else { return };
        self.take_down(from, far, DownReason::ClosedHere);
        if self.connected {
            self.take_down(far, from, DownReason::ClosedThere);
        }
    }

    /// Takes down the link that `at` has with `far`.
    fn take_down(&mut self, at: NodeId, far: NodeId, reason: DownReason) {
        let Some(node) = self.nodes.get_mut(&at) else { return };
        let Some(link) = node.by_node.remove(&far) else { return };
        if let Some(slot) = node.slot(link) {
            slot.state = State::Closing;
        }
        node.inbox.push_back(Item::Event(LinkEvent::Down { link, reason }));
        self.to_wake.extend(node.waker.take());
    }

    /// Tells a node the answer to what it asked for itself.
    fn tell(&mut self, id: NodeId, event: LinkEvent) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.inbox.len() - node.frames < MAX_EVENTS {
            node.inbox.push_back(Item::Event(event));
            self.to_wake.extend(node.waker.take());
        }
    }

    pub(crate) fn receive(
        &mut self,
        id: NodeId,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>> {
        let Some(node) = self.nodes.get_mut(&id) else {
            return Poll::Ready(Err(TransportError::Closed));
        };
        if node.inbox.is_empty() {
            node.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut writable = Vec::new();
        while into.has_room() {
            match node.inbox.pop_front() {
                Some(Item::Event(event)) => {
                    node.was_told(&event);
                    into.event(event);
                }
                Some(Item::Frame { link, cast, bytes }) => {
                    into.push(&bytes, link, cast, Origin::Network);
                    if self.spare.len() < SPARE {
                        self.spare.push(bytes);
                    }
                    node.frames -= 1;
                    writable.extend(node.was_read(link));
                }
                None => break,
            }
        }
        for sender in writable {
            self.tell_writable(sender, id);
        }
        Poll::Ready(Ok(()))
    }

    fn tell_writable(&mut self, sender: NodeId, reader: NodeId) {
        let Some(node) = self.nodes.get_mut(&sender) else { return };
        let Some(link) = node.by_node.get(&reader).copied() else { return };
        let Some(slot) = node.slot(link) else { return };
        if mem::replace(&mut slot.writable_unread, true) {
            return;
        }
        node.inbox.push_back(Item::Event(LinkEvent::Writable(link)));
        self.to_wake.extend(node.waker.take());
    }
}

pub(crate) fn endpoint(node: NodeId) -> Endpoint {
    Endpoint::text(SCHEME, &node.to_string())
}
