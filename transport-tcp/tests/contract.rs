//! The transport contract, on loopback: over IPv4, over IPv6, and with the largest frames.

use std::net::{Ipv4Addr, Ipv6Addr};

use lanc_core::ports::Transport;
use lanc_transport_tcp::{TcpConfig, TcpTransport};

fn network(nodes: usize, config: TcpConfig) -> Vec<Box<dyn Transport>> {
    let node = || Box::new(TcpTransport::new(config.clone())) as Box<dyn Transport>;
    (0..nodes).map(|_| node()).collect()
}

fn v4() -> TcpConfig {
    TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into())
}

mod ipv4 {
    lanc_testkit::transport_contract!(|nodes| super::network(nodes, super::v4()));
}

mod ipv6 {
    lanc_testkit::transport_contract!(|nodes| {
        super::network(nodes, super::v4().with_bind(super::Ipv6Addr::LOCALHOST.into()))
    });
}

mod small_frames {
    lanc_testkit::transport_contract!(|nodes| {
        super::network(nodes, super::v4().with_max_frame(1200))
    });
}

mod large_frames {
    lanc_testkit::transport_contract!(|nodes| {
        super::network(nodes, super::v4().with_max_frame(1 << 20))
    });
}
