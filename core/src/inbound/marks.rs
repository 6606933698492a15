//! What is kept of callers that were forgotten.

use std::collections::VecDeque;

use crate::keyed::{HashKey, KeyedMap};

/// The highest numbers of callers that were forgotten: no call of theirs with that number or a
/// lower one may start. Beyond the bound the oldest go.
pub(super) struct Marks {
    highest: KeyedMap<u64, u64>,
    order: VecDeque<u64>,
    most: usize,
}

impl Marks {
    pub(super) fn new(most: usize, hash: HashKey) -> Self {
        Self { highest: KeyedMap::new(hash), order: VecDeque::new(), most }
    }

    pub(super) fn get(&self, session: u64) -> Option<u64> {
        self.highest.get(&session).copied()
    }

    pub(super) fn keep(&mut self, session: u64, highest: u64) {
        if self.highest.insert(session, highest).is_none() {
            self.order.push_back(session);
        }
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.highest.remove(&oldest);
        }
    }
}
