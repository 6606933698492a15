//! What callers and the driver share.

mod ending;
mod pings;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lanc_core::error::ErrorCode;
use lanc_core::id::{CallKey, PingKey, SessionId};
use lanc_core::note::Note;
use lanc_core::{Core, Done, LinkCommand, Outcome, Pipeline, StreamKey, Task, TaskStep};
use tokio::sync::{broadcast, watch};

use crate::clock::Clock;
use crate::context::{Cancellation, Spent};
use crate::depth::Depth;
use crate::functions::{Ended, Function, Functions};
use crate::outlets::Outlets;
use pings::PingWait;

pub(crate) use ending::{Untold, closed};
pub(crate) use pings::Pinging;

/// Events a slow subscriber may lag behind before it loses the oldest.
const EVENT_BUFFER: usize = 1024;

/// Places for what is to be done that are kept between two turns.
pub(crate) const KEPT: usize = 64;

/// A node's state behind one short lock, and its transports' sending halves behind another.
///
/// Rules: no user code, waker or foreign `Drop` runs under either lock; `state` is never taken
/// while `outlets` waits for it the other way round (order: outlets, then state).
pub(crate) struct Hub {
    state: Mutex<State>,
    outlets: Mutex<Outlets>,
    pub(crate) clock: Clock,
    /// The formats, which never change: reading them needs no lock.
    pub(crate) pipeline: Arc<Pipeline>,
    /// This life of the node.
    pub(crate) session: SessionId,
    /// How deep the values may nest that are sent.
    pub(crate) depth: Depth,
    /// The deadline of a call that names none.
    pub(crate) call_deadline: Duration,
    /// Where user code that may block is run.
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) events: broadcast::Sender<lanc_core::event::Event>,
    /// Turns true when the node is closed.
    pub(crate) closed: watch::Sender<bool>,
}

/// A finished call's callback.
pub(crate) type OnDone = Box<dyn FnOnce(Option<Outcome>) + Send>;

/// The core and who waits for what.
pub(crate) struct State {
    pub(crate) core: Core,
    pub(crate) functions: Functions,
    /// By call slot.
    waiting: Vec<Waiting>,
    /// Those of which nobody has taken the result.
    pings: BTreeMap<PingKey, PingWait>,
    /// Who waits for a byte stream to become readable or writable.
    pub(crate) streams: BTreeMap<StreamKey, Vec<Waker>>,
    /// Ends of streams whose calls are not on their way yet.
    pub(crate) opening: BTreeMap<CallKey, Weak<OnceLock<StreamKey>>>,
    /// By task slot: how to tell a running function that nobody waits.
    pub(crate) running: Vec<Option<Arc<Cancellation>>>,
    /// Something changed that the driver has not seen.
    flush_wanted: bool,
    /// How often callers have changed something.
    pub(crate) submitted: u64,
    driver: Option<Waker>,
    /// The last handle is gone.
    pub(crate) orphaned: bool,
    /// The driver has ended: nobody waits any more.
    pub(crate) is_over: bool,
    /// Who has still to be told something: by a driver that did not come to its end, or of an
    /// outcome that was taken before it could be.
    untold: Untold,
}

/// What a task is started with, from tables that are behind the lock.
pub(crate) struct Means {
    pub(crate) function: Arc<dyn Function>,
    /// `None` where nobody would look at it.
    pub(crate) cancellation: Option<Arc<Cancellation>>,
}

#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    /// Those of further tasks that wait for the same call.
    others: Vec<Waker>,
    on_done: Option<OnDone>,
}

impl Waiting {
    /// All who wait; they are to be woken once.
    fn wakers(&mut self) -> impl Iterator<Item = Waker> {
        self.waker.take().into_iter().chain(std::mem::take(&mut self.others))
    }

    fn add(&mut self, waker: &Waker) {
        if self.waker.iter().chain(&self.others).any(|known| known.will_wake(waker)) {
            return;
        }
        match &self.waker {
            Some(_) => self.others.push(waker.clone()),
            None => self.waker = Some(waker.clone()),
        }
    }
}

/// What must be done once the lock is released.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) wakers: Vec<Waker>,
    pub(crate) callbacks: Vec<(OnDone, Option<Outcome>)>,
    pub(crate) steps: Vec<TaskStep>,
    pub(crate) links: Vec<LinkCommand>,
    pub(crate) events: Vec<lanc_core::event::Event>,
    pub(crate) notes: Vec<Note>,
}

impl Effects {
    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
            && self.callbacks.is_empty()
            && self.steps.is_empty()
            && self.links.is_empty()
            && self.events.is_empty()
            && self.notes.is_empty()
    }

    /// What a flood has grown is given back; a few frames of calls keep their room.
    pub(crate) fn give_back(&mut self) {
        self.steps.shrink_to(KEPT);
        self.links.shrink_to(KEPT);
        self.events.shrink_to(KEPT);
        self.notes.shrink_to(KEPT);
    }
}

impl Hub {
    /// Must be called on a runtime.
    pub(crate) fn new(core: Core, outlets: Outlets, clock: Clock) -> Self {
        Self {
            pipeline: Arc::clone(core.pipeline()),
            session: core.session(),
            depth: Depth::of(core.config()),
            call_deadline: core.config().call_deadline(),
            state: Mutex::new(State {
                core,
                functions: Functions::default(),
                waiting: Vec::new(),
                pings: BTreeMap::new(),
                streams: BTreeMap::new(),
                opening: BTreeMap::new(),
                running: Vec::new(),
                flush_wanted: false,
                submitted: 0,
                driver: None,
                orphaned: false,
                is_over: false,
                untold: Untold::default(),
            }),
            outlets: Mutex::new(outlets),
            clock,
            runtime: tokio::runtime::Handle::current(),
            events: broadcast::channel(EVENT_BUFFER).0,
            closed: watch::channel(false).0,
        }
    }

    /// The sending halves. Taken before the state where both are.
    pub(crate) fn outlets(&self) -> MutexGuard<'_, Outlets> {
        self.outlets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, to look at or for the driver.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a bug; the tables are still consistent enough to close.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes the driver if it does not know yet.
    pub(crate) fn submit<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state();
        let result = change(&mut state);
        self.changed(state);
        result
    }

    /// Ends a change of the state: wakes the driver if it does not know yet.
    pub(crate) fn changed(&self, mut state: MutexGuard<'_, State>) {
        state.submitted = state.submitted.wrapping_add(1);
        let first = !std::mem::replace(&mut state.flush_wanted, true);
        let waker = if first { state.driver.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Resolves when [`Self::submit`] was called since the last time; the caller polls it with
    /// its own waker, which is replaced each time.
    pub(crate) fn poll_submitted(&self, waker: &Waker) -> Poll<()> {
        let mut state = self.state();
        if std::mem::take(&mut state.flush_wanted) {
            return Poll::Ready(());
        }
        match &state.driver {
            Some(known) if known.will_wake(waker) => {}
            _ => state.driver = Some(waker.clone()),
        }
        Poll::Pending
    }

    /// Waits until the node is closed.
    pub(crate) async fn wait_closed(&self) {
        let mut closed = self.closed.subscribe();
        // The sender lives in this hub: waiting cannot fail while we hold it.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Waits for the outcome of a call and takes it. `None`: somebody else took it, or it was
    /// dropped for its age.
    pub(crate) async fn outcome(&self, key: CallKey) -> Option<Outcome> {
        poll_fn(|cx| self.poll_outcome(key, cx)).await
    }

    /// See [`Self::outcome`]. The waker stays until the call is over.
    pub(crate) fn poll_outcome(&self, key: CallKey, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        self.state().poll_outcome(key, cx)
    }

    /// An empty buffer to encode into; see [`Core::take_buffer`].
    pub(crate) fn take_buffer(&self) -> Vec<u8> {
        self.state().core.take_buffer()
    }
}

impl State {
    fn wait_for(&mut self, key: CallKey) -> &mut Waiting {
        slot(&mut self.waiting, key.slot())
    }

    /// See [`Hub::poll_outcome`].
    pub(crate) fn poll_outcome(
        &mut self,
        key: CallKey,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Outcome>> {
        if let Some(outcome) = self.outcome_now(key) {
            return Poll::Ready(outcome);
        }
        self.wait_for(key).add(cx.waker());
        Poll::Pending
    }

    /// The outcome of a call, as [`Hub::outcome`] gives it, if there is no need to wait.
    pub(crate) fn outcome_now(&mut self, key: CallKey) -> Option<Option<Outcome>> {
        if self.core.is_done(key) {
            self.tell_opened(key);
            let outcome = self.core.take(key);
            if outcome.is_some() {
                self.leave_others(key);
            }
            return Some(outcome);
        }
        self.is_over.then(|| Some(ending::closed_call()))
    }

    /// The outcome of a call has been taken. If nobody has been told of it yet, which the driver is
    /// about to do, nobody will be: it wakes the others who wait, for whom nothing is left.
    fn leave_others(&mut self, key: CallKey) {
        let waiting = self.waiting.get_mut(key.slot());
        let waiting = waiting.filter(|own| own.waker.is_some() || own.on_done.is_some());
        let Some(mut waiting) = waiting.map(std::mem::take) else { return };
        self.untold.wakers.extend(waiting.wakers());
        self.untold.callbacks.extend(waiting.on_done.map(|on_done| (on_done, None)));
    }

    /// Has `waker` woken when the call is on its way, and when it is over.
    pub(crate) fn wait_for_call(&mut self, key: CallKey, waker: &Waker) {
        self.wait_for(key).add(waker);
    }

    /// Has `waker` woken when something changes on a stream.
    pub(crate) fn wait_for_stream(&mut self, key: StreamKey, waker: &Waker) {
        add(self.streams.entry(key).or_default(), waker);
    }

    /// Tells the end that waits for the stream of a call which stream it is, once there is one.
    /// To be done before the call's outcome is taken: the call is not known any more then.
    pub(crate) fn tell_opened(&mut self, call: CallKey) {
        if self.opening.is_empty() {
            return;
        }
        let Some(stream) = self.core.stream_of(call) else { return };
        let Some(end) = self.opening.remove(&call) else { return };
        match end.upgrade() {
            // It is set here only, once.
            Some(end) => drop(end.set(stream)),
            None => self.core.stream_drop(stream, ErrorCode::CANCELLED),
        }
    }

    /// Has `on_done` called with the call's outcome.
    pub(crate) fn on_done(&mut self, key: CallKey, on_done: OnDone) {
        self.wait_for(key).on_done = Some(on_done);
    }

    /// A new call may use the slot of an old one whose waiter is gone.
    pub(crate) fn begin_call(&mut self, key: CallKey) {
        let mut before = std::mem::take(self.wait_for(key));
        // Of a call that was dropped before its outcome. They are foreign code: not to be dropped
        // under the lock.
        self.untold.wakers.extend(before.wakers());
    }

    /// What a task is started with; `None`: its function is not here any more.
    pub(crate) fn means(&mut self, task: &Task) -> Option<Means> {
        let function = self.functions.get(task.function)?;
        // A plain one asks nobody, and has ended when it returns.
        let is_told = function.plain().is_none();
        let cancellation = is_told.then(Arc::<Cancellation>::default);
        slot(&mut self.running, task.key.slot()).clone_from(&cancellation);
        Some(Means { function, cancellation })
    }

    /// Ends a task and takes back the buffers it is done with.
    pub(crate) fn complete(&mut self, ended: Ended) {
        let Ended { key, ran, result, spent } = ended;
        self.give_back(spent);
        self.core.began(key, ran.start);
        self.core.complete(ran.end, key, result);
    }

    /// Takes buffers back that nobody needs any more.
    pub(crate) fn give_back(&mut self, spent: Spent) {
        spent.into_iter().for_each(|buffer| self.core.give_buffer(buffer));
    }

    /// Moves everything the core has to say into `effects`, except frames.
    pub(crate) fn collect(&mut self, now: lanc_core::Time, effects: &mut Effects) {
        effects.wakers.append(&mut self.untold.wakers);
        effects.callbacks.append(&mut self.untold.callbacks);
        while let Some(step) = self.core.poll_task(now) {
            effects.steps.push(step);
        }
        while let Some(done) = self.core.poll_done() {
            match done {
                Done::Opened(key) => {
                    self.tell_opened(key);
                    effects.wakers.extend(self.wait_for(key).wakers());
                }
                Done::Call(key) => {
                    self.tell_opened(key);
                    self.opening.remove(&key);
                    let mut waiting = std::mem::take(self.wait_for(key));
                    effects.wakers.extend(waiting.wakers());
                    if let Some(on_done) = waiting.on_done {
                        let outcome = self.core.take(key);
                        effects.callbacks.push((on_done, outcome));
                    }
                }
                Done::Stream(key) => {
                    effects.wakers.extend(self.streams.remove(&key).unwrap_or_default());
                }
                Done::Ping(key, took) => effects.wakers.extend(self.end_ping(key, took)),
            }
        }
        while let Some(command) = self.core.poll_link() {
            effects.links.push(command);
        }
        while let Some(event) = self.core.poll_event() {
            effects.events.push(event);
        }
        while let Some(note) = self.core.poll_note() {
            effects.notes.push(note);
        }
    }
}

/// Adds a waker that is not there yet.
fn add(wakers: &mut Vec<Waker>, waker: &Waker) {
    if !wakers.iter().any(|known| known.will_wake(waker)) {
        wakers.push(waker.clone());
    }
}

/// The entry of a table kept beside one of the core's.
pub(crate) fn slot<T: Default>(table: &mut Vec<T>, slot: usize) -> &mut T {
    if table.len() <= slot {
        table.resize_with(slot + 1, T::default);
    }
    // The table has just been made long enough.
    &mut table[slot]
}
