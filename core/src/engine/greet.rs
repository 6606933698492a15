//! Hello, func and bye: who is there, what they offer, and telling them the same.

use std::time::Duration;

use super::call::Lost;
use super::receive::From;
use super::{Core, LinkCommand, Phase};
use crate::counters::Drop;
use crate::endpoint::{Lane, LinkId};
use crate::event::{Event, PeerDownReason};
use crate::id::{FunctionName, PeerKey, SessionId};
use crate::message::{Func, Hello};
use crate::peers::{Parts, Peer, Trust};
use crate::ports::Cast;
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::hosts::Hosts;
use crate::wire::outbox::Outgoing;

/// How soon the same token is echoed again: two nodes that see each other at changing addresses
/// must not argue at the speed of the network.
const ECHO_AGAIN: Duration = Duration::from_secs(1);

/// How long answers that were sent before a farewell may still be on their way.
const FAREWELL_GRACE: Duration = Duration::from_millis(100);

impl Core {
    pub(super) fn on_hello(
        &mut self,
        now: Time,
        from: From,
        hello: &Hello<'_>,
    ) -> Result<(), Drop> {
        if hello.session == self.session {
            return Err(Drop::Own);
        }
        let proof = hello.echo.is_some() && hello.echo == self.token_for(from.link);
        let key = match self.peers.by_session(hello.session) {
            Some(key) => key,
            None if !proof && self.is_held(from.link) => {
                self.challenge_successor(now, from.link);
                return Ok(());
            }
            None => self.meet(now, from, hello)?,
        };
        self.refresh(now, key, from, hello, proof);
        // The answer goes first: it proves this end, which then may tell its functions.
        self.answer_hello(now, key, from, hello);
        if proof {
            self.prove(now, key, from.link);
        } else {
            self.unpark(from.link);
        }
        self.follow(now, key, from.link);
        self.compare_revision(now, key, from.cast, hello.revision);
        Ok(())
    }

    /// Whether a verified peer lives at the far end of a link whose source anybody can claim.
    fn is_held(&self, link: LinkId) -> bool {
        let connected = self.links.capabilities(link.lane).is_some_and(|lane| lane.connected);
        let peer = self.links.get(link).and_then(|link| link.peer);
        let peer = peer.and_then(|key| self.peers.get(key));
        !connected && peer.is_some_and(|peer| peer.trust == Trust::Verified)
    }

    /// Another session speaks for the address of a verified peer: the node there has restarted,
    /// or somebody forges its address. Only what really receives there can tell us.
    fn challenge_successor(&mut self, now: Time, link: LinkId) {
        if !self.replies.take(now, self.config.hello_replies) {
            self.limit_hit(now, "hello_replies");
            return;
        }
        if let Some(link) = self.links.get_mut(link) {
            link.challenged = true;
        }
        self.send(link, Outgoing::Hello { wants: false });
    }

    /// Adds a peer heard for the first time, and owes it an answer.
    fn meet(&mut self, now: Time, from: From, hello: &Hello<'_>) -> Result<PeerKey, Drop> {
        let link = self.links.get(from.link).ok_or(Drop::UnknownLink)?;
        let endpoint = link.remote.clone();
        // Another session at the same endpoint: the node there has restarted.
        if let Some(before) = link.peer {
            self.remove_peer(now, before, PeerDownReason::Restarted);
        }
        let ip = Hosts::counts(endpoint.ip());
        self.make_room(now, ip)?;
        let peer = Peer {
            session: hello.session,
            name: hello.name.clone().into_owned(),
            trust: Trust::Tentative,
            features: hello.features,
            link: from.link,
            endpoint: endpoint.clone(),
            hears_broadcast: from.cast == Cast::Broadcast,
            on_link: from.on_link,
            interval: hello.interval,
            first_seen: now,
            last_seen: now,
            lease: None,
            lease_ends: now,
            lease_fires: now,
            greet: None,
            want: None,
            wants_asked: 0,
            told_functions: false,
            revision: 0,
            held_revision: 0,
            parts: Parts::default(),
            functions: std::collections::BTreeSet::new(),
            round_trip: None,
            open_calls: 0,
        };
        let (session, name) = (peer.session, peer.name.clone());
        let key = match self.peers.insert(peer) {
            Ok(key) => key,
            Err(full) => {
                if let Some(ip) = ip {
                    self.hosts.remove_tentative(now, ip);
                }
                self.limit_hit(now, full.0);
                return Err(Drop::TableFull);
            }
        };
        if let Some(link) = self.links.get_mut(from.link) {
            link.peer = Some(key);
        }
        let delay = self.random.duration_up_to(self.spread());
        let timer = self.timers.set(now + delay, Timer::Greet(key));
        if let Some(peer) = self.peers.get_mut(key) {
            peer.greet = Some(timer);
        }
        self.event(Event::PeerUp { session, name, endpoint });
        if self.links.get(from.link).is_some_and(|link| link.proved) {
            self.prove(now, key, from.link);
        }
        Ok(key)
    }

    /// Finds a place for another tentative peer, counted for its host.
    fn make_room(&mut self, now: Time, ip: Option<std::net::IpAddr>) -> Result<(), Drop> {
        if let Some(victim) = self.peers.next_to_evict() {
            self.limit_hit(now, "max_tentative");
            self.remove_peer(now, victim, PeerDownReason::Evicted);
        }
        let per_ip = self.config.max_tentative_per_ip;
        if ip.is_some_and(|ip| !self.hosts.add_tentative(now, ip, per_ip)) {
            self.limit_hit(now, "max_tentative_per_ip");
            return Err(Drop::TableFull);
        }
        Ok(())
    }

    /// How far the answers of a crowd of this size are spread in time.
    fn spread(&self) -> Duration {
        let peers = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
        self.config.reply_spread.saturating_mul(peers).min(self.config.max_reply_spread)
    }

    /// Takes over what a hello says of its sender, and gives it another lease.
    fn refresh(&mut self, now: Time, key: PeerKey, from: From, hello: &Hello<'_>, proof: bool) {
        // Sessions are no secret: from elsewhere anybody may have copied this one.
        if !proof && !self.speaks_for(from.link, key) {
            return;
        }
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.last_seen = now;
        peer.features = hello.features;
        peer.interval = hello.interval.clamp(Duration::from_millis(100), Duration::from_secs(300));
        peer.hears_broadcast |= from.cast == Cast::Broadcast;
        hello.name.as_ref().clone_into(&mut peer.name);
        let lease = peer.interval * self.config.lease_tenths / 10;
        peer.lease_ends = now + lease;
        // The timer stays where it is: it looks at the end of the lease when it fires, so that
        // a thousand hellos do not move a thousand timers.
        if peer.lease.is_none() || peer.lease_ends < peer.lease_fires {
            self.set_lease(key);
        }
    }

    /// Whether what comes on this link is this peer's: it is known by it, or has proved it.
    fn speaks_for(&self, link: LinkId, key: PeerKey) -> bool {
        self.peers.get(key).is_some_and(|peer| peer.link == link)
            || self.links.get(link).is_some_and(|link| link.proved_for == Some(key))
    }

    /// A node with several links is heard on each: stay with one while it works, then go to
    /// another that the peer has proved. One that it has not is asked for the proof.
    fn follow(&mut self, now: Time, key: PeerKey, to: LinkId) {
        let Some(peer) = self.peers.get(key) else { return };
        let (old, patience) = (peer.link, peer.interval * 3 / 2);
        let works = self.links.get(old).is_some_and(|l| now.since(l.last_heard) <= patience);
        let Some(link) = self.links.get(to) else { return };
        let is_anothers = link.peer.is_some_and(|other| other != key);
        if old == to || works || is_anothers {
            return;
        }
        if link.proved_for != Some(key) {
            if self.replies.take(now, self.config.hello_replies) {
                self.send(to, Outgoing::Hello { wants: false });
            }
            return;
        }
        let endpoint = link.remote.clone();
        if let Some(peer) = self.peers.get_mut(key) {
            peer.link = to;
            peer.endpoint = endpoint;
        }
        for (link, owner) in [(old, None), (to, Some(key))] {
            if let Some(link) = self.links.get_mut(link) {
                link.peer = owner;
            }
        }
    }

    fn set_lease(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.lease_fires = peer.lease_ends;
        let old = peer.lease.replace(self.timers.set(peer.lease_ends, Timer::Lease(key)));
        self.cancel_timer(old);
    }

    /// The timer of a lease fired: the peer is gone, unless it was heard meanwhile.
    pub(super) fn lease_over(&mut self, now: Time, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.lease = None;
        if peer.lease_ends > now {
            self.set_lease(key);
        } else {
            self.remove_peer(now, key, PeerDownReason::Expired);
        }
    }

    /// The address has shown that it receives: bounds on strangers no longer apply to it.
    fn prove(&mut self, now: Time, key: PeerKey, link: LinkId) {
        if let Some(link) = self.links.get_mut(link) {
            link.proved = true;
            link.proved_for = Some(key);
            link.challenged = false;
            link.parked = false;
        }
        self.outbox.again(&mut self.links, link);
        if self.peers.verify(key) {
            let Some(peer) = self.peers.get(key) else { return };
            let (session, name, ip) = (peer.session, peer.name.clone(), peer.endpoint.ip());
            if let Some(ip) = Hosts::counts(ip) {
                self.hosts.remove_tentative(now, ip);
            }
            self.event(Event::PeerVerified { session, name });
        }
        // A list that did not fit the budget of a stranger is owed now.
        let owed = self.peers.get(key).is_some_and(|p| p.greet.is_none() && !p.told_functions);
        if owed && self.directory.revision() > 0 {
            self.send_functions(key, link);
        }
    }

    /// A tentative peer was heard again: it may be sent more than before, a challenge for one.
    fn unpark(&mut self, link: LinkId) {
        let Some(known) = self.links.get_mut(link).filter(|known| known.parked) else { return };
        known.parked = false;
        known.challenged = false;
        self.outbox.again(&mut self.links, link);
    }

    /// Answers a hello that asks for something: a token sent back, or the functions.
    fn answer_hello(&mut self, now: Time, key: PeerKey, from: From, hello: &Hello<'_>) {
        if from.cast == Cast::Broadcast {
            return;
        }
        let Some(link) = self.links.get_mut(from.link) else { return };
        // A token that came before was sent back before, but that answer may have been lost.
        let repeats = link.echo == hello.token && now.since(link.echoed) < ECHO_AGAIN;
        let asks = hello.token.is_some() && !repeats;
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

    /// Sends hello and, where the budget allows it, the functions: on the link that was asked.
    pub(super) fn greet(&mut self, now: Time, key: PeerKey, link: LinkId) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let told = peer.told_functions;
        let pending = if peer.link == link { peer.greet.take() } else { None };
        self.cancel_timer(pending);
        self.send(link, Outgoing::Hello { wants: false });
        if !told && self.directory.revision() > 0 && self.may_tell_functions(now, link) {
            self.send_functions(key, link);
        }
    }

    fn may_tell_functions(&mut self, now: Time, link: LinkId) -> bool {
        let Some(known) = self.links.get(link) else { return false };
        let (receives, room, ip) = (
            self.links.receives(known),
            known.amplification_room(),
            Hosts::counts(known.remote.ip()),
        );
        if receives {
            return true;
        }
        let allowance = match ip {
            Some(ip) => self.hosts.allowance(now, ip),
            None => self.config.unproved_budget,
        };
        self.greeting_size(link) <= room.min(allowance)
    }

    /// Bytes of a hello and the list of functions in one frame.
    fn greeting_size(&mut self, link: LinkId) -> usize {
        let mut bytes = Vec::new();
        self.write_greeting(link, &mut bytes);
        bytes.len()
    }

    pub(super) fn send_functions(&mut self, key: PeerKey, link: LinkId) {
        let parts = self.func_parts().len();
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.told_functions = true;
        for part in 0..u16::try_from(parts).unwrap_or(u16::MAX) {
            self.send(link, Outgoing::Func { part });
        }
    }

    /// Sets a timer to ask for the functions when a hello speaks of a list we do not hold.
    fn compare_revision(&mut self, now: Time, key: PeerKey, cast: Cast, revision: u64) {
        let spread = self.spread();
        let Some(peer) = self.peers.get_mut(key) else { return };
        // Not the highest ever heard: one damaged number would hide the true list for ever.
        peer.revision = revision;
        if peer.revision == peer.held_revision {
            let want = peer.want.take();
            peer.wants_asked = 0;
            self.cancel_timer(want);
        } else if peer.want.is_none() || (peer.wants_asked > 0 && cast == Cast::Broadcast) {
            // It is there: no need to wait as long as for one that does not answer.
            let old = peer.want.take();
            self.cancel_timer(old);
            // The list is probably on its way: sent with this hello, or broadcast soon.
            let delay = Duration::from_millis(250) + spread + self.random.duration_up_to(spread);
            let timer = self.timers.set(now + delay, Timer::Want(key));
            if let Some(peer) = self.peers.get_mut(key) {
                peer.want = Some(timer);
            }
        }
    }

    /// Asks a peer for its functions, and again after a growing time while they do not come.
    pub(super) fn ask_functions(&mut self, now: Time, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.want = None;
        if peer.revision == peer.held_revision {
            return;
        }
        let link = peer.link;
        let wait = Duration::from_secs(1) * (1 << peer.wants_asked.min(3));
        peer.wants_asked += 1;
        self.send(link, Outgoing::Hello { wants: true });
        let timer = self.timers.set(now + wait, Timer::Want(key));
        if let Some(peer) = self.peers.get_mut(key) {
            peer.want = Some(timer);
        }
    }

    pub(super) fn on_func(&mut self, now: Time, from: From, func: &Func<'_>) -> Result<(), Drop> {
        let session = func.session.ok_or(Drop::UnknownPeer)?;
        if session == self.session {
            return Err(Drop::Own);
        }
        let key = self.peers.by_session(session).ok_or(Drop::UnknownPeer)?;
        if from.cast == Cast::Unicast && !self.speaks_for(from.link, key) {
            return Err(Drop::UnknownPeer);
        }
        let peer = self.peers.get_mut(key).ok_or(Drop::UnknownPeer)?;
        let is_older = func.revision < peer.held_revision.max(peer.parts.revision);
        if is_older && func.revision != peer.revision {
            return Ok(());
        }
        if func.revision != peer.parts.revision {
            peer.parts = Parts { revision: func.revision, ..Parts::default() };
        }
        peer.revision = peer.revision.max(func.revision);
        peer.parts.seen.insert(func.part);
        let whole = peer.parts.seen.len() >= usize::from(func.parts);
        for name in &func.names {
            self.learn(now, key, name);
        }
        if whole {
            self.complete_list(key);
        }
        self.route_seeking(now);
        Ok(())
    }

    /// Notes that a peer offers a name.
    fn learn(&mut self, now: Time, key: PeerKey, name: &str) {
        let Ok(name) = FunctionName::new(name) else { return };
        let limit = self.config.max_functions_per_peer;
        let known = self.directory.find(name.as_str());
        let Some(peer) = self.peers.get(key) else { return };
        let is_new = known.is_none_or(|function| !peer.functions.contains(&function));
        if is_new && peer.functions.len() >= limit {
            self.limit_hit(now, "max_functions_per_peer");
            return;
        }
        let Some((function, news)) = self.directory.announce(&name, key) else {
            self.limit_hit(now, "max_functions");
            return;
        };
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.functions.insert(function);
        peer.parts.functions.insert(function);
        if !news {
            return;
        }
        let (function_name, peer_name) = (name.to_string(), peer.name.clone());
        let providers = self
            .directory
            .get(function)
            .map_or(0, |f| f.providers.len() + usize::from(f.local.is_some()));
        self.event(Event::FunctionUp { function: function_name.clone(), peer: peer_name.clone() });
        if providers > 1 {
            self.event(Event::FunctionConflict {
                function: function_name,
                peer: peer_name,
                providers,
            });
        }
    }

    /// All parts of a revision have come: what it does not name is gone.
    fn complete_list(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let parts = std::mem::take(&mut peer.parts);
        peer.held_revision = parts.revision;
        peer.parts.revision = parts.revision;
        let gone: Vec<_> = peer.functions.difference(&parts.functions).copied().collect();
        peer.functions = parts.functions;
        let peer_name = peer.name.clone();
        let want = if peer.revision == peer.held_revision { peer.want.take() } else { None };
        self.cancel_timer(want);
        for function in gone {
            self.withdraw(function, key, &peer_name);
        }
    }

    fn withdraw(&mut self, function: crate::id::FunctionKey, key: PeerKey, peer_name: &str) {
        let name = self.directory.get(function).map(|f| f.name.to_string());
        self.directory.withdraw(function, key);
        if let Some(name) = name {
            self.event(Event::FunctionDown { function: name, peer: peer_name.to_owned() });
        }
    }

    pub(super) fn on_bye(&mut self, now: Time, from: From, session: SessionId) -> Result<(), Drop> {
        if session == self.session {
            return Err(Drop::Own);
        }
        let key = self.peers.by_session(session).ok_or(Drop::UnknownPeer)?;
        let peer = self.peers.get(key).ok_or(Drop::UnknownPeer)?;
        // Where there are no addresses, only the link itself tells hosts apart.
        let same_host = |a: LinkId, b: LinkId| {
            let ip = |id| self.links.get(id).and_then(|link| link.remote.ip());
            a == b || ip(a).is_some_and(|host| ip(b) == Some(host))
        };
        if !same_host(peer.link, from.link) {
            return Err(Drop::UnknownPeer);
        }
        self.remove_peer(now, key, PeerDownReason::Left);
        Ok(())
    }

    /// Forgets a peer, its functions, and ends the calls that wait for it.
    pub(super) fn remove_peer(&mut self, now: Time, key: PeerKey, reason: PeerDownReason) {
        let Some(peer) = self.peers.remove(key) else { return };
        for timer in [peer.lease, peer.greet, peer.want] {
            self.cancel_timer(timer);
        }
        if let Some(link) = self.links.get_mut(peer.link) {
            link.peer = None;
        }
        if let (Trust::Tentative, Some(ip)) = (peer.trust, Hosts::counts(peer.endpoint.ip())) {
            self.hosts.remove_tentative(now, ip);
        }
        for function in peer.functions {
            self.withdraw(function, key, &peer.name);
        }
        // A node answers before it says farewell, but the two may take different sockets.
        if reason == PeerDownReason::Left && peer.open_calls > 0 {
            self.timers.set(now + FAREWELL_GRACE, Timer::Farewell(key));
        } else {
            self.lose_calls(now, Lost::Peer(key), reason);
        }
        self.event(Event::PeerDown { session: peer.session, name: peer.name, reason });
        self.schedule_sweep(now);
    }

    /// Says hello to everybody, and by unicast to those whom broadcasts do not reach.
    pub(super) fn say_hello(&mut self, now: Time) {
        if self.phase != Phase::Running {
            return;
        }
        let lanes: Vec<Lane> = self.links.broadcast_lanes().collect();
        if self.config.discovery {
            for lane in lanes {
                self.outbox.broadcast(lane, Outgoing::Hello { wants: false });
            }
        }
        for key in self.peers.keys() {
            let Some(peer) = self.peers.get(key) else { continue };
            let link = peer.link;
            if !peer.is_reached_by_broadcast(now) || !self.config.discovery {
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
        let old = self.hello_timer.take();
        self.cancel_timer(old);
        self.hello_timer = Some(self.timers.set(next, Timer::Hello));
    }

    /// The shortest interval that keeps the whole segment within its rate of hellos.
    pub(super) fn hello_interval(&self) -> Duration {
        let nodes = u32::try_from(self.peers.len() + 1).unwrap_or(u32::MAX);
        let shared = Duration::from_secs(1) * nodes / self.config.segment_hello_rate;
        self.config.hello_interval.max(shared).min(Duration::from_secs(300))
    }

    /// The list of functions changed: broadcast it once it has been quiet.
    pub(super) fn schedule_announce(&mut self, now: Time) {
        let old = self.announce_timer.take();
        self.cancel_timer(old);
        let at = now + self.config.announce_quiet;
        self.announce_timer = Some(self.timers.set(at, Timer::Announce));
    }

    /// Broadcasts hello and the whole list of functions.
    pub(super) fn announce(&mut self, now: Time) {
        self.announce_timer = None;
        if self.phase != Phase::Running {
            return;
        }
        self.announced = self.directory.revision();
        if self.config.discovery {
            for lane in self.links.broadcast_lanes() {
                self.outbox.broadcast(lane, Outgoing::Hello { wants: false });
            }
        }
        self.broadcast_functions();
        for key in self.peers.keys() {
            let Some(peer) = self.peers.get_mut(key) else { continue };
            if peer.is_reached_by_broadcast(now) && self.config.discovery {
                // This broadcast is the answer that was owed.
                peer.told_functions = true;
                let owed = peer.greet.take();
                self.cancel_timer(owed);
            } else if peer.trust == Trust::Verified {
                let link = peer.link;
                self.send_functions(key, link);
            }
        }
    }

    /// Broadcasts the whole list of functions, on every lane that can.
    pub(super) fn broadcast_functions(&mut self) {
        let parts = u16::try_from(self.func_parts().len()).unwrap_or(u16::MAX);
        if self.config.discovery {
            for lane in self.links.broadcast_lanes() {
                for part in 0..parts {
                    self.outbox.broadcast(lane, Outgoing::Func { part });
                }
            }
        }
    }

    /// The local names, cut so that each part fits a broadcast.
    pub(super) fn func_parts(&mut self) -> &[Vec<String>] {
        let revision = self.directory.revision();
        if self.func_parts.0 != revision || self.func_parts.1.is_empty() {
            let smallest = self
                .links
                .broadcast_lanes()
                .filter_map(|lane| self.links.capabilities(lane).map(|c| c.max_broadcast))
                .min();
            // What is not names: the nine fields, the extension, brackets.
            let room = smallest.unwrap_or(1024).saturating_sub(260).max(FunctionName::MAX + 3);
            let mut parts = vec![Vec::new()];
            let mut used = 0;
            for name in self.directory.local_names() {
                let size = name.len() + 3;
                if used + size > room {
                    parts.push(Vec::new());
                    used = 0;
                }
                used += size;
                if let Some(part) = parts.last_mut() {
                    part.push(name.to_owned());
                }
            }
            self.func_parts = (revision, parts);
        }
        &self.func_parts.1
    }
}
