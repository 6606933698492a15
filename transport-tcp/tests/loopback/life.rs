//! How connections and listeners begin and end.

use std::net::{Ipv4Addr, SocketAddr};

use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::ports::{Close, DownReason, LinkEvent, SendRefused, Transport, TransportError};
use lanc_transport_tcp::TcpTransport;

use crate::side::{Item, Side, config};

#[tokio::test]
async fn a_node_that_comes_back_on_its_port_is_reached_again() {
    // Between two lives anybody on this machine may be given the port: then it is another's turn.
    for _ in 0..10 {
        if comes_back_thrice().await.is_ok() {
            return;
        }
    }
    panic!("no port could be opened again");
}

async fn comes_back_thrice() -> Result<(), TransportError> {
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
        server = Side::try_open(config().with_port(port)).await?;
        assert_eq!(server.address().port(), port);
    }
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_explained() {
    let server = Side::open(config()).await;
    let again = TcpTransport::new(config().with_port(server.address().port()));
    let error = again.open(Lane(0)).await.err().unwrap().to_string();
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
        let to = Endpoint::socket("tcp", address);
        side.outlet.connect(&to);
        let Item::Event(LinkEvent::Failed { remote, is_refused, .. }) = side.next().await else {
            panic!()
        };
        assert_eq!((remote, is_refused), (to, address == nobody), "only a host refuses");
    }
}

#[cfg(unix)]
const CHILD: &str = "LANC_TEST_TO_BE_KILLED";

/// The test runs itself in a process of its own, which it kills without a warning.
#[cfg(unix)]
#[tokio::test]
async fn the_port_of_a_killed_process_is_listened_on_again_at_once() {
    if std::env::var_os(CHILD).is_some() {
        return echo_until_killed().await;
    }
    let mut child = Child::start("life::the_port_of_a_killed_process_is_listened_on_again_at_once");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, child.port()));
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Side::open(config()).await;
        let link = echoed(&mut client, address).await;
        // What the killed one has not read or sent yet: the connection is in the midst of it.
        while client.send(link, &[b'{'; 60_000]).is_ok() {}
        clients.push((client, link));
    }
    child.kill();
    let mut server = Side::open(config().with_port(address.port())).await;
    assert_eq!(server.address(), address);
    for (client, link) in &mut clients {
        while !matches!(client.next().await, Item::Event(LinkEvent::Down { link: l, .. }) if l == *link)
        {
        }
        let link = client.connect(&server).await;
        client.send(link, b"{again}").unwrap();
        assert_eq!(server.frame().await.1, b"{again}");
    }
}

/// Dials, sends a frame and has it back.
#[cfg(unix)]
async fn echoed(client: &mut Side, address: SocketAddr) -> LinkId {
    client.outlet.connect(&Endpoint::socket("tcp", address));
    let link = client.up().await;
    client.send(link, b"{}").unwrap();
    assert_eq!(client.frame().await, (link, b"{}".to_vec()));
    link
}

#[cfg(unix)]
async fn echo_until_killed() {
    // Nor does it outlive the test that started it.
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
    let mut server = Side::open(config()).await;
    println!("\n{PORT}{}", server.address().port());
    loop {
        let (link, bytes) = server.frame().await;
        let _ = server.send(link, &bytes);
    }
}

#[cfg(unix)]
const PORT: &str = "listens on port ";

/// A process of this test.
#[cfg(unix)]
struct Child(std::process::Child);

#[cfg(unix)]
impl Child {
    fn start(test: &str) -> Self {
        use std::process::{Command, Stdio};
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(CHILD, "1");
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn port(&mut self) -> u16 {
        use std::io::{BufRead, BufReader};
        let mut lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| Some(line.unwrap().strip_prefix(PORT)?.parse().unwrap()));
        port.expect("the child listens")
    }

    /// Sends SIGKILL and waits until the process is no more.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[cfg(unix)]
impl Drop for Child {
    fn drop(&mut self) {
        // Where the test failed before; a process that is no more needs no killing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
