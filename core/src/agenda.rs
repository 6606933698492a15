//! What is due at which time, soonest first. Entries are never taken out early: whoever keeps
//! one knows when it has become stale, and it is passed over.
//!
//! A timer of its own for each call would be set and cancelled once per call; an agenda costs a
//! push and a pop at the ends of a queue, and its owner needs one timer.

use std::collections::VecDeque;

use crate::time::Time;

/// Entries above which an owner looks for stale ones.
pub(crate) const MOST_STALE: usize = 256;

/// Things to do, each with its time.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    entries: VecDeque<(Time, T)>,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new() }
    }
}

impl<T> Agenda<T> {
    /// Adds an entry behind all that are due no later. Mostly it is the last one.
    pub(crate) fn add(&mut self, at: Time, what: T) {
        match self.entries.back() {
            Some((last, _)) if *last > at => {
                let place = self.entries.partition_point(|(due, _)| *due <= at);
                self.entries.insert(place, (at, what));
            }
            _ => self.entries.push_back((at, what)),
        }
    }

    /// How many entries there are, stale ones included.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The first entry and its time.
    pub(crate) fn first(&self) -> Option<&(Time, T)> {
        self.entries.front()
    }

    /// Takes the first entry off, whether it is due or not.
    pub(crate) fn pop(&mut self) -> Option<(Time, T)> {
        let first = self.entries.pop_front();
        if self.entries.is_empty() {
            self.entries.shrink_to(KEPT);
        }
        first
    }

    /// Takes the first entry off if it is due.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<(Time, T)> {
        if self.first().is_some_and(|(at, _)| *at <= now) { self.pop() } else { None }
    }
}

/// Room that is kept when nothing is left to do.
const KEPT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_is_due_in_order_of_time_then_of_adding() {
        let mut agenda = Agenda::default();
        for (at, what) in [(5, 'a'), (7, 'b'), (5, 'c'), (1, 'd')] {
            agenda.add(Time::from_millis(at), what);
        }
        let mut due = Vec::new();
        while let Some((_, what)) = agenda.pop_due(Time::from_millis(5)) {
            due.push(what);
        }
        assert_eq!(due, ['d', 'a', 'c']);
        assert_eq!(agenda.first(), Some(&(Time::from_millis(7), 'b')));
        assert_eq!(agenda.pop(), Some((Time::from_millis(7), 'b')));
        assert_eq!(agenda.first(), None);
    }
}
