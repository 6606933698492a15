//! The link table: what is known of the far end of each link, and what waits to go there.

use std::collections::VecDeque;
use std::time::Duration;

use crate::byte_budget::ByteBudget;
use crate::endpoint::{Endpoint, Lane, LinkId};
use crate::id::{PeerKey, SessionId};
use crate::ports::{Capabilities, Initiator, KeyId};
use crate::time::Time;
use crate::timers::TimerKey;
use crate::wire::outbox::Outgoing;
use crate::wire::sessions::Token;
use crate::wire::streams::Streams;

/// One link.
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) remote: Endpoint,
    pub(crate) initiator: Initiator,
    /// The peer whose hello came on it.
    pub(crate) peer: Option<PeerKey>,
    /// The peer that has sent back this link's token: it is really there, though its answers
    /// may go by another of its links. May be stale.
    pub(crate) proved_for: Option<PeerKey>,
    /// The far end's token, to be sent back with every hello.
    pub(crate) echo: Option<u64>,
    /// When one was last sent back.
    pub(crate) echoed: Time,
    /// The address has sent back a token that only it received, or a person configured it.
    pub(crate) proved: bool,
    /// Named in the configuration.
    pub(crate) configured: bool,
    /// Its far end is where an older program listens.
    pub(crate) is_home: bool,
    /// Bytes heard and sent while unproved: the bound on amplification.
    pub(crate) heard_bytes: usize,
    pub(crate) sent_bytes: usize,
    /// When the first of them was sent.
    pub(crate) sent_since: Option<Time>,
    /// A hello that carries our token is on its way because the budget is used up.
    pub(crate) challenged: bool,
    /// Made for answers alone, and closed when they have left.
    pub(crate) is_one_shot: bool,
    /// Calls of this node left by it.
    pub(crate) carried_calls: bool,
    /// Anything at all has come by it.
    pub(crate) was_heard: bool,
    pub(crate) last_heard: Time,
    /// When something other than a sign of life last went or came.
    pub(crate) last_used: Time,
    /// The ping that waits for its pong, on a connection that is kept.
    pub(crate) alive: Option<Alive>,
    /// When it is looked at next.
    pub(crate) look: Option<TimerKey>,
    pub(crate) max_frame: usize,
    /// The transport said `Full`.
    pub(crate) full: bool,
    /// When it last began to.
    pub(crate) full_since: Time,
    /// What waits is more than an unproved address may be sent.
    pub(crate) parked: bool,
    pub(crate) queue: VecDeque<Outgoing>,
    /// Bytes of the answers in it.
    pub(crate) answer_bytes: usize,
    /// What sealing needs to know of the far end.
    pub(crate) seal: LinkSeal,
    /// Large messages and byte streams, on links that are reliable and ordered.
    pub(crate) streams: Option<Box<Streams<Outgoing>>>,
    /// The frame sent last was a stream record: small messages and streams take turns.
    pub(crate) streams_had_turn: bool,
    /// Whether the link stands in the outbox's round.
    pub(crate) in_round: bool,
    /// Whether it stands in the queue of strangers' links.
    listed: bool,
}

struct LaneLinks {
    capabilities: Capabilities,
    /// Where it was opened.
    local: Option<Endpoint>,
    links: Vec<Option<Link>>,
}

/// What sealing needs to know of the far end of a link.
#[derive(Default, Debug)]
pub(crate) struct LinkSeal {
    /// The token that what is sealed for the far end must name; by its last hello.
    pub(crate) to: Option<Token>,
    /// The same for the next hello alone: of a session that says it has taken the far end's
    /// place.
    pub(crate) successor: Option<Token>,
    /// The token that the far end must name: of a connection, which has one of its own.
    pub(crate) own: Option<Token>,
    /// The key the far end used last.
    pub(crate) key: Option<KeyId>,
    /// Which of whose frames that was.
    pub(crate) keyed_by: Option<(SessionId, u64)>,
    /// Frames sealed for the far end of a connection, and opened: the first is a hello, and what
    /// comes after names its place.
    pub(crate) sent: u64,
    pub(crate) heard: u64,
    /// Something that the far end sealed has named a token given out here: it is there, now.
    pub(crate) is_answered: bool,
    /// Its token is not known: nothing but hello leaves.
    pub(crate) is_mute: bool,
    /// When it was last told this node's token because it named an old one.
    pub(crate) told: Option<Time>,
}

/// A sign of life that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Alive {
    pub(crate) number: u64,
    pub(crate) asked: Time,
    /// How many before it did not come.
    pub(crate) missed: u8,
}

/// All links of all lanes.
pub(crate) struct Links {
    lanes: Vec<LaneLinks>,
    /// Links in the order they came up, to close the oldest stranger first.
    strangers: VecDeque<LinkId>,
    /// How many of them are gone.
    gone: usize,
    live: usize,
    /// What large messages hold that are being put together on all of them.
    pub(crate) assembly: ByteBudget,
}

/// Slots a lane may number its links with. A transport's own table is smaller.
const MAX_SLOT: usize = 1 << 20;

impl Links {
    pub(crate) fn new(max_assembly: usize) -> Self {
        let assembly = ByteBudget::new(max_assembly);
        Self { lanes: Vec::new(), strangers: VecDeque::new(), gone: 0, live: 0, assembly }
    }

    pub(crate) fn add_lane(&mut self, capabilities: Capabilities) -> Option<Lane> {
        let lane = Lane(u8::try_from(self.lanes.len()).ok()?);
        self.lanes.push(LaneLinks { capabilities, local: None, links: Vec::new() });
        Some(lane)
    }

    pub(crate) fn opened(&mut self, lane: Lane, local: &Endpoint) {
        if let Some(lane) = self.lanes.get_mut(usize::from(lane.0)) {
            lane.local = Some(local.clone());
        }
    }

    /// The scheme and port of the first lane that takes connections at a port.
    pub(crate) fn connection_lane(&self) -> Option<(&str, u16)> {
        let mut connected = self.lanes.iter().filter(|lane| lane.capabilities.connected);
        connected.find_map(|lane| {
            let local = lane.local.as_ref()?;
            Some((local.scheme(), local.socket_addr()?.port()))
        })
    }

    pub(crate) fn capabilities(&self, lane: Lane) -> Option<&Capabilities> {
        self.lanes.get(usize::from(lane.0)).map(|lane| &lane.capabilities)
    }

    /// The lanes that can broadcast.
    pub(crate) fn broadcast_lanes(&self) -> impl Iterator<Item = Lane> + '_ {
        (0..=u8::MAX)
            .zip(&self.lanes)
            .filter(|(_, lane)| lane.capabilities.broadcast)
            .map(|(number, _)| Lane(number))
    }

    /// Notes a link that came up. The same link coming up again keeps its state. `true`: it is
    /// new.
    pub(crate) fn up(
        &mut self,
        now: Time,
        id: LinkId,
        remote: Endpoint,
        initiator: Initiator,
    ) -> bool {
        let slot = usize::try_from(id.slot).unwrap_or(usize::MAX);
        if slot >= MAX_SLOT || self.get(id).is_some() {
            return false;
        }
        let Some(lane) = self.lanes.get_mut(usize::from(id.lane.0)) else { return false };
        if lane.links.len() <= slot {
            lane.links.resize_with(slot + 1, || None);
        }
        let max_frame = lane.capabilities.max_frame;
        let link = Link {
            id,
            remote,
            initiator,
            peer: None,
            proved_for: None,
            echo: None,
            echoed: Time::ZERO,
            proved: false,
            configured: false,
            is_home: false,
            heard_bytes: 0,
            sent_bytes: 0,
            sent_since: None,
            challenged: false,
            is_one_shot: false,
            carried_calls: false,
            was_heard: false,
            last_heard: now,
            last_used: now,
            alive: None,
            look: None,
            max_frame,
            full: false,
            full_since: now,
            parked: false,
            queue: VecDeque::new(),
            answer_bytes: 0,
            seal: LinkSeal::default(),
            streams: None,
            streams_had_turn: false,
            in_round: false,
            listed: true,
        };
        if let Some(place) = lane.links.get_mut(slot) {
            if place.replace(link).is_none() {
                self.live += 1;
            }
            self.strangers.push_back(id);
        }
        true
    }

    /// Notes that a link belongs to no peer any more.
    pub(crate) fn disown(&mut self, id: LinkId) {
        let Some(link) = self.get_mut(id) else { return };
        link.peer = None;
        if !std::mem::replace(&mut link.listed, true) {
            self.strangers.push_back(id);
        }
    }

    /// Takes a link out. Nothing happens for a stale id.
    pub(crate) fn down(&mut self, id: LinkId) -> Option<Link> {
        let lane = self.lanes.get_mut(usize::from(id.lane.0))?;
        let place = lane.links.get_mut(usize::try_from(id.slot).ok()?)?;
        if place.as_ref().is_none_or(|link| link.id != id) {
            return None;
        }
        self.live -= 1;
        let link = place.take();
        self.gone += usize::from(link.as_ref().is_some_and(|link| link.listed));
        while lane.links.last().is_some_and(Option::is_none) {
            lane.links.pop();
        }
        if lane.links.capacity() > 64 && lane.links.len() * 4 < lane.links.capacity() {
            lane.links.shrink_to(lane.links.len() * 2);
        }
        link
    }

    pub(crate) fn get(&self, id: LinkId) -> Option<&Link> {
        let lane = self.lanes.get(usize::from(id.lane.0))?;
        lane.links.get(usize::try_from(id.slot).ok()?)?.as_ref().filter(|link| link.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        let lane = self.lanes.get_mut(usize::from(id.lane.0))?;
        lane.links.get_mut(usize::try_from(id.slot).ok()?)?.as_mut().filter(|link| link.id == id)
    }

    /// The links that are connections.
    pub(crate) fn connections(&self) -> impl Iterator<Item = &Link> {
        let connected = self.lanes.iter().filter(|lane| lane.capabilities.connected);
        connected.flat_map(|lane| lane.links.iter().flatten())
    }

    /// The oldest link nobody needs, once there are more than `limit` strangers' links.
    pub(crate) fn surplus_stranger(&mut self, limit: usize) -> Option<LinkId> {
        if self.gone > limit {
            let mut strangers = std::mem::take(&mut self.strangers);
            strangers.retain(|id| self.get(*id).is_some());
            (self.strangers, self.gone) = (strangers, 0);
        }
        // Those that come and go at once push out nobody.
        while self.strangers.len() > limit.saturating_add(self.gone) {
            let id = self.strangers.pop_front()?;
            let Some(link) = self.get_mut(id) else {
                self.gone = self.gone.saturating_sub(1);
                continue;
            };
            // Its peer may go: `disown` lists it again.
            link.listed = false;
            if link.is_strangers() {
                return Some(id);
            }
        }
        None
    }

    /// The links nobody needs that have been silent since before `since`.
    pub(crate) fn idle_strangers(
        &mut self,
        since: Time,
        is_awaited: impl Fn(LinkId) -> bool,
    ) -> Vec<LinkId> {
        let mut idle = Vec::new();
        for _ in 0..self.strangers.len() {
            let Some(id) = self.strangers.pop_front() else { break };
            match self.get_mut(id) {
                Some(link) if link.is_strangers() && link.last_heard < since && !is_awaited(id) => {
                    link.listed = false;
                    idle.push(id);
                }
                // A peer's link is looked at again: the peer may have gone.
                Some(_) => self.strangers.push_back(id),
                None => {}
            }
        }
        self.gone = 0;
        if self.strangers.capacity() > 64 && self.strangers.len() * 4 < self.strangers.capacity() {
            self.strangers.shrink_to(self.strangers.len() * 2);
        }
        idle
    }

    /// Whether the far end is known to be where it says: it sent back a token, or a handshake
    /// has shown the same.
    pub(crate) fn receives(&self, link: &Link) -> bool {
        link.proved || self.capabilities(link.id.lane).is_some_and(|lane| lane.connected)
    }

    pub(crate) fn len(&self) -> usize {
        self.live
    }
}

impl Link {
    /// Whether the link belongs to no peer and to no configuration.
    pub(crate) fn is_strangers(&self) -> bool {
        self.peer.is_none() && !self.configured
    }

    /// Whether it belongs to a peer that is reached by another.
    pub(crate) fn is_spare_of(&self, peer: PeerKey, by: LinkId) -> bool {
        self.peer == Some(peer) && self.id != by
    }

    /// Whether something new may begin on it: whoever began it may be closing it once it was
    /// idle for `patience`.
    pub(crate) fn is_fresh(&self, now: Time, patience: Duration) -> bool {
        self.initiator == Initiator::Us || now.since(self.last_used) < patience
    }

    /// Whether what waits here may wait for long: the far end takes nothing, or has had as much
    /// as it may be sent before it proves that it is there, or has not told its token.
    pub(crate) fn is_stuck(&self) -> bool {
        self.full || self.parked || self.seal.is_mute
    }

    /// Whether something may be sent on it now.
    pub(crate) fn is_ready(&self) -> bool {
        let has_streams = || self.streams.as_ref().is_some_and(|streams| streams.is_ready());
        let may = !self.is_stuck() || self.begins_with_hello();
        may && (!self.queue.is_empty() || has_streams())
    }

    /// Whether a hello comes first that may leave though nothing else may.
    fn begins_with_hello(&self) -> bool {
        let begins = self.queue.front().is_some_and(Outgoing::is_hello);
        begins && !self.full && !self.parked
    }

    /// Whether nothing is on its way out or in, as far as this end knows.
    pub(crate) fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.streams.as_ref().is_none_or(|streams| streams.is_idle())
    }

    /// Lets a hello that still waits say what another one was to say: on a link that may not be
    /// sent anything they would pile up. `false`: none waits, or the message is no hello.
    pub(crate) fn merge_hello(&mut self, message: &Outgoing) -> bool {
        let Outgoing::Hello { wants: also_wants } = message else { return false };
        for waiting in &mut self.queue {
            if let Outgoing::Hello { wants } = waiting {
                *wants |= also_wants;
                return true;
            }
        }
        false
    }

    /// How many bytes the amplification bound still allows, regardless of the host's window.
    pub(crate) fn amplification_room(&self) -> usize {
        self.heard_bytes.saturating_mul(3).saturating_sub(self.sent_bytes)
    }
}
