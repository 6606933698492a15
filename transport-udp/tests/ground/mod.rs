//! A piece of loopback for one test: a broadcast port that nobody else uses.

use std::net::Ipv4Addr;

use lanc_transport_udp::{Interfaces, UdpConfig};
use socket2::{Domain, Socket, Type};

/// Holds a broadcast port, shareable, so that no other test is given it meanwhile.
pub(crate) struct Ground {
    pub(crate) port: u16,
    _held: Socket,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let held = || -> std::io::Result<(Socket, Option<u16>)> {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
            socket.set_reuse_address(true)?;
            // Nobody reads it, so it keeps as little as it may of what is broadcast.
            socket.set_recv_buffer_size(0)?;
            let address = std::net::SocketAddr::from((Ipv4Addr::new(127, 255, 255, 255), 0));
            socket.bind(&address.into())?;
            let port = socket.local_addr()?.as_socket().map(|address| address.port());
            Ok((socket, port))
        };
        match held() {
            Ok((held, Some(port))) => Self { port, _held: held },
            other => panic!("no broadcast port on loopback: {other:?}"),
        }
    }

    pub(crate) fn config(&self) -> UdpConfig {
        UdpConfig::default().with_interfaces(Interfaces::Loopback).with_port(self.port)
    }
}
