//! The tables, for people.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Core;
use crate::dialect::Dialect;
use crate::directory::Class;
use crate::endpoint::Endpoint;
use crate::id::{FunctionName, PeerKey, SessionId};
use crate::message::Features;
use crate::peers::Trust;
use crate::ports::KeyId;
use crate::tasks::Progress;
use crate::time::Time;
use crate::wire::sessions::Token;

/// A peer, as `lanc peers` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerInfo {
    /// Its session.
    pub session: SessionId,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub endpoint: Endpoint,
    /// How far it is trusted.
    pub trust: Trust,
    /// What it can do.
    pub features: Features,
    /// Which vocabulary it speaks.
    pub dialect: Dialect,
    /// How often it says hello.
    pub interval: Duration,
    /// Time since it was first heard.
    pub known_for: Duration,
    /// Time since it was last heard.
    pub silent_for: Duration,
    /// How many functions it offers.
    pub functions: usize,
    /// Smoothed round trip: of pings if there were any, else of calls.
    pub round_trip: Option<Duration>,
    /// How many calls may be on their way to it by datagrams without a receipt.
    pub window: u32,
    /// Calls of this node that it has not answered.
    pub open_calls: usize,
    /// How busy it said it was in its last hello: 16 when every worker had a call, 0 when none
    /// had or it does not say.
    pub load: u8,
}

/// A function, as `lanc functions` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionInfo {
    /// Its name.
    pub name: String,
    /// How this node runs it, if it has it.
    pub local: Option<Class>,
    /// What it does, if this node has it and was told.
    pub doc: String,
    /// The names of the peers that offer it; the latest announcer first.
    pub providers: Vec<String>,
    /// The sessions of these peers, in the same order: several peers may have one name.
    pub sessions: Vec<SessionId>,
    /// Whether everybody who offers it says that it may run more than once.
    pub idempotent: bool,
}

/// How full the tables are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Tables {
    /// Live links.
    pub links: usize,
    /// Hosts with limits of their own.
    pub hosts: usize,
    /// Peers.
    pub peers: usize,
    /// Function names, this node's own among them.
    pub functions: usize,
    /// Calls without an outcome that was told, attempts among them.
    pub open_calls: usize,
    /// Calls of the application that have not ended.
    pub calls: usize,
    /// Attempts of calls to several providers that have not ended.
    pub attempts: usize,
    /// Outcomes nobody has fetched.
    pub results: usize,
    /// Calls waiting for a place to run here.
    pub queued: usize,
    /// Functions running.
    pub running: usize,
    /// Callers whose calls are remembered.
    pub callers: usize,
    /// Calls that are remembered, so that a copy of one is recognised.
    pub remembered: usize,
    /// Bytes of answers that wait for a receipt.
    pub stored_bytes: usize,
    /// Messages waiting to be sent.
    pub outbox: usize,
    /// Timers.
    pub timers: usize,
    /// Byte streams of calls, and large messages on their way.
    pub streams: usize,
    /// Bytes of these that this node holds.
    pub stream_bytes: usize,
    /// Sessions whose sealed frames are remembered, so that no copy of one is taken.
    pub senders: usize,
    /// Bytes of everything that `max_buffered` bounds.
    pub buffered: usize,
    /// Buffers kept for the arguments and results of the next calls.
    pub buffers: usize,
    /// Their capacities together, in bytes.
    pub buffer_bytes: usize,
}

/// How far a node's sealing has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sealing {
    /// Frames that it has sealed.
    pub sealed: u64,
    /// Frames of others that it has opened.
    pub opened: u64,
    /// The token that it tells by datagrams.
    pub token: Token,
}

impl Tables {
    /// Every number with its name.
    pub fn named(&self) -> [(&'static str, u64); 21] {
        let entries = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        [
            ("links", self.links),
            ("hosts", self.hosts),
            ("peers", self.peers),
            ("functions", self.functions),
            ("open_calls", self.open_calls),
            ("calls", self.calls),
            ("attempts", self.attempts),
            ("results", self.results),
            ("queued", self.queued),
            ("running", self.running),
            ("callers", self.callers),
            ("remembered", self.remembered),
            ("stored_bytes", self.stored_bytes),
            ("outbox", self.outbox),
            ("timers", self.timers),
            ("streams", self.streams),
            ("stream_bytes", self.stream_bytes),
            ("senders", self.senders),
            ("buffered_bytes", self.buffered),
            ("buffers", self.buffers),
            ("buffer_bytes", self.buffer_bytes),
        ]
        .map(|(name, count)| (name, entries(count)))
    }
}

/// What goes on of one function now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InFlight {
    /// Its name.
    pub function: FunctionName,
    /// Calls of it from here that have not ended; attempts do not count.
    pub calls: usize,
    /// Calls that wait for their turn here.
    pub queued: usize,
    /// Runs here.
    pub running: usize,
}

impl Core {
    /// The functions of which anything goes on, by name. Looks at every call and task.
    pub fn in_flight(&self) -> Vec<InFlight> {
        let mut rows: BTreeMap<&FunctionName, [usize; 3]> = BTreeMap::new();
        let calls = self.calls.iter().map(|(_, call)| call);
        for call in calls.filter(|call| call.is_open() && call.parent.is_none()) {
            rows.entry(&call.request.function).or_default()[0] += 1;
        }
        for task in self.tasks.iter() {
            match task.progress {
                Progress::Queued => rows.entry(&task.name).or_default()[1] += 1,
                Progress::Running { .. } => rows.entry(&task.name).or_default()[2] += 1,
                Progress::Answered(_) => {}
            }
        }
        let row = |(function, [calls, queued, running]): (&FunctionName, [usize; 3])| InFlight {
            function: function.clone(),
            calls,
            queued,
            running,
        };
        rows.into_iter().map(row).collect()
    }

    /// The peers, by name.
    pub fn peers(&self, now: Time) -> Vec<PeerInfo> {
        let info = |peer: &crate::peers::Peer| PeerInfo {
            session: peer.session,
            name: peer.name.to_string(),
            endpoint: peer.endpoint.clone(),
            trust: peer.trust,
            features: peer.features,
            dialect: peer.dialect,
            interval: peer.interval,
            known_for: now.since(peer.first_seen),
            silent_for: now.since(peer.last_seen),
            functions: peer.functions.len(),
            round_trip: peer.round_trip.or(peer.recovery.round_trip.smoothed()),
            window: peer.recovery.window.size(),
            open_calls: peer.open_calls,
            load: peer.load,
        };
        let mut peers: Vec<_> = self.peers.iter().map(|(_, peer)| info(peer)).collect();
        peers.sort_by(|a, b| (&a.name, a.session).cmp(&(&b.name, b.session)));
        peers
    }

    /// The functions, by name.
    pub fn functions(&self) -> Vec<FunctionInfo> {
        let info = |function: &crate::directory::Function| {
            let peers = function.providers.iter().rev();
            let peers = peers.filter_map(|provider| self.peers.get(*provider));
            let (providers, sessions) =
                peers.map(|peer| (peer.name.to_string(), peer.session)).unzip();
            FunctionInfo {
                name: function.name.to_string(),
                local: function.local.as_ref().map(|local| local.class),
                doc: function.local.as_ref().map_or(String::new(), |local| local.doc.clone()),
                providers,
                sessions,
                idempotent: function.is_idempotent(),
            }
        };
        let mut functions: Vec<_> = self.directory.iter().map(|(_, f)| info(f)).collect();
        functions.sort_by(|a, b| a.name.cmp(&b.name));
        functions
    }

    /// How many calls have no outcome yet, or one that nobody was told of.
    pub fn open_calls(&self) -> usize {
        self.calls.open()
    }

    /// How full the tables are.
    pub fn tables(&self) -> Tables {
        let (mut streams, mut stream_bytes) = (self.pipes.len() + self.leftovers.len(), 0);
        for held in
            self.links.connections().filter_map(|link| link.streams.as_ref()).map(|s| s.held())
        {
            streams += held.streams + held.messages_in + held.messages_out;
            stream_bytes += held.bytes_in + held.bytes_out + held.unread + held.unsent;
        }
        let (buffers, buffer_bytes) = self.buffers.held();
        let (mut calls, mut attempts) = (0, 0);
        for (_, call) in self.calls.iter().filter(|(_, call)| call.is_open()) {
            match call.parent {
                None => calls += 1,
                Some(_) => attempts += 1,
            }
        }
        Tables {
            links: self.links.len(),
            hosts: self.hosts.len(),
            peers: self.peers.len(),
            functions: self.directory.len(),
            open_calls: self.calls.open(),
            results: self.calls.len() - self.calls.open(),
            queued: self.tasks.queued(),
            running: self.tasks.running(),
            callers: self.inbound.len(),
            remembered: self.inbound.calls(),
            stored_bytes: self.inbound.answer_bytes(),
            outbox: self.outbox.len(),
            timers: self.timers.len(),
            streams,
            stream_bytes,
            calls,
            attempts,
            buffers,
            buffer_bytes,
            senders: self.senders(),
            buffered: self.budget.held(),
        }
    }

    /// How far the sealing of this node has come; `None` in open mode.
    pub fn sealing(&self) -> Option<Sealing> {
        let sessions = self.sealing.sessions.as_ref()?;
        let (sealed, opened) = sessions.count();
        Some(Sealing { sealed, opened, token: sessions.tokens.current() })
    }

    /// The highest counter under a key that has come of a session; `None` when nothing is
    /// remembered of it, so that a copy of what it sent to everybody might be opened.
    pub fn newest_of(&self, key: KeyId, session: SessionId) -> Option<u64> {
        self.sealing.sessions.as_ref()?.newest_of(key, session)
    }

    /// Whether a person who writes `text` means this node.
    pub(super) fn is_me(&self, text: &str) -> bool {
        text == &*self.name || SessionId::from_hex(text) == Some(self.session)
    }

    /// The peer a person means: by name (the one heard of last if several share it), by
    /// endpoint or address, or by the first digits of its session (eight at least).
    pub(super) fn find_peer(&self, text: &str) -> Option<PeerKey> {
        if let Some(key) = self.peers.by_name(text) {
            return Some(key);
        }
        let is_meant = |peer: &crate::peers::Peer| {
            let session = text.len() >= 8 && peer.session.to_string().starts_with(text);
            session || peer.endpoint.to_string() == text || peer.endpoint.address() == text
        };
        self.peers.iter().find(|(_, peer)| is_meant(peer)).map(|(key, _)| key)
    }
}
