//! The transport's part: numbers for the links of both lanes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lanc_core::endpoint::LinkId;

use super::{CONNECTIONS, DATAGRAMS, To};

/// The links of both lanes, as the transports number them.
#[derive(Default)]
pub(super) struct Table {
    by_address: BTreeMap<SocketAddr, LinkId>,
    /// Generation of each slot, and the far end while it is taken.
    slots: Vec<(u32, Option<SocketAddr>)>,
    free: Vec<u32>,
    connections: BTreeMap<u32, LinkId>,
    next: u32,
}

impl Table {
    /// The link of an address, and whether it is new.
    pub(super) fn datagrams(&mut self, from: SocketAddr) -> (LinkId, bool) {
        if let Some(link) = self.by_address.get(&from) {
            return (*link, false);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let link = LinkId { lane: DATAGRAMS, slot, generation: self.slot(slot).0 };
        self.slot(slot).1 = Some(from);
        self.by_address.insert(from, link);
        (link, true)
    }

    fn slot(&mut self, slot: u32) -> &mut (u32, Option<SocketAddr>) {
        &mut self.slots[usize::try_from(slot).unwrap_or(usize::MAX)]
    }

    /// A new connection.
    pub(super) fn connection(&mut self) -> LinkId {
        let link = LinkId { lane: CONNECTIONS, slot: self.next, generation: 0 };
        self.connections.insert(self.next, link);
        self.next += 1;
        link
    }

    pub(super) fn is_up(&self, link: LinkId) -> bool {
        if link.lane == CONNECTIONS {
            return self.connections.contains_key(&link.slot);
        }
        self.by_address.values().any(|up| *up == link)
    }

    pub(super) fn all(&self) -> Vec<LinkId> {
        self.by_address.values().chain(self.connections.values()).copied().collect()
    }

    /// Where frames of a link go.
    ///
    /// # Panics
    /// When it is no link.
    pub(super) fn to(&mut self, link: LinkId) -> To {
        assert!(self.is_up(link), "a frame for {link:?}, which is no link");
        if link.lane == CONNECTIONS {
            return To::Connection(link);
        }
        self.slot(link.slot).1.map_or(To::Everybody, To::Address)
    }

    /// `false`: it was closed before.
    pub(super) fn close(&mut self, link: LinkId) -> bool {
        if link.lane == CONNECTIONS {
            return self.connections.remove(&link.slot).is_some();
        }
        if !self.is_up(link) {
            return false;
        }
        let slot = self.slot(link.slot);
        slot.0 += 1;
        if let Some(from) = slot.1.take() {
            self.by_address.remove(&from);
        }
        self.free.push(link.slot);
        true
    }
}
