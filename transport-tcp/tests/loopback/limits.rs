//! How many connections there may be, and for how long they may be silent.

use std::net::Ipv4Addr;
use std::time::Duration;

use lanc_core::endpoint::Endpoint;
use lanc_core::ports::{Close, DownReason, LinkEvent};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::side::{Item, Side, config};
use crate::{closed, frame, raw};

/// The setting that is said to be in the way; other events are passed over.
async fn limited(server: &mut Side) -> &'static str {
    loop {
        if let Item::Event(LinkEvent::Limited { limit, .. }) = server.next().await {
            return limit;
        }
    }
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_one_that_spoke_is_not() {
    let limit = Duration::from_millis(50);
    let mut server = Side::open(config().with_first_frame_within(limit)).await;
    let mut spoken = raw(&server).await;
    spoken.write_all(&frame(b"{}")).await.unwrap();
    let (link, _) = server.frame().await;
    let mut silent = raw(&server).await;
    // Half a frame is none.
    silent.write_all(&frame(b"{}")[..13]).await.unwrap();
    assert_eq!(limited(&mut server).await, "first_frame");
    let (down, reason) = server.down().await;
    assert_eq!((down == link, reason), (false, DownReason::Broken));
    closed(&mut silent).await;
    assert_eq!(server.stats.counts().closed_silent, 1);
    spoken.write_all(&frame(b"{still}")).await.unwrap();
    assert_eq!(server.frame().await, (link, b"{still}".to_vec()));
}

#[tokio::test]
async fn one_more_than_may_be_silent_is_refused() {
    let mut server = Side::open(config().with_max_silent(2)).await;
    let mut first = raw(&server).await;
    let _second = raw(&server).await;
    server.up().await;
    server.up().await;
    let mut third = raw(&server).await;
    server.pump(closed(&mut third)).await;
    assert_eq!(server.stats.counts().refused_silent, 1);
    assert_eq!(limited(&mut server).await, "max_silent");
    first.write_all(&frame(b"{}")).await.unwrap();
    server.frame().await;
    let _fourth = raw(&server).await;
    server.up().await;
    assert_eq!(server.stats.counts().accepted, 3);
}

#[tokio::test]
async fn who_comes_to_another_interface_is_refused() {
    let named = |name: &str| config().with_interfaces(vec![name.to_owned()]);
    let mut server = Side::open(named("no-such-interface")).await;
    let mut refused = raw(&server).await;
    server.pump(closed(&mut refused)).await;
    assert_eq!(server.stats.counts().refused_interface, 1);
    assert_eq!(limited(&mut server).await, "interfaces");
    if cfg!(target_os = "linux") {
        let mut server = Side::open(named("lo")).await;
        let _taken = raw(&server).await;
        server.up().await;
    }
}

#[tokio::test]
async fn one_connection_more_than_allowed_is_refused_both_ways() {
    let mut server = Side::open(config().with_max_connections(2)).await;
    let (other, third) = (Side::open(config()).await, Side::open(config()).await);
    let dialled = server.connect(&other).await;
    let mut accepted = raw(&server).await;
    server.up().await;
    let mut refused = raw(&server).await;
    server.pump(closed(&mut refused)).await;
    assert_eq!(limited(&mut server).await, "max_connections");
    server.outlet.connect(&third.local);
    let Item::Event(LinkEvent::Failed { remote, .. }) = server.next().await else { panic!() };
    assert_eq!(remote, third.local);
    let counts = server.stats.counts();
    assert_eq!((counts.refused_total, counts.dials_failed, counts.dialled), (1, 1, 1));
    // A place that is given back is used again.
    server.outlet.close(dialled, Close::Abort);
    server.down().await;
    server.connect(&third).await;
    accepted.write_all(&frame(b"{}")).await.unwrap();
    server.frame().await;
}

#[tokio::test]
async fn a_dial_without_an_answer_fails_in_time() {
    // A full backlog: the system answers nobody any more.
    let deaf = tokio::net::TcpSocket::new_v4().unwrap();
    deaf.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let deaf = deaf.listen(1).unwrap();
    let address = deaf.local_addr().unwrap();
    let mut waiting = Vec::new();
    let connect = || tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address));
    while let Ok(stream) = connect().await {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 64, "the backlog has an end");
    }
    let mut client = Side::open(config().with_connect_within(Duration::from_millis(100))).await;
    let remote = Endpoint::socket("tcp", address);
    client.outlet.connect(&remote);
    client.outlet.connect(&remote);
    let Item::Event(LinkEvent::Failed { remote: failed, reason }) = client.next().await else {
        panic!()
    };
    assert_eq!(failed, remote);
    assert!(reason.contains("no answer"), "{reason}");
    assert_eq!(client.stats.counts().dials_failed, 1, "a dial that runs is not begun again");
}

#[cfg(target_os = "linux")]
const CHILD: &str = "LANC_TEST_LOW_DESCRIPTOR_LIMIT";

/// The test runs itself in a process of its own, whose limit is low.
#[cfg(target_os = "linux")]
#[test]
fn accepting_recovers_when_descriptors_ran_out() {
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        return runtime.unwrap().block_on(run_out_and_recover());
    }
    let this = std::env::current_exe().unwrap();
    let name = "limits::accepting_recovers_when_descriptors_ran_out";
    let mut child = std::process::Command::new("sh");
    child.args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\" --nocapture"]);
    let output = child.arg(this).arg(name).env(CHILD, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

#[cfg(target_os = "linux")]
async fn run_out_and_recover() {
    let mut server = Side::open(config()).await;
    let mut client = TcpStream::connect(server.address()).await.unwrap();
    let mut held = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        held.push(file);
        assert!(held.len() < 64, "the limit is low");
    }
    while server.stats.counts().accept_failures < 2 {
        server.settle().await;
    }
    assert_eq!(server.stats.counts().accepted, 0);
    drop(held);
    let link = server.up().await;
    client.write_all(&frame(b"{}")).await.unwrap();
    assert_eq!(server.frame().await, (link, b"{}".to_vec()));
    let failures = server.stats.counts().accept_failures;
    assert!(failures < 100, "it waited between its attempts: {failures}");
}
