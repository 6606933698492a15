//! A node on real sockets of 127.0.0.1, a friend that uses it, and what one frame costs it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use lanc::ports::GroupKey;
use lanc::{
    Config, Group, Interfaces, MasterKey, Node, SessionId, TcpConfig, TcpStats, TcpTransport,
    Trust, UdpConfig, UdpTransport,
};
use nix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::villain::Villain;

/// How long anything awaited may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// What one frame may cost: processor time, and bytes of heap at once.
const CPU: Duration = Duration::from_millis(50);
const HEAP: u64 = 4 << 20;

/// The key of a group.
pub(crate) fn group(number: u8) -> Arc<dyn GroupKey> {
    Arc::new(Group::new(&MasterKey::from_bytes(&[number; 32])))
}

/// How frames come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lane {
    Datagrams,
    Connection,
}

pub(crate) struct Scene {
    target: Node,
    tcp: TcpStats,
    friend: Node,
}

/// Node, friend and villain share one thread, so that all it allocates and computes is counted.
pub(crate) struct Ground {
    runtime: Runtime,
    pub(crate) scene: Scene,
    pub(crate) is_keyed: bool,
}

async fn open(name: &str, is_keyed: bool, peer: Option<&Node>) -> (Node, TcpStats) {
    let udp = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_discovery(false);
    let tcp = TcpTransport::new(TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into()));
    let stats = tcp.stats();
    // The bounds on strangers are not what is measured here.
    let config = Config::default().with_discovery(false).with_unproved_rate(0);
    let builder = lanc::builder().name(name).config(config.with_unproved_rate_total(0));
    let builder = if is_keyed { builder.key(group(1)) } else { builder };
    let builder = builder.transport(UdpTransport::new(udp)).transport(tcp);
    let builder = match peer {
        Some(peer) => builder.peer(peer.endpoints()[0].clone()),
        None => builder,
    };
    (builder.open().await.unwrap(), stats)
}

impl Ground {
    pub(crate) fn new(is_keyed: bool) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let scene = runtime.block_on(async {
            let (target, tcp) = open("target", is_keyed, None).await;
            target.function("add", |a: i64, b: i64| a + b).inline().register().unwrap();
            let (friend, _) = open("friend", is_keyed, Some(&target)).await;
            let scene = Scene { target, tcp, friend };
            scene.answers().await;
            scene
        });
        Self { runtime, scene, is_keyed }
    }

    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The villain sends one frame: it is dropped, once, under this counter, for no more than it
    /// may cost, and the friend is answered.
    pub(crate) fn drops(&self, what: &str, counter: &str, villain: &mut Villain, bytes: &[u8]) {
        let (before, total) = (self.scene.counts(), self.scene.total());
        let mut took = Duration::ZERO;
        let heap = measure(|| {
            let began = spent();
            self.run(async {
                villain.write(bytes).await;
                let dropped = until(|| self.scene.total() > total);
                assert!(timeout(PATIENCE, dropped).await.is_ok(), "{what}: nothing is dropped");
            });
            took = spent() - began;
        })
        .bytes_max;
        let mut expected = before;
        *expected.get_mut(counter).expect("a counter of this name") += 1;
        assert_eq!(self.scene.counts(), expected, "{what}");
        println!("{what}: {counter}, {took:?}, {heap} B");
        assert!(took <= CPU && heap <= HEAP, "{what}: {took:?}, {heap} B");
        self.run(self.scene.answers());
    }
}

/// Processor time of this thread.
fn spent() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// Lets the others go on until something is so.
pub(crate) async fn until(mut reached: impl FnMut() -> bool) {
    while !reached() {
        tokio::task::yield_now().await;
    }
}

impl Scene {
    /// Everything that counts what is not taken, by name.
    fn counts(&self) -> BTreeMap<String, u64> {
        let stats = self.target.stats();
        let tcp = &stats.transports[1].counters;
        let mut counts = stats.frames_dropped;
        counts.extend(
            tcp.iter()
                .filter(|(name, _)| name.starts_with("closed_"))
                .map(|(name, count)| (name.clone(), *count)),
        );
        counts
    }

    /// The same without names, and cheap.
    fn total(&self) -> u64 {
        self.target.counters().dropped_total() + self.tcp.counts().closed_malformed
    }

    pub(crate) fn address(&self, lane: Lane) -> SocketAddr {
        let place = usize::from(lane == Lane::Connection);
        self.target.endpoints()[place].socket_addr().unwrap()
    }

    /// The friend's call is answered.
    async fn answers(&self) {
        let call = self.friend.call::<i64>("add", (20, 22)).wait(PATIENCE);
        assert_eq!(call.await, Ok(42));
    }

    /// Of a frame whose end never comes nothing stays: it is none.
    pub(crate) async fn forgets_half_a_frame(&self, villain: &mut Villain, plain: &[u8]) {
        let (counts, received) = (self.counts(), self.target.counters().frames_received);
        let links = self.target.tables().links;
        let frame = villain.frame(plain);
        villain.write(&frame[..frame.len() - 1]).await;
        villain.end().await;
        let forgotten = until(|| self.target.tables().links < links);
        assert!(timeout(PATIENCE, forgotten).await.is_ok(), "half a frame keeps its connection");
        assert_eq!(self.counts(), counts);
        assert_eq!(self.target.counters().frames_received, received);
        self.answers().await;
    }

    /// Whether a session is believed.
    pub(crate) fn believes(&self, session: &SessionId) -> bool {
        let peers = self.target.peers();
        peers.iter().any(|peer| peer.session == *session && peer.trust == Trust::Verified)
    }
}
