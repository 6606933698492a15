//! How long the ways of calls really were, beside what their callers measure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lanc_core::Time;

use super::glance::{Glance, SeenCall};
use super::invariant::{Broken, Invariant};
use super::ledger::{Number, Sender, number};

/// What a callee may wait before it answers at once.
const ACK_DELAY: Duration = Duration::from_millis(15);
/// What rounding may make of a time.
const TICK: Duration = Duration::from_millis(1);

/// What a frame carries of calls, and when it left.
#[derive(Debug)]
pub(super) struct Cargo {
    left: Time,
    calls: Vec<(Number, u8)>,
    /// The calls of which it holds an answer or a receipt.
    answered: Vec<Number>,
}

impl Cargo {
    /// `None`: nothing.
    pub(super) fn of(now: Time, glance: &Glance) -> Option<Arc<Self>> {
        if glance.calls.is_empty() && glance.answered.is_empty() {
            return None;
        }
        let calls = glance.calls.iter().map(|call| (number(call.id), call.attempt)).collect();
        let answered = glance.answered.iter().map(|id| number(*id)).collect();
        Some(Arc::new(Self { left: now, calls, answered }))
    }
}

/// Where the copies of a call were when.
#[derive(Default)]
struct Trip {
    /// When each left, by the clock of its caller.
    left: BTreeMap<u8, Time>,
    /// Which came to a node, and when.
    came: Vec<(u8, Time)>,
}

#[derive(Default)]
pub(super) struct Trips(BTreeMap<Number, Trip>);

impl Trips {
    /// A copy of a call leaves its caller.
    pub(super) fn left(&mut self, from: Sender, call: &SeenCall) {
        if call.id.session == from.session {
            let trip = self.0.entry(number(call.id)).or_default();
            trip.left.insert(call.attempt, from.local);
        }
    }

    /// A frame has come to a node.
    pub(super) fn came(&mut self, now: Time, cargo: &Cargo) {
        for (call, attempt) in &cargo.calls {
            if let Some(trip) = self.0.get_mut(call) {
                trip.came.push((*attempt, now));
            }
        }
    }

    /// A caller, whose clock shows `local`, has measured a round trip by a frame: it must be that
    /// of some copy, which the callee had for as long as it may wait. What the clocks differ by,
    /// a quarter at most, is allowed for.
    pub(super) fn measured(
        &self,
        local: Time,
        cargo: &Cargo,
        measured: Duration,
    ) -> Result<(), Broken> {
        let trips = cargo.answered.iter().filter_map(|call| self.0.get(call));
        let is_true = trips.flat_map(Trip::copies).any(|(left, came)| {
            let (whole, held) = (local.since(left), cargo.left.since(came));
            let slack = (held + ACK_DELAY) / 4 + TICK;
            let is_no_shorter = measured + held + slack >= whole;
            came <= cargo.left && is_no_shorter && measured + held <= whole + ACK_DELAY + slack
        });
        Invariant::TrueSamples.holds_if(is_true, || {
            format!("{measured:?} is no round trip of any copy of {:?}", cargo.answered)
        })
    }
}

impl Trip {
    /// When each copy left, and when it came.
    fn copies(&self) -> impl Iterator<Item = (Time, Time)> {
        self.came.iter().filter_map(|(attempt, came)| Some((*self.left.get(attempt)?, *came)))
    }
}
