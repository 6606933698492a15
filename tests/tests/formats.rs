//! A node answers in the format it is asked in, over real UDP on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use lanc::ports::{Budget, Codec, Format, Item};
use lanc::{Endpoint, Interfaces, JsonCodec, MsgpackCodec, UdpConfig, UdpTransport};
use tokio::net::UdpSocket;

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
