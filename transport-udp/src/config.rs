//! What a UDP transport is configured with.

use std::net::IpAddr;

use crate::links::FrameLimits;

/// Which network interfaces a node broadcasts on and listens to for broadcasts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Interfaces {
    /// Every interface that is up, is not loopback and can broadcast over IPv4; loopback while
    /// there is none.
    #[default]
    Auto,
    /// The interfaces of these names. Broadcasts from elsewhere are not heard. Naming only the
    /// loopback interface is [`Self::Loopback`].
    Named(Vec<String>),
    /// This host alone: nothing is sent to, or heard from, another machine.
    Loopback,
}

/// Settings of a [`UdpTransport`](crate::UdpTransport).
#[derive(Clone, Debug)]
pub struct UdpConfig {
    pub(crate) port: u16,
    pub(crate) bind: Option<IpAddr>,
    pub(crate) private_port: u16,
    pub(crate) interfaces: Interfaces,
    pub(crate) receive_buffer: usize,
    pub(crate) send_buffer: usize,
    pub(crate) max_links: usize,
    pub(crate) max_frame: usize,
    pub(crate) max_host_frame: usize,
    pub(crate) discovery: bool,
}

impl Default for UdpConfig {
    fn default() -> Self {
        Self {
            port: Self::PORT,
            bind: None,
            private_port: 0,
            interfaces: Interfaces::Auto,
            receive_buffer: 4 << 20,
            send_buffer: 4 << 20,
            max_links: 8192,
            max_frame: Self::MAX_FRAME,
            max_host_frame: 4096,
            discovery: true,
        }
    }
}

impl UdpConfig {
    /// The port that LANC nodes broadcast to.
    pub const PORT: u16 = 5127;
    /// The largest frame that fits an Ethernet packet over IPv4, in bytes.
    pub const MAX_FRAME: usize = 1472;
    /// The largest broadcast frame, in bytes: what the oldest peers read.
    pub const MAX_BROADCAST: usize = 1024;
    /// The smallest limit of a frame that [`Self::with_max_frame`] takes, in bytes.
    pub const MIN_FRAME: usize = 1200;
    /// The largest frame that UDP over IPv4 carries at all, in bytes.
    pub const MAX_DATAGRAM: usize = 65_507;

    /// The shared broadcast port. Default 5127; all nodes must agree on it. 0 turns
    /// discovery off.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The address of the private socket. Default: 127.0.0.1 with [`Interfaces::Loopback`],
    /// else 0.0.0.0. A loopback address implies [`Interfaces::Loopback`]; an address of one
    /// interface limits broadcasts to that interface; an IPv6 address gives an IPv6 node,
    /// which has no broadcast.
    #[must_use]
    pub fn with_bind(mut self, address: IpAddr) -> Self {
        self.bind = Some(address);
        self
    }

    /// The port of the private socket. Default 0: any free one.
    #[must_use]
    pub fn with_private_port(mut self, port: u16) -> Self {
        self.private_port = port;
        self
    }

    /// The interfaces to broadcast on. Default [`Interfaces::Auto`].
    #[must_use]
    pub fn with_interfaces(mut self, interfaces: Interfaces) -> Self {
        self.interfaces = interfaces;
        self
    }

    /// The receive and send buffers to ask the system for, in bytes. Default 4 MiB each. The
    /// system may give less: see [`UdpStats::receive_buffer`](crate::UdpStats::receive_buffer).
    #[must_use]
    pub fn with_buffers(mut self, receive: usize, send: usize) -> Self {
        self.receive_buffer = receive;
        self.send_buffer = send;
        self
    }

    /// How many links (remote addresses) are kept at once. Default 8192; at least 1, at most
    /// 1,048,576. Frames from further addresses are dropped and counted.
    #[must_use]
    pub fn with_max_links(mut self, links: usize) -> Self {
        self.max_links = links.clamp(1, 1 << 20);
        self
    }

    /// The largest frame to send to another host, in bytes. Default 1472; 1200 to 1472, where
    /// values outside mean the nearer end. Over IPv6 it is at most 1452. Larger frames are still
    /// received.
    #[must_use]
    pub fn with_max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes.clamp(Self::MIN_FRAME, Self::MAX_FRAME);
        self
    }

    /// The largest frame to send to another program of this host, in bytes: no Ethernet packet
    /// bounds it, and fewer frames cost less. Default 4096, which is what a node takes of whom it
    /// does not know yet ([`max_unproved_frame`]); 1200 to 65,507, where values outside mean the
    /// nearer end.
    ///
    /// [`max_unproved_frame`]: lanc_core::config::Config::with_max_unproved_frame
    #[must_use]
    pub fn with_max_host_frame(mut self, bytes: usize) -> Self {
        self.max_host_frame = bytes.clamp(Self::MIN_FRAME, Self::MAX_DATAGRAM);
        self
    }

    /// Whether to broadcast and listen to broadcasts. Default on. Without it the shared port is
    /// not opened, and peers are found by configuration only.
    #[must_use]
    pub fn with_discovery(mut self, discovery: bool) -> Self {
        self.discovery = discovery;
        self
    }

    /// Whether this node broadcasts: IPv6 has no broadcast.
    pub(crate) fn broadcasts(&self) -> bool {
        self.discovery && self.port != 0 && !self.is_v6()
    }

    pub(crate) fn is_v6(&self) -> bool {
        self.bind.is_some_and(|address| address.is_ipv6())
    }

    /// How large frames may be. An IPv6 header's 20 bytes more leave less of an Ethernet packet.
    pub(crate) fn frame_limits(&self) -> FrameLimits {
        let any = if self.is_v6() { self.max_frame.min(1452) } else { self.max_frame };
        FrameLimits { any, host: self.max_host_frame }
    }
}
