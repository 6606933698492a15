//! Two nodes that know each other, and how long they are waited for.

use std::net::Ipv4Addr;
use std::time::Duration;

use lanc::{Config, JsonCodec, MsgpackCodec, Node, NodeBuilder};
use lanc_tests::in_mode;
use lanc_transport_memory::MemoryNetwork;

/// How long something may take that happens at once.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Two nodes that know each other, the caller first.
pub(crate) async fn pair(config: Config) -> (Node, Node) {
    let network = MemoryNetwork::new().connected();
    joined(|name| {
        let config = config.clone().with_name(name.to_owned());
        let builder = in_mode!(NodeBuilder::new().config(config).codec(JsonCodec));
        builder.codec(MsgpackCodec).transport(network.transport())
    })
    .await
}

/// The same over UDP and TCP.
pub(crate) async fn sockets(config: Config) -> (Node, Node) {
    let config = config.with_discovery(false);
    joined(|name| {
        let udp = lanc::UdpConfig::default().with_interfaces(lanc::Interfaces::Loopback);
        let tcp = lanc::TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into());
        let builder = in_mode!(lanc::builder().config(config.clone().with_name(name.to_owned())));
        let builder = builder.transport(lanc::UdpTransport::new(udp.with_discovery(false)));
        builder.transport(lanc::TcpTransport::new(tcp))
    })
    .await
}

async fn joined(builder: impl Fn(&str) -> NodeBuilder) -> (Node, Node) {
    let callee = builder("callee").open().await.unwrap();
    let caller = builder("caller").peer(callee.endpoints()[0].clone()).open().await.unwrap();
    (caller, callee)
}

pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(SOON, what).await.expect("it happens at once")
}

/// Waits until nothing of a call is left on either node.
pub(crate) async fn emptied(nodes: &[&Node]) {
    let is_empty = |node: &&Node| {
        let tables = node.tables();
        let calls = tables.open_calls + tables.results + tables.queued + tables.running;
        calls + tables.streams + tables.stream_bytes == 0
    };
    let all = async {
        while !nodes.iter().all(is_empty) {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(SOON, all).await.is_err() {
        panic!("{:?}", nodes.iter().map(|node| node.tables()).collect::<Vec<_>>());
    }
}
