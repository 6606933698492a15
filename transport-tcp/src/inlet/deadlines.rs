//! Deadlines of connections: what is closed because its time is up.

use std::task::Context;
use std::time::Duration;

use lanc_core::ports::{DownReason, LinkEvent};
use tokio::time::Instant;

use super::{Place, Step, TcpInlet};
use crate::ready::Token;
use crate::sink::Sink;
use crate::stats::Count;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(250);

impl TcpInlet {
    /// Closes what has used up its time.
    pub(super) fn tick(&mut self, sink: &mut Sink<'_>) {
        let Some(clock) = &mut self.clock else { return };
        if clock.as_mut().poll(&mut Context::from_waker(&self.clock_waker)).is_pending() {
            return;
        }
        self.clock = None;
        let now = Instant::now();
        let (stall, connect) = (self.shared.config.write_stall, self.shared.config.connect);
        let mut has_deadlines = false;
        for number in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
            let Some(place) = self.place(number) else { continue };
            let (is_over, has_deadline) = match place {
                Place::Free => (None, false),
                Place::Dialling(dial) => ((dial.until <= now).then_some(None), true),
                Place::Closing(farewell) => ((farewell.until <= now).then_some(None), true),
                Place::Open(open) if open.silent_until.is_some_and(|until| until <= now) => {
                    (Some(Some(Count::ClosedSilent)), true)
                }
                Place::Open(open) if open.line.stalled(now) >= stall => {
                    (Some(Some(Count::ClosedStalled)), true)
                }
                Place::Open(open) => (None, open.silent_until.is_some() || open.line.is_blocked()),
            };
            has_deadlines |= has_deadline;
            match (is_over, place) {
                (Some(None), Place::Dialling(_)) => {
                    let reason = format!("no answer within {connect:?}");
                    self.dial_failed(number, reason, false, sink);
                }
                (Some(None), _) => self.follow(number, Step::Gone, sink),
                (Some(Some(count)), _) => {
                    self.shared.stats.count(count);
                    let reason = match count {
                        Count::ClosedStalled => DownReason::Stalled,
                        _ => DownReason::Broken,
                    };
                    if count == Count::ClosedSilent {
                        let limit = "first_frame";
                        sink.event(LinkEvent::Limited { lane: self.lane, limit });
                    }
                    self.follow(number, Step::Over(reason), sink);
                }
                (None, _) => {}
            }
        }
        if has_deadlines {
            self.start_clock();
        }
    }

    pub(super) fn start_clock(&mut self) {
        if self.clock.is_none() {
            self.clock = Some(Box::pin(tokio::time::sleep(TICK)));
            // Its first poll registers the waker.
            self.shared.ready.wake(Token::Clock);
        }
    }
}
