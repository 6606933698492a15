//! Calls that ended before anybody knew whether their function ran; until an answer settles it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::id::{ExeId, PeerKey};

/// One such call.
pub(crate) struct Doubt {
    /// What its messages said.
    pub(crate) wire: ExeId,
    /// Who was to run it.
    pub(crate) callee: PeerKey,
    /// The callee's name.
    pub(crate) peer: Arc<str>,
    pub(crate) function: String,
}

/// The latest of them, oldest first.
pub(crate) struct Doubts {
    calls: VecDeque<Doubt>,
    limit: usize,
}

impl Doubts {
    pub(crate) fn new(limit: usize) -> Self {
        Self { calls: VecDeque::new(), limit }
    }

    /// Remembers one. `false`: another had to be forgotten for it, or it is not remembered.
    pub(crate) fn note(&mut self, doubt: Doubt) -> bool {
        self.calls.push_back(doubt);
        let fits = self.calls.len() <= self.limit;
        if !fits {
            self.calls.pop_front();
        }
        fits
    }

    /// Forgets the call that an answer settles: `is_by` says whether this peer has sent it.
    pub(crate) fn settle(&mut self, wire: ExeId, is_by: impl Fn(PeerKey) -> bool) -> Option<Doubt> {
        let at = self.calls.iter().position(|doubt| doubt.wire == wire && is_by(doubt.callee))?;
        self.calls.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;
    use crate::slots::Slots;

    #[test]
    fn the_latest_are_remembered_and_only_their_callee_settles_them() {
        let mut peers = Slots::new(2);
        let keys: Vec<PeerKey> = (0..2).map(|peer| peers.insert(peer).unwrap()).collect();
        let wire = |number| ExeId { session: SessionId([7; 16]).short(), number, random: 0 };
        let doubt = |number| Doubt {
            wire: wire(number),
            callee: keys[0],
            peer: Arc::from("desk"),
            function: "add".to_owned(),
        };
        let mut doubts = Doubts::new(2);
        assert_eq!([1, 2, 3].map(|number| doubts.note(doubt(number))), [true, true, false]);
        let by = |key: PeerKey| move |callee| callee == key;
        assert!(doubts.settle(wire(1), by(keys[0])).is_none(), "it was forgotten");
        assert!(doubts.settle(wire(2), by(keys[1])).is_none(), "another has sent it");
        assert!(doubts.settle(wire(2), by(keys[0])).is_some());
        assert!(doubts.settle(wire(2), by(keys[0])).is_none(), "once");
        assert!(!Doubts::new(0).note(doubt(4)));
    }
}
