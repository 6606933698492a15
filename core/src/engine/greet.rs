//! Hello: who is there, how far each is believed, and telling them the same.

use std::time::Duration;

use super::older::stands_for_a_host;
use super::receive::From;
use super::{Core, LinkCommand, Phase};
use crate::counters::Drop;
use crate::dialect::Dialect;
use crate::endpoint::{Lane, LinkId};
use crate::event::{Event, PeerDownReason};
use crate::id::PeerKey;
use crate::message::Hello;
use crate::mutant::planted;
use crate::peers::{Peer, Trust};
use crate::ports::{Cast, Origin};
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::hosts::{Hosts, WINDOW};
use crate::wire::outbox::Outgoing;

/// How soon the same token is echoed again: two nodes that see each other at changing addresses
/// must not argue at the speed of the network.
const ECHO_AGAIN: Duration = Duration::from_secs(1);

/// So many newcomers at once are answered by one broadcast.
const CROWD: usize = 8;

impl Core {
    pub(super) fn on_hello(
        &mut self,
        now: Time,
        from: From,
        hello: &Hello<'_>,
    ) -> Result<(), Drop> {
        if hello.session == self.session && !planted!(OwnHello) {
            return Err(Drop::Own);
        }
        if stands_for_a_host(hello.session) {
            return Err(Drop::BadField);
        }
        let echoes = hello.echo.is_some() && hello.echo == self.token_for(from.link);
        let proof = echoes && from.is_no_copy();
        let known = self.peers.by_session(hello.session);
        if !proof && self.is_held(from.link, known) {
            if known.is_none_or(|known| self.is_latest(from, known)) {
                self.learn_token(from, hello.receiver);
            }
            self.challenge_successor(now, from, hello);
            return Ok(());
        }
        let key = match known {
            Some(known) => known,
            None => self.meet(now, from, hello)?,
        };
        // What follows in the same frame, functions for one, is believed with it.
        if let Some(seal) = &from.seal {
            self.believe(now, seal);
        }
        if proof {
            self.succeed(now, key, from.link);
        }
        let is_latest = self.is_latest(from, key);
        if is_latest {
            self.learn_token(from, hello.receiver);
        }
        self.recognise(now, key, from.link);
        if is_latest {
            self.refresh(now, key, from, hello, proof);
        }
        // The answer goes first: it proves this end, which then may tell its functions.
        self.answer_hello(now, key, from, hello);
        if proof {
            self.prove(now, key, from.link);
        } else {
            self.unpark(from.link);
        }
        self.follow(now, key, from.link);
        if is_latest {
            self.compare_revision(now, key, from.cast, hello.revision);
        }
        Ok(())
    }

    /// Adds a peer heard for the first time, and owes it an answer.
    fn meet(&mut self, now: Time, from: From, hello: &Hello<'_>) -> Result<PeerKey, Drop> {
        // Ids of calls begin with half the session: nobody else's may begin with the same.
        let before = self.links.get(from.link).ok_or(Drop::UnknownLink)?.peer;
        let same_half = self.peers.by_short(hello.session.short());
        if same_half.is_some() && same_half != before {
            return Err(Drop::Forged);
        }
        // Another session at the same endpoint: the node there has restarted. With the same half
        // it never was another: its other half was damaged on the way, or somebody forged it.
        // What is remembered of its calls stays.
        if let Some(before) = before {
            let is_same = same_half == Some(before);
            let reason = if is_same { PeerDownReason::Expired } else { PeerDownReason::Restarted };
            self.remove_peer(now, before, reason);
        }
        let key = self.add_peer_of(now, from.link, from.origin, Dialect::Native, hello)?;
        let delay = self.random.duration_up_to(self.spread());
        self.greet_at(now + delay, key);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.heard_by_broadcast = from.cast == Cast::Broadcast;
        }
        if from.is_no_copy() && self.links.get(from.link).is_some_and(|link| link.proved) {
            self.prove(now, key, from.link);
        }
        Ok(key)
    }

    /// Adds a tentative peer that lives at the end of a link.
    pub(super) fn add_peer_of(
        &mut self,
        now: Time,
        link: LinkId,
        origin: Origin,
        dialect: Dialect,
        hello: &Hello<'_>,
    ) -> Result<PeerKey, Drop> {
        let endpoint = self.links.get(link).ok_or(Drop::UnknownLink)?.remote.clone();
        let ip = Hosts::counts(endpoint.ip());
        self.make_room(now, ip)?;
        let window = self.config.max_call_window;
        let peer = Peer::new(now, hello, link, endpoint.clone(), origin, dialect, window);
        let (session, name) = (peer.session, peer.name.to_string());
        let key = match self.peers.insert(peer) {
            Ok(key) => key,
            Err(full) => {
                if let Some(ip) = ip {
                    self.hosts.remove_tentative(ip);
                }
                self.limit_hit(now, full.0);
                return Err(Drop::TableFull);
            }
        };
        if let Some(link) = self.links.get_mut(link) {
            link.peer = Some(key);
        }
        self.event(Event::PeerUp { session, name, endpoint });
        Ok(key)
    }

    /// Finds a place for another tentative peer, counted for its host.
    fn make_room(&mut self, now: Time, ip: Option<std::net::IpAddr>) -> Result<(), Drop> {
        // Who is refused displaces nobody.
        let per_ip = self.config.max_tentative_per_ip;
        if ip.is_some_and(|ip| !self.hosts.add_tentative(now, ip, per_ip)) {
            self.limit_hit(now, "max_tentative_per_ip");
            return Err(Drop::TableFull);
        }
        if let Some(victim) = self.peers.next_to_evict() {
            self.limit_hit(now, "max_tentative");
            self.remove_peer(now, victim, PeerDownReason::Evicted);
        }
        Ok(())
    }

    /// How far the answers of a crowd of this size are spread in time.
    pub(super) fn spread(&self) -> Duration {
        let peers = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
        self.config.reply_spread.saturating_mul(peers).min(self.config.max_reply_spread)
    }

    /// Takes over what a hello says of its sender, and gives it another lease.
    fn refresh(&mut self, now: Time, key: PeerKey, from: From, hello: &Hello<'_>, proof: bool) {
        // Sessions are no secret: from elsewhere anybody may have copied this one.
        if !proof && !self.speaks_for(from.link, key) {
            return;
        }
        self.peers.rename(key, &hello.name);
        let longest_claim = (self.hello_interval() * 6 / 5).max(Duration::from_secs(15));
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.last_seen = now;
        peer.features = hello.features;
        peer.connection_port = hello.connection_port;
        peer.load = hello.load;
        peer.interval = hello.interval.clamp(Duration::from_millis(100), Duration::from_secs(300));
        peer.heard_by_broadcast |= from.cast == Cast::Broadcast;
        // Who has not proved its address may not claim a place for longer than its neighbours.
        let claim = match peer.trust {
            Trust::Verified => peer.interval,
            Trust::Tentative => peer.interval.min(longest_claim),
        };
        let lease = claim * self.config.lease_tenths / 10;
        peer.lease_ends = now + lease;
        // The timer stays where it is: it looks at the end of the lease when it fires, so that
        // a thousand hellos do not move a thousand timers.
        if peer.lease.is_none() || peer.lease_ends < peer.lease_fires {
            self.set_lease(key);
        }
    }

    /// The address has shown that it receives: bounds on strangers no longer apply to it.
    pub(super) fn prove(&mut self, now: Time, key: PeerKey, link: LinkId) {
        if let Some(link) = self.links.get_mut(link) {
            link.proved = true;
            link.proved_for = Some(key);
            link.challenged = false;
            self.outbox.change(link, |link| link.parked = false);
            // It was nobody else who got this; the next node on the same host may come at once.
            let (sent, since) = (std::mem::take(&mut link.sent_bytes), link.sent_since.take());
            let is_counted = since.is_some_and(|since| now.since(since) < WINDOW);
            if let Some(ip) = Hosts::counts(link.remote.ip()).filter(|_| is_counted) {
                self.hosts.refund(now, ip, sent);
            }
        }
        self.outbox.again(&mut self.links, link);
        self.verify(now, key);
        // A list that did not fit the budget of a stranger is owed now.
        let owed = self.peers.get(key).is_some_and(|p| !p.is_owed_greeting() && !p.told_functions);
        if owed && self.directory.revision() > 0 {
            self.send_functions(key, link);
        }
    }

    /// Believes a peer, if there is room for one more.
    pub(super) fn verify(&mut self, now: Time, key: PeerKey) {
        if self.peers.verify(key) {
            let Some(peer) = self.peers.get(key) else { return };
            let (session, name, ip) = (peer.session, peer.name.to_string(), peer.endpoint.ip());
            if let Some(ip) = Hosts::counts(ip) {
                self.hosts.remove_tentative(ip);
            }
            self.event(Event::PeerVerified { session, name });
            self.introduce_homes(key);
        } else if self.peers.get(key).is_some_and(|peer| peer.trust == Trust::Tentative) {
            self.limit_hit(now, "max_peers");
        }
    }

    /// A tentative peer was heard again: it may be sent more than before, a challenge for one.
    pub(super) fn unpark(&mut self, link: LinkId) {
        let Some(known) = self.links.get_mut(link).filter(|known| known.parked) else { return };
        self.outbox.change(known, |link| link.parked = false);
        known.challenged = false;
        self.outbox.again(&mut self.links, link);
    }

    /// Answers a hello that asks for something: a token sent back, or the functions.
    fn answer_hello(&mut self, now: Time, key: PeerKey, from: From, hello: &Hello<'_>) {
        if from.cast == Cast::Broadcast {
            if hello.wants {
                self.answer_seeker(now, key, from.link);
            }
            return;
        }
        let Some(link) = self.links.get_mut(from.link) else { return };
        // A token that came before was sent back before, but that answer may have been lost.
        let repeats = link.echo == hello.token && now.since(link.echoed) < ECHO_AGAIN;
        // Nothing can be sealed for this node on a connection before its token there is told.
        let is_untold = link.seal.own.is_some() && link.seal.sent == 0;
        let asks = hello.token.is_some() && !repeats || is_untold;
        link.echo = hello.token.or(link.echo);
        if !asks && !hello.wants {
            return;
        }
        if !self.replies.take(now, self.config.hello_replies) {
            self.limit_hit(now, "hello_replies");
            return;
        }
        if let Some(link) = self.links.get_mut(from.link) {
            link.echoed = now;
        }
        if let Some(peer) = self.peers.get_mut(key) {
            peer.told_functions &= !hello.wants;
        }
        self.greet(now, key, from.link);
    }

    /// Somebody asks everybody, because its calls wait for a provider. Who has sent back a token of
    /// this node knows it already.
    fn answer_seeker(&mut self, now: Time, key: PeerKey, link: LinkId) {
        let delay = self.random.duration_up_to(self.spread());
        let Some(peer) = self.peers.get_mut(key) else { return };
        let is_new = peer.trust == Trust::Tentative && peer.link == link;
        if is_new && !peer.is_owed_greeting() && self.directory.revision() > 0 {
            peer.told_functions = false;
            self.greet_at(now + delay, key);
        }
    }

    /// Sends hello and, where the budget allows it, the functions: on the link that was asked.
    pub(super) fn greet(&mut self, now: Time, key: PeerKey, link: LinkId) {
        let Some(peer) = self.peers.get(key) else { return };
        let told = peer.told_functions;
        let pending = if peer.link == link { self.peers.settle_greeting(key) } else { None };
        self.cancel_timer(pending);
        self.send(link, Outgoing::Hello { wants: false });
        if !told && self.directory.revision() > 0 && self.may_tell_functions(now, link) {
            self.send_functions(key, link);
        }
    }

    /// Says hello to everybody, and by unicast to those whom broadcasts do not reach.
    pub(super) fn say_hello(&mut self, now: Time) {
        self.say_hello_and(now, false);
    }

    /// Says hello, and with `wants` asks who offers anything to answer.
    pub(super) fn say_hello_and(&mut self, now: Time, wants: bool) {
        if self.phase != Phase::Running {
            return;
        }
        let lanes: Vec<Lane> = self.links.broadcast_lanes().collect();
        if self.config.discovery {
            for lane in lanes {
                self.outbox.broadcast(lane, Outgoing::Hello { wants });
            }
        }
        for key in self.peers.keys() {
            let Some(peer) = self.peers.get(key) else { continue };
            let link = peer.link;
            let is_native = !peer.dialect.profile().has_home;
            if is_native && (!peer.is_reached_by_broadcast(now) || !self.config.discovery) {
                self.send(link, Outgoing::Hello { wants: false });
            }
        }
        for place in 0..self.configured.len() {
            let Some(known) = self.configured.get(place) else { continue };
            match known.link.and_then(|link| self.links.get(link)) {
                None => {
                    let endpoint = known.endpoint.clone();
                    self.link_commands.push_back(LinkCommand::Connect(endpoint));
                }
                Some(link) if link.peer.is_none() => {
                    let id = link.id;
                    self.send(id, Outgoing::Hello { wants: true });
                }
                Some(_) => {}
            }
        }
        let interval = self.hello_interval();
        let next = now + interval + self.random.duration_up_to(interval / 5);
        let old = self.announcing.hello_timer.take();
        self.cancel_timer(old);
        self.announcing.hello_timer = Some(self.timers.set(next, Timer::Hello));
    }

    /// The shortest interval that keeps the whole segment within its rate of hellos.
    pub(super) fn hello_interval(&self) -> Duration {
        let nodes = u32::try_from(self.peers.len() + 1).unwrap_or(u32::MAX);
        let shared = Duration::from_secs(1) * nodes / self.config.segment_hello_rate;
        self.config.hello_interval.max(shared).min(Duration::from_secs(300))
    }

    /// Answers a new peer's hello, at the pace that a crowd of them allows.
    pub(super) fn greet_when_due(&mut self, now: Time, peer: PeerKey) {
        // What is sealed for everybody makes nobody believe this node: each is answered by itself.
        if self.config.discovery && !self.is_keyed() && self.owes_a_crowd(now) {
            self.answer_crowd(now, peer);
            return;
        }
        if self.replies.take(now, self.config.hello_replies) {
            if let Some(link) = self.peers.get(peer).map(|peer| peer.link) {
                self.greet(now, peer, link);
            }
            return;
        }
        self.limit_hit(now, "hello_replies");
        self.greet_later(now, peer);
    }

    fn greet_later(&mut self, now: Time, peer: PeerKey) {
        let later = self.random.duration_up_to(Duration::from_secs(1));
        self.greet_at(now + Duration::from_millis(500) + later, peer);
    }

    fn greet_at(&mut self, due: Time, peer: PeerKey) {
        let timer = self.timers.set(due, Timer::Greet(peer));
        self.peers.owe_greeting(peer, timer);
    }

    /// Whether a crowd of newcomers that hear broadcasts waits for an answer.
    fn owes_a_crowd(&self, now: Time) -> bool {
        let owed = self.peers.owed_greetings().filter(|peer| peer.is_reached_by_broadcast(now));
        owed.take(CROWD).count() == CROWD
    }

    /// One broadcast answers all newcomers at once: when a whole room starts together, N answers
    /// of each of N nodes become N broadcasts.
    fn answer_crowd(&mut self, now: Time, peer: PeerKey) {
        if self
            .announcing
            .last_announce
            .is_some_and(|last| now.since(last) < Duration::from_secs(1))
        {
            self.greet_later(now, peer);
        } else {
            self.announce(now);
        }
    }
}
