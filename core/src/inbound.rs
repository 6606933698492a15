//! The callee's memory of calls: what makes a second copy of one harmless.
//!
//! A call is known by the session of its caller and its number there. While it may come again
//! its number is remembered here; what became of it stands in the tasks as long as its answer
//! may have to be sent again. Numbers are forgotten when the caller's watermark passes them,
//! and never to make room: a table that is full refuses new calls.

mod caller;
mod marks;

use std::collections::VecDeque;

use crate::agenda::Agenda;
use crate::config::Config;
use crate::id::{CallerKey, ExeId, PeerKey, tag};
use crate::keyed::{HashKey, Recent};
use crate::message::Watermark;
use crate::mutant::planted;
use crate::slots::Slots;
use crate::time::Time;
use caller::Caller;
pub(crate) use caller::{Entry, Standing};
use marks::Marks;

/// What a received id stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// Nothing so far.
    New,
    /// A call that is known.
    Known(Standing),
    /// A call that may not start any more: its caller has given it up, or it comes so late that
    /// nothing is known of its neighbours.
    Stale,
    /// Another call has this number.
    Forged,
}

/// How much may be remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Tasks of one caller, those included whose answers wait for a receipt.
    pub(crate) per_caller: usize,
    /// Calls of all callers.
    pub(crate) calls: usize,
    /// Bytes of answers that wait for a receipt.
    pub(crate) answer_bytes: usize,
    /// Bytes of one of them.
    pub(crate) one_answer: usize,
    /// Callers, and as many again of whom only the highest number is known.
    pub(crate) callers: usize,
}

impl Bounds {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            per_caller: config.max_deduped_per_caller,
            calls: config.max_deduped,
            answer_bytes: config.max_stored_answers,
            one_answer: config.max_stored_answer,
            callers: config.max_callers,
        }
    }
}

/// All callers.
pub(crate) struct Inbound {
    callers: Slots<Caller, tag::Caller>,
    by_session: Recent<u64, CallerKey>,
    /// Callers in the order in which they are looked at for one to forget; stale keys are
    /// dropped.
    round: VecDeque<CallerKey>,
    /// What is kept of forgotten callers that were peers.
    forgotten: Marks,
    /// The same of those that never introduced themselves.
    strangers: Marks,
    bounds: Bounds,
    entries: usize,
    answer_bytes: usize,
}

/// No place for another call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full(pub(crate) &'static str);

impl Inbound {
    pub(crate) fn new(bounds: Bounds, hash: HashKey) -> Self {
        Self {
            callers: Slots::new(bounds.callers),
            by_session: Recent::new(hash),
            round: VecDeque::new(),
            forgotten: Marks::new(FORGOTTEN, hash),
            strangers: Marks::new(FORGOTTEN_STRANGERS, hash),
            bounds,
            entries: 0,
            answer_bytes: 0,
        }
    }

    /// The caller of a session, which is added if it is not known.
    pub(crate) fn caller(
        &mut self,
        now: Time,
        session: u64,
        peer: Option<PeerKey>,
    ) -> Result<CallerKey, Full> {
        if let Some(key) = self.find(session) {
            if let Some(caller) = self.callers.get_mut(key) {
                caller.heard = now;
                caller.peer = peer.or(caller.peer);
            }
            return Ok(key);
        }
        let forgotten = self.mark_of(session, peer).filter(|_| !planted!(TombstoneIgnored));
        let floor = forgotten.map_or(0, |highest| highest.saturating_add(1));
        let caller = Caller {
            session,
            peer,
            entries: VecDeque::new(),
            live: 0,
            floor,
            kept: 0,
            heard: now,
            acks: Agenda::default(),
            answers: Agenda::default(),
            timer: None,
        };
        let key = self.callers.insert(caller).map_err(|_| Full("max_callers"))?;
        self.by_session.insert(session, key);
        self.round.push_back(key);
        if self.round.len() > 2 * self.callers.len() + 64 {
            let callers = &self.callers;
            self.round.retain(|key| callers.get(*key).is_some());
        }
        Ok(key)
    }

    /// The caller whose turn it is to be looked at. It goes to the end of the round.
    pub(crate) fn next_looked_at(&mut self) -> Option<CallerKey> {
        while let Some(key) = self.round.pop_front() {
            if self.callers.get(key).is_some() {
                self.round.push_back(key);
                return Some(key);
            }
        }
        None
    }

    pub(crate) fn find(&self, session: u64) -> Option<CallerKey> {
        self.by_session.get(session)
    }

    pub(crate) fn get(&self, key: CallerKey) -> Option<&Caller> {
        self.callers.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: CallerKey) -> Option<&mut Caller> {
        self.callers.get_mut(key)
    }

    pub(crate) fn keys(&self) -> Vec<CallerKey> {
        self.callers.keys()
    }

    /// The peer that a caller is known as.
    pub(crate) fn peer_of(&self, key: CallerKey) -> Option<PeerKey> {
        self.callers.get(key)?.peer
    }

    /// What is known of a call.
    pub(crate) fn look(&self, key: CallerKey, id: ExeId) -> Seen {
        let Some(caller) = self.callers.get(key) else { return Seen::New };
        match caller.find(id.number).and_then(|place| caller.entries.get(place)) {
            Some(_) if planted!(CopiesNotSeen) => Seen::New,
            Some(entry) if entry.random == id.random => Seen::Known(entry.standing),
            Some(_) => Seen::Forged,
            // Nothing can be higher than the last number, so that it could never be passed.
            None if id.number < caller.floor || id.number == u64::MAX => Seen::Stale,
            None => Seen::New,
        }
    }

    /// Whether another call of this caller may become a task.
    pub(crate) fn has_room(&self, key: CallerKey) -> Result<(), Full> {
        let live = self.callers.get(key).map_or(0, |caller| caller.live);
        if live >= self.bounds.per_caller {
            Err(Full("max_deduped_per_caller"))
        } else if self.is_full() {
            Err(Full("max_deduped"))
        } else if self.answer_bytes >= self.bounds.answer_bytes {
            Err(Full("max_stored_answers"))
        } else {
            Ok(())
        }
    }

    /// Whether nothing more can be remembered.
    pub(crate) fn is_full(&self) -> bool {
        self.entries >= self.bounds.calls
    }

    /// Remembers a call that nothing was known of. [`Self::has_room`] was asked before it became
    /// a task; one that did not become one is not remembered when the table is full.
    pub(crate) fn remember(&mut self, key: CallerKey, id: ExeId, standing: Standing) {
        if self.is_full() && !matches!(standing, Standing::Live(_)) {
            return;
        }
        let Some(caller) = self.callers.get_mut(key) else { return };
        let entry = Entry { number: id.number, random: id.random, standing };
        match caller.entries.back() {
            Some(last) if last.number > id.number => {
                let place = caller.entries.partition_point(|entry| entry.number < id.number);
                caller.entries.insert(place, entry);
            }
            _ => caller.entries.push_back(entry),
        }
        caller.live += usize::from(matches!(standing, Standing::Live(_)));
        self.entries += 1;
        self.compact(key);
    }

    /// A call's task has ended.
    pub(crate) fn settle(&mut self, key: CallerKey, number: u64, standing: Standing) {
        let Some(caller) = self.callers.get_mut(key) else { return };
        let Some(place) = caller.find(number) else { return };
        let Some(entry) = caller.entries.get_mut(place) else { return };
        if matches!(entry.standing, Standing::Live(_)) {
            caller.live = caller.live.saturating_sub(1);
        }
        entry.standing = standing;
        self.compact(key);
    }

    /// Where a long call keeps the watermark back, those that ended after it pile up. Beyond the
    /// bound the oldest are told apart no more: none of them may start, nor may a call that is
    /// as old and was never seen.
    fn compact(&mut self, key: CallerKey) {
        let most = if planted!(MemoryMakesRoom) { 0 } else { self.bounds.per_caller };
        let Some(caller) = self.callers.get_mut(key) else { return };
        if caller.entries.len() - caller.live <= most {
            return;
        }
        // Half of them at once, so that this is seldom done.
        let mut surplus = most / 2 + 1;
        let (mut floor, before) = (caller.floor, caller.entries.len());
        caller.entries.retain(|entry| {
            let goes = surplus > 0 && !matches!(entry.standing, Standing::Live(_));
            if goes {
                surplus -= 1;
                floor = floor.max(entry.number.saturating_add(1));
            }
            !goes
        });
        caller.floor = if planted!(MemoryMakesRoom) { caller.floor } else { floor };
        self.entries -= before - caller.entries.len();
    }

    /// The caller waits for nothing below its watermark any more. Takes one call after the other
    /// out; what was its task, if it has one, is to be ended.
    pub(crate) fn pass(&mut self, key: CallerKey, watermark: Watermark) -> Option<Entry> {
        let caller = self.callers.get_mut(key)?;
        caller.floor = caller.floor.max(watermark);
        if caller.entries.front()?.number >= watermark {
            return None;
        }
        let entry = caller.entries.pop_front()?;
        caller.live -= usize::from(matches!(entry.standing, Standing::Live(_)));
        self.entries -= 1;
        if caller.entries.is_empty() {
            caller.entries.shrink_to(KEPT);
        }
        Some(entry)
    }

    /// Whether an answer of so many bytes may be kept until its receipt comes; it is counted. One
    /// caller has at most half of the room: whoever gives no receipts keeps nobody else's out.
    pub(crate) fn keep_answer(&mut self, key: CallerKey, bytes: usize) -> bool {
        let Some(caller) = self.callers.get_mut(key) else { return false };
        let (sum, own) =
            (self.answer_bytes.saturating_add(bytes), caller.kept.saturating_add(bytes));
        let has_room = sum <= self.bounds.answer_bytes && own <= self.bounds.answer_bytes / 2;
        let fits = has_room && bytes <= self.bounds.one_answer;
        if fits {
            self.answer_bytes = sum;
            caller.kept = own;
        }
        fits
    }

    /// An answer that was kept is not any more.
    pub(crate) fn drop_answer(&mut self, key: CallerKey, bytes: usize) {
        let bytes = if planted!(AnswerBytesKept) { 0 } else { bytes };
        if let Some(caller) = self.callers.get_mut(key) {
            caller.kept = caller.kept.saturating_sub(bytes);
        }
        self.answer_bytes = self.answer_bytes.saturating_sub(bytes);
    }

    /// Forgets a caller; of one that was a peer the highest number stays. Its tasks are to be
    /// ended.
    pub(crate) fn forget(&mut self, key: CallerKey) -> Option<Caller> {
        let caller = self.callers.remove(key)?;
        self.by_session.remove(caller.session);
        self.entries -= caller.entries.len();
        let highest = caller.highest();
        // Whoever never introduced itself may have made its session up.
        let marks = if caller.peer.is_some() { &mut self.forgotten } else { &mut self.strangers };
        marks.keep(caller.session, highest);
        Some(caller)
    }

    /// The highest number of a session that was forgotten. What strangers have said in its name
    /// binds strangers only, and spoils nothing for the node whose it is.
    fn mark_of(&self, session: u64, peer: Option<PeerKey>) -> Option<u64> {
        let own = self.forgotten.get(session);
        own.max(self.strangers.get(session).filter(|_| peer.is_none()))
    }

    /// Callers that are remembered.
    pub(crate) fn len(&self) -> usize {
        self.callers.len()
    }

    /// Calls that are remembered.
    pub(crate) fn calls(&self) -> usize {
        self.entries
    }

    /// Bytes of answers that wait for a receipt.
    pub(crate) fn answer_bytes(&self) -> usize {
        self.answer_bytes
    }
}

/// Forgotten callers whose highest number is kept.
const FORGOTTEN: usize = 65_536;
/// The same of those that never introduced themselves.
const FORGOTTEN_STRANGERS: usize = 1024;

/// Room for calls that is kept when a caller has none.
const KEPT: usize = 64;

#[cfg(test)]
mod tests;
