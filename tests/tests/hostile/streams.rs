//! A node under attack by connections, a node that uses it meanwhile, and the attackers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lanc::{Config, Interfaces, Node, TcpConfig, TcpTransport, UdpConfig, UdpTransport};
use lanc_core::framing::{Header, Kind, Service};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// How long anything awaited may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Scene {
    pub(crate) target: Node,
    address: SocketAddr,
    friend: Node,
    links: usize,
}

async fn node(name: &str, config: Config, peer: Option<&Node>) -> Node {
    let udp = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_discovery(false);
    let tcp = TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into());
    let builder = lanc::builder().name(name).config(config.with_name(name.into()));
    let builder = builder.transport(UdpTransport::new(udp)).transport(TcpTransport::new(tcp));
    let builder = match peer {
        Some(peer) => builder.peer(peer.endpoints()[0].clone()),
        None => builder,
    };
    builder.open().await.unwrap()
}

impl Scene {
    pub(crate) async fn open(config: Config) -> Self {
        let target = node("target", config, None).await;
        target.function("add", |a: i64, b: i64| a + b).inline().register().unwrap();
        let address = target.endpoints()[1].socket_addr().unwrap();
        let friend = node("friend", Config::default(), Some(&target)).await;
        assert_eq!(friend.call::<i64>("add", (1, 2)).await, Ok(3));
        target.settled().await;
        friend.settled().await;
        let links = target.tables().links;
        Self { target, address, friend, links }
    }

    pub(crate) async fn until(&self, awaited: &str, mut reached: impl FnMut() -> bool) {
        let waiting = async {
            while !reached() {
                tokio::task::yield_now().await;
            }
        };
        if timeout(PATIENCE, waiting).await.is_err() {
            panic!("{awaited}: {:?}, {:?}", self.target.tables(), self.target.counters());
        }
    }

    /// The friend's call is answered at once.
    pub(crate) async fn answers_quickly(&self) {
        let began = Instant::now();
        assert_eq!(self.friend.call::<i64>("add", (20, 22)).await, Ok(42));
        assert!(began.elapsed() < Duration::from_secs(1), "answered in {:?}", began.elapsed());
    }

    /// Nothing of the attackers is there any more.
    pub(crate) async fn forgot(&self) {
        self.until("the end of it", || {
            let tables = self.target.tables();
            let rest = [tables.queued, tables.running, tables.outbox, tables.streams];
            tables.links == self.links && tables.peers == 1 && rest == [0; 4]
        })
        .await;
    }
}

/// A frame with its header.
pub(crate) fn message(service: u8, id: u32, body: &[u8]) -> Vec<u8> {
    let kind = if service == 0 { Kind::JSON } else { Kind::RAW };
    let header = Header::new(kind, Service(service), id, body.len()).unwrap();
    [&header.encode(), body].concat()
}

pub(crate) fn bytes(stream: u32, body: &[u8]) -> Vec<u8> {
    message(1, stream, body)
}

pub(crate) fn credit(stream: u32, more: u32) -> Vec<u8> {
    message(2, stream, &[&[1][..], &more.to_be_bytes()].concat())
}

pub(crate) fn reset(stream: u32) -> Vec<u8> {
    message(2, stream, &[2, 0, 8])
}

pub(crate) struct Attacker {
    stream: TcpStream,
    number: u32,
    is_cut: bool,
}

impl Attacker {
    pub(crate) async fn connect(scene: &Scene) -> Self {
        let stream = TcpStream::connect(scene.address).await.unwrap();
        Self { stream, number: 99, is_cut: false }
    }

    /// One that has said hello.
    pub(crate) async fn introduced(scene: &Scene) -> Self {
        let mut attacker = Self::connect(scene).await;
        let port = attacker.stream.local_addr().unwrap().port();
        let hello = format!(
            "{{\"type\":\"LANC\",\"method\":\"hello\",\"version\":\"0.2\",\"data\":\
             {{\"node\":\"attacker\",\"sid\":\"a{port:015x}{port:016x}\"}}}}"
        );
        attacker.send(&message(0, 0, hello.as_bytes())).await;
        attacker
    }

    /// A number for a stream that is above all others.
    pub(crate) fn next_number(&mut self) -> u32 {
        self.number += 2;
        self.number
    }

    /// Sends a frame, unless the connection has been closed.
    pub(crate) async fn send(&mut self, frame: &[u8]) {
        if !self.is_cut {
            let sent = timeout(PATIENCE, self.stream.write_all(frame)).await;
            self.is_cut = sent.expect("the node reads").is_err();
        }
        self.discard();
    }

    /// Reads what is there.
    pub(crate) fn discard(&mut self) {
        let mut room = [0; 4096];
        while !self.is_cut && matches!(self.stream.try_read(&mut room), Ok(count) if count > 0) {}
    }

    /// Whether the node closes the connection by itself.
    pub(crate) async fn is_closed_on(&mut self) -> bool {
        let mut room = [0; 4096];
        let end = async { while matches!(self.stream.read(&mut room).await, Ok(1..)) {} };
        timeout(PATIENCE, end).await.is_ok()
    }

    /// Ends the connection and waits until the node has read all of it.
    pub(crate) async fn finish(mut self) {
        let _ = self.stream.shutdown().await;
        assert!(self.is_closed_on().await, "the node does not close");
    }
}
