//! Answers by a connection of their own: the caller listens, the callee dials, answers, closes.
//! On 127.0.0.1 only.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use lanc::{Carrier, Node};
use lanc_core::framing::{Header, Splitter};
use lanc_tests::{in_mode, is_keyed};
use serde_json::{Value, json};

async fn node(name: &str) -> Node {
    let udp = lanc::UdpConfig::default().with_interfaces(lanc::Interfaces::Loopback);
    let tcp = lanc::TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into());
    let config = lanc::Config::default().with_discovery(false);
    let builder = in_mode!(lanc::builder().name(name).config(config));
    let builder = builder.transport(lanc::UdpTransport::new(udp.with_discovery(false)));
    let node = builder.transport(lanc::TcpTransport::new(tcp)).open().await.unwrap();
    node.register("repeat", |count: usize| "y".repeat(count)).unwrap();
    node.register("fail", || Err::<(), _>("disk")).unwrap();
    node
}

fn udp_address(node: &Node) -> SocketAddr {
    node.endpoints()[0].socket_addr().unwrap()
}

/// A caller that is no node: it says nothing but the call.
struct Stranger {
    socket: UdpSocket,
    listener: Option<TcpListener>,
    port: u16,
}

impl Stranger {
    fn new(to: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { socket, listener: Some(listener), port }
    }

    fn call(&self, function: &str, args: &Value, token: &str) {
        let call = json!({
            "type": "LANC", "method": "call", "version": "0.2", "data": function,
            "exe_id": "mine", "args": args, "x": {"dl": 20_000, "re": self.port, "tok": token},
        });
        self.socket.send(call.to_string().as_bytes()).unwrap();
    }

    /// The one message of the connection, which is closed behind it.
    fn accept(&self) -> Value {
        let (mut stream, _) = self.listener.as_ref().unwrap().accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let mut splitter = Splitter::new(1 << 20);
        assert_eq!(splitter.feed(&bytes), bytes.len());
        let frame = splitter.next_frame().unwrap().expect("one frame");
        assert_eq!(bytes.len(), Header::SIZE + frame.body().len(), "and nothing else");
        serde_json::from_slice(frame.body()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_an_answer_larger_than_a_datagram() {
    if is_keyed!() {
        return;
    }
    let callee = node("callee").await;
    let stranger = Stranger::new(udp_address(&callee));
    let answers = tokio::task::spawn_blocking(move || {
        stranger.call("repeat", &json!([40_000]), "00000000000000aa");
        let large = stranger.accept();
        stranger.call("fail", &json!([]), "00000000000000bb");
        (large, stranger.accept())
    });
    let (large, failure) = answers.await.unwrap();
    assert_eq!(large["method"], "callback");
    assert_eq!(large["data"].as_str().map(str::len), Some(40_000));
    assert_eq!(large["x"]["tok"], "00000000000000aa");
    assert_eq!(failure["data"]["message"], "disk");
    assert_eq!(failure["x"]["tok"], "00000000000000bb");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_accepts_the_answer_comes_the_way_of_the_call() {
    if is_keyed!() {
        return;
    }
    let callee = node("callee").await;
    let mut stranger = Stranger::new(udp_address(&callee));
    stranger.listener = None;
    let answer = tokio::task::spawn_blocking(move || {
        stranger.call("repeat", &json!([3]), "00000000000000cc");
        let mut bytes = [0; 2048];
        let size = stranger.socket.recv(&mut bytes).unwrap();
        serde_json::from_slice::<Value>(&bytes[..size]).unwrap()
    });
    assert_eq!(answer.await.unwrap()["data"], "yyy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_ask_for_it_too() {
    let callee = node("callee").await;
    let tcp = lanc::TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into());
    let udp = lanc::UdpConfig::default().with_interfaces(lanc::Interfaces::Loopback);
    let builder = in_mode!(lanc::builder());
    let builder = builder.config(lanc::Config::default().with_discovery(false));
    let builder = builder.transport(lanc::UdpTransport::new(udp.with_discovery(false)));
    let builder = builder.transport(lanc::TcpTransport::new(tcp));
    let caller = builder.peer(callee.endpoints()[0].clone()).open().await.unwrap();
    let call = caller.call::<String>("repeat", (5,)).wait(Duration::from_secs(20));
    assert_eq!(call.over(Carrier::OneShot).await.as_deref(), Ok("yyyyy"));
    let counters = callee.counters();
    assert!(counters.frames_sent > 0);
}
