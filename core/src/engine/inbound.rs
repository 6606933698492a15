//! The callee's side of reliability: copies of a call, receipts for it, and answers that are
//! sent again until their receipt comes.

use super::Core;
use super::receive::From;
use crate::copies::Arrival;
use crate::counters::Drop;
use crate::endpoint::LinkId;
use crate::error::{ErrorCode, Executed, Fault};
use crate::id::{CallerKey, ExeId, PeerKey, TaskKey};
use crate::inbound::{Seen, Standing};
use crate::message::{Call, Watermark, WireId};
use crate::mutant::planted;
use crate::recovery::{ACK_DELAY, MAX_SENDS, spread};
use crate::tasks::{Caller, Progress, Task};
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::Outgoing;

/// How long a caller is remembered that is no peer and waits for nothing.
const FORGOTTEN_AFTER: std::time::Duration = std::time::Duration::from_secs(30);

/// How many callers are looked at for one to forget when there is no room for another.
const LOOKED_AT: usize = 16;

/// What a received call is.
pub(super) enum Meeting {
    /// A new one; a second copy of it will be recognised.
    New(CallerKey, ExeId),
    /// One that cannot be recognised: its caller gave it no id of this version, or is not known
    /// to be whose name it bears.
    Untracked,
    /// One that cannot be taken.
    Refused(Fault),
    /// A copy, which has been dealt with.
    Copy,
}

/// Entries of an agenda above which stale ones are looked for.
const MOST_STALE: usize = 256;

impl Core {
    /// Whether a received call was seen before. A copy is answered: with the state of the call
    /// or its answer once more.
    pub(super) fn meet_call(
        &mut self,
        now: Time,
        from: From,
        call: &Call<'_>,
    ) -> Result<Meeting, Drop> {
        let Some(WireId::Native(id)) = call.id else { return Ok(Meeting::Untracked) };
        // Meant for an earlier life of this node.
        let is_ours = call.to.is_none_or(|to| to == self.session.short());
        if !is_ours && !planted!(SessionIgnored) {
            return Ok(Meeting::Untracked);
        }
        let peer = self.peer_of(from.link, id.session);
        if let Some(owner) = self.peers.by_short(id.session).filter(|_| peer.is_none()) {
            return self.doubt(now, from, owner);
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
                self.repeat(now, from, Some(arrival), id, standing);
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

    fn caller_of(&mut self, now: Time, session: u64, peer: Option<PeerKey>) -> Option<CallerKey> {
        if let Ok(caller) = self.inbound.caller(now, session, peer) {
            return Some(caller);
        }
        // One that nobody knows and that waits for nothing makes room.
        let idle = (0..LOOKED_AT).find_map(|_| {
            let key = self.inbound.next_looked_at()?;
            let caller = self.inbound.get(key)?;
            (caller.is_idle() && !self.is_peer(caller.peer)).then_some(key)
        })?;
        self.forget_caller(idle);
        self.inbound.caller(now, session, peer).ok()
    }

    fn is_peer(&self, peer: Option<PeerKey>) -> bool {
        peer.is_some_and(|peer| self.peers.get(peer).is_some())
    }

    /// The peer of a session, if a link is known to be its.
    fn peer_of(&self, link: LinkId, session: u64) -> Option<PeerKey> {
        self.peers.by_short(session).filter(|peer| self.speaks_for(link, *peer))
    }

    /// Whether a caller sends receipts for answers.
    fn gives_receipts(&self, caller: CallerKey) -> bool {
        self.inbound.peer_of(caller).is_some_and(|peer| self.sends_receipts(peer))
    }

    /// A new call has become a task, or was refused with this code.
    pub(super) fn call_met(
        &mut self,
        now: Time,
        from: From,
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

    /// The answer to a call has come to its caller.
    pub(super) fn on_receipt(
        &mut self,
        now: Time,
        from: From,
        id: ExeId,
        watermark: Option<Watermark>,
    ) -> Result<(), Drop> {
        let caller = self.inbound.find(id.session).ok_or(Drop::UnknownCall)?;
        if self.peer_of(from.link, id.session).is_none() {
            return Err(Drop::UnknownCall);
        }
        let seen = self.inbound.look(caller, id);
        if let Seen::Known(Standing::Live(key)) = seen
            && let Some(task) = self.tasks.get(key)
            && matches!(task.progress, Progress::Answered(_))
        {
            let (sends, sent) = (task.sends, task.first);
            let peer = self.inbound.peer_of(caller).filter(|_| self.may_lose(from.link));
            if let Some(peer) = peer.and_then(|key| self.peers.get_mut(key)) {
                let measured = now.since(sent).saturating_sub(ACK_DELAY);
                match sends {
                    0 => {}
                    1 => peer.recovery.round_trip.sample_if_plausible(measured),
                    _ => peer.recovery.round_trip.doubt(measured),
                }
            }
            self.remove_task(key, Standing::Over);
        }
        // No further than has been seen of it: one that is falsified must not make later calls
        // stale.
        let known = self.inbound.get(caller).map_or(0, |caller| caller.highest());
        if let Some(watermark) = watermark.filter(|_| seen != Seen::Forged) {
            self.pass(now, caller, watermark.min(known.saturating_add(1)));
        }
        self.close_if_drained(now);
        if seen == Seen::Forged { Err(Drop::Forged) } else { Ok(()) }
    }

    /// A caller waits for nothing below this number any more.
    fn pass(&mut self, now: Time, caller: CallerKey, watermark: Watermark) {
        while let Some(entry) = self.inbound.pass(caller, watermark) {
            let Standing::Live(key) = entry.standing else { continue };
            let Some(task) = self.tasks.get_mut(key) else { continue };
            task.tracked = None;
            let is_awaited = task.caller.is_awaited();
            match task.progress {
                Progress::Answered(_) => {
                    let (sends, sent) = (task.sends, task.first);
                    let may_be_lost = sends > 1 || task.due.is_some();
                    self.passed_after(caller, sends, may_be_lost.then(|| now.since(sent)));
                    self.end_task(key);
                }
                // Its caller has given it up: the deadline passed, or a cancel was lost.
                _ if is_awaited => drop(self.cancel_task(now, key)),
                _ => {}
            }
        }
    }

    /// The watermark has passed an answer that was first sent so long ago, and so often.
    fn passed_after(&mut self, caller: CallerKey, sends: u8, time: Option<std::time::Duration>) {
        let peer = self.inbound.peer_of(caller);
        if let (Some(time), Some(peer)) = (time, peer.and_then(|key| self.peers.get_mut(key))) {
            match sends {
                1 => peer.recovery.round_trip.sample_at_most(time),
                _ => peer.recovery.round_trip.doubt(time),
            }
        }
    }

    /// An answer was given to a transport. It is kept until its receipt comes, and sent again
    /// where it may have been lost.
    pub(super) fn answer_left(&mut self, now: Time, link: LinkId, key: TaskKey) {
        let repeats = self.may_lose(link);
        let Some(task) = self.tasks.get_mut(key) else { return };
        task.is_queued = false;
        let Some((caller, number)) = task.tracked else { return self.end_task(key) };
        if !self.keep_answer(key) {
            return self.end_task(key);
        }
        let Some(task) = self.tasks.get_mut(key) else { return };
        let is_again = task.sends > 0;
        self.counters.answers_resent += u64::from(is_again);
        // What was asked for does not count among what is sent unasked.
        if std::mem::take(&mut task.is_asked) && is_again {
            return;
        }
        if task.sends == 0 {
            task.first = now;
        }
        task.sends = task.sends.saturating_add(1);
        task.due = None;
        let sends = task.sends;
        if !repeats || sends >= MAX_SENDS {
            return;
        }
        let peer = self.inbound.peer_of(caller);
        let Some(peer) = peer.and_then(|key| self.peers.get(key)) else { return };
        let timeout = peer.recovery.round_trip.timeout(sends);
        // Nothing is drawn for the first, which nearly always is enough.
        let random = if sends > 1 { self.random.u32() } else { 0 };
        let due = now + spread(timeout, random, sends);
        if let Some(task) = self.tasks.get_mut(key) {
            task.due = Some(due);
        }
        if let Some(caller) = self.inbound.get_mut(caller) {
            caller.answers.add(due, number);
        }
        self.arm_caller_for(caller, due);
    }

    /// Keeps an answer for a caller that says when it has come. `false`: there is no room, or
    /// nobody will say.
    pub(super) fn keep_answer(&mut self, key: TaskKey) -> bool {
        let Some(task) = self.tasks.get(key) else { return false };
        let Some((caller, _)) = task.tracked else { return false };
        if task.kept_for.is_some() {
            return true;
        }
        let bytes = task.answer_bytes();
        if !self.gives_receipts(caller) {
            return false;
        }
        if !self.inbound.keep_answer(caller, bytes) {
            self.counters.answers_not_kept += 1;
            return false;
        }
        if let Some(task) = self.tasks.get_mut(key) {
            task.kept_for = Some(caller);
        }
        true
    }

    /// Something is due towards a caller.
    pub(super) fn caller_due(&mut self, now: Time, key: CallerKey) {
        if let Some(caller) = self.inbound.get_mut(key) {
            caller.timer = None;
        }
        while let Some(caller) = self.inbound.get_mut(key) {
            let Some((_, number)) = caller.acks.pop_due(now) else { break };
            if let Some((task, entry)) = self.live(key, number)
                && !matches!(entry.progress, Progress::Answered(_))
                && let Some(link) = entry.caller.link()
            {
                self.send(link, Outgoing::Ack(task));
            }
        }
        while let Some(caller) = self.inbound.get_mut(key) {
            let Some((at, number)) = caller.answers.pop_due(now) else { break };
            let Some((task, entry)) = self.live(key, number) else { continue };
            if entry.due != Some(at) {
                continue;
            }
            if entry.is_queued {
                // It was asked for in the same moment, and counts as the one that is due: else
                // nothing would follow it.
                if let Some(task) = self.tasks.get_mut(task) {
                    task.is_asked = false;
                }
            } else if let Some(link) = entry.caller.link() {
                let link = self.answer_link(task).unwrap_or(link);
                self.answer(now, link, task);
            }
        }
        self.arm_caller(key);
        self.close_if_drained(now);
    }

    /// Where an answer goes: the way its call came, else where its caller is now.
    pub(super) fn answer_link(&self, key: TaskKey) -> Option<LinkId> {
        let task = self.tasks.get(key)?;
        let by = task.caller.link().filter(|link| self.links.get(*link).is_some());
        by.or_else(|| Some(self.peers.get(self.inbound.peer_of(task.tracked?.0)?)?.link))
    }

    fn live(&self, caller: CallerKey, number: u64) -> Option<(TaskKey, &Task)> {
        let key = self.inbound.get(caller)?.task(number)?;
        Some((key, self.tasks.get(key)?))
    }

    /// Something was added to what is due towards a caller. Its timer stays if it is set for an
    /// earlier time; what has become stale meanwhile is passed over then, or once it is much.
    fn arm_caller_for(&mut self, key: CallerKey, due: Time) {
        let Some(caller) = self.inbound.get(key) else { return };
        let is_set = caller.timer.is_some_and(|(at, _)| at <= due);
        let is_much = caller.acks.len().max(caller.answers.len()) > MOST_STALE;
        if !is_set || is_much {
            self.arm_caller(key);
        }
    }

    /// Sets a caller's timer to the first thing that is due.
    fn arm_caller(&mut self, key: CallerKey) {
        let tasks = &self.tasks;
        let Some(caller) = self.inbound.get_mut(key) else { return };
        while let Some((_, number)) = caller.acks.first() {
            match caller.task(*number).and_then(|key| tasks.get(key)) {
                Some(task) if !matches!(task.progress, Progress::Answered(_)) => break,
                _ => drop(caller.acks.pop()),
            }
        }
        while let Some((at, number)) = caller.answers.first() {
            match caller.task(*number).and_then(|key| tasks.get(key)) {
                Some(task) if task.due == Some(*at) => break,
                _ => drop(caller.answers.pop()),
            }
        }
        let ack = caller.acks.first().map(|(at, _)| *at);
        let answer = caller.answers.first().map(|(at, _)| *at);
        if let Some(next) = [ack, answer].into_iter().flatten().min() {
            self.timers.set_earlier(&mut caller.timer, next, Timer::Caller(key));
        }
    }

    /// Takes a task out; a copy of its call finds this in its place.
    pub(super) fn remove_task(&mut self, key: TaskKey, standing: Standing) {
        let (inbound, buffers) = (&mut self.inbound, &mut self.buffers);
        self.tasks.end(key, |task| {
            if let Some((caller, number)) = task.tracked {
                inbound.settle(caller, number, standing);
            }
            if let Some(caller) = task.kept_for {
                inbound.drop_answer(caller, task.answer_bytes());
            }
            if let Progress::Answered(Ok(payload)) = &mut task.progress {
                buffers.give(std::mem::take(&mut payload.bytes));
            }
        });
    }

    /// Whether every answer has left, and those that may have been lost have their receipts.
    pub(super) fn has_answered(&self) -> bool {
        self.tasks.iter().all(|task| task.is_parked())
    }

    /// Forgets a caller: its session is over, or was silent for too long.
    pub(super) fn forget_caller(&mut self, key: CallerKey) {
        let Some(caller) = self.inbound.forget(key) else { return };
        if let Some((_, timer)) = caller.timer {
            self.timers.cancel(timer);
        }
        for key in caller.tasks() {
            let Some(task) = self.tasks.get_mut(key) else { continue };
            task.tracked = None;
            if matches!(task.progress, Progress::Answered(_)) && !task.is_queued {
                self.end_task(key);
            }
        }
    }

    /// The session of a peer is over: it waits for no answer any more. If it cancelled calls
    /// before, that may come by another socket after its farewell, when it is a stranger's.
    pub(super) fn caller_gone(&mut self, now: Time, session: u64) {
        let Some(key) = self.inbound.find(session) else { return };
        let tasks: Vec<_> = self.inbound.get(key).into_iter().flat_map(|c| c.tasks()).collect();
        for task in tasks {
            if self.tasks.get(task).is_some_and(|task| task.caller.is_awaited()) {
                self.cancel_task(now, task);
            }
        }
        self.forget_caller(key);
        self.close_if_drained(now);
    }

    /// A peer is no more that had proved its session. It may have called before it introduced
    /// itself; what is kept of it is kept as a peer's.
    pub(super) fn was_peer(&mut self, session: u64, peer: PeerKey) {
        let caller = self.inbound.find(session).and_then(|key| self.inbound.get_mut(key));
        if let Some(caller) = caller {
            caller.peer = caller.peer.or(Some(peer));
        }
    }

    /// Forgets callers that are no peers any more.
    pub(super) fn sweep_callers(&mut self, now: Time) {
        for key in self.inbound.keys() {
            let Some(caller) = self.inbound.get_mut(key) else { continue };
            // It may have called before it introduced itself.
            caller.peer = caller.peer.or_else(|| self.peers.by_short(caller.session));
            let (peer, heard) = (caller.peer, caller.heard);
            let silent_since = heard.max(self.awake_since);
            if !self.is_peer(peer) && now.since(silent_since) >= FORGOTTEN_AFTER {
                self.forget_caller(key);
            }
        }
    }
}
