//! The peer table: who is there, under which session, and how far each is trusted.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::dialect::Dialect;
use crate::endpoint::{Endpoint, LinkId};
use crate::id::{FunctionKey, PeerKey, SessionId, tag};
use crate::keyed::{HashKey, KeyedMap, Recent};
use crate::message::{Features, Hello};
use crate::mutant::planted;
use crate::ports::Origin;
use crate::recovery::Recovery;
use crate::retry_budget::RetryBudget;
use crate::slots::Slots;
use crate::time::Time;
use crate::timers::TimerKey;
use crate::wire::outbox::Outgoing;

/// How far a peer is trusted in open mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// Heard, but its address is not proved: listed and callable, first to be evicted.
    Tentative,
    /// It sent back a token that only its address received.
    Verified,
}

/// One peer.
pub(crate) struct Peer {
    pub(crate) session: SessionId,
    pub(crate) name: Arc<str>,
    pub(crate) trust: Trust,
    pub(crate) features: Features,
    pub(crate) link: LinkId,
    pub(crate) endpoint: Endpoint,
    /// Which vocabulary it speaks.
    pub(crate) dialect: Dialect,
    /// Whether one of its broadcasts has reached us.
    pub(crate) heard_by_broadcast: bool,
    /// Where it was met.
    pub(crate) origin: Origin,
    pub(crate) interval: Duration,
    pub(crate) first_seen: Time,
    pub(crate) last_seen: Time,
    pub(crate) lease: Option<TimerKey>,
    /// When its lease ends, and when the timer looks whether it has.
    pub(crate) lease_ends: Time,
    pub(crate) lease_fires: Time,
    /// Set while the answer to its first hello is owed.
    greet: Option<TimerKey>,
    /// Set while its list of functions is behind what its hello says.
    pub(crate) want: Option<TimerKey>,
    pub(crate) wants_asked: u32,
    /// Whether it has been sent our functions by unicast since it came.
    pub(crate) told_functions: bool,
    /// The revision its hellos speak of, and the one we hold whole.
    pub(crate) revision: u64,
    pub(crate) held_revision: u64,
    /// The parts that have come of the revision being received.
    pub(crate) parts: Parts,
    pub(crate) functions: BTreeSet<FunctionKey>,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) open_calls: usize,
    pub(crate) retry_budget: RetryBudget,
    /// What its last hello said of its load.
    pub(crate) load: u8,
    /// The port where it takes connections, by its hello.
    pub(crate) connection_port: Option<u16>,
    /// The connection beside its link.
    pub(crate) connection: Option<LinkId>,
    /// The connection to it that is being made.
    pub(crate) dial: Option<Dial>,
    /// Connections to it in a row that ended before anything came by them.
    pub(crate) turned_away: u8,
    /// What waits for that.
    pub(crate) waiting: Vec<Outgoing>,
    /// When a call left that was sent more than once and of which it has not said that it came.
    pub(crate) unheard_at: Option<Time>,
    /// Set while it may be gone.
    pub(crate) suspicion: Option<Suspicion>,
    /// In keyed mode: the counter of its latest hello that was no connection's.
    pub(crate) newest_hello: u64,
    /// The way of calls to it.
    pub(crate) recovery: Recovery,
}

/// A connection that is being made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Dial {
    /// Where to; the peer may have said another port since.
    pub(crate) to: SocketAddr,
    pub(crate) since: Time,
}

impl Peer {
    /// A tentative peer at the end of a link.
    pub(crate) fn new(
        now: Time,
        hello: &Hello<'_>,
        link: LinkId,
        endpoint: Endpoint,
        origin: Origin,
        dialect: Dialect,
        max_window: u32,
    ) -> Self {
        Self {
            session: hello.session,
            name: hello.name.as_ref().into(),
            trust: Trust::Tentative,
            features: hello.features,
            link,
            endpoint,
            dialect,
            heard_by_broadcast: false,
            origin,
            interval: hello.interval,
            first_seen: now,
            last_seen: now,
            lease: None,
            lease_ends: now,
            lease_fires: now,
            greet: None,
            want: None,
            wants_asked: 0,
            told_functions: false,
            revision: 0,
            held_revision: 0,
            parts: Parts::default(),
            functions: BTreeSet::new(),
            round_trip: None,
            open_calls: 0,
            retry_budget: RetryBudget::new(now),
            load: hello.load,
            connection_port: hello.connection_port,
            connection: None,
            dial: None,
            turned_away: 0,
            waiting: Vec::new(),
            unheard_at: None,
            suspicion: None,
            newest_hello: 0,
            recovery: Recovery::new(max_window),
        }
    }

    /// What there is to do at it, as far as this node knows: its own word, seconds old, and on
    /// top the calls of this node that it has not answered, each as much as a worker of four.
    pub(crate) fn backlog(&self) -> u32 {
        let own = u32::try_from(self.open_calls).unwrap_or(u32::MAX);
        u32::from(self.load).saturating_add(own.saturating_mul(4))
    }

    /// Whether the answer to its first hello is owed.
    pub(crate) fn is_owed_greeting(&self) -> bool {
        self.greet.is_some()
    }

    /// Whether our broadcasts reach it, as far as we can tell: its own reach us, or it is a
    /// neighbour whose next broadcast is not due yet.
    pub(crate) fn is_reached_by_broadcast(&self, now: Time) -> bool {
        self.heard_by_broadcast
            || (self.origin.is_near() && now.since(self.first_seen) <= self.interval)
    }
}

/// A peer whose connection has broken, and that is asked whether it is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Suspicion {
    /// What its pong must say.
    pub(crate) number: u64,
    /// Questions in a row that were not answered, and when the last one left.
    pub(crate) asked: u8,
    pub(crate) asked_at: Time,
    /// Its host says that nobody listens there.
    pub(crate) is_refused: bool,
    pub(crate) timer: Option<TimerKey>,
}

impl Suspicion {
    pub(crate) fn new(now: Time, number: u64) -> Self {
        Self { number, asked: 0, asked_at: now, is_refused: false, timer: None }
    }
}

/// Which parts of a function list have come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) revision: u64,
    pub(crate) seen: BTreeSet<u16>,
    pub(crate) functions: BTreeSet<FunctionKey>,
}

/// The peers that share a name; mostly there is but one.
struct Namesakes {
    /// The one heard of last.
    last: (Time, PeerKey),
    others: BTreeSet<(Time, PeerKey)>,
}

/// All peers.
pub(crate) struct Peers {
    table: Slots<Peer, tag::Peer>,
    by_session: Recent<SessionId, PeerKey>,
    /// By the short session, which ids of calls begin with.
    by_short: Recent<u64, PeerKey>,
    by_name: KeyedMap<Arc<str>, Namesakes>,
    /// Tentative peers, oldest first. Holds verified and stale keys too until they are met.
    tentative: VecDeque<PeerKey>,
    tentative_count: usize,
    /// Who is owed an answer to its first hello.
    owed_greetings: BTreeSet<PeerKey>,
    max_verified: usize,
    max_tentative: usize,
}

/// No place for another peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full(pub(crate) &'static str);

impl Peers {
    pub(crate) fn new(max_verified: usize, max_tentative: usize, hash: HashKey) -> Self {
        Self {
            table: Slots::new(max_verified + max_tentative),
            by_session: Recent::new(hash),
            by_short: Recent::new(hash),
            by_name: KeyedMap::new(hash),
            tentative: VecDeque::new(),
            tentative_count: 0,
            owed_greetings: BTreeSet::new(),
            max_verified,
            max_tentative,
        }
    }

    pub(crate) fn get(&self, key: PeerKey) -> Option<&Peer> {
        self.table.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.table.get_mut(key)
    }

    pub(crate) fn by_session(&self, session: SessionId) -> Option<PeerKey> {
        self.by_session.get(session)
    }

    /// The peer whose calls have ids of this short session.
    pub(crate) fn by_short(&self, short: u64) -> Option<PeerKey> {
        self.by_short.get(short)
    }

    /// The peer of a name; if several share it, the one heard of last.
    pub(crate) fn by_name(&self, name: &str) -> Option<PeerKey> {
        self.by_name.get(name).map(|same| same.last.1)
    }

    /// A peer says its name, which may be another than before.
    pub(crate) fn rename(&mut self, key: PeerKey, name: &str) {
        let Some(peer) = self.table.get_mut(key).filter(|peer| *peer.name != *name) else { return };
        let (new, place) = (Arc::<str>::from(name), (peer.first_seen, key));
        let old = std::mem::replace(&mut peer.name, Arc::clone(&new));
        self.forget_name(&old, place);
        self.note_name(new, place);
    }

    fn note_name(&mut self, name: Arc<str>, place: (Time, PeerKey)) {
        let Some(same) = self.by_name.get_mut(&name) else {
            self.by_name.insert(name, Namesakes { last: place, others: BTreeSet::new() });
            return;
        };
        same.others.insert(same.last.min(place));
        same.last = same.last.max(place);
    }

    fn forget_name(&mut self, name: &str, place: (Time, PeerKey)) {
        let Some(same) = self.by_name.get_mut(name) else { return };
        if same.last != place {
            same.others.remove(&place);
        } else if let Some(last) = same.others.pop_last() {
            same.last = last;
        } else {
            self.by_name.remove(name);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (PeerKey, &Peer)> {
        self.table.iter()
    }

    pub(crate) fn keys(&self) -> Vec<PeerKey> {
        self.table.keys()
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The tentative peer to give up before another one can be added, if one must go.
    pub(crate) fn next_to_evict(&mut self) -> Option<PeerKey> {
        if self.tentative_count < self.max_tentative {
            return None;
        }
        while let Some(key) = self.tentative.pop_front() {
            let goes = |peer: &Peer| peer.trust == Trust::Tentative || planted!(VerifiedMakesRoom);
            if self.table.get(key).is_some_and(goes) {
                return Some(key);
            }
        }
        None
    }

    /// Adds a tentative peer. [`Self::next_to_evict`] was asked before.
    pub(crate) fn insert(&mut self, peer: Peer) -> Result<PeerKey, Full> {
        let (session, name, first_seen) = (peer.session, Arc::clone(&peer.name), peer.first_seen);
        let key = self.table.insert(peer).map_err(|_| Full("max_peers"))?;
        self.by_session.insert(session, key);
        if self.by_short(session.short()).is_none() {
            self.by_short.insert(session.short(), key);
        }
        self.note_name(name, (first_seen, key));
        self.tentative.push_back(key);
        self.tentative_count += 1;
        Ok(key)
    }

    /// The answer to a peer's first hello is due when the timer fires.
    pub(crate) fn owe_greeting(&mut self, key: PeerKey, timer: TimerKey) {
        if let Some(peer) = self.table.get_mut(key) {
            peer.greet = Some(timer);
            self.owed_greetings.insert(key);
        }
    }

    /// The answer is given, or no longer owed. Returns its timer.
    pub(crate) fn settle_greeting(&mut self, key: PeerKey) -> Option<TimerKey> {
        let timer = self.table.get_mut(key)?.greet.take()?;
        self.owed_greetings.remove(&key);
        Some(timer)
    }

    /// The peers that are owed an answer.
    pub(crate) fn owed_greetings(&self) -> impl Iterator<Item = &Peer> {
        self.owed_greetings.iter().filter_map(|key| self.table.get(*key))
    }

    /// Makes a tentative peer a verified one. `false`: it is one already, or there is no room.
    pub(crate) fn verify(&mut self, key: PeerKey) -> bool {
        let verified = self.table.len() - self.tentative_count;
        match self.table.get_mut(key) {
            Some(peer) if peer.trust == Trust::Tentative && verified < self.max_verified => {
                peer.trust = Trust::Verified;
                self.tentative_count -= 1;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn remove(&mut self, key: PeerKey) -> Option<Peer> {
        let peer = self.table.remove(key)?;
        self.by_session.remove(peer.session);
        if self.by_short(peer.session.short()) == Some(key) {
            self.by_short.remove(peer.session.short());
        }
        self.forget_name(&peer.name, (peer.first_seen, key));
        if peer.trust == Trust::Tentative {
            self.tentative_count -= 1;
        }
        if self.tentative.len() > 2 * self.table.len() + 64 {
            let table = &self.table;
            self.tentative.retain(|key| table.get(*key).is_some());
            self.tentative.shrink_to_fit();
        }
        Some(peer)
    }
}
