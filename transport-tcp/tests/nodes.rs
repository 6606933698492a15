//! Whole nodes over TCP, on 127.0.0.1 only.

use std::net::Ipv4Addr;
use std::time::Duration;

use lanc_codec::JsonCodec;
use lanc_core::endpoint::Endpoint;
use lanc_core::error::ErrorCode;
use lanc_core::event::Event;
use lanc_core::{Carrier, Config};
use lanc_node::{Node, NodeBuilder};
use lanc_transport_tcp::{TcpConfig, TcpTransport};
use lanc_transport_udp::{Interfaces, UdpConfig, UdpTransport};

fn tcp(port: u16) -> TcpTransport {
    let config = TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into());
    TcpTransport::new(config.with_port(port))
}

fn builder(name: &str) -> NodeBuilder {
    let config = Config::default().with_hello_interval(Duration::from_millis(100));
    NodeBuilder::new()
        .config(config.with_discovery_wait(Duration::from_secs(10)))
        .name(name)
        .codec(JsonCodec)
}

fn serve_echo(node: &Node) {
    node.register("echo", |text: String| text).unwrap();
    node.register("length", |text: String| text.len()).unwrap();
}

/// A server and a client that has it configured, over TCP alone.
async fn pair() -> (Node, Node) {
    let server = builder("server").transport(tcp(0)).open().await.unwrap();
    serve_echo(&server);
    let endpoint = server.endpoints()[0].clone();
    let client = builder("client").transport(tcp(0)).peer(endpoint).open().await.unwrap();
    (server, client)
}

async fn call<T: serde::de::DeserializeOwned + Send + 'static>(
    node: &Node,
    function: &str,
    text: &str,
) -> Result<T, lanc_core::error::CallError> {
    node.call::<T>(function, (text,)).wait(Duration::from_secs(10)).await
}

#[tokio::test]
async fn two_nodes_call_each_other_with_large_arguments() {
    let (server, client) = pair().await;
    client.register("reverse", |text: String| text.chars().rev().collect::<String>()).unwrap();
    let large: String = ('a'..='z').cycle().take(60_000).collect();
    for _ in 0..20 {
        assert_eq!(call(&client, "echo", &large).await, Ok(large.clone()));
    }
    let reversed: String = large.chars().rev().collect();
    assert_eq!(call(&server, "reverse", &large).await, Ok(reversed), "back on the same link");
    let calls: Vec<_> = (0..100).map(|_| client.call::<String>("echo", (&large,))).collect();
    for call in calls {
        assert_eq!(call.await.as_ref(), Ok(&large));
    }
}

#[tokio::test]
async fn what_no_frame_holds_travels_as_a_stream_and_what_no_message_may_be_is_refused() {
    let (_server, client) = pair().await;
    assert_eq!(call(&client, "length", "abc").await, Ok(3));
    assert_eq!(call(&client, "length", &"x".repeat(5_000_000)).await, Ok(5_000_000));
    let error = call::<usize>(&client, "length", &"x".repeat(17 << 20)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::TOO_LARGE);
    assert_eq!(call(&client, "length", &"x".repeat(65_000)).await, Ok(65_000));
}

#[tokio::test]
async fn a_server_that_restarts_on_its_port_is_called_again() {
    let (server, client) = pair().await;
    assert_eq!(call(&client, "echo", "before").await, Ok("before".to_owned()));
    let port = server.endpoints()[0].socket_addr().unwrap().port();
    let mut events = client.events();
    server.shutdown().await;
    drop(server);
    while !matches!(events.next().await.expect("the client runs"), Event::PeerDown { .. }) {}
    let server = builder("server").transport(tcp(port)).open().await.unwrap();
    serve_echo(&server);
    assert_eq!(call(&client, "echo", "after").await, Ok("after".to_owned()));
}

#[tokio::test]
async fn a_node_with_udp_and_tcp_lanes_dials_tcp_where_it_is_configured() {
    let udp = || {
        let config = UdpConfig::default().with_interfaces(Interfaces::Loopback);
        UdpTransport::new(config.with_discovery(false))
    };
    let server = builder("server").transport(udp()).transport(tcp(0)).open().await.unwrap();
    serve_echo(&server);
    let endpoint = |scheme: &str| -> Endpoint {
        let mut all = server.endpoints().iter();
        all.find(|endpoint| endpoint.scheme() == scheme).unwrap().clone()
    };
    let large = "x".repeat(60_000);
    let over_tcp = builder("client").transport(udp()).transport(tcp(0));
    let client = over_tcp.peer(endpoint("tcp")).open().await.unwrap();
    assert_eq!(call(&client, "echo", &large).await, Ok(large.clone()));
    let over_udp = builder("other").transport(udp()).transport(tcp(0));
    let other = over_udp.peer(endpoint("udp")).open().await.unwrap();
    assert_eq!(call(&other, "echo", "small").await, Ok("small".to_owned()));
    assert_eq!(call(&other, "echo", &large).await, Ok(large.clone()), "by a connection");
    assert_eq!(call(&other, "length", &large).await, Ok(60_000), "by the same one");
    other.register("repeat", |count: usize| "y".repeat(count)).unwrap();
    let repeat = server.call::<String>("repeat", (60_000,)).wait(Duration::from_secs(10));
    assert_eq!(repeat.await.map(|text| text.len()), Ok(60_000), "a small call, a large answer");
    let datagrams = other.call::<String>("echo", (&large,)).over(Carrier::Datagrams);
    assert_eq!(datagrams.await.unwrap_err().code, ErrorCode::TOO_LARGE);
    let connection = other.call::<usize>("length", ("abc",)).over(Carrier::Connection);
    assert_eq!(connection.await, Ok(3));
}
