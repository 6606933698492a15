//! The ledger of calls: what left for whom, what started where, what was computed. Keyed by
//! caller session and call number, as the promise of one start is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lanc_core::Time;
use lanc_core::id::ExeId;
use lanc_core::message::Features;
use lanc_core::ports::Dest;
use serde_json::Value;

use super::glance::SeenCall;
use super::invariant::{Broken, Invariant};

/// Caller session and call number.
pub(super) type Number = (u64, u64);

/// Copies of a call that leave by the timer of its round trip. Each later one goes with a question
/// about the call, the first a second after that timer.
const TIMED: u32 = 6;
/// The shortest time between a call's first and second transmission: the floor of the timer
/// less its jitter. It doubles with each.
const FLOOR: Duration = Duration::from_micros(24_000 * 8 / 10);
/// Further doubling is of no use beyond this.
const CEILING: Duration = Duration::from_micros(2_000_000 * 8 / 10);

/// The least time between the copy of this number, from 1, and the next.
fn least_gap(copy: u32) -> Duration {
    let timed = FLOOR.saturating_mul(1 << (copy - 1).min(TIMED)).min(CEILING);
    match copy.checked_sub(TIMED) {
        None => timed,
        Some(0) => timed + Duration::from_secs(1),
        Some(asked) => Duration::from_secs(1 << asked.min(3)),
    }
}

pub(super) fn number(id: ExeId) -> Number {
    (id.session, id.number)
}

/// How a call travelled. Times are of its caller's clock.
struct Sent {
    count: u32,
    to: Option<u64>,
    by: Dest,
    last: Time,
    /// When its deadline passes at the caller.
    ends: Option<Time>,
}

#[derive(Default)]
struct Ran {
    starts: u32,
    results: Vec<Value>,
}

/// A session that some node of the world lives or lived.
#[derive(Clone, Copy, Default)]
struct Session {
    acks: bool,
    said_bye: bool,
    /// It takes no copies and nothing that is not genuine.
    keyed: bool,
    /// Two lives share it.
    cloned: bool,
}

#[derive(Default)]
pub(super) struct Ledger {
    sent: BTreeMap<Number, Sent>,
    ran: BTreeMap<Number, Ran>,
    sessions: BTreeMap<u64, Session>,
    never: BTreeSet<Number>,
    /// The numbers that calls began with; and those by what a call keeps when it goes on to
    /// another provider: its random part.
    begun: BTreeMap<Number, bool>,
    by_random: BTreeMap<(u64, u32), u64>,
    /// Calls that went to a hostile program: nobody can promise what it says.
    entrusted: BTreeSet<Number>,
    /// The network may have delivered a datagram twice.
    pub(super) duplicated: bool,
    /// Datagrams are sent again by somebody who has recorded them.
    pub(super) replayed: bool,
    /// Sealed datagrams are: what was lost may come after all, later than anybody knows.
    pub(super) relayed: bool,
    /// Datagrams may have been forged or falsified: nobody can promise what they say.
    pub(super) falsified: bool,
    /// Transmissions of calls, and those of them that were not the first.
    pub(super) transmissions: (u64, u64),
}

/// Who sends a frame, and when by its clock.
#[derive(Clone, Copy)]
pub(super) struct Sender {
    pub(super) session: u64,
    pub(super) local: Time,
    /// Where the frame goes.
    pub(super) by: Dest,
}

impl Ledger {
    /// A node's life has begun, in keyed mode or in the open.
    pub(super) fn lives(&mut self, session: u64, keyed: bool) {
        self.sessions.entry(session).or_default().keyed = keyed;
    }

    /// Another life has begun with the same session. Of its calls nothing can be told from the
    /// other's.
    pub(super) fn cloned(&mut self, session: u64) {
        self.sessions.entry(session).or_default().cloned = true;
    }

    pub(super) fn is_cloned(&self, session: u64) -> bool {
        self.sessions.get(&session).is_some_and(|session| session.cloned)
    }

    /// Whether somebody else than a caller and its callee has a hand in the ways of calls.
    pub(super) fn is_strange(&self) -> bool {
        self.relayed || self.sessions.values().any(|session| session.cloned)
    }

    fn is_keyed(&self, session: u64) -> bool {
        self.sessions.get(&session).is_some_and(|session| session.keyed)
    }

    /// Whether a caller may have been told what nobody has said.
    pub(super) fn may_be_deceived(&self, session: u64) -> bool {
        (self.falsified && !self.is_keyed(session)) || self.is_cloned(session)
    }

    pub(super) fn said_hello(&mut self, session: u64, features: Features) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.acks = features.has(Features::ACK);
        }
    }

    pub(super) fn said_bye(&mut self, session: u64) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.said_bye = true;
        }
    }

    /// Whether a session of this world has not said farewell.
    pub(super) fn is_silent_about_leaving(&self, session: u64) -> bool {
        self.sessions.get(&session).is_some_and(|session| !session.said_bye)
    }

    /// Whether a node of the world lives or lived this session.
    pub(super) fn knows(&self, session: u64) -> bool {
        self.sessions.contains_key(&session)
    }

    fn acks(&self, session: u64) -> bool {
        self.sessions.get(&session).is_some_and(|session| session.acks)
    }

    /// A call begins; it may run more than once if it `repeats`.
    pub(super) fn begun(&mut self, id: ExeId, repeats: bool) {
        self.begun.insert(number(id), repeats);
        self.by_random.insert((id.session, id.random), id.number);
    }

    /// The number that a call began with, which is another where it has gone on to another
    /// provider since.
    fn first(&self, id: ExeId) -> Number {
        if self.begun.contains_key(&number(id)) {
            return number(id);
        }
        let first = self.by_random.get(&(id.session, id.random)).copied();
        (id.session, first.unwrap_or(id.number))
    }

    /// A call leaves for a hostile program.
    pub(super) fn entrust(&mut self, id: ExeId) {
        let first = self.first(id);
        self.entrusted.insert(first);
    }

    pub(super) fn is_entrusted(&self, id: ExeId) -> bool {
        self.entrusted.contains(&self.first(id))
    }

    /// A call leaves its caller.
    pub(super) fn left(&mut self, from: Sender, call: &SeenCall) -> Result<(), Broken> {
        if call.id.session != from.session {
            return Ok(());
        }
        self.transmissions.0 += 1;
        if self.is_cloned(from.session) {
            return Ok(());
        }
        let local = from.local;
        let acks = call.to.is_some_and(|to| self.acks(to));
        let Some(sent) = self.sent.get_mut(&number(call.id)) else {
            let left = call.deadline.map(Duration::from_millis);
            let ends = left.map(|left| local + left);
            let sent = Sent { count: 1, to: call.to, by: from.by, last: local, ends };
            self.sent.insert(number(call.id), sent);
            return Ok(());
        };
        self.transmissions.1 += 1;
        let id = call.id;
        Invariant::CallsStay.holds_if(sent.to == call.to, || {
            format!("{id} went to {:x?} first and to {:x?} now", sent.to, call.to)
        })?;
        Invariant::OlderUnharmed.holds_if(acks, || {
            format!("{id} is sent again to somebody who does not acknowledge")
        })?;
        let tick = Duration::from_millis(2);
        Invariant::FewResends
            .holds_if(sent.ends.is_none_or(|ends| local <= ends + tick), || {
                format!("{id} is sent again after its deadline")
            })?;
        let least = least_gap(sent.count);
        let gap = local.since(sent.last);
        // Where another link has taken its place it is asked by that at once.
        let is_moved = sent.count >= TIMED && sent.by != from.by;
        let is_late_enough = is_moved || gap + tick >= least;
        Invariant::FewResends.holds_if(is_late_enough, || {
            format!("{id} is sent again after {gap:?}, transmission {}", sent.count + 1)
        })?;
        sent.count += 1;
        sent.by = from.by;
        sent.last = local;
        Ok(())
    }

    /// A body starts, in a session.
    pub(super) fn started(&mut self, id: ExeId, session: u64) -> Result<(), Broken> {
        let key = self.first(id);
        let ran = self.ran.entry(key).or_default();
        ran.starts += 1;
        let starts = ran.starts;
        let is_cloned = self.is_cloned(session) || self.is_cloned(id.session);
        let keyed = self.is_keyed(session);
        if (self.falsified && !keyed) || is_cloned || !self.knows(id.session) {
            return Ok(());
        }
        // Who does not acknowledge cannot tell a copy that the network made from a call.
        let copies = (self.duplicated || self.replayed) && !keyed;
        let repeats = self.begun.get(&key).is_some_and(|repeats| *repeats);
        let may_repeat = repeats || (copies && !(self.acks(session) && self.acks(id.session)));
        Invariant::NoIsNever.holds_if(may_repeat || !self.never.contains(&key), || {
            format!("{id} runs although its caller was told that it never will")
        })?;
        let sent = self.sent.get(&number(id));
        let meant = sent.map_or(Some(id.session), |sent| sent.to);
        Invariant::OneStart.holds_if(meant.is_none_or(|to| to == session), || {
            format!("{id} was meant for {meant:x?} and runs at {session:x}")
        })?;
        Invariant::OneStart
            .holds_if(may_repeat || starts == 1, || format!("{id} runs for the {starts}th time"))
    }

    /// A body starts in an older program, which has no session and tells no copies.
    pub(super) fn started_at_older(&mut self, id: ExeId) -> Result<(), Broken> {
        let key = self.first(id);
        let ran = self.ran.entry(key).or_default();
        ran.starts += 1;
        let starts = ran.starts;
        let repeats = self.begun.get(&key).is_some_and(|repeats| *repeats);
        let may_repeat = repeats || self.falsified || self.duplicated || self.replayed;
        Invariant::NoIsNever.holds_if(may_repeat || !self.never.contains(&key), || {
            format!("{id} runs although its caller was told that it never will")
        })?;
        Invariant::OneStart
            .holds_if(starts == 1 || may_repeat, || format!("{id} runs for the {starts}th time"))
    }

    /// A body has ended with this result.
    pub(super) fn computed(&mut self, id: ExeId, result: &Value) {
        let first = self.first(id);
        self.ran.entry(first).or_default().results.push(result.clone());
    }

    /// A result was given out for a call.
    pub(super) fn gave(&self, id: ExeId, result: &Value) -> Result<(), Broken> {
        let ran = self.ran.get(&self.first(id));
        Invariant::TrueResult.holds_if(ran.is_some_and(|ran| ran.results.contains(result)), || {
            format!("{id} gave {result}, which nobody computed for it")
        })
    }

    /// It was said that a body never started and never will.
    pub(super) fn said_no(&mut self, id: ExeId, error: &str) -> Result<(), Broken> {
        let first = self.first(id);
        self.never.insert(first);
        Invariant::NoIsNever.holds_if(self.starts(id) == 0, || {
            format!("{id} was said not to have run, but it did: {error}")
        })
    }

    /// It was said that a body has run.
    pub(super) fn said_yes(&self, id: ExeId, error: &str) -> Result<(), Broken> {
        Invariant::YesIsOnce.holds_if(self.starts(id) > 0, || {
            format!("{id} was said to have run, but it did not: {error}")
        })
    }

    /// How often the body of a call was started.
    pub(super) fn starts(&self, id: ExeId) -> u32 {
        self.ran.get(&self.first(id)).map_or(0, |ran| ran.starts)
    }
}
