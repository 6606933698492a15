//! To which address a datagram was sent: what tells a broadcast from a datagram to this host on the
//! port that several programs share.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use lanc_core::ports::Cast;
use tokio::net::UdpSocket;

/// Has the system tell the destination of what comes to a socket, where it can.
pub(crate) fn ask_for_destination(socket: &socket2::Socket) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) =
        nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::Ipv4PacketInfo, &true)
    {
        tracing::debug!(%error, "the system does not tell where datagrams were sent to");
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = socket;
}

/// Receives a datagram of the shared port: its length, who sent it, and how it was addressed.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn poll_shared(
    socket: &UdpSocket,
    cx: &mut Context<'_>,
    into: &mut [u8],
) -> Poll<io::Result<(usize, SocketAddr, Cast)>> {
    use tokio::io::Interest;
    loop {
        ready!(socket.poll_recv_ready(cx))?;
        match socket.try_io(Interest::READABLE, || receive(socket, into)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => return Poll::Ready(received),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn receive(socket: &UdpSocket, into: &mut [u8]) -> io::Result<(usize, SocketAddr, Cast)> {
    use std::net::Ipv4Addr;
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg};

    let mut pieces = [io::IoSliceMut::new(into)];
    let mut control = nix::cmsg_space!(libc::in_pktinfo);
    let flags = MsgFlags::empty();
    let message =
        recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut pieces, Some(&mut control), flags)?;
    let from = message.address.ok_or_else(|| io::Error::other("a datagram from nowhere"))?;
    let address = |raw: libc::in_addr| Ipv4Addr::from(u32::from_be(raw.s_addr));
    let mut cast = Cast::Broadcast;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::Ipv4PacketInfo(info) = part {
            // The header's destination is one of this host's own addresses, or a broadcast.
            let own = address(info.ipi_spec_dst);
            if address(info.ipi_addr) == own && !own.is_broadcast() {
                cast = Cast::Shared;
            }
        }
    }
    Ok((message.bytes, SocketAddr::new(from.ip().into(), from.port()), cast))
}

/// Where the system is not asked, everything on the shared port counts as broadcast.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn poll_shared(
    socket: &UdpSocket,
    cx: &mut Context<'_>,
    into: &mut [u8],
) -> Poll<io::Result<(usize, SocketAddr, Cast)>> {
    let mut room = tokio::io::ReadBuf::new(into);
    let from = ready!(socket.poll_recv_from(cx, &mut room))?;
    Poll::Ready(Ok((room.filled().len(), from, Cast::Broadcast)))
}
