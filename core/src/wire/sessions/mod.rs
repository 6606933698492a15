//! Sealing and opening of frames in keyed mode, and everything that must be remembered for it.
//!
//! A frame is sealed into an envelope: a head, the sealed bytes, a tag. No clock, no disk, no
//! handshake: a receiver tells its peers a token, what is meant for it names that token, and of
//! every sender it knows which counters have come. So a copy of a frame is taken by nobody, or
//! by whoever may announce and never act. The layout is in `docs/protocol.md`, 2.7, the
//! reasons in 3.15, the promises in `docs/security.md`.

pub mod carriage;
pub mod envelope;
#[cfg(test)]
mod golden;
mod ring;
mod senders;
mod tokens;
mod window;

use std::sync::Arc;

use crate::counters::Drop;
use crate::id::SessionId;
use crate::keyed::HashKey;
use crate::mutant::planted;
use crate::ports::{GroupKey, KeyId, OpenError, SessionKey};
use crate::time::Time;

use envelope::LAST_COUNTER;
pub(crate) use envelope::{HEAD, Head, Labels, OVERHEAD, VERSION};
pub use ring::RingError;
pub(crate) use ring::{Held, Ring};
use senders::{Sender, Senders};
pub use tokens::Token;
pub(crate) use tokens::Tokens;
use window::{Fresh, Window};

/// How far a frame can be believed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Proof {
    /// Somebody who holds the key has sealed it, for everybody and at any time.
    Sealed,
    /// Somebody who holds the key has sealed it for this node, in this life of it.
    SealedToMe,
}

/// What a frame that was opened shows of its sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seal {
    pub(crate) sender: SessionId,
    pub(crate) key: KeyId,
    pub(crate) proof: Proof,
    /// Its place among all that its sender has sealed, under whichever key.
    pub(crate) counter: u64,
    /// Whether it may hold more than announcements.
    pub(crate) may_act: bool,
}

/// What a receiver knows of an envelope before it opens it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outside<'a> {
    pub(crate) labels: Labels<'a>,
    /// The token of the connection it came by, which takes no other.
    pub(crate) connection: Option<Token>,
}

/// A plain frame that is to be sealed.
pub(crate) struct Plain<'a> {
    pub(crate) frame: &'a mut Vec<u8>,
    /// Its first bytes, where others hold the rest: what stands behind them is room. `None`: the
    /// whole of it is here.
    pub(crate) tail: Option<(usize, &'a [u8])>,
    /// It stands behind [`HEAD`] bytes of room; so does what has a tail.
    pub(crate) has_room: bool,
    /// What its head says of streams.
    pub(crate) stream: u16,
}

impl<'a> Plain<'a> {
    /// One without room.
    pub(crate) fn of(frame: &'a mut Vec<u8>) -> Self {
        Self { frame, tail: None, has_room: false, stream: 0 }
    }
}

/// Failures under one key after which it should be replaced (RFC 9001, 6.6 ends at 2^52).
const WORN: u64 = 1 << 36;

/// Whoever has sent nothing yet.
static NOBODY: Window = Window::new();

/// The sealing state of one node.
pub(crate) struct Sessions {
    session: SessionId,
    pub(crate) ring: Ring,
    pub(crate) tokens: Tokens,
    /// Of the envelope sealed last.
    counter: u64,
    /// Envelopes of others that were opened.
    opened: u64,
    senders: Senders,
}

impl Sessions {
    pub(crate) fn new(
        session: SessionId,
        primary: Arc<dyn GroupKey>,
        token: Token,
        max_senders: usize,
        max_unnamed: usize,
        hash: HashKey,
    ) -> Self {
        Self {
            session,
            ring: Ring::new(primary),
            tokens: Tokens::new(token),
            counter: 0,
            opened: 0,
            senders: Senders::new(max_senders, max_unnamed, hash),
        }
    }

    /// Seals a plain frame where it stands, under a key that is held, else under the primary one.
    /// `false`: this session has sealed all it may.
    pub(crate) fn seal(
        &mut self,
        key: KeyId,
        to: Option<Token>,
        labels: Labels<'_>,
        salt: [u8; 4],
        plain: Plain<'_>,
    ) -> bool {
        let primary = self.ring.primary().unwrap_or(key);
        let key = self.ring.get(key).map_or(primary, |held| held.id);
        let Some(held) = self.ring.get_mut(key).filter(|_| self.counter < LAST_COUNTER) else {
            return false;
        };
        if !planted!(CounterUsedTwice) || self.counter == 0 {
            self.counter += 1;
        }
        let Plain { frame, tail, has_room, stream } = plain;
        let head = Head { key, session: self.session, to, counter: self.counter, salt, stream };
        let epoch = head.epoch() + u32::from(planted!(EpochOffByOne));
        let key = held.own(self.session, epoch);
        match tail {
            Some((count, tail)) => {
                envelope::seal_with_tail(&head, labels, key, (frame, count), tail)
            }
            None if has_room => envelope::seal_behind_room(&head, labels, key, frame),
            None => envelope::seal(&head, labels, key, frame),
        }
    }

    /// Whether an envelope would be opened with a key that is at hand: its sender has sent
    /// something genuine before, in the same epoch.
    pub(crate) fn knows(&self, head: &Head) -> bool {
        let sender = self.senders.get(head.key, head.session);
        sender.is_some_and(|sender| sender.key(head.epoch()).is_some())
    }

    /// Opens an envelope in place, as [`Self::open_by`] does.
    #[cfg(test)]
    pub(crate) fn open<'a>(
        &mut self,
        now: Time,
        head: &Head,
        outside: Outside<'_>,
        envelope: &'a mut [u8],
    ) -> Result<(Seal, &'a mut [u8]), Drop> {
        let labels = outside.labels;
        self.open_by(now, head, outside, |key| envelope::open(head, labels, key, envelope))
    }

    /// Has an envelope opened by whoever knows where to, with the key that it was sealed under.
    /// Nothing is changed by one that does not verify.
    ///
    /// # Errors
    /// The reason to drop it, in this order: no key for it, this node's own, for somebody else
    /// or in another life, a copy, not genuine, no room to remember its sender.
    pub(crate) fn open_by<T>(
        &mut self,
        now: Time,
        head: &Head,
        outside: Outside<'_>,
        open: impl FnOnce(&dyn SessionKey) -> Result<T, OpenError>,
    ) -> Result<(Seal, T), Drop> {
        let held = self.ring.get(head.key).ok_or(Drop::Sealed)?;
        if head.session == self.session && !planted!(OwnOpened) {
            return Err(Drop::Own);
        }
        let (proof, generation) = self.addressed(head, outside)?;
        let sender = self.senders.get(head.key, head.session);
        let fresh = check(sender, head.counter, proof).ok_or(Drop::Replayed)?;
        let derived = match sender.and_then(|sender| sender.key(head.epoch())) {
            Some(_) => None,
            None => Some(held.group.session(&head.session.0, head.epoch())),
        };
        let at_hand = sender.and_then(|sender| sender.key(head.epoch()));
        let key = derived.as_deref().or(at_hand).ok_or(Drop::BadSeal)?;
        let Ok(plain) = open(key) else {
            if let Some(held) = self.ring.get_mut(head.key) {
                held.failures += 1;
            }
            if planted!(WindowBeforeTag)
                && let Some(sender) = self.senders.get_mut(head.key, head.session)
            {
                sender.window.commit(fresh);
            }
            return Err(Drop::BadSeal);
        };
        self.commit(head, fresh, derived, generation)?;
        self.opened += 1;
        self.used(now, head);
        let may_act = proof == Proof::SealedToMe && outside.labels.method != "hello";
        let (sender, key, counter) = (head.session, head.key, head.counter);
        let seal = Seal { sender, key, proof, counter, may_act };
        Ok((seal, plain))
    }

    /// For whom an envelope is, and which generation of this node's tokens it names.
    fn addressed(&self, head: &Head, outside: Outside<'_>) -> Result<(Proof, Option<u64>), Drop> {
        let announces = outside.labels.method == "hello";
        let Some(to) = head.to else {
            // For everybody: whoever could act by it could act again by a copy.
            let allowed = announces || planted!(BroadcastActs);
            return if allowed { Ok((Proof::Sealed, None)) } else { Err(Drop::WrongToken) };
        };
        match outside.connection {
            // As good as the newest token: what names either is remembered as long.
            Some(token) if token == to => Ok((Proof::SealedToMe, Some(self.tokens.newest()))),
            Some(_) if !announces => Err(Drop::WrongToken),
            _ => match self.tokens.generation_of(to) {
                Some(generation) => Ok((Proof::SealedToMe, Some(generation))),
                None if planted!(AnyTokenTaken) => Ok((Proof::SealedToMe, None)),
                None => Err(Drop::WrongToken),
            },
        }
    }

    /// Notes a frame that has verified: the only place where receiving moves anything.
    fn commit(
        &mut self,
        head: &Head,
        fresh: Fresh,
        derived: Option<Box<dyn SessionKey>>,
        generation: Option<u64>,
    ) -> Result<(), Drop> {
        if self.senders.get(head.key, head.session).is_none() {
            let mut sender = Sender::new(head.session, head.key);
            if let Some(generation) = generation {
                sender.named(generation, head.counter);
            }
            self.senders.insert(sender).map_err(|_| Drop::TableFull)?;
        }
        let Some(sender) = self.senders.get_mut(head.key, head.session) else {
            return Err(Drop::TableFull);
        };
        if !planted!(CopiesTaken) {
            sender.window.commit(fresh);
        }
        if let Some(key) = derived {
            sender.keep(head.epoch(), key);
        }
        if let Some(generation) = generation {
            sender.named(generation, head.counter);
        }
        Ok(())
    }

    /// Notes that a key was used. Whoever holds the primary key too does not need another: it says
    /// hello under both while others might.
    fn used(&mut self, now: Time, head: &Head) {
        let primary = self.ring.primary();
        let has_primary = primary.is_some_and(|primary| {
            primary != head.key && self.senders.get(primary, head.session).is_some()
        });
        if let Some(held) = self.ring.get_mut(head.key).filter(|_| !has_primary) {
            held.opened = Some(now);
        }
    }

    /// Whether just now so many frames have failed under a key that it should be replaced.
    pub(crate) fn is_worn(&self, key: KeyId) -> bool {
        self.ring.get(key).is_some_and(|held| held.failures == WORN)
    }

    /// Gives out another token and forgets who cannot do harm any more.
    pub(crate) fn rotate(&mut self, token: Token, is_kept: impl Fn(SessionId) -> bool) {
        self.tokens.rotate(token);
        let ring = &self.ring;
        let is_kept = |key, session| ring.get(key).is_some() && is_kept(session);
        self.senders.forget(self.tokens.oldest(), is_kept);
    }

    /// Opens nothing under a key any more. What has come under it is remembered as long as the
    /// tokens it named: the key may be added again.
    pub(crate) fn remove_key(&mut self, id: KeyId) -> Result<(), RingError> {
        self.ring.remove(id)?;
        self.senders.forget_key(id);
        Ok(())
    }

    /// Envelopes that were sealed, and those of others that were opened.
    pub(crate) fn count(&self) -> (u64, u64) {
        (self.counter, self.opened)
    }

    /// The highest counter of a session that has come, if it is remembered.
    pub(crate) fn newest_of(&self, key: KeyId, session: SessionId) -> Option<u64> {
        self.senders.get(key, session).map(|sender| sender.window.newest())
    }

    /// Senders that are remembered.
    pub(crate) fn len(&self) -> usize {
        self.senders.len()
    }
}

/// Whether a counter of a sender may still come.
fn check(sender: Option<&Sender>, counter: u64, proof: Proof) -> Option<Fresh> {
    let window = sender.map_or(&NOBODY, |sender| &sender.window);
    match proof {
        Proof::SealedToMe => window.check(counter),
        // Of what went to everybody before this node began there may be copies. What was sealed
        // after something for this node was not: all of that which came is in the window.
        _ if sender.is_some_and(|sender| sender.is_bound_before(counter)) => window.check(counter),
        _ => window.check_newest(counter),
    }
}
