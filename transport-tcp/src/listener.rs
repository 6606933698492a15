//! The listening socket, and patience when the system cannot accept.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lanc_core::ports::TransportError;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

use crate::config::TcpConfig;
use crate::stats::{Count, TcpStats};

/// Connections the system completes before they are accepted.
const BACKLOG: i32 = 1024;
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Listener {
    socket: TcpListener,
    pause: Duration,
    pausing: Option<Pin<Box<Sleep>>>,
}

impl Listener {
    /// Binds and listens.
    pub(crate) fn open(config: &TcpConfig) -> Result<Self, TransportError> {
        let address = SocketAddr::new(config.bind, config.port);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        // A node that comes back finds old connections in their final wait on its port. (On
        // Windows the option would mean sharing the port, and is not needed.)
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        let bound = socket.bind(&address.into()).and_then(|()| socket.listen(BACKLOG));
        bound.map_err(|source| refused(address, source))?;
        let socket = TcpListener::from_std(socket.into())?;
        Ok(Self { socket, pause: SHORTEST_PAUSE, pausing: None })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next connection. When the system has no room for one, it is asked again after a
    /// pause that grows from 10 ms to 1 s.
    pub(crate) fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        stats: &TcpStats,
    ) -> Poll<(TcpStream, SocketAddr)> {
        loop {
            if let Some(pausing) = &mut self.pausing {
                if pausing.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.pausing = None;
            }
            match self.socket.poll_accept(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(accepted)) => {
                    self.pause = SHORTEST_PAUSE;
                    return Poll::Ready(accepted);
                }
                Poll::Ready(Err(error)) => {
                    stats.count(Count::AcceptFailure);
                    if !concerns_one_connection(&error) {
                        tracing::warn!(%error, pause = ?self.pause, "connections cannot be accepted");
                        self.pausing = Some(Box::pin(tokio::time::sleep(self.pause)));
                        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
                    }
                }
            }
        }
    }
}

/// Whether the error is that of a connection which ended before it was accepted.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

fn refused(address: SocketAddr, source: io::Error) -> TransportError {
    let port = address.port();
    let advice = match source.kind() {
        ErrorKind::AddrInUse => format!(
            "Another program listens on TCP port {port} (`ss -tlpn` shows it): choose another \
             port for this node, or 0 for any free one"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "No interface of this machine has the address {}: choose one that it has, or leave \
             the bind address out",
            address.ip()
        ),
        ErrorKind::PermissionDenied => {
            format!("Port {port} needs more rights: choose one above 1023")
        }
        _ => "Check the bind address and the port".to_owned(),
    };
    TransportError::Bind { address: address.to_string(), source, advice }
}
