//! Connections that are being made.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lanc_core::endpoint::Endpoint;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::transport::SCHEME;

/// So often a connection is begun that the far end closes at once.
const TRIES: u8 = 4;
/// How long the first pause between them is; each is four times the one before.
const TURNED_AWAY: Duration = Duration::from_millis(5);

pub(crate) struct Dial {
    pub(crate) remote: SocketAddr,
    pub(crate) until: Instant,
    connecting: Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>,
}

impl Dial {
    pub(crate) fn new(remote: SocketAddr, until: Instant) -> Self {
        Self { remote, until, connecting: Box::pin(connect_again(remote)) }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        self.connecting.as_mut().poll(cx)
    }
}

/// Connects; who is turned away as soon as the connection is there tries a few times more.
async fn connect_again(remote: SocketAddr) -> io::Result<TcpStream> {
    let mut pause = TURNED_AWAY;
    for _ in 1..TRIES {
        match connect(remote).await {
            Err(error) if is_turned_away(&error) => tokio::time::sleep(pause).await,
            result => return result,
        }
        pause *= 4;
    }
    connect(remote).await
}

/// Whether the far end took the connection and closed it at once.
fn is_turned_away(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::NotConnected)
}

async fn connect(remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    let stream = socket.connect(remote).await?;
    // A port that nobody listens on may be the one the system chose for this very socket; then
    // it is connected to itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::Error::new(ErrorKind::ConnectionRefused, "nobody listens there"));
    }
    Ok(stream)
}

/// Why `to` cannot be dialled by the node listening on `own`, or its address.
pub(crate) fn dialable(to: &Endpoint, own: SocketAddr) -> Result<SocketAddr, String> {
    let address = (to.scheme() == SCHEME).then(|| to.socket_addr()).flatten();
    let Some(address) = address else {
        return Err(format!("`{to}` is no TCP endpoint: write {SCHEME}://ADDRESS:PORT"));
    };
    let ip = address.ip().to_canonical();
    if ip.is_unspecified() || ip.is_multicast() || address.port() == 0 {
        return Err(format!("{address} does not name one node"));
    }
    if own.ip().is_loopback() && !ip.is_loopback() {
        return Err(format!("this node keeps to loopback: it does not reach {address}"));
    }
    let is_here = ip == own.ip() || own.ip().is_unspecified() && ip.is_loopback();
    if is_here && address.port() == own.port() {
        return Err(format!("{to} is this node itself"));
    }
    Ok(address)
}

/// What a failed dial tells a person.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "nobody listens there: is the node running?".to_owned(),
        _ if is_turned_away(error) => {
            "closed by the other end at once: it may have no room for one more".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_single_other_node_is_not_dialled() {
        let own: SocketAddr = "127.0.0.1:4000".parse().unwrap();
        let try_dial = |text: &str, own| dialable(&text.parse().unwrap(), own);
        assert!(try_dial("tcp://127.0.0.1:4001", own).is_ok());
        assert!(try_dial("tcp://[::1]:4000", own).is_ok());
        for bad in [
            "udp://127.0.0.1:4001",
            "tcp://nowhere",
            "tcp://0.0.0.0:1",
            "tcp://224.0.0.1:9",
            "tcp://127.0.0.1:0",
            "tcp://127.0.0.1:4000",
            "tcp://192.0.2.1:4001",
        ] {
            assert!(try_dial(bad, own).is_err(), "{bad}");
        }
        let open: SocketAddr = "0.0.0.0:4000".parse().unwrap();
        assert!(try_dial("tcp://192.0.2.1:4001", open).is_ok());
        assert!(try_dial("tcp://127.0.0.1:4000", open).is_err());
    }
}
