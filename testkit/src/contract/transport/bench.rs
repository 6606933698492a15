//! The test bench of the rules: opened nodes, and waiting with a limit.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io::IoSlice;
use std::task::{Context, Poll};
use std::time::Duration;

use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::ports::{
    Arrived, Capabilities, Cast, Dest, Inlet, LinkEvent, Outlet, RecvBatch, SendRefused, Sent,
    TransportError,
};

use super::Factory;

/// How long a rule waits for something that must come. Reaching it is a failure, never a pass.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A rule at work: its name goes before every complaint.
#[derive(Clone, Copy)]
pub(super) struct Rule(pub(super) &'static str);

impl Rule {
    /// Ends the test: the adapter broke this rule.
    #[track_caller]
    pub(super) fn broken(self, how: &str) -> ! {
        panic!("rule {} is broken: {how}", self.0)
    }

    #[track_caller]
    pub(super) fn ensure(self, holds: bool, how: &str) {
        if !holds {
            self.broken(how);
        }
    }

    #[track_caller]
    pub(super) fn same<T: PartialEq + std::fmt::Debug>(self, got: T, want: T, what: &str) {
        if got != want {
            self.broken(&format!("{what}: expected {want:?}, got {got:?}"));
        }
    }

    /// Runs `check` on a fresh network of `N` nodes, in a runtime of its own.
    pub(super) fn run<const N: usize, F: Future<Output = ()>>(
        self,
        factory: Factory<'_>,
        check: impl FnOnce([Node; N]) -> F,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| self.broken(&format!("no runtime: {error}")));
        runtime.block_on(async {
            let mut nodes = Vec::new();
            for (lane, transport) in (3u8..).zip(factory(N)) {
                let limits = transport.capabilities();
                let opened = transport.open(Lane(lane)).await;
                let opened = opened.unwrap_or_else(|error| self.broken(&format!("open: {error}")));
                nodes.push(Node {
                    rule: self,
                    lane: Lane(lane),
                    limits,
                    scheme: transport.scheme().to_owned(),
                    local: opened.local,
                    outlet: opened.outlet,
                    inlet: opened.inlet,
                    arrived: VecDeque::new(),
                    changed: HashMap::new(),
                });
            }
            match <[Node; N]>::try_from(nodes) {
                Ok(nodes) => check(nodes).await,
                Err(nodes) => self.broken(&format!(
                    "the factory was asked for {N} transports and made {}",
                    nodes.len()
                )),
            }
        });
    }
}

/// What came, owned.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Event(LinkEvent),
    Frame(Frame),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) link: LinkId,
    pub(super) cast: Cast,
    pub(super) bytes: Vec<u8>,
}

/// One opened transport.
pub(super) struct Node {
    pub(super) rule: Rule,
    pub(super) lane: Lane,
    pub(super) limits: Capabilities,
    pub(super) scheme: String,
    pub(super) local: Endpoint,
    pub(super) outlet: Box<dyn Outlet>,
    pub(super) inlet: Box<dyn Inlet>,
    /// What was received and not looked at yet.
    pub(super) arrived: VecDeque<Item>,
    /// Largest frames of links, where a [`LinkEvent::Limit`] has told of one.
    changed: HashMap<LinkId, usize>,
}

impl Node {
    /// The largest frame that `link` carries, as far as that was told.
    pub(super) fn max_frame(&self, link: LinkId) -> usize {
        self.changed.get(&link).copied().unwrap_or(self.limits.max_frame)
    }

    /// Offers a frame of a batch; the rule flushes it.
    pub(super) fn offer(&mut self, link: LinkId, bytes: &[u8]) -> Result<Sent, SendRefused> {
        self.outlet.try_send(Dest::Link(link), &[IoSlice::new(bytes)])
    }

    /// Sends a batch of one frame.
    pub(super) fn send(&mut self, link: LinkId, bytes: &[u8]) -> Result<Sent, SendRefused> {
        let sent = self.offer(link, bytes);
        self.outlet.flush();
        sent
    }

    /// Sends, where there must be room.
    #[track_caller]
    pub(super) fn must_send(&mut self, link: LinkId, bytes: &[u8]) {
        if let Err(refused) = self.send(link, bytes) {
            self.rule.broken(&format!("a frame of {} bytes: {refused}", bytes.len()));
        }
    }

    #[track_caller]
    pub(super) fn must_broadcast(&mut self, bytes: &[u8]) {
        let sent = self.outlet.try_send(Dest::Broadcast(self.lane), &[IoSlice::new(bytes)]);
        self.outlet.flush();
        if let Err(refused) = sent {
            self.rule.broken(&format!("a broadcast of {} bytes: {refused}", bytes.len()));
        }
    }

    /// One poll of the inlet. Returns the number of frames it added, `None` when it is pending.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut batch = RecvBatch::default();
        let polled = self.inlet.poll_recv(cx, &mut batch);
        self.take(polled, batch)
    }

    /// One look of the inlet, else like [`Self::poll`].
    pub(super) fn look(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut batch = RecvBatch::default();
        let polled = self.inlet.poll_look(cx, &mut batch);
        self.take(polled, batch)
    }

    fn take(
        &mut self,
        polled: Poll<Result<(), TransportError>>,
        mut batch: RecvBatch,
    ) -> Poll<usize> {
        match polled {
            Poll::Pending => {
                self.rule.ensure(batch.is_empty(), "a pending poll had added something");
                return Poll::Pending;
            }
            Poll::Ready(Err(error)) => self.rule.broken(&format!("receiving failed: {error}")),
            Poll::Ready(Ok(())) => {}
        }
        self.rule.ensure(!batch.is_empty(), "a poll was ready without anything");
        let mut frames = 0;
        batch.drain(|arrived| {
            self.arrived.push_back(match arrived {
                // What the system grants is none of the rules.
                Arrived::Event(LinkEvent::Limited { .. } | LinkEvent::KernelDrops { .. }) => return,
                Arrived::Event(LinkEvent::Limit { link, max_frame }) => {
                    self.changed.insert(link, max_frame);
                    return;
                }
                Arrived::Event(event) => Item::Event(event),
                Arrived::Frame(got) => {
                    frames += 1;
                    Item::Frame(Frame { link: got.link, cast: got.cast, bytes: got.bytes.to_vec() })
                }
            });
        });
        Poll::Ready(frames)
    }

    /// Polls once, waiting for the poll to be ready.
    pub(super) async fn receive(&mut self, awaited: &str) -> usize {
        let rule = self.rule;
        match tokio::time::timeout(PATIENCE, poll_fn(|cx| self.poll(cx))).await {
            Ok(frames) => frames,
            Err(_) => rule.broken(&format!("{awaited} did not come")),
        }
    }

    /// Takes in everything that has arrived already.
    pub(super) async fn settle(&mut self) {
        let mut more = true;
        while more {
            // A poll of a socket knows what the reactor has reported: it needs a turn to look.
            tokio::task::yield_now().await;
            more = poll_fn(|cx| Poll::Ready(self.poll(cx).is_ready())).await;
        }
    }

    /// The next item.
    pub(super) async fn next(&mut self, awaited: &str) -> Item {
        loop {
            if let Some(item) = self.arrived.pop_front() {
                return item;
            }
            self.receive(awaited).await;
        }
    }

    /// The next frame; link events before it are passed over.
    pub(super) async fn frame(&mut self) -> Frame {
        loop {
            if let Item::Frame(frame) = self.next("a frame").await {
                return frame;
            }
        }
    }

    /// The next link event that `wanted` picks; other events are passed over, a frame is not.
    pub(super) async fn event<T>(
        &mut self,
        awaited: &str,
        wanted: impl Fn(&LinkEvent) -> Option<T>,
    ) -> T {
        loop {
            match self.next(awaited).await {
                Item::Event(event) => {
                    if let Some(found) = wanted(&event) {
                        return found;
                    }
                }
                Item::Frame(_) => self.rule.broken(&format!("a frame came before {awaited}")),
            }
        }
    }

    /// The next link to come up.
    pub(super) async fn up(&mut self) -> LinkId {
        self.event("Up", |event| match event {
            LinkEvent::Up { link, .. } => Some(*link),
            _ => None,
        })
        .await
    }

    /// Connects to `other` and proves the link with one frame each way, so that both have it.
    pub(super) async fn pair(&mut self, other: &mut Self) -> (LinkId, LinkId) {
        self.outlet.connect(&other.local);
        let ours = self.up().await;
        self.must_send(ours, b"there");
        let theirs = other.frame().await.link;
        other.must_send(theirs, b"back");
        let frame = self.frame().await;
        self.rule.same(frame.link, ours, "the link an answer came on");
        (ours, theirs)
    }
}

/// A frame of `length` bytes that a shifted or cut copy does not equal.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect()
}
