//! How the nodes of both ends are put together. What changes in assembling a node changes here.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanc::{
    Bytes, Config, Endpoint, Group, Interfaces, JsonCodec, MasterKey, MsgpackCodec, Node,
    NodeBuilder, TcpConfig, TcpTransport, UdpConfig, UdpTransport,
};

use crate::Fallible;
use crate::args::{CodecKind, Options, TransportKind};

/// Opens the server.
pub(crate) async fn serve(options: &Options, pooled: bool) -> Fallible<Node> {
    // Only functions on worker threads wait: as many as the largest load has in flight.
    let config = Config::default().with_max_queued(16_384);
    let node = builder(options, config)?.name("bench-server").open().await?;
    let add = node.function("add", |a: i64, b: i64| a + b);
    if pooled { add } else { add.inline() }.register()?;
    let echo = node.function("echo", |bytes: Bytes| bytes);
    if pooled { echo } else { echo.inline() }.register()?;
    Ok(node)
}

/// Opens a client that knows the server by its address alone.
pub(crate) async fn connect(options: &Options, server: SocketAddr, calls: u32) -> Fallible<Node> {
    let default = Config::default();
    let calls = usize::try_from(calls)?.max(default.max_calls_per_peer());
    let config = default.with_max_calls_per_peer(calls).with_max_calls(2 * calls);
    let builder = builder(options, config)?.name("bench-client");
    Ok(builder.peer(Endpoint::socket(scheme(options), server)).open().await?)
}

/// Where the server listens.
pub(crate) fn address(node: &Node) -> Fallible<SocketAddr> {
    let address = node.endpoints().iter().find_map(Endpoint::socket_addr);
    address.ok_or_else(|| "the node has no address".into())
}

fn scheme(options: &Options) -> &'static str {
    match options.transport {
        TransportKind::Udp => "udp",
        TransportKind::Tcp => "tcp",
    }
}

/// What both ends share. Never more than loopback is opened.
fn builder(options: &Options, config: Config) -> Fallible<NodeBuilder> {
    let config = config
        .with_discovery(false)
        .with_workers(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
        .with_announce_quiet(Duration::ZERO);
    let busy_poll = Duration::from_micros(options.busy_poll);
    let builder = NodeBuilder::new().config(config).busy_poll(busy_poll);
    let builder = match options.codec {
        CodecKind::Json => builder.codec(JsonCodec).codec(MsgpackCodec),
        CodecKind::Msgpack => builder.codec(MsgpackCodec).codec(JsonCodec),
    };
    let builder = match &options.key_file {
        Some(path) => builder.key(Arc::new(Group::new(&MasterKey::read_file(path)?))),
        None => builder,
    };
    let tcp = TcpTransport::new(TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into()));
    Ok(match options.transport {
        // As the facade has it: small calls in datagrams, large ones over a connection.
        TransportKind::Udp => {
            let udp = UdpConfig::default().with_interfaces(Interfaces::Loopback);
            builder.transport(UdpTransport::new(udp.with_discovery(false))).transport(tcp)
        }
        TransportKind::Tcp => builder.transport(tcp),
    })
}
