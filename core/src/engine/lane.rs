//! Which lane a message takes, and the connections to peers that are known by datagrams.
//!
//! A peer has one link that its hellos come by, and while large messages go to and fro a
//! connection beside it. Both ends may have begun it, and both use it.

use std::time::Duration;

use super::{Core, LinkCommand};
use crate::calls::{Carrier, Stage};
use crate::endpoint::{Endpoint, LinkId};
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::PeerKey;
use crate::peers::Connection;
use crate::time::Time;
use crate::wire::outbox::Outgoing;

/// A message larger than this takes a connection where there is one: a datagram that the network
/// cuts in pieces is lost with the first of them.
const LARGE: usize = 1200;

/// What a message takes besides the user's own bytes and the function's name, at most.
const AROUND: usize = 160;

/// After this time a connection that is still being made is dialled again.
const DIAL_AGAIN: Duration = Duration::from_secs(10);

/// The way to a peer.
pub(super) enum Way {
    /// By this link.
    Link(LinkId),
    /// By a connection that is being made: leave the message with the peer.
    Dialling,
    /// The peer takes no connections, or this node makes none.
    None,
}

/// Whether a message with so many bytes of the user's own is better sent by a connection.
pub(super) fn is_large(bytes: usize) -> bool {
    bytes.saturating_add(AROUND) > LARGE
}

impl Core {
    /// The way for a message of about `bytes` of the user's own to a peer.
    pub(super) fn way_to(
        &mut self,
        now: Time,
        key: PeerKey,
        carrier: Carrier,
        bytes: usize,
    ) -> Way {
        let Some(peer) = self.peers.get(key) else { return Way::None };
        let link = peer.link;
        let is_connection = self.is_connection(link);
        let is_small = !is_large(bytes);
        match carrier {
            Carrier::OneShot if self.links.connection_lane().is_none() => Way::None,
            Carrier::OneShot => Way::Link(link),
            Carrier::Datagrams if is_connection => Way::None,
            Carrier::Datagrams => Way::Link(link),
            Carrier::Auto if is_small || is_connection => Way::Link(link),
            Carrier::Connection if is_connection => Way::Link(link),
            Carrier::Auto => match self.connect(now, key) {
                Way::None => Way::Link(link),
                way => way,
            },
            Carrier::Connection => self.connect(now, key),
        }
    }

    /// Whether a link is a connection.
    pub(super) fn is_connection(&self, link: LinkId) -> bool {
        self.links.capabilities(link.lane).is_some_and(|lane| lane.connected)
    }

    /// The connection to a peer, which is dialled if there is none.
    fn connect(&mut self, now: Time, key: PeerKey) -> Way {
        let Some(peer) = self.peers.get(key) else { return Way::None };
        let patience = self.config.connection_idle / 2;
        match peer.connection {
            Connection::Up(link)
                if self.links.get(link).is_some_and(|link| link.is_fresh(now, patience)) =>
            {
                return Way::Link(link);
            }
            Connection::Dialling(since) if now.since(since) < DIAL_AGAIN => return Way::Dialling,
            _ => {}
        }
        let Some(endpoint) = self.connection_endpoint(key) else { return Way::None };
        if let Some(peer) = self.peers.get_mut(key) {
            peer.connection = Connection::Dialling(now);
        }
        self.link_commands.push_back(LinkCommand::Connect(endpoint));
        Way::Dialling
    }

    /// Where a peer takes connections: on the host its hellos come from, at the port they name.
    fn connection_endpoint(&self, key: PeerKey) -> Option<Endpoint> {
        let peer = self.peers.get(key)?;
        let (scheme, _) = self.links.connection_lane()?;
        let mut address = peer.endpoint.socket_addr()?;
        address.set_port(peer.connection_port?);
        Some(Endpoint::socket(scheme, address))
    }

    /// Leaves a message with a peer until its connection is there.
    pub(super) fn wait_for_connection(&mut self, key: PeerKey, message: Outgoing) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.waiting.push(message);
        }
    }

    /// A connection that this node dialled is there: it belongs to the peer it was dialled for.
    pub(super) fn connection_up(&mut self, now: Time, link: LinkId, remote: &Endpoint) {
        let Some(key) = self.dialling(remote) else { return };
        self.adopt(key, link);
        self.send(link, Outgoing::Hello { wants: false });
        let waiting = self.take_waiting(key);
        for message in waiting {
            self.send_by(now, link, message);
        }
    }

    /// The connection could not be made: what waits for it takes the datagrams if it can.
    pub(super) fn connection_failed(&mut self, now: Time, remote: &Endpoint, reason: &str) {
        let Some(key) = self.dialling(remote) else { return };
        let waiting = self.take_waiting(key);
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.connection = Connection::None;
        let (link, name) = (peer.link, peer.name.clone());
        for message in waiting {
            match message {
                Outgoing::Call(call) => {
                    let text = format!(
                        "no connection to `{name}` at {remote}: {reason}; see whether a firewall \
                         stands between"
                    );
                    let error = CallError::new(ErrorCode::NETWORK, Executed::No, text);
                    self.finish_failed(now, call, error);
                }
                Outgoing::Answer(task) => {
                    let text = format!("no connection to bring it back: {reason}");
                    self.shorten_answer(link, task, text);
                }
                other => self.unsent(now, other),
            }
        }
    }

    fn dialling(&self, remote: &Endpoint) -> Option<PeerKey> {
        let is_dialled = |peer: &crate::peers::Peer| {
            let at = peer.endpoint.socket_addr().zip(peer.connection_port);
            matches!(peer.connection, Connection::Dialling(_))
                && at.is_some_and(|(mut address, port)| {
                    address.set_port(port);
                    Some(address) == remote.socket_addr()
                })
        };
        self.peers.iter().find(|(_, peer)| is_dialled(peer)).map(|(key, _)| key)
    }

    fn take_waiting(&mut self, key: PeerKey) -> Vec<Outgoing> {
        self.peers.get_mut(key).map(|peer| std::mem::take(&mut peer.waiting)).unwrap_or_default()
    }

    /// Makes a link the connection of a peer.
    fn adopt(&mut self, key: PeerKey, link: LinkId) {
        let Some(known) = self.links.get_mut(link) else { return };
        known.peer = Some(key);
        known.proved = true;
        known.proved_for = Some(key);
        let Some(peer) = self.peers.get_mut(key) else { return };
        let has_one = matches!(peer.connection, Connection::Up(up) if self.links.get(up).is_some());
        if !has_one {
            peer.connection = Connection::Up(link);
        }
    }

    /// A hello came by a connection: it is its session's if it comes from the host where that
    /// session lives. A handshake proves the host, and open mode knows nothing closer.
    pub(super) fn recognise(&mut self, key: PeerKey, link: LinkId) {
        let Some(known) = self.links.get(link) else { return };
        let Some(peer) = self.peers.get(key) else { return };
        if !self.is_connection(link) || known.peer.is_some() || peer.link == link {
            return;
        }
        if known.remote.ip().is_some_and(|host| peer.endpoint.ip() == Some(host)) {
            self.adopt(key, link);
        }
    }

    /// A link of a peer is gone. `true`: the peer lives on, by another.
    pub(super) fn lost_connection(&mut self, key: PeerKey, link: LinkId) -> bool {
        let Some(peer) = self.peers.get_mut(key) else { return false };
        if peer.connection == Connection::Up(link) {
            peer.connection = Connection::None;
        }
        peer.link != link
    }

    /// Sends by a link what was to go by another.
    fn send_by(&mut self, now: Time, link: LinkId, message: Outgoing) {
        if let Outgoing::Call(key) = message {
            if let Some(Stage::Remote { link: by, .. }) =
                self.calls.get_mut(key).map(|call| &mut call.stage)
            {
                *by = link;
            }
            if let Some(link) = self.links.get_mut(link) {
                link.carried_calls = true;
            }
            if let Err(error) = self.open_stream(key, link) {
                return self.finish_failed(now, key, error);
            }
        }
        if !self.send(link, message.clone()) {
            self.unsent(now, message);
        }
    }

    /// A message turned out to be too large for a datagram. `true`: it takes a connection.
    pub(super) fn divert(&mut self, now: Time, link: LinkId, message: &Outgoing) -> bool {
        if self.is_connection(link) {
            return false;
        }
        let carrier = match message {
            Outgoing::Call(key) => self.calls.get(*key).map(|call| call.request.carrier),
            Outgoing::Answer(_) => Some(Carrier::Auto),
            _ => None,
        };
        if !matches!(carrier, Some(Carrier::Auto)) {
            return false;
        }
        let Some(key) = self.links.get(link).and_then(|link| link.peer) else { return false };
        match self.connect(now, key) {
            Way::Link(link) => self.send_by(now, link, message.clone()),
            Way::Dialling => self.wait_for_connection(key, message.clone()),
            Way::None => return false,
        }
        true
    }

    /// Whether what comes by a link can only be this peer's.
    pub(super) fn is_from(&self, link: LinkId, peer: PeerKey) -> bool {
        self.links.get(link).is_some_and(|link| link.proved_for == Some(peer))
    }
}
