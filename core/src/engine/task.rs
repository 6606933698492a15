//! A task, from the queue to its function; those that nobody waits for any more.

use std::sync::Arc;

use super::receive::From;
use super::{Core, StreamKey};
use crate::counters::Drop;
use crate::directory::Class;
use crate::endpoint::LinkId;
use crate::error::{ErrorCode, Executed, Fault};
use crate::id::{FunctionKey, FunctionName, PeerKey, TaskKey};
use crate::inbound::Standing;
use crate::message::WireId;
use crate::mutant::planted;
use crate::payload::Arguments;
use crate::tasks::{Caller, Progress};
use crate::time::Time;

/// A call whose turn has come: run its function, then [`Core::complete`] it.
#[derive(Clone, PartialEq, Debug)]
pub struct Task {
    /// Names it.
    pub key: TaskKey,
    /// Which function.
    pub function: FunctionKey,
    /// The function's name.
    pub name: FunctionName,
    /// How to run it.
    pub class: Class,
    /// The caller's id for the call, for logs.
    pub id: Option<WireId<'static>>,
    /// The caller's name, or its endpoint if it has not introduced itself.
    pub caller: Arc<str>,
    /// When the caller stops waiting.
    pub deadline: Option<Time>,
    /// Its arguments.
    pub args: Arguments,
    /// The byte stream that belongs to it.
    pub stream: Option<StreamKey>,
}

/// Something to do with a task.
#[derive(Clone, PartialEq, Debug)]
pub enum TaskStep {
    /// Run it.
    Run(Task),
    /// Tell the running function that nobody waits for it any more. It keeps its place until
    /// it is completed.
    Cancel(TaskKey),
}

impl Core {
    /// The next thing to do with a function. Filled by inputs, by [`Self::call`] and by
    /// [`Self::complete`], which frees a place.
    pub fn poll_task(&mut self, now: Time) -> Option<TaskStep> {
        while let Some(key) = self.tasks.pop_cancelled() {
            if self.tasks.get(key).is_some() {
                return Some(TaskStep::Cancel(key));
            }
        }
        loop {
            let key = self.tasks.start_next(now)?;
            let Some(task) = self.tasks.get_mut(key) else { continue };
            let is_late = task.deadline.is_some_and(|deadline| deadline <= now);
            if is_late && !planted!(StartsLate) {
                self.expire_queued(now, key);
                continue;
            }
            let Some(args) = task.args.take() else { continue };
            self.counters.tasks_started += 1;
            let task = self.describe(key, args)?;
            self.note_started(&task);
            return Some(TaskStep::Run(task));
        }
    }

    fn expire_queued(&mut self, now: Time, key: TaskKey) {
        let text = "the deadline passed in the queue";
        self.counters.tasks_unstarted.count(ErrorCode::TIMEOUT);
        self.settle(now, key, Err(Fault::new(ErrorCode::TIMEOUT, text)));
        self.close_if_drained(now);
    }

    fn describe(&self, key: TaskKey, args: Arguments) -> Option<Task> {
        let task = self.tasks.get(key)?;
        let (id, caller) = self.who_asked(&task.caller);
        Some(Task {
            key,
            function: task.function,
            name: task.name.clone(),
            class: task.class,
            id,
            caller,
            deadline: task.deadline,
            args,
            stream: task.stream,
        })
    }

    /// The id of a call, and its caller's name.
    pub(super) fn who_asked(&self, caller: &Caller) -> (Option<WireId<'static>>, Arc<str>) {
        match caller {
            Caller::Local(call) => {
                let id = self.calls.get(*call).map(|call| WireId::Native(call.id));
                (id, Arc::clone(&self.name))
            }
            Caller::Remote { link, peer, id, .. } => (id.clone(), self.name_at(*link, *peer)),
        }
    }

    /// The name of whoever is at the end of a link, or where that is.
    pub(super) fn name_at(&self, link: LinkId, peer: Option<PeerKey>) -> Arc<str> {
        let name = peer.and_then(|key| self.peers.get(key)).map(|peer| Arc::clone(&peer.name));
        let remote = || self.links.get(link).map(|link| link.remote.to_string().into());
        name.or_else(remote).unwrap_or_default()
    }

    /// The caller takes its call back: on the link that the call came by, or on one of its own.
    /// Whoever has only seen the call's id is not heard.
    pub(super) fn on_cancel(&mut self, now: Time, from: From, id: &WireId<'_>) -> Result<(), Drop> {
        let came_by = |key| match self.tasks.get(key).map(|task| &task.caller) {
            Some(Caller::Remote { link, .. }) => Some(*link),
            _ => None,
        };
        let task = self.task_of(from.link, id);
        let is_callers = match (task, id, &from.seal) {
            // A seal says who speaks, wherever it comes from.
            (_, WireId::Native(id), Some(seal)) => seal.sender.short() == id.session,
            (Some(task), ..) if came_by(task) == Some(from.link) => true,
            (Some(_), WireId::Native(id), None) => {
                let caller = self.peers.by_short(id.session);
                caller.is_some_and(|caller| self.speaks_for(from.link, caller))
            }
            _ => true,
        };
        if !is_callers {
            return Err(Drop::UnknownPeer);
        }
        match (task, id) {
            (Some(key), _) => drop(self.cancel_task(now, key)),
            (None, WireId::Native(id)) => self.cancel_beforehand(now, from, *id),
            (None, _) => {}
        }
        Ok(())
    }

    /// Stops a task that nobody waits for and says whether its function ran.
    pub(super) fn cancel_task(&mut self, now: Time, key: TaskKey) -> Executed {
        let Some(task) = self.tasks.get_mut(key) else { return Executed::Maybe };
        match task.progress {
            Progress::Queued => {
                let (timer, stream) = (task.deadline_timer.take(), task.stream.take());
                self.cancel_timer(timer);
                if let Some(stream) = stream {
                    self.stream_drop(stream, ErrorCode::CANCELLED);
                }
                let fault = Fault::new(ErrorCode::CANCELLED, "cancelled in the queue");
                self.counters.tasks_unstarted.count(fault.code);
                self.tasks.settle(now, key, Err(fault));
                self.remove_task(key, Standing::Refused(ErrorCode::CANCELLED));
                Executed::No
            }
            Progress::Running { .. } => {
                self.tasks.cancel_running(key);
                let why = "nobody waits any more for the call that this function serves,";
                self.end_calls_of(now, key, ErrorCode::CANCELLED, why);
                Executed::Maybe
            }
            Progress::Answered(_) => Executed::Yes,
        }
    }

    pub(super) fn task_deadline(&mut self, now: Time, key: TaskKey) {
        let Some(task) = self.tasks.get_mut(key) else { return };
        task.deadline_timer = None;
        match task.progress {
            Progress::Queued if planted!(StartsLate) => {}
            Progress::Queued => {
                self.expire_queued(now, key);
            }
            Progress::Running { .. } => {
                self.tasks.cancel_running(key);
                let why = "the time is up of the call that this function serves,";
                self.end_calls_of(now, key, ErrorCode::TIMEOUT, why);
            }
            Progress::Answered(_) => {}
        }
    }
}
