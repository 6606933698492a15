//! The driver: the only task that waits for the network, for time and for callers at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use lanc_core::endpoint::LinkId;
use lanc_core::ports::{Arrived, Dest, Handed, Inlet, LinkEvent, RecvBatch};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Sleep;

use crate::callbacks;
use crate::callers::{CHUNK, Callers};
use crate::hub::{Effects, Hub, Untold};
use crate::linger::Linger;
use crate::node::Owner;
use crate::starts::Starts;
use crate::trace;

/// Looks for more work before the thread may sleep, at most: a clock that a test holds does not
/// end them.
const LOOKS: u32 = 65_536;
/// How long what was sent may take to leave when the node ends.
const FAREWELL: Duration = Duration::from_secs(5);
/// Looks of a worker that shares its tasks with others, before it gives way.
const STINT: Duration = Duration::from_micros(100);

/// What the driver owns.
pub(crate) struct Driver {
    hub: Arc<Hub>,
    inlets: Vec<Option<Box<dyn Inlet>>>,
    first_lane: usize,
    batch: RecvBatch,
    effects: Effects,
    starts: Starts,
    /// How many functions that ended at once have been answered since the last flush.
    answered: usize,
    callers: Callers,
    writable: Vec<LinkId>,
    /// Links that went down: what is held for them will never leave.
    down: Vec<LinkId>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whether another thread takes what this one has no time for.
    is_shared: bool,
    linger: Linger,
}

impl Driver {
    /// To be called on the runtime that it will run on.
    pub(crate) fn new(
        hub: Arc<Hub>,
        owner: Weak<Owner>,
        inlets: Vec<Box<dyn Inlet>>,
        busy_poll: Duration,
    ) -> Self {
        let is_shared = Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread;
        let rooms = hub.state().core.rooms();
        Self {
            inlets: inlets.into_iter().map(Some).collect(),
            first_lane: 0,
            batch: RecvBatch::with_rooms(rooms),
            effects: Effects::default(),
            starts: Starts::new(Arc::clone(&hub), owner),
            answered: 0,
            callers: Callers::new(is_shared),
            writable: Vec::new(),
            down: Vec::new(),
            sleep: None,
            is_shared,
            linger: Linger::new(busy_poll),
            hub,
        }
    }

    /// Runs until the node is closed.
    pub(crate) async fn run(mut self) {
        // The first hello is ready already; nothing else may come that would send it.
        self.turn();
        self.flush();
        loop {
            if self.callers.is_empty() {
                self.wait_for_work().await;
                self.turn();
            }
            let woken = self.callers.wake(&self.hub).await;
            self.linger.note(woken);
            if woken > 1 {
                self.turn();
            }
            self.flush();
            if self.hub.state().core.is_closed() {
                break;
            }
        }
        // A shutdown may have come between the last turn and the flush: those who wait for
        // calls, and the event, have not been told yet.
        self.turn();
        self.callers.wake_all();
        // The bound holds whatever a transport says.
        let _ = tokio::time::timeout(FAREWELL, self.finish()).await;
        // Whoever waits for the end may open the same port again at once.
        self.inlets.clear();
        self.hub.outlets().close_all();
        self.hub.end();
        self.hub.closed.send_replace(true);
    }

    /// Lets leave what has left the core: what links had no room for, then what transports hold.
    async fn finish(&mut self) {
        let hub = Arc::clone(&self.hub);
        let is_cut_off = || hub.state().core.is_cut_off();
        while self.hub.outlets().is_holding() && !is_cut_off() {
            poll_fn(|cx| self.poll_work(cx, false)).await;
            self.turn();
            self.flush();
        }
        for inlet in self.inlets.iter_mut().flatten() {
            let finish = |cx: &mut TaskContext<'_>| {
                while hub.poll_submitted(cx.waker()).is_ready() {}
                if is_cut_off() { Poll::Ready(()) } else { inlet.poll_finish(cx) }
            };
            poll_fn(finish).await;
        }
    }

    /// Waits until there is something to do. Where more is likely to come at once it is looked
    /// for a few times before the thread may sleep.
    async fn wait_for_work(&mut self) {
        let time = self.linger.time();
        if time > Duration::ZERO {
            let mut came = self.has_work(false).await;
            if !came {
                came = self.look(time).await;
            }
            self.linger.came(came);
            if came {
                return;
            }
        }
        poll_fn(|cx| self.poll_work(cx, false)).await;
    }

    /// Looks for work for so long, and returns whether there is any.
    ///
    /// On one thread others have their turn between two looks, and the runtime asks the system. A
    /// worker of several that gives way calls another one, which then waits for the sockets in its
    /// place: it would look in vain. So it asks them by itself and gives way seldom; what else
    /// there is to do here, another worker takes.
    async fn look(&mut self, time: Duration) -> bool {
        let mut gave_way = self.hub.clock.now();
        let until = gave_way + time;
        for _ in 0..LOOKS {
            let now = self.hub.clock.now();
            if now >= until {
                return false;
            }
            if !self.is_shared || now.since(gave_way) >= STINT {
                tokio::task::yield_now().await;
                gave_way = self.hub.clock.now();
            }
            if self.has_work(self.is_shared).await {
                return true;
            }
        }
        false
    }

    /// Whether there is something to do now.
    async fn has_work(&mut self, looks: bool) -> bool {
        poll_fn(|cx| Poll::Ready(self.poll_work(cx, looks).is_ready())).await
    }

    /// Ready when a frame arrived, a timer is due, or a caller submitted something. `looks`:
    /// transports are to ask the system themselves.
    fn poll_work(&mut self, cx: &mut TaskContext<'_>, looks: bool) -> Poll<()> {
        let mut ready = self.hub.poll_submitted(cx.waker()).is_ready();
        // Another lane begins each time: a flood on one does not keep the others out of the batch.
        let lanes = self.inlets.len();
        self.first_lane = (self.first_lane + 1) % lanes.max(1);
        for number in (self.first_lane..lanes).chain(0..self.first_lane) {
            let Some(place) = self.inlets.get_mut(number) else { continue };
            let Some(inlet) = place else { continue };
            let polled = match looks {
                true => inlet.poll_look(cx, &mut self.batch),
                false => inlet.poll_recv(cx, &mut self.batch),
            };
            match polled {
                Poll::Ready(Ok(())) => ready = true,
                Poll::Ready(Err(error)) => {
                    tracing::error!(lane = number, %error, "a transport can receive no more");
                    *place = None;
                }
                Poll::Pending => {}
            }
        }
        if self.poll_timer(cx).is_ready() {
            ready = true;
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_timer(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Some((due, _)) = self.hub.state().core.poll_timeout() else { return Poll::Pending };
        let due = self.hub.clock.instant(due);
        match &mut self.sleep {
            // Only ever moved forward to an earlier time: waking too early costs less than
            // touching the runtime's timer on every call.
            Some(sleep) if sleep.deadline() <= due && !sleep.is_elapsed() => {
                sleep.as_mut().poll(cx)
            }
            Some(sleep) => {
                sleep.as_mut().reset(due);
                sleep.as_mut().poll(cx)
            }
            None => {
                let sleep = self.sleep.insert(Box::pin(tokio::time::sleep_until(due)));
                sleep.as_mut().poll(cx)
            }
        }
    }

    /// Hands everything that arrived to the core and does what follows from it.
    fn turn(&mut self) {
        let hub = Arc::clone(&self.hub);
        let now = hub.clock.now();
        let is_traced = trace::is_wanted();
        let mut batch = std::mem::take(&mut self.batch);
        // The functions of one frame start before the next frame is read: the queue of waiting
        // calls is not filled by calls that could have run.
        batch.drain_lent(|handed| {
            let mut state = hub.state();
            match handed {
                Handed::Lent(frame) => state.core.handle_lent(now, frame),
                Handed::Placed(placed) => state.core.handle_placed(now, placed),
                Handed::Arrived(Arrived::Frame(frame)) => state.core.handle_frame(now, frame),
                Handed::Arrived(Arrived::Event(LinkEvent::Writable(link))) => {
                    self.writable.push(link);
                }
                Handed::Arrived(Arrived::Event(event)) => {
                    if let LinkEvent::Down { link, .. } = event {
                        self.down.push(link);
                    }
                    state.core.handle_link(now, event);
                }
            }
            state.collect(now, &mut self.effects);
            drop(state);
            self.apply();
            if self.answered >= CHUNK / 2 {
                self.flush();
            }
        });
        self.batch = batch;
        let mut state = hub.state();
        state.core.note_calls(is_traced);
        if state.orphaned {
            state.core.shutdown(now);
        }
        state.core.handle_timeout(now);
        state.collect(now, &mut self.effects);
        drop(state);
        self.apply();
    }

    /// Does what the core asked for, until it asks for nothing more.
    fn apply(&mut self) {
        loop {
            self.callers.hold(self.effects.wakers.drain(..));
            for (on_done, outcome) in self.effects.callbacks.drain(..) {
                callbacks::run(&self.hub.runtime, on_done, outcome);
            }
            self.effects.notes.drain(..).for_each(trace::log);
            for event in self.effects.events.drain(..) {
                tracing::trace!(?event);
                // Nobody may be listening.
                let _ = self.hub.events.send(event);
            }
            if !self.effects.links.is_empty() {
                let mut outlets = self.hub.outlets();
                for command in self.effects.links.drain(..) {
                    outlets.command(command);
                }
            }
            if self.effects.steps.is_empty() {
                self.effects.give_back();
                self.starts.give_back();
                return;
            }
            let ended = self.starts.begin(&mut self.effects.steps);
            let hub = Arc::clone(&self.hub);
            let now = hub.clock.now();
            let mut state = hub.state();
            self.answered += ended.len();
            self.linger.note(ended.len());
            ended.drain(..).for_each(|ended| state.complete(ended));
            state.collect(now, &mut self.effects);
        }
    }

    fn flush(&mut self) {
        self.answered = 0;
        let mut outlets = self.hub.outlets();
        for link in self.down.drain(..) {
            outlets.forget(link);
        }
        for link in self.writable.drain(..) {
            let now = self.hub.clock.now();
            let lost = |why| self.hub.state().core.handle_refused(now, Dest::Link(link), why);
            if outlets.writable(link, lost) {
                self.hub.state().core.handle_link(now, LinkEvent::Writable(link));
            }
        }
        outlets.flush(&self.hub);
        drop(outlets);
        // What left may have ended something: a call that wants no answer, a link, the node.
        let hub = Arc::clone(&self.hub);
        loop {
            hub.state().collect(hub.clock.now(), &mut self.effects);
            if self.effects.is_empty() {
                return;
            }
            self.apply();
            hub.outlets().flush(&hub);
        }
    }
}

/// Where a panic has ended it, or the end of its runtime, those whom it held are told by whoever
/// closes the node.
impl Drop for Driver {
    fn drop(&mut self) {
        let mut untold = Untold::default();
        untold.wakers.extend(self.callers.take_all());
        untold.wakers.append(&mut self.effects.wakers);
        untold.callbacks.append(&mut self.effects.callbacks);
        self.hub.leave(untold);
    }
}
