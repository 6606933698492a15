//! Whether a received frame is looked at: what may be decided before a byte of it is parsed, and what
//! strangers may bring.

use std::net::IpAddr;

use super::receive::From;
use super::{Core, Phase};
use crate::counters::Drop;
use crate::dialect::Form;
use crate::endpoint::LinkId;
use crate::framing;
use crate::ports::{Cast, Initiator, Origin, Received};
use crate::time::Time;
use crate::wire::hosts::Hosts;

impl Core {
    /// Decides whether a frame is looked at, and says where it comes from.
    pub(super) fn let_in(&mut self, now: Time, frame: &Received<'_>) -> Result<From, Drop> {
        let is_record = frame.bytes.first() == Some(&framing::RECORD);
        let from = (frame.link, frame.cast, frame.origin);
        self.let_in_size(now, from, frame.bytes.len(), is_record)
    }

    /// The same for a frame of so many bytes.
    pub(super) fn let_in_size(
        &mut self,
        now: Time,
        (link, cast, origin): (LinkId, Cast, Origin),
        size: usize,
        is_record: bool,
    ) -> Result<From, Drop> {
        if let Err(why) = self.admit(now, link, origin, size) {
            if is_record {
                self.break_off(now, link);
            }
            if why == Drop::Oversized {
                let is_proved = self.links.get(link).is_some_and(|link| link.proved);
                let limit = if is_proved { "max_message" } else { "max_unproved_frame" };
                self.limit_hit(now, limit);
            }
            return Err(why);
        }
        let form = Form::native(self.pipeline.plain_format());
        Ok(From { link, cast, origin, form, seal: None })
    }

    /// What may be decided before a byte is parsed. Allocates nothing for strangers but the
    /// bounded entry of their host.
    fn admit(&mut self, now: Time, link: LinkId, origin: Origin, size: usize) -> Result<(), Drop> {
        if self.phase >= Phase::Closed {
            return Err(Drop::Closed);
        }
        // Whoever completed a handshake does not forge its address.
        let lane = self.links.capabilities(link.lane);
        let is_connection = lane.is_some_and(|lane| lane.connected);
        let remote = self.links.get(link).and_then(|link| link.remote.ip());
        let is_proved_home = remote.is_some_and(|host| self.is_proved_home(host));
        let link = self.links.get(link).ok_or(Drop::UnknownLink)?;
        if size == 0 {
            return Err(Drop::Empty);
        }
        if link.proved {
            return if size <= self.config.max_message { Ok(()) } else { Err(Drop::Oversized) };
        }
        let invited = link.configured || link.initiator == Initiator::Us;
        if !origin.is_near() && !invited && !self.config.allow_off_link {
            return Err(Drop::OffLink);
        }
        if !is_connection && size > self.config.max_unproved_frame {
            return Err(Drop::Oversized);
        }
        let ip = Hosts::counts(link.remote.ip()).filter(|_| !is_proved_home);
        self.admit_stranger(now, ip, is_connection)
    }

    /// Whether a frame of somebody unproved may be looked at: there are bounds for each host, and
    /// for all of them together. Datagrams, whose addresses may be forged, use up nothing of what
    /// connections may bring.
    pub(super) fn admit_stranger(
        &mut self,
        now: Time,
        host: Option<IpAddr>,
        is_connection: bool,
    ) -> Result<(), Drop> {
        let host_allows = host.is_none_or(|ip| self.hosts.admit(now, ip, is_connection));
        let [datagrams, connections] = &mut self.strangers;
        let all = if is_connection { connections } else { datagrams };
        if !host_allows || !all.take(now, self.config.unproved_rate_total) {
            return Err(Drop::RateLimited);
        }
        Ok(())
    }
}
