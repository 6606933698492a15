//! One opened transport of a test, and waiting with a limit.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::ports::{
    Arrived, Dest, DownReason, Inlet, LinkEvent, Outlet, RecvBatch, SendRefused, Sent, Transport,
    TransportError,
};
use lanc_transport_tcp::{TcpConfig, TcpStats, TcpTransport};

/// Reaching it is a failure, never a pass.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn config() -> TcpConfig {
    TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into())
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it comes in time")
}

#[derive(Debug)]
pub(crate) enum Item {
    Event(LinkEvent),
    Frame(LinkId, Vec<u8>),
}

pub(crate) struct Side {
    pub(crate) outlet: Box<dyn Outlet>,
    inlet: Box<dyn Inlet>,
    pub(crate) local: Endpoint,
    pub(crate) stats: TcpStats,
    arrived: VecDeque<Item>,
}

impl Side {
    pub(crate) async fn open(config: TcpConfig) -> Self {
        Self::try_open(config).await.unwrap()
    }

    pub(crate) async fn try_open(config: TcpConfig) -> Result<Self, TransportError> {
        let transport = TcpTransport::new(config);
        let stats = transport.stats();
        let opened = transport.open(Lane(0)).await?;
        let (outlet, inlet, local) = (opened.outlet, opened.inlet, opened.local);
        Ok(Self { outlet, inlet, local, stats, arrived: VecDeque::new() })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.local.socket_addr().unwrap()
    }

    /// Offers a frame of a batch, without a flush.
    pub(crate) fn offer(&mut self, link: LinkId, bytes: &[u8]) -> Result<Sent, SendRefused> {
        self.outlet.try_send(Dest::Link(link), &[IoSlice::new(bytes)])
    }

    pub(crate) fn send(&mut self, link: LinkId, bytes: &[u8]) -> Result<Sent, SendRefused> {
        let sent = self.offer(link, bytes);
        self.outlet.flush();
        sent
    }

    async fn receive(&mut self) {
        poll_fn(|cx| {
            let mut batch = RecvBatch::default();
            let polled = self.inlet.poll_recv(cx, &mut batch);
            batch.drain(|arrived| {
                self.arrived.push_back(match arrived {
                    Arrived::Event(event) => Item::Event(event),
                    Arrived::Frame(frame) => Item::Frame(frame.link, frame.bytes.to_vec()),
                });
            });
            polled
        })
        .await
        .unwrap();
    }

    /// Takes in what has arrived already.
    pub(crate) async fn settle(&mut self) {
        tokio::task::yield_now().await;
        let mut receiving = std::pin::pin!(self.receive());
        poll_fn(|cx| Poll::Ready(receiving.as_mut().poll(cx).is_ready())).await;
    }

    /// Goes on receiving while `other` runs.
    pub(crate) async fn pump<F: Future>(&mut self, other: F) -> F::Output {
        let mut other = std::pin::pin!(within(other));
        loop {
            tokio::select! {
                output = &mut other => return output,
                () = self.receive() => {}
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Item {
        loop {
            match self.arrived.pop_front() {
                Some(item) => return item,
                None => within(self.receive()).await,
            }
        }
    }

    /// The next frame and its link; events before it are passed over.
    pub(crate) async fn frame(&mut self) -> (LinkId, Vec<u8>) {
        loop {
            if let Item::Frame(link, bytes) = self.next().await {
                return (link, bytes);
            }
        }
    }

    /// Waits until a link takes frames again.
    pub(crate) async fn writable(&mut self, link: LinkId) {
        self.event(|event| (event == LinkEvent::Writable(link)).then_some(())).await;
    }

    /// The next event that `wanted` picks; others are passed over, a frame is not.
    async fn event<T>(&mut self, wanted: impl Fn(LinkEvent) -> Option<T>) -> T {
        loop {
            match self.next().await {
                Item::Event(event) => {
                    if let Some(found) = wanted(event) {
                        return found;
                    }
                }
                Item::Frame(..) => panic!("a frame came instead of an event"),
            }
        }
    }

    pub(crate) async fn up(&mut self) -> LinkId {
        self.event(|event| match event {
            LinkEvent::Up { link, .. } => Some(link),
            _ => None,
        })
        .await
    }

    pub(crate) async fn down(&mut self) -> (LinkId, DownReason) {
        self.event(|event| match event {
            LinkEvent::Down { link, reason } => Some((link, reason)),
            _ => None,
        })
        .await
    }

    pub(crate) async fn connect(&mut self, to: &Self) -> LinkId {
        self.outlet.connect(&to.local);
        self.up().await
    }
}
