//! Large messages that are put together on all connections: who makes room when they hold as much
//! as they may.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Core;
use super::newcomer::neighbourhood;
use crate::endpoint::LinkId;
use crate::time::Time;

impl Core {
    /// Turns away messages until the rest hold no more than they may together: the largest of the
    /// connection that holds most, of the host that holds most. So nobody needs a share of its
    /// own, and whoever brings less than others is never the one that makes room: many sessions,
    /// or connections, of one host take nothing from another.
    pub(super) fn make_room_for_messages(&mut self, now: Time) {
        // What is above the bound is the one record that has just been taken.
        while self.links.assembly.is_over() {
            let Some(link) = self.holds_most() else { return };
            let Some(streams) = self.streams_of(link) else { return };
            if !streams.end_largest() {
                return;
            }
            self.outbox.again(&mut self.links, link);
            self.limit_hit(now, "max_buffered");
        }
    }

    /// The connection that makes room.
    fn holds_most(&self) -> Option<LinkId> {
        let mut hosts: BTreeMap<Option<IpAddr>, (usize, usize, Option<LinkId>)> = BTreeMap::new();
        for link in self.links.connections() {
            let held = link.streams.as_ref().map_or(0, |streams| streams.assembled());
            let host = hosts.entry(link.remote.ip().map(neighbourhood)).or_default();
            host.0 = host.0.saturating_add(held);
            if held > host.1 {
                (host.1, host.2) = (held, Some(link.id));
            }
        }
        hosts.into_values().max_by_key(|(all, ..)| *all)?.2
    }
}
