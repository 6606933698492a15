//! What the messages and the events of a node must not say.

use lanc_core::event::{Event, PeerDownReason};
use lanc_core::ports::Dest;

use super::glance::Cause;
use super::invariant::{Broken, Invariant};
use super::ledger::Sender;
use super::node::Life;
use super::pump::Pump;

impl Pump<'_> {
    pub(super) fn look_at_messages(&mut self, life: &Life, by: Dest) -> Result<(), Broken> {
        let glance = &*self.glance;
        let (ledger, trips) = (&mut self.book.ledger, &mut self.book.trips);
        if let Cause::Unheard(was_sealed) = self.cause {
            let tells = glance.messages == 1 && glance.hellos.len() == 1;
            Invariant::GenuineOnly.holds_if(was_sealed && tells, || {
                "an answer to what a keyed node has not opened".to_owned()
            })?;
        }
        let silent = self.cause == Cause::Unanswerable;
        Invariant::ErrorsEnd.holds_if(!silent || glance.errors.is_empty(), || {
            "an error in answer to what is never answered by one".to_owned()
        })?;
        for code in &glance.errors {
            self.coverage.sent_error(*code);
        }
        self.coverage.receipts += u64::from(glance.receipts);
        for (session, features) in &glance.hellos {
            ledger.said_hello(*session, *features);
        }
        for session in &glance.byes {
            ledger.said_bye(*session);
        }
        let sender = Sender { session: life.core.session().short(), local: self.local, by };
        for call in &glance.calls {
            ledger.left(sender, call)?;
            trips.left(sender, call);
        }
        Ok(())
    }

    pub(super) fn look_at_event(&self, life: &mut Life, event: &Event) -> Result<(), Broken> {
        match event {
            Event::PeerUp { session, endpoint, .. } => {
                let is_false = endpoint.ip().is_some_and(|host| self.air.is_hostile(host));
                if is_false {
                    life.usurped.insert(*session);
                }
                let may = self.seals.may_meet(life.seal.as_ref(), *session);
                Invariant::GenuineOnly.holds_if(may, || {
                    format!("{session} is a peer without a key of this node's")
                })?;
                return Invariant::CallsStay.holds_if(*session != life.core.session(), || {
                    "the node is its own peer".to_owned()
                });
            }
            Event::PeerVerified { session, name } => {
                let proof = life.seal.as_ref().map(|seal| seal.has_proof_of(session.short()));
                Invariant::NoCopies.holds_if(proof != Some(false), || {
                    format!("`{name}` is believed, and has sealed nothing for this node")
                })?;
                if proof == Some(true) || !life.usurped.contains(session) {
                    life.verified.insert(*session);
                }
            }
            Event::PeerDown { session, name, reason } => {
                let ledger = &self.book.ledger;
                life.usurped.remove(session);
                let told_all = life.core.counters().events_lost == 0;
                let may_be_false = ledger.falsified && life.seal.is_none();
                let is_cloned = ledger.is_cloned(session.short());
                if !life.verified.remove(session) || may_be_false || !told_all || is_cloned {
                    return Ok(());
                }
                Invariant::VerifiedStay.holds_if(*reason != PeerDownReason::Evicted, || {
                    format!("`{name}` was verified and is evicted")
                })?;
                let forged = *reason == PeerDownReason::Left
                    && ledger.is_silent_about_leaving(session.short());
                Invariant::VerifiedStay
                    .holds_if(!forged, || format!("`{name}` was sent away by somebody else"))?;
            }
            Event::Closed => {
                let tables = life.core.tables();
                return Invariant::DrainsClean.holds_if(tables.queued == 0, || {
                    format!("the node is closed, and calls wait: {tables:?}")
                });
            }
            _ => {}
        }
        Ok(())
    }
}
