//! A broadcast on its way to a whole segment: one thing that is going to happen for all whom it
//! reaches in the same moment, as a thousand nodes that speak at once would else be a million.

use std::sync::Arc;
use std::thread::ScopedJoinHandle;

use lanc_core::Time;
use lanc_core::ports::Cast;

use super::glance::Cause;
use super::hear::{Heard, Surroundings};
use super::network::AddressId;
use super::node::{Datagram, NodeId};
use super::step::{Arrival, Happening};
use super::world::{Air, World};

/// From so many on it is worth a thread to let some of them hear beside the others.
const CROWD: usize = 200;

/// Who says something to everybody.
#[derive(Clone, Copy)]
pub(super) struct Sender {
    pub(super) node: NodeId,
    pub(super) address: AddressId,
}

/// A broadcast that arrives unharmed at several members, in this order.
pub(super) struct FanOut {
    from: AddressId,
    to: Vec<NodeId>,
    bytes: Arc<[u8]>,
    cause: Cause,
}

impl FanOut {
    fn datagram(&self) -> Datagram {
        let (cast, bytes) = (Cast::Broadcast, Arc::clone(&self.bytes));
        Datagram {
            from: self.from,
            cast,
            bytes,
            cause: self.cause,
            damaged: false,
            strange: false,
            cargo: None,
        }
    }
}

impl Air {
    /// Sends a broadcast to the members of a segment, its sender among them.
    pub(super) fn bring_to_members(
        &mut self,
        now: Time,
        segment: u8,
        sender: Sender,
        bytes: &Arc<[u8]>,
        cause: Cause,
    ) {
        let Some(members) = self.segments.remove(&segment) else { return };
        let from = sender.address;
        let (mut at, mut reached) = (now, Vec::new());
        let send = |air: &mut Self, at: Time, to: &mut Vec<NodeId>| {
            if !to.is_empty() {
                let (to, bytes) = (std::mem::take(to), Arc::clone(bytes));
                let fan_out = FanOut { from, to, bytes, cause };
                air.schedule(at, Happening::FanOut(Box::new(fan_out)));
            }
        };
        for to in &members {
            for copy in self.network.carry(sender.node, *to, bytes).into_iter().flatten() {
                let due = now + copy.after;
                // What has a time or a shape of its own keeps its place among the others.
                if copy.damaged || due != at {
                    send(self, at, &mut reached);
                }
                if copy.damaged {
                    let arrival = Arrival::of(copy, from, Some(*to), from, Cast::Broadcast, cause);
                    self.schedule(due, Happening::Arrival(arrival));
                } else {
                    at = due;
                    reached.push(*to);
                }
            }
        }
        send(self, at, &mut reached);
        self.segments.insert(segment, members);
    }
}

impl World {
    pub(super) fn fan_out(&mut self, fan_out: FanOut) {
        // The first is counted.
        let more = u64::try_from(fan_out.to.len()).unwrap_or(0).saturating_sub(1);
        self.steps += more;
        if fan_out.to.len() < CROWD || !fan_out.to.is_sorted_by(|one, next| one < next) {
            for to in &fan_out.to {
                if self.violation.is_none() {
                    self.deliver(*to, fan_out.datagram());
                }
            }
            return;
        }
        let all = self.hear_together(&fan_out);
        for (to, heard) in fan_out.to.into_iter().zip(all) {
            if let Some(heard) = heard.filter(|_| self.violation.is_none()) {
                let cause = self.heard(to, heard);
                self.pump(to, cause);
            }
        }
    }

    /// Lets a crowd hear, on every processor. Nobody's outputs leave before all have heard: what
    /// they say arrives later anyway, so that it is the same as one after the other.
    fn hear_together(&mut self, fan_out: &FanOut) -> Vec<Option<Heard>> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = self.nodes.len().div_ceil(threads);
        let air = Surroundings { addresses: &self.air.addresses, keys: &self.keys };
        let (now, mut rest) = (self.now, &fan_out.to[..]);
        std::thread::scope(|scope| {
            let mut parts = Vec::new();
            for (part, nodes) in self.nodes.chunks_mut(share).enumerate() {
                let first = part * share;
                let end = rest.partition_point(|to| to.index() < first + nodes.len());
                let (mine, others) = rest.split_at(end);
                rest = others;
                parts.push(scope.spawn(move || {
                    let mut buffer = Vec::new();
                    let mut hear = |to: &NodeId| {
                        let node = &mut nodes[to.index() - first];
                        node.hear(now, air, fan_out.datagram(), &mut buffer)
                    };
                    mine.iter().map(&mut hear).collect::<Vec<_>>()
                }));
            }
            let heard = |part: ScopedJoinHandle<'_, Vec<_>>| {
                part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            parts.into_iter().flat_map(heard).collect()
        })
    }
}
