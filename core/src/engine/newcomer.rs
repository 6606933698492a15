//! Connections that others began and that have not been proved: which are closed at once, and
//! how many there may be, so that whoever holds some keeps nobody else out.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Core;
use crate::counters::Drop;
use crate::endpoint::LinkId;
use crate::ports::{Close, Initiator};
use crate::time::Time;
use crate::wire::links::Link;

/// Connections that others began, oldest first; those that were proved since, or are gone, are
/// taken out when there are too many.
pub(super) type Newcomers = VecDeque<LinkId>;

impl Core {
    /// Notes a connection that somebody began. Where there are too many that nobody has proved,
    /// one of them makes room.
    pub(super) fn newcomer(&mut self, now: Time, link: LinkId) {
        if !self.is_newcomer(link) {
            return;
        }
        let mut all = std::mem::take(&mut self.newcomers);
        all.push_back(link);
        if all.len() > self.config.max_newcomers {
            all.retain(|link| self.is_newcomer(*link));
        }
        while all.len() > self.config.max_newcomers {
            let Some(place) = self.displaced(&all) else { break };
            if let Some(link) = all.remove(place) {
                self.drop_link(now, link, Close::Abort);
                self.limit_hit(now, "max_newcomers");
            }
        }
        self.newcomers = all;
    }

    /// Closes a connection of somebody who has not said hello and brings what cannot be
    /// read: whoever speaks LANC in this group does not, and a place for others is worth more.
    pub(super) fn turn_away(&mut self, now: Time, link: LinkId, why: Drop) {
        if is_hopeless(why) && self.is_newcomer(link) && !self.is_introduced(link) {
            self.drop_link(now, link, Close::Abort);
        }
    }

    /// Whether somebody else began a connection and has not proved it.
    fn is_newcomer(&self, id: LinkId) -> bool {
        let is_unproved =
            |link: &Link| !link.proved && !link.configured && link.initiator == Initiator::Them;
        self.is_connection(id) && self.links.get(id).is_some_and(is_unproved)
    }

    /// Which makes room. Half of the places are for those that have introduced themselves, which
    /// in keyed mode takes the key. Of the half that has too many it is the oldest of the host
    /// that has most of them, so that many from one place displace each other and no others;
    /// among equals, the host whose oldest is older.
    fn displaced(&self, all: &Newcomers) -> Option<usize> {
        let (known, unknown): (Vec<_>, Vec<_>) =
            (0..).zip(all).partition(|(_, link)| self.is_introduced(**link));
        let half = self.config.max_newcomers.div_ceil(2);
        let from = if unknown.len() > half || known.is_empty() { unknown } else { known };
        let mut hosts: BTreeMap<Option<IpAddr>, (usize, usize, usize)> = BTreeMap::new();
        for (age, (place, link)) in from.into_iter().rev().enumerate() {
            let remote = self.links.get(*link).and_then(|link| link.remote.ip());
            let (count, oldest, first) = hosts.entry(remote.map(neighbourhood)).or_default();
            *count += 1;
            (*oldest, *first) = (age, place);
        }
        hosts.into_values().max().map(|(_, _, place)| place)
    }

    fn is_introduced(&self, link: LinkId) -> bool {
        self.links.get(link).is_some_and(|link| link.peer.is_some() || link.seal.heard > 0)
    }
}

/// What is one host to the bound: all of loopback is, and an IPv6 network of 64 bits.
pub(super) fn neighbourhood(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        ip if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
        ip => ip,
    }
}

/// Whether a dropped frame shows that its sender speaks something else than LANC, or not in this
/// group. What was too much at a time, what another version says, and messages that come too
/// late or to nobody are none of these.
fn is_hopeless(why: Drop) -> bool {
    matches!(
        why,
        Drop::Empty
            | Drop::OffLink
            | Drop::Sealed
            | Drop::Plaintext
            | Drop::Envelope
            | Drop::WrongToken
            | Drop::Replayed
            | Drop::BadSeal
            | Drop::Compression
            | Drop::UnknownFormat
            | Drop::Malformed
            | Drop::TooDeep
            | Drop::TooMany
            | Drop::NotLanc
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one_host() {
        let of = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(of("127.9.9.9"), of("::1"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::2:3"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    #[test]
    fn who_speaks_lanc_too_much_or_otherwise_is_not_turned_away() {
        for kept in [
            Drop::RateLimited,
            Drop::Oversized,
            Drop::TooManyMessages,
            Drop::UnknownMethod,
            Drop::Version,
            Drop::Unsupported,
            Drop::BadField,
            Drop::TableFull,
            Drop::Late,
        ] {
            assert!(!is_hopeless(kept), "{}", kept.name());
        }
    }
}
