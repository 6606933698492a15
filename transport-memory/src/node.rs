//! One node of the network: its inbox and its links.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::task::Waker;

use lanc_core::endpoint::{Lane, LinkId};
use lanc_core::ports::{Cast, Initiator, LinkEvent};

use crate::network::{MAX_LINKS, NodeId, endpoint};

pub(crate) struct Node {
    lane: Lane,
    slots: Vec<Slot>,
    /// The live link to each far node; there is at most one per pair.
    pub(crate) by_node: BTreeMap<NodeId, LinkId>,
    pub(crate) inbox: VecDeque<Item>,
    /// Frames in `inbox`.
    pub(crate) frames: usize,
    pub(crate) waker: Option<Waker>,
}

/// A place for a link. It is used again, with the next generation, once its Down was read.
pub(crate) struct Slot {
    generation: u32,
    pub(crate) state: State,
    /// Unread frames that came on this link.
    pub(crate) unread: usize,
    /// This link's sender was refused and waits for [`LinkEvent::Writable`].
    pub(crate) sender_waits: bool,
    /// A Writable for this link lies unread in the inbox: a second one would say nothing new.
    pub(crate) writable_unread: bool,
}

impl Slot {
    fn new(generation: u32, far: NodeId) -> Self {
        let state = State::Up { far };
        Self { generation, state, unread: 0, sender_waits: false, writable_unread: false }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum State {
    Free,
    Up { far: NodeId },
    Closing,
}

pub(crate) enum Item {
    Event(LinkEvent),
    Frame { link: LinkId, cast: Cast, bytes: Vec<u8> },
}

impl Node {
    pub(crate) fn new(lane: Lane) -> Self {
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
    pub(crate) fn link_to(&mut self, far: NodeId, initiator: Initiator) -> Option<LinkId> {
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

    pub(crate) fn slot(&mut self, link: LinkId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(usize::try_from(link.slot).ok()?)?;
        (slot.generation == link.generation).then_some(slot)
    }

    pub(crate) fn slot_from(&mut self, far: NodeId) -> Option<&mut Slot> {
        let link = *self.by_node.get(&far)?;
        self.slot(link)
    }

    /// The far node of a live link.
    pub(crate) fn far(&self, link: LinkId) -> Option<NodeId> {
        let slot = self.slots.get(usize::try_from(link.slot).ok()?)?;
        match slot.state {
            State::Up { far } if slot.generation == link.generation => Some(far),
            _ => None,
        }
    }

    /// Notes that a frame of `link` was read; returns the sender if it waits for the room.
    pub(crate) fn was_read(&mut self, link: LinkId) -> Option<NodeId> {
        let slot = self.slot(link)?;
        slot.unread = slot.unread.saturating_sub(1);
        let State::Up { far } = slot.state else { return None };
        mem::take(&mut slot.sender_waits).then_some(far)
    }

    /// Notes that an event leaves the inbox.
    pub(crate) fn was_told(&mut self, event: &LinkEvent) {
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
