//! What the driver is told: links to begin and to end, waiters to wake, news, and when to come
//! again.

use std::time::Duration;

use super::{Core, StreamKey};
use crate::endpoint::{Endpoint, LinkId};
use crate::event::Event;
use crate::id::{CallKey, PingKey};
use crate::ports::Close;
use crate::time::Time;

/// Something the driver must do with a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkCommand {
    /// Begin a link to this endpoint, on the lane whose scheme it has.
    Connect(Endpoint),
    /// End this link.
    Close(LinkId, Close),
}

/// Something a waiter was waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    /// The call has an outcome: [`Core::take`] it.
    Call(CallKey),
    /// The ping came back after this time, or not at all.
    Ping(PingKey, Option<Duration>),
    /// There is something to read on a stream, or room to write, or its end.
    Stream(StreamKey),
    /// The call is on its way, and its byte stream with it: [`Core::stream_of`]. Comes before
    /// its [`Self::Call`].
    Opened(CallKey),
}

impl Core {
    /// When to call [`Self::handle_timeout`] next, and the reason, for the log. Changed by every
    /// input; never later than the earliest timer.
    pub fn poll_timeout(&self) -> Option<(Time, &'static str)> {
        if crate::mutant::planted!(TimerStandsStill) {
            return self.timers.next().map(|(_, why)| (Time::ZERO, why));
        }
        self.timers.next()
    }

    /// The next piece of news. Filled by inputs and timeouts.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// The next link to begin or to end. Filled by inputs and timeouts.
    pub fn poll_link(&mut self) -> Option<LinkCommand> {
        let command = self.link_commands.pop_front();
        if command.is_none() {
            self.link_commands.shrink_to(64);
        }
        command
    }

    /// The next waiter to wake. Filled by inputs, timeouts and [`Self::call`] itself.
    pub fn poll_done(&mut self) -> Option<Done> {
        // A stream that was opened is told before its call's outcome can be taken.
        let other = self.done.pop_front();
        other.or_else(|| self.next_done().map(Done::Call))
    }
}
