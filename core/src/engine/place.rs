//! Where a peer lives: which link is whose, who takes whose place, and when a peer is said to be
//! elsewhere. A hello, or a seal, says who speaks; only the proof of an address says from where.

use super::Core;
use super::receive::From;
use crate::endpoint::LinkId;
use crate::event::PeerDownReason;
use crate::id::{PeerKey, SessionId};
use crate::message::Hello;
use crate::mutant::planted;
use crate::peers::{Peer, Trust};
use crate::ports::Cast;
use crate::time::Time;
use crate::wire::outbox::Outgoing;

impl Core {
    /// Whether a verified peer, and not this one, lives at the far end of a link whose source anybody
    /// can claim.
    pub(super) fn is_held(&self, link: LinkId, but_by: Option<PeerKey>) -> bool {
        let owner = self.links.get(link).and_then(|link| link.peer);
        let owner = owner.filter(|owner| Some(*owner) != but_by);
        let owner = owner.and_then(|owner| self.peers.get(owner));
        !self.is_connection(link) && owner.is_some_and(|owner| owner.trust == Trust::Verified)
    }

    /// Another session speaks for the address of a verified peer: the node there has restarted,
    /// or somebody forges its address. Only what really receives there can tell us.
    pub(super) fn challenge_successor(&mut self, now: Time, from: From, hello: &Hello<'_>) {
        let link = from.link;
        if !self.replies.take(now, self.config.hello_replies) {
            self.limit_hit(now, "hello_replies");
            return;
        }
        // What an unproved address may be sent has grown, or its time is over: the question must not
        // wait for the lease of the one before.
        self.unpark(link);
        if let Some(link) = self.links.get_mut(link) {
            link.challenged = true;
            // A new session has another token: sent back, it frees what that one may answer.
            if from.cast == Cast::Unicast {
                link.echo = hello.token.or(link.echo);
            }
        }
        self.send(link, Outgoing::Hello { wants: false });
    }

    /// A peer that was heard elsewhere before has proved that it lives where another session did:
    /// that session is over.
    pub(super) fn succeed(&mut self, now: Time, key: PeerKey, link: LinkId) {
        let before = self.links.get(link).and_then(|link| link.peer);
        let before = before.filter(|before| *before != key && self.peers.get(*before).is_some());
        let Some(before) = before.filter(|_| !self.is_connection(link)) else { return };
        self.vacate(now, link, before, PeerDownReason::Restarted);
        if let Some(session) = self.peers.get(key).map(|peer| peer.session) {
            self.hand_over(link, session);
        }
    }

    /// Takes a link from a peer, which is gone if it is reached by no other.
    fn vacate(&mut self, now: Time, link: LinkId, owner: PeerKey, reason: PeerDownReason) {
        if self.peers.get(owner).is_some_and(|peer| peer.link == link) {
            self.remove_peer(now, owner, reason);
        }
        self.links.disown(link);
    }

    /// Whoever is believed comes before whoever is not: an entry that a copy has made at the address
    /// of another node must not keep that one from being heard there.
    pub(super) fn make_way(&mut self, now: Time, link: LinkId, sender: SessionId) {
        let Some(owner) = self.links.get(link).and_then(|link| link.peer) else { return };
        let is_before = |peer: &Peer| peer.session != sender && peer.trust == Trust::Tentative;
        if self.peers.get(owner).is_some_and(is_before) {
            self.vacate(now, link, owner, PeerDownReason::Evicted);
            self.hand_over(link, sender);
        }
    }

    /// What is sealed for the far end of a link names a token of this session from now on, as far
    /// as one is known.
    fn hand_over(&mut self, link: LinkId, session: SessionId) {
        let peer = self.peers.by_session(session).and_then(|key| self.peers.get(key));
        let by = peer.map(|peer| peer.link).filter(|by| !self.is_connection(*by));
        let to = by.and_then(|by| self.links.get(by)).and_then(|by| by.seal.to);
        if let Some(link) = self.links.get_mut(link) {
            (link.seal.to, link.seal.successor) = (to, None);
        }
    }

    /// Whether what comes on this link is this peer's: it is known by it, or has proved it.
    pub(super) fn speaks_for(&self, link: LinkId, key: PeerKey) -> bool {
        self.peers.get(key).is_some_and(|peer| peer.link == link)
            || self.links.get(link).is_some_and(|link| link.proved_for == Some(key))
    }

    /// A node with several links is heard on each: stay with one while it works, then go to
    /// another that the peer has proved. One that it has not is asked for the proof.
    pub(super) fn follow(&mut self, now: Time, key: PeerKey, to: LinkId) {
        let Some(peer) = self.peers.get(key) else { return };
        let (old, patience) = (peer.link, peer.interval * 3 / 2);
        let works = self.links.get(old).is_some_and(|l| now.since(l.last_heard) <= patience);
        let Some(link) = self.links.get(to) else { return };
        let is_anothers = link.peer.is_some_and(|other| other != key);
        // Datagrams come first where both are there; the connection stays beside them. Where it
        // has shown to be comes before where it only says to be.
        let is_proved = |link| self.links.get(link).is_some_and(|l| l.proved_for == Some(key));
        let (was_proved, is_proved) = (is_proved(old), is_proved(to));
        let is_better =
            self.is_connection(old) && !self.is_connection(to) || is_proved && !was_proved;
        // A key shows who has sealed a frame, not who has brought it: a place that the peer has not
        // proved does not put off the question whether it is here.
        let is_settled = works && (was_proved || !self.is_keyed());
        let is_worse = self.is_connection(to) && !self.is_connection(old);
        if old == to || (is_settled && !is_better) || (is_worse && works) || is_anothers {
            return;
        }
        if !is_proved && !planted!(CopyFollowed) {
            if self.replies.take(now, self.config.hello_replies) {
                self.send(to, Outgoing::Hello { wants: false });
            }
            return;
        }
        let endpoint = link.remote.clone();
        // A connection keeps its peer: what is under way on it goes on.
        let stays = self.is_connection(old);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.link = to;
            peer.endpoint = endpoint;
            let spare = peer.connection.filter(|link| *link != to);
            peer.connection = spare.or_else(|| stays.then_some(old));
            // What was asked elsewhere may never have come there: it is asked anew, and soon.
            peer.wants_asked = 0;
            let want = peer.want.take();
            self.cancel_timer(want);
        }
        if !stays {
            self.links.disown(old);
        }
        if let Some(link) = self.links.get_mut(to) {
            link.peer = Some(key);
        }
    }
}
