//! What the chosen interfaces reach, for programs that speak beside a node: before it, say.

use std::net::{IpAddr, Ipv4Addr};

use lanc_core::ports::{Origin, TransportError};

use crate::config::UdpConfig;
use crate::interfaces::{Scope, View};

/// What a [`UdpTransport`](crate::UdpTransport) of the same configuration would broadcast to and
/// listen to, at one moment.
#[derive(Clone, Debug)]
pub struct Reach {
    scope: Scope,
    view: View,
    addresses: Vec<IpAddr>,
}

impl Reach {
    /// Looks at the interfaces of this host.
    ///
    /// # Errors
    /// As opening the transport: an interface that does not exist, say.
    pub fn of(config: &UdpConfig) -> Result<Self, TransportError> {
        let known = if_addrs::get_if_addrs()?;
        let scope = Scope::of(config, &known)?;
        let view = View::read(&scope)?;
        let addresses = scope.addresses(&known);
        Ok(Self { scope, view, addresses })
    }

    /// Whether it is this host alone.
    pub fn is_loopback(&self) -> bool {
        self.scope == Scope::Loopback
    }

    /// Addresses that a broadcast goes to.
    pub fn targets(&self) -> &[Ipv4Addr] {
        &self.view.targets
    }

    /// The addresses of the chosen interfaces.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Whether `ip` is on a network of the chosen interfaces, or on this host.
    pub fn is_near(&self, ip: IpAddr) -> bool {
        match self.view.origin(ip) {
            Origin::Host => !self.is_loopback() || ip.is_loopback(),
            _ => self.view.origin(ip).is_near() && self.view.hears(ip),
        }
    }
}
