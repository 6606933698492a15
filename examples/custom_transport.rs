//! A transport of one's own: a cable between two nodes, made of two channels.
//!
//! Three traits make a transport: `Transport` opens it, `Outlet` sends and never waits, `Inlet`
//! is polled. A cable has one far end, so one link is enough, and it is up from the start.

use std::io::IoSlice;
use std::sync::Mutex;
use std::task::{Context, Poll};

use lanc::endpoint::{Endpoint, Lane, LinkId};
use lanc::ports::{
    Capabilities, Cast, Close, Dest, Initiator, Inlet, LinkEvent, Opened, Origin, Outlet,
    RecvBatch, SendRefused, Sent, Transport, TransportError,
};
use tokio::sync::mpsc::{Receiver, Sender, channel};

type Frame = (Cast, Vec<u8>);

struct Plug(Mutex<Option<(Sender<Frame>, Receiver<Frame>)>>);
struct Sending(Sender<Frame>);
struct Receiving(Receiver<Frame>, LinkId, Option<LinkEvent>);

fn cable() -> (Plug, Plug) {
    let plug = |send, receive| Plug(Mutex::new(Some((send, receive))));
    let ((to_right, right), (to_left, left)) = (channel(1024), channel(1024));
    (plug(to_right, left), plug(to_left, right))
}

#[async_trait::async_trait]
impl Transport for Plug {
    fn capabilities(&self) -> Capabilities {
        Capabilities::datagrams(1472)
    }
    fn scheme(&self) -> &str {
        "cable"
    }
    async fn open(&self, lane: Lane) -> Result<Opened, TransportError> {
        let ends = self.0.lock().ok().and_then(|mut ends| ends.take());
        let (far, near) = ends.ok_or(TransportError::Closed)?;
        let link = LinkId { lane, slot: 0, generation: 0 };
        let remote = Endpoint::text("cable", "far-end");
        let up = LinkEvent::Up { link, remote, initiator: Initiator::Us };
        let inlet = Box::new(Receiving(near, link, Some(up)));
        let local = Endpoint::text("cable", "near-end");
        Ok(Opened { outlet: Box::new(Sending(far)), inlet, local })
    }
}

impl Outlet for Sending {
    fn try_send(&mut self, to: Dest, frame: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
        let bytes = frame.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>();
        if bytes.len() > 1472 {
            return Err(SendRefused::TooLarge);
        }
        let broadcast = matches!(to, Dest::Broadcast(_));
        let cast = if broadcast { Cast::Broadcast } else { Cast::Unicast };
        // A full channel loses the frame, as a wire would.
        let _ = self.0.try_send((cast, bytes));
        Ok(Sent::Whole)
    }
    fn connect(&mut self, _: &Endpoint) {}
    fn close(&mut self, _: LinkId, _: Close) {}
}

impl Inlet for Receiving {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>> {
        if let Some(up) = self.2.take() {
            into.event(up);
            return Poll::Ready(Ok(()));
        }
        let Poll::Ready(frame) = self.0.poll_recv(cx) else { return Poll::Pending };
        let (cast, bytes) = frame.ok_or(TransportError::Closed)?;
        into.push(&bytes, self.1, cast, Origin::Network);
        Poll::Ready(Ok(()))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (left, right) = cable();
    let server = lanc::builder().name("server").transport(left).open().await?;
    server.register("add", |a: i64, b: i64| a + b)?;
    let client = lanc::builder().name("client").transport(right).open().await?;
    let sum: i64 = client.call("add", (1, 2)).await?;
    println!("over a cable: {sum}");
    assert_eq!(sum, 3);
    Ok(())
}
