//! UDP on real sockets, on loopback alone.
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

mod ground;
#[path = "ground/node.rs"]
mod node;

use std::net::{Ipv4Addr, UdpSocket};

use ground::Ground;
use lanc_core::endpoint::{Endpoint, Lane};
use lanc_core::ports::{Cast, Close, LinkEvent, Origin, SendRefused, Transport, TransportError};
use lanc_transport_udp::{Interfaces, UdpConfig, UdpTransport};
use node::Node;

/// A foreign program's socket.
fn program() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

async fn refusal(config: UdpConfig) -> TransportError {
    match UdpTransport::new(config).open(Lane(0)).await {
        Err(error) => error,
        Ok(_) => panic!("it opened"),
    }
}

#[tokio::test]
async fn several_nodes_of_one_host_hear_each_other() {
    let ground = Ground::new();
    let mut nodes = Vec::new();
    for _ in 0..5 {
        nodes.push(Node::open(ground.config()).await);
    }
    for sender in 0..nodes.len() {
        let text = [u8::try_from(sender).unwrap(); 3];
        assert!(nodes[sender].broadcast(&text).is_ok());
        let from = nodes[sender].opened.local.clone();
        for (at, node) in nodes.iter_mut().enumerate().filter(|(at, _)| *at != sender) {
            let frame = node.frame().await;
            assert_eq!(
                (frame.cast, frame.origin, &*frame.bytes),
                (Cast::Broadcast, Origin::Host, &text[..])
            );
            let Some(LinkEvent::Up { link, remote, .. }) = node.events.pop_back() else {
                panic!("node {at} heard a frame without a link");
            };
            assert_eq!((link, &remote), (frame.link, &from));
        }
    }
    for node in &mut nodes {
        node.settle().await;
        assert!(node.frames.is_empty());
        let counts = node.stats.counts();
        assert_eq!((counts.frames_in, counts.frames_out, counts.dropped_own), (4, 1, 1));
    }
}

#[tokio::test]
async fn unicast_reaches_the_private_port_alone() {
    let ground = Ground::new();
    let (mut a, mut b) = (Node::open(ground.config()).await, Node::open(ground.config()).await);
    let program = program();
    // The shared sockets are bound to the broadcast address: this reaches nobody.
    let _ = program.send_to(b"to the shared port", (Ipv4Addr::LOCALHOST, ground.port));
    program.send_to(b"to a", a.address()).unwrap();
    let frame = a.frame().await;
    assert_eq!(
        (frame.cast, frame.origin, &*frame.bytes),
        (Cast::Unicast, Origin::Host, &b"to a"[..])
    );
    assert!(a.send(frame.link, b"answer").is_ok());
    let mut room = [0; 64];
    let (length, from) = program.recv_from(&mut room).unwrap();
    assert_eq!((&room[..length], from), (&b"answer"[..], a.address()));
    for node in [&mut a, &mut b] {
        node.settle().await;
        assert!(node.frames.is_empty());
    }
    assert_eq!(b.stats.counts().frames_in, 0);
}

#[tokio::test]
async fn the_largest_and_the_smallest_datagram_arrive_whole() {
    let mut node = Node::open(Ground::new().config()).await;
    let program = program();
    let large: Vec<u8> = (0..65_507u32).map(|at| u8::try_from(at % 253).unwrap()).collect();
    for bytes in [&large[..], &[], &large[..1473], &[7]] {
        program.send_to(bytes, node.address()).unwrap();
        assert!(node.frame().await.bytes == bytes, "{} bytes came changed", bytes.len());
    }
}

#[tokio::test]
async fn the_address_past_the_link_table_is_dropped_until_there_is_room() {
    let mut node = Node::open(Ground::new().config().with_max_links(3)).await;
    let programs: Vec<UdpSocket> = (0..4).map(|_| program()).collect();
    let mut links = Vec::new();
    for program in &programs[..3] {
        program.send_to(b"in", node.address()).unwrap();
        links.push(node.frame().await.link);
    }
    programs[3].send_to(b"one too many", node.address()).unwrap();
    programs[0].send_to(b"known", node.address()).unwrap();
    assert_eq!(node.frame().await.bytes, b"known");
    assert_eq!(node.stats.counts().dropped_table_full, 1);
    node.events.clear();
    node.opened.outlet.connect(&Endpoint::socket("udp", programs[3].local_addr().unwrap()));
    assert!(matches!(node.event().await, LinkEvent::Failed { .. }));

    node.opened.outlet.close(links[1], Close::Flush);
    assert!(matches!(node.event().await, LinkEvent::Down { .. }));
    programs[3].send_to(b"now", node.address()).unwrap();
    let frame = node.frame().await;
    assert_eq!(frame.bytes, b"now");
    assert_eq!(frame.link.slot, links[1].slot);
    assert_ne!(frame.link, links[1]);
    assert_eq!(node.send(links[1], b"stale"), Err(SendRefused::Gone));
}

#[tokio::test]
async fn a_port_that_is_not_shared_is_named_with_the_way_out() {
    // Not of a `Ground`, which shares.
    let foreign = UdpSocket::bind((Ipv4Addr::new(127, 255, 255, 255), 0)).unwrap();
    let port = foreign.local_addr().unwrap().port();
    let config = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_port(port);
    let error = refusal(config.clone()).await.to_string();
    assert!(error.contains(&port.to_string()), "{error}");
    assert!(error.contains("ss -ulpn") && error.contains("discovery off"), "{error}");
    // The advice works.
    Node::open(config.with_discovery(false)).await;
}

#[tokio::test]
async fn a_private_port_in_use_is_named_with_the_way_out() {
    let ground = Ground::new();
    let node = Node::open(ground.config()).await;
    let port = node.address().port();
    let error = refusal(ground.config().with_private_port(port)).await.to_string();
    assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
    assert!(error.contains("or 0 for any free one"), "{error}");
    drop(node);
    let again = Node::open(ground.config().with_private_port(port)).await;
    assert_eq!(again.address().port(), port);
}

#[tokio::test]
async fn an_address_of_another_machine_cannot_be_bound() {
    // TEST-NET-3: nobody's address, so the system refuses before anything is sent.
    let config = UdpConfig::default().with_bind([203, 0, 113, 7].into()).with_discovery(false);
    let error = refusal(config).await.to_string();
    assert!(error.contains("203.0.113.7") && error.contains("No interface"), "{error}");
}

#[tokio::test]
async fn a_transport_opens_once() {
    let transport = UdpTransport::new(Ground::new().config());
    let _opened = transport.open(Lane(0)).await.unwrap();
    assert!(transport.open(Lane(1)).await.is_err());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn buffers_are_what_the_system_granted() {
    let most = |which: &str| -> usize {
        let text = std::fs::read_to_string(format!("/proc/sys/net/core/{which}")).unwrap();
        text.trim().parse().unwrap()
    };
    let asked = 1 << 30;
    let node = Node::open(Ground::new().config().with_buffers(asked, asked)).await;
    assert_eq!(node.stats.receive_buffer(), most("rmem_max").min(asked));
    assert_eq!(node.stats.send_buffer(), most("wmem_max").min(asked));
    let node = Node::open(Ground::new().config().with_buffers(65_536, 32_768)).await;
    assert_eq!((node.stats.receive_buffer(), node.stats.send_buffer()), (65_536, 32_768));
}

#[tokio::test]
async fn what_does_not_name_one_near_node_is_not_dialled() {
    let mut node = Node::open(Ground::new().config()).await;
    for bad in [
        "udp://192.0.2.9:5127",
        "udp://127.255.255.255:5127",
        "udp://255.255.255.255:5127",
        "udp://0.0.0.0:5127",
        "udp://224.0.0.1:5127",
        "udp://127.0.0.1:0",
        "udp://[::1]:5127",
        "udp://a-name",
        "memory://1",
    ] {
        let endpoint: Endpoint = bad.parse().unwrap();
        node.opened.outlet.connect(&endpoint);
        match node.event().await {
            LinkEvent::Failed { remote, reason, .. } => {
                assert_eq!(remote, endpoint);
                assert!(!reason.is_empty());
            }
            other => panic!("{bad}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_peer_that_is_gone_is_silence_and_not_an_error() {
    let ground = Ground::new();
    let (mut a, mut b) = (Node::open(ground.config()).await, Node::open(ground.config()).await);
    let gone = program();
    let to_gone = a.link(gone.local_addr().unwrap()).await;
    let to_b = a.link(b.address()).await;
    drop(gone);
    for round in 0..50u8 {
        assert!(a.send(to_gone, b"anybody?").is_ok());
        assert!(a.send(to_b, &[round]).is_ok());
        assert_eq!(b.frame().await.bytes, [round]);
    }
    a.settle().await;
    assert!(a.events.is_empty() && a.frames.is_empty());
}

#[tokio::test]
async fn paced_frames_all_arrive_and_are_counted() {
    let ground = Ground::new();
    let (mut a, mut b) = (Node::open(ground.config()).await, Node::open(ground.config()).await);
    let link = a.link(b.address()).await;
    let mut next = 0u32;
    while next < 10_000 {
        for number in next..next + 50 {
            assert!(a.send(link, &number.to_be_bytes()).is_ok());
        }
        for number in next..next + 50 {
            assert_eq!(b.frame().await.bytes, number.to_be_bytes());
        }
        next += 50;
    }
    assert_eq!(a.stats.counts().frames_out, 10_000);
    assert_eq!(b.stats.counts().frames_in, 10_000);
    #[cfg(target_os = "linux")]
    assert_eq!(b.stats.kernel_drops(), Some(0));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_the_kernel_drops_is_counted_too() {
    let ground = Ground::new();
    let mut a = Node::open(ground.config()).await;
    let mut b = Node::open(ground.config().with_buffers(16_384, 16_384)).await;
    let link = a.link(b.address()).await;
    for _ in 0..10_000 {
        assert!(a.send(link, &[0; 100]).is_ok());
    }
    b.settle().await;
    let (out, arrived) = (a.stats.counts().frames_out, b.stats.counts().frames_in);
    let dropped = b.stats.kernel_drops().unwrap();
    assert!(dropped > 0 && arrived > 0, "{dropped} dropped, {arrived} arrived");
    assert_eq!((out, arrived + dropped), (10_000, 10_000));
    drop(b.opened);
    assert_eq!(b.stats.kernel_drops(), None);
}
