//! How many connections there may be, and whose; and which one makes room for another.

use std::collections::{BTreeMap, VecDeque};
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

/// What an accepted connection finds taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    /// All places.
    Total,
    /// Those of its host.
    Host,
    /// Those of connections that have said nothing.
    Silent,
}

impl Full {
    /// The setting that is in the way.
    pub(crate) const fn limit(self) -> &'static str {
        match self {
            Self::Total => "max_connections",
            Self::Host => "max_per_host",
            Self::Silent => "max_silent",
        }
    }

    /// The counter of a connection that is refused for it.
    pub(crate) const fn count(self) -> Count {
        match self {
            Self::Host => Count::RefusedHost,
            // Where the silent are in the way, one of them goes: nobody is refused for them.
            Self::Total | Self::Silent => Count::RefusedTotal,
        }
    }
}

/// The places that are taken.
pub(crate) struct Admission {
    max_total: usize,
    max_per_host: usize,
    max_silent: usize,
    total: usize,
    hosts: BTreeMap<Host, usize>,
    /// The slots of those that have sent nothing, oldest first, and whose they are.
    silent: VecDeque<(u32, Option<Host>)>,
}

impl Admission {
    pub(crate) fn new(config: &TcpConfig) -> Self {
        Self {
            max_total: config.max_connections,
            max_per_host: config.max_per_host,
            max_silent: config.max_silent,
            total: 0,
            hosts: BTreeMap::new(),
            silent: VecDeque::new(),
        }
    }

    /// Takes a place for a connection to be dialled. `false`: there is none.
    pub(crate) fn dial(&mut self) -> bool {
        let has_room = self.total < self.max_total;
        self.total += usize::from(has_room);
        has_room
    }

    /// Takes a place for an accepted connection.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn accept(&mut self, host: Option<Host>) -> Result<(), Full> {
        // First, so that nobody else makes room for a host that may have no more anyway.
        let known = host.and_then(|host| self.hosts.get(&host)).copied().unwrap_or(0);
        if known >= self.max_per_host {
            return Err(Full::Host);
        }
        if self.silent.len() >= self.max_silent {
            return Err(Full::Silent);
        }
        if self.total >= self.max_total {
            return Err(Full::Total);
        }
        if let Some(host) = host {
            self.hosts.insert(host, known + 1);
        }
        self.total += 1;
        Ok(())
    }

    /// The slot of the silent connection that makes room for one of `host`: the oldest of the
    /// host that has most of them, so that many from one place displace each other and no others.
    pub(crate) fn displaced(&self, why: Full, host: Option<Host>) -> Option<u32> {
        let owner = match why {
            Full::Host => host,
            Full::Total | Full::Silent => self.most_silent(),
        };
        self.silent.iter().find(|(_, of)| *of == owner).map(|(slot, _)| *slot)
    }

    /// The host with most silent connections; among equals, the one whose oldest is older.
    fn most_silent(&self) -> Option<Host> {
        let mut counts: BTreeMap<Option<Host>, (usize, usize)> = BTreeMap::new();
        for (age, (_, host)) in self.silent.iter().rev().enumerate() {
            let (count, oldest) = counts.entry(*host).or_default();
            *count += 1;
            *oldest = age;
        }
        counts.into_iter().max_by_key(|(_, order)| *order).and_then(|(host, _)| host)
    }

    /// An accepted connection has its slot, and is silent until [`Self::spoke`].
    pub(crate) fn listens(&mut self, slot: u32, host: Option<Host>) {
        self.silent.push_back((slot, host));
    }

    /// An accepted connection has sent its first frame, or never will.
    pub(crate) fn spoke(&mut self, slot: u32) {
        if let Some(place) = self.silent.iter().position(|(silent, _)| *silent == slot) {
            self.silent.remove(place);
        }
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
            assert_eq!(admission.accept(far), Ok(()));
        }
        assert_eq!(admission.accept(far), Err(Full::Host));
        assert_eq!(admission.accept(host("::ffff:192.0.2.7")), Err(Full::Host));
        assert_eq!(admission.accept(host("192.0.2.8")), Ok(()));
        admission.leave(far);
        assert_eq!(admission.accept(far), Ok(()));
        assert_eq!((host("127.9.9.9"), host("::1"), host("::ffff:127.0.0.1")), (None, None, None));
        assert_eq!(host("2001:db8::1"), host("2001:db8::ffff:2"));
        assert_ne!(host("2001:db8::1"), host("2001:db8:0:1::1"));
    }

    #[test]
    fn the_silent_and_all_together_are_bounded() {
        let mut admission = Admission::new(&TcpConfig::default());
        for slot in 0..32 {
            assert_eq!(admission.accept(None), Ok(()));
            admission.listens(slot, None);
        }
        assert_eq!(admission.accept(None), Err(Full::Silent));
        for slot in 32..256 {
            admission.spoke(slot - 32);
            assert_eq!(admission.accept(None), Ok(()));
            admission.listens(slot, None);
        }
        admission.spoke(255);
        assert_eq!(admission.accept(None), Err(Full::Total));
        assert!(!admission.dial());
        admission.leave(None);
        assert!(admission.dial());
        assert_eq!(admission.accept(None), Err(Full::Total));
    }

    #[test]
    fn the_oldest_silent_one_of_the_host_with_most_makes_room() {
        let mut admission = Admission::new(&TcpConfig::default());
        let (far, near) = (host("192.0.2.7"), host("192.0.2.8"));
        assert_eq!(admission.displaced(Full::Total, far), None, "all have spoken");
        for (slot, host) in [(3, near), (1, far), (2, far), (4, near), (5, far), (6, None)] {
            admission.listens(slot, host);
        }
        let displaced = |admission: &Admission, why, host| admission.displaced(why, host);
        assert_eq!(displaced(&admission, Full::Silent, near), Some(1));
        assert_eq!(displaced(&admission, Full::Total, None), Some(1));
        assert_eq!(displaced(&admission, Full::Host, near), Some(3), "its own, for its own share");
        admission.spoke(1);
        assert_eq!(displaced(&admission, Full::Silent, None), Some(3), "the older of two equals");
        for slot in [2, 3, 4, 5] {
            admission.spoke(slot);
        }
        assert_eq!(displaced(&admission, Full::Silent, far), Some(6), "loopback is one place");
        assert_eq!(displaced(&admission, Full::Host, far), None);
    }

    #[test]
    fn hosts_that_left_are_forgotten() {
        let mut admission = Admission::new(&TcpConfig::default());
        for number in 0..100_u8 {
            let host = Host::of(IpAddr::from([192, 0, 2, number]));
            assert_eq!(admission.accept(host), Ok(()));
            admission.listens(u32::from(number), host);
            admission.spoke(u32::from(number));
            admission.leave(host);
        }
        assert!(admission.hosts.is_empty());
        assert_eq!((admission.total, admission.silent.len()), (0, 0));
    }
}
