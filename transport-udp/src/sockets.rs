//! Making the two sockets.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lanc_core::ports::TransportError;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::config::UdpConfig;
use crate::destination::ask_for_destination;
use crate::interfaces::LOOPBACK_BROADCAST;

/// What the system granted, in bytes.
pub(crate) struct Buffers {
    pub(crate) receive: usize,
    pub(crate) send: usize,
}

/// The socket everything is sent from, and unicast comes to.
pub(crate) fn private(
    config: &UdpConfig,
    ip: IpAddr,
) -> Result<(UdpSocket, Buffers), TransportError> {
    let address = SocketAddr::new(ip, config.private_port);
    let socket = new(address)?;
    if config.broadcasts() {
        socket.set_broadcast(true)?;
    }
    let granted = buffers(&socket, config)?;
    socket.bind(&address.into()).map_err(|source| refused(address, source, Which::Private))?;
    Ok((UdpSocket::from_std(socket.into())?, granted))
}

/// The socket broadcasts come to, shared with all nodes of this host.
pub(crate) fn shared(config: &UdpConfig, loopback: bool) -> Result<UdpSocket, TransportError> {
    let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), config.port);
    if loopback {
        // Bound to the broadcast address itself, a socket hears broadcasts to it and nothing
        // else. Where the system has no such address the source decides, frame by frame.
        let address = SocketAddr::new(LOOPBACK_BROADCAST.into(), config.port);
        match bind_shared(config, address) {
            Err(TransportError::Bind { source, .. })
                if source.kind() == ErrorKind::AddrNotAvailable => {}
            bound => return bound,
        }
    }
    bind_shared(config, everywhere)
}

fn bind_shared(config: &UdpConfig, address: SocketAddr) -> Result<UdpSocket, TransportError> {
    let socket = new(address)?;
    socket.set_reuse_address(true)?;
    // Elsewhere this is what lets several sockets hear one broadcast. On Linux it would deal
    // datagrams out among them instead.
    #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
    socket.set_reuse_port(true)?;
    buffers(&socket, config)?;
    ask_for_destination(&socket);
    socket.bind(&address.into()).map_err(|source| refused(address, source, Which::Shared))?;
    Ok(UdpSocket::from_std(socket.into())?)
}

fn new(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Asks for the configured buffers and reads back what there is: systems clamp in silence.
fn buffers(socket: &Socket, config: &UdpConfig) -> io::Result<Buffers> {
    // A system that refuses a size outright keeps its default, which is read back as well.
    let _ = socket.set_recv_buffer_size(config.receive_buffer);
    let _ = socket.set_send_buffer_size(config.send_buffer);
    let granted = Buffers {
        receive: usable(socket.recv_buffer_size()?),
        send: usable(socket.send_buffer_size()?),
    };
    for (name, asked, got, setting) in [
        ("receive", config.receive_buffer, granted.receive, "net.core.rmem_max"),
        ("send", config.send_buffer, granted.send, "net.core.wmem_max"),
    ] {
        if got < asked {
            tracing::warn!(
                asked,
                got,
                "the system clamped the UDP {name} buffer: bursts may be dropped (on Linux, raise {setting})"
            );
        }
    }
    Ok(granted)
}

/// Linux reports twice what was set, to cover its own bookkeeping.
fn usable(reported: usize) -> usize {
    if cfg!(any(target_os = "linux", target_os = "android")) { reported / 2 } else { reported }
}

#[derive(Clone, Copy)]
enum Which {
    Private,
    Shared,
}

fn refused(address: SocketAddr, source: io::Error, which: Which) -> TransportError {
    let port = address.port();
    let advice = match (source.kind(), which) {
        (ErrorKind::AddrInUse, Which::Shared) => format!(
            "Another program holds UDP port {port} and does not share it: stop it (`ss -ulpn` \
             shows it), choose another broadcast port on all nodes, or turn discovery off and \
             name the peers"
        ),
        (ErrorKind::AddrInUse, Which::Private) => format!(
            "Another program holds UDP port {port}: choose another port for this node, or 0 for \
             any free one"
        ),
        (ErrorKind::AddrNotAvailable, _) => format!(
            "No interface of this machine has the address {}: choose one that it has, or leave \
             the bind address out",
            address.ip()
        ),
        (ErrorKind::PermissionDenied, _) => {
            format!("Port {port} needs more rights: choose one above 1023")
        }
        _ => "Check the bind address and the ports".to_owned(),
    };
    TransportError::Bind { address: address.to_string(), source, advice }
}
