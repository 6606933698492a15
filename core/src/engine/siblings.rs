//! The native nodes of one host: they share the port that older programs answer to, and the system
//! chooses which of them gets a datagram. The one that gets it passes it on.

use super::Core;
use super::homes::is_sibling;
use super::older::Heard;
use super::receive::From;
use crate::counters::Drop;
use crate::dialect::Dialect;
use crate::dialect::native::{self, Unreadable};
use crate::dialect::older::{self, Older};
use crate::endpoint::LinkId;
use crate::fields::Fields;
use crate::id::PeerKey;
use crate::message::WireId;
use crate::ports::{Budget, Cast, Codec, Origin};
use crate::time::Time;
use crate::wire::outbox::{Outgoing, Relayed};
use crate::wire::pipeline::drop_of;

/// Nodes of one host that are told what only one of them has heard.
const MAX_SIBLINGS: usize = 64;
/// Bytes of names in a list that is passed on.
const NAMES: usize = 800;

impl Core {
    /// Passes on what concerns every node of this host.
    pub(super) fn pass_on(&mut self, heard: &Heard<'_, '_>) {
        if heard.relayed || heard.cast != Cast::Shared {
            return;
        }
        for link in self.siblings() {
            self.relay(link, heard);
        }
    }

    /// Passes on a call that another node of this host can answer and this one cannot.
    pub(super) fn pass_call_on(&mut self, heard: &Heard<'_, '_>, function: &str) -> bool {
        if heard.relayed || heard.cast == Cast::Unicast || self.directory.local(function).is_some()
        {
            return false;
        }
        let providers = self.directory.providers(function);
        // The latest announcer is last.
        let mut peers = providers.iter().rev().filter_map(|one| self.peers.get(*one));
        let Some(link) = peers.find(|peer| is_sibling(peer)).map(|peer| peer.link) else {
            return false;
        };
        self.relay(link, heard);
        true
    }

    /// Passes on the answer to a call of another node of this host.
    pub(super) fn pass_answer_on(&mut self, heard: &Heard<'_, '_>, id: &WireId<'_>) -> bool {
        let WireId::Native(id) = id else { return false };
        if heard.relayed || id.session == self.session.short() {
            return false;
        }
        let is_meant =
            |peer: &crate::peers::Peer| is_sibling(peer) && peer.session.short() == id.session;
        let link = self.peers.iter().find(|(_, peer)| is_meant(peer)).map(|(_, peer)| peer.link);
        let Some(link) = link else { return false };
        self.relay(link, heard);
        true
    }

    fn siblings(&self) -> Vec<LinkId> {
        let siblings = self.peers.iter().filter(|(_, peer)| is_sibling(peer));
        siblings.map(|(_, peer)| peer.link).take(MAX_SIBLINGS).collect()
    }

    fn relay(&mut self, link: LinkId, heard: &Heard<'_, '_>) {
        let relayed = Relayed { from: heard.host, frame: heard.bytes.to_vec() };
        self.send(link, Outgoing::Relay(Box::new(relayed)));
    }

    /// Tells a node of this host that has come later what this one knows of older programs: they
    /// take the two for one, and will not say it again.
    pub(super) fn introduce_homes(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get(key).filter(|peer| is_sibling(peer)) else { return };
        let link = peer.link;
        let codec = std::sync::Arc::clone(self.pipeline.plain());
        for host in self.homes.hosts() {
            let Some(home) = self.homes.get(host).filter(|home| home.acquainted) else { continue };
            let dialect = home.dialect;
            let peer = home.link.and_then(|link| self.links.get(link)?.peer);
            let Some(peer) = peer.and_then(|key| self.peers.get(key)) else { continue };
            let names = peer.functions.iter().filter_map(|key| self.directory.get(*key));
            let names: Vec<_> = names.map(|function| function.name.to_string()).collect();
            for part in cut(names) {
                let names = part.iter().map(|name| name.as_str().into()).collect();
                let mut frame = Vec::new();
                if older::write(dialect, &Older::Func(names), codec.as_ref(), &mut frame).is_ok() {
                    self.send(link, Outgoing::Relay(Box::new(Relayed { from: host, frame })));
                }
            }
        }
    }

    /// Takes what another node of this host has passed on.
    pub(super) fn on_relay(
        &mut self,
        now: Time,
        from: From,
        fields: &Fields<'_>,
        codec: &dyn Codec,
        budget: &mut Budget,
    ) -> Result<(), Drop> {
        if from.origin != Origin::Host || from.cast != Cast::Unicast || self.config.older_port == 0
        {
            return Err(Drop::Misaddressed);
        }
        let unreadable = |why| match why {
            Unreadable::Field(error) => drop_of(error),
            _ => Drop::BadField,
        };
        let relay = native::read_relay(fields, codec, budget).map_err(unreadable)?;
        let (fields, _) = Fields::read(codec, relay.frame, budget).map_err(drop_of)?;
        let dialect = Dialect::of(&fields);
        if !dialect.profile().has_home || !relay.from.is_ipv4() {
            return Err(Drop::BadField);
        }
        let link = self.links.get(from.link).ok_or(Drop::UnknownLink)?;
        let scheme = link.remote.scheme().to_owned();
        let (host, bytes, fields) = (relay.from, relay.frame, &fields);
        let heard = Heard { host, dialect, cast: Cast::Shared, relayed: true, fields, bytes };
        let result = self.hear_older(now, &scheme, None, &heard, codec, budget);
        self.note_introduction(host, dialect, fields);
        result
    }

    /// Whoever passes a list of functions on is known to the program that has them, and so is
    /// this host.
    fn note_introduction(&mut self, host: std::net::IpAddr, dialect: Dialect, fields: &Fields<'_>) {
        let is_func = older::is_func(dialect, fields);
        if let Some(home) = self.homes.get_mut(host).filter(|_| is_func) {
            home.acquainted = true;
        }
    }
}

fn cut(names: Vec<String>) -> Vec<Vec<String>> {
    let (mut parts, mut used) = (vec![Vec::new()], 0);
    for name in names {
        let size = name.len() + 13;
        if used + size > NAMES {
            parts.push(Vec::new());
            used = 0;
        }
        used += size;
        if let Some(part) = parts.last_mut() {
            part.push(name);
        }
    }
    parts
}
