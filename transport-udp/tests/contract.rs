//! The transport contract, on loopback: with broadcast, with configured peers, and over IPv6.

mod ground;

use std::net::Ipv6Addr;
use std::sync::Mutex;

use ground::Ground;
use lanc_core::ports::Transport;
use lanc_transport_udp::{UdpConfig, UdpTransport};

/// The ports of all rules' networks, held until the process ends.
static GROUNDS: Mutex<Vec<Ground>> = Mutex::new(Vec::new());

fn network(nodes: usize, adapt: impl Fn(UdpConfig) -> UdpConfig) -> Vec<Box<dyn Transport>> {
    let ground = Ground::new();
    let node = || UdpTransport::new(adapt(ground.config()));
    let nodes = (0..nodes).map(|_| Box::new(node()) as Box<dyn Transport>).collect();
    if let Ok(mut grounds) = GROUNDS.lock() {
        grounds.push(ground);
    }
    nodes
}

mod discovery {
    lanc_testkit::transport_contract!(|nodes| super::network(nodes, |config| config));
}

mod configured_peers {
    lanc_testkit::transport_contract!(|nodes| {
        super::network(nodes, |config| config.with_discovery(false))
    });
}

mod ipv6 {
    lanc_testkit::transport_contract!(|nodes| {
        super::network(nodes, |config| config.with_bind(super::Ipv6Addr::LOCALHOST.into()))
    });
}
