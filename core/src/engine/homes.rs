//! Living with older programs: when they are greeted, told the functions, left alone, and not
//! spoken to because another process may live there now.

use std::net::IpAddr;
use std::time::Duration;

use super::{Core, Phase};
use crate::endpoint::LinkId;
use crate::ports::Origin;
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::Outgoing;

/// The time between two hellos to an older program; it forgets a host after 30 s.
const HELLO: Duration = Duration::from_secs(7);
/// How soon a program that does not know this host yet answers its hello.
const ANSWER: Duration = Duration::from_secs(2);
/// A program that did not answer knows this host from before. It answers again when it has
/// forgotten, for which there must be no hello for so long.
const SILENCE: Duration = Duration::from_secs(31);
/// How long after its greeting a program has named all its functions.
const LOOK: Duration = Duration::from_secs(3);
/// How soon another process would have answered a hello that asks for it.
pub(super) const PROBE: Duration = Duration::from_millis(500);

impl Core {
    /// A host with an older program was met.
    pub(super) fn homes_met(&mut self, now: Time, host: IpAddr, link: LinkId, settle: Duration) {
        let jitter = self.random.duration_up_to(settle / 4);
        // The other nodes of this host are known by then, so that one speaks for all.
        let settled = self.settled_at();
        if let Some(home) = self.homes.get_mut(host) {
            home.hello_at = (now + settle).max(settled) + jitter;
        }
        self.tell_home(host, link);
        self.schedule_homes(now);
    }

    /// Sends a host the names of this node's functions.
    pub(super) fn tell_home(&mut self, host: IpAddr, link: LinkId) {
        if self.phase != Phase::Running || self.directory.local_count() == 0 {
            return;
        }
        if let Some(home) = self.homes.get_mut(host) {
            home.tell_again = true;
        }
        let parts = u16::try_from(self.older_parts().len()).unwrap_or(u16::MAX);
        for part in 0..parts {
            self.send(link, Outgoing::Func { part });
        }
    }

    /// The list of functions has changed.
    pub(super) fn tell_homes(&mut self) {
        for host in self.homes.hosts() {
            if let Some(link) = self.homes.get(host).and_then(|home| home.link) {
                self.tell_home(host, link);
            }
        }
    }

    /// A host has greeted this one, which it only does with one that it does not know.
    pub(super) fn greeted_by(&mut self, now: Time, host: IpAddr) {
        if let Some(home) = self.homes.get_mut(host) {
            home.acquainted = true;
            home.answer_by = None;
            home.probe_at = None;
            home.release_at = None;
            home.held = false;
            home.hello_at = home.hello_at.min(now + HELLO);
            home.look_at = (home.expects > 0).then_some(now + LOOK);
        }
    }

    /// Whether this node says hello for all of its host: they share an address, and an older
    /// program knows no more of them.
    pub(super) fn speaks_for_host(&self) -> bool {
        let siblings = self.peers.iter().filter(|(_, peer)| is_sibling(peer));
        siblings.map(|(_, peer)| peer.session).all(|other| self.session < other)
    }

    /// Sets the timer for whatever is next about the homes.
    pub(super) fn schedule_homes(&mut self, now: Time) {
        let Some(next) = self.homes.next() else { return };
        self.timers.set_earlier(&mut self.homes_timer, next.max(now), Timer::Homes);
    }

    /// Does what is due about the homes.
    pub(super) fn tend_homes(&mut self, now: Time) {
        self.homes_timer = None;
        while let Some((link, message)) = self.homes.pop_later(now) {
            if !self.send(link, Outgoing::Ripe(Box::new(message.clone()))) {
                self.unsent(now, message);
            }
        }
        for host in self.homes.hosts() {
            if self.homes.get(host).and_then(|home| home.look_at).is_some_and(|at| at <= now) {
                self.look_at_functions(now, host);
            }
            self.tend_home(now, host);
        }
        // What is due now was done: nothing is due again at this very moment.
        self.schedule_homes(now + Duration::from_millis(1));
    }

    /// A program that was greeted while it began has named the functions it had by then, and what
    /// it names later may reach nobody. It names all of them once it has forgotten this host.
    fn look_at_functions(&mut self, now: Time, host: IpAddr) {
        let Some(home) = self.homes.get_mut(host) else { return };
        home.look_at = None;
        let expected = std::mem::take(&mut home.expects);
        let peer = home.link.and_then(|link| self.links.get(link)?.peer);
        let offered = peer.and_then(|key| self.peers.get(key)).map_or(0, |p| p.functions.len());
        if offered < expected && self.speaks_for_host() {
            let Some(home) = self.homes.get_mut(host) else { return };
            home.acquainted = false;
            home.said_hello = [None; 2];
            home.hello_at = now + SILENCE;
        }
    }

    fn tend_home(&mut self, now: Time, host: IpAddr) {
        let speaks = self.phase == Phase::Running && self.speaks_for_host();
        let jitter = self.random.duration_up_to(Duration::from_secs(1));
        let Some(home) = self.homes.get_mut(host) else { return };
        let Some(link) = home.link else {
            // Asked for again with the next frame.
            home.hello_at = now + HELLO;
            return;
        };
        let is_due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if is_due(home.overdue_at()) {
            home.held = true;
        }
        if is_due(home.answer_by) {
            home.answer_by = None;
            if !home.acquainted {
                home.hello_at = now + SILENCE;
            }
        }
        let mut says_hello = false;
        if is_due(home.probe_at) {
            home.probe_at = None;
            home.release_at = Some(now + PROBE);
            says_hello = true;
        }
        let is_peer = self.links.get(link).is_some_and(|link| link.peer.is_some());
        let tells = home.hello_at <= now && std::mem::take(&mut home.tell_again);
        if home.hello_at <= now || says_hello {
            home.hello_at = now + HELLO + jitter;
            says_hello = is_peer && speaks;
            if says_hello && !home.acquainted {
                home.answer_by = Some(now + ANSWER);
                home.hello_at = home.hello_at.max(now + ANSWER);
            }
        }
        let releases = is_due(home.release_at);
        if releases {
            home.release_at = None;
            home.held = false;
        }
        if says_hello {
            home.says_hello(now);
            self.send(link, Outgoing::Hello { wants: false });
        }
        if tells && is_peer {
            self.tell_home(host, link);
            if let Some(home) = self.homes.get_mut(host) {
                home.tell_again = false;
            }
        }
        if releases {
            self.retry_held(now, host);
        }
    }

    /// Offers again what was held back, unless it still is.
    pub(super) fn retry_held(&mut self, now: Time, host: IpAddr) {
        let Some(home) = self.homes.get_mut(host).filter(|home| !home.held) else { return };
        let Some(link) = home.link else { return };
        for message in std::mem::take(&mut home.waiting) {
            if !self.send(link, Outgoing::Ripe(Box::new(message.clone()))) {
                self.unsent(now, message);
            }
        }
    }
}

/// Whether a peer is a native node of this very host.
pub(super) fn is_sibling(peer: &crate::peers::Peer) -> bool {
    peer.origin == Origin::Host && !peer.dialect.profile().has_home
}
