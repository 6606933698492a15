//! The network interfaces: where to broadcast, and which addresses are near.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use if_addrs::{IfAddr, IfOperStatus, Interface};
use lanc_core::ports::{Origin, TransportError};

use crate::config::{Interfaces, UdpConfig};

/// Where a broadcast to this host alone goes.
pub(crate) const LOOPBACK_BROADCAST: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

/// Which interfaces count, once names and addresses have been looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    Loopback,
    All,
    Named(Vec<String>),
    /// The interface that has this address.
    Address(IpAddr),
}

impl Scope {
    /// # Errors
    /// An interface that does not exist, or a bind address that contradicts the interfaces.
    pub(crate) fn of(config: &UdpConfig, known: &[Interface]) -> Result<Self, TransportError> {
        let scope = match (&config.interfaces, config.bind) {
            (Interfaces::Loopback, _) => Self::Loopback,
            (Interfaces::Named(names), _) => Self::named(names, known)?,
            (Interfaces::Auto, Some(address)) if address.is_loopback() => Self::Loopback,
            (Interfaces::Auto, Some(address)) if !address.is_unspecified() => {
                Self::Address(address)
            }
            (Interfaces::Auto, _) => Self::All,
        };
        let contradiction = config.bind.filter(|address| {
            !address.is_unspecified() && address.is_loopback() != (scope == Self::Loopback)
        });
        match contradiction {
            None => Ok(scope),
            Some(address) => Err(TransportError::Bind {
                address: address.to_string(),
                source: io::Error::from(io::ErrorKind::InvalidInput),
                advice: "The bind address and the chosen interfaces exclude each other: \
                         leave one of them out"
                    .to_owned(),
            }),
        }
    }

    fn named(names: &[String], known: &[Interface]) -> Result<Self, TransportError> {
        let has = |name: &String| known.iter().any(|interface| interface.name == *name);
        if let Some(missing) = names.iter().find(|name| !has(name)) {
            let mut known: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
            known.sort_unstable();
            known.dedup();
            return Err(TransportError::NoInterface {
                name: missing.clone(),
                known: known.join(", "),
            });
        }
        let chosen = |one: &&Interface| names.contains(&one.name);
        let loopback = !names.is_empty() && known.iter().filter(chosen).all(Interface::is_loopback);
        Ok(if loopback { Self::Loopback } else { Self::Named(names.to_vec()) })
    }

    /// The addresses of the interfaces that count and are up.
    pub(crate) fn addresses(&self, known: &[Interface]) -> Vec<IpAddr> {
        let up = known.iter().filter(|one| one.oper_status == IfOperStatus::Up);
        up.filter(|one| self.includes(one)).map(Interface::ip).collect()
    }

    fn includes(&self, interface: &Interface) -> bool {
        match self {
            Self::Loopback => interface.is_loopback(),
            Self::All => !interface.is_loopback(),
            Self::Named(names) => names.contains(&interface.name),
            Self::Address(address) => interface.ip() == *address,
        }
    }
}

/// A network prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Subnet {
    address: IpAddr,
    prefix: u8,
}

impl Subnet {
    fn contains(self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let host = 32u32.saturating_sub(u32::from(self.prefix));
                (u32::from(ours) ^ u32::from(theirs)).checked_shr(host).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let host = 128u32.saturating_sub(u32::from(self.prefix));
                (u128::from(ours) ^ u128::from(theirs)).checked_shr(host).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// What the interfaces look like at one moment. Two equal views mean nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct View {
    /// Addresses to broadcast to.
    pub(crate) targets: Vec<Ipv4Addr>,
    /// This host's addresses, loopback aside.
    own: Vec<IpAddr>,
    /// The networks of all interfaces, loopback aside.
    attached: Vec<Subnet>,
    /// The only networks whose broadcasts are heard, if there is a choice.
    heard: Option<Vec<Subnet>>,
}

impl View {
    /// Reads the interfaces of this host.
    ///
    /// # Errors
    /// The system's, when it does not list them.
    pub(crate) fn read(scope: &Scope) -> io::Result<Self> {
        // Loopback is the same everywhere; not asking keeps such a node independent of the host.
        if *scope == Scope::Loopback {
            return Ok(Self::of(scope, &[]));
        }
        Ok(Self::of(scope, &if_addrs::get_if_addrs()?))
    }

    fn of(scope: &Scope, interfaces: &[Interface]) -> Self {
        let mut view = Self::default();
        let (mut heard, mut loopback) = (Vec::new(), *scope == Scope::Loopback);
        for interface in interfaces.iter().filter(|one| one.oper_status == IfOperStatus::Up) {
            let subnet = subnet(interface);
            if !interface.is_loopback() {
                view.own.push(interface.ip());
                view.attached.push(subnet);
            }
            if scope.includes(interface) {
                loopback |= interface.is_loopback();
                heard.push(subnet);
                view.targets.extend(broadcast_address(interface));
            }
        }
        // Nodes of one host still find each other when its network is gone.
        if loopback || (*scope == Scope::All && view.targets.is_empty()) {
            view.targets.push(LOOPBACK_BROADCAST);
            heard.push(LOOPBACK_V4);
        }
        view.heard = (*scope != Scope::All).then_some(heard);
        for subnets in view.heard.iter_mut().chain([&mut view.attached]) {
            subnets.sort_unstable();
            subnets.dedup();
        }
        view.own.sort_unstable();
        view.targets.sort_unstable();
        view.targets.dedup();
        view
    }

    /// Where `ip` is, as seen from here.
    pub(crate) fn origin(&self, ip: IpAddr) -> Origin {
        if self.is_own(ip) {
            Origin::Host
        } else if self.attached.iter().any(|subnet| subnet.contains(ip)) {
            Origin::Network
        } else {
            Origin::Beyond
        }
    }

    /// Whether broadcasts from `ip` are listened to.
    pub(crate) fn hears(&self, ip: IpAddr) -> bool {
        self.heard.as_ref().is_none_or(|heard| heard.iter().any(|subnet| subnet.contains(ip)))
    }

    /// Whether `ip` is this host.
    pub(crate) fn is_own(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.own.contains(&ip)
    }

    /// An address of this host that others can dial, of the wanted family.
    pub(crate) fn dialable(&self, v6: bool) -> Option<IpAddr> {
        let near = |ip: &&IpAddr| match ip {
            IpAddr::V4(_) => !v6,
            IpAddr::V6(ip) => v6 && !ip.is_unicast_link_local(),
        };
        self.own.iter().find(near).copied()
    }
}

const LOOPBACK_V4: Subnet = Subnet { address: IpAddr::V4(Ipv4Addr::LOCALHOST), prefix: 8 };

fn subnet(interface: &Interface) -> Subnet {
    match &interface.addr {
        IfAddr::V4(v4) => Subnet { address: IpAddr::V4(v4.ip), prefix: v4.prefixlen },
        IfAddr::V6(v6) => Subnet { address: IpAddr::V6(v6.ip), prefix: v6.prefixlen },
    }
}

/// The directed broadcast address. A point-to-point interface reports its far end in that
/// field, and one without a real network its own address: neither can broadcast.
fn broadcast_address(interface: &Interface) -> Option<Ipv4Addr> {
    let IfAddr::V4(v4) = &interface.addr else { return None };
    if interface.is_p2p() || interface.is_loopback() || v4.prefixlen > 30 {
        return None;
    }
    v4.broadcast.filter(|broadcast| *broadcast != v4.ip && !broadcast.is_unspecified())
}

#[cfg(all(test, not(windows)))]
mod tests {
    use super::*;
    use if_addrs::Ifv4Addr;

    fn interface(name: &str, ip: [u8; 4], prefixlen: u8, broadcast: Option<[u8; 4]>) -> Interface {
        Interface {
            name: name.to_owned(),
            addr: IfAddr::V4(Ifv4Addr {
                ip: ip.into(),
                netmask: Ipv4Addr::from(u32::MAX << (32 - u32::from(prefixlen))),
                prefixlen,
                broadcast: broadcast.map(Ipv4Addr::from),
            }),
            index: Some(1),
            oper_status: IfOperStatus::Up,
            is_p2p: false,
        }
    }

    fn host() -> Vec<Interface> {
        let mut tunnel = interface("tun0", [10, 9, 0, 2], 24, Some([10, 9, 0, 1]));
        tunnel.is_p2p = true;
        let mut down = interface("eth2", [10, 2, 0, 2], 16, Some([10, 2, 255, 255]));
        down.oper_status = IfOperStatus::Down;
        vec![
            interface("lo", [127, 0, 0, 1], 8, Some([127, 0, 0, 1])),
            interface("eth0", [192, 168, 7, 4], 22, Some([192, 168, 7, 255])),
            interface("eth1", [10, 1, 0, 2], 16, Some([10, 1, 255, 255])),
            interface("one", [10, 3, 0, 2], 32, Some([10, 3, 0, 2])),
            tunnel,
            down,
        ]
    }

    #[allow(clippy::unwrap_used, reason = "the texts are in this file")]
    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn all_interfaces_that_can_broadcast_are_targets() {
        let view = View::of(&Scope::All, &host());
        assert_eq!(view.targets, [[10, 1, 255, 255], [192, 168, 7, 255]].map(Ipv4Addr::from));
        assert!(view.hears(ip("8.8.8.8")));
    }

    #[test]
    fn without_a_network_loopback_is_the_target() {
        for interfaces in [&host()[..1], &[]] {
            assert_eq!(View::of(&Scope::All, interfaces).targets, [LOOPBACK_BROADCAST]);
        }
    }

    #[test]
    fn a_named_interface_alone_is_sent_to_and_heard() {
        let view = View::of(&Scope::Named(vec!["eth1".to_owned()]), &host());
        assert_eq!(view.targets, [Ipv4Addr::new(10, 1, 255, 255)]);
        assert!(view.hears(ip("10.1.3.3")));
        assert!(!view.hears(ip("192.168.4.4")) && !view.hears(ip("127.0.0.1")));
        assert_eq!(View::of(&Scope::Address(ip("10.1.0.2")), &host()), view);
    }

    #[test]
    fn a_named_interface_that_is_down_is_no_target() {
        let view = View::of(&Scope::Named(vec!["eth2".to_owned()]), &host());
        assert!(view.targets.is_empty() && !view.hears(ip("10.2.0.9")));
    }

    #[test]
    fn near_is_what_an_interface_is_attached_to() {
        let view = View::of(&Scope::Named(vec!["eth1".to_owned()]), &host());
        for near in ["192.168.4.0", "192.168.7.255", "10.1.200.1", "10.9.0.7", "127.9.9.9", "::1"] {
            assert!(view.origin(ip(near)).is_near(), "{near}");
        }
        for far in ["192.168.8.0", "192.168.3.255", "10.2.0.9", "8.8.8.8", "fe80::1"] {
            assert_eq!(view.origin(ip(far)), Origin::Beyond, "{far}");
        }
        assert!(view.is_own(ip("192.168.7.4")) && !view.is_own(ip("192.168.7.5")));
        assert_eq!(view.origin(ip("192.168.7.4")), Origin::Host);
        assert_eq!(view.origin(ip("192.168.7.5")), Origin::Network);
    }

    #[test]
    fn loopback_hears_this_host_alone() {
        let view = View::read(&Scope::Loopback).unwrap();
        assert_eq!(view.targets, [LOOPBACK_BROADCAST]);
        assert!(view.hears(ip("127.3.2.1")) && !view.hears(ip("192.168.7.4")));
        assert_eq!(view.origin(ip("192.168.7.4")), Origin::Beyond);
        assert_eq!(view.origin(ip("127.3.2.1")), Origin::Host);
    }

    #[test]
    fn the_scope_follows_from_names_and_addresses() {
        let scope = |config: UdpConfig| Scope::of(&config, &host());
        let named = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            UdpConfig::default().with_interfaces(Interfaces::Named(names))
        };
        assert_eq!(scope(UdpConfig::default()).unwrap(), Scope::All);
        assert_eq!(scope(named(&["lo"])).unwrap(), Scope::Loopback);
        let loopback = UdpConfig::default().with_bind(ip("127.0.0.5"));
        assert_eq!(scope(loopback).unwrap(), Scope::Loopback);
        let one = UdpConfig::default().with_bind(ip("10.1.0.2"));
        assert_eq!(scope(one).unwrap(), Scope::Address(ip("10.1.0.2")));
        assert!(matches!(scope(named(&["lo", "eth0"])).unwrap(), Scope::Named(_)));
    }

    #[test]
    fn a_wrong_name_or_a_contradiction_says_what_to_do() {
        let config = UdpConfig::default().with_interfaces(Interfaces::Named(vec!["eht0".into()]));
        let error = Scope::of(&config, &host()).unwrap_err().to_string();
        assert_eq!(error, "no network interface `eht0`: there are eth0, eth1, eth2, lo, one, tun0");
        let config =
            UdpConfig::default().with_interfaces(Interfaces::Loopback).with_bind(ip("10.1.0.2"));
        let error = Scope::of(&config, &host()).unwrap_err().to_string();
        assert!(error.contains("10.1.0.2") && error.contains("leave one of them out"), "{error}");
    }
}
