//! The hierarchical wheel that timers wait in.
//!
//! Setting and cancelling cost the same whatever the number of timers: a call sets one and
//! cancels it when its answer comes, so an ordered map would be felt on every call.

use std::collections::VecDeque;

use super::Timer;
use crate::time::Time;

/// Names a timer that was set. Stale once it fired or was cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimerKey {
    node: u32,
    generation: u32,
}

const LEVELS: u32 = 6;
const SLOTS: u64 = 64;
const TICK_NANOS: u64 = 1_000_000;
const NONE: u32 = u32::MAX;
/// Nodes that are kept however few timers there are.
const KEPT: usize = 64;

struct Node {
    generation: u32,
    timer: Timer,
    at: Time,
    /// Where it hangs: `level * 64 + slot`, or `NONE` when it is due or free.
    list: u32,
    next: u32,
    previous: u32,
    /// Neither hanging nor due.
    free: bool,
}

/// The wheel: six levels of 64 slots, a millisecond each at the lowest.
pub(crate) struct Timers {
    nodes: Vec<Node>,
    /// Nodes to use again. Those past the end of `nodes` were given back since; `nodes` grows
    /// only when this is empty.
    free: Vec<u32>,
    heads: Vec<u32>,
    occupied: [u64; 6],
    tick: u64,
    due: VecDeque<TimerKey>,
    /// A lower bound of the earliest timer, exact unless that timer was cancelled.
    earliest: Option<(Time, &'static str)>,
    live: usize,
    /// Generation of fresh nodes: not below that of any node that was given back.
    epoch: u32,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            heads: vec![NONE; 6 * 64],
            occupied: [0; 6],
            tick: 0,
            due: VecDeque::new(),
            earliest: None,
            live: 0,
            epoch: 0,
        }
    }

    /// Sets a timer. It fires at the first [`Self::pop_due`] whose `now` is not before `at`.
    pub(crate) fn set(&mut self, at: Time, timer: Timer) -> TimerKey {
        let (list, next) = self.list_of(at);
        let (previous, free) = (NONE, false);
        let (node, generation) = loop {
            let Some(node) = self.free.pop() else {
                let generation = self.epoch;
                self.nodes.push(Node { generation, timer, at, list, next, previous, free });
                break (u32::try_from(self.nodes.len() - 1).unwrap_or(NONE), generation);
            };
            if let Some(place) = self.nodes.get_mut(index(node)) {
                let generation = place.generation;
                *place = Node { generation, timer, at, list, next, previous, free };
                break (node, generation);
            }
        };
        self.live += 1;
        self.head(list, next, node);
        if self.earliest.is_none_or(|(earliest, _)| at < earliest) {
            self.earliest = Some((at, timer.reason()));
        }
        TimerKey { node, generation }
    }

    /// Keeps the one timer of a `place` that has several things to do at the first of them. One
    /// that is set for an earlier time stays: it finds nothing to do, and its owner looks again.
    pub(crate) fn set_earlier(
        &mut self,
        place: &mut Option<(Time, TimerKey)>,
        at: Time,
        timer: Timer,
    ) {
        if place.is_some_and(|(set, _)| set <= at) {
            return;
        }
        if let Some((_, later)) = place.take() {
            self.cancel(later);
        }
        *place = Some((at, self.set(at, timer)));
    }

    /// Takes a timer back. A stale key does nothing.
    pub(crate) fn cancel(&mut self, key: TimerKey) {
        if self.node(key.node).is_some_and(|node| node.generation == key.generation) {
            self.unhang(key.node);
            self.release(key.node);
        }
    }

    /// The next timer that is due at `now`, if any.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Timer> {
        loop {
            while let Some(key) = self.due.pop_front() {
                let Some(node) = self.node(key.node) else { continue };
                if node.generation == key.generation {
                    let timer = node.timer;
                    self.release(key.node);
                    return Some(timer);
                }
            }
            if self.earliest.is_none_or(|(at, _)| at > now) {
                return None;
            }
            self.advance(now);
            if self.due.is_empty() {
                self.earliest = self.find_earliest();
                if self.earliest.is_none_or(|(at, _)| at > now) {
                    return None;
                }
            }
        }
    }

    /// When to call [`Self::pop_due`] next, and why. Never later than the earliest timer.
    pub(crate) fn next(&self) -> Option<(Time, &'static str)> {
        if self.due.is_empty() { self.earliest } else { Some((Time::ZERO, "timers due")) }
    }

    /// How many timers are set.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    fn node(&self, node: u32) -> Option<&Node> {
        self.nodes.get(index(node))
    }

    fn release(&mut self, node: u32) {
        if let Some(place) = self.nodes.get_mut(index(node)) {
            place.generation = place.generation.wrapping_add(1);
            place.free = true;
            self.free.push(node);
            self.live -= 1;
        }
        if self.live == 0 {
            self.earliest = None;
        }
        if index(node) + 1 == self.nodes.len() {
            self.give_back();
        }
    }

    /// Gives back the free end of what a burst has grown; no old key may match a new node.
    fn give_back(&mut self) {
        while self.nodes.len() > KEPT {
            let Some(node) = self.nodes.pop_if(|node| node.free) else { break };
            self.epoch = self.epoch.max(node.generation);
        }
        let end = self.nodes.len();
        if self.nodes.capacity() > 4 * end.max(KEPT) {
            self.nodes.shrink_to(2 * end);
            self.free.retain(|node| index(*node) < end);
            self.free.shrink_to(2 * end);
            self.due.shrink_to(2 * end);
        }
    }

    /// Hangs a node into the slot of its time.
    fn hang(&mut self, node: u32) {
        let Some(at) = self.node(node).map(|n| n.at) else { return };
        let (list, next) = self.list_of(at);
        if let Some(place) = self.nodes.get_mut(index(node)) {
            (place.list, place.next, place.previous) = (list, next, NONE);
        }
        self.head(list, next, node);
    }

    /// The list of a time, as seen from the current tick, and its first node.
    fn list_of(&self, at: Time) -> (u32, u32) {
        let target = (at.as_nanos() / TICK_NANOS).max(self.tick);
        let differing = (target ^ self.tick) | (SLOTS - 1);
        let level = ((63 - differing.leading_zeros()) / 6).min(LEVELS - 1);
        let farthest = self.tick.saturating_add((1 << (6 * LEVELS)) - 1);
        let slot = (target.min(farthest) >> (6 * level)) % SLOTS;
        let list = level * 64 + u32::try_from(slot).unwrap_or(0);
        (list, self.heads.get(index(list)).copied().unwrap_or(NONE))
    }

    /// Puts a node at the head of a list, before what was `next` there.
    fn head(&mut self, list: u32, next: u32, node: u32) {
        match self.nodes.get_mut(index(next)) {
            Some(place) => place.previous = node,
            None => {
                if let Some(bits) = self.occupied.get_mut(index(list / 64)) {
                    *bits |= 1 << (list % 64);
                }
            }
        }
        if let Some(place) = self.heads.get_mut(index(list)) {
            *place = node;
        }
    }

    fn unhang(&mut self, node: u32) {
        let Some((list, next, previous)) = self.node(node).map(|n| (n.list, n.next, n.previous))
        else {
            return;
        };
        if list == NONE {
            return;
        }
        if let Some(place) = self.nodes.get_mut(index(next)) {
            place.previous = previous;
        }
        match self.nodes.get_mut(index(previous)) {
            Some(place) => place.next = next,
            None => {
                if let Some(head) = self.heads.get_mut(index(list)) {
                    *head = next;
                }
                if next == NONE
                    && let Some(bits) = self.occupied.get_mut(index(list / 64))
                {
                    *bits &= !(1 << (list % 64));
                }
            }
        }
        if let Some(place) = self.nodes.get_mut(index(node)) {
            place.list = NONE;
        }
    }

    /// Moves the wheel to `now`: what is due goes to `due`, in order of time; the slots of
    /// upper levels that were reached are spread over the lower ones.
    fn advance(&mut self, now: Time) {
        let target = now.as_nanos() / TICK_NANOS;
        let first_due = self.due.len();
        while let Some((level, slot, start)) = self.earliest_slot() {
            if start > target {
                break;
            }
            self.tick = self.tick.max(start);
            let mut node = self.take_list(level, slot);
            let mut later = Vec::new();
            while node != NONE {
                let Some((next, at, generation)) =
                    self.node(node).map(|n| (n.next, n.at, n.generation))
                else {
                    break;
                };
                if let Some(place) = self.nodes.get_mut(index(node)) {
                    place.list = NONE;
                }
                if at <= now {
                    self.due.push_back(TimerKey { node, generation });
                } else {
                    later.push(node);
                }
                node = next;
            }
            let same_slot_again = level == 0 && start >= target && !later.is_empty();
            for node in later.into_iter().rev() {
                self.hang(node);
            }
            if same_slot_again {
                break;
            }
        }
        self.tick = self.tick.max(target);
        let mut times: Vec<_> = self
            .due
            .drain(first_due..)
            .map(|key| (self.nodes.get(index(key.node)).map_or(Time::ZERO, |n| n.at), key))
            .collect();
        times.sort_by_key(|(at, _)| *at);
        self.due.extend(times.into_iter().map(|(_, key)| key));
    }

    fn take_list(&mut self, level: u32, slot: u64) -> u32 {
        let list = level * 64 + u32::try_from(slot).unwrap_or(0);
        if let Some(bits) = self.occupied.get_mut(index(level)) {
            *bits &= !(1 << slot);
        }
        self.heads.get_mut(index(list)).map_or(NONE, |head| std::mem::replace(head, NONE))
    }

    /// The occupied slot that begins first, and the tick it begins at.
    fn earliest_slot(&self) -> Option<(u32, u64, u64)> {
        (0u32..)
            .zip(self.occupied)
            .filter(|(_, bits)| *bits != 0)
            .map(|(level, bits)| {
                let shift = 6 * level;
                let current = (self.tick >> shift) % SLOTS;
                let ahead = bits.rotate_right(u32::try_from(current).unwrap_or(0));
                let slot = (current + u64::from(ahead.trailing_zeros())) % SLOTS;
                let block = self.tick >> shift >> 6 << 6;
                // A slot behind the current one belongs to the next turn of its level.
                let turn = if slot < current { SLOTS } else { 0 };
                (level, slot, (block + turn + slot) << shift)
            })
            .min_by_key(|(level, _, start)| (*start, *level))
    }

    fn find_earliest(&self) -> Option<(Time, &'static str)> {
        let mut best: Option<(Time, &'static str)> = None;
        // Only the first slot of each level can hold the earliest timer.
        for level in 0..LEVELS {
            let Some(bits) = self.occupied.get(index(level)).filter(|bits| **bits != 0) else {
                continue;
            };
            let current = (self.tick >> (6 * level)) % SLOTS;
            let ahead = bits.rotate_right(u32::try_from(current).unwrap_or(0));
            let slot = (current + u64::from(ahead.trailing_zeros())) % SLOTS;
            let list = level * 64 + u32::try_from(slot).unwrap_or(0);
            let mut node = self.heads.get(index(list)).copied().unwrap_or(NONE);
            while let Some(place) = self.node(node) {
                if best.is_none_or(|(at, _)| place.at < at) {
                    best = Some((place.at, place.timer.reason()));
                }
                node = place.next;
            }
        }
        best
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
