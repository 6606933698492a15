//! The table of remote addresses, each a link, with the events that wait to be told.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;

use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::keyed::{HashKey, KeyedMap};
use lanc_core::ports::{DownReason, Initiator, LinkEvent, Origin, RecvBatch};

pub(crate) const SCHEME: &str = "udp";

/// Refused dials that wait to be told; further ones go unanswered.
const MAX_FAILED: usize = 1024;
/// Slots and events that keep their room however few there are.
const KEPT: usize = 16;

/// Bounded by its limit: a slot is used again only once its Down was told, so that at most
/// four events per slot wait.
pub(crate) struct Links {
    lane: Lane,
    limit: usize,
    frames: FrameLimits,
    by_address: KeyedMap<SocketAddr, LinkId>,
    slots: Vec<Slot>,
    /// Slots to use again. Those past the end of `slots` were given back since; `slots` grows
    /// only when this is empty.
    free: Vec<u32>,
    /// Generation of fresh slots: above that of any slot given back.
    epoch: u32,
    events: VecDeque<LinkEvent>,
    failed: usize,
    /// Links that were refused for want of room, in that order.
    blocked: Vec<LinkId>,
}

/// How large frames may be, bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameLimits {
    /// What any link carries.
    pub(crate) any: usize,
    /// What one to this very host carries.
    pub(crate) host: usize,
}

impl FrameLimits {
    fn of(self, origin: Origin) -> usize {
        if origin == Origin::Host { self.host } else { self.any }
    }
}

struct Slot {
    generation: u32,
    address: SocketAddr,
    initiator: Initiator,
    up: bool,
    /// Down, and told.
    free: bool,
    origin: Origin,
    max_frame: usize,
    blocked: bool,
    up_waits: bool,
    limit_waits: bool,
    writable_waits: bool,
}

impl Slot {
    /// Notes how large the frames of this slot's link may be. Returns what is to be told of it.
    fn carries(&mut self, link: LinkId, max_frame: usize) -> Option<LinkEvent> {
        let is_news = self.up && std::mem::replace(&mut self.max_frame, max_frame) != max_frame;
        let is_due = is_news && !std::mem::replace(&mut self.limit_waits, true);
        is_due.then_some(LinkEvent::Limit { link, max_frame })
    }
}

impl Links {
    pub(crate) fn new(lane: Lane, limit: usize, frames: FrameLimits) -> Self {
        Self {
            lane,
            limit,
            frames,
            by_address: KeyedMap::new(hash_key()),
            slots: Vec::new(),
            free: Vec::new(),
            epoch: 0,
            events: VecDeque::new(),
            failed: 0,
            blocked: Vec::new(),
        }
    }

    /// The link of `address`, made if there is none, and where its far end is. `None` when the
    /// table is full.
    pub(crate) fn link(
        &mut self,
        address: SocketAddr,
        initiator: Initiator,
        origin: impl Fn(SocketAddr) -> Origin,
    ) -> Option<(LinkId, Origin)> {
        let address = normal(address);
        if let Some(link) = self.by_address.get(&address).copied() {
            return Some((link, self.slot(link)?.origin));
        }
        let origin = origin(address);
        let fresh = Slot {
            generation: self.epoch,
            address,
            initiator,
            up: true,
            free: false,
            origin,
            max_frame: self.frames.any,
            blocked: false,
            up_waits: false,
            limit_waits: false,
            writable_waits: false,
        };
        let (slot, generation) = loop {
            let Some(slot) = self.free.pop() else {
                if self.slots.len() >= self.limit {
                    return None;
                }
                let slot = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(fresh);
                break (slot, self.epoch);
            };
            if let Some(place) = self.slots.get_mut(index(slot)) {
                let generation = place.generation.wrapping_add(1);
                *place = Slot { generation, ..fresh };
                break (slot, generation);
            }
        };
        let link = LinkId { lane: self.lane, slot, generation };
        self.by_address.insert(address, link);
        self.announce(link);
        let max_frame = self.frames.of(origin);
        let news = self.slot(link).and_then(|slot| slot.carries(link, max_frame));
        self.events.extend(news);
        Some((link, origin))
    }

    /// Tells that `link` is up, again if need be.
    pub(crate) fn announce(&mut self, link: LinkId) {
        let Some(slot) = self.slot(link).filter(|slot| !slot.up_waits) else { return };
        slot.up_waits = true;
        let (remote, initiator) = (Endpoint::socket(SCHEME, slot.address), slot.initiator);
        self.events.push_back(LinkEvent::Up { link, remote, initiator });
    }

    /// The far address of a live link, and how large its frames may be.
    pub(crate) fn target(&self, link: LinkId) -> Option<(SocketAddr, usize)> {
        let slot = self.slots.get(index(link.slot))?;
        let live = slot.up && slot.generation == link.generation && link.lane == self.lane;
        live.then_some((slot.address, slot.max_frame))
    }

    pub(crate) fn close(&mut self, link: LinkId) {
        let Some(slot) = self.slot(link) else { return };
        slot.up = false;
        let (address, blocked) = (slot.address, slot.blocked);
        self.by_address.remove(&address);
        if blocked {
            self.blocked.retain(|other| *other != link);
        }
        self.events.push_back(LinkEvent::Down { link, reason: DownReason::ClosedHere });
    }

    pub(crate) fn fail(&mut self, remote: Endpoint, reason: String) {
        if self.failed < MAX_FAILED {
            self.failed += 1;
            self.events.push_back(LinkEvent::Failed { remote, reason, is_refused: false });
        }
    }

    /// Notes that a setting was in the way, until that is told.
    pub(crate) fn limited(&mut self, limit: &'static str) {
        let event = LinkEvent::Limited { lane: self.lane, limit };
        if !self.events.contains(&event) {
            self.events.push_back(event);
        }
    }

    /// Notes that the system dropped datagrams.
    pub(crate) fn dropped(&mut self, count: u64) {
        self.events.push_back(LinkEvent::KernelDrops { lane: self.lane, count });
    }

    pub(crate) fn interfaces_changed(&mut self, origin: impl Fn(SocketAddr) -> Origin) {
        for (slot, place) in (0..).zip(&mut self.slots) {
            place.origin = origin(place.address);
            let link = LinkId { lane: self.lane, slot, generation: place.generation };
            self.events.extend(place.carries(link, self.frames.of(place.origin)));
        }
        let event = LinkEvent::InterfacesChanged(self.lane);
        if !self.events.contains(&event) {
            self.events.push_back(event);
        }
    }

    /// Notes that `link` had no room and is owed a Writable.
    pub(crate) fn block(&mut self, link: LinkId) {
        if let Some(slot) = self.slot(link)
            && !std::mem::replace(&mut slot.blocked, true)
        {
            self.blocked.push(link);
        }
    }

    /// Says Writable for every link that had no room.
    pub(crate) fn unblock(&mut self) {
        for link in std::mem::take(&mut self.blocked) {
            let Some(slot) = self.slot(link) else { continue };
            slot.blocked = false;
            if !std::mem::replace(&mut slot.writable_waits, true) {
                self.events.push_back(LinkEvent::Writable(link));
            }
        }
    }

    /// Moves the waiting events out; says whether there were any.
    pub(crate) fn tell(&mut self, into: &mut RecvBatch) -> bool {
        let any = !self.events.is_empty();
        while let Some(mut event) = self.events.pop_front() {
            self.told(&mut event);
            into.event(event);
        }
        self.events.shrink_to(KEPT);
        any
    }

    fn told(&mut self, event: &mut LinkEvent) {
        match event {
            // The slot is free from here on; nobody else holds this generation of it.
            LinkEvent::Down { link, .. } => self.release(link.slot),
            LinkEvent::Up { link, .. } => {
                if let Some(slot) = self.slots.get_mut(index(link.slot)) {
                    slot.up_waits = false;
                }
            }
            LinkEvent::Writable(link) => {
                if let Some(slot) = self.slots.get_mut(index(link.slot)) {
                    slot.writable_waits = false;
                }
            }
            LinkEvent::Failed { .. } => self.failed = self.failed.saturating_sub(1),
            LinkEvent::Limit { link, max_frame } => {
                if let Some(slot) = self.slots.get_mut(index(link.slot)) {
                    slot.limit_waits = false;
                    // It may have changed once more while this waited.
                    *max_frame = slot.max_frame;
                }
            }
            LinkEvent::Limited { .. }
            | LinkEvent::KernelDrops { .. }
            | LinkEvent::InterfacesChanged(_) => {}
        }
    }

    fn release(&mut self, slot: u32) {
        let Some(place) = self.slots.get_mut(index(slot)) else { return };
        place.free = true;
        self.free.push(slot);
        if index(slot) + 1 == self.slots.len() {
            self.give_back();
        }
    }

    /// Gives back the free end of a table that a crowd has grown.
    fn give_back(&mut self) {
        while self.slots.len() > KEPT {
            let Some(slot) = self.slots.pop_if(|slot| slot.free) else { break };
            self.epoch = self.epoch.max(slot.generation.wrapping_add(1));
        }
        let end = self.slots.len();
        if self.slots.capacity() > 4 * end.max(KEPT) {
            self.slots.shrink_to(2 * end);
            self.free.retain(|slot| index(*slot) < end);
            self.free.shrink_to(2 * end);
        }
    }

    /// The slot of a live link.
    fn slot(&mut self, link: LinkId) -> Option<&mut Slot> {
        let lane = self.lane;
        let slot = self.slots.get_mut(index(link.slot))?;
        (slot.up && slot.generation == link.generation && link.lane == lane).then_some(slot)
    }
}

/// The address as a key: what routers may write into an IPv6 header is no part of it.
fn normal(mut address: SocketAddr) -> SocketAddr {
    if let SocketAddr::V6(v6) = &mut address {
        v6.set_flowinfo(0);
    }
    address
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

/// A key that nobody on the network can guess, from the process's own random state.
fn hash_key() -> HashKey {
    let random = RandomState::new();
    let (high, low) = (random.hash_one(0u8), random.hash_one(1u8));
    HashKey::new((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanc_core::ports::Arrived;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn links(limit: usize) -> Links {
        Links::new(Lane(1), limit, FrameLimits { any: 1472, host: 4096 })
    }

    fn heard(links: &mut Links, port: u16) -> Option<LinkId> {
        links.link(address(port), Initiator::Them, |_| Origin::Network).map(|(link, _)| link)
    }

    fn events(links: &mut Links) -> Vec<LinkEvent> {
        let (mut batch, mut events) = (RecvBatch::default(), Vec::new());
        links.tell(&mut batch);
        batch.drain(|arrived| {
            if let Arrived::Event(event) = arrived {
                events.push(event);
            }
        });
        events
    }

    #[test]
    fn the_address_past_the_limit_has_no_link_until_one_is_closed_and_told() {
        let mut links = links(2);
        let first = heard(&mut links, 1).unwrap();
        assert!(heard(&mut links, 2).is_some());
        assert_eq!(heard(&mut links, 3), None);
        assert_eq!(heard(&mut links, 1), Some(first));
        links.close(first);
        assert_eq!(heard(&mut links, 3), None);
        assert_eq!(events(&mut links).len(), 3);
        let third = heard(&mut links, 3).unwrap();
        assert_eq!((third.slot, third.generation), (first.slot, first.generation + 1));
        assert_eq!(links.target(first), None);
        assert_eq!(links.target(third), Some((address(3), 1472)));
    }

    #[test]
    fn what_a_crowd_has_grown_is_given_back_and_stale_ids_stay_stale() {
        let mut links = links(8192);
        let crowd: Vec<_> = (1..=8192).map(|port| heard(&mut links, port).unwrap()).collect();
        assert_eq!(heard(&mut links, 9000), None);
        for link in &crowd {
            links.close(*link);
        }
        events(&mut links);
        assert!(links.slots.capacity() <= 4 * KEPT && links.free.capacity() <= 4 * KEPT);
        assert!(links.events.capacity() <= 2 * KEPT);
        let again: Vec<_> = (1..=8192).map(|port| heard(&mut links, port).unwrap()).collect();
        assert_eq!(heard(&mut links, 9000), None);
        assert!(crowd.iter().all(|link| links.target(*link).is_none()));
        assert!(again.iter().all(|link| links.target(*link).is_some()));
    }

    #[test]
    fn waiting_events_do_not_pile_up() {
        let mut links = links(2);
        let link = heard(&mut links, 1).unwrap();
        for _ in 0..10_000 {
            links.announce(link);
            links.block(link);
            links.unblock();
            links.interfaces_changed(|_| Origin::Host);
            links.interfaces_changed(|_| Origin::Network);
        }
        assert_eq!(events(&mut links).len(), 4);
        for _ in 0..=MAX_FAILED {
            links.fail(Endpoint::text("x", "y"), String::new());
        }
        assert_eq!(events(&mut links).len(), MAX_FAILED);
        links.fail(Endpoint::text("x", "y"), String::new());
        assert_eq!(events(&mut links).len(), 1);
    }

    #[test]
    fn a_blocked_link_becomes_writable_once_unless_it_was_closed() {
        let mut links = links(4);
        let (kept, closed) = (heard(&mut links, 1).unwrap(), heard(&mut links, 2).unwrap());
        events(&mut links);
        links.block(kept);
        links.block(kept);
        links.block(closed);
        links.close(closed);
        links.unblock();
        links.unblock();
        let down = LinkEvent::Down { link: closed, reason: DownReason::ClosedHere };
        assert_eq!(events(&mut links), [down, LinkEvent::Writable(kept)]);
    }

    #[test]
    fn how_large_frames_may_be_follows_where_the_far_end_is() {
        let mut links = links(4);
        let (near, _) = links.link(address(1), Initiator::Us, |_| Origin::Host).unwrap();
        let far = heard(&mut links, 2).unwrap();
        let limit = |link, max_frame| LinkEvent::Limit { link, max_frame };
        let told = |links: &mut Links| {
            let mut events = events(links);
            events.retain(|event| matches!(event, LinkEvent::Limit { .. }));
            events
        };
        assert_eq!(told(&mut links), [limit(near, 4096)], "of the other it is no news");
        let here = |at: SocketAddr| if at.port() == 2 { Origin::Host } else { Origin::Network };
        links.interfaces_changed(here);
        assert_eq!(told(&mut links), [limit(near, 1472), limit(far, 4096)]);
        assert_eq!(links.target(far), Some((address(2), 4096)));
    }

    #[test]
    fn nearness_follows_the_interfaces() {
        let mut links = links(4);
        let far = |_| Origin::Beyond;
        assert_eq!(links.link(address(1), Initiator::Us, far).unwrap().1, Origin::Beyond);
        links.interfaces_changed(|_| Origin::Network);
        assert_eq!(links.link(address(1), Initiator::Us, far).unwrap().1, Origin::Network);
    }
}
