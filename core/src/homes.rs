//! The homes of older programs: one per host, at the port where its program listens, and what it
//! takes not to harm the program that lives there.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::dialect::Dialect;
use crate::endpoint::{Endpoint, LinkId};
use crate::keyed::{HashKey, KeyedMap};
use crate::ports::Cast;
use crate::time::Time;
use crate::wire::outbox::Outgoing;

/// Hosts of older programs known at once.
pub(crate) const MAX_HOMES: usize = 1024;
/// Frames of one host that wait for its link.
const MAX_EARLY: usize = 16;
/// Messages to one host that are held back.
const MAX_WAITING: usize = 1024;
/// A hello that is this late will not come.
const LATE: Duration = Duration::from_millis(500);
/// How far from its time a hello may be and still be in step.
const STEP_ERROR: Duration = Duration::from_millis(100);

/// A frame that came before the link to its sender's home was there.
pub(crate) struct Early {
    pub(crate) cast: Cast,
    pub(crate) relayed: bool,
    pub(crate) bytes: Vec<u8>,
}

/// One host with an older program.
pub(crate) struct Home {
    pub(crate) endpoint: Endpoint,
    pub(crate) dialect: Dialect,
    /// The link to it, once it is up.
    pub(crate) link: Option<LinkId>,
    pub(crate) early: Vec<Early>,
    /// When it was first heard of.
    met: Time,
    /// Its last hello to everybody.
    pub(crate) heard_hello: Option<Time>,
    /// It has greeted this host since it came: another such greeting means that it has forgotten,
    /// so it is another process.
    pub(crate) acquainted: bool,
    /// What it asked before this time was asked by a process that is gone.
    pub(crate) restarted: Time,
    /// When hello was said to it last, and the time before.
    pub(crate) said_hello: [Option<Time>; 2],
    /// When to say hello to it next.
    pub(crate) hello_at: Time,
    /// Until when it should have answered our first hello.
    pub(crate) answer_by: Option<Time>,
    /// When to ask, by a hello, whether it is another process; and when silence means that it
    /// is not.
    pub(crate) probe_at: Option<Time>,
    pub(crate) release_at: Option<Time>,
    /// Nothing but hello and func may go there.
    pub(crate) held: bool,
    pub(crate) waiting: VecDeque<Outgoing>,
    /// How many functions the process before offered, and when to see whether this one offers as
    /// many: greeted while it began, it has named those that it had by then.
    pub(crate) expects: usize,
    pub(crate) look_at: Option<Time>,
    /// The list of functions is sent once more: a datagram may have been lost.
    pub(crate) tell_again: bool,
}

/// Whether a hello was to be expected when it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// It was, or nobody can tell.
    In,
    /// One before it is missing.
    Missed,
    /// It was not: another process says hello.
    Out,
}

impl Home {
    pub(crate) fn new(now: Time, endpoint: Endpoint, dialect: Dialect) -> Self {
        Self {
            endpoint,
            dialect,
            link: None,
            early: Vec::new(),
            met: now,
            heard_hello: None,
            acquainted: false,
            restarted: Time::ZERO,
            said_hello: [None; 2],
            hello_at: now,
            answer_by: None,
            probe_at: None,
            release_at: None,
            held: false,
            waiting: VecDeque::new(),
            expects: 0,
            look_at: None,
            tell_again: false,
        }
    }

    /// Keeps a frame until the link is there. `false`: there are too many.
    pub(crate) fn keep_early(&mut self, early: Early) -> bool {
        let room = self.early.len() < MAX_EARLY;
        if room {
            self.early.push(early);
        }
        room
    }

    /// Holds a message back; returns it when there are too many.
    pub(crate) fn hold(&mut self, message: Outgoing) -> Result<(), Outgoing> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(message);
        }
        self.waiting.push_back(message);
        Ok(())
    }

    /// Notes that hello was said to it.
    pub(crate) fn says_hello(&mut self, now: Time) {
        let [last, _] = self.said_hello;
        self.said_hello = [Some(now), last];
    }

    /// Whether a greeting of it comes from another process than what was heard before: the one
    /// before knew this host, and had no time to forget it.
    pub(crate) fn is_another(&self) -> bool {
        let lease = self.dialect.profile().lease;
        let kept = match (self.said_hello, lease) {
            ([Some(last), Some(before)], Some(lease)) => last.since(before) < lease,
            _ => false,
        };
        self.acquainted || self.held || kept
    }

    /// Whether it may be: it had the time to forget this host, and as well to start anew.
    pub(crate) fn may_be_another(&self) -> bool {
        let [_, before] = self.said_hello;
        before.is_some()
    }

    /// Another process may live there: nothing that was meant for the one before may go there
    /// until it had the time to say so.
    pub(crate) fn doubt(&mut self, probe_at: Time) {
        self.held = true;
        self.probe_at = Some(probe_at);
        self.release_at = None;
        // A hello before that would find it half begun.
        self.hello_at = self.hello_at.max(probe_at);
    }

    /// Judges the time of a hello to everybody.
    pub(crate) fn step(&self, now: Time) -> Step {
        let Some(period) = self.dialect.profile().hello_period else { return Step::In };
        let Some(last) = self.heard_hello else {
            // Whoever was met by a call would have said hello before.
            return if now.since(self.met) > period + LATE { Step::Missed } else { Step::In };
        };
        let gap = now.since(last);
        let period = period.as_micros().max(1);
        let beyond = gap.as_micros() % period;
        let error = beyond.min(period - beyond);
        let periods = (gap.as_micros() + period / 2) / period;
        match periods {
            _ if error > STEP_ERROR.as_micros() => Step::Out,
            0 => Step::Out,
            1 => Step::In,
            _ => Step::Missed,
        }
    }

    /// When its hello is overdue: from then on nobody knows which process comes next.
    pub(crate) fn overdue_at(&self) -> Option<Time> {
        let period = self.dialect.profile().hello_period?;
        self.heard_hello.filter(|_| !self.held).map(|last| last + period + LATE)
    }

    /// When there is something to do about it next.
    pub(crate) fn next(&self) -> Time {
        let dues = [self.answer_by, self.probe_at, self.release_at, self.look_at];
        dues.into_iter().chain([self.overdue_at()]).flatten().fold(self.hello_at, Time::min)
    }
}

/// All homes.
pub(crate) struct Homes {
    by_host: KeyedMap<IpAddr, Home>,
    hosts: Vec<IpAddr>,
    /// Answers that are held back for a moment.
    later: BTreeMap<(Time, u64), (LinkId, Outgoing)>,
    sequence: u64,
    /// The transport tells what was sent to this host from what was broadcast.
    pub(crate) tells_shared: bool,
}

impl Homes {
    pub(crate) fn new(hash: HashKey) -> Self {
        let (by_host, hosts) = (KeyedMap::new(hash), Vec::new());
        Self { by_host, hosts, later: BTreeMap::new(), sequence: 0, tells_shared: false }
    }

    pub(crate) fn get(&self, host: IpAddr) -> Option<&Home> {
        self.by_host.get(&host)
    }

    pub(crate) fn get_mut(&mut self, host: IpAddr) -> Option<&mut Home> {
        self.by_host.get_mut(&host)
    }

    /// The hosts, in the order they came.
    pub(crate) fn hosts(&self) -> Vec<IpAddr> {
        self.hosts.clone()
    }

    /// Adds a host. `false`: there are too many.
    pub(crate) fn insert(&mut self, host: IpAddr, home: Home) -> bool {
        if self.hosts.len() >= MAX_HOMES {
            return false;
        }
        if self.by_host.insert(host, home).is_none() {
            self.hosts.push(host);
        }
        true
    }

    pub(crate) fn remove(&mut self, host: IpAddr) -> Option<Home> {
        let home = self.by_host.remove(&host)?;
        self.hosts.retain(|known| *known != host);
        self.hosts.shrink_to(64);
        Some(home)
    }

    /// Keeps a message until `at`. It comes back when there are `limit` already.
    pub(crate) fn send_later(
        &mut self,
        at: Time,
        link: LinkId,
        message: Outgoing,
        limit: usize,
    ) -> Result<(), Outgoing> {
        if self.later.len() >= limit {
            return Err(message);
        }
        self.sequence += 1;
        self.later.insert((at, self.sequence), (link, message));
        Ok(())
    }

    /// The next message whose time has come.
    pub(crate) fn pop_later(&mut self, now: Time) -> Option<(LinkId, Outgoing)> {
        let first = self.later.first_entry()?;
        if first.key().0 > now { None } else { Some(first.remove()) }
    }

    /// Takes out what is kept for a link.
    pub(crate) fn take_later(&mut self, link: LinkId) -> Vec<Outgoing> {
        let kept = |(_, (to, _)): &(&(Time, u64), &(LinkId, Outgoing))| *to == link;
        let keys: Vec<_> = self.later.iter().filter(kept).map(|(key, _)| *key).collect();
        keys.iter().filter_map(|key| self.later.remove(key)).map(|(_, message)| message).collect()
    }

    /// When there is something to do next.
    pub(crate) fn next(&self) -> Option<Time> {
        let homes = self.hosts.iter().filter_map(|host| self.by_host.get(host)).map(Home::next);
        homes.chain(self.later.first_key_value().map(|((at, _), _)| *at)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_out_of_step_is_noticed() {
        let endpoint: Endpoint = "udp://10.0.0.1:5127".parse().unwrap();
        let mut home = Home::new(Time::ZERO, endpoint, Dialect::Published);
        let at = Time::from_millis;
        assert_eq!((home.step(at(5500)), home.overdue_at()), (Step::In, None));
        assert_eq!((home.step(at(5501)), home.overdue_at()), (Step::Missed, None));
        home.heard_hello = Some(at(1000));
        for (time, step) in [
            (1000, Step::Out),
            (1001, Step::Out),
            (3000, Step::Out),
            (5899, Step::Out),
            (5900, Step::In),
            (6000, Step::In),
            (6100, Step::In),
            (6101, Step::Out),
            (11_000, Step::Missed),
            (12_000, Step::Out),
        ] {
            assert_eq!(home.step(at(time)), step, "{time}");
        }
        assert_eq!(home.overdue_at(), Some(at(6500)));
        home.dialect = Dialect::S0;
        assert_eq!((home.step(at(3000)), home.overdue_at()), (Step::In, None));
    }

    #[test]
    fn everything_is_bounded() {
        let endpoint: Endpoint = "udp://10.0.0.1:5127".parse().unwrap();
        let new = || Home::new(Time::ZERO, endpoint.clone(), Dialect::Published);
        let mut homes = Homes::new(HashKey::new([1; 16]));
        for number in 0..MAX_HOMES {
            let host = u32::try_from(number).unwrap().to_be_bytes();
            assert!(homes.insert(IpAddr::from(host), new()));
        }
        assert!(!homes.insert(IpAddr::from([9, 9, 9, 9]), new()));
        assert!(homes.remove(IpAddr::from([0, 0, 0, 0])).is_some());
        assert!(homes.insert(IpAddr::from([9, 9, 9, 9]), new()));
        let mut home = new();
        let early = || Early { cast: Cast::Shared, relayed: false, bytes: Vec::new() };
        assert_eq!((0..99).filter(|_| home.keep_early(early())).count(), MAX_EARLY);
        let held = (0..2 * MAX_WAITING).filter(|_| home.hold(Outgoing::Bye).is_ok());
        assert_eq!(held.count(), MAX_WAITING);
        let lane = crate::endpoint::Lane(0);
        let link = LinkId { lane, slot: 0, generation: 0 };
        let kept =
            (0..20).filter(|_| homes.send_later(Time::ZERO, link, Outgoing::Bye, 10).is_ok());
        assert_eq!(kept.count(), 10);
        assert_eq!(homes.take_later(link).len(), 10);
        assert_eq!(homes.pop_later(Time::ZERO), None);
    }
}
