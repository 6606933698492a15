//! What the contract does not ask for: hostile streams, limits, stalls and restarts. Sockets on
//! 127.0.0.1 only.

mod side;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lanc_core::framing::{Header, Kind, Service};
use lanc_core::ports::{Close, DownReason, LinkEvent, SendRefused, Transport};
use lanc_transport_tcp::{TcpConfig, TcpTransport};
use side::{Item, Side, config, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn frame(body: &[u8]) -> Vec<u8> {
    let header = Header::new(Kind::JSON, Service::MESSAGES, 0, body.len()).unwrap();
    [&header.encode()[..], body].concat()
}

async fn raw(to: &Side) -> TcpStream {
    TcpStream::connect(to.address()).await.unwrap()
}

/// Waits until the far end has closed.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = within(stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "nothing was sent before the end");
}

#[tokio::test]
async fn five_hundred_malformed_streams_end_alone() {
    let mut server = Side::open(config().with_max_silent(64)).await;
    let mut client = Side::open(config()).await;
    let link = client.connect(&server).await;
    client.send(link, b"{\"first\"}").unwrap();
    assert_eq!(server.frame().await.1, b"{\"first\"}");
    let limit = u32::try_from(TcpConfig::MAX_FRAME + 12).unwrap();
    for round in 0..50 {
        let mut streams = Vec::new();
        for kind in 0..10_u8 {
            let mut bytes = frame(b"{}");
            match kind % 5 {
                0 => bytes = b"GET / HTTP/1.1\r\n\r\n".to_vec(),
                1 => bytes[2] = 1,
                2 => bytes[8..12].copy_from_slice(&11_u32.to_be_bytes()),
                3 => bytes[8..12].copy_from_slice(&(limit + 1).to_be_bytes()),
                // Half a frame, then the end.
                _ => bytes.truncate(12 + usize::from(kind % 2)),
            }
            let mut stream = raw(&server).await;
            stream.write_all(&bytes).await.unwrap();
            if kind % 5 == 4 {
                stream.shutdown().await.unwrap();
            }
            streams.push(stream);
        }
        for _ in 0..10 {
            assert_eq!(server.down().await.1, DownReason::Broken);
        }
        for stream in &mut streams {
            closed(stream).await;
        }
        client.send(link, &[b'{', round]).unwrap();
        assert_eq!(server.frame().await.1, [b'{', round], "the good link goes on");
    }
    let counts = server.stats.counts();
    assert_eq!((counts.accepted, counts.closed_malformed), (501, 400));
    assert_eq!(counts.frames_in, 51);
}

#[tokio::test]
async fn frames_come_whole_however_the_stream_is_cut() {
    let mut server = Side::open(config()).await;
    let mut stream = raw(&server).await;
    stream.set_nodelay(true).unwrap();
    let bodies: [&[u8]; 4] = [b"{1}", b"", b"{a longer one}", &[7; 3000]];
    let whole: Vec<u8> = bodies.iter().flat_map(|body| frame(body)).collect();
    for byte in &whole[..100] {
        stream.write_all(&[*byte]).await.unwrap();
        server.settle().await;
    }
    stream.write_all(&whole[100..]).await.unwrap();
    // And many at once, more than one poll takes.
    stream.write_all(&frame(b"{}").repeat(200)).await.unwrap();
    for body in bodies {
        assert_eq!(server.frame().await.1, body);
    }
    for _ in 0..200 {
        assert_eq!(server.frame().await.1, b"{}");
    }
    // What was whole comes before the end, the half does not.
    stream.write_all(&[frame(b"{last}"), vec![1, 0x4C]].concat()).await.unwrap();
    drop(stream);
    assert_eq!(server.frame().await.1, b"{last}");
    assert_eq!(server.down().await.1, DownReason::Broken);
}

#[tokio::test]
async fn the_header_says_what_the_body_is_and_other_services_are_passed_over() {
    let mut server = Side::open(config()).await;
    let mut stream = raw(&server).await;
    for (kind, service) in [(Kind::SEALED, 0), (Kind::JSON, 1), (Kind::JSON, 2), (Kind(9), 0)] {
        let header = Header::new(kind, Service(service), 0, 2).unwrap();
        stream.write_all(&[&header.encode()[..], b"{}"].concat()).await.unwrap();
    }
    stream.write_all(&frame(b"{known}")).await.unwrap();
    let (link, body) = server.frame().await;
    assert_eq!(body, b"{known}");
    assert_eq!(server.stats.counts().frames_ignored, 4);
    for (body, kind) in [(&b"{}"[..], 1), (&b"\x81"[..], 2), (&b""[..], 2)] {
        server.send(link, body).unwrap();
        let mut got = vec![0; 12 + body.len()];
        within(stream.read_exact(&mut got)).await.unwrap();
        let length = u8::try_from(got.len()).unwrap();
        assert_eq!(got[..12], [kind, 0x4C, 2, 0, 0, 0, 0, 0, 0, 0, 0, length]);
        assert_eq!(&got[12..], body);
    }
}

#[tokio::test]
async fn who_takes_nothing_is_closed_and_disturbs_nobody() {
    let stall = Duration::from_millis(600);
    let mut server = Side::open(config().with_write_stall(stall)).await;
    let mut stuck = raw(&server).await;
    stuck.write_all(&frame(b"{stuck}")).await.unwrap();
    let (to_stuck, _) = server.frame().await;
    let mut client = Side::open(config()).await;
    let link = client.connect(&server).await;
    while server.send(to_stuck, &[0; 60_000]).is_ok() {}
    assert_eq!(server.send(to_stuck, b"{}"), Err(SendRefused::Full));
    let mut rounds = 0_u32;
    let down = loop {
        rounds += 1;
        client.send(link, &rounds.to_be_bytes()).unwrap();
        match server.next().await {
            Item::Event(LinkEvent::Down { link, reason }) => break (link, reason),
            Item::Event(_) => {}
            Item::Frame(back, body) => {
                server.send(back, &body).unwrap();
                assert_eq!(client.frame().await.1, body);
            }
        }
    };
    assert_eq!(down, (to_stuck, DownReason::Broken));
    assert!(rounds > 10, "others were served meanwhile: {rounds} rounds");
    assert_eq!(server.stats.counts().closed_stalled, 1);
    assert_eq!(server.send(to_stuck, b"{}"), Err(SendRefused::Gone));
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
    first.write_all(&frame(b"{}")).await.unwrap();
    server.frame().await;
    let _fourth = raw(&server).await;
    server.up().await;
    assert_eq!(server.stats.counts().accepted, 3);
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
    let remote = lanc_core::endpoint::Endpoint::socket("tcp", address);
    client.outlet.connect(&remote);
    client.outlet.connect(&remote);
    let Item::Event(LinkEvent::Failed { remote: failed, reason }) = client.next().await else {
        panic!()
    };
    assert_eq!(failed, remote);
    assert!(reason.contains("no answer"), "{reason}");
    assert_eq!(client.stats.counts().dials_failed, 1, "a dial that runs is not begun again");
}

#[tokio::test]
async fn a_node_that_comes_back_on_its_port_is_reached_again() {
    let mut client = Side::open(config()).await;
    let mut server = Side::open(config()).await;
    let port = server.address().port();
    for _ in 0..3 {
        let link = client.connect(&server).await;
        client.send(link, b"{}").unwrap();
        server.frame().await;
        // The server ends first, so its side of the connection is what lingers on its port.
        drop(server);
        assert_eq!(client.down().await.0, link);
        server = Side::open(config().with_port(port)).await;
        assert_eq!(server.address().port(), port);
    }
}

#[tokio::test]
async fn a_taken_port_is_explained() {
    let server = Side::open(config()).await;
    let again = TcpTransport::new(config().with_port(server.address().port()));
    let error = again.open(lanc_core::endpoint::Lane(0)).await.err().unwrap().to_string();
    assert!(error.contains("Another program listens on TCP port"), "{error}");
}

#[tokio::test]
async fn what_was_taken_leaves_before_an_orderly_end() {
    let mut client = Side::open(config()).await;
    let mut server = Side::open(config()).await;
    let link = client.connect(&server).await;
    let mut taken = 0_u32;
    while client.send(link, &[&taken.to_be_bytes()[..], &[0; 60_000]].concat()).is_ok() {
        taken += 1;
    }
    client.outlet.close(link, Close::Flush);
    assert_eq!(client.send(link, b"{}"), Err(SendRefused::Gone));
    assert_eq!(client.down().await, (link, DownReason::ClosedHere));
    // The closing end goes on by itself while it is polled.
    let reading = async {
        for number in 0..taken {
            assert_eq!(server.frame().await.1[..4], number.to_be_bytes());
        }
        server.down().await
    };
    let (_, reason) = client.pump(reading).await;
    assert_eq!(reason, DownReason::ClosedThere);
}

#[tokio::test]
async fn a_dial_to_itself_or_to_nobody_fails() {
    let mut side = Side::open(config()).await;
    let nobody = {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap()
    };
    for address in [side.address(), nobody, SocketAddr::from(([192, 0, 2, 1], 9))] {
        let to = lanc_core::endpoint::Endpoint::socket("tcp", address);
        side.outlet.connect(&to);
        let Item::Event(LinkEvent::Failed { remote, .. }) = side.next().await else { panic!() };
        assert_eq!(remote, to);
    }
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
    let name = "accepting_recovers_when_descriptors_ran_out";
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
