use std::future::{Future, IntoFuture as _, pending};
use std::io::{ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use lanc_codec::JsonCodec;
use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::error::{CallError, ErrorCode};
use lanc_core::event::Event;
use lanc_core::ports::{
    Capabilities, Close, Dest, Inlet, Opened, Outlet, RecvBatch, SendRefused, Sent, Transport,
    TransportError,
};
use lanc_transport_memory::{MemoryNetwork, MemoryTransport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::sync::oneshot::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use crate::builder::NodeBuilder;
use crate::node::Node;

/// No test waits so long unless it hangs.
const HANGS: Duration = Duration::from_secs(30);

/// Counts what is sent, and panics when it is told to.
struct Bomb {
    fuse: Mutex<Option<Receiver<()>>>,
    frames: tokio::sync::watch::Sender<Vec<String>>,
    /// Has [`Speechless`] send.
    is_speechless: bool,
}

struct Fuse(Receiver<()>);

impl Inlet for Fuse {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        _: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>> {
        match Pin::new(&mut self.0).poll(cx) {
            Poll::Ready(_) => panic!("the driver is to panic"),
            Poll::Pending => Poll::Pending,
        }
    }
}

struct Frames(tokio::sync::watch::Sender<Vec<String>>);

/// Sends nothing, and panics where a farewell is to be sent.
struct Speechless;

impl Outlet for Frames {
    fn try_send(&mut self, _: Dest, frame: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
        let frame: Vec<u8> = frame.iter().flat_map(|piece| piece.iter().copied()).collect();
        let frame = String::from_utf8_lossy(&frame).into_owned();
        self.0.send_modify(|frames| frames.push(frame));
        Ok(Sent::Whole)
    }

    fn connect(&mut self, _: &Endpoint) {}

    fn close(&mut self, _: LinkId, _: Close) {}
}

impl Outlet for Speechless {
    fn try_send(&mut self, _: Dest, frame: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
        let is_farewell = frame.iter().any(|piece| piece.windows(3).any(|text| text == b"bye"));
        assert!(!is_farewell, "the driver is to panic");
        Ok(Sent::Whole)
    }

    fn connect(&mut self, _: &Endpoint) {}

    fn close(&mut self, _: LinkId, _: Close) {}
}

#[async_trait::async_trait]
impl Transport for Bomb {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            max_frame: 1200,
            max_broadcast: 1024,
            reliable: false,
            ordered: false,
            broadcast: true,
            connected: false,
        }
    }

    fn scheme(&self) -> &str {
        "bomb"
    }

    async fn open(&self, _: Lane) -> Result<Opened, TransportError> {
        let fuse = self.fuse.lock().unwrap().take().unwrap();
        let outlet: Box<dyn Outlet> = match self.is_speechless {
            true => Box::new(Speechless),
            false => Box::new(Frames(self.frames.clone())),
        };
        Ok(Opened { outlet, inlet: Box::new(Fuse(fuse)), local: Endpoint::text("bomb", "1") })
    }
}

/// A network of one, and what makes its driver panic.
fn bomb(is_speechless: bool) -> (Bomb, Sender<()>) {
    let (light, fuse) = channel();
    let frames = tokio::sync::watch::channel(Vec::new()).0;
    (Bomb { fuse: Mutex::new(Some(fuse)), frames, is_speechless }, light)
}

#[tokio::test]
async fn a_panic_of_the_driver_ends_calls_and_closes_the_node() {
    let (bomb, light) = bomb(false);
    let mut sent = bomb.frames.subscribe();
    let node = NodeBuilder::new().codec(JsonCodec).transport(bomb).open().await.unwrap();
    let mut events = node.events();
    let call = node.call::<()>("nobody", ()).wait(HANGS).deadline(HANGS).start().unwrap();
    sent.wait_for(|frames| !frames.is_empty()).await.unwrap();
    light.send(()).unwrap();
    let ended = async {
        let failed: Result<(), CallError> = node.join(call, HANGS).await;
        assert_eq!(failed.unwrap_err().code, ErrorCode::CLOSED);
        node.run_forever().await;
        let failed: Result<(), CallError> = node.call("nobody", ()).await;
        assert_eq!(failed.unwrap_err().code, ErrorCode::CLOSED);
        node.shutdown().await;
        while events.next().await != Some(Event::Closed) {}
    };
    tokio::time::timeout(HANGS, ended).await.unwrap();
    assert!(sent.borrow().iter().any(|frame| frame.contains("bye")), "{:?}", sent.borrow());
}

#[tokio::test]
async fn who_waits_for_a_core_that_does_not_close_is_told_all_the_same() {
    let (bomb, _light) = bomb(false);
    let node = NodeBuilder::new().codec(JsonCodec).transport(bomb).open().await.unwrap();
    let call = || node.call::<()>("nobody", ()).wait(HANGS).deadline(HANGS);
    let (first, second) = (call().start().unwrap(), call().start().unwrap());
    let (on_done, done) = channel();
    call().start_with::<()>(move |outcome| on_done.send(outcome).unwrap()).unwrap();
    let ended = async {
        let joined = node.join::<()>(first, HANGS);
        let all = tokio::join!(joined, call(), call().all(), async { node.hub().end() });
        assert_eq!(all.0.unwrap_err().code, ErrorCode::CLOSED);
        assert_eq!(all.1.unwrap_err().code, ErrorCode::CLOSED);
        assert_eq!(all.2.unwrap_err().code, ErrorCode::CLOSED);
        assert_eq!(done.await.unwrap().unwrap_err().code, ErrorCode::CLOSED);
        assert_eq!(node.get::<()>(second).unwrap_err().code, ErrorCode::CLOSED);
        assert_eq!(node.ping("nobody").await.unwrap_err().code, ErrorCode::CLOSED);
        assert_eq!(call().start().unwrap_err().code, ErrorCode::CLOSED);
    };
    tokio::time::timeout(HANGS, ended).await.unwrap();
}

#[tokio::test]
async fn callers_whom_the_driver_was_about_to_wake_are_woken() {
    const CALLS: usize = 100;
    let (bomb, _light) = bomb(true);
    let node = NodeBuilder::new().codec(JsonCodec).transport(bomb).open().await.unwrap();
    let mut events = node.events();
    let calls: JoinSet<Result<(), CallError>> = (0..CALLS)
        .map(|_| node.call("nobody", ()).wait(HANGS).deadline(HANGS).into_future())
        .collect();
    while node.hub().state().core.open_calls() < CALLS {
        tokio::task::yield_now().await;
    }
    let ended = async {
        node.close_now().await;
        for outcome in calls.join_all().await {
            assert_eq!(outcome.unwrap_err().code, ErrorCode::CLOSED);
        }
        while events.next().await != Some(Event::Closed) {}
        assert_eq!(events.next().await, None);
        // Of what comes after the end too.
        let mut late = node.events();
        assert_eq!([late.next().await, late.next().await], [Some(Event::Closed), None]);
    };
    tokio::time::timeout(HANGS, ended).await.unwrap();
}

#[tokio::test]
async fn a_waker_that_panics_keeps_nobody_else_waiting() {
    struct Angry;
    impl Wake for Angry {
        fn wake(self: Arc<Self>) {
            panic!("the waker is to panic");
        }
    }
    let (bomb, light) = bomb(false);
    let node = NodeBuilder::new().codec(JsonCodec).transport(bomb).open().await.unwrap();
    let call = || node.call::<()>("nobody", ()).wait(HANGS).deadline(HANGS).into_future();
    let angry = Arc::new(Angry).into();
    let (mut first, mut last) = (call(), call());
    assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&angry)).is_pending());
    let ended = async { tokio::join!(call(), async { light.send(()).unwrap() }) };
    assert!(Pin::new(&mut last).poll(&mut Context::from_waker(&angry)).is_pending());
    let (failed, ()) = tokio::time::timeout(HANGS, ended).await.unwrap();
    assert_eq!(failed.unwrap_err().code, ErrorCode::CLOSED);
    tokio::time::timeout(HANGS, node.run_forever()).await.unwrap();
}

/// A way into a network of several that has a fuse.
struct Mined {
    network: MemoryTransport,
    fuse: Mutex<Option<Receiver<()>>>,
}

struct MinedInlet(Fuse, Box<dyn Inlet>);

impl Inlet for MinedInlet {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>> {
        match self.0.poll_recv(cx, into) {
            Poll::Pending => self.1.poll_recv(cx, into),
            ready => ready,
        }
    }
}

#[async_trait::async_trait]
impl Transport for Mined {
    fn capabilities(&self) -> Capabilities {
        self.network.capabilities()
    }

    fn scheme(&self) -> &str {
        self.network.scheme()
    }

    async fn open(&self, lane: Lane) -> Result<Opened, TransportError> {
        let fuse = Fuse(self.fuse.lock().unwrap().take().unwrap());
        let Opened { outlet, inlet, local } = self.network.open(lane).await?;
        Ok(Opened { outlet, inlet: Box::new(MinedInlet(fuse, inlet)), local })
    }
}

/// A node whose function `hold` takes a stream and never ends, and one that knows it and blows up.
/// What `hold` runs is told.
async fn pair() -> (Node, Node, Sender<()>, mpsc::Receiver<()>) {
    let network = MemoryNetwork::new().connected();
    let transport = network.transport();
    let at = transport.endpoint();
    let callee = NodeBuilder::new().name("callee").codec(JsonCodec).transport(transport);
    let callee = callee.open().await.unwrap();
    let (tell, runs) = mpsc::channel(8);
    let hold = move |ctx: crate::Context| {
        tell.try_send(()).unwrap();
        async move {
            let _stream = ctx.stream();
            pending::<()>().await;
        }
    };
    callee.register("hold", hold).unwrap();
    let (light, fuse) = channel();
    let mined = Mined { network: network.transport(), fuse: Mutex::new(Some(fuse)) };
    let node = NodeBuilder::new().name("node").codec(JsonCodec).transport(mined).peer(at);
    (node.open().await.unwrap(), callee, light, runs)
}

#[tokio::test]
async fn a_panic_of_the_driver_ends_all_that_waits() {
    let (node, callee, light, mut runs) = pair().await;
    let (tell, mut told) = mpsc::channel(8);
    let until_cancelled = move |ctx: crate::Context| {
        let tell = tell.clone();
        async move {
            tell.try_send("began").unwrap();
            ctx.cancelled().await;
            tell.try_send("cancelled").unwrap();
        }
    };
    node.register("until_cancelled", until_cancelled).unwrap();
    let hold = || node.call::<()>("hold", ()).wait(HANGS).no_deadline();
    let (stream, result) = hold().with_stream().unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (_unopened, nobody) =
        node.call::<()>("nobody", ()).wait(HANGS).no_deadline().with_stream().unwrap();
    let started = hold().start().unwrap();
    let (on_done, done) = channel();
    hold().start_with::<()>(move |outcome| on_done.send(outcome).unwrap()).unwrap();
    let mut values = hold().values().await.unwrap();
    let _from_there =
        callee.call::<()>("until_cancelled", ()).wait(HANGS).no_deadline().start().unwrap();
    assert_eq!(told.recv().await, Some("began"));
    for _ in 0..4 {
        runs.recv().await.unwrap();
    }
    let mut events = node.events();
    let fill = async {
        loop {
            if let Err(error) = writer.write(&[0; 4096]).await {
                return error.kind();
            }
        }
    };
    let mut byte = [0];
    let all = async {
        tokio::join!(
            // In one poll with what lights the fuse: no answer comes before.
            async { tokio::join!(node.ping("callee"), hold(), hold().all(), values.next()) },
            async { tokio::join!(node.join::<()>(started, HANGS), result, nobody, done) },
            async { tokio::join!(reader.read(&mut byte), fill, told.recv()) },
            async { tokio::join!(node.run_forever(), node.settled(), node.shutdown()) },
            async { while events.next().await.is_some() {} },
            async { light.send(()).unwrap() },
        )
    };
    let (calls, others, streams, ..) = tokio::time::timeout(HANGS, all).await.unwrap();
    assert_eq!(calls.0.unwrap_err().code, ErrorCode::CLOSED);
    assert_eq!(calls.1.unwrap_err().code, ErrorCode::CLOSED);
    assert!(calls.2.unwrap_or_default().iter().all(|answer| answer.result.is_err()));
    assert_eq!(calls.3.unwrap().unwrap_err().code, ErrorCode::CLOSED);
    assert_eq!(others.0.unwrap_err().code, ErrorCode::CLOSED);
    assert_eq!(others.1.unwrap_err().code, ErrorCode::CLOSED);
    assert_eq!(others.2.unwrap_err().code, ErrorCode::CLOSED);
    assert_eq!(others.3.unwrap().unwrap_err().code, ErrorCode::CLOSED);
    assert_eq!(streams.0.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(streams.1, ErrorKind::BrokenPipe);
    assert_eq!(streams.2, Some("cancelled"));
}

#[tokio::test]
async fn a_ping_ends_with_its_node() {
    let (node, _callee, _light, mut runs) = pair().await;
    node.call::<()>("hold", ()).wait(HANGS).start().unwrap();
    runs.recv().await.unwrap();
    let both = async { tokio::join!(node.ping("callee"), node.close_now()) };
    let (failed, ()) = tokio::time::timeout(HANGS, both).await.unwrap();
    assert_eq!(failed.unwrap_err().code, ErrorCode::CLOSED);
}
