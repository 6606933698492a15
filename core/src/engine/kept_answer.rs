//! Answers that are kept until their receipt comes, and sent again where they may have been lost.

use super::Core;
use super::receive::From;
use crate::agenda::MOST_STALE;
use crate::counters::Drop;
use crate::endpoint::LinkId;
use crate::id::{CallerKey, ExeId, TaskKey};
use crate::inbound::{Seen, Standing};
use crate::message::Watermark;
use crate::recovery::{ACK_DELAY, MAX_SENDS, spread};
use crate::tasks::{Progress, Task};
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::Outgoing;

impl Core {
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
    pub(super) fn pass(&mut self, now: Time, caller: CallerKey, watermark: Watermark) {
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
        task.due = Some(due);
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
    pub(super) fn arm_caller_for(&mut self, key: CallerKey, due: Time) {
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
                buffers.give(std::mem::take(&mut payload.bytes).into_buffer());
            }
        });
    }

    /// Whether every answer has left, and those that may have been lost have their receipts.
    pub(super) fn has_answered(&self) -> bool {
        self.tasks.iter().all(|task| task.is_parked())
    }
}
