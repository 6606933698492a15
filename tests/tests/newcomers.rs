//! Whoever holds connections to a node, as many as it likes and opened again whenever they are
//! closed, keeps nobody from opening others: a large call takes a new one and is answered. In
//! the open and in keyed mode, on 127.0.0.1.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lanc::{Config, Interfaces, Node, TcpConfig, TcpStats, TcpTransport, UdpConfig, UdpTransport};
use lanc_core::envelope::Head;
use lanc_core::framing::{Header, Kind, Service};
use lanc_core::id::SessionId;
use lanc_tests::{InMode, key};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Reaching it is a failure, never a pass.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a call takes that needs a connection.
const LARGE: usize = 300_000;

/// A peer that knows the node by datagrams, and has no connection to it.
async fn node(name: &str, is_keyed: bool, peer: Option<&Node>) -> (Node, TcpStats) {
    let udp = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_discovery(false);
    let tcp = TcpTransport::new(TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into()));
    let stats = tcp.stats();
    let config = Config::default().with_discovery(false);
    let builder = lanc::builder().name(name).config(config).in_mode(is_keyed);
    let builder = builder.transport(UdpTransport::new(udp)).transport(tcp);
    let builder = match peer {
        Some(peer) => builder.peer(peer.endpoints()[0].clone()),
        None => builder,
    };
    (builder.open().await.unwrap(), stats)
}

/// Holds so many connections to an address, each of which says this and no more.
struct Attack {
    ends: Arc<AtomicBool>,
    opened: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Attack {
    fn begin(to: SocketAddr, silent: usize, spoken: &[&'static [u8]], each: usize) -> Self {
        let (ends, opened) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut says: Vec<&'static [u8]> = vec![b""; silent];
        says.extend(spoken.iter().flat_map(|said| std::iter::repeat_n(*said, each)));
        let (stop, count) = (Arc::clone(&ends), Arc::clone(&opened));
        let run = async move {
            let holders: Vec<_> = says
                .into_iter()
                .map(|said| tokio::spawn(hold(to, said, Arc::clone(&stop), Arc::clone(&count))))
                .collect();
            for holder in holders {
                holder.await.unwrap();
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = Some(std::thread::spawn(move || runtime.block_on(run)));
        Self { ends, opened, thread }
    }

    fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

/// One connection, opened again as soon as it is closed.
async fn hold(to: SocketAddr, said: &[u8], ends: Arc<AtomicBool>, opened: Arc<AtomicU64>) {
    while !ends.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(to).await else { continue };
        opened.fetch_add(1, Ordering::Relaxed);
        if stream.write_all(said).await.is_err() {
            continue;
        }
        let mut room = [0; 1024];
        while !ends.load(Ordering::Relaxed) {
            let readable = tokio::time::timeout(Duration::from_millis(100), stream.readable());
            if readable.await.is_err() {
                continue;
            }
            match stream.try_read(&mut room) {
                Ok(0) => break,
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => break,
                _ => {}
            }
        }
    }
}

fn framed(bytes: &[u8]) -> &'static [u8] {
    let (header, skip) = Header::of_frame(bytes, bytes.len()).unwrap();
    Vec::leak([&header.encode(), &bytes[skip..]].concat())
}

/// An envelope that is well formed; its seal is guessed.
fn envelope() -> Vec<u8> {
    let session = SessionId([7; 16]);
    let head = Head { key: key().id(), session, to: None, counter: 1, salt: [0; 4], stream: 0 };
    [&head.write()[..], &[7; 60]].concat()
}

async fn keeps_nobody_out(is_keyed: bool, silent: usize, spoken: &[&'static [u8]], each: usize) {
    let (target, stats) = node("target", is_keyed, None).await;
    target.function("length", |text: String| text.len()).register().unwrap();
    let address = target.endpoints()[1].socket_addr().unwrap();
    let attack = Attack::begin(address, silent, spoken, each);
    let all = u64::try_from(silent + spoken.len() * each).unwrap();
    let begun = async {
        while attack.opened() < 2 * all && stats.counts().accepted < 2 * all {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.expect("the attack goes on");
    for round in 0..5 {
        // Each is a node of its own: it has no connection yet.
        let (friend, _) = node("friend", is_keyed, Some(&target)).await;
        let text = "x".repeat(LARGE);
        let call = friend.call::<usize>("length", (text,)).wait(PATIENCE);
        assert_eq!(call.await, Ok(LARGE), "round {round}: {:?}", stats.counts());
        friend.shutdown().await;
    }
    let (counts, limits) = (stats.counts(), target.counters().limits);
    println!("keyed {is_keyed}: opened {}, {counts:?}, {limits:?}", attack.opened());
    assert_eq!((counts.refused_total, counts.refused_host), (0, 0));
    drop(attack);
}

const MODES: [bool; 2] = [false, true];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_that_say_nothing() {
    for is_keyed in MODES {
        keeps_nobody_out(is_keyed, 64, &[], 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_whose_first_frame_cannot_be_read() {
    let spoken = [framed(b"{}"), framed(b"{\"broken"), framed(&envelope())];
    for is_keyed in MODES {
        keeps_nobody_out(is_keyed, 0, &spoken, 100).await;
    }
}

/// A frame of LANC that proves nothing: answered in the open, and dropped where it is sealed or
/// not by one who has the key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_that_speak_and_prove_nothing() {
    let ping = framed(br#"{"type":"LANC","method":"ping","version":"0.2","data":1}"#);
    // Of a later version, and a service that nobody knows.
    let later = framed(br#"{"type":"LANC","method":"call","version":"9.0","exe_id":1}"#);
    let header = Header::new(Kind(9), Service(0), 0, 2).unwrap();
    let ignored = Vec::leak([&header.encode()[..], b"{}"].concat());
    for is_keyed in MODES {
        keeps_nobody_out(is_keyed, 0, &[ping, later, ignored], 100).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_them_together() {
    let ping = framed(br#"{"type":"LANC","method":"ping","version":"0.2","data":1}"#);
    for is_keyed in MODES {
        keeps_nobody_out(is_keyed, 64, &[framed(b"{}"), ping, framed(&envelope())], 100).await;
    }
}
