//! Keyed mode: a frame, from its seal to its messages and back; and the node's keys.
//!
//! Nothing here sends in plain or listens to it. A frame that does not verify changes nothing but
//! counters. What a frame that does verify may say depends on its [`Proof`]: for everybody, it
//! may announce; only what names a token of this node acts.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::keys::draw_token;
use super::receive::From;
use crate::counters::Drop;
use crate::endpoint::LinkId;
use crate::event::Event;
use crate::id::{PeerKey, SessionId};
use crate::message::{Message, Method, WireId};
use crate::mutant::planted;
use crate::peers::Trust;
use crate::ports::{Capabilities, Close, KeyId, OpenError, SessionKey};
use crate::time::Time;
use crate::wire::hosts::Hosts;
use crate::wire::outbox::Outgoing;
use crate::wire::sessions::carriage::{self, AROUND};
use crate::wire::sessions::{Head, Held, Labels, OVERHEAD, Outside, Plain, Proof, Seal};
use crate::wire::sessions::{Token, VERSION, envelope};

/// How often a peer that names an old token is told the new one.
const TELL_AGAIN: Duration = Duration::from_secs(1);

impl Core {
    /// Whether this node has a key: it says and hears nothing that is not sealed.
    pub fn is_keyed(&self) -> bool {
        self.sealing.sessions.is_some()
    }

    /// Bytes that sealing adds to a frame.
    pub(super) fn envelope_size(&self) -> usize {
        if self.is_keyed() { OVERHEAD } else { 0 }
    }

    /// What a lane carries of a plain frame.
    pub(super) fn within_envelope(&self, lane: Capabilities) -> Capabilities {
        if !self.is_keyed() {
            return lane;
        }
        let max_frame = lane.max_frame.saturating_sub(OVERHEAD);
        // The envelope is written as base64: four bytes for three.
        let envelope = lane.max_broadcast.saturating_sub(AROUND) / 4 * 3;
        Capabilities { max_frame, max_broadcast: envelope.saturating_sub(OVERHEAD), ..lane }
    }

    /// Draws what a new link needs.
    pub(super) fn begin_sealing(&mut self, link: LinkId) {
        if !self.is_keyed() {
            return;
        }
        let own = self.is_connection(link).then(|| draw_token(&mut self.random));
        if let Some(link) = self.links.get_mut(link) {
            link.seal.own = own;
        }
    }

    /// The token that a hello on a link tells, or a broadcast one.
    pub(super) fn token_told(&self, link: Option<LinkId>) -> Option<Token> {
        let sessions = self.sealing.sessions.as_ref()?;
        let own = link.and_then(|link| self.links.get(link)).and_then(|link| link.seal.own);
        Some(own.unwrap_or_else(|| sessions.tokens.current()))
    }

    // In.

    /// Takes a frame in keyed mode. Whatever is not sealed, or not for this node, or has come
    /// before, is dropped in silence.
    pub(super) fn receive_sealed(
        &mut self,
        now: Time,
        from: From,
        frame: &mut [u8],
    ) -> Result<(), Drop> {
        let result = if frame.first() == Some(&VERSION) {
            self.receive_bare(now, from, frame)
        } else {
            let mut envelope = std::mem::take(&mut self.sealing.scratch);
            let first = frame.first().copied().unwrap_or_default();
            let codec = self.pipeline.claimed_by(first).ok_or(Drop::UnknownFormat);
            let outer =
                codec.and_then(|codec| carriage::read(codec.as_ref(), frame, &mut envelope));
            let result = outer.and_then(|outer| {
                let outside = (Head::read(&envelope)?, outer.labels(), frame.len());
                let (from, plain) = self.open_in_place(now, from, outside, &mut envelope)?;
                self.receive_plain(now, from, plain)
            });
            envelope.clear();
            self.sealing.scratch = envelope;
            result
        };
        if result == Err(Drop::Plaintext) {
            self.tell_plaintext(now, from.link);
        }
        result
    }

    /// What a bare envelope on a link was sealed as.
    pub(super) fn labels_in(&self, link: LinkId) -> Labels<'static> {
        match self.links.get(link) {
            Some(link) if link.seal.own.is_none() => Labels::BATCH,
            Some(link) if link.seal.heard > 0 => Labels::RECORD,
            _ => Labels::HELLO,
        }
    }

    /// Opens an envelope in place that came in a frame of so many bytes.
    pub(super) fn open_in_place<'a>(
        &mut self,
        now: Time,
        from: From,
        outside: (Head, Labels<'_>, usize),
        frame: &'a mut [u8],
    ) -> Result<(From, &'a [u8]), Drop> {
        let (head, labels, _) = outside;
        let opened = self.open(now, from, outside, |key| envelope::open(&head, labels, key, frame));
        opened.map(|(from, plain)| (from, &*plain))
    }

    /// Has an envelope opened that came in a frame of so many bytes.
    pub(super) fn open<T>(
        &mut self,
        now: Time,
        from: From,
        (head, labels, size): (Head, Labels<'_>, usize),
        open: impl FnOnce(&dyn SessionKey) -> Result<T, OpenError>,
    ) -> Result<(From, T), Drop> {
        let seal = self.links.get(from.link).map(|link| &link.seal);
        let connection = seal.and_then(|seal| seal.own?.after(seal.heard));
        self.admit_unknown(now, from.link, &head)?;
        let Some(mut sessions) = self.sealing.sessions.take() else { return Err(Drop::Sealed) };
        let outside = Outside { labels, connection };
        let opened = sessions.open_by(now, &head, outside, open);
        let is_bad = matches!(opened, Err(Drop::BadSeal));
        let is_worn = is_bad && sessions.is_worn(head.key);
        self.sealing.sessions = Some(sessions);
        match opened {
            Ok((seal, plain)) => {
                self.heard(now, from.link, size, Some(&seal));
                self.opened(now, from.link, &seal);
                Ok((From { seal: Some(seal), ..from }, plain))
            }
            Err(why) => {
                self.not_opened(now, from.link, &head, why);
                if is_worn {
                    self.event(Event::KeyWorn { key: head.key });
                }
                Err(why)
            }
        }
    }

    /// Opening costs more than reading: what comes by a proved address but from somebody who has
    /// sent nothing genuine so far, or needs a key that is not at hand, counts like a stranger's.
    /// Not on a connection in use: its first frame that does not verify is its last, and one that
    /// is left out breaks it.
    fn admit_unknown(&mut self, now: Time, link: LinkId, head: &Head) -> Result<(), Drop> {
        let known = self.links.get(link).ok_or(Drop::UnknownLink)?;
        let is_in_use = known.seal.own.is_some() && known.seal.heard > 0;
        if !known.proved
            || is_in_use
            || self.sealing.sessions.as_ref().is_some_and(|sessions| sessions.knows(head))
        {
            return Ok(());
        }
        let host = Hosts::counts(known.remote.ip());
        self.admit_stranger(now, host, self.is_connection(link))
    }

    /// Notes what a frame that was opened shows of the far end of its link.
    fn opened(&mut self, now: Time, link: LinkId, seal: &Seal) {
        if seal.proof == Proof::SealedToMe && !self.is_connection(link) {
            self.make_way(now, link, seal.sender);
        }
        let is_far_ends = self.is_of_far_end(link, seal);
        if let Some(known) = self.links.get_mut(link) {
            known.seal.heard += 1;
            // A sender counts on under whichever key it seals: what it has sealed before a change
            // of keys may come after, or be sent again by somebody.
            let is_newest = known
                .seal
                .keyed_by
                .is_none_or(|(session, counter)| session != seal.sender || counter < seal.counter);
            if is_far_ends && is_newest {
                known.seal.keyed_by = Some((seal.sender, seal.counter));
                known.seal.key = Some(seal.key);
            }
            known.seal.is_answered |= seal.proof == Proof::SealedToMe;
        }
        self.believe(now, seal);
        if seal.proof == Proof::SealedToMe
            && let Some(key) = self.peers.by_session(seal.sender)
        {
            self.recognise(now, key, link);
        }
    }

    /// Whether the far end of a link may have sent this: what another session has sealed for
    /// everybody may be a copy.
    pub(super) fn is_of_far_end(&self, link: LinkId, seal: &Seal) -> bool {
        let peer = self.links.get(link).and_then(|link| link.peer);
        let session = peer.and_then(|key| self.peers.get(key)).map(|peer| peer.session);
        seal.proof == Proof::SealedToMe || session.is_none_or(|session| session == seal.sender)
    }

    /// Whoever has sealed something for this node is there now: no copy could name its token.
    pub(super) fn believe(&mut self, now: Time, seal: &Seal) {
        if seal.proof < Proof::SealedToMe {
            return;
        }
        let Some(key) = self.peers.by_session(seal.sender) else { return };
        if self.peers.get(key).is_some_and(|peer| peer.trust == Trust::Tentative) {
            self.verify(now, key);
        }
    }

    /// Whether a peer may be called and counted on: in keyed mode, only once it is verified.
    pub(super) fn is_believed(&self, key: PeerKey) -> bool {
        !self.is_keyed()
            || planted!(TentativeBelieved)
            || self.peers.get(key).is_some_and(|peer| peer.trust == Trust::Verified)
    }

    /// A frame was not opened.
    fn not_opened(&mut self, now: Time, link: LinkId, head: &Head, why: Drop) {
        match why {
            Drop::Sealed => self.note_foreign(now, link, head.key),
            Drop::WrongToken => self.tell_token(now, head.session),
            Drop::TableFull => self.limit_hit(now, "max_senders"),
            _ => {}
        }
        // A connection loses nothing and doubles nothing: somebody else has a hand in it.
        if self.is_connection(link) {
            self.drop_link(now, link, Close::Abort);
        }
    }

    /// A peer has named a token that is too old, or one of another life of this node: it is told
    /// the new one where it is known to be, whoever sent this.
    fn tell_token(&mut self, now: Time, session: SessionId) {
        let Some(key) = self.peers.by_session(session) else { return };
        let Some(peer) = self.peers.get(key).filter(|peer| peer.trust == Trust::Verified) else {
            return;
        };
        let id = peer.link;
        let Some(link) = self.links.get_mut(id) else { return };
        if link.seal.told.is_some_and(|told| now.since(told) < TELL_AGAIN) {
            return;
        }
        link.seal.told = Some(now);
        self.send(id, Outgoing::Hello { wants: false });
    }

    fn tell_plaintext(&mut self, now: Time, link: LinkId) {
        let Some(endpoint) = self.links.get(link).map(|link| link.remote.clone()) else { return };
        if self.sealing.foreign.tells_plaintext(now, endpoint.to_string()) {
            self.event(Event::PlaintextRefused { endpoint });
        }
    }

    /// Whoever sealed a frame speaks for itself alone, and by its own links.
    pub(super) fn check_sender(
        &self,
        link: LinkId,
        seal: &Seal,
        message: &Message<'_>,
    ) -> Result<(), Drop> {
        if planted!(SenderIgnored) {
            return Ok(());
        }
        let is_senders = match message {
            Message::Hello(hello) => hello.session == seal.sender && hello.receiver.is_some(),
            Message::Func(func) => func.session == Some(seal.sender),
            Message::Bye(session) => *session == seal.sender,
            Message::Call(call) => match &call.id {
                Some(WireId::Native(id)) => id.session == seal.sender.short(),
                _ => true,
            },
            _ => true,
        };
        if !is_senders {
            return Err(Drop::Forged);
        }
        let of_link = self.links.get(link).and_then(|link| link.peer);
        let owner = of_link.and_then(|key| self.peers.get(key)).map(|peer| peer.session);
        match message.method() {
            Method::Hello | Method::Func | Method::Bye => Ok(()),
            _ if owner.is_none_or(|owner| owner == seal.sender) => Ok(()),
            _ => Err(Drop::Forged),
        }
    }

    /// Whether a hello is the latest of its sender. One that was overtaken on its way, or held back
    /// by somebody, tells what may not be true any more. A connection keeps its order.
    pub(super) fn is_latest(&mut self, from: From, key: PeerKey) -> bool {
        let Some(seal) = from.seal else { return true };
        if self.is_connection(from.link) {
            return true;
        }
        let Some(peer) = self.peers.get_mut(key) else { return false };
        let is_latest = seal.counter > peer.newest_hello;
        peer.newest_hello = peer.newest_hello.max(seal.counter);
        is_latest
    }

    /// Takes over the token that a hello tells. On a link of somebody else it is good for the one
    /// hello that asks who lives there.
    pub(super) fn learn_token(&mut self, from: From, token: Option<Token>) {
        let Some(token) = token.filter(|_| from.seal.is_some()) else { return };
        let sender = from.seal.and_then(|seal| self.peers.by_session(seal.sender));
        let Some(link) = self.links.get_mut(from.link) else { return };
        if link.peer.is_some() && link.peer != sender {
            link.seal.successor = Some(token);
        } else {
            link.seal.to = Some(token);
            link.seal.successor = None;
        }
        self.outbox.change(link, |link| link.seal.is_mute = false);
        let reached = sender.and_then(|key| self.peers.get(key)).map(|peer| peer.link);
        self.outbox.again(&mut self.links, from.link);
        // A node has one token for all datagrams, whichever way they take.
        let Some(other) = reached.filter(|link| *link != from.link) else { return };
        let is_datagram = |link: LinkId| !self.is_connection(link);
        if is_datagram(from.link) && is_datagram(other) {
            if let Some(link) = self.links.get_mut(other) {
                link.seal.to = Some(token);
                self.outbox.change(link, |link| link.seal.is_mute = false);
            }
            self.outbox.again(&mut self.links, other);
        }
    }

    // Out.

    /// Whether only a hello may leave by a link: its far end's token is not known, or somebody is
    /// to be asked who has taken its place.
    pub(super) fn says_hello_only(&self, link: LinkId) -> bool {
        let seal = self.links.get(link).map(|link| &link.seal);
        !planted!(CallsForAll)
            && self.is_keyed()
            && seal.is_some_and(|seal| seal.to.is_none() || seal.successor.is_some())
    }

    /// Packs a hello alone: one that waits, or one that asks for the token the others need.
    /// Returns how many messages are in the frame.
    pub(super) fn pack_hello(&mut self, now: Time, link: LinkId, out: &mut Vec<u8>) -> usize {
        let Some(known) = self.links.get_mut(link) else { return 0 };
        let waiting = self.outbox.pop_hello(known);
        let asks = known.seal.successor.is_none();
        if asks {
            self.outbox.change(known, |link| link.seal.is_mute = true);
        }
        let hello = match waiting {
            Some(hello) => {
                self.outbox.took(&hello);
                hello
            }
            None if asks => Outgoing::Hello { wants: true },
            // What waits is for the one who was there before.
            None => {
                known.seal.successor = None;
                return 0;
            }
        };
        let Outgoing::Hello { wants } = hello else { return 0 };
        let codec = Arc::clone(self.pipeline.plain());
        self.write_hello(link, wants, codec.as_ref(), out);
        if !self.within_budget(now, link, out.len() + OVERHEAD) {
            out.clear();
            return 0;
        }
        self.spend_budget(now, link, out.len() + OVERHEAD);
        1
    }

    /// Seals a frame for the far end of a link; one with a tail stands behind room. `false`: it
    /// must not leave.
    pub(super) fn seal_for(
        &mut self,
        link: LinkId,
        frame: &mut Vec<u8>,
        tail: Option<&[u8]>,
    ) -> bool {
        let Some(sessions) = &mut self.sealing.sessions else { return true };
        let Some(known) = self.links.get_mut(link) else { return false };
        let seal = &mut known.seal;
        let to = seal.successor.take().or(seal.to);
        if planted!(AnsweredInPlain) && to.is_none() {
            return true;
        }
        let to = if seal.own.is_some() { to.and_then(|to| to.after(seal.sent)) } else { to };
        let labels = match (to, seal.own) {
            (None, _) => Labels::HELLO,
            (Some(_), None) => Labels::BATCH,
            (Some(_), Some(_)) if seal.sent > 0 => Labels::RECORD,
            (Some(_), Some(_)) => Labels::HELLO,
        };
        seal.sent += 1;
        let Some(key) = seal.key.or_else(|| sessions.ring.primary()) else { return false };
        let plain = Plain {
            tail: tail.map(|tail| (self.large.stand_apart(frame), tail)),
            frame,
            has_room: self.large.has_room,
            stream: if labels == Labels::RECORD { self.large.stream } else { 0 },
        };
        sessions.seal(key, to, labels, self.random.fresh(), plain)
    }

    /// Seals a frame for everybody, in a message that an older program survives.
    pub(super) fn seal_broadcast(&mut self, key: KeyId, frame: &mut Vec<u8>) -> bool {
        let Some(sessions) = &mut self.sealing.sessions else { return true };
        if !sessions.seal(key, None, Labels::HELLO, self.random.fresh(), Plain::of(frame)) {
            return false;
        }
        let envelope = std::mem::take(frame);
        let codec = Arc::clone(self.pipeline.plain());
        carriage::write(&envelope, codec.as_ref(), frame);
        true
    }

    /// The keys that a broadcast goes out under: the primary one, and those that somebody used
    /// within a lease.
    pub(super) fn broadcast_keys(&self, now: Time) -> Vec<KeyId> {
        let Some(sessions) = &self.sealing.sessions else { return Vec::new() };
        let lease = self.hello_interval() * self.config.lease_tenths / 10;
        let primary = sessions.ring.primary();
        let is_used = |held: &Held| {
            Some(held.id) == primary || held.opened.is_some_and(|at| now.since(at) <= lease)
        };
        sessions.ring.iter().filter(|held| is_used(held)).map(|held| held.id).collect()
    }

    /// How many senders are remembered.
    pub(super) fn senders(&self) -> usize {
        self.sealing.sessions.as_ref().map_or(0, |sessions| sessions.len())
    }
}
