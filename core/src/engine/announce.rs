//! Func: telling what this node offers, learning what others do.

use std::time::Duration;

use super::receive::From;
use super::{Core, Phase};
use crate::counters::Drop;
use crate::endpoint::LinkId;
use crate::event::Event;
use crate::id::{FunctionName, PeerKey};
use crate::message::Func;
use crate::mutant::planted;
use crate::peers::{Parts, Trust};
use crate::ports::Cast;
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::Outgoing;

impl Core {
    pub(super) fn may_tell_functions(&mut self, now: Time, link: LinkId) -> bool {
        let size = self.greeting_size(link);
        self.within_budget_after_hello(now, link, size)
    }

    /// Bytes of a hello and the list of functions in one frame.
    fn greeting_size(&mut self, link: LinkId) -> usize {
        let mut bytes = Vec::new();
        self.write_greeting(link, &mut bytes);
        bytes.len() + self.envelope_size()
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
    pub(super) fn compare_revision(&mut self, now: Time, key: PeerKey, cast: Cast, revision: u64) {
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
        if peer.revision == peer.held_revision || planted!(ListNotAsked) {
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
        if !self.is_believed(key) {
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
        let mut idempotent = func.idempotent.iter().map(|place| usize::from(*place)).peekable();
        let mut is_news = false;
        for (place, name) in func.names.iter().enumerate() {
            let is_idempotent = idempotent.next_if_eq(&place).is_some();
            is_news |= self.learn(now, key, name, is_idempotent);
        }
        if whole {
            self.complete_list(key);
        }
        self.functions_came(now, is_news);
        Ok(())
    }

    /// A peer has said what it offers: calls that wait for that go on, those that had nobody else
    /// to ask too if something of it is news.
    pub(super) fn functions_came(&mut self, now: Time, is_news: bool) {
        self.route_seeking(now);
        if is_news {
            self.providers_came(now);
        }
    }

    /// Notes that a peer offers a name. `true`: it did not before.
    pub(super) fn learn(&mut self, now: Time, key: PeerKey, name: &str, idempotent: bool) -> bool {
        let Ok(name) = FunctionName::new(name) else { return false };
        let limit = self.config.max_functions_per_peer;
        let known = self.directory.find(name.as_str());
        let Some(peer) = self.peers.get(key) else { return false };
        let is_new = known.is_none_or(|function| !peer.functions.contains(&function));
        if is_new && peer.functions.len() >= limit {
            self.limit_hit(now, "max_functions_per_peer");
            return false;
        }
        let Some((function, news)) = self.directory.announce(&name, key, idempotent) else {
            self.limit_hit(now, "max_functions");
            return false;
        };
        let Some(peer) = self.peers.get_mut(key) else { return false };
        peer.functions.insert(function);
        peer.parts.functions.insert(function);
        if !news {
            return false;
        }
        let (function_name, peer_name) = (name.to_string(), peer.name.to_string());
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
        true
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

    pub(super) fn withdraw(
        &mut self,
        function: crate::id::FunctionKey,
        key: PeerKey,
        peer_name: &str,
    ) {
        let name = self.directory.get(function).map(|f| f.name.to_string());
        self.directory.withdraw(function, key);
        if let Some(name) = name {
            self.event(Event::FunctionDown { function: name, peer: peer_name.to_owned() });
        }
    }

    /// The list of functions changed: broadcast it once it has been quiet.
    pub(super) fn schedule_announce(&mut self, now: Time) {
        let old = self.announcing.announce_timer.take();
        self.cancel_timer(old);
        let at = now + self.config.announce_quiet;
        self.announcing.announce_timer = Some(self.timers.set(at, Timer::Announce));
    }

    /// Broadcasts hello and the whole list of functions.
    pub(super) fn announce(&mut self, now: Time) {
        self.announcing.announce_timer = None;
        if self.phase != Phase::Running {
            return;
        }
        self.announcing.announced = self.directory.revision();
        self.announcing.last_announce = Some(now);
        if self.config.discovery {
            for lane in self.links.broadcast_lanes() {
                self.outbox.broadcast(lane, Outgoing::Hello { wants: false });
            }
        }
        self.broadcast_functions();
        self.tell_homes();
        self.leave_step(now);
        for key in self.peers.keys() {
            let Some(peer) = self.peers.get_mut(key) else { continue };
            if peer.dialect.profile().has_home {
                continue;
            }
            if peer.is_reached_by_broadcast(now) && self.config.discovery {
                // This broadcast is the answer that was owed.
                peer.told_functions = true;
                let owed = self.peers.settle_greeting(key);
                self.cancel_timer(owed);
            } else if peer.trust == Trust::Verified {
                let link = peer.link;
                self.send_functions(key, link);
            }
        }
    }

    /// In a crowd, whoever has just said hello with all the others draws anew when to say the
    /// next one: a room that starts together must not go on in step.
    fn leave_step(&mut self, now: Time) {
        let interval = self.hello_interval();
        if interval > self.config.hello_interval {
            let next = now + self.random.duration_up_to(interval * 6 / 5);
            let old = self.announcing.hello_timer.replace(self.timers.set(next, Timer::Hello));
            self.cancel_timer(old);
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
}
