//! What a TCP transport is configured with.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Settings of a [`TcpTransport`](crate::TcpTransport).
#[derive(Clone, Debug)]
pub struct TcpConfig {
    pub(crate) bind: IpAddr,
    pub(crate) interfaces: Option<Vec<String>>,
    pub(crate) port: u16,
    pub(crate) max_frame: usize,
    pub(crate) max_connections: usize,
    pub(crate) max_per_host: usize,
    pub(crate) max_silent: usize,
    pub(crate) first_frame: Duration,
    pub(crate) write_stall: Duration,
    pub(crate) connect: Duration,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::UNSPECIFIED.into(),
            interfaces: None,
            port: 0,
            max_frame: Self::MAX_FRAME,
            max_connections: 256,
            max_per_host: 8,
            max_silent: 32,
            first_frame: Duration::from_secs(3),
            write_stall: Duration::from_secs(10),
            connect: Duration::from_secs(5),
        }
    }
}

impl TcpConfig {
    /// The largest frame unless configured, in bytes without its header.
    pub const MAX_FRAME: usize = 65 * 1024;
    /// The smallest limit of a frame that [`Self::with_max_frame`] takes, in bytes.
    pub const MIN_FRAME: usize = 1200;
    /// The largest one.
    pub const MAX_FRAME_CEILING: usize = 1 << 20;

    /// The address to listen on. Default 0.0.0.0. With a loopback address the node keeps to
    /// this host: it dials no other.
    #[must_use]
    pub fn with_bind(mut self, address: IpAddr) -> Self {
        self.bind = address;
        self
    }

    /// The network interfaces on whose addresses connections are accepted; those that come to
    /// another address of this host are refused and counted. Default: all.
    #[must_use]
    pub fn with_interfaces(mut self, names: Vec<String>) -> Self {
        self.interfaces = Some(names);
        self
    }

    /// The port to listen on. Default 0: any free one.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The largest frame to send and to receive, in bytes without its header. Default
    /// 65 KiB: 64 of the user's own and what stands around them;
    /// 1200 bytes to 1 MiB, where values outside mean the nearer end. A connection that
    /// announces a larger frame is closed, so all nodes should agree on it. A connection that
    /// carries large frames keeps up to that much memory to receive, and 64 KiB to send; a
    /// larger frame only until it has left.
    #[must_use]
    pub fn with_max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes.clamp(Self::MIN_FRAME, Self::MAX_FRAME_CEILING);
        self
    }

    /// How many connections there are at once, dialled and accepted. Default 256; 1 to 65,536.
    /// Further ones are refused and counted, unless a silent one can make room. Of those that
    /// others began and did not prove, the node itself keeps no more than a few
    /// ([`Config::max_newcomers`](lanc_core::Config::max_newcomers)): give it fewer if this is
    /// small.
    #[must_use]
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.clamp(1, 1 << 16);
        self
    }

    /// How many accepted connections one IPv4 address or one IPv6 network of 64 bits may have;
    /// not counted on loopback. Default 8, at least 1.
    #[must_use]
    pub fn with_max_per_host(mut self, connections: usize) -> Self {
        self.max_per_host = connections.max(1);
        self
    }

    /// How many accepted connections may be waiting for their first frame. Default 32; 1 to
    /// 4096. One more closes the oldest, of the host that has most of them; so it is where the
    /// bounds of all connections, or of its host, are reached.
    #[must_use]
    pub fn with_max_silent(mut self, connections: usize) -> Self {
        self.max_silent = connections.clamp(1, 1 << 12);
        self
    }

    /// How long an accepted connection may wait with its first frame before it is closed.
    /// Default 3 s. Like the other times kept to a quarter of a second.
    #[must_use]
    pub fn with_first_frame_within(mut self, time: Duration) -> Self {
        self.first_frame = time;
        self
    }

    /// How long a connection that has something to send may take nothing of it before it is
    /// closed. Default 10 s.
    #[must_use]
    pub fn with_write_stall(mut self, time: Duration) -> Self {
        self.write_stall = time;
        self
    }

    /// How long dialling may take. Default 5 s.
    #[must_use]
    pub fn with_connect_within(mut self, time: Duration) -> Self {
        self.connect = time;
        self
    }
}
