//! Bytes that are no message, or none for this node.

use lanc_core::counters::Drop;
use lanc_core::error::ErrorCode;
use lanc_core::ports::Origin;

use crate::scene::{End, Row, VILLAIN, call, hello, message, row};

pub(crate) fn rows() -> Vec<Row> {
    let dropped = End::Dropped;
    vec![
        row("an empty datagram", |s| s.send(VILLAIN, b""), dropped(Drop::Empty)),
        row("half a message", |s| s.send(VILLAIN, b"{\"type\":\"LA"), dropped(Drop::Malformed)),
        row("text that is not UTF-8", not_utf8, dropped(Drop::Malformed)),
        row("a sealed frame", |s| s.send(VILLAIN, b"\x01secret"), dropped(Drop::Sealed)),
        row(
            "a format that nobody has",
            |s| s.send(VILLAIN, b"\xffx"),
            dropped(Drop::UnknownFormat),
        ),
        row("another protocol", |s| s.say(VILLAIN, "{\"type\":\"MQTT\"}"), dropped(Drop::NotLanc)),
        row("a method that nobody has", unknown_method, dropped(Drop::UnknownMethod)),
        row("a hello of version 9", hello_of_the_future, dropped(Drop::Version)),
        row("a call of version 9", call_of_the_future, End::Told(ErrorCode::INCOMPATIBLE_VERSION)),
        row("a cipher that nobody has", encrypted, dropped(Drop::Unsupported)),
        row("lists a thousand deep", deep, dropped(Drop::TooDeep)),
        row("1025 messages in a frame", many_messages, dropped(Drop::TooManyMessages)),
        row(
            "4097 bytes of a stranger",
            |s| s.send(VILLAIN, &[b'{'; 4097]),
            dropped(Drop::Oversized),
        ),
        row("an id beyond 64 bits", huge_id, dropped(Drop::BadField)),
        row("a deadline of 1e999 ms", huge_deadline, dropped(Drop::Malformed)),
        row("a deadline below zero", negative_deadline, End::Told(ErrorCode::DECODE_ERROR)),
        row("a name that a terminal obeys", name_of_control_characters, dropped(Drop::BadField)),
        row("a source beyond the network", from_beyond, dropped(Drop::OffLink)),
        row("a call to everybody", broadcast_call, dropped(Drop::Misaddressed)),
        row("a relay from another host", relay, dropped(Drop::Misaddressed)),
        row("a relay of a relay", relay_of_a_relay, dropped(Drop::BadField)),
        row(
            "a record of a stream as a datagram",
            |s| s.send(VILLAIN, b"\x02\x01\0\0\0\x01x"),
            dropped(Drop::Misaddressed),
        ),
        row(
            "a lean head of an older minor",
            |s| s.send(VILLAIN, b"\x93\x01\x01\xc0"),
            dropped(Drop::Version),
        ),
        row(
            "a lean head that is none",
            |s| s.send(VILLAIN, b"\x91\xa1x"),
            dropped(Drop::Malformed),
        ),
        row(
            "a length that lies",
            |s| s.send(VILLAIN, b"\xdf\xff\xff\xff\xff\xa1x"),
            dropped(Drop::Malformed),
        ),
        row("a key a thousand times", same_key, dropped(Drop::NotLanc)),
    ]
}

fn not_utf8(s: &mut crate::Scene) {
    s.send(VILLAIN, b"{\"type\":\"LANC\",\"method\":\"\xff\xfe\"}");
}

fn unknown_method(s: &mut crate::Scene) {
    s.say(VILLAIN, &message("selfdestruct", ",\"exe_id\":1"));
    assert_eq!(s.heard_by(VILLAIN).count(), 0, "what is not understood is not answered");
}

fn hello_of_the_future(s: &mut crate::Scene) {
    s.say(VILLAIN, &hello(VILLAIN, "").replace("\"0.2\"", "\"9.0\""));
    assert_eq!(s.heard_by(VILLAIN).count(), 0);
}

fn call_of_the_future(s: &mut crate::Scene) {
    s.say(VILLAIN, &call("echo", ",\"exe_id\":1", "").replace("\"0.2\"", "\"9.0\""));
}

fn encrypted(s: &mut crate::Scene) {
    s.say(VILLAIN, &message("ping", ",\"data\":1,\"encrypted\":\"rot13\""));
}

fn deep(s: &mut crate::Scene) {
    s.say(VILLAIN, &message("callback", &format!(",\"data\":{}", "[".repeat(1000))));
}

fn many_messages(s: &mut crate::Scene) {
    s.say(VILLAIN, &"{}".repeat(1025));
    assert_eq!(s.dropped(Drop::NotLanc), 0, "a frame counts once");
}

fn huge_id(s: &mut crate::Scene) {
    s.say(VILLAIN, &call("echo", ",\"exe_id\":18446744073709551616", ""));
}

fn huge_deadline(s: &mut crate::Scene) {
    s.say(VILLAIN, &call("echo", ",\"exe_id\":1", ",\"x\":{\"dl\":1e999}"));
}

fn negative_deadline(s: &mut crate::Scene) {
    s.say(VILLAIN, &call("echo", ",\"exe_id\":1", ",\"x\":{\"dl\":-1}"));
}

fn name_of_control_characters(s: &mut crate::Scene) {
    s.say(VILLAIN, &hello(VILLAIN, "").replace("\"v2\"", "\"\\u001b[31m\""));
}

fn from_beyond(s: &mut crate::Scene) {
    let link = s.node().link_to("8.8.8.8:53".parse().unwrap());
    let text = hello(VILLAIN, "");
    s.node().receive(link, lanc_core::ports::Cast::Unicast, Origin::Beyond, text.as_bytes());
}

fn broadcast_call(s: &mut crate::Scene) {
    s.broadcast(VILLAIN, &call("echo", ",\"exe_id\":1", ""));
    assert_eq!(s.heard_by(VILLAIN).count(), 0, "nothing that was broadcast is answered");
}

fn relayed(frame: &str) -> String {
    message("relay", &format!(",\"data\":{{\"from\":\"10.0.0.9\",\"frame\":{frame}}}"))
}

fn relay(s: &mut crate::Scene) {
    s.say(VILLAIN, &relayed("{\"type\":\"LANC\",\"method\":1,\"version\":0.01}"));
}

fn relay_of_a_relay(s: &mut crate::Scene) {
    let link = s.node().link_to(lanc_testkit::solo::address(VILLAIN));
    let text = relayed(&relayed("{\"type\":\"LANC\",\"method\":1,\"version\":0.01}"));
    s.node().receive(link, lanc_core::ports::Cast::Unicast, Origin::Host, text.as_bytes());
}

fn same_key(s: &mut crate::Scene) {
    let keys = ["\"a\":1"; 300].join(",");
    s.say(VILLAIN, &format!("{{{keys}}}"));
}
