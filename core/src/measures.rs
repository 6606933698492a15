//! What functions cost: for each name how often it ended in which way, and how long it took.

use crate::counters::Outcomes;
use crate::error::ErrorCode;
use crate::histogram::Histogram;
use crate::id::FunctionName;
use crate::keyed::{HashKey, KeyedMap};

/// Functions that are measured each for itself; all others share [`Measured::OTHERS`]. A
/// function takes 7 KiB at most.
pub const MAX_MEASURED: usize = 1024;

/// A function: called from here, run here, or both.
#[derive(Clone, Debug)]
pub struct Measured {
    name: Option<FunctionName>,
    called: Option<Box<Called>>,
    served: Option<Box<Served>>,
}

/// Calls from here.
#[derive(Clone, Debug, Default)]
pub struct Called {
    /// How they ended.
    pub ended: Outcomes,
    /// From the call to its outcome, whatever that was.
    pub took: Histogram,
}

/// Runs here, for callers elsewhere and for this node.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// How they ended.
    pub ended: Outcomes,
    /// From the arrival of the call to the start of the function.
    pub waited: Histogram,
    /// From the start of the function to its result.
    pub ran: Histogram,
}

impl Measured {
    /// The name of what stands for all functions beyond [`MAX_MEASURED`]. No function has it.
    pub const OTHERS: &'static str = "*";

    /// The function's name.
    pub fn name(&self) -> &str {
        self.name.as_ref().map_or(Self::OTHERS, FunctionName::as_str)
    }

    /// What calls from here cost, once one has ended.
    pub fn called(&self) -> Option<&Called> {
        self.called.as_deref()
    }

    /// What runs here cost, once one has ended.
    pub fn served(&self) -> Option<&Served> {
        self.served.as_deref()
    }
}

/// All functions that were measured.
pub(crate) struct Measures {
    rows: Vec<Measured>,
    by_name: KeyedMap<FunctionName, usize>,
    /// The one asked for last: the same is often asked for again.
    last: Option<(FunctionName, usize)>,
}

impl Measures {
    pub(crate) fn new(hash: HashKey) -> Self {
        Self { rows: Vec::new(), by_name: KeyedMap::new(hash), last: None }
    }

    pub(crate) fn rows(&self) -> &[Measured] {
        &self.rows
    }

    /// Notes how a call from here ended, and after how many nanoseconds.
    pub(crate) fn called(&mut self, name: &FunctionName, code: ErrorCode, took: u64) {
        if let Some(row) = self.row(name) {
            let called = row.called.get_or_insert_default();
            called.ended.count(code);
            called.took.record_nanos(took);
        }
    }

    /// Notes how a function ended that ran here, and for how many nanoseconds it waited and ran.
    pub(crate) fn served(&mut self, name: &FunctionName, code: ErrorCode, waited: u64, ran: u64) {
        if let Some(row) = self.row(name) {
            let served = row.served.get_or_insert_default();
            served.ended.count(code);
            served.waited.record_nanos(waited);
            served.ran.record_nanos(ran);
        }
    }

    fn row(&mut self, name: &FunctionName) -> Option<&mut Measured> {
        let place = match &self.last {
            Some((last, place)) if last == name => *place,
            _ => {
                let place = self.place(name);
                self.last = Some((name.clone(), place));
                place
            }
        };
        self.rows.get_mut(place)
    }

    fn place(&mut self, name: &FunctionName) -> usize {
        if let Some(place) = self.by_name.get(name.as_str()) {
            return *place;
        }
        let place = self.rows.len().min(MAX_MEASURED);
        if place == self.rows.len() {
            let name = (place < MAX_MEASURED).then(|| name.clone());
            self.rows.push(Measured { name, called: None, served: None });
        }
        if place < MAX_MEASURED {
            self.by_name.insert(name.clone(), place);
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_bound_is_counted_together() {
        let mut measures = Measures::new(HashKey::new([3; 16]));
        let name = |number: usize| FunctionName::new(&format!("f{number}")).unwrap();
        for round in 0..2 {
            for number in 0..MAX_MEASURED + 2 {
                measures.called(&name(number), ErrorCode::OK, round + 1);
            }
        }
        measures.served(&name(0), ErrorCode::BUSY, 0, 0);
        let rows = measures.rows();
        assert_eq!(rows.len(), MAX_MEASURED + 1);
        let calls = |row: &Measured| row.called().map(|called| called.took.count());
        assert_eq!((rows[0].name(), calls(&rows[0])), ("f0", Some(2)));
        assert!(rows[0].served().is_some() && rows[1].served().is_none());
        let others = rows.last().unwrap();
        assert_eq!((others.name(), calls(others)), (Measured::OTHERS, Some(4)));
        assert!(!FunctionName::is_valid(Measured::OTHERS));
    }
}
