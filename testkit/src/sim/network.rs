//! What the network does to a datagram on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use lanc_core::Time;

use super::dice::Dice;
use super::node::NodeId;

/// How long programs suffer from what the network did before it was healed.
const AFTERMATH: Duration = Duration::from_secs(8);

/// How a path treats datagrams. The default is a good Ethernet: nothing is lost, all arrive
/// after 200 microseconds in the order they were sent. Where delays vary, they overtake each
/// other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    loss: u32,
    duplication: u32,
    corruption: u32,
    truncation: u32,
    delay: RangeInclusive<Duration>,
}

impl Default for Rules {
    fn default() -> Self {
        let delay = Duration::from_micros(200)..=Duration::from_micros(200);
        Self { loss: 0, duplication: 0, corruption: 0, truncation: 0, delay }
    }
}

impl Rules {
    /// Loses this many of a thousand datagrams.
    #[must_use]
    pub fn loss(mut self, per_mille: u32) -> Self {
        self.loss = per_mille;
        self
    }

    /// Delivers this many of a thousand twice.
    #[must_use]
    pub fn duplication(mut self, per_mille: u32) -> Self {
        self.duplication = per_mille;
        self
    }

    /// Turns one to four bits of this many of a thousand.
    #[must_use]
    pub fn corruption(mut self, per_mille: u32) -> Self {
        self.corruption = per_mille;
        self
    }

    /// Cuts this many of a thousand short, to nothing at worst.
    #[must_use]
    pub fn truncation(mut self, per_mille: u32) -> Self {
        self.truncation = per_mille;
        self
    }

    /// Delays each by a time drawn from this range.
    #[must_use]
    pub fn delay(mut self, range: RangeInclusive<Duration>) -> Self {
        self.delay = range;
        self
    }

    /// Whether a datagram may arrive more than once.
    pub(super) fn duplicates(&self) -> bool {
        self.duplication > 0
    }
}

/// A number for each address of the world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct AddressId(pub(super) usize);

/// Every address that has been spoken of, and who owns it now.
#[derive(Default)]
pub(super) struct Addresses {
    all: Vec<(SocketAddr, usize, Option<NodeId>)>,
    by_address: BTreeMap<SocketAddr, AddressId>,
    hosts: BTreeMap<IpAddr, usize>,
}

impl Addresses {
    pub(super) fn intern(&mut self, address: SocketAddr) -> AddressId {
        let next_host = self.hosts.len();
        let host = *self.hosts.entry(address.ip()).or_insert(next_host);
        let next = AddressId(self.all.len());
        let id = *self.by_address.entry(address).or_insert(next);
        if id == next {
            self.all.push((address, host, None));
        }
        id
    }

    pub(super) fn own(&mut self, id: AddressId, owner: Option<NodeId>) {
        self.all[id.0].2 = owner;
    }

    pub(super) fn owner(&self, id: AddressId) -> Option<NodeId> {
        self.all[id.0].2
    }

    pub(super) fn address(&self, id: AddressId) -> SocketAddr {
        self.all[id.0].0
    }

    /// A number for the IP address, shared by all its ports.
    pub(super) fn host(&self, id: AddressId) -> usize {
        self.all[id.0].1
    }
}

/// The segment an address lies on: `10.SEGMENT.x.y`, `None` for any other network.
pub(super) fn segment(address: SocketAddr) -> Option<u8> {
    match address.ip() {
        IpAddr::V4(ip) if ip.octets()[0] == 10 => Some(ip.octets()[1]),
        _ => None,
    }
}

/// The copies of a datagram that arrive: after how long, and what they hold.
pub(super) type Copies = [Option<Copy>; 2];

/// One of them.
pub(super) struct Copy {
    pub(super) after: Duration,
    pub(super) bytes: Arc<[u8]>,
    /// It is not what was sent.
    pub(super) damaged: bool,
}

/// The paths between nodes.
pub(super) struct Network {
    dice: Dice,
    everywhere: Rules,
    pairs: BTreeMap<(NodeId, NodeId), Rules>,
    cuts: BTreeSet<(NodeId, NodeId)>,
    /// Until when what it did to datagrams may still show.
    bad_until: Option<Time>,
}

impl Network {
    pub(super) fn new(dice: Dice) -> Self {
        let (pairs, cuts) = (BTreeMap::new(), BTreeSet::new());
        Self { dice, everywhere: Rules::default(), pairs, cuts, bad_until: None }
    }

    pub(super) fn set(&mut self, rules: Rules) {
        self.bad_until = Some(Time::NEVER);
        self.everywhere = rules;
    }

    pub(super) fn set_pair(&mut self, from: NodeId, to: NodeId, rules: Rules) {
        self.bad_until = Some(Time::NEVER);
        self.pairs.insert((from, to), rules);
    }

    pub(super) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.bad_until = Some(Time::NEVER);
        self.cuts.insert((from, to));
    }

    /// Whether it is bad, or was a while ago.
    pub(super) fn was_bad(&self, now: Time) -> bool {
        self.bad_until.is_some_and(|until| now < until)
    }

    /// A good network again: no cuts, no rules.
    pub(super) fn heal(&mut self, now: Time) {
        self.bad_until = Some(now + AFTERMATH);
        self.cuts.clear();
        self.pairs.clear();
        self.everywhere = Rules::default();
    }

    /// What becomes of a datagram from or to a program that is no node.
    pub(super) fn carry_anywhere(&mut self, bytes: &Arc<[u8]>) -> Copies {
        let (rules, dice) = (&self.everywhere, &mut self.dice);
        let twice = dice.chance(rules.duplication);
        [true, twice].map(|sent| {
            if !sent || dice.chance(rules.loss) {
                return None;
            }
            let after = dice.time(&rules.delay);
            Some(damage(dice, rules, after, bytes))
        })
    }

    /// What becomes of a datagram.
    pub(super) fn carry(&mut self, from: NodeId, to: NodeId, bytes: &Arc<[u8]>) -> Copies {
        if !self.cuts.is_empty() && self.cuts.contains(&(from, to)) {
            return [None, None];
        }
        let rules = match self.pairs.is_empty() {
            true => &self.everywhere,
            false => self.pairs.get(&(from, to)).unwrap_or(&self.everywhere),
        };
        if from == to {
            // A node hears its own broadcasts at once: no wire is involved.
            let (after, bytes) = (*rules.delay.start(), Arc::clone(bytes));
            return [Some(Copy { after, bytes, damaged: false }), None];
        }
        let dice = &mut self.dice;
        let twice = dice.chance(rules.duplication);
        [true, twice].map(|sent| {
            if !sent || dice.chance(rules.loss) {
                return None;
            }
            let after = dice.time(&rules.delay);
            Some(damage(dice, rules, after, bytes))
        })
    }
}

fn damage(dice: &mut Dice, rules: &Rules, after: Duration, bytes: &Arc<[u8]>) -> Copy {
    let mut damaged: Option<Vec<u8>> = None;
    if dice.chance(rules.corruption) {
        let bytes = damaged.get_or_insert_with(|| bytes.to_vec());
        for _ in 0..=dice.below(4) {
            let place = dice.place(bytes.len());
            let bit = dice.below(8);
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << bit;
            }
        }
    }
    if dice.chance(rules.truncation) {
        let bytes = damaged.get_or_insert_with(|| bytes.to_vec());
        bytes.truncate(dice.place(bytes.len()));
    }
    match damaged {
        None => Copy { after, bytes: Arc::clone(bytes), damaged: false },
        Some(bytes) => Copy { after, bytes: Arc::from(bytes), damaged: true },
    }
}
