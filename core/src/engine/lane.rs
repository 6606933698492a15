//! Which lane a message takes, and the connections to peers that are known by datagrams.
//!
//! A peer has one link that its hellos come by, and while large messages go to and fro a
//! connection beside it. Both ends may have begun it, and both use it.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Core, LinkCommand};
use crate::calls::{Carrier, Stage};
use crate::endpoint::{Endpoint, LinkId};
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::{CallKey, PeerKey};
use crate::peers::{Dial, Peer};
use crate::ports::{Close, Initiator};
use crate::recovery::Flight;
use crate::time::Time;
use crate::wire::links::Link;
use crate::wire::outbox::Outgoing;

/// A message larger than this takes a connection where there is one: a datagram that the network
/// cuts in pieces is lost with the first of them.
const LARGE: usize = 1200;

/// What a message takes besides the user's own bytes and the function's name, at most.
const AROUND: usize = 160;

/// So often in a row a connection is dialled that ends before anything has come by it.
const DIALS: u8 = 4;

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
    pub(super) fn connect(&mut self, now: Time, key: PeerKey) -> Way {
        let Some(peer) = self.peers.get(key) else { return Way::None };
        if let Some(link) = peer.connection.filter(|link| self.may_begin_on(now, *link)) {
            return Way::Link(link);
        }
        if peer.dial.is_some_and(|dial| now.since(dial.since) < DIAL_AGAIN) {
            return Way::Dialling;
        }
        let Some((scheme, to)) = self.connection_address(peer) else { return Way::None };
        let endpoint = Endpoint::socket(scheme, to);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.dial = Some(Dial { to, since: now });
        }
        self.link_commands.push_back(LinkCommand::Connect(endpoint));
        Way::Dialling
    }

    /// Whether a connection is there, and its far end is not about to close it as idle.
    fn may_begin_on(&self, now: Time, link: LinkId) -> bool {
        let patience = self.config.connection_idle / 2;
        self.links.get(link).is_some_and(|link| link.is_fresh(now, patience))
    }

    /// Where a peer takes connections: on the host its hellos come from, at the port they name.
    pub(super) fn connection_address(&self, peer: &Peer) -> Option<(&str, SocketAddr)> {
        let (scheme, _) = self.links.connection_lane()?;
        let mut address = peer.endpoint.socket_addr()?;
        address.set_port(peer.connection_port?);
        Some((scheme, address))
    }

    /// Leaves a message with a peer until its connection is there.
    pub(super) fn wait_for_connection(&mut self, key: PeerKey, message: Outgoing) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let waiting = &mut peer.waiting;
        if waiting.len() == waiting.capacity() {
            // What is over meanwhile is dropped before the list grows: it is no longer than
            // twice the open calls and tasks.
            let (calls, tasks) = (&self.calls, &self.tasks);
            waiting.retain(|message| match message {
                Outgoing::Call(call) => {
                    calls.get(*call).is_some_and(|call| !matches!(call.stage, Stage::Done(_)))
                }
                Outgoing::Answer(task) => tasks.get(*task).is_some(),
                _ => true,
            });
            waiting.reserve(waiting.len() + 1);
        }
        waiting.push(message);
    }

    /// A connection that this node dialled is there: it belongs to the peer it was dialled for.
    pub(super) fn connection_up(&mut self, now: Time, link: LinkId, remote: &Endpoint) {
        let mut has_said_hello = false;
        while let Some(key) = self.take_dialled(remote) {
            if !std::mem::replace(&mut has_said_hello, true) {
                self.send(link, Outgoing::Hello { wants: false });
            }
            self.dial_over(key, false);
            self.adopt(now, key, link);
        }
    }

    /// The connection could not be made: calls that wait for it fail, and answers are said to be
    /// too large for what there is.
    pub(super) fn connection_failed(
        &mut self,
        now: Time,
        remote: &Endpoint,
        reason: &str,
        is_refused: bool,
    ) {
        while let Some(key) = self.take_dialled(remote) {
            self.dial_over(key, is_refused);
            let Some(peer) = self.peers.get_mut(key) else { return };
            let (waiting, name) = (std::mem::take(&mut peer.waiting), peer.name.clone());
            for message in waiting {
                match message {
                    // An earlier copy went as a datagram, and may have come.
                    Outgoing::Call(call) if self.was_sent(call) => self.ask_instead(now, call),
                    Outgoing::Call(call) => {
                        let text = format!(
                            "no connection to `{name}` at {remote}: {reason}; see whether a \
                             firewall stands between"
                        );
                        let error = CallError::new(ErrorCode::NETWORK, Executed::No, text);
                        self.finish_failed(now, call, error);
                    }
                    Outgoing::Answer(task) => {
                        self.shorten_answer(
                            task,
                            format!("no connection to bring it back: {reason}"),
                        );
                    }
                    other => self.unsent(now, other),
                }
            }
        }
    }

    /// Calls had not left by a link that is gone. Where it was a new connection that brought
    /// nothing, its far end may have had no room for one more: another is dialled, a few times.
    pub(super) fn calls_unsent(&mut self, now: Time, link: &Link, mut calls: Vec<CallKey>) {
        // They may have gone on to another provider while they waited here.
        calls.retain(|call| self.link_of_call(*call) == Some(link.id));
        let is_connection = self.is_connection(link.id);
        let is_turned_away = is_connection
            && link.initiator == Initiator::Us
            && !link.was_heard
            && !calls.is_empty();
        let peer = link.peer.and_then(|key| self.peers.get_mut(key));
        let dials_again = peer.is_some_and(|peer| {
            peer.turned_away = if is_turned_away { peer.turned_away + 1 } else { 0 };
            peer.turned_away %= DIALS;
            peer.turned_away > 0
        });
        for call in calls {
            if dials_again && self.dial_again(now, call, link) {
                continue;
            }
            let remote = &link.remote;
            let text = match is_connection {
                true => format!(
                    "the connection to {remote} ended before the call had left; if it was new, the \
                     other end may have had no room for one more"
                ),
                false => "the link went down before the call was sent".to_owned(),
            };
            self.unsent_by(now, Outgoing::Call(call), &text);
        }
    }

    /// Lets a call that has not left wait for another connection. `false`: there is none to dial,
    /// or it has begun a byte stream.
    fn dial_again(&mut self, now: Time, key: CallKey, gone: &Link) -> bool {
        let Some(call) = self.calls.get(key).filter(|call| call.stream.is_none()) else {
            return false;
        };
        let Stage::Remote { peer: to, flight, .. } = &call.stage else { return false };
        let (to, is_first) = (*to, flight.sends == 0);
        let by = self.peers.get(to).map(|peer| peer.link).filter(|link| *link != gone.id);
        let Some(by) = by.filter(|_| is_first && gone.peer == Some(to)) else { return false };
        if !matches!(self.connect(now, to), Way::Dialling) {
            return false;
        }
        self.land(now, key, false);
        if let Some(Stage::Remote { link, sent, flight, .. }) =
            self.calls.get_mut(key).map(|call| &mut call.stage)
        {
            (*link, *sent, *flight) = (by, false, Flight::default());
        }
        self.wait_for_connection(to, Outgoing::Call(key));
        true
    }

    /// A peer for which this endpoint is dialled. It is not any more.
    fn take_dialled(&mut self, remote: &Endpoint) -> Option<PeerKey> {
        let to = remote.socket_addr()?;
        let is_dialled = |peer: &Peer| peer.dial.is_some_and(|dial| dial.to == to);
        let key = self.peers.iter().find(|(_, peer)| is_dialled(peer)).map(|(key, _)| key)?;
        self.peers.get_mut(key)?.dial = None;
        Some(key)
    }

    /// Makes a link the connection of a peer, unless that has one. What waits for one takes it.
    fn adopt(&mut self, now: Time, key: PeerKey, link: LinkId) {
        let owner = self.links.get(link).and_then(|link| link.peer);
        let is_anothers = owner.is_some_and(|owner| self.peers.get(owner).is_some());
        let Some(known) = self.links.get_mut(link) else { return };
        known.proved = true;
        if !is_anothers {
            known.peer = Some(key);
            known.proved_for = Some(key);
        }
        let Some(peer) = self.peers.get(key) else { return };
        let has_one = peer.connection.is_some_and(|up| self.may_begin_on(now, up));
        let Some(peer) = self.peers.get_mut(key) else { return };
        if !has_one {
            peer.connection = Some(link);
        }
        for message in std::mem::take(&mut peer.waiting) {
            self.send_by(now, key, link, message);
        }
    }

    /// A hello came by a connection: it is its session's if it comes from the host where that
    /// session lives. A handshake proves the host, and open mode knows nothing closer.
    pub(super) fn recognise(&mut self, now: Time, key: PeerKey, link: LinkId) {
        let Some(known) = self.links.get(link) else { return };
        let Some(peer) = self.peers.get(key) else { return };
        let is_owned = known.peer.is_some_and(|owner| self.peers.get(owner).is_some());
        if !self.is_connection(link) || is_owned || peer.link == link {
            return;
        }
        // Of a first frame there may be copies; and what is there for one answer is nobody's.
        if self.is_keyed() && (!known.seal.is_answered || known.is_one_shot) {
            return;
        }
        if known.remote.ip().is_some_and(|host| peer.endpoint.ip() == Some(host)) {
            self.adopt(now, key, link);
        }
    }

    /// A link of a peer is gone. `true`: the peer lives on, by another.
    pub(super) fn lost_connection(&mut self, key: PeerKey, link: LinkId) -> bool {
        let Some(peer) = self.peers.get(key) else { return false };
        let by = peer.link;
        if peer.connection == Some(link) {
            // Both ends may have begun one.
            let other = self.links.connections().find(|other| other.is_spare_of(key, by));
            let other = other.map(|other| other.id);
            if let Some(peer) = self.peers.get_mut(key) {
                peer.connection = other;
            }
        }
        by != link
    }

    /// Closes the connections beside the link of a peer that is no more.
    pub(super) fn close_connections(&mut self, now: Time, key: PeerKey) {
        let of_peer = self.links.connections().filter(|link| link.peer == Some(key));
        let of_peer: Vec<LinkId> = of_peer.map(|link| link.id).collect();
        for link in of_peer {
            self.drop_link(now, link, Close::Flush);
        }
    }

    /// Sends to a peer by a link what was to go by another.
    fn send_by(&mut self, now: Time, to: PeerKey, link: LinkId, message: Outgoing) {
        if let Outgoing::Call(key) = message {
            // It may be over, or have gone on to another provider: neither waits for a connection.
            match self.calls.get_mut(key).map(|call| &mut call.stage) {
                Some(Stage::Remote { peer, link: by, .. }) if *peer == to => *by = link,
                _ => return,
            }
            self.land(now, key, false);
            if let Some(link) = self.links.get_mut(link) {
                link.carried_calls = true;
            }
            if let Err(error) = self.open_stream(now, key, link) {
                return self.finish_failed(now, key, error);
            }
            self.with_flight(key, |flight| flight.is_queued = true);
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
            Way::Link(link) => self.send_by(now, key, link, message.clone()),
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
