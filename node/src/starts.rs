//! Functions begin: what each is told, and where it runs.

use std::sync::{Arc, Weak};

use lanc_core::error::{ErrorCode, Fault};
use lanc_core::id::TaskKey;
use lanc_core::payload::Arguments;
use lanc_core::ports::Codec;
use lanc_core::{Class, Task, TaskStep, Time};

use crate::args::Args;
use crate::contain;
use crate::context::{Call, Cancellation, Given, Room, Spent};
use crate::functions::{Ended, Started};
use crate::hub::{Hub, KEPT, Means};
use crate::node::{Node, Owner};
use crate::patience::Patience;
use crate::serving::Serving;
use crate::workers;

/// Starts functions.
pub(crate) struct Starts {
    hub: Arc<Hub>,
    owner: Weak<Owner>,
    /// What the next tasks are started with. Empty between two turns.
    means: Vec<Option<Means>>,
    /// Functions that are to be told that nobody waits. Empty between two turns.
    cancelled: Vec<Arc<Cancellation>>,
    /// What inline functions returned.
    done: Vec<Ended>,
    /// Where the next inline function writes its result.
    room: Room,
    patience: Patience,
}

impl Starts {
    pub(crate) fn new(hub: Arc<Hub>, owner: Weak<Owner>) -> Self {
        Self {
            room: Room::of(Arc::clone(&hub)),
            hub,
            owner,
            means: Vec::new(),
            cancelled: Vec::new(),
            done: Vec::new(),
            patience: Patience::default(),
        }
    }

    /// Gives back what a burst has taken.
    pub(crate) fn give_back(&mut self) {
        self.done.shrink_to(KEPT);
        self.means.shrink_to(KEPT);
    }

    /// Starts what is to be started, tells what is cancelled, and returns what has ended at once.
    pub(crate) fn begin(&mut self, steps: &mut Vec<TaskStep>) -> &mut Vec<Ended> {
        let node = self.owner.upgrade().map(Node::of);
        let mut means = std::mem::take(&mut self.means);
        {
            let mut state = self.hub.state();
            for step in steps.iter() {
                means.push(match step {
                    TaskStep::Run(task) => {
                        if task.class == Class::Inline && self.room.is_empty() {
                            self.room.reuse(state.core.take_buffer());
                        }
                        node.as_ref().and_then(|_| state.means(task))
                    }
                    TaskStep::Cancel(key) => {
                        let running = state.running.get(key.slot()).cloned().flatten();
                        self.cancelled.extend(running);
                        None
                    }
                });
            }
        }
        self.cancelled.drain(..).for_each(|running| running.cancel());
        // Short functions run one after the other: one begins when the one before it ends.
        let mut free = None;
        // Nothing is moved: a task is as large as a dozen of these.
        for (step, means) in steps.iter_mut().zip(means.drain(..)) {
            let TaskStep::Run(task) = step else { continue };
            let ended = match (&node, means) {
                (Some(node), Some(means)) => self.start_task(node, task, means, &mut free),
                _ => Some(self.not_started(task.key)),
            };
            if let Some(ended) = ended {
                self.done.push(ended);
            }
        }
        steps.clear();
        self.means = means;
        &mut self.done
    }

    /// Starts a function; what has ended at once is returned, and when.
    fn start_task(
        &mut self,
        node: &Node,
        task: &mut Task,
        means: Means,
        free: &mut Option<Time>,
    ) -> Option<Ended> {
        match task.class {
            Class::Blocking => {
                let Means { function, cancellation } = means;
                let room = Room::of(Arc::clone(&self.hub));
                let call = self.describe(node, task, cancellation, room);
                workers::block(Arc::clone(&self.hub), function, call);
                None
            }
            Class::Async => {
                let Means { function, cancellation } = means;
                let room = Room::of(Arc::clone(&self.hub));
                let call = self.describe(node, task, cancellation, room);
                workers::spawn(Arc::clone(&self.hub), function, call);
                None
            }
            Class::Inline => {
                let began = free.take().unwrap_or_else(|| self.hub.clock.now());
                let (key, name) = (task.key, task.function);
                let cancellation = means.cancellation.clone();
                let (serving, started) = self.run_short(node, task, means);
                let ran = began..self.hub.clock.now();
                *free = Some(ran.end);
                let took = ran.end.since(began);
                if self.patience.is_over(name, took) {
                    self.hub.state().core.demote(name, took);
                }
                let (result, spent) = match started {
                    Ok(Started::Done(result, spent)) => (result, spent),
                    Ok(Started::Later(future, spent)) => {
                        self.hub.state().give_back(spent);
                        let hub = Arc::clone(&self.hub);
                        workers::spawn_future(hub, serving, began, future, cancellation);
                        return None;
                    }
                    Err(fault) => (Err(fault), Spent::default()),
                };
                Some(Ended { key, ran, result, spent })
            }
        }
    }

    /// Runs a short function here and now. A plain one is told nothing about its call.
    fn run_short(
        &mut self,
        node: &Node,
        task: &mut Task,
        means: Means,
    ) -> (Serving, Result<Started, Fault>) {
        let Means { function, cancellation } = means;
        if let Some(plain) = function.plain() {
            let (serving, args) = (self.serving(task), task.args.take());
            let codec = codec(&self.hub, &args).as_ref();
            let room = &mut self.room;
            let ran = workers::guarded(serving, || plain.run(&args, codec, room));
            // The last one of a function that was taken away meanwhile, and what it captured.
            contain::discard(function);
            let spent = [args.into_buffer(), room.spent_if_large()];
            return (serving, Ok(Started::Done(ran.unwrap_or_else(Err), spent)));
        }
        let room = std::mem::replace(&mut self.room, Room::of(Arc::clone(&self.hub)));
        let call = self.describe(node, task, cancellation, room);
        let serving = call.serving;
        let started = workers::guarded(serving, || function.start(call));
        contain::discard(function);
        (serving, started)
    }

    /// The end of a task whose function cannot be started.
    fn not_started(&self, key: TaskKey) -> Ended {
        let text = "the function was taken away, or its node closed, while the call waited";
        let fault = Fault::new(ErrorCode::NOT_FOUND, text);
        let now = self.hub.clock.now();
        Ended { key, ran: now..now, result: Err(fault), spent: Spent::default() }
    }

    fn serving(&self, task: &Task) -> Serving {
        let deadline = task.deadline.map(|deadline| self.hub.clock.instant(deadline));
        Serving { session: self.hub.session, task: task.key, deadline }
    }

    /// All that a function may ask about its call.
    fn describe(
        &self,
        node: &Node,
        task: &mut Task,
        cancellation: Option<Arc<Cancellation>>,
        room: Room,
    ) -> Call {
        let codec = Arc::clone(codec(&self.hub, &task.args));
        let args = Args::new(task.args.take(), codec);
        Call {
            serving: self.serving(task),
            node: node.clone(),
            function: task.name.clone(),
            caller: Arc::clone(&task.caller),
            exe_id: task.id.take(),
            cancellation,
            stream: task.stream,
            given: Given { args, room },
        }
    }
}

/// The codec of a call's arguments, for its result too.
fn codec<'h>(hub: &'h Hub, args: &Arguments) -> &'h Arc<dyn Codec> {
    hub.pipeline.codec(args.format()).unwrap_or(hub.pipeline.first())
}
