//! A transport of your own: a cable with two ends, each a channel to the other one.
//!
//! A transport opens into two halves. The outlet never waits; the inlet is polled for frames and
//! for news of links. Here there is one link, to the other end; `lanc-transport-memory` has a
//! table of them.

use std::error::Error;
use std::io::IoSlice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::ports::{
    Capabilities, Cast, Close, Dest, DownReason, Initiator, Inlet, LinkEvent, Opened, Outlet,
    RecvBatch, SendRefused, Sent, Transport, TransportError,
};
use lanc_testkit::contract::transport as rules;
use tokio::sync::mpsc;

type Frame = (Cast, Vec<u8>);

struct End {
    local: Endpoint,
    remote: Endpoint,
    send: mpsc::Sender<Frame>,
    receive: Mutex<Option<mpsc::Receiver<Frame>>>,
}

fn cable() -> [End; 2] {
    let (left, right) = (Endpoint::text("cable", "left"), Endpoint::text("cable", "right"));
    let ((to_right, from_left), (to_left, from_right)) = (mpsc::channel(1024), mpsc::channel(1024));
    let end = |local: &Endpoint, remote: &Endpoint, send, receive| {
        let receive = Mutex::new(Some(receive));
        End { local: local.clone(), remote: remote.clone(), send, receive }
    };
    [end(&left, &right, to_right, from_right), end(&right, &left, to_left, from_left)]
}

#[async_trait::async_trait]
impl Transport for End {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            max_frame: 1472,
            max_broadcast: 1024,
            reliable: false,
            ordered: false,
            broadcast: true,
            connected: false,
        }
    }

    fn scheme(&self) -> &str {
        "cable"
    }

    async fn open(&self, lane: Lane) -> Result<Opened, TransportError> {
        let frames = lock(&self.receive).take().ok_or(TransportError::Closed)?;
        let (tell, news) = mpsc::channel(64);
        let id = LinkId { lane, slot: 0, generation: 0 };
        let link = Link { id, is_up: false, remote: self.remote.clone(), tell };
        let link = Arc::new(Mutex::new(link));
        Ok(Opened {
            outlet: Box::new(CableOutlet { link: Arc::clone(&link), send: self.send.clone() }),
            inlet: Box::new(CableInlet { link, news, frames }),
            local: self.local.clone(),
        })
    }
}

/// The one link, shared by both halves: what the outlet does to it, the inlet tells.
struct Link {
    id: LinkId,
    is_up: bool,
    remote: Endpoint,
    tell: mpsc::Sender<LinkEvent>,
}

impl Link {
    fn up(&mut self, initiator: Initiator) -> LinkEvent {
        self.is_up = true;
        LinkEvent::Up { link: self.id, remote: self.remote.clone(), initiator }
    }

    fn tell(&self, event: LinkEvent) {
        // Bounded: news that nobody fetches is lost.
        let _ = self.tell.try_send(event);
    }
}

struct CableOutlet {
    link: Arc<Mutex<Link>>,
    send: mpsc::Sender<Frame>,
}

impl Outlet for CableOutlet {
    fn try_send(&mut self, to: Dest, frame: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
        let link = lock(&self.link);
        let (cast, most) = match to {
            Dest::Broadcast(_) => (Cast::Broadcast, 1024),
            Dest::Link(id) if link.is_up && id == link.id => (Cast::Unicast, 1472),
            Dest::Link(_) => return Err(SendRefused::Gone),
        };
        let bytes: Vec<u8> = frame.iter().flat_map(|piece| piece.iter().copied()).collect();
        if bytes.len() > most {
            return Err(SendRefused::TooLarge);
        }
        // Like a datagram, a frame for which there is no room is lost.
        self.send.try_send((cast, bytes)).map_err(|_| SendRefused::Unreachable)?;
        Ok(Sent::Whole)
    }

    fn connect(&mut self, to: &Endpoint) {
        let mut link = lock(&self.link);
        let event = if *to == link.remote {
            link.up(Initiator::Us)
        } else {
            LinkEvent::Failed { remote: to.clone(), reason: "not the other end".to_owned() }
        };
        link.tell(event);
    }

    fn close(&mut self, id: LinkId, _: Close) {
        let mut link = lock(&self.link);
        if link.is_up && link.id == id {
            link.is_up = false;
            link.id.generation += 1;
            link.tell(LinkEvent::Down { link: id, reason: DownReason::ClosedHere });
        }
    }
}

struct CableInlet {
    link: Arc<Mutex<Link>>,
    news: mpsc::Receiver<LinkEvent>,
    frames: mpsc::Receiver<Frame>,
}

impl Inlet for CableInlet {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>> {
        let mut link = lock(&self.link);
        while let Poll::Ready(Some(event)) = self.news.poll_recv(cx) {
            into.event(event);
        }
        while into.has_room() {
            let Poll::Ready(received) = self.frames.poll_recv(cx) else { break };
            let Some((cast, bytes)) = received else {
                return Poll::Ready(Err(TransportError::Closed));
            };
            if !link.is_up {
                into.event(link.up(Initiator::Them));
            }
            into.push(&bytes, link.id, cast, true);
        }
        if into.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> Result<(), Box<dyn Error>> {
    // The rules of the port that two nodes can show; a panic names the one that is broken. A
    // transport for more nodes runs all of them with `lanc_testkit::transport_contract!`.
    let network = |_| cable().map(|end| Box::new(end) as Box<dyn Transport>).into();
    for rule in [
        rules::l1_up_comes_before_the_first_frame,
        rules::l2_frames_go_both_ways_on_one_link,
        rules::l3_connecting_again_gives_the_same_link,
        rules::l5_a_slot_is_used_again_under_another_generation,
        rules::l6_a_foreign_endpoint_fails,
        rules::f1_the_largest_frame_arrives_whole,
        rules::f3_pieces_arrive_as_one_frame,
        rules::f8_the_last_waker_is_woken,
    ] {
        rule(&network);
    }
    call()
}

#[tokio::main]
async fn call() -> Result<(), Box<dyn Error>> {
    let [left, right] = cable();
    let server = lanc::builder().name("server").transport(left).open().await?;
    server.register("add", |a: i64, b: i64| a + b)?;
    let client = lanc::builder().name("client").transport(right).open().await?;
    let sum: i64 = client.call("add", (1, 2)).await?;
    println!("1 + 2 = {sum}, over {}", client.endpoints()[0]);
    assert_eq!(sum, 3);
    Ok(())
}
