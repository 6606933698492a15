//! The calls of a world and their outcomes, compared with the ledger of what ran.

use std::collections::BTreeSet;

use lanc_core::error::{CallError, Executed};
use lanc_core::id::{CallKey, ExeId};
use lanc_core::{Mode, Outcome, Time};

use super::clock::Clock;
use super::invariant::{Broken, Invariant};
use super::ledger::Ledger;
use super::node::NodeId;
use super::trips::Trips;
use super::values::decode;

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

/// How late after its deadline an outcome may come: one tick of the core's timers, which a slow
/// clock stretches.
const TICK: std::time::Duration = std::time::Duration::from_micros(1200);

pub(super) struct Entry {
    pub(super) node: NodeId,
    pub(super) key: Option<CallKey>,
    pub(super) id: Option<ExeId>,
    pub(super) mode: Mode,
    /// It may run more than once, under other ids too.
    pub(super) repeats: bool,
    /// By the clock of its caller, and by the world's.
    pub(super) due_local: Time,
    pub(super) due: Time,
    pub(super) keeps: bool,
    pub(super) cancelled: bool,
    pub(super) ended: Ended,
    pub(super) outcome: Option<Result<Outcome, CallError>>,
}

/// All calls, and what was run for them.
#[derive(Default)]
pub(super) struct CallBook {
    pub(super) entries: Vec<Entry>,
    due: BTreeSet<(Time, usize)>,
    pub(super) ledger: Ledger,
    pub(super) trips: Trips,
}

impl CallBook {
    /// Adds a call; the clock of a stopped process does not count until it goes on.
    pub(super) fn add(&mut self, entry: Entry, stopped: bool) {
        if let Some(id) = entry.id {
            let has_copies = matches!(entry.mode, Mode::Fastest(_) | Mode::All);
            self.ledger.begun(id, entry.repeats || has_copies);
        }
        if entry.ended == Ended::Open && !stopped {
            self.due.insert((entry.due, self.entries.len()));
        }
        self.entries.push(entry);
    }

    /// Fails for a call that should have had its outcome before `now`.
    pub(super) fn overdue(&self, now: Time) -> Result<(), Broken> {
        match self.due.first() {
            Some((due, call)) if *due + TICK < now => {
                let why = format!("call {call} has no outcome, its deadline was {due:?}");
                Err(Invariant::InTime.broken(why))
            }
            _ => Ok(()),
        }
    }

    /// The clock of a stopped process does not count.
    pub(super) fn suspend(&mut self, node: NodeId) {
        let entries = &self.entries;
        self.due.retain(|(_, call)| entries[*call].node != node);
    }

    /// It goes on, perhaps by another clock.
    pub(super) fn resume(&mut self, node: NodeId, now: Time, clock: &Clock) {
        self.suspend(node);
        for (place, entry) in self.entries.iter_mut().enumerate() {
            if entry.node == node && entry.ended == Ended::Open {
                entry.due = clock.when(entry.due_local).max(now);
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
    ) -> Result<(), Broken> {
        let entry = &mut self.entries[call.0];
        if entry.ended != Ended::Open {
            let which =
                if entry.cancelled { Invariant::NoLateSuccess } else { Invariant::OneOutcome };
            return Err(which.broken(format!("call {} got another outcome", call.0)));
        }
        entry.ended = Ended::At(now);
        self.due.remove(&(entry.due, call.0));
        let Some(outcome) = outcome else { return Ok(()) };
        let verdict = self.judge(call, &outcome);
        self.entries[call.0].outcome = Some(Ok(outcome));
        verdict
    }

    /// Compares an outcome with what really ran.
    fn judge(&mut self, call: CallId, outcome: &Outcome) -> Result<(), Broken> {
        let entry = &self.entries[call.0];
        if let Outcome::All(answers) = outcome {
            let text = || format!("call {} to all has no answer at all", call.0);
            return Invariant::OneOutcome.holds_if(!answers.is_empty(), text);
        }
        let (Some(id), Outcome::One(answer)) = (entry.id, outcome) else { return Ok(()) };
        Invariant::NoLateSuccess.holds_if(!entry.cancelled || answer.result.is_err(), || {
            format!("call {} was cancelled and succeeded", call.0)
        })?;
        let ledger = &mut self.ledger;
        let has_copies = entry.repeats || !matches!(entry.mode, Mode::One | Mode::Hedged);
        let may_be_false = ledger.may_be_deceived(id.session);
        if may_be_false || has_copies || ledger.is_entrusted(id) {
            return Ok(());
        }
        match &answer.result {
            Ok(payload) => match decode(payload.format, &payload.bytes) {
                Ok(value) => ledger.gave(id, &value),
                Err(why) => Err(Invariant::TrueResult.broken(format!("call {}: {why}", call.0))),
            },
            Err(error) => match error.executed {
                Executed::No => ledger.said_no(id, &error.to_string()),
                Executed::Yes => ledger.said_yes(id, &error.to_string()),
                Executed::Maybe => Ok(()),
            },
        }
    }

    /// How often the body of a call was started.
    pub(super) fn starts(&self, call: CallId) -> u32 {
        self.entries[call.0].id.map_or(0, |id| self.ledger.starts(id))
    }
}
