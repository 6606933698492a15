//! Fifty clients of one node, one of which asks for much and never reads: the others do not
//! notice. Over TCP on 127.0.0.1.
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use lanc::{Node, TcpConfig, TcpTransport};
use lanc_core::framing::{Header, Kind, Service};
use tokio::time::{Instant, timeout};

const CLIENTS: usize = 49;
const CALLS: usize = 20;
const ROUNDS: usize = 5;
const STALLED_CALLS: u64 = 300;
const PATIENCE: Duration = Duration::from_secs(60);

fn tcp() -> TcpConfig {
    TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into())
}

async fn client(server: &Node, number: usize) -> Node {
    let node =
        lanc::builder().name(&format!("client-{number}")).transport(TcpTransport::new(tcp()));
    node.peer(server.endpoints()[0].clone()).open().await.unwrap()
}

async fn until(reached: impl Fn() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it does not come to that");
}

fn frame(text: &str) -> Vec<u8> {
    let header = Header::new(Kind::JSON, Service::MESSAGES, 0, text.len()).unwrap();
    [&header.encode(), text.as_bytes()].concat()
}

/// Says hello, asks 300 times for 60,000 bytes, and reads nothing.
fn stall(to: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    let hello = "{\"type\":\"LANC\",\"method\":\"hello\",\"version\":\"0.2\",\"data\":\
                 {\"node\":\"stalled\",\"sid\":\"a000000000000000000000000000beef\"}}";
    stream.write_all(&frame(hello)).unwrap();
    let text = "x".repeat(60_000);
    for number in 0..STALLED_CALLS {
        let call = format!(
            "{{\"type\":\"LANC\",\"method\":\"call\",\"version\":\"0.2\",\"data\":\"echo\",\
             \"args\":[\"{text}\"],\"exe_id\":\"{number}\"}}"
        );
        stream.write_all(&frame(&call)).unwrap();
    }
    stream
}

/// Everybody calls at once, again and again; the time that one call in a hundred exceeds.
async fn round(clients: &[Node]) -> Duration {
    let calls = clients.iter().map(|client| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut times = Vec::new();
            for _ in 0..CALLS {
                let began = Instant::now();
                let call = client.call::<String>("echo", ("hello",)).wait(PATIENCE);
                assert_eq!(call.await.as_deref(), Ok("hello"));
                times.push(began.elapsed());
            }
            times
        })
    });
    let calls: Vec<_> = calls.collect();
    let mut times = Vec::new();
    for call in calls {
        times.extend(call.await.unwrap());
    }
    times.sort();
    times[times.len() * 99 / 100]
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_reads_costs_the_others_nothing() {
    // It is not closed for that while the test runs.
    let transport = TcpTransport::new(tcp().with_write_stall(Duration::from_secs(3600)));
    let stats = transport.stats();
    let server = lanc::builder().name("server").transport(transport).open().await.unwrap();
    server.function("echo", |text: String| text).inline().register().unwrap();
    let address = server.endpoints()[0].socket_addr().unwrap();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(client(&server, number).await);
    }
    round(&clients).await;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(round(&clients).await);
        let (full, received) = (stats.counts().sends_full, server.counters().calls_received);
        let stalled = tokio::task::spawn_blocking(move || stall(address)).await.unwrap();
        until(|| stats.counts().sends_full > full).await;
        // Running what it asked for is work like any; what it does not read must cost nothing.
        until(|| server.counters().calls_received >= received + STALLED_CALLS).await;
        let outbox = || server.tables().outbox;
        until(|| outbox() > 10).await;
        beside.push(round(&clients).await);
        // All that was asked meanwhile was answered; what waited before still waits.
        assert!(outbox() > 10, "it was not stalled");
        drop(stalled);
        until(|| outbox() == 0).await;
    }
    println!("alone {alone:?}, beside {beside:?}");
    let (alone, beside) = (median(alone), median(beside));
    assert!(
        beside < alone * 3 + Duration::from_millis(50),
        "{alone:?} without and {beside:?} with the one that stalls"
    );
}
