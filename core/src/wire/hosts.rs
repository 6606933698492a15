//! What strangers may cost: token buckets and reply budgets per host, in a bounded table.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::Config;
use crate::keyed::{HashKey, KeyedMap};
use crate::time::Time;

/// Hosts with a state of their own; the rest share one.
const MAX_HOSTS: usize = 4096;
/// After this time without traffic a host's state is as new and can be forgotten.
const IDLE: Duration = Duration::from_secs(15);
/// The window of the reply budget.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// It moves by steps.
const STEP: Duration = Duration::from_secs(2);
/// The running step and those that reach back for ten seconds.
const STEPS: usize = 6;

/// A token bucket that refills at `rate` a second up to twice that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Tokens, in thousandths.
    level: u64,
    filled_at: Time,
}

impl Bucket {
    pub(crate) fn full(now: Time, rate: u32) -> Self {
        Self { level: u64::from(rate) * 2000, filled_at: now }
    }

    /// Takes a token. A rate of zero stands for no limit.
    pub(crate) fn take(&mut self, now: Time, rate: u32) -> bool {
        if rate == 0 {
            return true;
        }
        let elapsed = u64::try_from(now.since(self.filled_at).as_micros()).unwrap_or(u64::MAX);
        let gained = elapsed.saturating_mul(u64::from(rate)) / 1000;
        if gained > 0 {
            self.level = self.level.saturating_add(gained).min(u64::from(rate) * 2000);
            self.filled_at = now;
        }
        let enough = self.level >= 1000;
        if enough {
            self.level -= 1000;
        }
        enough
    }
}

struct Host {
    /// By datagrams, and by connections.
    buckets: [Bucket; 2],
    step_began: Time,
    /// Bytes sent in the running step, then in the ones before it.
    sent: [usize; STEPS],
    tentative: usize,
    last_active: Time,
}

impl Host {
    fn new(now: Time, rate: u32) -> Self {
        Self {
            buckets: [Bucket::full(now, rate); 2],
            step_began: now,
            sent: [0; STEPS],
            tentative: 0,
            last_active: now,
        }
    }
}

impl Host {
    /// Moves the window of the reply budget up to `now`.
    fn advance(&mut self, now: Time) {
        for _ in 0..STEPS {
            if now.since(self.step_began) < STEP {
                return;
            }
            self.step_began = self.step_began + STEP;
            self.sent.rotate_right(1);
            let [running, ..] = &mut self.sent;
            *running = 0;
        }
        // Silent for longer than the window.
        self.step_began = now;
    }
}

/// Limits that count per IP address. Loopback has none: many nodes share it, and whoever sends
/// from there is on this machine.
pub(crate) struct Hosts {
    hosts: KeyedMap<IpAddr, Host>,
    order: VecDeque<IpAddr>,
    /// Serves every host that found the table full.
    crowd: Host,
    rate: u32,
    budget: usize,
}

impl Hosts {
    pub(crate) fn new(config: &Config, hash: HashKey, now: Time) -> Self {
        Self {
            hosts: KeyedMap::new(hash),
            order: VecDeque::new(),
            crowd: Host::new(now, config.unproved_rate),
            rate: config.unproved_rate,
            budget: config.unproved_budget,
        }
    }

    /// Whether limits per host apply to this address at all.
    pub(crate) fn counts(ip: Option<IpAddr>) -> Option<IpAddr> {
        ip.filter(|ip| !ip.is_loopback())
    }

    fn host(&mut self, now: Time, ip: IpAddr) -> &mut Host {
        if self.hosts.get(&ip).is_none() && self.hosts.len() < MAX_HOSTS {
            self.hosts.insert(ip, Host::new(now, self.rate));
            self.order.push_back(ip);
        }
        self.hosts.get_mut(&ip).unwrap_or(&mut self.crowd)
    }

    /// Whether a frame of a stranger at `ip` may be looked at. Datagrams, which others may have
    /// sent in its name, use up nothing of what it may bring by connections.
    pub(crate) fn admit(&mut self, now: Time, ip: IpAddr, is_connection: bool) -> bool {
        let rate = self.rate;
        let host = self.host(now, ip);
        host.last_active = now;
        let [datagrams, connections] = &mut host.buckets;
        if is_connection { connections.take(now, rate) } else { datagrams.take(now, rate) }
    }

    /// How many bytes may still be sent to an unproved `ip`: no ten seconds hold more than the
    /// budget, wherever they begin.
    pub(crate) fn allowance(&mut self, now: Time, ip: IpAddr) -> usize {
        let budget = self.budget;
        let host = self.host(now, ip);
        host.advance(now);
        budget.saturating_sub(host.sent.iter().fold(0, |sum, sent| sum.saturating_add(*sent)))
    }

    /// Counts bytes sent to an unproved address.
    pub(crate) fn spend(&mut self, now: Time, ip: IpAddr, bytes: usize) {
        let host = self.host(now, ip);
        host.advance(now);
        // What was sent is remembered even if nothing is heard.
        host.last_active = now;
        let [running, ..] = &mut host.sent;
        *running = running.saturating_add(bytes);
    }

    /// Takes back what was counted for an address that has proved itself since. The oldest first:
    /// what other addresses of the host were sent must not be forgotten before its time.
    pub(crate) fn refund(&mut self, now: Time, ip: IpAddr, mut bytes: usize) {
        let host = self.host(now, ip);
        host.advance(now);
        for sent in host.sent.iter_mut().rev() {
            let back = bytes.min(*sent);
            *sent -= back;
            bytes -= back;
        }
    }

    /// Counts a tentative peer of `ip`, unless it has `limit` of them.
    pub(crate) fn add_tentative(&mut self, now: Time, ip: IpAddr, limit: usize) -> bool {
        let host = self.host(now, ip);
        let room = host.tentative < limit;
        if room {
            host.tentative += 1;
        }
        room
    }

    /// Takes a tentative peer of `ip` off the count: off the host's own, if it has one, else off
    /// that of the crowd, where it was counted while the table was full.
    pub(crate) fn remove_tentative(&mut self, ip: IpAddr) {
        let own = self.hosts.get_mut(&ip).filter(|host| host.tentative > 0);
        let host = own.unwrap_or(&mut self.crowd);
        host.tentative = host.tentative.saturating_sub(1);
    }

    /// Forgets hosts that have been quiet.
    pub(crate) fn sweep(&mut self, now: Time) {
        for _ in 0..self.order.len() {
            let Some(ip) = self.order.pop_front() else { break };
            let idle = self
                .hosts
                .get(&ip)
                .is_none_or(|h| h.tentative == 0 && now.since(h.last_active) >= IDLE);
            if idle {
                self.hosts.remove(&ip);
            } else {
                self.order.push_back(ip);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.hosts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(&Config::default(), HashKey::new([7; 16]), Time::ZERO)
    }

    #[test]
    fn a_host_gets_its_burst_and_then_its_rate() {
        let mut hosts = hosts();
        let ip = IpAddr::from([10, 0, 0, 1]);
        let burst = (0..200).filter(|_| hosts.admit(Time::ZERO, ip, false)).count();
        assert_eq!(burst, 100);
        let later = Time::from_millis(1000);
        assert_eq!((0..200).filter(|_| hosts.admit(later, ip, false)).count(), 50);
        assert!(hosts.admit(later, IpAddr::from([10, 0, 0, 2]), false));
        let by_connections = (0..200).filter(|_| hosts.admit(later, ip, true)).count();
        assert_eq!(by_connections, 100, "which datagrams use nothing of");
    }

    #[test]
    fn the_table_is_bounded_and_empties() {
        let mut hosts = hosts();
        for n in 0..10_000_u32 {
            hosts.admit(Time::ZERO, IpAddr::from(n.to_be_bytes()), false);
        }
        assert_eq!(hosts.len(), MAX_HOSTS);
        hosts.sweep(Time::from_millis(15_000));
        assert_eq!(hosts.len(), 0);
    }

    #[test]
    fn strangers_that_found_the_table_full_count_until_they_go_and_no_longer() {
        let mut hosts = hosts();
        let own = |n: u32| IpAddr::from((10 << 24 | n).to_be_bytes());
        let stranger = IpAddr::from([11, 0, 0, 1]);
        let mut now = Time::ZERO;
        for _ in 0..3 {
            for n in 0..4096 {
                hosts.admit(now, own(n), false);
            }
            for _ in 0..8 {
                assert!(hosts.add_tentative(now, stranger, 8));
            }
            assert!(!hosts.add_tentative(now, IpAddr::from([11, 0, 0, 2]), 8));
            now = now + IDLE;
            hosts.sweep(now);
            assert!(hosts.add_tentative(now, stranger, 8), "it has a count of its own now");
            for _ in 0..9 {
                hosts.remove_tentative(stranger);
            }
            now = now + IDLE;
            hosts.sweep(now);
        }
    }

    #[test]
    fn the_budget_is_per_window() {
        let mut hosts = hosts();
        let ip = IpAddr::from([10, 0, 0, 1]);
        hosts.spend(Time::ZERO, ip, 1100);
        assert_eq!(hosts.allowance(Time::ZERO, ip), 100);
        hosts.spend(Time::ZERO, ip, 200);
        assert_eq!(hosts.allowance(Time::ZERO, ip), 0);
        assert_eq!(hosts.allowance(Time::from_millis(9_999), ip), 0);
        assert_eq!(hosts.allowance(Time::from_millis(12_000), ip), 1200);
        // No boundary lets twice the budget through.
        hosts.spend(Time::from_millis(21_900), ip, 1000);
        assert_eq!(hosts.allowance(Time::from_millis(22_100), ip), 200);
        assert_eq!(hosts.allowance(Time::from_millis(31_800), ip), 200);
        assert_eq!(hosts.allowance(Time::from_millis(34_000), ip), 1200);
        assert_eq!(hosts.allowance(Time::from_millis(900_000), ip), 1200);
    }

    #[test]
    fn who_proves_its_address_has_cost_nothing() {
        let mut hosts = hosts();
        let ip = IpAddr::from([10, 0, 0, 1]);
        hosts.spend(Time::ZERO, ip, 400);
        hosts.spend(Time::from_millis(5000), ip, 500);
        hosts.refund(Time::from_millis(5000), ip, 700);
        assert_eq!(hosts.allowance(Time::from_millis(5000), ip), 1000);
        hosts.refund(Time::from_millis(5000), ip, 700);
        assert_eq!(hosts.allowance(Time::from_millis(5000), ip), 1200);
    }

    #[test]
    fn who_proves_its_address_takes_nothing_off_the_count_of_another() {
        let mut hosts = hosts();
        let ip = IpAddr::from([10, 0, 0, 1]);
        hosts.spend(Time::ZERO, ip, 400);
        hosts.spend(Time::from_millis(9000), ip, 800);
        // The first of the two was there.
        hosts.refund(Time::from_millis(9500), ip, 400);
        assert_eq!(hosts.allowance(Time::from_millis(18_900), ip), 400);
        assert_eq!(hosts.allowance(Time::from_millis(21_000), ip), 1200);
    }
}
