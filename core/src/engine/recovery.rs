//! The caller's side of reliability: calls that are sent again until their callee is known to
//! have them, and asked about from then on.
//!
//! Only towards peers that send receipts ([`Features::ACK`]), and sent again only on links that
//! may lose a frame. Whatever else a peer speaks, it never gets a call twice.

use super::Core;
use crate::agenda::MOST_STALE;
use crate::calls::{Call, Mode, Stage};
use crate::endpoint::LinkId;
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::{CallKey, ExeId, PeerKey};
use crate::message::Features;
use crate::mutant::planted;
use crate::peers::Peer;
use crate::recovery::{ACK_DELAY, Flight, MAX_SENDS, Open, probe_after, spread};
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::Outgoing;

/// Whether a peer says what has arrived.
fn gives_receipts(peer: &Peer) -> bool {
    peer.features.has(Features::ACK) || planted!(ResentToOlder)
}

impl Core {
    /// Whether a peer says what has arrived.
    pub(super) fn sends_receipts(&self, peer: PeerKey) -> bool {
        self.peers.get(peer).is_some_and(gives_receipts)
    }

    /// Whether a link may lose a frame.
    pub(super) fn may_lose(&self, link: LinkId) -> bool {
        self.links.capabilities(link.lane).is_some_and(|lane| !lane.reliable)
    }

    /// Puts a call that has its peer and its link into the outbox, or lets it wait for room in
    /// the peer's window. `false`: there is no room in the outbox.
    pub(super) fn launch(&mut self, key: CallKey, to: PeerKey, by: LinkId) -> bool {
        let may_lose = self.may_lose(by);
        let Some(call) = self.calls.get_mut(key) else { return false };
        let open = Open::of(key, call);
        let Stage::Remote { flight, .. } = &mut call.stage else { return false };
        if let Some(peer) = self.peers.get_mut(to) {
            peer.recovery.opened(open);
            if may_lose && gives_receipts(peer) {
                if !peer.recovery.window.has_room() {
                    peer.recovery.held.push_back(key);
                    return true;
                }
                peer.recovery.window.take();
                flight.in_window = true;
            }
        }
        flight.is_queued = true;
        self.send(by, Outgoing::Call(key))
    }

    fn queue_call(&mut self, key: CallKey, by: LinkId) -> bool {
        let is_queued = self.send(by, Outgoing::Call(key));
        self.with_flight(key, |flight| flight.is_queued = is_queued);
        is_queued
    }

    pub(super) fn flight(&self, key: CallKey) -> Option<Flight> {
        match &self.calls.get(key)?.stage {
            Stage::Remote { flight, .. } => Some(*flight),
            _ => None,
        }
    }

    /// Whether a copy of a call was given to a transport.
    pub(super) fn was_sent(&self, key: CallKey) -> bool {
        self.flight(key).is_some_and(|flight| flight.sends > 0)
    }

    pub(super) fn with_flight(&mut self, key: CallKey, change: impl FnOnce(&mut Flight)) {
        if let Some(Stage::Remote { flight, .. }) =
            self.calls.get_mut(key).map(|call| &mut call.stage)
        {
            change(flight);
        }
    }

    /// A call was given to a transport: unless a receipt comes, it is sent again.
    pub(super) fn call_left(&mut self, now: Time, link: LinkId, key: CallKey) {
        let repeats = self.may_lose(link);
        let Some(call) = self.calls.get_mut(key) else { return };
        let ExeId { number, random, .. } = call.wire;
        let Stage::Remote { peer: to, sent, flight, .. } = &mut call.stage else { return };
        *sent = true;
        flight.leaves(now);
        flight.is_queued = false;
        let (sends, probes) = (flight.sends, flight.is_probed.then_some(flight.probes));
        self.counters.calls_resent += u64::from(sends > 1);
        let to = *to;
        let Some(peer) = self.peers.get_mut(to) else { return };
        if call.request.mode == Mode::OneWay {
            peer.recovery.hold(number, now);
        }
        if !repeats || !gives_receipts(peer) {
            return;
        }
        let recovery = &mut peer.recovery;
        let due = now
            + match probes {
                None => spread(recovery.round_trip.timeout(sends), random, sends),
                // The question that it goes with may have left long before it.
                Some(probes) => probe_after(probes),
            };
        flight.due = Some(due);
        recovery.due.add(due, key);
        // A timer that is set for an earlier time stays; what has become stale meanwhile is passed
        // over then, or once it is much.
        let is_set = recovery.timer.is_some_and(|(at, _)| at <= due);
        if !is_set || recovery.due.len() > MOST_STALE {
            self.arm_recovery(to);
        }
    }

    /// Notes when a call to a peer is to be sent again or asked about.
    fn see_to(&mut self, peer: PeerKey, key: CallKey, due: Time) {
        self.with_flight(key, |flight| flight.due = Some(due));
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.recovery.due.add(due, key);
        }
    }

    /// The link that a call leaves by.
    pub(super) fn link_of_call(&self, key: CallKey) -> Option<LinkId> {
        match &self.calls.get(key)?.stage {
            Stage::Remote { link, .. } => Some(*link),
            _ => None,
        }
    }

    /// Gives a call's place in the window to the next that waits for one. A `clean` round trip
    /// widens the window.
    pub(super) fn land(&mut self, now: Time, key: CallKey, clean: bool) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Stage::Remote { peer: to, flight, .. } = &mut call.stage else { return };
        if !std::mem::take(&mut flight.in_window) {
            return;
        }
        let to = *to;
        let Some(peer) = self.peers.get_mut(to) else { return };
        peer.recovery.window.release(clean);
        while let Some(next) = self.next_held(to) {
            let Some(by) = self.link_of_call(next) else { continue };
            if let Some(peer) = self.peers.get_mut(to) {
                peer.recovery.window.take();
            }
            self.with_flight(next, |flight| flight.in_window = true);
            if !self.queue_call(next, by) {
                let text = "too many messages wait to be sent";
                let error = CallError::new(ErrorCode::BUSY, Executed::No, text);
                self.finish_failed(now, next, error);
            }
        }
    }

    /// The next call that waits for room in a peer's window, if there is room.
    fn next_held(&mut self, to: PeerKey) -> Option<CallKey> {
        let calls = &self.calls;
        let recovery = &mut self.peers.get_mut(to)?.recovery;
        while recovery.window.has_room() {
            let next = recovery.held.pop_front()?;
            let waits = |call: &Call| matches!(&call.stage, Stage::Remote { peer, sent: false, .. } if *peer == to);
            if calls.get(next).is_some_and(waits) {
                return Some(next);
            }
        }
        None
    }

    /// Something is due towards a peer.
    pub(super) fn recovery_due(&mut self, now: Time, peer: PeerKey) {
        let Some(known) = self.peers.get_mut(peer) else { return };
        known.recovery.timer = None;
        loop {
            let Some(known) = self.peers.get_mut(peer) else { return };
            let Some((at, key)) = known.recovery.due.pop_due(now) else { break };
            if self.flight(key).is_some_and(|flight| flight.due == Some(at)) {
                self.follow_up(now, peer, key);
            }
        }
        self.flush_owed(now, peer, false);
        self.advance_watermark(now, peer);
        self.arm_recovery(peer);
    }

    /// Nothing came for a call in time. Since its second copy left its callee counts as silent, until
    /// it says anything: others are called first. One copy is lost easily.
    pub(super) fn note_unheard(&mut self, callee: PeerKey, flight: Flight) {
        if let Some(peer) = self.peers.get_mut(callee)
            && let Some(since) = flight.left_at(1).filter(|_| !flight.is_acked)
            && gives_receipts(peer)
        {
            peer.unheard_at = Some(since);
        }
    }

    /// No receipt or no answer came in time: sends a call again, or asks about it.
    fn follow_up(&mut self, now: Time, peer: PeerKey, key: CallKey) {
        let Some(flight) = self.flight(key) else { return };
        self.note_unheard(peer, flight);
        // When it leaves it is known when the next one is due.
        if flight.is_queued {
            return;
        }
        if flight.is_probed {
            return self.probe(now, peer, key);
        }
        if let Some(known) = self.peers.get_mut(peer) {
            let timeout = known.recovery.round_trip.timeout(flight.sends);
            known.recovery.window.shrink(now, timeout);
        }
        if flight.sends < MAX_SENDS + u8::from(planted!(SentOnceTooOften)) {
            let Some(by) = self.link_of_call(key) else { return };
            self.with_flight(key, |flight| flight.due = None);
            if self.queue_call(key, by) {
                return;
            }
        }
        self.ask_instead(now, key);
    }

    /// A call cannot be sent again, or was sent often enough; that it came is still possible.
    pub(super) fn ask_instead(&mut self, now: Time, key: CallKey) {
        let Some(Stage::Remote { peer, .. }) = self.calls.get(key).map(|call| &call.stage) else {
            return;
        };
        let peer = *peer;
        self.with_flight(key, |flight| flight.is_queued = false);
        self.land(now, key, false);
        self.ask_from_now_on(now, peer, key);
    }

    /// From now on a call's callee is asked about it, ever more seldom.
    pub(super) fn ask_from_now_on(&mut self, now: Time, peer: PeerKey, key: CallKey) {
        let Some(flight) = self.flight(key) else { return };
        self.with_flight(key, |flight| flight.is_probed = true);
        self.see_to(peer, key, now + probe_after(flight.probes));
        self.arm_recovery(peer);
    }

    /// Asks a callee about a call. As long as it has not said that it has a call that was sent again
    /// and again, a copy goes before the question, in one frame if they fit: every earlier one may
    /// have been lost. Who knows nothing of the call then has restarted.
    fn probe(&mut self, now: Time, peer: PeerKey, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Stage::Remote { link, flight, .. } = &mut call.stage else { return };
        flight.probes = flight.probes.saturating_add(1);
        let (by, due) = (*link, now + probe_after(flight.probes));
        let may_be_lost = flight.sends > 1 && !flight.is_acked;
        self.see_to(peer, key, due);
        if may_be_lost && self.may_lose(by) {
            self.queue_call(key, by);
        }
        self.counters.probes_sent += 1;
        self.send(by, Outgoing::Probe(key));
    }

    /// The link is gone that a call left by, but its callee can be reached by another: it is
    /// asked there. `false`: it cannot.
    pub(super) fn ask_elsewhere(&mut self, now: Time, key: CallKey) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        let Stage::Remote { peer: to, link, sent: true, .. } = &call.stage else { return false };
        let (to, gone) = (*to, *link);
        let other = self.peers.get(to).map(|peer| peer.link).filter(|link| *link != gone);
        let Some(other) = other.filter(|_| call.stream.is_none() && self.sends_receipts(to)) else {
            return false;
        };
        self.land(now, key, false);
        if let Some(Stage::Remote { link, flight, .. }) =
            self.calls.get_mut(key).map(|call| &mut call.stage)
        {
            *link = other;
            flight.is_probed = true;
        }
        if let Some(link) = self.links.get_mut(other) {
            link.carried_calls = true;
        }
        self.probe(now, to, key);
        self.arm_recovery(to);
        if self.is_connection(gone) {
            self.suspect(now, to);
        }
        true
    }

    /// Sets a peer's timer to the first thing that is due there.
    pub(super) fn arm_recovery(&mut self, key: PeerKey) {
        let calls = &self.calls;
        let Some(peer) = self.peers.get_mut(key) else { return };
        let recovery = &mut peer.recovery;
        let is_stale = |at: Time, call: CallKey| match calls.get(call).map(|call| &call.stage) {
            Some(Stage::Remote { flight, .. }) => flight.due != Some(at),
            _ => true,
        };
        while recovery.due.first().is_some_and(|(at, call)| is_stale(*at, *call)) {
            recovery.due.pop();
        }
        let follow_up = recovery.due.first().map(|(at, _)| *at);
        let owed = (!recovery.owed.is_empty()).then_some(recovery.owed_since + ACK_DELAY);
        if let Some(next) = [follow_up, owed].into_iter().flatten().min() {
            self.timers.set_earlier(&mut recovery.timer, next, Timer::Recovery(key));
        }
    }
}
