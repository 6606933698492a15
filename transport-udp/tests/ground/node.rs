//! An opened node, and reading from it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use lanc_core::endpoint::{Lane, LinkId};
use lanc_core::ports::{
    Arrived, Cast, Dest, LinkEvent, Opened, Origin, RecvBatch, SendRefused, Sent, Transport,
};
use lanc_transport_udp::{UdpConfig, UdpStats, UdpTransport};

#[derive(Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) link: LinkId,
    pub(crate) cast: Cast,
    pub(crate) origin: Origin,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct Node {
    pub(crate) opened: Opened,
    pub(crate) stats: UdpStats,
    pub(crate) frames: VecDeque<Frame>,
    /// Events, but for the limits of links.
    pub(crate) events: VecDeque<LinkEvent>,
    /// The links whose limit was told, and the limit.
    pub(crate) limits: VecDeque<(LinkId, usize)>,
}

impl Node {
    pub(crate) async fn open(config: UdpConfig) -> Self {
        let transport = UdpTransport::new(config);
        match transport.open(Lane(0)).await {
            Ok(opened) => Self {
                opened,
                stats: transport.stats(),
                frames: VecDeque::new(),
                events: VecDeque::new(),
                limits: VecDeque::new(),
            },
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self.opened.local.socket_addr() {
            Some(address) => address,
            None => panic!("{} is no socket address", self.opened.local),
        }
    }

    pub(crate) fn broadcast(&mut self, bytes: &[u8]) -> Result<Sent, SendRefused> {
        self.opened.outlet.try_send(Dest::Broadcast(Lane(0)), &[IoSlice::new(bytes)])
    }

    pub(crate) fn send(&mut self, link: LinkId, bytes: &[u8]) -> Result<Sent, SendRefused> {
        self.opened.outlet.try_send(Dest::Link(link), &[IoSlice::new(bytes)])
    }

    /// Polls until `enough`. What never comes is a failure after ten seconds.
    async fn until(&mut self, awaited: &str, enough: impl Fn(&Self) -> bool) {
        let reading = async {
            let mut batch = RecvBatch::default();
            while !enough(self) {
                match poll_fn(|cx| self.opened.inlet.poll_recv(cx, &mut batch)).await {
                    Ok(()) => self.take(&mut batch),
                    Err(error) => panic!("{error}"),
                }
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), reading).await.is_err() {
            panic!("{awaited} did not come");
        }
    }

    /// Takes in what has arrived.
    pub(crate) async fn settle(&mut self) {
        let mut batch = RecvBatch::default();
        let mut more = true;
        while more {
            // A poll knows what the reactor has reported: it needs a turn to look.
            tokio::task::yield_now().await;
            more = poll_fn(|cx| {
                let ready = self.opened.inlet.poll_recv(cx, &mut batch).is_ready();
                Poll::Ready(ready)
            })
            .await;
            self.take(&mut batch);
        }
    }

    fn take(&mut self, batch: &mut RecvBatch) {
        batch.drain(|arrived| match arrived {
            Arrived::Event(LinkEvent::Limit { link, max_frame }) => {
                self.limits.push_back((link, max_frame));
            }
            Arrived::Event(event) => self.events.push_back(event),
            Arrived::Frame(frame) => self.frames.push_back(Frame {
                link: frame.link,
                cast: frame.cast,
                origin: frame.origin,
                bytes: frame.bytes.to_vec(),
            }),
        });
    }

    pub(crate) async fn frame(&mut self) -> Frame {
        self.until("a frame", |node| !node.frames.is_empty()).await;
        match self.frames.pop_front() {
            Some(frame) => frame,
            None => unreachable!("it was waited for"),
        }
    }

    pub(crate) async fn event(&mut self) -> LinkEvent {
        self.until("an event", |node| !node.events.is_empty()).await;
        match self.events.pop_front() {
            Some(event) => event,
            None => unreachable!("it was waited for"),
        }
    }

    pub(crate) async fn link(&mut self, to: SocketAddr) -> LinkId {
        self.opened.outlet.connect(&lanc_core::endpoint::Endpoint::socket("udp", to));
        loop {
            if let LinkEvent::Up { link, .. } = self.event().await {
                return link;
            }
        }
    }
}
