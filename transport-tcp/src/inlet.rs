//! The receiving half: it owns the listener and all connections.

mod accept;
mod deadlines;
mod finish;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::framing::Splitter;
use lanc_core::ports::{Close, DownReason, Initiator, Inlet, LinkEvent, RecvBatch, TransportError};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::admission::{Admission, Host};
use crate::connection::{Connection, Farewell, Turn};
use crate::dial::{self, Dial};
use crate::line::{Flushed, Line, reset};
use crate::listener::Listener;
use crate::networks::Networks;
use crate::ready::Token;
use crate::sink::Sink;
use crate::stats::Count;
use crate::transport::{SCHEME, Shared};

/// Turns of connections and others in one poll.
const TURNS: usize = 2 * RecvBatch::MAX_FRAMES;
/// With more connections none is looked at unasked: each look is a system call.
const MOST_LOOKED_AT: usize = 16;
/// How long a connection that was closed here may take to send what was taken.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long the far end of a connection may take to close it too when the node ends and all was
/// handed to the system.
const LAST: Duration = Duration::from_secs(1);

pub(crate) struct TcpInlet {
    lane: Lane,
    shared: Arc<Shared>,
    listener: Listener,
    listener_waker: Waker,
    /// At most as many as connections are allowed.
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The dialled and dialling connections.
    dialled: BTreeMap<SocketAddr, u32>,
    admission: Admission,
    networks: Networks,
    /// Runs while there is a deadline.
    clock: Option<Pin<Box<Sleep>>>,
    clock_waker: Waker,
    /// Whether connections are read though the runtime has told of nothing.
    looks: bool,
    /// Whether all are being closed: nobody is accepted or dialled any more.
    finishes: bool,
}

struct Slot {
    generation: u32,
    waker: Waker,
    place: Place,
}

enum Place {
    Free,
    Dialling(Dial),
    Open(Box<Connection>),
    Closing(Farewell),
}

/// What a turn of a slot came to.
enum Step {
    None,
    Dialled(std::io::Result<TcpStream>),
    CloseHere(Close),
    Over(DownReason),
    Gone,
}

impl TcpInlet {
    pub(crate) fn new(lane: Lane, listener: Listener, shared: Arc<Shared>) -> Self {
        let admission = Admission::new(&shared.config);
        let listener_waker = shared.ready.waker(Token::Listener);
        let clock_waker = shared.ready.waker(Token::Clock);
        shared.ready.wake(Token::Listener);
        Self {
            lane,
            shared,
            listener,
            listener_waker,
            slots: Vec::new(),
            free: Vec::new(),
            dialled: BTreeMap::new(),
            admission,
            networks: Networks::default(),
            clock: None,
            clock_waker,
            looks: false,
            finishes: false,
        }
    }

    fn run(&mut self, token: Token, sink: &mut Sink<'_>) {
        match token {
            Token::Dials => {
                if let Some(to) = self.shared.next_dial() {
                    self.shared.ready.wake(Token::Dials);
                    if let Err(reason) = self.begin_dial(&to, sink) {
                        self.shared.stats.count(Count::DialFailed);
                        let is_refused = false;
                        sink.event(LinkEvent::Failed { remote: to, reason, is_refused });
                    }
                }
            }
            Token::Listener => self.accept(sink),
            Token::Clock => self.tick(sink),
            Token::Slot(slot) => self.turn(slot, sink),
        }
    }

    fn begin_dial(&mut self, to: &Endpoint, sink: &mut Sink<'_>) -> Result<(), String> {
        let remote = dial::dialable(to, self.shared.own)?;
        if let Some(slot) = self.dialled.get(&remote) {
            // While it is being dialled the answer is still to come.
            if let Some(Place::Open(open)) = self.slots.get(index(*slot)).map(|slot| &slot.place) {
                sink.event(up(open));
            }
            return Ok(());
        }
        if !self.admission.dial() {
            return Err("this node has as many connections as it may have".to_owned());
        }
        let until = Instant::now() + self.shared.config.connect;
        let slot = self.take_slot(Place::Dialling(Dial::new(remote, until)));
        self.dialled.insert(remote, slot);
        self.shared.ready.wake(Token::Slot(slot));
        self.start_clock();
        Ok(())
    }

    /// Makes a connection a link.
    fn open(
        &mut self,
        number: u32,
        stream: TcpStream,
        remote: SocketAddr,
        initiator: Initiator,
        host: Option<Host>,
        sink: &mut Sink<'_>,
    ) {
        let origin = self.networks.origin(remote.ip());
        let config = &self.shared.config;
        let silent_until =
            (initiator == Initiator::Them).then(|| Instant::now() + config.first_frame);
        let Some(slot) = self.slots.get_mut(index(number)) else { return };
        let link = LinkId { lane: self.lane, slot: number, generation: slot.generation };
        let line = Arc::new(Line::new(link, stream));
        self.shared.insert(Arc::clone(&line));
        let connection = Connection {
            line,
            remote,
            initiator,
            host,
            origin,
            silent_until,
            splitter: Splitter::new(config.max_frame),
            max_frame: config.max_frame,
            ended: None,
            placing: None,
            expects_head: false,
        };
        sink.event(up(&connection));
        slot.place = Place::Open(Box::new(connection));
        self.shared.ready.wake(Token::Slot(number));
    }

    fn turn(&mut self, number: u32, sink: &mut Sink<'_>) {
        let Some(slot) = self.slots.get_mut(index(number)) else { return };
        let mut cx = Context::from_waker(&slot.waker);
        let (mut next, mut has_deadline) = (Turn::Wait, false);
        let step = match &mut slot.place {
            Place::Free => Step::None,
            Place::Dialling(dial) => match dial.poll(&mut cx) {
                Poll::Pending => Step::None,
                Poll::Ready(result) => Step::Dialled(result),
            },
            Place::Open(open) => match open.line.closed() {
                Some(how) => Step::CloseHere(how),
                None => {
                    let was_silent = open.silent_until.is_some();
                    match open.line.poll_flush(&mut cx) {
                        Flushed::All { owed: true } => {
                            sink.event(LinkEvent::Writable(open.line.link));
                        }
                        Flushed::Waiting => has_deadline = true,
                        // What came before the break is read first.
                        Flushed::All { owed: false } | Flushed::Broken => {}
                    }
                    next = open.receive(&mut cx, sink, &self.shared.stats, self.looks);
                    if was_silent && open.silent_until.is_none() {
                        self.admission.spoke(number);
                    }
                    if let Turn::Over(reason) = next { Step::Over(reason) } else { Step::None }
                }
            },
            Place::Closing(farewell) => {
                next = farewell.proceed(&mut cx);
                if let Turn::Over(_) = next { Step::Gone } else { Step::None }
            }
        };
        if next == Turn::Again {
            self.shared.ready.wake(Token::Slot(number));
        }
        if has_deadline {
            self.start_clock();
        }
        self.follow(number, step, sink);
    }

    fn follow(&mut self, number: u32, step: Step, sink: &mut Sink<'_>) {
        match step {
            Step::None => {}
            Step::Dialled(Ok(stream)) => {
                let Some(Place::Dialling(dial)) = self.place(number) else { return };
                let remote = dial.remote;
                self.shared.stats.count(Count::Dialled);
                self.open(number, stream, remote, Initiator::Us, None, sink);
            }
            Step::Dialled(Err(error)) => {
                let is_refused = error.kind() == ErrorKind::ConnectionRefused;
                self.dial_failed(number, dial::reason(&error), is_refused, sink);
            }
            Step::CloseHere(how) => self.close_here(number, how, sink),
            Step::Over(reason) => {
                if reason != DownReason::ClosedThere
                    && let Some(Place::Open(open)) = self.place(number)
                {
                    reset(&open.line.stream);
                }
                if let Some(open) = self.take_down(number, reason, sink) {
                    self.release(number, open.host);
                }
            }
            Step::Gone => {
                let host = match self.place(number) {
                    Some(Place::Closing(farewell)) => farewell.host,
                    _ => return,
                };
                self.release(number, host);
            }
        }
    }

    fn close_here(&mut self, number: u32, how: Close, sink: &mut Sink<'_>) {
        let Some(open) = self.take_down(number, DownReason::ClosedHere, sink) else { return };
        if how == Close::Abort || open.line.is_broken() {
            reset(&open.line.stream);
            return self.release(number, open.host);
        }
        let time = if self.finishes && !open.line.has_waiting() { LAST } else { FAREWELL };
        let until = Instant::now() + time;
        let Connection { line, host, .. } = *open;
        if let Some(slot) = self.slots.get_mut(index(number)) {
            slot.place = Place::Closing(Farewell { line, host, until, finished: false });
        }
        self.shared.ready.wake(Token::Slot(number));
        self.start_clock();
    }

    /// The link is no more; its slot is still taken.
    fn take_down(
        &mut self,
        number: u32,
        reason: DownReason,
        sink: &mut Sink<'_>,
    ) -> Option<Box<Connection>> {
        let slot = self.slots.get_mut(index(number))?;
        let open = match std::mem::replace(&mut slot.place, Place::Free) {
            Place::Open(open) => open,
            other => {
                slot.place = other;
                return None;
            }
        };
        self.shared.remove(number);
        if open.initiator == Initiator::Us {
            self.dialled.remove(&open.remote);
        }
        if open.silent_until.is_some() {
            self.admission.spoke(number);
        }
        sink.event(LinkEvent::Down { link: open.line.link, reason });
        Some(open)
    }

    fn dial_failed(&mut self, number: u32, reason: String, is_refused: bool, sink: &mut Sink<'_>) {
        let Some(Place::Dialling(dial)) = self.place(number) else { return };
        let remote = dial.remote;
        self.dialled.remove(&remote);
        self.release(number, None);
        self.shared.stats.count(Count::DialFailed);
        let remote = Endpoint::socket(SCHEME, remote);
        sink.event(LinkEvent::Failed { remote, reason, is_refused });
    }

    fn place(&self, number: u32) -> Option<&Place> {
        self.slots.get(index(number)).map(|slot| &slot.place)
    }

    /// A slot for a connection that was admitted.
    fn take_slot(&mut self, place: Place) -> u32 {
        if let Some(number) = self.free.pop() {
            if let Some(slot) = self.slots.get_mut(index(number)) {
                slot.place = place;
            }
            return number;
        }
        let number = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let waker = self.shared.ready.waker(Token::Slot(number));
        self.slots.push(Slot { generation: 0, waker, place });
        number
    }

    /// Gives a slot back, to be used under another generation.
    fn release(&mut self, number: u32, host: Option<Host>) {
        let Some(slot) = self.slots.get_mut(index(number)) else { return };
        slot.place = Place::Free;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(number);
        self.admission.leave(host);
    }
}

impl Inlet for TcpInlet {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>> {
        let shared = Arc::clone(&self.shared);
        let mut sink = Sink::new(into);
        shared.ready.enter();
        let mut turns = 0;
        loop {
            while turns < TURNS && sink.has_room() {
                let Some(token) = shared.ready.pop() else { break };
                turns += 1;
                self.run(token, &mut sink);
            }
            if sink.added {
                return Poll::Ready(Ok(()));
            }
            if shared.ready.wait(cx.waker()) {
                return Poll::Pending;
            }
            if turns >= TURNS || !sink.has_room() {
                // Others have their turn before the rest.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>> {
        if self.slots.len() <= MOST_LOOKED_AT {
            self.looks = true;
            for (number, slot) in (0..).zip(&self.slots) {
                if matches!(slot.place, Place::Open(_)) {
                    self.shared.ready.wake(Token::Slot(number));
                }
            }
        }
        let polled = self.poll_recv(cx, into);
        self.looks = false;
        polled
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.finish(cx)
    }
}

impl Drop for TcpInlet {
    fn drop(&mut self) {
        // Without the inlet nothing is received, so the far ends may as well know.
        for line in self.shared.clear() {
            line.finish();
        }
    }
}

fn up(open: &Connection) -> LinkEvent {
    let remote = Endpoint::socket(SCHEME, open.remote);
    LinkEvent::Up { link: open.line.link, remote, initiator: open.initiator }
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}
