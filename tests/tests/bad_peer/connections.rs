//! Records and messages by a connection, of a villain that connected.

use std::net::SocketAddr;
use std::time::Duration;

use lanc_core::Config;
use lanc_core::counters::Drop;
use lanc_core::error::ErrorCode;
use lanc_testkit::solo;

use crate::scene::{End, Row, Scene, VILLAIN, call, hello, id, message, row, session};

pub(crate) fn rows() -> Vec<Row> {
    let closed = || End::Closed(Drop::Malformed);
    vec![
        row("a record before any hello", before_hello, End::Closed(Drop::UnknownPeer)),
        row("a record on stream 0", |s| records(s, &[bytes(0, b"x")]), closed()),
        row("a number of the other end", |s| records(s, &[bytes(2, b"x")]), closed()),
        row("credit for nothing", |s| records(s, &[control(7, &[1, 0, 0, 0, 1])]), closed()),
        row("a reset of nothing", |s| records(s, &[control(9, &[2, 0, 8])]), closed()),
        row("an unknown control", |s| records(s, &[control(1, &[9])]), closed()),
        row("a control that is cut", |s| records(s, &[control(1, &[1, 0])]), closed()),
        row("a record without a head", |s| records(s, &[vec![2, 1, 0]]), closed()),
        row("more than there was credit for", beyond_credit, closed()),
        row("a number that was used before", used_again, closed()),
        Row {
            config: Some(Config::default().with_max_streams(2)),
            ..row("more byte streams than allowed", many_streams, End::Quiet)
        },
        Row {
            config: Some(impatient()),
            ..row("half a large message and then nothing", stalled, End::Quiet)
        },
        row("a large message of noise", noise, End::Dropped(Drop::UnknownFormat)),
        row("a session that changes on the way", changing_session, End::Quiet),
        row("a friend's name on a connection", friends_name, End::Dropped(Drop::UnknownPeer)),
        row("a connection that never answers a ping", never_answers, End::Quiet),
    ]
}

fn impatient() -> Config {
    let second = Duration::from_secs(1);
    Config::default().with_message_stall(second).with_keep_alive(2 * second)
}

fn bytes(stream: u32, body: &[u8]) -> Vec<u8> {
    [&[2, 1][..], &stream.to_be_bytes(), body].concat()
}

fn control(stream: u32, body: &[u8]) -> Vec<u8> {
    [&[2, 2][..], &stream.to_be_bytes(), body].concat()
}

fn connect(s: &mut Scene) {
    let from = SocketAddr::new(solo::address(VILLAIN).ip(), 50_000);
    let link = s.node().accept(from);
    s.connections.push(link);
}

fn record(s: &mut Scene, bytes: &[u8]) {
    let link = *s.connections.last().unwrap();
    s.node().record(link, bytes);
    s.pass(0);
}

/// Connects, says hello, and sends these.
fn records(s: &mut Scene, all: &[Vec<u8>]) {
    connect(s);
    record(s, hello(VILLAIN, "").as_bytes());
    for one in all {
        record(s, one);
    }
}

fn before_hello(s: &mut Scene) {
    connect(s);
    record(s, &bytes(1, b"x"));
}

fn beyond_credit(s: &mut Scene) {
    // Nobody reads what belongs to a call that does not read.
    let announced = call("slow", &id(VILLAIN, 1, 5), ",\"x\":{\"st\":1}").into_bytes();
    let full = bytes(1, &[b'x'; 60_000]);
    records(s, &[&[announced][..], &vec![full; 5]].concat());
}

fn used_again(s: &mut Scene) {
    let whole = [bytes(5, b"{}"), bytes(5, b""), bytes(3, b"x")];
    records(s, &whole);
}

fn many_streams(s: &mut Scene) {
    records(s, &[]);
    for number in 1..=10_u64 {
        let x = format!(",\"x\":{{\"st\":{}}}", 2 * number - 1);
        record(s, call("slow", &id(VILLAIN, number, 5), &x).as_bytes());
    }
    let told = format!("\"code\":{}", ErrorCode::BUSY.0);
    assert_eq!(s.count(&told), 8, "{:?}", s.heard);
    s.heard.clear();
    drop_connection(s);
}

fn drop_connection(s: &mut Scene) {
    let link = s.connections[0];
    s.node().break_link(link);
}

fn stalled(s: &mut Scene) {
    records(s, &[bytes(1, b"{\"type\":\"LANC\",")]);
    s.pass(5000);
    assert_eq!(s.node().core.counters().messages_stalled, 1);
    let tables = s.node().core.tables();
    assert_eq!(tables.stream_bytes, 0, "{tables:?}");
}

fn noise(s: &mut Scene) {
    records(s, &[bytes(1, &[0xff; 5000]), bytes(1, &[])]);
}

fn changing_session(s: &mut Scene) {
    records(s, &[]);
    for host in 20..30 {
        record(s, hello(host, "").as_bytes());
    }
    let tables = s.node().core.tables();
    assert!(tables.peers <= 2, "one connection is many peers: {tables:?}");
}

fn friends_name(s: &mut Scene) {
    connect(s);
    let sid = s.friends_session();
    record(s, hello(VILLAIN, "").replace(&session(VILLAIN), &sid).as_bytes());
    record(s, message("bye", &format!(",\"data\":{{\"sid\":\"{sid}\"}}")).as_bytes());
    s.friend_is_served();
}

fn never_answers(s: &mut Scene) {
    records(s, &[]);
    s.pass(40_000);
    let link = s.connections[0];
    assert!(!s.node().is_up(link), "a dead connection is kept");
}
