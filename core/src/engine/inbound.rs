//! The callee's side of reliability: calls that come for the first time or again, receipts for
//! them, and what a caller is told that asks about one.

use super::Core;
use super::receive::From;
use crate::copies::Arrival;
use crate::counters::Drop;
use crate::endpoint::LinkId;
use crate::error::{ErrorCode, Executed, Fault};
use crate::id::{CallerKey, ExeId, PeerKey, TaskKey};
use crate::inbound::{Seen, Standing};
use crate::message::{Call, WireId};
use crate::mutant::planted;
use crate::recovery::ACK_DELAY;
use crate::tasks::{Caller, Progress};
use crate::time::Time;
use crate::wire::outbox::Outgoing;

/// What a received call is.
pub(super) enum Meeting {
    /// A new one; a second copy of it will be recognised.
    New(CallerKey, ExeId),
    /// One that cannot be recognised: its caller gave it no id of this version, or is not known
    /// to be whose name it bears.
    Untracked,
    /// One that was meant for an earlier life of this node.
    ForAnotherLife,
    /// One that cannot be taken.
    Refused(Fault),
    /// A copy, which has been dealt with.
    Copy,
}

impl Core {
    /// Whether a received call was seen before. A copy is answered: with the state of the call
    /// or its answer once more.
    pub(super) fn meet_call(
        &mut self,
        now: Time,
        from: &From,
        call: &Call<'_>,
    ) -> Result<Meeting, Drop> {
        let is_ours = call.to.is_none_or(|to| to == self.session.short());
        if !is_ours && !planted!(SessionIgnored) {
            return Ok(Meeting::ForAnotherLife);
        }
        let Some(WireId::Native(id)) = call.id else { return Ok(Meeting::Untracked) };
        let peer = self.peer_of(from.link, id.session);
        if let Some(owner) = self.peers.by_short(id.session).filter(|_| peer.is_none()) {
            return self.doubt(now, *from, owner);
        }
        // Who sends a call waits for it: a falsified watermark must not make later ones stale.
        if call.watermark.is_some_and(|watermark| watermark > id.number) {
            return Err(Drop::BadField);
        }
        let Some(caller) = self.caller_of(now, id.session, peer) else {
            self.limit_hit(now, "max_callers");
            let text = format!("`{}` has too many callers", self.name);
            let mut fault = Fault::new(ErrorCode::BUSY, text);
            // Nothing can be remembered, so a copy might be taken later.
            fault.executed = Executed::Maybe;
            return Ok(Meeting::Refused(fault));
        };
        // Whoever has not introduced itself may have made the session up.
        if let Some(watermark) = call.watermark.filter(|_| peer.is_some()) {
            self.pass(now, caller, watermark);
        }
        match self.inbound.look(caller, id) {
            Seen::New => Ok(Meeting::New(caller, id)),
            Seen::Known(standing) => {
                self.counters.calls_repeated += 1;
                let arrival = Arrival { attempt: call.attempt, at: now };
                self.repeat(now, *from, Some(arrival), id, standing);
                Ok(Meeting::Copy)
            }
            Seen::Stale => Err(Drop::Stale),
            Seen::Forged => Err(Drop::Forged),
        }
    }

    /// A call in the name of a peer that came by a link which the peer has not proved: the peer
    /// has several addresses, or somebody borrows its name. What is remembered of the peer's own
    /// calls is left alone. Where the call will come again, the proof is asked for first; where
    /// it will not, it cannot come twice either.
    fn doubt(&mut self, now: Time, from: From, owner: PeerKey) -> Result<Meeting, Drop> {
        if !self.may_lose(from.link) || !self.sends_receipts(owner) {
            return Ok(Meeting::Untracked);
        }
        if self.replies.take(now, self.config.hello_replies) {
            self.send(from.link, Outgoing::Hello { wants: false });
        }
        Err(Drop::Forged)
    }

    /// A new call has become a task, or was refused with this code.
    pub(super) fn call_met(
        &mut self,
        now: Time,
        from: &From,
        (caller, id): (CallerKey, ExeId),
        became: Result<TaskKey, ErrorCode>,
    ) {
        let key = match became {
            Ok(key) => key,
            Err(_) if planted!(RefusalForgotten) => return,
            Err(code) => return self.inbound.remember(caller, id, Standing::Refused(code)),
        };
        self.inbound.remember(caller, id, Standing::Live(key));
        let Some(task) = self.tasks.get_mut(key) else { return };
        task.tracked = Some((caller, id.number));
        if task.caller.is_awaited() && self.may_lose(from.link) && self.gives_receipts(caller) {
            let due = now + ACK_DELAY;
            if let Some(caller) = self.inbound.get_mut(caller) {
                caller.acks.add(due, id.number);
            }
            self.arm_caller_for(caller, due);
        }
    }

    /// Answers a copy of a call, or a question about one.
    fn repeat(
        &mut self,
        now: Time,
        from: From,
        arrival: Option<Arrival>,
        id: ExeId,
        standing: Standing,
    ) {
        match standing {
            Standing::Live(key) => {
                let Some(task) = self.tasks.get_mut(key) else { return };
                if let Caller::Remote { link, .. } = &mut task.caller {
                    *link = from.link;
                }
                task.arrival = arrival.or(task.arrival);
                match task.progress {
                    Progress::Answered(_) if task.is_queued => {}
                    Progress::Answered(_) => {
                        task.is_asked = true;
                        self.answer(now, from.link, key);
                    }
                    _ => drop(self.send(from.link, Outgoing::Ack(key))),
                }
            }
            Standing::Over => {}
            Standing::Expired(executed) => {
                let text = "the answer was sent once and is not kept";
                let mut fault = Fault::new(ErrorCode::RESULT_EXPIRED, text);
                fault.executed = executed;
                self.refuse(from, WireId::Native(id), fault, arrival);
            }
            Standing::GivenUp(executed) => {
                let text = "the call was cancelled, or its time was up, while its function ran";
                let mut fault = Fault::new(ErrorCode::CANCELLED, text);
                fault.executed = executed;
                self.refuse(from, WireId::Native(id), fault, arrival);
            }
            Standing::Refused(code) => {
                let mut fault = Fault::new(code, "the call was refused when it first came");
                fault.executed = Executed::No;
                self.refuse(from, WireId::Native(id), fault, arrival);
            }
        }
    }

    /// The caller asks what became of a call.
    pub(super) fn on_probe(&mut self, now: Time, from: From, id: &WireId<'_>) -> Result<(), Drop> {
        let WireId::Native(id) = id else { return Err(Drop::UnknownCall) };
        let seen = match self.inbound.find(id.session) {
            Some(caller) => self.inbound.look(caller, *id),
            None => Seen::New,
        };
        match seen {
            Seen::Known(standing) => {
                self.repeat(now, from, None, *id, standing);
            }
            Seen::New | Seen::Stale => {
                self.send(from.link, Outgoing::Unknown(Box::new((*id, from.form))));
            }
            Seen::Forged => return Err(Drop::Forged),
        }
        Ok(())
    }

    /// The caller takes back a call that has not come: it will not start.
    pub(super) fn cancel_beforehand(&mut self, now: Time, from: From, id: ExeId) {
        // Only of whoever has introduced itself, so that strangers leave nothing here.
        let Some(peer) = self.peer_of(from.link, id.session) else { return };
        let Some(caller) = self.caller_of(now, id.session, Some(peer)) else { return };
        if self.inbound.look(caller, id) == Seen::New {
            self.inbound.remember(caller, id, Standing::Refused(ErrorCode::CANCELLED));
        }
    }

    /// The task of a call, by what its caller calls it.
    pub(super) fn task_of(&self, link: LinkId, id: &WireId<'_>) -> Option<TaskKey> {
        let WireId::Native(id) = id else { return self.tasks.by_call(link, id) };
        match self.inbound.look(self.inbound.find(id.session)?, *id) {
            Seen::Known(Standing::Live(task)) => Some(task),
            _ => None,
        }
    }
}
