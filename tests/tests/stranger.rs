//! A caller that never says hello, as section 8 of `docs/protocol.md` writes one.

use std::net::UdpSocket;
use std::time::Duration;

use lanc::{Endpoint, Interfaces, UdpConfig, UdpTransport};

#[tokio::test]
async fn a_stranger_is_answered_however_long_its_call_runs() {
    let config = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_port(20_110);
    let node = lanc::builder().transport(UdpTransport::new(config)).open().await.unwrap();
    node.register("slow", async |ms: u64| {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        "it's done"
    })
    .unwrap();
    let address = node.endpoints().first().and_then(Endpoint::socket_addr).unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let stranger = tokio::net::UdpSocket::from_std(stranger).unwrap();
    let call = r#"{"type":"LANC","method":"call","version":"0.2","data":"slow","exe_id":"id-7","args":[60000]}"#;
    stranger.send_to(call.as_bytes(), address).await.unwrap();
    let mut tries = 0;
    while node.tables().running == 0 {
        tries += 1;
        assert!(tries < 10_000, "the call was not taken");
        tokio::task::yield_now().await;
    }
    // A minute on the runtime's clock.
    tokio::time::pause();
    let mut answer = [0; 2048];
    let received = tokio::time::timeout(Duration::from_secs(70), stranger.recv(&mut answer)).await;
    let length = received.expect("no answer").unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer[..length]).unwrap();
    assert_eq!(answer["method"], "callback");
    assert_eq!(answer["data"], "it's done");
    assert_eq!(answer["exe_id"], "id-7");
}

#[tokio::test]
async fn strangers_fill_their_own_share_and_no_more() {
    let config = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_port(20_111);
    let settings = lanc::Config::default().with_max_stranger_tasks(4);
    let builder = lanc::builder().config(settings).transport(UdpTransport::new(config.clone()));
    let node = builder.open().await.unwrap();
    node.register("forever", async || std::future::pending::<()>().await).unwrap();
    node.register("add", |a: i64, b: i64| a + b).unwrap();
    let address = node.endpoints().first().and_then(Endpoint::socket_addr).unwrap();
    let stranger = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for number in 1..=5 {
        let call = format!(
            r#"{{"type":"LANC","method":"call","version":"0.2","data":"forever","exe_id":{number}}}"#
        );
        stranger.send_to(call.as_bytes(), address).await.unwrap();
    }
    let mut answer = [0; 2048];
    let received = tokio::time::timeout(Duration::from_secs(10), stranger.recv(&mut answer)).await;
    let length = received.expect("no refusal").unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer[..length]).unwrap();
    assert_eq!((&answer["method"], &answer["exe_id"]), (&"error".into(), &5.into()));
    assert_eq!(answer["data"]["name"], "busy");
    assert_eq!(answer["data"]["ex"], "no");
    assert_eq!(node.tables().running, 4);
    // Whoever has introduced itself is served.
    let friend = lanc::builder().transport(UdpTransport::new(config)).open().await.unwrap();
    assert_eq!(friend.call::<i64>("add", (1, 2)).await, Ok(3));
}

#[tokio::test]
async fn a_refusal_that_is_too_long_for_a_stranger_still_says_that_nothing_ran() {
    let config = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_port(20_112);
    let node = lanc::builder().transport(UdpTransport::new(config)).open().await.unwrap();
    let ran = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&ran);
    node.register("f", move |_: u8| seen.store(true, std::sync::atomic::Ordering::SeqCst)).unwrap();
    let address = node.endpoints().first().and_then(Endpoint::socket_addr).unwrap();
    let stranger = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // The error quotes the text, with its escapes, which is more than three times the call.
    let call = format!(
        r#"{{"type":"LANC","method":"call","version":"0.2","data":"f","exe_id":1,"args":["{}"]}}"#,
        "'".repeat(120)
    );
    stranger.send_to(call.as_bytes(), address).await.unwrap();
    let mut answer = [0; 2048];
    let received = tokio::time::timeout(Duration::from_secs(10), stranger.recv(&mut answer)).await;
    let length = received.expect("no answer").unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer[..length]).unwrap();
    assert_eq!(answer["data"]["name"], "too_large");
    assert_eq!(answer["data"]["ex"], "no");
    assert!(!ran.load(std::sync::atomic::Ordering::SeqCst));
}
