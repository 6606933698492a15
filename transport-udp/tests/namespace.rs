//! Interfaces that come and go, inside a network namespace of this test's own. Nothing reaches
//! the host's network. Where namespaces may not be made the test says so and checks nothing.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

#[path = "ground/node.rs"]
mod node;

use std::process::Command;
use std::time::Duration;

use lanc_core::endpoint::{Endpoint, Lane};
use lanc_core::ports::{Cast, LinkEvent, Origin, SendRefused};
use lanc_netlab::{inside, is_inside};
use lanc_transport_udp::{Interfaces, UdpConfig};
use node::Node;

#[track_caller]
fn must_ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    assert!(output.is_ok_and(|output| output.status.success()), "ip {arguments}");
}

/// Two ends of a wire, of which the near one has an address.
fn wire(name: &str, address: &str) {
    must_ip(&format!("link add {name} type veth peer name {name}-far"));
    must_ip(&format!("addr add {address} brd + dev {name}"));
    must_ip(&format!("link set {name}-far up"));
    must_ip(&format!("link set {name} up"));
    // A wire is operational some time after it was set up; until then the kernel refuses to send.
    let state = || {
        let output = Command::new("ip").args(["-o", "link", "show", "dev", name]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("state UP")
    };
    assert!((0..5000).any(|_| state()), "{name} did not come up");
}

/// Whether the next frame is `text`, broadcast by `from`, on a new link.
async fn hears(node: &mut Node, from: &Node, text: &[u8]) -> bool {
    let frame = node.frame().await;
    assert_eq!((frame.cast, frame.origin, &*frame.bytes), (Cast::Broadcast, Origin::Host, text));
    let Some(LinkEvent::Up { remote, .. }) = node.events.pop_back() else {
        panic!("a frame of a new address came without a link");
    };
    let remote = remote.socket_addr().unwrap();
    assert_ne!(remote.port(), UdpConfig::PORT);
    remote.port() == from.address().port()
}

#[test]
fn broadcasts_follow_the_interfaces() {
    if !is_inside() {
        return inside("broadcasts_follow_the_interfaces");
    }
    must_ip("link set lo up");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = UdpConfig::default();
        let (mut a, mut b) = (Node::open(config.clone()).await, Node::open(config).await);
        // Without a network, the host itself is the neighbourhood.
        assert!(a.broadcast(b"alone").is_ok());
        assert!(hears(&mut b, &a, b"alone").await);
        assert_eq!(a.opened.local.ip().unwrap().to_string(), "127.0.0.1");

        wire("one", "10.77.1.1/24");
        wire("two", "10.77.2.1/24");
        // Paused from here on, so that the second between two readings costs no time.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(2)).await;
        let before = a.stats.counts().frames_out;
        assert!(a.broadcast(b"both").is_ok());
        assert_eq!(a.stats.counts().frames_out - before, 2, "one per interface");
        // The other node looks at the interfaces as well when it broadcasts.
        assert!(b.broadcast(b"too").is_ok());
        tokio::time::resume();
        assert!(hears(&mut b, &a, b"both").await);
        assert!(hears(&mut b, &a, b"both").await);
        a.settle().await;
        let changed = LinkEvent::InterfacesChanged(Lane(0));
        assert_eq!(a.events.iter().filter(|event| **event == changed).count(), 1);
        let heard: Vec<&[u8]> = a.frames.iter().map(|frame| &*frame.bytes).collect();
        assert_eq!(heard, [b"too", b"too"], "the other's broadcasts and not its own");
        assert_eq!(a.stats.counts().dropped_own, 3);
        a.events.clear();

        // Each read is at most once a second: nothing is noticed in between.
        must_ip("link set two down");
        tokio::time::pause();
        let before = a.stats.counts().frames_out;
        assert!(a.broadcast(b"one").is_ok());
        assert_eq!(a.stats.counts().frames_out - before, 1, "the other interface is not up");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(a.broadcast(b"one").is_ok());
        tokio::time::resume();
        a.settle().await;
        assert_eq!(a.events, [LinkEvent::InterfacesChanged(Lane(0))]);

        // A destination without a route is refused, and no other link notices.
        let nowhere = a.link("198.51.100.9:5127".parse().unwrap()).await;
        assert!(a.send(nowhere, b"x").is_err());
        let to_b = a.link(b.address()).await;
        assert!(a.send(to_b, b"x").is_ok());
    });
}

#[test]
fn a_named_interface_is_the_only_one_spoken_to() {
    if !is_inside() {
        return inside("a_named_interface_is_the_only_one_spoken_to");
    }
    must_ip("link set lo up");
    wire("one", "10.77.1.1/24");
    wire("two", "10.77.2.1/24");
    let named =
        |name: &str| UdpConfig::default().with_interfaces(Interfaces::Named(vec![name.to_owned()]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut a, mut b) = (Node::open(named("one")).await, Node::open(named("one")).await);
        let mut other = Node::open(named("two")).await;
        let mut local = Node::open(named("lo")).await;
        assert!(local.address().ip().is_loopback());
        assert!(other.broadcast(b"two").is_ok());
        assert!(local.broadcast(b"lo").is_ok());
        assert!(a.broadcast(b"one").is_ok());
        assert_eq!(a.stats.counts().frames_out, 1);
        assert!(hears(&mut b, &a, b"one").await);
        for node in [&mut b, &mut other, &mut local] {
            node.settle().await;
            assert!(node.frames.is_empty());
        }
        assert_eq!(b.stats.counts().dropped_foreign, 2);
        // Bound to one address, a node keeps to that address's interface.
        let bound = UdpConfig::default().with_bind([10, 77, 2, 1].into());
        let mut bound = Node::open(bound).await;
        assert_eq!(bound.opened.local.scheme(), Endpoint::socket("udp", bound.address()).scheme());
        assert!(bound.broadcast(b"bound").is_ok());
        assert!(hears(&mut other, &bound, b"bound").await);
    });
}

#[test]
fn a_socket_without_room_says_full_and_then_writable() {
    if !is_inside() {
        return inside("a_socket_without_room_says_full_and_then_writable");
    }
    must_ip("link set lo up");
    wire("one", "10.77.1.1/24");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = UdpConfig::default().with_buffers(65_536, 8192).with_discovery(false);
        let mut node = Node::open(config).await;
        let link = node.link("10.77.1.9:5127".parse().unwrap()).await;
        // Frames wait in the socket's buffer for as long as the neighbour is not resolved.
        let frame = [0; 1472];
        let refused = (0..1000).find_map(|_| node.send(link, &frame).err());
        assert_eq!(refused, Some(SendRefused::Full));
        node.settle().await;
        assert!(node.events.is_empty(), "{:?}", node.events);
        must_ip("neigh replace 10.77.1.9 lladdr 02:00:00:00:00:09 dev one nud permanent");
        assert_eq!(node.event().await, LinkEvent::Writable(link));
        assert!(node.send(link, &frame).is_ok());
    });
}

#[test]
fn frames_to_this_host_are_not_bound_to_a_packet() {
    if !is_inside() {
        return inside("frames_to_this_host_are_not_bound_to_a_packet");
    }
    must_ip("link set lo up");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = UdpConfig::default().with_discovery(false);
        let (mut a, mut b) = (Node::open(config.clone()).await, Node::open(config.clone()).await);
        let link = a.link(b.address()).await;
        assert_eq!(a.limits.pop_front(), Some((link, 4096)));
        assert!(a.send(link, &[7; 4096]).is_ok());
        assert_eq!(b.frame().await.bytes, [7; 4096]);
        assert_eq!(a.send(link, &[7; 4097]), Err(SendRefused::TooLarge));
        // Where the host is as narrow as its network, the system cuts them and puts them together.
        must_ip("link set lo mtu 1500");
        assert!(a.send(link, &[8; 4096]).is_ok());
        assert_eq!(b.frame().await.bytes, [8; 4096]);
        // What leaves the host is to fit a packet.
        wire("one", "10.77.1.1/24");
        let mut other = Node::open(config.with_bind([10, 77, 1, 1].into())).await;
        let away = other.link("10.77.1.9:5127".parse().unwrap()).await;
        assert_eq!(other.send(away, &[7; 1473]), Err(SendRefused::TooLarge));
        other.settle().await;
        assert!(other.limits.is_empty());
    });
}
