//! The calls of a world, and the ledger of what ran: the promises of a call are checked here.
//!
//! * One outcome, by the deadline and a timer tick.
//! * `executed = no` means that the body never starts, before or after.
//! * `executed = yes` means that it started.
//! * A result is one that the function computed for this very call.
//! * A body starts once per call, on whatever nodes, unless the network duplicated a datagram or
//!   the call may run more than once.

use std::collections::{BTreeMap, BTreeSet};

use lanc_core::error::{CallError, Executed};
use lanc_core::id::{CallKey, ExeId};
use lanc_core::{Mode, Outcome, Time};

use super::node::NodeId;

/// Names a call of a world, for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CallId(pub(super) usize);

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It has no outcome yet.
    Open,
    /// It got its outcome at this time.
    At(Time),
    /// Its caller crashed, or dropped its handle.
    Orphaned,
}

/// How late after its deadline an outcome may come: one tick of the core's timers.
const TICK: std::time::Duration = std::time::Duration::from_millis(1);

pub(super) struct Entry {
    pub(super) node: NodeId,
    pub(super) key: Option<CallKey>,
    pub(super) id: Option<ExeId>,
    pub(super) mode: Mode,
    /// It may run more than once, under other ids too.
    pub(super) repeats: bool,
    pub(super) due: Time,
    pub(super) keeps: bool,
    pub(super) ended: Ended,
    pub(super) outcome: Option<Result<Outcome, CallError>>,
}

#[derive(Default)]
struct Ran {
    starts: u32,
    results: Vec<Vec<u8>>,
}

/// All calls, and what was run for them.
#[derive(Default)]
pub(super) struct CallBook {
    pub(super) entries: Vec<Entry>,
    due: BTreeSet<(Time, usize)>,
    ran: BTreeMap<ExeId, Ran>,
    never: BTreeSet<ExeId>,
    /// The ids that calls began with; and by what they keep when they go on to another provider.
    ids: BTreeSet<ExeId>,
    by_random: BTreeMap<(u64, u32), ExeId>,
    /// The network may have delivered a datagram twice.
    pub(super) duplicated: bool,
    /// Datagrams may have been forged or falsified: nobody can promise what they say.
    pub(super) falsified: bool,
}

impl CallBook {
    /// Adds a call; the clock of a stopped process does not count until it goes on.
    pub(super) fn add(&mut self, entry: Entry, stopped: bool) {
        if let Some(id) = entry.id {
            self.ids.insert(id);
            self.by_random.insert((id.session, id.random), id);
        }
        if entry.ended == Ended::Open && !stopped {
            self.due.insert((entry.due, self.entries.len()));
        }
        self.entries.push(entry);
    }

    /// Fails for a call that should have had its outcome before `now`.
    pub(super) fn overdue(&self, now: Time) -> Result<(), String> {
        match self.due.first() {
            Some((due, call)) if *due + TICK < now => {
                Err(format!("call {call} has no outcome, its deadline was {due:?}"))
            }
            _ => Ok(()),
        }
    }

    /// The clock of a stopped process does not count.
    pub(super) fn suspend(&mut self, node: NodeId) {
        let entries = &self.entries;
        self.due.retain(|(_, call)| entries[*call].node != node);
    }

    pub(super) fn resume(&mut self, node: NodeId, now: Time) {
        for (place, entry) in self.entries.iter_mut().enumerate() {
            if entry.node == node && entry.ended == Ended::Open {
                entry.due = entry.due.max(now);
                self.due.insert((entry.due, place));
            }
        }
    }

    /// A caller's process died.
    pub(super) fn orphan_all(&mut self, node: NodeId) {
        self.suspend(node);
        for entry in &mut self.entries {
            if entry.node == node && entry.ended == Ended::Open {
                entry.ended = Ended::Orphaned;
            }
        }
    }

    /// A caller dropped its handle.
    pub(super) fn orphan(&mut self, call: CallId) {
        let entry = &mut self.entries[call.0];
        self.due.remove(&(entry.due, call.0));
        if entry.ended == Ended::Open {
            entry.ended = Ended::Orphaned;
        }
    }

    /// A call has its outcome; it is not known here while it is kept in the core.
    pub(super) fn finish(
        &mut self,
        now: Time,
        call: CallId,
        outcome: Option<Outcome>,
    ) -> Result<(), String> {
        let entry = &mut self.entries[call.0];
        if entry.ended != Ended::Open {
            return Err(format!("call {} got another outcome", call.0));
        }
        entry.ended = Ended::At(now);
        self.due.remove(&(entry.due, call.0));
        let Some(outcome) = outcome else { return Ok(()) };
        let verdict = self.judge(call, &outcome);
        self.entries[call.0].outcome = Some(Ok(outcome));
        verdict
    }

    /// Compares an outcome with what really ran.
    fn judge(&mut self, call: CallId, outcome: &Outcome) -> Result<(), String> {
        let entry = &self.entries[call.0];
        let (Some(id), Outcome::One(answer)) = (entry.id, outcome) else { return Ok(()) };
        let has_copies = entry.repeats || !matches!(entry.mode, Mode::One | Mode::Hedged);
        if self.falsified || has_copies {
            return Ok(());
        }
        let ran = self.ran.get(&id);
        match &answer.result {
            Ok(payload) if !ran.is_some_and(|ran| ran.results.contains(&payload.bytes)) => {
                Err(format!("call {} got a result that nobody computed for it", call.0))
            }
            Err(error) if error.executed == Executed::No && ran.is_some() => {
                Err(format!("call {} was said not to have run, but it did: {error}", call.0))
            }
            Err(error) if error.executed == Executed::No => {
                self.never.insert(id);
                Ok(())
            }
            Err(error) if error.executed == Executed::Yes && ran.is_none() => {
                Err(format!("call {} was said to have run, but it did not: {error}", call.0))
            }
            _ => Ok(()),
        }
    }

    /// A body starts.
    pub(super) fn started(&mut self, id: ExeId) -> Result<(), String> {
        let id = self.first_id(id);
        let ran = self.ran.entry(id).or_default();
        ran.starts += 1;
        if self.falsified {
            return Ok(());
        }
        if self.never.contains(&id) {
            return Err(format!("{id} runs although its caller was told that it never will"));
        }
        let repeats = |entry: &Entry| entry.id == Some(id) && entry.repeats;
        if ran.starts > 1 && !self.duplicated && !self.entries.iter().any(repeats) {
            return Err(format!("{id} runs for the second time"));
        }
        Ok(())
    }

    /// A body has ended with this result.
    pub(super) fn computed(&mut self, id: ExeId, result: &[u8]) {
        let id = self.first_id(id);
        self.ran.entry(id).or_default().results.push(result.to_vec());
    }

    /// How often the body of a call was started.
    pub(super) fn starts(&self, call: CallId) -> u32 {
        let id = self.entries[call.0].id;
        id.and_then(|id| self.ran.get(&id)).map_or(0, |ran| ran.starts)
    }

    /// The id that a call began with: where it went on to another provider it has another
    /// number, and the same random part.
    fn first_id(&self, id: ExeId) -> ExeId {
        if self.ids.contains(&id) {
            return id;
        }
        self.by_random.get(&(id.session, id.random)).copied().unwrap_or(id)
    }
}
