//! One bound for everything that the network can make a node hold: arguments and results, large
//! messages and streams on all links.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that a node holds, and may. Its parts keep [`Account`]s of what each holds of them.
#[derive(Clone, Debug)]
pub(crate) struct ByteBudget {
    held: Arc<AtomicUsize>,
    limit: usize,
}

impl ByteBudget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { held: Arc::default(), limit }
    }

    /// A part's share of it, empty.
    pub(crate) fn account(&self) -> Account {
        Account { budget: self.clone(), held: 0 }
    }

    /// What all accounts hold together.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether new work may bring so many bytes. An eighth is kept for the results of what was
    /// begun.
    pub(crate) fn has_room_for_work(&self, bytes: usize) -> bool {
        self.held().saturating_add(bytes) <= self.limit - self.limit / 8
    }

    /// Whether more is held than may be.
    pub(crate) fn is_over(&self) -> bool {
        self.held() > self.limit
    }

    /// Whether so many bytes fit at all.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.held().saturating_add(bytes) <= self.limit
    }

    /// A core is used by one thread at a time, so that reading and writing may be two steps:
    /// half a nanosecond instead of five.
    fn set(&self, held: usize) {
        self.held.store(held, Ordering::Relaxed);
    }
}

/// What one part of a node holds of the budget. Gives it back when it is dropped.
#[derive(Debug)]
pub(crate) struct Account {
    budget: ByteBudget,
    held: usize,
}

impl Account {
    /// The budget it is part of.
    pub(crate) fn budget(&self) -> &ByteBudget {
        &self.budget
    }

    /// What it holds.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Whether it may hold so many bytes more: once half of the budget is held, a part that has
    /// more than a quarter of it gets nothing.
    pub(crate) fn has_share(&self, bytes: usize) -> bool {
        let (all, own) = (self.budget.held(), self.held.saturating_add(bytes));
        let limit = self.budget.limit;
        self.budget.has_room(bytes) && (own <= limit / 4 || all.saturating_add(bytes) <= limit / 2)
    }

    /// Counts bytes that are held from now on.
    pub(crate) fn charge(&mut self, bytes: usize) {
        self.held = self.held.saturating_add(bytes);
        self.budget.set(self.budget.held().saturating_add(bytes));
    }

    /// Takes back what was charged.
    pub(crate) fn refund(&mut self, bytes: usize) {
        let bytes = bytes.min(self.held);
        self.held -= bytes;
        self.budget.set(self.budget.held().saturating_sub(bytes));
    }

    /// Takes back what was charged for something, and charges for what takes its place.
    pub(crate) fn replace(&mut self, old: &mut usize, new: usize) {
        self.refund(std::mem::replace(old, new));
        self.charge(new);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.refund(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_add_up_and_give_back_what_they_hold() {
        let budget = ByteBudget::new(800);
        let (mut one, mut other) = (budget.account(), budget.account());
        one.charge(500);
        other.charge(100);
        assert_eq!((budget.held(), one.held()), (600, 500));
        assert!(budget.has_room_for_work(100) && !budget.has_room_for_work(101));
        assert!(budget.has_room(200) && !budget.has_room(201));
        assert!(other.has_share(100) && !other.has_share(101));
        assert!(!one.has_share(0));
        other.charge(200);
        assert!(!budget.is_over());
        other.charge(1);
        assert!(budget.is_over());
        other.refund(201);
        let mut part = 100;
        other.replace(&mut part, 30);
        assert_eq!((budget.held(), part), (530, 30));
        drop(one);
        assert_eq!(budget.held(), 30);
        // What was never charged is not given back.
        other.refund(31);
        assert_eq!((budget.held(), other.held()), (0, 0));
    }
}
