//! Calls that this node runs: the bounded queue between receipt and execution, the places to
//! run, and the answers until they have left.

mod applicant;
mod task;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::byte_budget::Account;
use crate::config::Config;
use crate::directory::Class;
use crate::endpoint::LinkId;
use crate::error::Fault;
use crate::fair_queue::{Bounds, FairQueue, Full, Kind};
use crate::id::{TaskKey, tag};
use crate::keyed::{HashKey, KeyedMap};
use crate::message::WireId;
use crate::mutant::planted;
use crate::payload::Payload;
use crate::slots::Slots;
use crate::time::Time;

pub(crate) use applicant::Applicant;
use applicant::kind;
pub(crate) use task::{Caller, Progress, Task};

/// How many tasks may be where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) queued: usize,
    pub(crate) queued_bytes: usize,
    pub(crate) workers: usize,
    pub(crate) async_running: usize,
    /// Queued and running for addresses that have not proved themselves.
    pub(crate) strangers: usize,
}

impl Room {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            queued: config.max_queued,
            queued_bytes: config.max_queued_bytes,
            workers: config.workers,
            async_running: config.max_async_running,
            strangers: config.max_stranger_tasks,
        }
    }
}

/// Why a call is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoRoom {
    /// The queue has no room for it.
    Queue(Full),
    /// As many run and wait for addresses that have not proved themselves as may.
    Strangers,
    /// The node holds as many bytes as it may.
    Bytes,
    /// Its time would be up before its turn came.
    Wait,
}

impl NoRoom {
    /// The setting that is in the way.
    pub(crate) fn limit(self) -> &'static str {
        match self {
            Self::Queue(Full::Count) => "max_queued",
            Self::Queue(Full::Bytes) => "max_queued_bytes",
            Self::Queue(Full::Share) => "queue_share",
            Self::Strangers => "max_stranger_tasks",
            Self::Bytes => "max_buffered",
            Self::Wait => "queue_wait",
        }
    }
}

/// All tasks.
pub(crate) struct Tasks {
    table: Slots<Task, tag::Task>,
    queue: FairQueue,
    /// Calls that left the queue to make room for another caller's, to be told so.
    displaced: Vec<TaskKey>,
    cancelled: VecDeque<TaskKey>,
    /// By link and id of the remote call, if that is none of this version; of calls with the same
    /// id the latest.
    by_call: KeyedMap<(LinkId, WireId<'static>), TaskKey>,
    account: Account,
    strangers: usize,
    room: Room,
    running_blocking: usize,
    running_async: usize,
    /// Mean time a blocking function takes, smoothed by an eighth.
    mean_service: Duration,
}

impl Tasks {
    pub(crate) fn new(room: Room, answers: usize, hash: HashKey, account: Account) -> Self {
        let limit = room.queued + room.workers + room.async_running + answers;
        let bounds = Bounds { count: room.queued, bytes: room.queued_bytes };
        Self {
            table: Slots::new(limit),
            queue: FairQueue::new(bounds, hash),
            displaced: Vec::new(),
            cancelled: VecDeque::new(),
            by_call: KeyedMap::new(hash),
            account,
            strangers: 0,
            room,
            running_blocking: 0,
            running_async: 0,
            mean_service: Duration::from_millis(1),
        }
    }

    /// Queues the task that `make` makes, for which [`Self::make_room`] has found room.
    #[inline(always)]
    pub(crate) fn enqueue(
        &mut self,
        who: &Applicant,
        make: impl FnOnce() -> Task,
    ) -> Option<TaskKey> {
        let key = self.table.insert_with(make)?;
        if let Some(call) = self.table.get(key).and_then(|task| task.caller.call()) {
            self.by_call.insert(call, key);
        }
        self.account.charge(who.bytes);
        self.strangers += usize::from(who.stranger);
        self.queue.push(who.owner, who.kind, key, who.bytes);
        Some(key)
    }

    /// Makes room for a task in the queue, or says why there is none. Whoever has far more than its
    /// share may have to make some: see [`Self::pop_displaced`].
    pub(crate) fn make_room(&mut self, now: Time, who: &Applicant) -> Result<(), NoRoom> {
        let (bytes, owner) = (who.bytes, who.owner);
        if who.stranger && self.strangers >= self.room.strangers {
            return Err(NoRoom::Strangers);
        }
        if !self.account.budget().has_room_for_work(bytes) {
            return Err(NoRoom::Bytes);
        }
        if who.kind == Kind::Blocking
            && let Some(deadline) = who.deadline
            && self.time_of(self.queue.before(owner)) > deadline.since(now) / 2
        {
            // What waits for half of its time and more is done too late, or not at all: under a
            // load that lasts, everything would be.
            return Err(NoRoom::Wait);
        }
        loop {
            match self.queue.check(owner, bytes) {
                Ok(()) if self.table.is_full() => return Err(NoRoom::Queue(Full::Count)),
                Ok(()) => return Ok(()),
                Err(Full::Share) => return Err(NoRoom::Queue(Full::Share)),
                Err(full) => {
                    let displaced = self.queue.displace(owner);
                    self.displaced.push(displaced.ok_or(NoRoom::Queue(full))?);
                }
            }
        }
    }

    /// The next call that had to leave the queue so that another caller has its share.
    pub(crate) fn pop_displaced(&mut self) -> Option<TaskKey> {
        self.displaced.pop()
    }

    /// The next task that has a place to run, marked as running.
    pub(crate) fn start_next(&mut self, now: Time) -> Option<TaskKey> {
        if self.running_async < self.room.async_running
            && let Some(key) = self.queue.pop(Kind::Prompt)
        {
            return self.start(now, key);
        }
        if self.running_blocking < self.room.workers
            && let Some(key) = self.queue.pop(Kind::Blocking)
        {
            return self.start(now, key);
        }
        None
    }

    fn start(&mut self, now: Time, key: TaskKey) -> Option<TaskKey> {
        let task = self.table.get_mut(key)?;
        task.progress = Progress::Running { since: now };
        match kind(task.class) {
            Kind::Blocking => self.running_blocking += 1,
            Kind::Prompt => self.running_async += 1,
        }
        Some(key)
    }

    /// Moves a task to the end of its life, whether it ran or was still queued. `false`: it is
    /// there already, or gone.
    pub(crate) fn settle(
        &mut self,
        now: Time,
        key: TaskKey,
        answer: Result<Payload, Fault>,
    ) -> bool {
        let Some(task) = self.table.get_mut(key) else { return false };
        match task.progress {
            Progress::Answered(_) => return false,
            Progress::Queued => self.queue.remove(key),
            Progress::Running { since } => match kind(task.class) {
                Kind::Blocking => {
                    if !(planted!(CancelFreesPlace) && task.cancelled) {
                        self.running_blocking -= 1;
                    }
                    // One that expired as its turn came has not run.
                    if task.args.is_none() {
                        self.mean_service = (self.mean_service * 7 + now.since(since)) / 8;
                    }
                }
                Kind::Prompt => self.running_async -= 1,
            },
        }
        // Its answer may wait long for a receipt, and costs no place to run.
        self.strangers -= usize::from(std::mem::take(&mut task.stranger));
        task.args = None;
        task.progress = Progress::Answered(answer);
        let bytes = task.answer_bytes();
        self.account.replace(&mut task.held, bytes);
        true
    }

    /// Whether a task's answer of so many bytes may be held until it has left.
    pub(crate) fn has_room_for_answer(&self, key: TaskKey, bytes: usize) -> bool {
        let held = self.table.get(key).map_or(0, |task| task.held);
        self.account.budget().has_room(bytes.saturating_sub(held))
    }

    /// How long a refused caller should wait: what is queued, at the pace of the last tasks.
    pub(crate) fn retry_after(&self) -> Duration {
        self.time_of(self.queue.len()).clamp(Duration::from_millis(10), Duration::from_secs(5))
    }

    /// How long the workers take for so many calls, at the pace of the last ones.
    fn time_of(&self, calls: usize) -> Duration {
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let workers = u32::try_from(self.room.workers.max(1)).unwrap_or(u32::MAX);
        self.mean_service.saturating_mul(calls) / workers
    }

    pub(crate) fn get(&self, key: TaskKey) -> Option<&Task> {
        self.table.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: TaskKey) -> Option<&mut Task> {
        self.table.get_mut(key)
    }

    /// Takes a task out, after a last look at it.
    pub(crate) fn end<R>(&mut self, key: TaskKey, last: impl FnOnce(&mut Task) -> R) -> Option<R> {
        let (held, stranger, call, result) = self
            .table
            .end(key, |task| (task.held, task.stranger, task.caller.call(), last(task)))?;
        self.account.refund(held);
        self.strangers -= usize::from(stranger);
        if let Some(call) = call
            && self.by_call.get(&call) == Some(&key)
        {
            self.by_call.remove(&call);
        }
        Some(result)
    }

    /// The task of a call that came on this link with this id.
    pub(crate) fn by_call(&self, link: LinkId, id: &WireId<'_>) -> Option<TaskKey> {
        self.by_call.get(&(link, id.clone().into_owned())).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.table.iter().map(|(_, task)| task)
    }

    pub(crate) fn keys(&self) -> Vec<TaskKey> {
        self.table.keys()
    }

    /// The links on which somebody waits for an answer that is still to come.
    pub(crate) fn awaited_links(&self) -> BTreeSet<LinkId> {
        let link = |task: &Task| match (&task.caller, &task.progress) {
            (_, Progress::Answered(_)) => None,
            (Caller::Remote { link, id: Some(_), .. }, _) => Some(*link),
            _ => None,
        };
        self.table.iter().filter_map(|(_, task)| link(task)).collect()
    }

    /// Marks a running task as no longer wanted; its place stays taken until it ends.
    pub(crate) fn cancel_running(&mut self, key: TaskKey) {
        if let Some(task) = self.table.get_mut(key)
            && matches!(task.progress, Progress::Running { .. })
            && !task.cancelled
        {
            task.cancelled = true;
            if planted!(CancelFreesPlace) && task.class == Class::Blocking {
                self.running_blocking -= 1;
            }
            self.cancelled.push_back(key);
        }
    }

    /// The next running task whose function should be told that nobody waits.
    pub(crate) fn pop_cancelled(&mut self) -> Option<TaskKey> {
        self.cancelled.pop_front()
    }

    /// Functions running now.
    pub(crate) fn running(&self) -> usize {
        self.running_blocking + self.running_async
    }

    /// Calls waiting for a place to run.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// How busy this node is, for others to choose by: 16 when every worker has a call, twice as
    /// much when as many wait, and 255 for anything above 15 such rounds. 0 only when nothing
    /// waits and no worker runs.
    pub(crate) fn load(&self) -> u8 {
        let calls = self.queue.len().saturating_add(self.running_blocking);
        let load = calls.saturating_mul(16).div_ceil(self.room.workers.max(1));
        u8::try_from(load).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::byte_budget::ByteBudget;
    use crate::dialect::Form;
    use crate::endpoint::Lane;
    use crate::id::FunctionName;
    use crate::ports::Format;

    #[test]
    fn a_call_is_found_by_its_link_and_id_while_its_task_lives() {
        let room = Room { queued: 99, queued_bytes: 9, workers: 9, async_running: 9, strangers: 9 };
        let account = ByteBudget::new(99).account();
        let mut tasks = Tasks::new(room, 9, HashKey::new([7; 16]), account);
        let mut functions: Slots<(), tag::Function> = Slots::new(1);
        let function = functions.insert(()).unwrap();
        let link = |slot| LinkId { lane: Lane(0), slot, generation: 0 };
        let mut begin = |slot, id: Option<WireId<'static>>| {
            let (link, form) = (link(slot), Form::native(Format::JSON));
            let since = Time::ZERO;
            let caller = Caller::Remote { link, peer: None, id, form, since, reply_to: None };
            let function = (function, FunctionName::new("f").unwrap(), Class::Inline);
            let who = Applicant::new(&caller, function.2, 0, None, false);
            tasks.make_room(Time::ZERO, &who).unwrap();
            let task = || Task::new(Time::ZERO, function, caller, None, &who);
            tasks.enqueue(&who, task).unwrap()
        };
        let number = WireId::Number(1);
        let text = WireId::Text("1".into());
        let keys = [(1, &number), (2, &number), (1, &text), (1, &text)]
            .map(|(slot, id)| begin(slot, Some(id.clone())));
        begin(1, None);
        assert_eq!(tasks.by_call(link(1), &number), Some(keys[0]));
        assert_eq!(tasks.by_call(link(2), &number), Some(keys[1]));
        assert_eq!(tasks.by_call(link(2), &text), None);
        assert_eq!(tasks.by_call(link(1), &text), Some(keys[3]), "the latest of its id");
        tasks.end(keys[2], |_| ());
        assert_eq!(tasks.by_call(link(1), &text), Some(keys[3]), "it has not ended");
        for key in keys {
            tasks.end(key, |_| ());
        }
        assert!(tasks.by_call.is_empty());
    }
}
