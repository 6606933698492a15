//! What older programs say: a host is a peer, known by its address, and everything said back goes
//! to its home.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::receive::From;
use super::{Core, LinkCommand};
use crate::counters::Drop;
use crate::dialect::native::Unreadable;
use crate::dialect::older::{self, Older};
use crate::dialect::{Dialect, Form};
use crate::endpoint::{Endpoint, LinkId};
use crate::event::PeerDownReason;
use crate::fields::Fields;
use crate::homes::{Early, Home, Step};
use crate::id::{PeerKey, SessionId, Version};
use crate::message::{Call, Features, Hello, NO_COPY};
use crate::ports::{Budget, Cast, Close, Codec, Origin};
use crate::time::Time;
use crate::wire::outbox::Outgoing;
use crate::wire::pipeline::drop_of;

/// How long a program that is met for the first time is left alone: a hello to it in the second
/// in which it collects its functions would keep it from broadcasting them.
const SETTLE: Duration = Duration::from_millis(1200);

/// A message of an older program, and the way it came.
pub(super) struct Heard<'m, 'a> {
    pub(super) host: IpAddr,
    pub(super) dialect: Dialect,
    pub(super) cast: Cast,
    /// Another node of this host got it first.
    pub(super) relayed: bool,
    pub(super) fields: &'m Fields<'a>,
    /// The whole message.
    pub(super) bytes: &'a [u8],
}

impl Core {
    /// Takes a message of an older dialect that came by a link. `None`: nobody on this network
    /// can have sent it, so that it is read as any other.
    pub(super) fn on_older(
        &mut self,
        now: Time,
        from: From,
        heard: (Dialect, &Fields<'_>, &[u8]),
        codec: &dyn Codec,
        budget: &mut Budget,
    ) -> Option<Result<(), Drop>> {
        let (dialect, fields, bytes) = heard;
        let link = self.links.get(from.link)?;
        let scheme = link.remote.scheme().to_owned();
        let host = link.remote.ip().filter(IpAddr::is_ipv4)?;
        // The nodes of this host speak natively to each other, and no original can share a port.
        if self.config.older_port == 0 || from.origin == Origin::Host {
            return None;
        }
        let cast = from.cast;
        let heard = Heard { host, dialect, cast, relayed: false, fields, bytes };
        let result = self.hear_older(now, &scheme, Some(from.link), &heard, codec, budget);
        self.release_source(now, from.link, bytes.len());
        Some(result)
    }

    /// Every datagram of an original comes from a port of its own, which nobody needs again.
    fn release_source(&mut self, now: Time, id: LinkId, heard: usize) {
        let Some(link) = self.links.get(id) else { return };
        let is_fresh = link.is_strangers() && link.queue.is_empty() && link.heard_bytes <= heard;
        if is_fresh && !link.is_home {
            self.drop_link(now, id, Close::Abort);
        }
    }

    /// Handles a message once there is a link to its sender's home, or keeps it until then.
    pub(super) fn hear_older(
        &mut self,
        now: Time,
        scheme: &str,
        by: Option<LinkId>,
        heard: &Heard<'_, '_>,
        codec: &dyn Codec,
        budget: &mut Budget,
    ) -> Result<(), Drop> {
        if self.homes.get(heard.host).is_none() {
            let address = SocketAddr::new(heard.host, self.config.older_port);
            let endpoint = Endpoint::socket(scheme, address);
            let home = Home::new(now, endpoint.clone(), heard.dialect);
            if !self.homes.insert(heard.host, home) {
                self.limit_hit(now, "older_hosts");
                return Err(Drop::TableFull);
            }
            match by.filter(|by| self.links.get(*by).is_some_and(|link| link.remote == endpoint)) {
                Some(link) => self.home_up(now, link, &endpoint),
                None => self.link_commands.push_back(LinkCommand::Connect(endpoint)),
            }
        }
        let home = self.homes.get_mut(heard.host).ok_or(Drop::TableFull)?;
        let Some(link) = home.link else {
            let (cast, relayed, bytes) = (heard.cast, heard.relayed, heard.bytes.to_vec());
            let kept = home.keep_early(Early { cast, relayed, bytes });
            return if kept { Ok(()) } else { Err(Drop::TableFull) };
        };
        self.handle_older(now, link, heard, codec, budget)
    }

    /// A link came up that may be somebody's home: what was said before is heard now.
    pub(super) fn home_up(&mut self, now: Time, link: LinkId, remote: &Endpoint) {
        let Some(host) = remote.ip() else { return };
        let Some(home) = self.homes.get_mut(host).filter(|home| home.endpoint == *remote) else {
            return;
        };
        home.link = Some(link);
        let early = std::mem::take(&mut home.early);
        if let Some(link) = self.links.get_mut(link) {
            link.is_home = true;
        }
        let codec = std::sync::Arc::clone(self.pipeline.plain());
        for Early { cast, relayed, bytes } in early {
            let mut budget = Budget { depth: self.config.max_depth, nodes: self.config.max_nodes };
            let Ok((fields, _)) = Fields::read(codec.as_ref(), &bytes, &mut budget) else {
                continue;
            };
            let dialect = Dialect::of(&fields);
            let heard = Heard { host, dialect, cast, relayed, fields: &fields, bytes: &bytes };
            // It was counted when it came.
            let _ = self.handle_older(now, link, &heard, codec.as_ref(), &mut budget);
        }
    }

    /// The link to a home is gone, or was never made.
    pub(super) fn home_gone(&mut self, now: Time, host: IpAddr) {
        let Some(home) = self.homes.remove(host) else { return };
        let later = home.link.map(|link| self.homes.take_later(link)).unwrap_or_default();
        for message in home.waiting.into_iter().chain(later) {
            self.unsent(now, message);
        }
    }

    /// No link could be made.
    pub(super) fn home_failed(&mut self, now: Time, remote: &Endpoint) {
        let is_it = |home: &Home| home.endpoint == *remote && home.link.is_none();
        if let Some(host) = remote.ip()
            && self.homes.get(host).is_some_and(is_it)
        {
            self.home_gone(now, host);
        }
    }

    fn handle_older(
        &mut self,
        now: Time,
        link: LinkId,
        heard: &Heard<'_, '_>,
        codec: &dyn Codec,
        budget: &mut Budget,
    ) -> Result<(), Drop> {
        let mut room = Vec::new();
        let message = older::read(heard.dialect, heard.fields, codec, budget, &mut room);
        let message = message.map_err(|why| match why {
            Unreadable::UnknownMethod => Drop::UnknownMethod,
            Unreadable::Field(error) => drop_of(error),
            _ => Drop::Version,
        })?;
        if let Some(known) = self.links.get_mut(link) {
            known.last_heard = now;
            known.heard_bytes = known.heard_bytes.saturating_add(heard.bytes.len());
        }
        let form = Form { format: codec.format(), dialect: heard.dialect };
        // To its own part of this host it is as if it had come straight.
        let from = From { link, cast: Cast::Unicast, origin: Origin::Network, form, seal: None };
        let result = match message {
            Older::Hello => self.on_older_hello(now, link, heard),
            Older::Func(names) => {
                self.pass_on(heard);
                let key = self.older_peer(now, link, heard.host, heard.dialect)?;
                let mut is_news = false;
                for name in &names {
                    is_news |= self.learn(now, key, name, false);
                }
                self.functions_came(now, is_news);
                Ok(())
            }
            Older::Call { id, function, args, kwargs } => {
                if self.pass_call_on(heard, &function) {
                    return Ok(());
                }
                self.on_call(now, &from, &Call::new(id, function, args, kwargs))
            }
            Older::Callback { id, result } => {
                if self.pass_answer_on(heard, &id) {
                    return Ok(());
                }
                self.on_answer(now, &from, &id, (None, NO_COPY), Ok(result))?;
                // Nobody else has seen the number of the call.
                if let Some(key) = self.links.get(link).and_then(|link| link.peer) {
                    self.prove(now, key, link);
                }
                Ok(())
            }
        };
        self.retry_held(now, heard.host);
        result
    }

    fn on_older_hello(
        &mut self,
        now: Time,
        link: LinkId,
        heard: &Heard<'_, '_>,
    ) -> Result<(), Drop> {
        self.pass_on(heard);
        let host = heard.host;
        let known = self.links.get(link).and_then(|link| link.peer);
        self.homes.tells_shared |= heard.cast == Cast::Shared;
        let tells_shared = self.homes.tells_shared;
        let home = self.homes.get_mut(host).ok_or(Drop::TableFull)?;
        home.dialect = heard.dialect;
        // Where nobody tells the two apart, a hello out of step that follows ours is the answer.
        let may_greet = !tells_shared && home.answer_by.is_some() && home.step(now) == Step::Out;
        let greets_us = heard.cast != Cast::Broadcast || may_greet;
        let mut restarted = greets_us && home.is_another();
        let unclear = greets_us && home.may_be_another();
        if !greets_us {
            let step = home.step(now);
            restarted |= known.is_none() && home.heard_hello.is_some();
            home.heard_hello = Some(now);
            match step {
                Step::In => {}
                // One that has just begun is not to be disturbed while it begins.
                Step::Out => home.doubt(now + SETTLE),
                Step::Missed => home.doubt(now),
            }
        }
        if restarted {
            self.older_restarted(now, host, link);
        } else if unclear {
            self.void_what_it_asked(now, host, link);
        }
        let key = self.older_peer(now, link, host, heard.dialect)?;
        if let Some(peer) = self.peers.get_mut(key) {
            peer.last_seen = now;
            peer.lease_ends = now + lease_of(heard.dialect);
            if peer.lease.is_none() {
                self.set_lease(key);
            }
        }
        if greets_us {
            self.greeted_by(now, host);
            // Whoever has just been met has been told.
            if known == Some(key) {
                self.tell_home(host, link);
            }
        }
        self.schedule_homes(now);
        Ok(())
    }

    /// Another process lives there now: what the one before offered and asked is void, and an
    /// answer to it would be the end of the new one.
    fn older_restarted(&mut self, now: Time, host: IpAddr, link: LinkId) {
        if let Some(key) = self.links.get(link).and_then(|link| link.peer) {
            let offered = self.peers.get(key).map_or(0, |peer| peer.functions.len());
            self.remove_peer(now, key, PeerDownReason::Restarted);
            if let Some(home) = self.homes.get_mut(host) {
                home.expects = offered;
            }
        }
        if let Some(home) = self.homes.get_mut(host) {
            home.acquainted = false;
        }
        self.void_what_it_asked(now, host, link);
    }

    /// Whatever was asked there before now is not answered any more.
    fn void_what_it_asked(&mut self, now: Time, host: IpAddr, link: LinkId) {
        let Some(home) = self.homes.get_mut(host) else { return };
        home.restarted = now;
        home.said_hello = [None; 2];
        let is_answer = |message: &Outgoing| match message {
            Outgoing::Ripe(message) => !matches!(**message, Outgoing::Call(_)),
            message => matches!(message, Outgoing::Answer(_) | Outgoing::Refusal(_)),
        };
        let (mut void, kept): (Vec<_>, Vec<_>) = home.waiting.drain(..).partition(is_answer);
        home.waiting = kept.into();
        void.extend(self.homes.take_later(link));
        if let Some(link) = self.links.get_mut(link) {
            let mut gone = Vec::new();
            self.outbox.change(link, |link| {
                let (void, kept): (Vec<_>, Vec<_>) = link.queue.drain(..).partition(is_answer);
                (gone, link.queue) = (void, kept.into());
            });
            gone.iter().for_each(|message| self.outbox.took(message));
            void.extend(gone);
        }
        for message in void {
            self.unsent(now, message);
        }
    }

    /// The peer that stands for a host, made if there is none.
    fn older_peer(
        &mut self,
        now: Time,
        link: LinkId,
        host: IpAddr,
        dialect: Dialect,
    ) -> Result<PeerKey, Drop> {
        let known = self.links.get(link).ok_or(Drop::UnknownLink)?;
        if let Some(key) = known.peer {
            return Ok(key);
        }
        let lease = lease_of(dialect);
        let hello = Hello {
            version: Version { major: 0, minor: 1 },
            session: session_of(host),
            name: host.to_string().into(),
            interval: lease / 6,
            revision: 0,
            features: Features::default(),
            token: None,
            echo: None,
            receiver: None,
            wants: false,
            connection_port: None,
            load: 0,
        };
        let key = self.add_peer_of(now, link, Origin::Network, dialect, &hello)?;
        if let Some(peer) = self.peers.get_mut(key) {
            // What is broadcast is not for it; what is for it comes from here.
            peer.heard_by_broadcast = true;
            peer.told_functions = true;
            peer.lease_ends = now + lease;
        }
        self.set_lease(key);
        self.homes_met(now, host, link, SETTLE);
        Ok(key)
    }

    /// Whether frames from a host are known to be its own: it has answered a call.
    pub(super) fn is_proved_home(&self, host: IpAddr) -> bool {
        let link = self.homes.get(host).and_then(|home| home.link);
        link.and_then(|link| self.links.get(link)).is_some_and(|link| link.proved)
    }
}

/// How long a program of a dialect is remembered after its last hello.
fn lease_of(dialect: Dialect) -> Duration {
    dialect.profile().lease.unwrap_or(Duration::from_secs(30))
}

/// The session that stands for a host which has none: no native one begins with eight zeros.
fn session_of(host: IpAddr) -> SessionId {
    let [a, b, c, d] = match host {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(_) => [0; 4],
    };
    SessionId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d])
}

/// Whether a session stands for a host, so that no native node may claim it.
pub(super) fn stands_for_a_host(session: SessionId) -> bool {
    session.short() == 0
}
