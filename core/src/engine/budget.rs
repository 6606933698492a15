//! What may be sent to an address that has not shown that it receives.

use std::sync::Arc;

use super::Core;
use crate::dialect::frame::FrameWriter;
use crate::endpoint::LinkId;
use crate::mutant::planted;
use crate::time::Time;
use crate::wire::hosts::Hosts;
use crate::wire::outbox::Outgoing;

/// Bytes of a hello with everything that one may hold, but for a long name.
const HELLO_ROOM: usize = 256;

impl Core {
    /// Whether a frame of this size may go to the far end: an address that has not proved that
    /// it receives gets at most three times what it sent, and a fixed sum per window.
    pub(super) fn within_budget(&mut self, now: Time, link: LinkId, size: usize) -> bool {
        self.leaves_in_budget(now, link, size, 0)
    }

    /// The same for what is no hello: room is left in the sum for one, whose token ends the
    /// bound. Else the refusals that a restarted node owes would keep its hello back.
    pub(super) fn within_budget_after_hello(
        &mut self,
        now: Time,
        link: LinkId,
        size: usize,
    ) -> bool {
        self.leaves_in_budget(now, link, size, HELLO_ROOM)
    }

    fn leaves_in_budget(&mut self, now: Time, link: LinkId, size: usize, rest: usize) -> bool {
        let Some(known) = self.links.get(link) else { return false };
        if self.links.receives(known) {
            return true;
        }
        let room = known.amplification_room();
        // An older program can prove its address only by answering a call: the sum per window would
        // leave its own calls unanswered. The rate of what strangers bring bounds it.
        let allowance = match Hosts::counts(known.remote.ip()).filter(|_| !known.is_home) {
            Some(ip) => self.hosts.allowance(now, ip),
            None => usize::MAX,
        };
        size <= room && size.saturating_add(rest) <= allowance
    }

    /// Counts bytes against the budget of a stranger.
    pub(super) fn spend_budget(&mut self, now: Time, link: LinkId, size: usize) {
        let receives = self.links.get(link).is_none_or(|known| self.links.receives(known));
        let Some(known) = self.links.get_mut(link) else { return };
        if !receives && !planted!(BudgetNotSpent) {
            known.sent_bytes = known.sent_bytes.saturating_add(size);
            known.sent_since.get_or_insert(now);
            if let Some(ip) = Hosts::counts(known.remote.ip()) {
                self.hosts.spend(now, ip, size);
            }
        }
    }

    /// The budget of a stranger does not allow this message. It waits; a peer is sent a token
    /// instead, and when that comes back everything may go. Returns what was packed.
    pub(super) fn challenge(
        &mut self,
        now: Time,
        link: LinkId,
        message: Outgoing,
        out: &mut Vec<u8>,
    ) -> usize {
        self.limit_hit(now, "unproved_budget");
        let Some(known) = self.links.get_mut(link) else { return 0 };
        if known.peer.is_none() {
            // Whoever never said hello will not answer a challenge.
            self.outbox.took(&message);
            self.over_budget(now, message);
            return 0;
        }
        let is_asked = std::mem::replace(&mut known.challenged, true);
        self.put_back(link, message);
        self.park(now, link);
        if is_asked {
            return 0;
        }
        let hello = Outgoing::Hello { wants: false };
        let frame = FrameWriter::native(Arc::clone(self.pipeline.plain()));
        if self.write_message(now, link, &hello, &frame, out)
            && self.within_budget(now, link, out.len() + self.envelope_size())
        {
            return 1;
        }
        out.clear();
        0
    }

    /// Keeps what is for a link until a token comes back, as far as there is room.
    fn park(&mut self, now: Time, link: LinkId) {
        let Some(known) = self.links.get_mut(link) else { return };
        for message in self.outbox.park(known) {
            self.outbox_full = true;
            let bytes = self.answer_bytes(&message);
            if let Some(known) = self.links.get_mut(link) {
                known.answer_bytes = known.answer_bytes.saturating_sub(bytes);
            }
            match message {
                Outgoing::Answer(key) => {
                    self.counters.messages_unsent += 1;
                    self.answer_finds_no_place(key);
                    self.close_if_drained(now);
                }
                other => self.unsent(now, other),
            }
        }
    }

    /// A stranger's answer is more than it may be sent: a short error takes its place.
    pub(super) fn over_budget(&mut self, now: Time, message: Outgoing) {
        let Outgoing::Answer(key) = message else {
            self.unsent(now, message);
            return;
        };
        let text = "too much for an address that has not said hello";
        self.shorten_answer(key, text.to_owned());
    }
}
