use serde_json::json;

use super::*;
use crate::sim::{ms, secs};

const OWN: [u8; 4] = [10, 0, 0, 1];
const PEER: [u8; 4] = [10, 0, 0, 2];

fn ip(octets: [u8; 4]) -> IpAddr {
    IpAddr::from(octets)
}

fn original() -> Original {
    let mut original = Original::new(Time::ZERO, ip(OWN), Dice::new(1, 1));
    let sum = |args: &[Value]| Some(json!(args[0].as_i64()? + args[1].as_i64()?));
    original.register(Time::ZERO, PythonFunction::new("add", 2, Duration::ZERO, sum));
    original.register(Time::ZERO, PythonFunction::new("names", 2, secs(0), |a| Some(json!(a))));
    original.register(Time::ZERO, PythonFunction::new("slow", 0, secs(3), |_| Some(json!(1))));
    original.register(Time::ZERO, PythonFunction::new("none", 0, ms(0), |_| Some(Value::Null)));
    original
}

fn sent(original: &mut Original) -> Vec<(To, String)> {
    std::iter::from_fn(|| original.poll_send())
        .map(|(to, bytes)| (to, String::from_utf8(bytes).unwrap()))
        .collect()
}

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// An original that has called `f` of PEER as number 1.
fn caller() -> Original {
    let mut original = original();
    original.receive(at(0), ip(PEER), br#"{"method":2,"data":[{"name":"f"}]}"#);
    assert_eq!(original.call(at(100), "f", &[json!(1)], &[]), Some(1));
    original
}

#[test]
fn each_lethal_datagram_ends_it_and_hellos_go_on() {
    let long = format!("{{\"method\":1,\"x\":\"{}\"}}", "a".repeat(1024));
    let raising = r#"{"method":3,"data":"add","exe_id":1,"args":{"p0":"a","p1":1}}"#;
    let lethal: [&[u8]; 20] = [
        b"",
        b"\xff{}",
        b"hello",
        b"[]",
        b"[{\"method\":1}]",
        b"{}",
        long.as_bytes(),
        b"{\"method\":1,\"x\":\"it's\"}",
        b"{\"method\":3,\"data\":\"add\",\"exe_id\":1,\"args\":[1,2]}",
        b"{\"method\":3,\"data\":\"add\",\"args\":{\"p0\":1,\"p1\":2}}",
        b"{\"method\":3,\"data\":\"nobody\",\"exe_id\":1}",
        b"{\"method\":3,\"data\":\"add\",\"exe_id\":1,\"args\":{\"p0\":1}}",
        raising.as_bytes(),
        b"{\"method\":2,\"data\":[\"add\"]}",
        b"{\"method\":2}",
        b"{\"method\":4,\"data\":1,\"exe_id\":1}",
        b"{\"method\":4,\"data\":1}",
        b"{\"method\":3,\"exe_id\":1}",
        b"{'type': 'LANC', 'method': 4, 'data': None, 'exe_id': 1}",
        b"{\"method\":1}\n{\"method\":1}",
    ];
    for datagram in lethal {
        let mut original = original();
        original.receive(at(10), ip(PEER), datagram);
        let text = String::from_utf8_lossy(datagram);
        assert!(original.death().is_some(), "survived {text}");
        sent(&mut original);
        original.receive(at(20), ip(PEER), b"{\"method\":1}");
        assert!(sent(&mut original).is_empty(), "it hears nothing any more");
        original.wake(at(5000));
        assert_eq!(sent(&mut original).first().map(|(to, _)| *to), Some(To::Broadcast));
    }
}

#[test]
fn each_harmless_datagram_leaves_it_alive() {
    let exact = format!("{{\"method\":1,\"x\":\"{}\"}}", "a".repeat(1024 - 19));
    assert_eq!(exact.len(), 1024);
    let harmless: [&[u8]; 12] = [
        b"{\"method\":1}",
        b"{\"method\":1.0}\n",
        exact.as_bytes(),
        b"{'method': 1}",
        b"{\"method\":\"hello\",\"data\":{\"sid\":\"00\"}}",
        b"{\"method\":\"func\",\"data\":[\"add\"]}",
        b"{\"method\":\"error\"}",
        b"{\"method\":5}",
        b"{\"method\":2,\"data\":[],\"type\":\"X\",\"more\":null}",
        b"{\"method\":3,\"data\":\"none\",\"exe_id\":\"abc-1\",\"args\":null}",
        b"{\"method\":3,\"data\":\"add\",\"exe_id\":0,\"args\":{\"z\":1,\"a\":2}}",
        b"{\"method\":1,\"x\":\"\\u0027\"}",
    ];
    for datagram in harmless {
        let mut original = original();
        original.receive(at(10), ip(PEER), datagram);
        assert_eq!(original.death(), None, "{}", String::from_utf8_lossy(datagram));
    }
    let mut original = original();
    original.receive(at(10), ip(OWN), b"");
    assert_eq!(original.death(), None, "its own packets are not read");
}

#[test]
fn a_callback_may_come_once_and_not_too_soon() {
    let answer = br#"{"method":4,"data":30,"exe_id":1}"#;
    let mut original = caller();
    original.receive(at(130), ip(PEER), answer);
    assert_eq!((original.result(1), original.death()), (Some(&json!(30)), None));
    original.receive(at(140), ip(PEER), answer);
    assert!(original.death().unwrap().why.contains("nobody waits"));
    let mut original = caller();
    original.receive(at(100), ip(PEER), answer);
    assert!(original.death().unwrap().why.contains("too soon"));
}

#[test]
fn its_datagrams_are_the_captured_ones() {
    let mut original = caller();
    let calls: Vec<_> = sent(&mut original).into_iter().map(|(_, text)| text).collect();
    assert_eq!(
        calls[0],
        "{'type': 'LANC', 'method': 1, 'version': 0.01, 'data': 'hello', 'encrypted': 0, 'compress': 0}"
    );
    assert_eq!(
        calls[1],
        "{'type': 'LANC', 'method': 3, 'version': 0.01, 'data': 'f', 'encrypted': 0, 'compress': 0, 'exe_id': 1, 'args': {'p0': 1}}"
    );
    original.wake(at(1000));
    let (to, func) = sent(&mut original).remove(0);
    assert_eq!(to, To::Broadcast);
    assert!(
        func.contains("'data': [{'name': 'add'}, {'name': 'names'}, {'name': 'slow'}"),
        "{func}"
    );
    original.receive(
        at(1001),
        ip(PEER),
        br#"{"method":3,"data":"add","exe_id":"abc-1","args":{"p0":1,"p1":2}}"#,
    );
    let (to, answer) = sent(&mut original).remove(0);
    assert_eq!(to, To::Host(ip(PEER)));
    assert!(answer.ends_with("'data': 3, 'encrypted': 0, 'compress': 0, 'exe_id': 'abc-1'}"));
}

#[test]
fn only_a_first_hello_is_answered_and_it_stops_the_broadcast() {
    let mut original = original();
    sent(&mut original);
    original.receive(at(500), ip(PEER), b"{\"method\":1}");
    let answers = sent(&mut original);
    assert!(answers.iter().all(|(to, _)| *to == To::Host(ip(PEER))) && answers.len() == 2);
    original.wake(at(1000));
    assert!(sent(&mut original).is_empty(), "the list was sent to the newcomer only");
    original.receive(at(30_500), ip(PEER), b"{\"method\":1}");
    assert!(sent(&mut original).is_empty(), "known for 30 s");
    original.receive(at(60_501), ip(PEER), b"{\"method\":1}");
    assert_eq!(sent(&mut original).len(), 2);
    assert!(original.peers(at(60_502)).contains(&ip(PEER)));
}

#[test]
fn a_slow_function_stops_everything_and_names_alone_are_values() {
    let mut original = original();
    sent(&mut original);
    original.receive(at(0), ip(PEER), br#"{"method":3,"data":"slow","exe_id":1}"#);
    original.receive(
        at(1),
        ip(PEER),
        b"{\"method\":3,\"data\":\"names\",\"exe_id\":2,\"kwargs\":{\"a\":5,\"b\":6}}",
    );
    assert!(sent(&mut original).is_empty());
    assert_eq!(original.next_wake(), at(1000));
    original.wake(at(3000));
    let texts: Vec<_> = sent(&mut original).into_iter().map(|(_, text)| text).collect();
    assert!(texts.iter().any(|text| text.contains("'data': 1,")), "{texts:?}");
    assert!(texts.last().unwrap().contains("'data': ['a', 'b'],"), "{texts:?}");
}
