//! The networks this host is attached to.

use std::net::IpAddr;
use std::time::Duration;

use if_addrs::{IfAddr, Interface};
use lanc_core::ports::Origin;
use tokio::time::Instant;

/// Reading the interfaces costs system calls: at most this often.
const REREAD: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Networks {
    attached: Vec<Interface>,
    read: Option<Instant>,
}

impl Networks {
    /// Where `ip` is, as seen from here.
    pub(crate) fn origin(&mut self, ip: IpAddr) -> Origin {
        let ip = ip.to_canonical();
        if ip.is_loopback() {
            return Origin::Host;
        }
        let attached = self.attached();
        let is_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        if attached.iter().any(|known| known.ip() == ip) {
            Origin::Host
        } else if is_local || attached.iter().any(|known| contains(network(known), ip)) {
            Origin::Network
        } else {
            Origin::Beyond
        }
    }

    /// Whether one of the interfaces of these names has this address.
    pub(crate) fn is_of(&mut self, names: &[String], ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.attached().iter().any(|known| known.ip() == ip && names.contains(&known.name))
    }

    /// The interfaces, as they were a second ago at most.
    fn attached(&mut self) -> &[Interface] {
        if self.read.is_none_or(|read| read.elapsed() >= REREAD) {
            self.read = Some(Instant::now());
            match if_addrs::get_if_addrs() {
                Ok(interfaces) => self.attached = interfaces,
                Err(error) => tracing::debug!(%error, "the interfaces could not be listed"),
            }
        }
        &self.attached
    }
}

/// An address of this host that others can dial, if it has one.
pub(crate) fn dialable(v6: bool) -> Option<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses = interfaces.iter().map(Interface::ip);
    addresses.find(|ip| {
        let is_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        ip.is_ipv6() == v6 && !ip.is_loopback() && !is_local
    })
}

fn network(interface: &Interface) -> (IpAddr, u8) {
    match &interface.addr {
        IfAddr::V4(v4) => (v4.ip.into(), v4.prefixlen),
        IfAddr::V6(v6) => (v6.ip.into(), v6.prefixlen),
    }
}

fn contains((address, prefix): (IpAddr, u8), ip: IpAddr) -> bool {
    let (differing, width) = match (address, ip) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(u32::from(a) ^ u32::from(b)), 32u32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b), 128),
        _ => return false,
    };
    let host = width.saturating_sub(u32::from(prefix));
    differing.checked_shr(host).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_what_a_network_contains() {
        let near = |network: &str, prefix, ip: &str| {
            contains((network.parse().unwrap(), prefix), ip.parse().unwrap())
        };
        assert!(near("192.168.1.4", 24, "192.168.1.200"));
        assert!(!near("192.168.1.4", 24, "192.168.2.4"));
        assert!(near("10.0.0.1", 0, "1.2.3.4"));
        assert!(!near("10.0.0.1", 32, "10.0.0.2"));
        assert!(near("2001:db8::1", 64, "2001:db8::2"));
        assert!(near("2001:db8::1", 0, "::2"));
        assert!(!near("2001:db8::1", 64, "10.0.0.1"));
    }
}
