//! The life of a link: up, down, idle; and frames it refused.

use std::hash::BuildHasher;
use std::time::Duration;

use super::outcome::Lost;
use super::{Core, LinkCommand};
use crate::endpoint::{Endpoint, LinkId};
use crate::error::{CallError, ErrorCode, Executed};
use crate::event::{Event, PeerDownReason};
use crate::ports::{Close, Dest, DownReason, Initiator, LinkEvent, SendRefused};
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::Outgoing;

/// How often idle links and hosts are looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// How long a far end may take nothing before it counts as slow.
const SLOW: Duration = Duration::from_secs(1);
/// How long a link may be idle that belongs to nobody.
const IDLE: Duration = Duration::from_secs(15);

impl Core {
    /// Takes a change of a link.
    pub fn handle_link(&mut self, now: Time, event: LinkEvent) {
        match event {
            LinkEvent::Up { link, remote, initiator } => self.link_up(now, link, remote, initiator),
            LinkEvent::Down { link, reason } => {
                if reason == DownReason::Stalled {
                    self.tell_slow(link);
                }
                self.link_down(now, link);
            }
            LinkEvent::Limited { limit, .. } => self.limit_hit(now, limit),
            LinkEvent::KernelDrops { count, .. } => {
                self.counters.kernel_drops = self.counters.kernel_drops.saturating_add(count);
                self.event(Event::KernelDrops { count });
            }
            LinkEvent::Writable(link) => {
                if let Some(link) = self.links.get_mut(link) {
                    self.outbox.change(link, |link| link.full = false);
                }
                self.outbox.again(&mut self.links, link);
            }
            LinkEvent::Failed { remote, reason, is_refused } => {
                self.connection_failed(now, &remote, &reason, is_refused);
                self.home_failed(now, &remote);
                self.one_shot_failed(&remote);
                self.event(Event::Unreachable { endpoint: remote, reason });
            }
            LinkEvent::Limit { link, max_frame } => {
                let room = max_frame.max(1200) - self.envelope_size();
                if let Some(link) = self.links.get_mut(link) {
                    link.max_frame = room;
                }
            }
            LinkEvent::InterfacesChanged(_) => {
                self.event(Event::InterfacesChanged);
                let soon = self.random.duration_up_to(Duration::from_millis(500));
                self.timers.set(now + soon, Timer::Rehello);
            }
        }
    }

    pub(super) fn link_up(
        &mut self,
        now: Time,
        link: LinkId,
        remote: Endpoint,
        initiator: Initiator,
    ) {
        let is_new = self.links.up(now, link, remote.clone(), initiator);
        self.allow_streams(link, initiator);
        if is_new {
            self.begin_sealing(link);
        }
        if self.is_connection(link) {
            if initiator == Initiator::Us {
                self.connection_up(now, link, &remote);
                self.one_shot_up(link, &remote);
            }
            if is_new {
                self.keep_alive(now, link);
                self.newcomer(now, link);
            }
        }
        self.home_up(now, link, &remote);
        let configured = self.configured.iter_mut().find(|known| known.endpoint == remote);
        if let Some(known) = configured {
            known.link = Some(link);
            if let Some(link) = self.links.get_mut(link) {
                link.configured = true;
                link.proved = true;
            }
            self.send(link, Outgoing::Hello { wants: true });
        }
        while let Some(oldest) = self.links.surplus_stranger(self.config.max_tentative) {
            self.drop_link(now, oldest, Close::Abort);
            self.limit_hit(now, "max_tentative");
        }
        self.schedule_sweep(now);
    }

    /// Ends a link at once, here and there.
    pub(super) fn drop_link(&mut self, now: Time, id: LinkId, how: Close) {
        self.link_commands.push_back(LinkCommand::Close(id, how));
        self.link_down(now, id);
    }

    pub(super) fn link_down(&mut self, now: Time, id: LinkId) {
        let Some(mut link) = self.links.down(id) else { return };
        self.cancel_timer(link.look);
        let streams = link.streams.take();
        let mut calls = streams
            .map(|streams| self.streams_down(now, id, link.peer, *streams))
            .unwrap_or_default();
        while let Some(message) = self.outbox.pop(&mut link) {
            self.outbox.took(&message);
            match message {
                Outgoing::Answer(task) => self.answer_unsent(now, task),
                Outgoing::Call(call) => calls.push(call),
                other => self.unsent(now, other),
            }
        }
        self.calls_unsent(now, &link, calls);
        for known in &mut self.configured {
            if known.link == Some(id) {
                known.link = None;
            }
        }
        if let Some(peer) = link.peer.filter(|peer| !self.lost_connection(*peer, id)) {
            self.remove_peer(now, peer, PeerDownReason::Disconnected);
        }
        if let Some(host) = link.remote.ip().filter(|_| link.is_home) {
            self.home_gone(now, host);
        }
        if link.carried_calls {
            self.lose_calls(now, Lost::Link(id), PeerDownReason::Disconnected);
        }
        // Not one that was closed because nobody used it.
        let was_used = now.since(link.last_used) < self.config.connection_idle / 2;
        if let Some(peer) = link.peer.filter(|_| was_used && self.is_connection(id)) {
            self.suspect(now, peer);
        }
    }

    /// Ends a connection whose far end does not take what is sent to it.
    pub(super) fn cut_off(&mut self, now: Time, id: LinkId) {
        self.tell_slow(id);
        self.drop_link(now, id, Close::Abort);
    }

    fn tell_slow(&mut self, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        self.counters.connections_slow += 1;
        let endpoint = link.remote.clone();
        self.event(Event::SlowPeer { endpoint });
    }

    /// Whether more waits on a connection than may, so many bytes included, and its far end has
    /// taken nothing for a while.
    pub(super) fn is_slow(&self, now: Time, id: LinkId, bytes: usize) -> bool {
        let Some(link) = self.links.get(id).filter(|link| link.full) else { return false };
        let held = link.streams.as_ref().map(|streams| streams.held());
        let streams = held.map_or(0, |held| held.bytes_out + held.unsent);
        let waits = streams.saturating_add(link.answer_bytes).saturating_add(bytes);
        let is_long = now.since(link.full_since) >= SLOW;
        self.is_connection(id) && is_long && waits > self.config.max_backlog
    }

    /// The token only the far end of this link can know: a keyed hash of its address, so that
    /// nothing is stored for strangers.
    pub(super) fn token_for(&self, link: LinkId) -> Option<u64> {
        self.links.get(link).map(|link| self.token_key.hash_one(&link.remote))
    }

    /// Looks for idle links and hosts in a while, if there are any.
    pub(super) fn schedule_sweep(&mut self, now: Time) {
        if self.sweep_timer.is_none() {
            self.sweep_due = now + SWEEP;
            self.sweep_timer = Some(self.timers.set(self.sweep_due, Timer::Sweep));
        }
    }

    pub(super) fn sweep(&mut self, now: Time) {
        self.sweep_timer = None;
        // So late that the process, or its clock, has stood still: nobody could be heard.
        if now.since(self.sweep_due) > SWEEP {
            self.awake_since = now;
        }
        // Somebody who never said hello may wait long for an answer.
        let awaited = self.tasks.awaited_links();
        for link in self.links.idle_strangers(now - IDLE, |link| awaited.contains(&link)) {
            self.drop_link(now, link, Close::Abort);
        }
        self.hosts.sweep(now);
        self.sweep_callers(now);
        self.buffers.relax();
        self.large.relax();
        if self.links.len() > 0 || self.inbound.len() > 0 || self.hosts.len() > 0 {
            self.schedule_sweep(now);
        }
    }

    /// Takes the transport's refusal of a frame. After [`SendRefused::Full`] the driver keeps the
    /// frame and offers it again when the link is writable; for the other reasons the frame is
    /// lost, and so are the calls in it if it was the one polled last. Of frames that went to
    /// `to` before that one nothing is known: their calls are sent again, or end with the link.
    pub fn handle_refused(&mut self, now: Time, to: Dest, why: SendRefused) {
        match why {
            SendRefused::Full => self.counters.frames_deferred += 1,
            _ => self.counters.frames_refused += 1,
        }
        let Dest::Link(id) = to else { return };
        match why {
            SendRefused::Full => {
                let is_connection = self.is_connection(id);
                if let Some(link) = self.links.get_mut(id).filter(|link| !link.full) {
                    self.outbox.change(link, |link| link.full = true);
                    link.full_since = now;
                }
                if !is_connection {
                    self.counters.sends_full += 1;
                    if self.may_tell(now, "send_buffer") {
                        self.event(Event::SendBufferFull);
                    }
                }
            }
            SendRefused::Gone => {
                self.fail_frame(now, id, "the link is gone");
                self.link_down(now, id);
            }
            SendRefused::TooLarge => {
                self.fail_frame(now, id, "the frame is larger than the link carries")
            }
            SendRefused::Unreachable => self.fail_frame(now, id, "the network refused the frame"),
        }
    }

    fn fail_frame(&mut self, now: Time, link: LinkId, why: &str) {
        if self.in_frame.to != Some(link) {
            return;
        }
        self.in_frame.one_way.clear();
        for key in std::mem::take(&mut self.in_frame.calls) {
            // An earlier copy may have come.
            if self.flight(key).is_some_and(|flight| flight.sends > 1) {
                continue;
            }
            let error = CallError::new(
                ErrorCode::NETWORK,
                Executed::No,
                format!("sending the call failed: {why}"),
            );
            self.finish_failed(now, key, error);
        }
    }
}
