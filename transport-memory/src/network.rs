//! The network itself: nodes with their inboxes and links, behind one mutex.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::ports::{
    Capabilities, Cast, DownReason, Initiator, LinkEvent, RecvBatch, SendRefused, TransportError,
};

use crate::MemoryTransport;

pub(crate) const SCHEME: &str = "memory";

/// Frames that wait in a node's inbox before further ones are dropped.
const INBOX: usize = 1024;
/// Frames of one link that wait before its sender hears [`SendRefused::Full`] (connected mode).
const ROOM: usize = 64;
/// Links of one node.
const MAX_LINKS: usize = 1024;
/// Events in a node's inbox before its own `connect` calls are ignored.
const MAX_EVENTS: usize = 4 * MAX_LINKS;

pub(crate) type NodeId = u64;

/// A network that nodes of one process share. A handle: clones are the same network.
#[derive(Clone)]
pub struct MemoryNetwork {
    shared: Arc<Mutex<Net>>,
    connected: bool,
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
        Self { shared: Arc::new(Mutex::new(Net::default())), connected: false }
    }

    /// Makes it a network that behaves like connections: links come up on both sides by
    /// `connect`, carry every frame in order and refuse more than 64 unread ones; there is no
    /// broadcast. To be said before the first [`Self::transport`].
    #[must_use]
    pub fn connected(self) -> Self {
        self.with(|net| net.connected = true);
        Self { connected: true, ..self }
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
            max_frame: if self.connected { 64 * 1024 } else { 1472 },
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
            (result, mem::take(&mut net.to_wake))
        };
        wakers.into_iter().for_each(Waker::wake);
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
}

struct Node {
    lane: Lane,
    slots: Vec<Slot>,
    /// The live link to each far node; there is at most one per pair.
    by_node: BTreeMap<NodeId, LinkId>,
    inbox: VecDeque<Item>,
    /// Frames in `inbox`.
    frames: usize,
    waker: Option<Waker>,
}

/// A place for a link. It is used again, with the next generation, once its Down was read.
struct Slot {
    generation: u32,
    state: State,
    /// Unread frames that came on this link.
    unread: usize,
    /// This link's sender was refused and waits for [`LinkEvent::Writable`].
    sender_waits: bool,
    /// A Writable for this link lies unread in the inbox: a second one would say nothing new.
    writable_unread: bool,
}

impl Slot {
    fn new(generation: u32, far: NodeId) -> Self {
        let state = State::Up { far };
        Self { generation, state, unread: 0, sender_waits: false, writable_unread: false }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Free,
    Up { far: NodeId },
    Closing,
}

enum Item {
    Event(LinkEvent),
    Frame { link: LinkId, cast: Cast, bytes: Vec<u8> },
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

    pub(crate) fn broadcast(&mut self, from: NodeId, bytes: &[u8]) -> Result<(), SendRefused> {
        if !self.nodes.contains_key(&from) {
            return Err(SendRefused::Gone);
        }
        let others: Vec<NodeId> = self.nodes.keys().copied().filter(|id| *id != from).collect();
        for to in others {
            self.deliver(from, to, bytes.to_vec(), Cast::Broadcast);
        }
        Ok(())
    }

    pub(crate) fn send(
        &mut self,
        from: NodeId,
        link: LinkId,
        bytes: Vec<u8>,
        cast: Cast,
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
        self.deliver(from, far, bytes, cast);
        Ok(())
    }

    fn deliver(&mut self, from: NodeId, to: NodeId, bytes: Vec<u8>, cast: Cast) {
        let full = |node: &Node| !self.connected && node.frames >= INBOX;
        let node = self.nodes.get_mut(&to).filter(|node| !full(node));
        let link = node.and_then(|node| {
            let link = node.link_to(from, Initiator::Them)?;
            node.slot_from(from)?.unread += 1;
            node.frames += 1;
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
        let result = match far {
            None => Err(format!("`{to}` is no endpoint of this transport: write {SCHEME}://N")),
            Some(far) if far == from => Err(format!("{to} is this node itself")),
            Some(far) if self.connected && !self.nodes.contains_key(&far) => {
                Err(format!("nobody is at {to}"))
            }
            Some(far) => self.link_both(from, far),
        };
        let Err(reason) = result else { return };
        self.tell(from, LinkEvent::Failed { remote: to.clone(), reason });
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
                    into.push(&bytes, link, cast, true);
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

impl Node {
    fn new(lane: Lane) -> Self {
        Self {
            lane,
            slots: Vec::new(),
            by_node: BTreeMap::new(),
            inbox: VecDeque::new(),
            frames: 0,
            waker: None,
        }
    }

    /// The link to `far`, made (and announced) if there is none; `None` when the table is full.
    fn link_to(&mut self, far: NodeId, initiator: Initiator) -> Option<LinkId> {
        if let Some(link) = self.by_node.get(&far) {
            return Some(*link);
        }
        let free = self.slots.iter().position(|slot| slot.state == State::Free);
        let index = free.unwrap_or(self.slots.len());
        if index >= MAX_LINKS {
            return None;
        }
        let generation = self.slots.get(index).map_or(0, |slot| slot.generation);
        let slot = Slot::new(generation, far);
        match self.slots.get_mut(index) {
            Some(place) => *place = slot,
            None => self.slots.push(slot),
        }
        let link = LinkId { lane: self.lane, slot: u32::try_from(index).ok()?, generation };
        self.by_node.insert(far, link);
        let event = LinkEvent::Up { link, remote: endpoint(far), initiator };
        self.inbox.push_back(Item::Event(event));
        Some(link)
    }

    fn slot(&mut self, link: LinkId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(usize::try_from(link.slot).ok()?)?;
        (slot.generation == link.generation).then_some(slot)
    }

    fn slot_from(&mut self, far: NodeId) -> Option<&mut Slot> {
        let link = *self.by_node.get(&far)?;
        self.slot(link)
    }

    /// The far node of a live link.
    fn far(&self, link: LinkId) -> Option<NodeId> {
        let slot = self.slots.get(usize::try_from(link.slot).ok()?)?;
        match slot.state {
            State::Up { far } if slot.generation == link.generation => Some(far),
            _ => None,
        }
    }

    /// Notes that a frame of `link` was read; returns the sender if it waits for the room.
    fn was_read(&mut self, link: LinkId) -> Option<NodeId> {
        let slot = self.slot(link)?;
        slot.unread = slot.unread.saturating_sub(1);
        let State::Up { far } = slot.state else { return None };
        mem::take(&mut slot.sender_waits).then_some(far)
    }

    /// Notes that an event leaves the inbox.
    fn was_told(&mut self, event: &LinkEvent) {
        match event {
            LinkEvent::Down { link, .. } => {
                let Some(slot) = self.slot(*link) else { return };
                slot.state = State::Free;
                slot.generation = slot.generation.wrapping_add(1);
            }
            LinkEvent::Writable(link) => {
                if let Some(slot) = self.slot(*link) {
                    slot.writable_unread = false;
                }
            }
            _ => {}
        }
    }
}

fn endpoint(node: NodeId) -> Endpoint {
    Endpoint::text(SCHEME, &node.to_string())
}
