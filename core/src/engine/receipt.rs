//! Receipts: what one for a call says, what it and an answer tell of the way there, and those that
//! a peer is owed for its answers.

use std::time::Duration;

use super::Core;
use super::receive::From;
use crate::calls::{Carrier, Stage};
use crate::counters::Drop;
use crate::endpoint::LinkId;
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::{CallKey, ExeId, PeerKey};
use crate::message::{Ack, CallState, Features, Receipt, WireId};
use crate::mutant::planted;
use crate::recovery::{ACK_DELAY, Flight, MAX_OWED};
use crate::time::Time;
use crate::wire::outbox::Outgoing;

impl Core {
    /// A receipt for a call: its callee has it.
    pub(super) fn on_ack(&mut self, now: Time, from: From, ack: &Ack<'_>) -> Result<(), Drop> {
        let WireId::Native(id) = &ack.id else { return Err(Drop::UnknownCall) };
        match ack.receipt {
            Receipt::Answer { watermark } => self.on_receipt(now, from, *id, watermark),
            Receipt::Call { state, attempt } => self.on_call_ack(now, from, *id, state, attempt),
        }
    }

    fn on_call_ack(
        &mut self,
        now: Time,
        from: From,
        id: ExeId,
        state: CallState,
        attempt: u8,
    ) -> Result<(), Drop> {
        let key = self.calls.by_id(id).ok_or_else(|| self.late_or_unknown(id))?;
        let call = self.calls.get(key).filter(|call| call.wire == id);
        let Some(Stage::Remote { peer, flight, link, .. }) = call.map(|call| &call.stage) else {
            return Err(self.late_or_unknown(id));
        };
        let (peer, flight) = (*peer, *flight);
        if *link != from.link && !self.is_from(from.link, peer) {
            return Err(Drop::UnknownCall);
        }
        if planted!(AckRefuses) {
            let error = CallError::new(ErrorCode::BUSY, Executed::No, "refused");
            self.finish_failed(now, key, error);
            return Ok(());
        }
        if state == CallState::Unknown {
            if flight.is_probed {
                let text = "the callee knows nothing of the call: it has restarted, or the call \
                            never came";
                let never = planted!(UnknownSaysNo);
                let executed = if never { Executed::No } else { Executed::Maybe };
                let error = CallError::new(ErrorCode::LOST, executed, text);
                self.finish_failed(now, key, error);
            }
            return Ok(());
        }
        // Of a peer that does not say when it answers no copy, the last copy's first alone counts.
        let is_last = attempt.checked_add(1) == Some(flight.sends);
        let is_first = is_last && !flight.is_acked && !flight.is_probed;
        let left = flight.left_at(attempt).filter(|_| is_first || self.names_copies(peer));
        if let Some(left) = left.filter(|_| self.may_lose(from.link)) {
            // The receipt of a first copy waits for an answer to go with.
            let waited = if attempt == 0 { ACK_DELAY } else { Duration::ZERO };
            self.sample(peer, now.since(left).saturating_sub(waited));
        }
        self.with_flight(key, |flight| flight.is_acked = true);
        self.land(now, key, flight.sends == 1);
        if !flight.is_probed {
            self.ask_from_now_on(now, peer, key);
        }
        Ok(())
    }

    /// Whether a peer says in its answers which copies of the calls they answer.
    fn names_copies(&self, peer: PeerKey) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.features.has(Features::COPIES))
    }

    /// Takes in a round trip that is known for what it is.
    fn sample(&mut self, peer: PeerKey, measured: Duration) {
        let nanos = u64::try_from(measured.as_nanos()).unwrap_or(u64::MAX);
        self.counters.round_trips += 1;
        self.counters.round_trip_nanos = self.counters.round_trip_nanos.saturating_add(nanos);
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.recovery.round_trip.sample(measured);
        }
    }

    /// An answer has come for a call that is open, to this copy of it: what it says about the way.
    pub(super) fn answer_came(&mut self, now: Time, from: &From, key: CallKey, attempt: u8) {
        let Some(call) = self.calls.get(key) else { return };
        let Stage::Remote { peer, flight, link, .. } = &call.stage else { return };
        let (peer, is_clean) = (*peer, flight.sends == 1);
        let is_one_shot = call.request.carrier == Carrier::OneShot;
        if !is_one_shot && self.may_lose(*link) && self.may_lose(from.link) {
            if !self.names_copies(peer) {
                let flight = *flight;
                self.sample_unnamed(now, peer, &flight);
            } else if let Some(left) = flight.left_at(attempt) {
                self.sample(peer, now.since(left));
            }
        }
        self.land(now, key, is_clean);
    }

    /// An answer of a peer that does not say which copy it answers (Karn's rule: what was sent
    /// twice is no sample).
    fn sample_unnamed(&mut self, now: Time, peer: PeerKey, flight: &Flight) {
        let is_first = flight.sends == 1 && !flight.is_acked && !flight.is_probed;
        if let (Some(left), true) = (flight.left_at(0), is_first)
            && let Some(peer) = self.peers.get_mut(peer)
        {
            peer.recovery.round_trip.sample_if_plausible(now.since(left));
        }
    }

    /// Why an answer or a receipt finds no open call.
    pub(super) fn late_or_unknown(&self, id: ExeId) -> Drop {
        let is_ours = id.session == self.session.short() && self.calls.was_begun(id.number);
        if is_ours { Drop::Late } else { Drop::UnknownCall }
    }

    /// The peer at the end of a link has sent an answer and wants a receipt.
    pub(super) fn owe_receipt(&mut self, now: Time, link: LinkId, id: ExeId) {
        let Some(key) = self.links.get(link).and_then(|link| link.peer) else { return };
        if !self.sends_receipts(key) {
            return;
        }
        let Some(peer) = self.peers.get_mut(key) else { return };
        let recovery = &mut peer.recovery;
        if recovery.owed.is_empty() {
            recovery.owed_since = now;
        }
        recovery.owed.push_back((id.number, id.random));
        match recovery.owed.len() {
            1 => self.arm_recovery(key),
            MAX_OWED => self.flush_owed(now, key, true),
            _ => {}
        }
    }

    /// Sends the receipts that a peer is owed. Those below a watermark that it has been told are
    /// said already, those below the present one are said by any message.
    pub(super) fn flush_owed(&mut self, now: Time, key: PeerKey, at_once: bool) {
        let watermark = self.watermark(key).unwrap_or(0);
        let Some(peer) = self.peers.get_mut(key) else { return };
        let (link, recovery) = (peer.link, &mut peer.recovery);
        if recovery.owed.is_empty() || !(at_once || recovery.owed_since + ACK_DELAY <= now) {
            return;
        }
        let told = recovery.told;
        let mut covered = None;
        while let Some(peer) = self.peers.get_mut(key) {
            let Some((number, random)) = peer.recovery.owed.pop_front() else { break };
            if number < told {
                continue;
            }
            if number < watermark {
                covered = Some((number, random));
            } else {
                self.send(link, Outgoing::Receipt(number, random));
            }
        }
        if let Some((number, random)) = covered {
            self.send(link, Outgoing::Receipt(number, random));
        }
    }
}
