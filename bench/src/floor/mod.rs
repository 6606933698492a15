//! The same calls over bare sockets: what no protocol can be faster than in the same shape.

mod message;
mod patience;
mod raw_tcp_tokio;
mod raw_udp_std;
mod raw_udp_tokio;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use socket2::SockRef;
use tokio::runtime::Runtime;

use crate::Fallible;
use crate::args::{FloorKind, Options};
use crate::attend::{Stats, attend};
use crate::load::Load;

/// Serves until stdin ends.
pub(crate) fn server(kind: FloorKind, runtime: &Runtime) -> Fallible<()> {
    runtime.block_on(async {
        let address = match kind {
            FloorKind::UdpStd => raw_udp_std::serve()?,
            FloorKind::UdpTokio => raw_udp_tokio::serve().await?,
            FloorKind::TcpTokio => raw_tcp_tokio::serve().await?,
        };
        attend(address, Stats::of_process).await
    })
}

/// Measures and prints the line.
pub(crate) fn client(
    kind: FloorKind,
    runtime: &Runtime,
    address: SocketAddr,
    load: Load,
    options: &Options,
) -> Fallible<()> {
    if load.payload > 0 && kind != FloorKind::TcpTokio {
        return Err("only raw-tcp-tokio echoes bytes: a datagram does not hold them".into());
    }
    let report = match kind {
        FloorKind::UdpStd => raw_udp_std::measure(address, load)?,
        FloorKind::UdpTokio => runtime.block_on(raw_udp_tokio::measure(address, load))?,
        FloorKind::TcpTokio => runtime.block_on(raw_tcp_tokio::measure(address, load))?,
    };
    options.print(&report)
}

/// What the UDP transport asks the system for: without it, datagrams of 256 calls in flight are
/// lost.
const BUFFER: usize = 4 << 20;

/// A socket on loopback with as much room as a LANC node has.
fn udp_socket() -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    SockRef::from(&socket).set_recv_buffer_size(BUFFER)?;
    SockRef::from(&socket).set_send_buffer_size(BUFFER)?;
    Ok(socket)
}
