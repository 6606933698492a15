//! What a node still has to say when it is shut down.
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

use std::io::IoSlice;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lanc::{Config, JsonCodec, Node};
use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::event::Event;
use lanc_core::ports::{
    Capabilities, Close, Dest, Inlet, LinkEvent, Opened, Outlet, RecvBatch, SendRefused, Sent,
    Transport, TransportError,
};
use lanc_transport_memory::MemoryNetwork;

/// Reaching it is a failure.
const SOON: Duration = Duration::from_secs(60);
/// Frames from this size on wait at the gate.
const LARGE: usize = 10_000;

/// A transport that has no room for large frames until its gate is opened.
struct Gated(Box<dyn Transport>, Arc<Mutex<Gate>>);

#[derive(Default)]
struct Gate {
    is_open: bool,
    refused: Vec<LinkId>,
    waker: Option<Waker>,
}

struct GatedOutlet(Box<dyn Outlet>, Arc<Mutex<Gate>>);
struct GatedInlet(Box<dyn Inlet>, Arc<Mutex<Gate>>);

#[async_trait::async_trait]
impl Transport for Gated {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn scheme(&self) -> &str {
        self.0.scheme()
    }

    async fn open(&self, lane: Lane) -> Result<Opened, TransportError> {
        let Opened { outlet, inlet, local } = self.0.open(lane).await?;
        let outlet = Box::new(GatedOutlet(outlet, Arc::clone(&self.1)));
        let inlet = Box::new(GatedInlet(inlet, Arc::clone(&self.1)));
        Ok(Opened { outlet, inlet, local })
    }
}

impl Outlet for GatedOutlet {
    fn try_send(&mut self, to: Dest, frame: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
        let mut gate = self.1.lock().unwrap();
        let size: usize = frame.iter().map(|piece| piece.len()).sum();
        match to {
            Dest::Link(link) if !gate.is_open && size >= LARGE => {
                gate.refused.push(link);
                Err(SendRefused::Full)
            }
            _ => self.0.try_send(to, frame),
        }
    }

    fn connect(&mut self, to: &Endpoint) {
        self.0.connect(to);
    }

    fn close(&mut self, link: LinkId, how: Close) {
        self.0.close(link, how);
    }
}

impl Inlet for GatedInlet {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>> {
        let mut gate = self.1.lock().unwrap();
        gate.waker = Some(cx.waker().clone());
        let polled = self.0.poll_recv(cx, into);
        if !gate.is_open || gate.refused.is_empty() {
            return polled;
        }
        gate.refused.drain(..).for_each(|link| into.event(LinkEvent::Writable(link)));
        Poll::Ready(Ok(()))
    }
}

/// A callee behind a gate and its caller, who has called for an answer of so many bytes; nothing
/// of it has left the callee.
async fn held(size: usize) -> (Node, Node, Arc<Mutex<Gate>>, tokio::task::JoinHandle<Got>) {
    let network = MemoryNetwork::new().connected();
    let gate = Arc::<Mutex<Gate>>::default();
    let builder = |name: &str| {
        let config = Config::default().with_name(name.to_owned());
        lanc::NodeBuilder::new().config(config).codec(JsonCodec)
    };
    let transport = Gated(Box::new(network.transport()), Arc::clone(&gate));
    let callee = builder("callee").transport(transport).open().await.unwrap();
    let caller = builder("caller").transport(network.transport());
    let caller = caller.peer(callee.endpoints()[0].clone()).open().await.unwrap();
    callee.register("make", |size: usize| "z".repeat(size)).unwrap();
    let call = caller.call::<String>("make", (size,)).wait(SOON).deadline(SOON);
    let call = tokio::spawn(call.into_future());
    while gate.lock().unwrap().refused.is_empty() {
        tokio::task::yield_now().await;
    }
    (callee, caller, gate, call)
}

type Got = Result<String, lanc::CallError>;

#[tokio::test]
async fn what_there_was_no_room_for_leaves_before_its_node_is_over() {
    let (callee, _caller, gate, call) = held(100_000).await;
    let mut events = callee.events();
    let closing = tokio::spawn(async move { callee.shutdown().await });
    let closed = async { while !matches!(events.next().await, Some(Event::Closed)) {} };
    tokio::time::timeout(SOON, closed).await.expect("all of it has left the core");
    assert!(!closing.is_finished(), "it is still here");
    let waker = {
        let mut gate = gate.lock().unwrap();
        gate.is_open = true;
        gate.waker.take()
    };
    waker.unwrap().wake();
    let answer = tokio::time::timeout(SOON, call).await.unwrap().unwrap();
    assert_eq!(answer.map(|text| text.len()), Ok(100_000));
    tokio::time::timeout(SOON, closing).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_ends_at_once_waits_for_nobody() {
    for is_closing in [false, true] {
        let (callee, _caller, _gate, call) = held(100_000).await;
        let mut events = callee.events();
        let closing = is_closing.then(|| {
            let callee = callee.clone();
            tokio::spawn(async move { callee.shutdown().await })
        });
        if is_closing {
            while !matches!(events.next().await, Some(Event::Closed)) {}
        }
        let closing_now = tokio::time::timeout(Duration::from_secs(4), callee.close_now());
        closing_now.await.expect("an orderly end would wait for five seconds");
        assert!(call.await.unwrap().is_err());
        if let Some(closing) = closing {
            closing.await.unwrap();
        }
    }
}
