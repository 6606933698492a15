//! One life of a caller, and what is remembered of its calls.

use std::collections::VecDeque;

use crate::agenda::Agenda;
use crate::error::{ErrorCode, Executed};
use crate::id::{PeerKey, TaskKey};
use crate::time::Time;
use crate::timers::TimerKey;

/// What is remembered of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// It is a task, from its arrival until its answer is known to have arrived.
    Live(TaskKey),
    /// Its answer has arrived, or nobody wants one.
    Over,
    /// It ended like this, and the answer is not kept.
    Expired(Executed),
    /// It was taken back, or its time was up, while its function ran: nobody was answered.
    GivenUp(Executed),
    /// It did not start and never will: it was refused, or cancelled before it came.
    Refused(ErrorCode),
}

impl Standing {
    fn task(self) -> Option<TaskKey> {
        match self {
            Self::Live(task) => Some(task),
            _ => None,
        }
    }
}

/// One remembered call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    /// [`ExeId::random`], which whoever asks about the call must know.
    pub(crate) random: u32,
    pub(crate) standing: Standing,
}

/// One life of a caller.
pub(crate) struct Caller {
    pub(crate) session: u64,
    /// The peer that the session is known as.
    pub(crate) peer: Option<PeerKey>,
    /// By number.
    pub(super) entries: VecDeque<Entry>,
    /// How many of them are tasks.
    pub(super) live: usize,
    /// No call with a lower number may start unless it is remembered.
    pub(super) floor: u64,
    /// Bytes of answers that are kept for it.
    pub(super) kept: usize,
    /// When it was last heard of.
    pub(crate) heard: Time,
    /// Calls whose arrival is to be told, unless they are answered first.
    pub(crate) acks: Agenda<u64>,
    /// When answers are sent again.
    pub(crate) answers: Agenda<u64>,
    /// When it is looked at next, and the timer of that.
    pub(crate) timer: Option<(Time, TimerKey)>,
}

impl Caller {
    pub(super) fn find(&self, number: u64) -> Option<usize> {
        // Mostly the numbers have no gaps.
        let first = self.entries.front()?.number;
        let guess = usize::try_from(number.checked_sub(first)?).unwrap_or(usize::MAX);
        if self.entries.get(guess).is_some_and(|entry| entry.number == number) {
            return Some(guess);
        }
        // A new call, mostly.
        if self.entries.back().is_some_and(|last| last.number < number) {
            return None;
        }
        self.entries.binary_search_by_key(&number, |entry| entry.number).ok()
    }

    /// The task of a number.
    pub(crate) fn task(&self, number: u64) -> Option<TaskKey> {
        self.entries.get(self.find(number)?)?.standing.task()
    }

    /// The highest number that was seen of it.
    pub(crate) fn highest(&self) -> u64 {
        let last = self.entries.back().map_or(0, |entry| entry.number);
        last.max(self.floor.saturating_sub(1))
    }

    /// Its tasks.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = TaskKey> + '_ {
        self.entries.iter().filter_map(|entry| entry.standing.task())
    }

    /// Whether none of its calls is a task.
    pub(crate) fn is_idle(&self) -> bool {
        self.live == 0
    }
}
