//! Transports: one frame there and another back, both ends on one thread.

use std::future::poll_fn;
use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::task::Poll;

use divan::Bencher;
use lanc::{Interfaces, TcpConfig, TcpTransport, UdpConfig, UdpTransport};
use lanc_core::endpoint::{Lane, LinkId};
use lanc_core::ports::{Arrived, Dest, LinkEvent, Opened, RecvBatch, Transport};
use lanc_transport_memory::MemoryNetwork;
use tokio::runtime::{Builder, Runtime};

/// A small call, a full packet.
const SIZES: [usize; 2] = [64, 1400];

struct End {
    opened: Opened,
    batch: RecvBatch,
    link: Option<LinkId>,
    frames: usize,
}

impl End {
    async fn open(transport: &dyn Transport) -> Self {
        let opened = transport.open(Lane(0)).await.expect("a transport on loopback");
        Self { opened, batch: RecvBatch::default(), link: None, frames: 0 }
    }

    fn send(&mut self, frame: &[u8]) {
        let to = Dest::Link(self.link.expect("a link"));
        self.opened.outlet.try_send(to, &[IoSlice::new(frame)]).expect("room for a frame");
        self.opened.outlet.flush();
    }

    /// Until something has come.
    async fn receive(&mut self) {
        let Self { opened, batch, .. } = self;
        let polled = poll_fn(|cx| match opened.inlet.poll_recv(cx, batch) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => panic!("the transport failed: {error}"),
            Poll::Pending => Poll::Pending,
        });
        polled.await;
        let (link, frames) = (&mut self.link, &mut self.frames);
        self.batch.drain(|arrived| match arrived {
            Arrived::Event(LinkEvent::Up { link: up, .. }) => *link = Some(up),
            Arrived::Event(LinkEvent::Down { reason, .. }) => {
                panic!("the link is down: {reason:?}")
            }
            Arrived::Event(_) => {}
            Arrived::Frame(_) => *frames += 1,
        });
    }

    async fn frame(&mut self) {
        let before = self.frames;
        while self.frames == before {
            self.receive().await;
        }
    }
}

/// Two ends with a link between them.
async fn join(here: &dyn Transport, there: &dyn Transport) -> (End, End) {
    let (mut here, mut there) = (End::open(here).await, End::open(there).await);
    here.opened.outlet.connect(&there.opened.local);
    while here.link.is_none() {
        here.receive().await;
    }
    // A far end learns of a link without a handshake by its first frame.
    here.send(b"{}");
    there.frame().await;
    (here, there)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn there_and_back(bencher: Bencher, size: usize, here: &dyn Transport, there: &dyn Transport) {
    let runtime = runtime();
    let (mut here, mut there) = runtime.block_on(join(here, there));
    // As a JSON frame begins: no stream record, no envelope.
    let frame = [b"{".as_slice(), &vec![b' '; size - 1]].concat();
    bencher.bench_local(|| {
        runtime.block_on(async {
            here.send(&frame);
            there.frame().await;
            there.send(&frame);
            here.frame().await;
        });
    });
}

#[divan::bench(args = SIZES)]
fn memory(bencher: Bencher, size: usize) {
    let network = MemoryNetwork::new();
    there_and_back(bencher, size, &network.transport(), &network.transport());
}

#[divan::bench(args = SIZES)]
fn udp(bencher: Bencher, size: usize) {
    let config = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_discovery(false);
    let transport = || UdpTransport::new(config.clone());
    there_and_back(bencher, size, &transport(), &transport());
}

#[divan::bench(args = SIZES)]
fn tcp(bencher: Bencher, size: usize) {
    let config = TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into());
    let transport = || TcpTransport::new(config.clone());
    there_and_back(bencher, size, &transport(), &transport());
}
