//! How many connections there may be, and for how long they may be silent.

use std::net::Ipv4Addr;
use std::time::Duration;

use lanc_core::endpoint::Endpoint;
use lanc_core::framing::{Header, Kind, Service};
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
async fn one_more_than_may_be_silent_closes_the_oldest_of_them() {
    let mut server = Side::open(config().with_max_silent(2)).await;
    let mut first = raw(&server).await;
    let oldest = server.up().await;
    let mut second = raw(&server).await;
    let second_link = server.up().await;
    assert_eq!(server.stats.counts().closed_silent, 0, "at the bound");
    let mut third = raw(&server).await;
    assert_eq!(limited(&mut server).await, "max_silent");
    assert_eq!(server.down().await, (oldest, DownReason::Broken));
    let newest = server.up().await;
    closed(&mut first).await;
    // Those that stay are heard, and who has spoken makes no room any more.
    second.write_all(&frame(b"{2}")).await.unwrap();
    assert_eq!(server.frame().await, (second_link, b"{2}".to_vec()));
    let _fourth = raw(&server).await;
    server.up().await;
    third.write_all(&frame(b"{3}")).await.unwrap();
    assert_eq!(server.frame().await, (newest, b"{3}".to_vec()));
    let counts = server.stats.counts();
    assert_eq!((counts.accepted, counts.closed_silent, counts.refused_total), (4, 1, 0));
}

#[tokio::test]
async fn a_silent_connection_makes_room_where_all_places_are_taken() {
    let mut server = Side::open(config().with_max_connections(2)).await;
    let mut spoken = raw(&server).await;
    spoken.write_all(&frame(b"{}")).await.unwrap();
    let (link, _) = server.frame().await;
    let mut silent = raw(&server).await;
    server.up().await;
    let mut newest = raw(&server).await;
    assert_eq!(limited(&mut server).await, "max_connections");
    closed(&mut silent).await;
    newest.write_all(&frame(b"{new}")).await.unwrap();
    assert_eq!(server.frame().await.1, b"{new}");
    // Now that both have spoken, one more is refused.
    let mut refused = raw(&server).await;
    server.pump(closed(&mut refused)).await;
    spoken.write_all(&frame(b"{still}")).await.unwrap();
    assert_eq!(server.frame().await, (link, b"{still}".to_vec()));
    let counts = server.stats.counts();
    assert_eq!((counts.accepted, counts.closed_silent, counts.refused_total), (3, 1, 1));
}

#[tokio::test]
async fn what_is_passed_over_has_said_nothing() {
    let mut server = Side::open(config().with_max_silent(1)).await;
    let mut ignored = raw(&server).await;
    // A service that nobody knows.
    let header = Header::new(Kind(9), Service(0), 0, 2).unwrap();
    ignored.write_all(&[&header.encode()[..], b"{}"].concat()).await.unwrap();
    while server.stats.counts().frames_ignored == 0 {
        server.settle().await;
    }
    let mut heard = raw(&server).await;
    server.pump(closed(&mut ignored)).await;
    heard.write_all(&frame(b"{}")).await.unwrap();
    assert_eq!(server.frame().await.1, b"{}");
    assert_eq!(server.stats.counts().closed_silent, 1);
}

/// So many silent ones, opened again whenever they are closed, while somebody else gets in.
#[tokio::test]
async fn who_holds_silent_connections_keeps_nobody_out() {
    let mut server = Side::open(config()).await;
    for round in 0..20 {
        let mut held = Vec::new();
        for _ in 0..64 {
            held.push(raw(&server).await);
        }
        let mut honest = raw(&server).await;
        honest.write_all(&frame(&[b'{', round])).await.unwrap();
        assert_eq!(server.frame().await.1, [b'{', round]);
    }
    let counts = server.stats.counts();
    assert_eq!((counts.refused_total, counts.accepted), (0, 20 * 65));
    assert!(counts.closed_silent >= 20 * 32, "{}", counts.closed_silent);
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
    accepted.write_all(&frame(b"{first}")).await.unwrap();
    server.frame().await;
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
    let Item::Event(LinkEvent::Failed { remote: failed, reason, is_refused }) = client.next().await
    else {
        panic!()
    };
    assert_eq!(failed, remote);
    assert!(reason.contains("no answer") && !is_refused, "{reason}");
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
