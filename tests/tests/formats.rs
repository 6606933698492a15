//! Nodes of every format call each other; and a node answers in the format it is asked in, over
//! real UDP on loopback.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lanc::ports::{Budget, Codec, Format, Item};
use lanc::{
    Endpoint, ErrorCode, Executed, Interfaces, JsonCodec, MsgpackCodec, Node, NodeBuilder,
    TcpConfig, TcpTransport, UdpConfig, UdpTransport,
};
use lanc_tests::{in_mode, is_keyed};
use lanc_transport_memory::MemoryNetwork;
use nine_keys::NineKeys;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tokio::net::UdpSocket;

#[path = "formats/nine_keys.rs"]
mod nine_keys;

/// What is looked at of an answer.
#[derive(PartialEq, Debug)]
struct Answer {
    format: Format,
    method: String,
    id: u64,
    /// A result that is a whole number.
    number: Option<u64>,
}

/// Appends a call with all nine fields.
fn write_call(codec: &dyn Codec, function: &str, id: i64, out: &mut Vec<u8>) {
    let text = |text: &'static str| Item::Text(text.into());
    let mut args = Vec::new();
    codec.write_list(&[Item::Int(1), Item::Int(2)], &mut args);
    let entries = [
        ("type", text("LANC")),
        ("method", text("call")),
        ("version", text("0.2")),
        ("data", Item::Text(function.into())),
        ("encrypted", text("no")),
        ("compress", text("no")),
        ("exe_id", Item::Int(id)),
        ("args", Item::List(&args)),
        ("kwargs", Item::Null),
    ];
    codec.write_map(&entries, out);
}

/// The answers in a frame. All of its messages are in one format.
fn read_frame(mut frame: &[u8]) -> Vec<Answer> {
    let codecs: [&dyn Codec; 2] = [&JsonCodec, &MsgpackCodec];
    let codec = *codecs.iter().find(|codec| codec.claims(frame[0])).expect("a known format");
    let mut answers = Vec::new();
    while !frame.is_empty() {
        let mut answer =
            Answer { format: codec.format(), method: String::new(), id: 0, number: None };
        let mut budget = Budget { depth: 16, nodes: 1000 };
        let used = codec.read_map(frame, &mut budget, &mut |key, value| {
            match (key, value.item) {
                ("method", Item::Text(text)) => answer.method = text.into_owned(),
                ("exe_id", item) => answer.id = item.as_u64().expect("the caller's id"),
                ("data", item) => answer.number = item.as_u64(),
                _ => {}
            }
            Ok(())
        });
        frame = &frame[used.expect("a message")..];
        answers.push(answer);
    }
    answers.retain(|answer| matches!(answer.method.as_str(), "callback" | "error"));
    answers
}

/// Sends a frame and waits for so many answers.
async fn ask(socket: &UdpSocket, to: SocketAddr, frame: &[u8], count: usize) -> Vec<Answer> {
    socket.send_to(frame, to).await.unwrap();
    let mut answers = Vec::new();
    let mut buffer = [0; 2048];
    while answers.len() < count {
        let received = tokio::time::timeout(Duration::from_secs(10), socket.recv_from(&mut buffer));
        let (length, _) = received.await.expect("no answer came").unwrap();
        answers.extend(read_frame(&buffer[..length]));
    }
    answers.sort_by_key(|answer| answer.id);
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_comes_in_the_format_its_call_came_in() {
    if is_keyed!() {
        return;
    }
    let udp = UdpConfig::default()
        .with_interfaces(Interfaces::Loopback)
        .with_port(20_131)
        .with_discovery(false);
    let node = lanc::builder().name("server").transport(UdpTransport::new(udp));
    let node = node.open().await.unwrap();
    node.register("add", |a: i64, b: i64| a + b).unwrap();
    node.register("none", || ()).unwrap();
    let [endpoint] = node.endpoints() else { panic!("one transport") };
    let address = Endpoint::socket_addr(endpoint).expect("a socket address");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();

    let sum = |format, id| Answer { format, method: "callback".to_owned(), id, number: Some(3) };
    let failed = |format, id| Answer { format, method: "error".to_owned(), id, number: None };
    let mut id = 0;
    let codecs: [&dyn Codec; 3] = [&MsgpackCodec, &JsonCodec, &MsgpackCodec];
    for codec in codecs {
        // A result, an argument error and a refusal, whose calls stand in one frame.
        let mut frame = Vec::new();
        for (index, function) in ["add", "none", "nowhere"].into_iter().enumerate() {
            if index > 0 {
                codec.write_separator(&mut frame);
            }
            write_call(codec, function, id + i64::try_from(index).unwrap(), &mut frame);
        }
        let first = u64::try_from(id).unwrap();
        let format = codec.format();
        let expected = [sum(format, first), failed(format, first + 1), failed(format, first + 2)];
        assert_eq!(ask(&socket, address, &frame, 3).await, expected);
        id += 3;
    }
    assert_eq!(node.counters().dropped_total(), 0, "{:?}", node.counters());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_two_formats_do_not_share_a_frame() {
    if is_keyed!() {
        return;
    }
    let udp = UdpConfig::default()
        .with_interfaces(Interfaces::Loopback)
        .with_port(20_132)
        .with_discovery(false);
    let node = lanc::builder().name("server").transport(UdpTransport::new(udp));
    let node = node.open().await.unwrap();
    node.register("add", |a: i64, b: i64| a + b).unwrap();
    let [endpoint] = node.endpoints() else { panic!("one transport") };
    let address = Endpoint::socket_addr(endpoint).expect("a socket address");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut expected = Vec::new();
    for id in 0..40_u32 {
        let codec: &dyn Codec = if id % 3 == 0 { &JsonCodec } else { &MsgpackCodec };
        let mut frame = Vec::new();
        write_call(codec, "add", i64::from(id), &mut frame);
        expected.push((codec.format(), u64::from(id), Some(3)));
        if id < 39 {
            socket.send_to(&frame, address).await.unwrap();
        } else {
            let answers = ask(&socket, address, &frame, 40).await;
            let answers = answers.into_iter().map(|a| (a.format, a.id, a.number));
            assert_eq!(answers.collect::<Vec<_>>(), expected);
        }
    }
}

/// A node whose function `echo_NAME` returns its argument.
async fn open(network: &MemoryNetwork, name: &str, builder: NodeBuilder) -> Node {
    let transport = Box::new(network.transport());
    let node = in_mode!(builder.name(name)).transport(transport).open().await.unwrap();
    node.register(&format!("echo_{name}"), |value: Value| value).unwrap();
    node
}

#[tokio::test(start_paused = true)]
async fn nodes_of_all_formats_call_each_other() {
    let network = MemoryNetwork::new();
    let builder = NodeBuilder::new;
    let mut nodes = Vec::new();
    for (name, builder, features) in [
        ("lean", lanc::builder(), 123),
        ("lean2", lanc::builder(), 123),
        ("json", builder().codec(JsonCodec), 73),
        ("json2", builder().codec(JsonCodec).codec(MsgpackCodec), 107),
        ("nine", builder().codec(NineKeys).codec(JsonCodec), 75),
        ("nine2", builder().codec(JsonCodec).codec(NineKeys), 75),
    ] {
        nodes.push((name, open(&network, name, builder).await, features));
    }
    let value = json!({
        "list": [1, -2, 0.5, null, true, "it's", [[], {}]],
        "most": u64::MAX,
        "least": i64::MIN,
    });
    for (name, node, _) in &nodes {
        node.settled().await;
        for (other, _, features) in nodes.iter().filter(|(other, ..)| other != name) {
            let function = format!("echo_{other}");
            let echoed = node.call::<Value>(&function, (&value,)).await;
            assert_eq!(echoed, Ok(value.clone()), "{name} calls {other}");
            let error = node.call::<Value>(&function, (1, 2)).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::INVALID_ARGUMENTS, "{name} calls {other}: {error}");
            let error = node.call::<String>(&function, (1,)).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::DECODE_ERROR, "{name} calls {other}: {error}");
            assert!(node.ping(other).await.is_ok(), "{name} pings {other}");
            let peers = node.peers();
            let peer = peers.iter().find(|peer| peer.name == *other).expect("a peer");
            assert_eq!(peer.features.0, *features);
        }
    }
    for (name, node, _) in &nodes {
        assert_eq!(node.counters().dropped_total(), 0, "{name}: {:?}", node.counters());
    }
}

/// Binary data.
struct Blob(&'static [u8]);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[derive(Serialize)]
enum Shape {
    Point,
    Round { radius: f32 },
    Pair(u8, Option<char>),
}

#[tokio::test(start_paused = true)]
async fn arguments_and_results_are_put_into_the_format_the_far_end_reads() {
    let network = MemoryNetwork::new();
    let near = open(&network, "near", lanc::builder()).await;
    let far = open(&network, "far", NodeBuilder::new().codec(JsonCodec)).await;
    far.register("none_far", || 5).unwrap();
    near.register("blob", || Blob(&[0, 255])).unwrap();
    near.register("pairs", || BTreeMap::from([((1, 2), 3)])).unwrap();
    near.settled().await;
    far.settled().await;

    let echoed = near.call::<Value>("echo_far", (Blob(&[1, 2, 255]),)).await;
    assert_eq!(echoed, Ok(json!([1, 2, 255])), "JSON has no binary data: a list of numbers");
    for number in [0.1, 1e300, -5e-324, 1.0] {
        assert_eq!(near.call::<f64>("echo_far", (number,)).await, Ok(number));
    }
    assert_eq!(near.call::<u64>("echo_far", (u64::MAX,)).await, Ok(u64::MAX));
    assert_eq!(near.call::<i64>("echo_far", (i64::MIN,)).await, Ok(i64::MIN));
    let shapes = [Shape::Point, Shape::Round { radius: 0.1 }, Shape::Pair(7, Some('ß'))];
    let echoed = near.call::<Value>("echo_far", (shapes,)).await;
    assert_eq!(echoed, Ok(json!(["Point", { "Round": { "radius": 0.1 } }, { "Pair": [7, "ß"] }])));
    let numbered = BTreeMap::from([(-1, "a"), (2, "b")]);
    let echoed = near.call::<BTreeMap<i32, String>>("echo_far", (numbered,)).await;
    assert_eq!(echoed, Ok(BTreeMap::from([(-1, "a".to_owned()), (2, "b".to_owned())])));
    let echoed = near.call::<Value>("echo_far", ((1, ("a", [(); 2])),)).await;
    assert_eq!(echoed, Ok(json!([1, ["a", [null, null]]])));

    let nested = |levels| (1..levels).fold(json!([]), |inner, _| json!([inner]));
    let deepest = nested(60);
    assert_eq!(near.call::<Value>("echo_far", (&deepest,)).await, Ok(deepest));
    assert!(near.call::<Value>("echo_far", (nested(120),)).await.is_err(), "deeper than is read");
    assert_eq!(near.call::<i64>("none_far", ()).await, Ok(5));

    // Results, for a caller that reads only JSON.
    assert_eq!(far.call::<Value>("blob", ()).await, Ok(json!([0, 255])));
    let error = far.call::<Value>("pairs", ()).await.unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::UNENCODABLE, Executed::Yes), "{error}");

    // Nothing in JSON may stand for these.
    let before = far.counters().calls_received;
    let error = near.call::<Value>("echo_far", (BTreeMap::from([((1, 2), 3)]),)).await;
    let error = error.unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::UNENCODABLE, Executed::No), "{error}");
    for number in [f64::NAN, f64::INFINITY] {
        let error = near.call::<Value>("echo_far", (number,)).await.unwrap_err();
        assert_eq!((error.code, error.executed), (ErrorCode::UNENCODABLE, Executed::No), "{error}");
    }
    assert_eq!(far.counters().calls_received, before, "nothing was sent");
}

/// Nodes that find each other by UDP and take TCP for what is large.
async fn on_loopback(name: &str, builder: NodeBuilder) -> Node {
    let udp = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_discovery(false);
    let tcp = TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into());
    let transports = builder.transport(UdpTransport::new(udp)).transport(TcpTransport::new(tcp));
    in_mode!(transports.name(name)).open().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_a_connection_has_the_same_form() {
    let json = || NodeBuilder::new().codec(JsonCodec);
    for (server, client) in
        [(lanc::builder(), lanc::builder()), (json(), lanc::builder()), (lanc::builder(), json())]
    {
        let server = on_loopback("server", server).await;
        server.register("echo", |value: Value| value).unwrap();
        let client = client.peer(server.endpoints()[0].clone());
        let client = on_loopback("client", client).await;
        for size in [10, 1300, 3000, 100_000, 1 << 20] {
            let value = json!({ "text": "ö".repeat(size / 2), "number": u64::MAX });
            assert_eq!(client.call::<Value>("echo", (&value,)).await, Ok(value), "{size}");
        }
        for node in [server, client] {
            assert_eq!(node.counters().dropped_total(), 0, "{:?}", node.counters());
        }
    }
}
