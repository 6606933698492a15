//! How many connections there may be, and whose.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::config::TcpConfig;
use crate::stats::Count;

/// Whom an accepted connection counts for: an IPv4 address or an IPv6 network of 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Host(IpAddr);

impl Host {
    /// `None`: a loopback address, which is not counted.
    pub(crate) fn of(ip: IpAddr) -> Option<Self> {
        match ip.to_canonical() {
            ip if ip.is_loopback() => None,
            IpAddr::V6(ip) => {
                let network = u128::from(ip) >> 64 << 64;
                Some(Self(Ipv6Addr::from(network).into()))
            }
            ip => Some(Self(ip)),
        }
    }
}

/// The places that are taken.
pub(crate) struct Admission {
    max_total: usize,
    max_per_host: usize,
    max_silent: usize,
    total: usize,
    silent: usize,
    hosts: BTreeMap<Host, usize>,
}

impl Admission {
    pub(crate) fn new(config: &TcpConfig) -> Self {
        Self {
            max_total: config.max_connections,
            max_per_host: config.max_per_host,
            max_silent: config.max_silent,
            total: 0,
            silent: 0,
            hosts: BTreeMap::new(),
        }
    }

    /// Takes a place for a connection to be dialled. `false`: there is none.
    pub(crate) fn dial(&mut self) -> bool {
        let has_room = self.total < self.max_total;
        self.total += usize::from(has_room);
        has_room
    }

    /// Takes a place for an accepted connection, which is silent until [`Self::spoke`].
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn accept(&mut self, host: Option<Host>) -> Result<(), Count> {
        if self.total >= self.max_total {
            return Err(Count::RefusedTotal);
        }
        if self.silent >= self.max_silent {
            return Err(Count::RefusedSilent);
        }
        if let Some(host) = host {
            let known = self.hosts.get(&host).copied().unwrap_or(0);
            if known >= self.max_per_host {
                return Err(Count::RefusedHost);
            }
            self.hosts.insert(host, known + 1);
        }
        self.total += 1;
        self.silent += 1;
        Ok(())
    }

    /// An accepted connection has sent its first frame, or never will.
    pub(crate) fn spoke(&mut self) {
        self.silent = self.silent.saturating_sub(1);
    }

    /// Gives a place back.
    pub(crate) fn leave(&mut self, host: Option<Host>) {
        self.total = self.total.saturating_sub(1);
        let Some(host) = host else { return };
        match self.hosts.get_mut(&host) {
            Some(known) if *known > 1 => *known -= 1,
            _ => drop(self.hosts.remove(&host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Option<Host> {
        Host::of(text.parse().unwrap())
    }

    #[test]
    fn a_host_has_its_share_and_loopback_is_not_counted() {
        let mut admission = Admission::new(&TcpConfig::default());
        let far = host("192.0.2.7");
        for _ in 0..8 {
            assert!(admission.accept(far).is_ok());
            admission.spoke();
        }
        assert!(matches!(admission.accept(far), Err(Count::RefusedHost)));
        assert!(matches!(admission.accept(host("::ffff:192.0.2.7")), Err(Count::RefusedHost)));
        assert!(admission.accept(host("192.0.2.8")).is_ok());
        admission.leave(far);
        assert!(admission.accept(far).is_ok());
        assert_eq!((host("127.9.9.9"), host("::1"), host("::ffff:127.0.0.1")), (None, None, None));
        assert_eq!(host("2001:db8::1"), host("2001:db8::ffff:2"));
        assert_ne!(host("2001:db8::1"), host("2001:db8:0:1::1"));
    }

    #[test]
    fn the_silent_and_all_together_are_bounded() {
        let mut admission = Admission::new(&TcpConfig::default());
        for _ in 0..32 {
            assert!(admission.accept(None).is_ok());
        }
        assert!(matches!(admission.accept(None), Err(Count::RefusedSilent)));
        for _ in 32..256 {
            admission.spoke();
            assert!(admission.accept(None).is_ok());
        }
        admission.spoke();
        assert!(matches!(admission.accept(None), Err(Count::RefusedTotal)));
        assert!(!admission.dial());
        admission.leave(None);
        assert!(admission.dial());
        assert!(matches!(admission.accept(None), Err(Count::RefusedTotal)));
    }

    #[test]
    fn hosts_that_left_are_forgotten() {
        let mut admission = Admission::new(&TcpConfig::default());
        for number in 0..100_u8 {
            let host = Host::of(IpAddr::from([192, 0, 2, number]));
            assert!(admission.accept(host).is_ok());
            admission.spoke();
            admission.leave(host);
        }
        assert!(admission.hosts.is_empty());
        assert_eq!((admission.total, admission.silent), (0, 0));
    }
}
