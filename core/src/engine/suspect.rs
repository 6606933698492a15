//! A peer whose connection broke while calls are open there: is its program gone?
//!
//! A connection that breaks says little: the network, a firewall or the far end's own bounds end
//! connections too, and the calls are asked about by datagrams then. Silence says nothing until the
//! lease ends. What says it sooner is the far host, when it refuses another connection: nobody
//! listens there. Since a firewall refuses as well, and the port may have changed, that counts only
//! for a program that answers no question either.

use std::time::Duration;

use super::{Core, Phase};
use crate::endpoint::LinkId;
use crate::event::PeerDownReason;
use crate::id::PeerKey;
use crate::peers::Suspicion;
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::Outgoing;

/// So many questions in a row are left unanswered. A program that lives although its host refuses
/// connections, behind a network that loses three of ten datagrams, is missed once in fifty times.
const ASKS: u8 = 6;

/// How long the answer to the first may take; each of the others has twice as long, together 3.15 s.
const FIRST_WAIT: Duration = Duration::from_millis(50);

impl Core {
    /// A connection of a peer has broken. While calls wait for the peer it is asked whether it is
    /// there, and dialled if it does not say so at once.
    pub(super) fn suspect(&mut self, now: Time, key: PeerKey) {
        let Some(peer) = self.peers.get(key) else { return };
        let is_waited_for = peer.open_calls > 0 && self.phase == Phase::Running;
        // Who cannot be dialled can refuse nothing.
        let can_refuse = self.connection_address(peer).is_some() && !self.is_connection(peer.link);
        if !is_waited_for || !can_refuse || peer.suspicion.is_some() {
            return;
        }
        let number = self.draw_ping();
        if let Some(peer) = self.peers.get_mut(key) {
            peer.suspicion = Some(Suspicion::new(now, number));
        }
        self.question(now, key);
    }

    /// Asks a suspected peer whether it is there.
    fn question(&mut self, now: Time, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let link = peer.link;
        let Some(suspicion) = &mut peer.suspicion else { return };
        let wait = FIRST_WAIT * (1 << suspicion.asked.min(ASKS));
        suspicion.asked += 1;
        suspicion.asked_at = now;
        suspicion.timer = Some(self.timers.set(now + wait, Timer::Suspect(key)));
        let number = suspicion.number;
        self.send(link, Outgoing::Ping(number));
    }

    /// A suspected peer has had its time to answer a question.
    pub(super) fn question_over(&mut self, now: Time, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let Some(suspicion) = &mut peer.suspicion else { return };
        suspicion.timer = None;
        let link = |link: LinkId| self.links.get(link);
        let is_back = peer.connection.and_then(link).is_some_and(|link| link.was_heard);
        if is_back || peer.open_calls == 0 {
            peer.suspicion = None;
            return;
        }
        // What came need not be new, and anybody can send it: it is worth another question.
        if link(peer.link).is_some_and(|link| link.last_heard > suspicion.asked_at) {
            suspicion.asked = suspicion.asked.min(ASKS - 1);
        }
        let (is_refused, is_over) = (suspicion.is_refused, suspicion.asked >= ASKS);
        if !is_over {
            if !is_refused {
                // Again, if need be: a program that is just ending may still accept.
                self.connect(now, key);
            }
            return self.question(now, key);
        }
        peer.suspicion = None;
        if is_refused {
            self.remove_peer(now, key, PeerDownReason::Gone);
        }
    }

    /// A pong that may be a suspected peer's. `false`: it is not.
    pub(super) fn is_there(&mut self, from: LinkId, number: u64) -> bool {
        let key = self.links.get(from).and_then(|link| link.peer);
        let Some(peer) = key.and_then(|key| self.peers.get_mut(key)) else { return false };
        let Some(suspicion) = peer.suspicion.take_if(|asked| asked.number == number) else {
            return false;
        };
        self.cancel_timer(suspicion.timer);
        true
    }

    /// A dial has come to an end: the host of a suspected peer refused it, or did not.
    pub(super) fn dial_over(&mut self, key: PeerKey, is_refused: bool) {
        let suspicion = self.peers.get_mut(key).and_then(|peer| peer.suspicion.as_mut());
        if let Some(suspicion) = suspicion {
            suspicion.is_refused = is_refused;
        }
    }
}
