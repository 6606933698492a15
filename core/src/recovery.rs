//! The caller's side of reliability: what it knows of the way to one peer, and what is due
//! there. Nothing here knows of links or messages; `engine/recovery.rs` joins it to them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::agenda::Agenda;
use crate::id::CallKey;
use crate::message::Watermark;
use crate::mutant::planted;
use crate::time::Time;
use crate::timers::TimerKey;

/// How long a receiver waits before it says that a call or an answer has arrived; what it sends
/// meanwhile says so as well. Part of the protocol: both ends reckon with it.
pub(crate) const ACK_DELAY: Duration = Duration::from_millis(15);

/// Timeout before the first sample of the round trip.
const FIRST_TIMEOUT: Duration = Duration::from_millis(200);
/// Shortest and longest timeout.
const LEAST_TIMEOUT: Duration = Duration::from_millis(24);
const MOST_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the watermark waits for a call that wants no answer, once it has left: one that is
/// overtaken by a later frame must not be taken for one that was given up.
const ONE_WAY_LINGERS: Duration = Duration::from_secs(1);

/// Times a call or an answer is sent without a receipt, before its callee is asked about the call.
pub(crate) const MAX_SENDS: u8 = 6;
/// The same number.
const COPIES: usize = 6;

/// The round trip to a peer, smoothed as in RFC 6298. Kept in nanoseconds: each answer is a sample,
/// and none need be carried to whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct RoundTrip {
    smoothed: Option<u64>,
    variation: u64,
    /// The first timeout that follows from them, so that it is not worked out for each message.
    base: Option<Duration>,
    doubts: Doubts,
}

/// In nanoseconds, an hour at most: no round trip takes longer, and what is made of it fits.
fn nanos(time: Duration) -> u64 {
    const MOST: u64 = 3600 * 1_000_000_000;
    u64::try_from(time.as_nanos()).unwrap_or(MOST).min(MOST)
}

/// Times in a row that tell only what the round trip does not exceed, each longer than it is
/// thought to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Doubts {
    count: u8,
    /// The shortest of them.
    least: Duration,
}

/// So many in a row are no accident: where three of ten datagrams are lost, half of all answers
/// are sent again, and it happens once in 50,000.
const MOST_DOUBTS: u8 = 16;

impl RoundTrip {
    /// Takes a measurement in.
    pub(crate) fn sample(&mut self, measured: Duration) {
        self.doubts = Doubts::default();
        let measured = nanos(measured);
        let (smoothed, variation) = match self.smoothed {
            None => (measured, measured / 2),
            Some(smoothed) => {
                let variation = (self.variation * 3 + smoothed.abs_diff(measured)) / 4;
                ((smoothed * 7 + measured) / 8, variation)
            }
        };
        (self.smoothed, self.variation) = (Some(smoothed), variation);
        // How long a receipt takes at most, as far as is known, within the bounds.
        let timeout = smoothed + variation * 4 + nanos(ACK_DELAY);
        let timeout = timeout.clamp(nanos(LEAST_TIMEOUT), nanos(MOST_TIMEOUT));
        self.base = Some(Duration::from_nanos(timeout));
    }

    /// Takes in the time until something came back that does not say which copy it answers. One
    /// that is much longer than the round trip is of a copy that was sent later, 24 ms at least. It
    /// is not judged by the variation: what is taken in wrongly would widen that, and so let in more.
    pub(crate) fn sample_if_plausible(&mut self, measured: Duration) {
        let most = self.smoothed().map(|smoothed| (smoothed * 3 / 2).max(LEAST_TIMEOUT));
        if most.is_none_or(|most| measured <= most) {
            self.sample(measured);
        } else {
            self.doubt(measured);
        }
    }

    /// Takes in the time from the first copy until something came back that may answer a later
    /// one. When nothing else comes for long, the round trip has become as long as the shortest of
    /// these: else every answer would be sent again for ever, and none be a sample.
    pub(crate) fn doubt(&mut self, at_most: Duration) {
        if self.smoothed().is_some_and(|smoothed| at_most <= smoothed) {
            return self.sample(at_most);
        }
        let Doubts { count, least } = self.doubts;
        let least = if count == 0 { at_most } else { least.min(at_most) };
        self.doubts = Doubts { count: count + 1, least };
        if self.doubts.count >= MOST_DOUBTS {
            self.sample(least);
        }
    }

    /// Takes in a time that is no shorter than the round trip: what came back was not sent at
    /// once.
    pub(crate) fn sample_at_most(&mut self, measured: Duration) {
        self.doubts = Doubts::default();
        if self.smoothed().is_none_or(|smoothed| measured < smoothed) {
            self.sample(measured);
        }
    }

    /// The mean, once there is one.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed.map(Duration::from_nanos)
    }

    /// How long to wait for a receipt of what was sent for the `sends`-th time; doubles with
    /// each.
    pub(crate) fn timeout(&self, sends: u8) -> Duration {
        let base = self.base.unwrap_or(FIRST_TIMEOUT);
        let sends = if planted!(TimeoutNotDoubled) { 1 } else { sends };
        if sends <= 1 {
            return base;
        }
        let doublings = u32::from(sends.saturating_sub(1)).min(16);
        base.saturating_mul(1 << doublings).min(MOST_TIMEOUT)
    }
}

/// A timeout, from the second on made up to a fifth shorter or longer, so that what is lost
/// together again and again does not come together for ever; the `random` number decides.
/// The first is kept: what was lost in one frame goes out in one frame, and nearly all calls are
/// answered before it, so that they leave their queue in the order they came.
pub(crate) fn spread(timeout: Duration, random: u32, sends: u8) -> Duration {
    if sends <= 1 {
        return timeout;
    }
    let draw = random.rotate_left(u32::from(sends) * 5) % 401;
    timeout.saturating_mul(800 + draw) / 1000
}

/// When a callee that has the call is asked about it for the `probes`-th time, counted from the
/// time before.
pub(crate) fn probe_after(probes: u8) -> Duration {
    Duration::from_secs(match probes {
        0 => 1,
        1 => 2,
        2 => 4,
        3 => 8,
        _ => 10,
    })
}

/// How many calls may be on their way to a peer without a receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    size: u32,
    most: u32,
    used: u32,
    halved: Time,
}

/// Calls a peer may be sent at once before it has answered any.
const FIRST_WINDOW: u32 = 32;

impl Window {
    pub(crate) fn new(most: u32) -> Self {
        Self { size: FIRST_WINDOW.min(most), most, used: 0, halved: Time::ZERO }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.used < self.size
    }

    pub(crate) fn take(&mut self) {
        self.used += 1;
    }

    /// A call needs its place no more: it was lost, or a receipt has come. A `clean` round trip,
    /// of a call sent once, widens the window.
    pub(crate) fn release(&mut self, clean: bool) {
        self.used = self.used.saturating_sub(1);
        if clean {
            self.size = (self.size + 1).min(self.most);
        }
    }

    /// A receipt did not come in time. One loss burst halves the window once: not again within
    /// the `timeout` that has just passed.
    pub(crate) fn shrink(&mut self, now: Time, timeout: Duration) {
        if self.halved == Time::ZERO || now.since(self.halved) > timeout {
            self.size = (self.size / 2).max(1);
            self.halved = now;
        }
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }
}

/// One call that was handed to a peer and may be open still.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Open {
    pub(crate) number: u64,
    pub(crate) call: CallKey,
    /// Kept below the watermark until then, though nobody waits: a call that wants no answer
    /// may still be on its way.
    pub(crate) until: Time,
}

/// Where a call stands on its way to its callee.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Flight {
    /// Times it was given to a transport.
    pub(crate) sends: u8,
    /// When each copy was.
    left: [Time; COPIES],
    /// It has a place in its peer's window.
    pub(crate) in_window: bool,
    /// Its callee is known to have it, or has been sent it often enough: it is asked about now.
    pub(crate) is_probed: bool,
    /// The callee has said that it has the call.
    pub(crate) is_acked: bool,
    /// Times the callee was asked.
    pub(crate) probes: u8,
    /// A message about it waits in the outbox.
    pub(crate) is_queued: bool,
    /// When something is due about it; an agenda's entry of another time is stale.
    pub(crate) due: Option<Time>,
}

impl Flight {
    /// Another copy was given to a transport.
    pub(crate) fn leaves(&mut self, now: Time) {
        if let Some(left) = self.left.get_mut(usize::from(self.sends)) {
            *left = now;
        }
        self.sends = self.sends.saturating_add(1);
    }

    /// When the copy of this number left, from 0. `None`: none did.
    pub(crate) fn left_at(&self, attempt: u8) -> Option<Time> {
        let left = self.left.get(usize::from(attempt)).copied();
        left.filter(|_| attempt < self.sends)
    }
}

/// What this node knows of the way to one peer.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) round_trip: RoundTrip,
    pub(crate) window: Window,
    /// Calls that wait for room in the window.
    pub(crate) held: VecDeque<CallKey>,
    /// Calls that were handed to the peer, by their numbers. Those that are over are taken off
    /// the front, and elsewhere once they are many.
    pub(crate) open: VecDeque<Open>,
    /// How many of them counted when that was done last.
    counted: usize,
    /// When calls are sent again or asked about.
    pub(crate) due: Agenda<CallKey>,
    /// Answers whose receipt the peer has not been given: number and random part of their calls.
    pub(crate) owed: VecDeque<(u64, u32)>,
    /// Since when the first of them is owed.
    pub(crate) owed_since: Time,
    /// The highest watermark that has left for the peer.
    pub(crate) told: Watermark,
    /// When it is looked at next, and the timer of that.
    pub(crate) timer: Option<(Time, TimerKey)>,
}

/// Calls that may be over behind one that is not, however few those are that are not.
const MOST_OVER: usize = 64;

/// Receipts that may be owed to one peer before they are sent without delay.
pub(crate) const MAX_OWED: usize = 256;

impl Recovery {
    pub(crate) fn new(max_window: u32) -> Self {
        Self {
            round_trip: RoundTrip::default(),
            window: Window::new(max_window),
            held: VecDeque::new(),
            open: VecDeque::new(),
            counted: 0,
            due: Agenda::default(),
            owed: VecDeque::new(),
            owed_since: Time::ZERO,
            told: 0,
            timer: None,
        }
    }

    /// Notes that a call was handed to the peer.
    pub(crate) fn opened(&mut self, call: Open) {
        match self.open.back() {
            Some(last) if last.number > call.number => {
                let place = self.open.partition_point(|open| open.number < call.number);
                self.open.insert(place, call);
            }
            _ => self.open.push_back(call),
        }
    }

    /// Keeps the watermark back, for a while, for a call that wants no answer and has left.
    pub(crate) fn hold(&mut self, number: u64, now: Time) {
        let place = self.open.partition_point(|open| open.number < number);
        if let Some(open) = self.open.get_mut(place).filter(|open| open.number == number) {
            open.until = now + ONE_WAY_LINGERS;
        }
    }

    /// Behind a call that is open for long, those that are over pile up. The watermark is that of
    /// the first, so the others can go: once they may be half of all, so that it is seldom done.
    pub(crate) fn compact(&mut self, counts: impl Fn(&Open) -> bool) {
        if self.open.len() > 2 * self.counted + MOST_OVER {
            self.open.retain(counts);
            self.counted = self.open.len();
        }
    }
}

#[cfg(test)]
mod tests;
