//! Outgoing calls: from the request to the outcome, and until somebody takes it.

mod outcome;
mod request;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::by_number::ByNumber;
use crate::byte_budget::Account;
use crate::endpoint::LinkId;
use crate::engine::StreamKey;
use crate::error::CallError;
use crate::id::{CallKey, ExeId, FunctionKey, PeerKey, SessionId, TaskKey, tag};
use crate::keyed::HashKey;
use crate::payload::Arguments;
use crate::recovery::Flight;
use crate::slots::Slots;
use crate::time::Time;
use crate::timers::TimerKey;

pub use outcome::{Answer, Member, Outcome};
pub use request::{CallRequest, Carrier, Mode, Target};

/// Where a call stands at its caller.
pub(crate) enum Stage {
    /// No provider yet.
    Seeking,
    /// In the outbox or with the callee.
    Remote {
        peer: PeerKey,
        /// The link it leaves by. The answer comes back on it, wherever the peer is by then.
        link: LinkId,
        peer_name: Arc<str>,
        /// Whether a frame with it was given to a transport.
        sent: bool,
        flight: Flight,
    },
    /// This node runs it.
    Local(TaskKey),
    /// Its own attempt is over; copies of it are open, or it is about to leave for another
    /// provider.
    Elsewhere,
    /// Calls to every provider stand for it; but for those there was no room for.
    Many { members: Vec<CallKey>, open: usize, unasked: Vec<Member> },
    /// Over; nobody has taken the outcome yet.
    Done(Outcome),
}

/// What came of a call's attempts, once one was not enough.
#[derive(Default)]
pub(crate) struct Attempts {
    /// Whom it went to. It never goes to one of them again.
    pub(crate) asked: Vec<SessionId>,
    /// Copies without an outcome.
    pub(crate) copies: Vec<CallKey>,
    /// What failed, and where.
    pub(crate) failures: Vec<(Arc<str>, CallError)>,
}

/// One call.
pub(crate) struct Call {
    pub(crate) id: ExeId,
    /// What its messages say: the id, until it goes on to another provider.
    pub(crate) wire: ExeId,
    /// What its answer must show, if that comes by a connection of its own.
    pub(crate) token: Option<u64>,
    /// Its byte stream, once it is on its way.
    pub(crate) stream: Option<StreamKey>,
    pub(crate) request: CallRequest,
    pub(crate) stage: Stage,
    pub(crate) deadline: Time,
    pub(crate) deadline_timer: Option<TimerKey>,
    pub(crate) other_timer: Option<TimerKey>,
    /// The call that this one is a copy of, or part of.
    pub(crate) parent: Option<CallKey>,
    /// To whom its own attempt went last, and when.
    pub(crate) asked: Option<(SessionId, Time)>,
    /// The function, once it is known that it may run more than once.
    pub(crate) idempotent: Option<FunctionKey>,
    /// A function of this node has its arguments.
    pub(crate) args_gone: bool,
    /// What it has besides its own attempt.
    pub(crate) attempts: Option<Box<Attempts>>,
    /// Bytes that are charged for it: its arguments while it is open, then its outcome.
    pub(crate) held: usize,
    /// The application dropped its handle: nobody will take the outcome.
    pub(crate) abandoned: bool,
    /// The waiter was told of the outcome: from now on it is kept only within the limits.
    pub(crate) told: bool,
    pub(crate) started: Time,
    /// Until when its outcome is kept, once there is one.
    pub(crate) kept_until: Time,
}

impl Call {
    /// Whether it has no outcome yet.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Done(_))
    }
}

/// All calls of this node.
pub(crate) struct Calls {
    table: Slots<Call, tag::Call>,
    by_number: ByNumber,
    next_number: u64,
    /// Calls that wait for a provider, in the order they began.
    seeking: Vec<CallKey>,
    /// Calls whose waiter was told, in that order; stale keys are skipped.
    finished: VecDeque<CallKey>,
    finished_count: usize,
    finished_bytes: usize,
    done: VecDeque<CallKey>,
    /// A timer is set for when the oldest result has been kept long enough.
    pub(crate) expiry_is_set: bool,
    max_open: usize,
    account: Account,
}

impl Calls {
    pub(crate) fn new(
        max_open: usize,
        max_results: usize,
        hash: HashKey,
        account: Account,
    ) -> Self {
        Self {
            table: Slots::new(max_open.saturating_add(max_results).saturating_add(1)),
            by_number: ByNumber::new(hash),
            next_number: 1,
            seeking: Vec::new(),
            finished: VecDeque::new(),
            finished_count: 0,
            finished_bytes: 0,
            done: VecDeque::new(),
            expiry_is_set: false,
            max_open,
            account,
        }
    }

    /// Whether another call would be one too many.
    pub(crate) fn is_full(&self) -> bool {
        self.open() >= self.max_open + usize::from(crate::mutant::planted!(OneCallTooMany))
    }

    /// All calls in the table.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Calls without an outcome, and those whose outcome nobody has been told of.
    pub(crate) fn open(&self) -> usize {
        self.table.len() - self.finished_count
    }

    /// Adds the call that `make` makes, with this number and bytes of arguments.
    #[inline(always)]
    pub(crate) fn insert_with(
        &mut self,
        number: u64,
        held: usize,
        make: impl FnOnce() -> Call,
    ) -> Option<CallKey> {
        let key = self.table.insert_with(make)?;
        self.account.charge(held);
        self.by_number.insert(number, key);
        Some(key)
    }

    /// Whether another call with so many bytes of arguments may be begun.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        self.account.budget().has_room_for_work(bytes)
    }

    /// Whether a result of so many bytes may be kept in the place of a call's arguments.
    pub(crate) fn has_room_for_result(&self, key: CallKey, bytes: usize) -> bool {
        let held = self.table.get(key).map_or(0, |call| call.held);
        self.account.budget().has_room(bytes.saturating_sub(held))
    }

    /// Moves a call's arguments out: this node runs it.
    pub(crate) fn take_args(&mut self, key: CallKey) -> Option<Arguments> {
        let call = self.table.get_mut(key)?;
        self.account.replace(&mut call.held, 0);
        Some(call.request.args.take())
    }

    /// Puts other arguments in the place of a call's.
    pub(crate) fn set_args(&mut self, key: CallKey, args: Arguments) {
        let Some(call) = self.table.get_mut(key) else { return };
        self.account.replace(&mut call.held, args.len());
        call.request.args = args;
    }

    /// The number of the next call of this session.
    pub(crate) fn draw_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// The number that [`Self::draw_number`] gives next.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Gives a call that goes on to another provider a number for that: what is said of the last
    /// one there means this one no more, and no watermark has passed it. The random part stays: by
    /// it one call is found in every node's log.
    pub(crate) fn renumber(&mut self, key: CallKey) {
        let number = self.draw_number();
        let Some(call) = self.table.get_mut(key) else { return };
        let old = std::mem::replace(&mut call.wire, ExeId { number, ..call.id });
        if old != call.id {
            self.by_number.remove(old.number);
        }
        self.by_number.insert(number, key);
    }

    /// Whether a call waits for its outcome.
    fn is_open(&self, key: CallKey) -> bool {
        self.table.get(key).is_some_and(|call| !matches!(call.stage, Stage::Done(_)))
    }

    /// Whether a call waits for an answer under this number.
    pub(crate) fn waits_for(&self, key: CallKey, number: u64) -> bool {
        let waits =
            |call: &Call| call.wire.number == number && matches!(call.stage, Stage::Remote { .. });
        self.table.get(key).is_some_and(waits)
    }

    /// Not above the lowest number of a call that waits for a provider.
    pub(crate) fn lowest_seeking(&self) -> Option<u64> {
        // They stand in the order of their numbers; what is over counts nothing.
        let mut seeking = self.seeking.iter().filter(|key| self.is_open(**key));
        seeking.find_map(|key| Some(self.table.get(*key)?.id.number))
    }

    /// Whether a call of this number was ever begun.
    pub(crate) fn was_begun(&self, number: u64) -> bool {
        (1..self.next_number).contains(&number)
    }

    pub(crate) fn get(&self, key: CallKey) -> Option<&Call> {
        self.table.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: CallKey) -> Option<&mut Call> {
        self.table.get_mut(key)
    }

    pub(crate) fn by_id(&self, id: ExeId) -> Option<CallKey> {
        let key = self.by_number.get(id.number)?;
        self.table.get(key).filter(|call| call.id == id || call.wire == id).map(|_| key)
    }

    pub(crate) fn keys(&self) -> Vec<CallKey> {
        self.table.keys()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (CallKey, &Call)> {
        self.table.iter()
    }

    pub(crate) fn seek(&mut self, key: CallKey) {
        self.seeking.push(key);
    }

    /// The calls that wait for a provider. Those still waiting must be put back.
    pub(crate) fn take_seeking(&mut self) -> Vec<CallKey> {
        std::mem::take(&mut self.seeking)
    }

    pub(crate) fn is_seeking(&self) -> bool {
        !self.seeking.is_empty()
    }

    /// Forgets the calls that sought a provider and have ended. Returns whether any seeks one.
    pub(crate) fn still_seeks(&mut self) -> bool {
        let table = &self.table;
        let seeks = |key: &CallKey| {
            table.get(*key).is_some_and(|call| matches!(call.stage, Stage::Seeking))
        };
        self.seeking.retain(seeks);
        self.is_seeking()
    }

    /// Ends a call; the outcome stays until it is taken, `until` then at least. Returns the
    /// arguments, which nobody needs any more.
    pub(crate) fn finish(
        &mut self,
        key: CallKey,
        outcome: Outcome,
        until: Time,
    ) -> Option<Arguments> {
        let call = self.table.get_mut(key)?;
        if matches!(call.stage, Stage::Done(_)) {
            return None;
        }
        let args = call.request.args.take();
        self.account.replace(&mut call.held, outcome.bytes());
        call.stage = Stage::Done(outcome);
        call.kept_until = until;
        // Part of another call: that one takes it.
        if call.parent.is_none() && !call.abandoned {
            self.done.push_back(key);
        }
        Some(args)
    }

    /// Takes a finished call out of the table.
    pub(crate) fn take(&mut self, key: CallKey) -> Option<Outcome> {
        if !matches!(self.table.get(key)?.stage, Stage::Done(_)) {
            return None;
        }
        let (held, told, numbers, outcome) = self.table.end(key, |call| {
            let outcome = match std::mem::replace(&mut call.stage, Stage::Elsewhere) {
                Stage::Done(outcome) => Some(outcome),
                _ => None,
            };
            (call.held, call.told, [call.id.number, call.wire.number], outcome)
        })?;
        let outcome = outcome?;
        self.account.refund(held);
        let [id, wire] = numbers;
        self.by_number.remove(id);
        if wire != id {
            self.by_number.remove(wire);
        }
        if !told {
            return Some(outcome);
        }
        self.finished_count -= 1;
        self.finished_bytes -= outcome.bytes();
        while self.finished.front().is_some_and(|key| self.table.get(*key).is_none()) {
            self.finished.pop_front();
        }
        if self.finished.len() > 2 * self.finished_count + 64 {
            let table = &self.table;
            self.finished.retain(|key| table.get(*key).is_some());
        }
        Some(outcome)
    }

    /// The outcome that was told of first and is still here, and until when it is kept; a later
    /// one that nobody was told of yet, if there is no other.
    pub(crate) fn oldest_result(&mut self) -> Option<(Time, CallKey)> {
        while let Some(key) = self.finished.front() {
            if let Some(call) = self.table.get(*key) {
                return Some((call.kept_until, *key));
            }
            self.finished.pop_front();
        }
        let of = |key: &CallKey| Some((self.table.get(*key)?.kept_until, *key));
        self.done.iter().find_map(of)
    }

    /// The oldest outcome nobody has fetched, once more is kept than the limits allow. The one
    /// told of last stays in any case.
    pub(crate) fn surplus(&mut self, max_results: usize, max_bytes: usize) -> Option<CallKey> {
        let fits = self.finished_count <= max_results && self.finished_bytes <= max_bytes;
        if fits || self.finished_count <= 1 {
            return None;
        }
        while let Some(key) = self.finished.pop_front() {
            if self.table.get(key).is_some() {
                return Some(key);
            }
        }
        None
    }

    /// The next call that has ended and whose waiter has not been told. From now on its outcome
    /// is one of those kept.
    pub(crate) fn pop_done(&mut self) -> Option<CallKey> {
        while let Some(key) = self.done.pop_front() {
            let Some(call) = self.table.get_mut(key) else { continue };
            if let Stage::Done(outcome) = &call.stage {
                call.told = true;
                self.finished_count += 1;
                self.finished_bytes += outcome.bytes();
                self.finished.push_back(key);
                return Some(key);
            }
        }
        None
    }
}
