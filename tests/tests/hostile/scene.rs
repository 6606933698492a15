//! A node under attack, a node that uses it meanwhile, and the sockets of the attackers.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use lanc::counters::Drop;
use lanc::{Config, Interfaces, Node, Tables, Trust, UdpConfig, UdpTransport};
use lanc_transport_udp::UdpStats;
use socket2::{Domain, Socket, Type};
use tokio::time::{Instant, timeout};

use crate::generator::Generator;

/// How long anything awaited may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes and datagrams sent before the node is awaited: less than any socket buffer.
const CHUNK_BYTES: usize = 64 * 1024;
const CHUNK: usize = 32;
/// Three and a half intervals of 5 s, twice.
const TWO_LEASES: Duration = Duration::from_secs(35);

/// The head of a compressed frame, RFC 1950.
const COMPRESSED: &[u8] = &[0x78, 0x01];

/// The interval that a node with the default settings announces.
const ANNOUNCED: Duration = Duration::from_secs(6);

pub(crate) struct Scene {
    target: Node,
    address: SocketAddr,
    stats: UdpStats,
    friend: Node,
    friend_stats: UdpStats,
    sources: Vec<UdpSocket>,
    broadcast: SocketAddr,
    _ground: Socket,
    generator: Generator,
    sent: u64,
}

/// A broadcast port on loopback that nobody else uses while the socket is held.
fn ground() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_recv_buffer_size(0).unwrap();
    let any = SocketAddr::from((Ipv4Addr::new(127, 255, 255, 255), 0));
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

impl Scene {
    /// The target is found by broadcast and has two functions; its friend is configured with
    /// its address and hears no broadcast, so that all it sends goes to the target.
    pub(crate) async fn open(config: Config, sources: Vec<UdpSocket>, seed: u64) -> Self {
        let (ground, broadcast) = ground();
        let udp = UdpConfig::default().with_interfaces(Interfaces::Loopback);
        let transport = UdpTransport::new(udp.clone().with_port(broadcast.port()));
        let stats = transport.stats();
        let target = lanc::builder().name("target").config(config.with_name("target".into()));
        let target = target.transport(transport).open().await.unwrap();
        target.function("add", |a: i64, b: i64| a + b).inline().register().unwrap();
        target.register("echo", async |text: String| text).unwrap();
        let transport = UdpTransport::new(udp.with_discovery(false));
        let friend_stats = transport.stats();
        let friend = lanc::builder().name("friend").peer(target.endpoints()[0].clone());
        let friend = friend.transport(transport).open().await.unwrap();
        for source in &sources {
            source.set_broadcast(true).unwrap();
        }
        let mut scene = Self {
            address: target.endpoints()[0].socket_addr().unwrap(),
            target,
            stats,
            friend,
            friend_stats,
            sources,
            broadcast,
            _ground: ground,
            generator: Generator::new(seed),
            sent: 0,
        };
        assert_eq!(scene.friend.call::<i64>("add", (1, 2)).await, Ok(3));
        let verified = |node: &Node| node.peers().iter().all(|peer| peer.trust == Trust::Verified);
        scene.until("acquaintance", || verified(&scene.target) && verified(&scene.friend)).await;
        // The list of functions is announced once it has been quiet, and hellos follow it.
        scene.target.settled().await;
        scene.friend.settled().await;
        // The tables that compressed frames are read with are made for the first and kept.
        scene.send(0, COMPRESSED, scene.address);
        scene.arrived().await;
        scene
    }

    async fn until(&self, awaited: &str, mut reached: impl FnMut() -> bool) {
        let waiting = async {
            while !reached() {
                tokio::task::yield_now().await;
            }
        };
        if timeout(PATIENCE, waiting).await.is_err() {
            panic!("{awaited} was not reached: {}", self.account());
        }
    }

    fn account(&self) -> String {
        let counts = self.stats.counts();
        let (kernel, friend) = (self.stats.kernel_drops(), self.friend_stats.counts().frames_out);
        format!("sent {} and {friend}, {counts:?}, kernel {kernel:?}", self.sent)
    }

    /// Makes the first source a peer that has proved its address.
    pub(crate) async fn introduce(&mut self) {
        let session = "00112233445566778899aabbccddeeff";
        let hello = |more: &str| {
            format!(
                "{{\"type\":\"LANC\",\"method\":\"hello\",\"version\":\"0.2\",\"data\":\
                 {{\"node\":\"known\",\"sid\":\"{session}\"{more}}}}}"
            )
        };
        self.send(0, hello("").as_bytes(), self.address);
        let token = self.token().await;
        self.send(0, hello(&format!(",\"echo\":\"{token}\"")).as_bytes(), self.address);
        self.generator.knows(session);
        let is_known = |node: &Node| {
            let trust = |peer: &lanc::PeerInfo| (peer.name.clone(), peer.trust);
            node.peers().iter().map(trust).any(|it| it == ("known".to_owned(), Trust::Verified))
        };
        self.until("trust", || is_known(&self.target)).await;
        self.arrived().await;
    }

    /// The token in the hello that the target sends to the first source.
    async fn token(&self) -> String {
        let mut token = None;
        self.until("a token", || {
            let mut room = [0; 2048];
            if let Ok(length) = self.sources[0].recv(&mut room) {
                let text = String::from_utf8_lossy(&room[..length]).into_owned();
                let tail = text.split("\"tok\":\"").nth(1).and_then(|tail| tail.get(..16));
                token = tail.map(str::to_owned).or(token.take());
            }
            token.is_some()
        })
        .await;
        token.unwrap()
    }

    fn send(&mut self, source: usize, bytes: &[u8], to: SocketAddr) {
        assert_eq!(self.sources[source].send_to(bytes, to).unwrap(), bytes.len());
        self.sent += 1;
    }

    /// Sends `count` datagrams, one in twenty to everybody.
    pub(crate) async fn flood(&mut self, count: usize) {
        let (mut bytes, mut datagrams) = (0, 0);
        for number in 0..count {
            let datagram = self.generator.datagram();
            let source = self.generator.below(self.sources.len());
            let to = if number % 20 == 19 { self.broadcast } else { self.address };
            self.send(source, &datagram, to);
            bytes += datagram.len();
            datagrams += 1;
            if bytes >= CHUNK_BYTES || datagrams == CHUNK || number + 1 == count {
                (bytes, datagrams) = (0, 0);
                self.arrived().await;
            }
        }
    }

    /// Waits until everything sent has been received or dropped, by whom is known.
    async fn arrived(&self) {
        let (mut round, mut kernel) = (0, self.stats.kernel_drops().unwrap());
        self.until("the end of a chunk", || {
            round += 1;
            if round % 256 == 0 {
                kernel = self.stats.kernel_drops().unwrap();
            }
            let sent = self.sent + self.friend_stats.counts().frames_out;
            let counts = self.stats.counts();
            let dropped = counts.dropped_foreign + counts.dropped_table_full + kernel;
            sent == counts.frames_in + dropped
                && self.target.counters().frames_received == counts.frames_in
        })
        .await;
        let counters = self.target.counters();
        assert_eq!(counters.frames_received, counters.frames_accepted + counters.dropped_total());
    }

    /// The friend's call is answered at once.
    pub(crate) async fn answers_quickly(&self) {
        let began = Instant::now();
        assert_eq!(self.friend.call::<i64>("add", (20, 22)).await, Ok(42));
        assert!(began.elapsed() < Duration::from_secs(1), "answered in {:?}", began.elapsed());
    }

    pub(crate) async fn two_leases_pass(&self) {
        tokio::time::pause();
        tokio::time::sleep(TWO_LEASES).await;
        tokio::time::resume();
        self.arrived().await;
    }

    pub(crate) fn tables(&self) -> Tables {
        self.target.tables()
    }

    /// The tables hold what they held before. Whoever announced a longer interval than real
    /// nodes do may still have its lease.
    pub(crate) fn forgot_all_but(&self, before: Tables) {
        let after = self.tables();
        let peers = self.target.peers();
        let patient = peers.iter().filter(|peer| peer.interval > ANNOUNCED).count();
        let friend = peers.iter().find(|peer| peer.name == "friend").unwrap();
        println!("{patient} still have a lease; {after:?}");
        assert_eq!(friend.trust, Trust::Verified);
        assert!(patient < 50, "{patient}");
        assert_eq!(after.peers, 1 + patient);
        assert_eq!(after.links, 1 + patient);
        assert!(after.functions <= before.functions + patient * 100);
        let rest = |tables: Tables| {
            let Tables { hosts, open_calls, results, queued, running, outbox, .. } = tables;
            [hosts, open_calls, results, queued, running, outbox]
        };
        assert_eq!(rest(after), [0; 6]);
    }

    pub(crate) fn report(&self) {
        let counters = self.target.counters();
        let drops = Drop::ALL.iter().zip(counters.drops).filter(|(_, count)| *count > 0);
        let drops: Vec<String> = drops.map(|(why, n)| format!("{} {n}", why.name())).collect();
        println!("{}", self.account());
        println!(
            "received {}, accepted {}; {}",
            counters.frames_received,
            counters.frames_accepted,
            drops.join(", ")
        );
    }
}
