//! What a solo node called and what it ran.

use std::collections::BTreeMap;

use lanc_core::error::CallError;
use lanc_core::id::{CallKey, ExeId};
use lanc_core::message::WireId;
use lanc_core::payload::Payload;
use lanc_core::{Outcome, Task, Time};

/// A call of the node.
#[derive(Clone, PartialEq, Debug)]
pub struct Ended {
    /// Its id.
    pub id: Option<ExeId>,
    /// When its outcome must be there.
    pub due: Time,
    /// What it came to.
    pub outcome: Option<Result<Payload, CallError>>,
}

/// Calls of the node, and starts of its functions.
#[derive(Default)]
pub struct Ledger {
    calls: Vec<Ended>,
    open: BTreeMap<CallKey, usize>,
    /// How often the call of an id was started.
    starts: BTreeMap<ExeId, u32>,
    started: u64,
}

impl Ledger {
    pub(super) fn begin(&mut self, key: CallKey, id: Option<ExeId>, due: Time) -> usize {
        self.calls.push(Ended { id, due, outcome: None });
        self.open.insert(key, self.calls.len() - 1);
        self.calls.len() - 1
    }

    pub(super) fn open_key(&self, place: usize) -> Option<CallKey> {
        self.open.iter().find(|(_, open)| **open == place).map(|(key, _)| *key)
    }

    /// # Panics
    /// When a call ends twice, late, or without an outcome.
    pub(super) fn end(&mut self, now: Time, key: CallKey, outcome: Option<Outcome>) {
        let place = self.open.remove(&key);
        let call = place.and_then(|place| self.calls.get_mut(place));
        let Some(call) = call else { panic!("an outcome for {key:?}, which is no open call") };
        assert!(now <= call.due, "the outcome of {:?} comes after its deadline", call.id);
        call.outcome = match outcome {
            Some(Outcome::One(answer)) => Some(answer.result),
            other => panic!("call {:?} is done but its outcome is {other:?}", call.id),
        };
    }

    pub(super) fn started(&mut self, task: &Task) {
        self.started += 1;
        if let Some(WireId::Native(id)) = task.id {
            *self.starts.entry(id).or_default() += 1;
        }
    }

    /// How many functions were started.
    pub fn total_starts(&self) -> u64 {
        self.started
    }

    /// How often the call of an id was started here.
    pub fn starts(&self, id: ExeId) -> u32 {
        self.starts.get(&id).copied().unwrap_or(0)
    }

    /// The calls begun here, in order.
    pub fn calls(&self) -> &[Ended] {
        &self.calls
    }

    /// Whether every call has its outcome.
    pub fn all_ended(&self) -> bool {
        self.open.is_empty()
    }
}
