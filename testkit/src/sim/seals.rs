//! What was sealed in a world, by whom and for whom; and what each keyed life may take of it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use lanc_core::carriage;
use lanc_core::id::SessionId;
use lanc_core::ports::{Format, KeyId};
use lanc_core::{Core, PeerInfo, Tables, Time, Token, Trust};
use memchr::memmem::find;

use super::envelope::Envelope;
use super::input::KeyChange;
use super::invariant::{Broken, Invariant};
use super::node::NodeId;
use super::values::codec;
use crate::keys::Keys;

/// Key, session, counter and salt: with the counter's epoch, a session key and a nonce.
type Nonce = (KeyId, SessionId, u64, [u8; 4]);

/// Bytes of the plain form that are looked for in the sealed one.
const CANARY: usize = 12;
/// Senders that are looked at, at a time.
const SENDERS_A_LOOK: usize = 64;

fn nonce(envelope: &Envelope<'_>) -> Nonce {
    let head = &envelope.head;
    (head.key, head.session, head.counter, head.salt)
}

struct Sealed {
    print: u64,
    /// The life that has opened it, if it was for one.
    taken: Option<(NodeId, u32)>,
}

/// Every envelope of a world.
#[derive(Default)]
pub(super) struct Seals {
    all: BTreeMap<Nonce, Sealed>,
    /// The keys that each keyed session has ever held.
    holders: BTreeMap<SessionId, BTreeSet<KeyId>>,
}

/// One keyed life: what it holds, and what it has taken.
pub(super) struct Seal {
    who: (NodeId, u32),
    session: SessionId,
    ring: Vec<KeyId>,
    /// It shares its session and its token with another life.
    pub(super) is_twin: bool,
    sealed: u64,
    /// Every token it has told.
    tokens: Vec<Token>,
    /// Whose envelopes it has taken that named a token, and the last one they named.
    named: BTreeMap<(KeyId, SessionId), Token>,
    /// The last of them that was looked at; none: the next look begins with the first.
    looked_at: Option<(KeyId, SessionId)>,
}

impl Seal {
    /// `None`: a life in the open.
    pub(super) fn of(core: &Core, who: (NodeId, u32)) -> Option<Self> {
        let tokens = vec![core.sealing()?.token];
        let ring = core.keys(Time::ZERO).iter().map(|key| key.id).collect();
        let (session, named) = (core.session(), BTreeMap::new());
        Some(Self { who, session, ring, is_twin: false, sealed: 0, tokens, named, looked_at: None })
    }

    /// Notes the keys and the token that the life has now.
    pub(super) fn update(&mut self, core: &Core) {
        let token = core.sealing().map(|sealing| sealing.token);
        if let Some(token) = token.filter(|token| self.tokens.last() != Some(token)) {
            self.tokens.push(token);
        }
    }

    /// Its keys are changed.
    pub(super) fn change_ring(&mut self, change: &KeyChange) {
        match change {
            KeyChange::Add(key) if !self.ring.contains(&key.id()) => self.ring.push(key.id()),
            KeyChange::Remove(id) => self.ring.retain(|held| held != id),
            _ => {}
        }
    }

    fn takes(&self, token: Token) -> bool {
        self.tokens.iter().rev().take(2).any(|own| *own == token)
    }

    /// Whether anything that this session sealed for this life alone was taken.
    pub(super) fn has_proof_of(&self, session: u64) -> bool {
        self.named.keys().any(|(_, sender)| sender.short() == session)
    }

    /// What could be sent again with effect is remembered. Of a crowd some are looked at, the next
    /// ones the next time.
    pub(super) fn remembers(&mut self, core: &Core) -> Result<(), Broken> {
        let after = self.looked_at.map_or(Unbounded, Excluded);
        let mut last = None;
        for (sender, token) in self.named.range((after, Unbounded)).take(SENDERS_A_LOOK) {
            let (key, session) = sender;
            last = Some(*sender);
            let is_safe = !self.takes(*token) || core.newest_of(*key, *session).is_some();
            Invariant::MemoryKept.holds_if(is_safe, || {
                format!("{session} has named {token:?}, which is taken, and is forgotten")
            })?;
        }
        self.looked_at = last;
        Ok(())
    }
}

impl Seals {
    /// A keyed life has begun, or got another key.
    pub(super) fn holds(&mut self, life: &Seal) {
        self.holders.entry(life.session).or_default().extend(&life.ring);
    }

    /// A program that is no node holds a key.
    pub(super) fn insider(&mut self, session: SessionId, key: KeyId) {
        self.holders.entry(session).or_default().insert(key);
    }

    /// Whether nodes of these sorts may be peers: who holds keys, with one of its keys only.
    pub(super) fn may_meet(&self, life: Option<&Seal>, session: SessionId) -> bool {
        match (life, self.holders.get(&session)) {
            (Some(life), Some(held)) => life.ring.iter().any(|key| held.contains(key)),
            (life, held) => life.is_none() && held.is_none(),
        }
    }

    /// Notes an envelope of a program that is no node.
    pub(super) fn note(&mut self, frame: &[u8]) {
        if let Some(envelope) = Envelope::of(frame) {
            let sealed = Sealed { print: envelope.print(), taken: None };
            self.all.insert(nonce(&envelope), sealed);
        }
    }

    /// A keyed life sends a frame. Returns what was sealed, and whether for everybody.
    pub(super) fn left(
        &mut self,
        life: &mut Seal,
        keys: &Keys,
        frame: &[u8],
    ) -> Result<(Arc<[u8]>, bool), Broken> {
        let secret = |this: bool, why: &str| {
            Invariant::NothingPlain.holds_if(this, || {
                let text = String::from_utf8_lossy(frame);
                format!("a frame of a keyed node {why}: {}", text.escape_debug())
            })
        };
        let envelope = Envelope::of(frame);
        let plain = match keys.plain(frame) {
            Cow::Owned(plain) => Some(plain),
            Cow::Borrowed(_) => None,
        };
        secret(plain.is_some(), "is not sealed")?;
        let (Some(envelope), Some(plain)) = (envelope, plain) else {
            return Ok((Arc::from(frame), true));
        };
        let head = &envelope.head;
        secret(life.ring.contains(&head.key), "is sealed under a key it does not hold")?;
        secret(head.session == life.session, "is sealed in another session")?;
        let mut message = Vec::new();
        if envelope.is_carried {
            carriage::write(&envelope.bytes, codec(Format::JSON), &mut message);
        }
        let is_bare = !envelope.is_carried || message == frame;
        secret(is_bare, "says more than its envelope")?;
        // Another part of each frame.
        let most = plain.len().saturating_sub(CANARY);
        let from = usize::try_from(head.counter).unwrap_or(0) * 7 % (most + 1);
        let canary = plain.get(from..from + CANARY);
        let shows = canary.is_some_and(|canary| find(&envelope.bytes, canary).is_some());
        secret(!shows, "shows what was sealed")?;
        Invariant::NonceOnce.holds_if(head.counter > life.sealed, || {
            format!("counter {} after {} in one life", head.counter, life.sealed)
        })?;
        life.sealed = head.counter;
        let sealed = Sealed { print: envelope.print(), taken: None };
        let before = self.all.insert(nonce(&envelope), sealed);
        Invariant::NonceOnce.holds_if(before.is_none(), || {
            format!("{head:?} was sealed before, under the same key and nonce")
        })?;
        Ok((Arc::from(plain), head.to.is_none()))
    }

    /// A keyed life has opened a frame.
    fn taken(&mut self, life: &mut Seal, frame: &[u8]) -> Result<(), Broken> {
        let envelope = Envelope::of(frame);
        let place = envelope.as_ref().map(nonce);
        let known = place.and_then(|place| self.all.get_mut(&place));
        let (Some(envelope), Some(sealed)) = (envelope, known) else {
            return Err(Invariant::GenuineOnly.broken("a frame was opened that nobody has sealed"));
        };
        let head = &envelope.head;
        Invariant::GenuineOnly.holds_if(sealed.print == envelope.print(), || {
            format!("{head:?} was opened, and is not what was sealed")
        })?;
        Invariant::GenuineOnly.holds_if(life.ring.contains(&head.key), || {
            format!("{head:?} was opened without its key")
        })?;
        Invariant::ForMeOnly
            .holds_if(head.session != life.session, || format!("{head:?} is its own"))?;
        let Some(token) = head.to else { return Ok(()) };
        Invariant::ForMeOnly.holds_if(life.takes(token), || {
            format!("{head:?} was opened, and {token:?} is none of the last two tokens here")
        })?;
        let before = sealed.taken.replace(life.who);
        let is_first = before.is_none_or(|who| who != life.who && life.is_twin);
        Invariant::NoCopies.holds_if(is_first, || {
            format!("{head:?} was opened by {:?} and {before:?}", life.who)
        })?;
        life.named.insert((head.key, head.session), token);
        Ok(())
    }
}

/// What a keyed life was before a frame came.
pub(super) struct Before {
    opened: u64,
    accepted: u64,
    /// Of a frame that surely no node has sent like this.
    look: Option<Look>,
}

/// What no frame that is not genuine may change.
#[derive(PartialEq, Debug)]
struct Look {
    tables: Tables,
    peers: Vec<PeerInfo>,
    sealing: (u64, Token),
    newest: Option<u64>,
}

impl Look {
    fn at(core: &Core, now: Time, frame: &[u8]) -> Option<Self> {
        let mut tables = core.tables();
        // Of rates, of what a peer is told that has lost the token, of the transport's.
        (tables.hosts, tables.outbox, tables.timers, tables.links) = (0, 0, 0, 0);
        (tables.buffers, tables.buffer_bytes) = (0, 0);
        let sealing = core.sealing()?;
        let head = Envelope::of(frame).map(|envelope| envelope.head);
        let newest = head.and_then(|head| core.newest_of(head.key, head.session));
        let sealing = (sealing.sealed, sealing.token);
        Some(Self { tables, peers: core.peers(now), sealing, newest })
    }
}

impl Look {
    /// A peer that was believed and is elsewhere now.
    fn moved(&self, after: Self) -> Option<PeerInfo> {
        let is_elsewhere = |peer: &PeerInfo| {
            let mut known = self.peers.iter().filter(|known| known.session == peer.session);
            let known = known.find(|known| known.trust == Trust::Verified);
            known.is_some_and(|known| known.endpoint != peer.endpoint)
        };
        after.peers.into_iter().find(is_elsewhere)
    }
}

impl Before {
    /// `None`: a life in the open.
    pub(super) fn of(core: &Core, now: Time, frame: &[u8], is_strange: bool) -> Option<Self> {
        let opened = core.sealing()?.opened;
        let accepted = core.counters().messages_accepted;
        let look = if is_strange { Look::at(core, now, frame) } else { None };
        Some(Self { opened, accepted, look })
    }

    /// What it is now that the frame was handed over.
    pub(super) fn after(self, core: &Core, now: Time, frame: &[u8]) -> After {
        let opened = core.sealing().is_some_and(|sealing| sealing.opened > self.opened);
        let obeyed = core.counters().messages_accepted > self.accepted;
        let after = self.look.as_ref().and_then(|_| Look::at(core, now, frame));
        After { opened, obeyed, looks: self.look.zip(after) }
    }
}

/// What has come of a frame at a keyed life.
pub(super) struct After {
    opened: bool,
    obeyed: bool,
    /// Before and after what surely no node has sent like this.
    looks: Option<(Look, Look)>,
}

impl After {
    /// `Ok(true)`: the frame was opened, and rightly so.
    pub(super) fn judge(
        self,
        frame: &[u8],
        from_hostile: bool,
        life: &mut Seal,
        seals: &mut Seals,
    ) -> Result<bool, Broken> {
        if self.opened {
            seals.taken(life, frame)?;
            let looks = self.looks.filter(|_| from_hostile);
            let moved = looks.and_then(|(before, after)| before.moved(after));
            Invariant::NoCopies.holds_if(moved.is_none(), || {
                format!("{moved:?} is believed to be where only a copy came from")
            })?;
            return Ok(true);
        }
        Invariant::GenuineOnly
            .holds_if(!self.obeyed, || "a keyed node obeys what it has not opened".to_owned())?;
        if let Some((before, after)) = self.looks {
            Invariant::GenuineOnly.holds_if(before == after, || {
                format!("a frame that does not verify changes {before:?} to {after:?}")
            })?;
        }
        Ok(false)
    }
}
