//! Nodes over real UDP on loopback, through the public API.

use std::time::Duration;

use lanc::{Endpoint, ErrorCode, Event, Interfaces, Node, NodeBuilder, UdpConfig, UdpTransport};

/// A discovery port that no other test uses: each test is a network of its own.
fn builder(port: u16, name: &str) -> NodeBuilder {
    let config = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_port(port);
    lanc::builder().name(name).transport(UdpTransport::new(config))
}

async fn node(port: u16, name: &str) -> Node {
    builder(port, name).open().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_node_finds_and_calls_a_function() {
    let server = node(20_101, "server").await;
    server.register("add", |a: i64, b: i64| a + b).unwrap();
    let client = node(20_101, "client").await;
    assert_eq!(client.call::<i64>("add", (1, 2)).await, Ok(3));
    assert!(client.ping("server").await.unwrap() < Duration::from_secs(1));
    let sums = (0..500).map(|n| client.call::<i64>("add", (n, 1)));
    for (n, sum) in (0..).zip(sums) {
        assert_eq!(sum.await, Ok(n + 1));
    }
    assert_eq!(client.counters().dropped_total(), 0, "{:?}", client.counters());
}

#[tokio::test]
async fn the_same_on_a_current_thread_runtime_with_many_calls_at_once() {
    let server = node(20_102, "server").await;
    server.function("add", |a: i64, b: i64| a + b).inline().register().unwrap();
    let client = node(20_102, "client").await;
    client.settled().await;
    let calls = (0..1000).map(|n| {
        let client = client.clone();
        tokio::spawn(async move { client.call::<i64>("add", (n, 1)).await })
    });
    let calls: Vec<_> = calls.collect();
    for (n, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap(), Ok(n + 1));
    }
    let sent = client.counters();
    let per_frame = sent.messages_sent / sent.frames_sent;
    assert!(per_frame >= 3, "{per_frame} messages per frame: calls were not packed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_a_computing_and_a_sleeping_function_stall_nobody() {
    let server = node(20_103, "server").await;
    server.register("block", || std::thread::sleep(Duration::from_millis(700))).unwrap();
    server
        .register("compute", || {
            let until = Duration::from_millis(700);
            let began = tokio::time::Instant::now();
            let mut n = 0_u64;
            while began.elapsed() < until {
                n = n.wrapping_mul(31).wrapping_add(7);
            }
            n
        })
        .unwrap();
    server
        .register("sleep", async || tokio::time::sleep(Duration::from_millis(700)).await)
        .unwrap();
    let client = node(20_103, "client").await;
    client.settled().await;
    let ids = [
        client.call("block", ()).start().unwrap(),
        client.call("compute", ()).start().unwrap(),
        client.call("sleep", ()).start().unwrap(),
    ];
    let mut worst = Duration::ZERO;
    for _ in 0..50 {
        worst = worst.max(client.ping("server").await.unwrap());
    }
    assert!(worst < Duration::from_millis(400), "the protocol was silent for {worst:?}");
    for id in ids {
        client.join::<serde_json::Value>(id, Duration::from_secs(10)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configured_peers_need_no_discovery() {
    let quiet = |name: &str| {
        let config = UdpConfig::default()
            .with_interfaces(Interfaces::Loopback)
            .with_port(20_104)
            .with_discovery(false);
        lanc::builder().name(name).transport(UdpTransport::new(config))
    };
    let server = quiet("server").open().await.unwrap();
    server.register("add", |a: i64, b: i64| a + b).unwrap();
    let stranger = quiet("stranger").open().await.unwrap();
    let [endpoint] = server.endpoints() else { panic!("one transport") };
    let client = quiet("client").peer(endpoint.clone()).open().await.unwrap();
    assert_eq!(client.call::<i64>("add", (1, 2)).await, Ok(3));
    let error = stranger.call::<i64>("add", (1, 2)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NO_PROVIDER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_restarts_on_a_fixed_port_is_whole_again_at_once() {
    let at = |port: u16| {
        UdpConfig::default()
            .with_interfaces(Interfaces::Loopback)
            .with_port(20_105)
            .with_private_port(port)
    };
    let open = async |name: &str| {
        let transport = Box::new(UdpTransport::new(at(0)));
        lanc::builder().name(name).transport(transport).open().await.unwrap()
    };
    let client = open("client").await;
    let first = open("server").await;
    let Some(address) = first.endpoints().first().and_then(Endpoint::socket_addr) else {
        panic!("a socket address")
    };
    first.register("life", || 1).unwrap();
    assert_eq!(client.call::<i64>("life", ()).await, Ok(1));
    let mut events = client.events();
    first.shutdown().await;
    drop(first);
    let transport = Box::new(UdpTransport::new(at(address.port())));
    let second = lanc::builder().name("server").transport(transport).open().await.unwrap();
    second.register("life", || 2).unwrap();
    let limit = Duration::from_secs(20);
    let up = async {
        while let Some(event) = events.next().await {
            if matches!(&event, Event::FunctionUp { function, .. } if function == "life") {
                break;
            }
        }
    };
    tokio::time::timeout(limit, up).await.expect("the second life was not heard");
    assert_eq!(client.call::<i64>("life", ()).await, Ok(2));
}

/// On one thread: while the test sends, the node stands still. What the system then has no room
/// for is a counter and an event, though nothing comes after it that would have the node look.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_node_does_not_read_in_time_is_counted_and_told() {
    const SENT: u64 = 2000;
    let config = UdpConfig::default()
        .with_interfaces(Interfaces::Loopback)
        .with_port(20_107)
        .with_discovery(false)
        .with_buffers(16_384, 16_384);
    let transport = UdpTransport::new(config);
    let stats = transport.stats();
    let node = lanc::builder().transport(transport).open().await.unwrap();
    let mut events = node.events();
    let address = node.endpoints().first().and_then(Endpoint::socket_addr).unwrap();
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..SENT {
        stranger.send_to(&[0; 100], address).unwrap();
    }
    let dropped = stats.kernel_drops().unwrap();
    assert!((1..SENT).contains(&dropped), "{dropped} of {SENT}");
    assert_eq!(node.counters().frames_received, 0, "it did not stand still");
    let all_read = async {
        while node.counters().frames_received + dropped < SENT {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all_read).await.expect("the rest is read");
    // From now on nothing comes, and the system is asked when its time is there.
    tokio::time::pause();
    let told = async {
        loop {
            if let Some(Event::KernelDrops { count }) = events.next().await {
                break count;
            }
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(10), told).await.expect("an event");
    assert_eq!((told, node.counters().kernel_drops), (dropped, dropped));
    assert_eq!(node.counters().frames_received + dropped, SENT);
}
