//! Nodes with keys over real sockets, on 127.0.0.1 only.

use std::sync::Arc;
use std::time::Duration;

use lanc::{CallError, ErrorCode, Event, Group, GroupKey, MasterKey, Node, NodeBuilder, RingError};

const PATIENCE: Duration = Duration::from_secs(20);

fn master(seed: u8) -> MasterKey {
    MasterKey::from_bytes(&[seed; 32])
}

fn group(seed: u8) -> Arc<dyn GroupKey> {
    Arc::new(Group::new(&master(seed)))
}

async fn open(builder: NodeBuilder) -> Node {
    let udp = lanc::UdpConfig::default().with_interfaces(lanc::Interfaces::Loopback);
    let tcp = lanc::tcp_on(&lanc::Interfaces::Loopback);
    let builder = builder.config(lanc::Config::default().with_discovery(false));
    let builder = builder.transport(lanc::UdpTransport::new(udp.with_discovery(false)));
    builder.transport(lanc::TcpTransport::new(tcp)).open().await.unwrap()
}

/// A node that offers `double` and `size`.
async fn server(builder: NodeBuilder) -> Node {
    let node = open(builder).await;
    node.register("double", |n: i64| 2 * n).unwrap();
    node.register("size", |text: String| text.len()).unwrap();
    node
}

async fn double(node: &Node, wait: Duration) -> Result<i64, CallError> {
    node.call("double", (21,)).wait(wait).deadline(PATIENCE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn holders_of_a_key_call_each_other_by_datagrams_and_connections() {
    let server = server(lanc::keyed(&master(1))).await;
    let client = open(lanc::keyed(&master(1)).peer(server.endpoints()[0].clone())).await;
    assert_eq!(double(&client, PATIENCE).await.unwrap(), 42);
    let text = "z".repeat(3_000_000);
    let size: usize = client.call("size", (&text,)).deadline(PATIENCE).await.unwrap();
    assert_eq!(size, text.len());
    assert!(client.is_keyed() && client.foreign_groups().is_empty());
    let keys = client.keys();
    assert_eq!((keys.len(), keys[0].id, keys[0].primary), (1, master(1).key_id(), true));
    let stats = client.stats();
    assert_eq!(stats.keys[0].id, master(1).key_id().to_string());
    assert!(stats.keys[0].primary && stats.keys[0].failures == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_nobody_is_there_and_both_hear_why() {
    for builder in [lanc::builder(), lanc::keyed(&master(2))] {
        let server = server(lanc::keyed(&master(1))).await;
        let client = open(builder).await;
        let mut news = server.events();
        // Each says hello to the other by itself.
        assert!(client.add_peer(server.endpoints()[0].clone()));
        assert!(server.add_peer(client.endpoints()[0].clone()));
        let is_told = |event: &Event| {
            matches!(event, Event::PlaintextRefused { .. } | Event::ForeignGroup { .. })
        };
        let told = async { while !is_told(&news.next().await.unwrap()) {} };
        tokio::time::timeout(PATIENCE, told).await.unwrap();
        match client.is_keyed() {
            true => assert_eq!(server.foreign_groups()[0].key, master(2).key_id()),
            false => assert_eq!(server.plain_nodes(), 1),
        }
        while client.foreign_groups().is_empty() {
            tokio::task::yield_now().await;
        }
        let [foreign] = client.foreign_groups()[..] else {
            panic!("{:?}", client.foreign_groups())
        };
        assert_eq!((foreign.key, foreign.nodes), (master(1).key_id(), 1));
        let error = double(&client, Duration::ZERO).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::NO_PROVIDER);
        assert!(client.peers().is_empty() && server.peers().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_exchanged_while_calls_go_on() {
    let server = server(lanc::keyed(&master(1))).await;
    let client = open(lanc::keyed(&master(1)).peer(server.endpoints()[0].clone())).await;
    assert_eq!(double(&client, PATIENCE).await.unwrap(), 42);
    for node in [&server, &client] {
        node.add_key(group(2)).unwrap();
    }
    for node in [&server, &client] {
        node.make_primary(master(2).key_id()).unwrap();
        assert_eq!(double(&client, PATIENCE).await.unwrap(), 42);
    }
    assert_eq!(client.remove_key(master(2).key_id()), Err(RingError::Primary(master(2).key_id())));
    for node in [&server, &client] {
        node.remove_key(master(1).key_id()).unwrap();
        assert_eq!(node.keys().len(), 1);
    }
    assert_eq!(double(&client, PATIENCE).await.unwrap(), 42);
}

#[tokio::test]
async fn an_open_node_stays_open_and_a_ring_has_sixteen_places() {
    let node = open(lanc::builder()).await;
    assert_eq!(node.add_key(group(1)), Err(RingError::Open));
    assert!(!node.is_keyed() && node.keys().is_empty() && node.stats().keys.is_empty());
    let ring = |most: u8| (1..=most).fold(lanc::builder(), |all, seed| all.key(group(seed)));
    let node = open(ring(16)).await;
    assert_eq!(node.keys().len(), 16);
    assert_eq!(node.add_key(group(17)), Err(RingError::Full));
    let tcp = lanc::TcpTransport::new(lanc::tcp_on(&lanc::Interfaces::Loopback));
    let refused = ring(17).transport(tcp).open().await.unwrap_err();
    assert!(matches!(refused, lanc::OpenError::TooManyKeys), "{refused}");
}

#[test]
fn without_async_it_is_the_same() {
    let node = lanc::blocking::open_keyed(lanc::Interfaces::Loopback, &master(3)).unwrap();
    assert!(node.is_keyed());
    node.add_key(group(4)).unwrap();
    assert_eq!(node.keys().len(), 2);
    node.shutdown();
}
