//! Whose turn it is: the round of those that send bytes, the queue of grants and resets.
//!
//! A stream that is gone stays in these queues until its turn comes. That must not make them
//! grow while nothing is sent, so they are swept before they are more than twice as long as the
//! table.

use std::mem;

use super::{BEGIN, KEPT_PLACES, Streams};

impl<T> Streams<T> {
    /// Lets the far end send more once half a window is free.
    pub(super) fn grant(&mut self, number: u32) {
        let window = self.limits.window;
        let owed = self.table.get(&number).map_or(0, |entry| entry.owed(window));
        if owed > 0 && owed >= window / 2 {
            self.queue_control(number);
        }
    }

    /// Queues a stream that has a grant or a reset to send.
    pub(super) fn queue_control(&mut self, number: u32) {
        let Some(entry) = self.table.get_mut(&number) else { return };
        if mem::replace(&mut entry.in_controls, true) {
            return;
        }
        if self.controls.len() >= 2 * self.table.len() + KEPT_PLACES {
            let table = &self.table;
            self.controls.retain(|number| table.get(number).is_some_and(|entry| entry.in_controls));
        }
        self.controls.push_back(number);
    }

    /// Puts a stream that has bytes to send at the end of the round.
    pub(super) fn enqueue(&mut self, number: u32) {
        let Some(entry) = self.table.get_mut(&number) else { return };
        if entry.in_round || !entry.is_sendable() {
            return;
        }
        entry.in_round = true;
        if self.round.len() >= 2 * self.table.len() + KEPT_PLACES {
            let table = &self.table;
            let waits = |number: &u32| table.get(number).is_some_and(|entry| entry.in_round);
            self.round.retain(|number| *number == BEGIN || waits(number));
        }
        self.round.push_back(number);
    }

    /// Back into the round: to its end, unless it `goes_on`.
    pub(super) fn next_turn(&mut self, number: u32, goes_on: bool) {
        match self.table.get_mut(&number) {
            Some(entry) if goes_on && entry.is_sendable() => {
                entry.in_round = true;
                self.round.push_front(number);
            }
            _ => self.enqueue(number),
        }
    }

    /// Whether the next message that waits may begin. The far end, bounded like this one, is not
    /// sent more at once than it puts together.
    pub(super) fn may_begin(&self) -> bool {
        let Some((_, bytes)) = self.waiting.front() else { return false };
        let sum = self.begun.saturating_add(bytes.len());
        self.counts.sending < self.limits.streams
            && (self.counts.sending == 0 || sum <= self.limits.assembly)
    }

    /// Puts the next message that waits into the round, if it may begin.
    pub(super) fn queue_begin(&mut self) {
        if !self.begin_in_round && self.may_begin() {
            self.begin_in_round = true;
            self.round.push_back(BEGIN);
        }
    }
}
