//! The watermark: nobody waits any more for calls to a peer with lower numbers.

use super::Core;
use crate::calls::Call;
use crate::endpoint::LinkId;
use crate::id::{CallKey, PeerKey};
use crate::message::Watermark;
use crate::mutant::planted;
use crate::recovery::Open;
use crate::time::Time;

impl Open {
    /// A call that is handed to a peer.
    pub(super) fn of(key: CallKey, call: &Call) -> Self {
        Self { number: call.wire.number, call: key, until: Time::ZERO }
    }
}

impl Core {
    /// Notes that a call was handed to a peer: the watermark there stays below it.
    pub(super) fn note_open(&mut self, key: CallKey, to: PeerKey) {
        let Some(call) = self.calls.get(key) else { return };
        let open = Open::of(key, call);
        if let Some(peer) = self.peers.get_mut(to) {
            peer.recovery.opened(open);
        }
    }

    /// Nobody waits any more for calls to this peer with lower numbers.
    pub(super) fn watermark(&self, peer: PeerKey) -> Option<Watermark> {
        let recovery = &self.peers.get(peer)?.recovery;
        let lowest = match recovery.open.front() {
            Some(open) => open.number,
            // Nothing was ever said to it that could be repeated.
            None if recovery.told == 0 => return None,
            None => self.calls.next_number(),
        };
        let lowest = lowest + u64::from(planted!(WatermarkTooHigh));
        Some(self.calls.lowest_seeking().map_or(lowest, |seeking| seeking.min(lowest)))
    }

    /// Takes calls that are over off a peer's list.
    pub(super) fn advance_watermark(&mut self, now: Time, peer: PeerKey) {
        let calls = &self.calls;
        let Some(peer) = self.peers.get_mut(peer) else { return };
        let recovery = &mut peer.recovery;
        let counts = |open: &Open| open.until > now || calls.waits_for(open.call, open.number);
        while recovery.open.front().is_some_and(|open| !counts(open)) {
            recovery.told = recovery.told.max(1);
            recovery.open.pop_front();
        }
        recovery.compact(counts);
    }

    /// A frame with a watermark has left for the far end of a link.
    pub(super) fn watermark_left(&mut self, link: LinkId) {
        let Some(watermark) = self.frame_watermark else { return };
        let Some(key) = self.links.get(link).and_then(|link| link.peer) else { return };
        if let Some(peer) = self.peers.get_mut(key) {
            let recovery = &mut peer.recovery;
            recovery.told = recovery.told.max(watermark);
            while recovery.owed.front().is_some_and(|(number, _)| *number < recovery.told) {
                recovery.owed.pop_front();
            }
        }
    }
}
