//! One call on its way through this node, and who waits for it.

use super::Applicant;
use crate::copies::Arrival;
use crate::dialect::Form;
use crate::directory::Class;
use crate::endpoint::LinkId;
use crate::engine::StreamKey;
use crate::error::Fault;
use crate::id::{CallKey, CallerKey, FunctionKey, FunctionName, PeerKey};
use crate::message::{CallState, ReplyTo, WireId};
use crate::payload::{Arguments, Payload};
use crate::time::Time;
use crate::timers::TimerKey;

/// Who wants the result of a task.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Caller {
    /// A call of this node.
    Local(CallKey),
    /// Somebody at the end of a link.
    Remote {
        link: LinkId,
        peer: Option<PeerKey>,
        id: Option<WireId<'static>>,
        /// What the call came in and its answer goes out in.
        form: Form,
        /// When the call came.
        since: Time,
        /// Where it takes a connection for the answer.
        reply_to: Option<ReplyTo>,
    },
}

impl Caller {
    /// Where its call came from.
    pub(crate) fn link(&self) -> Option<LinkId> {
        match self {
            Self::Remote { link, .. } => Some(*link),
            Self::Local(_) => None,
        }
    }

    /// Whether somebody elsewhere waits for the answer.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self, Self::Remote { id: Some(_), .. })
    }

    /// How a caller elsewhere names a call that is not remembered by its number.
    pub(super) fn call(&self) -> Option<(LinkId, WireId<'static>)> {
        match self {
            Self::Remote { id: Some(WireId::Native(_)), .. } => None,
            Self::Remote { link, id: Some(id), .. } => Some((*link, id.clone())),
            _ => None,
        }
    }
}

/// Where a task stands.
pub(crate) enum Progress {
    Queued,
    Running {
        since: Time,
    },
    /// Done; the answer waits for its turn on the link.
    Answered(Result<Payload, Fault>),
}

/// One call on its way through this node.
pub(crate) struct Task {
    pub(crate) function: FunctionKey,
    pub(crate) name: FunctionName,
    pub(crate) class: Class,
    pub(crate) caller: Caller,
    pub(crate) args: Option<Arguments>,
    pub(crate) deadline: Option<Time>,
    pub(crate) deadline_timer: Option<TimerKey>,
    pub(crate) progress: Progress,
    /// When it was queued.
    pub(crate) since: Time,
    pub(crate) cancelled: bool,
    /// Its function has made calls of its own.
    pub(crate) has_calls: bool,
    /// The byte stream that belongs to the call.
    pub(crate) stream: Option<StreamKey>,
    /// Its caller has not proved its address.
    pub(crate) stranger: bool,
    /// Where its call is remembered, and under which number.
    pub(crate) tracked: Option<(CallerKey, u64)>,
    /// The copy of the call that came last.
    pub(crate) arrival: Option<Arrival>,
    /// Its answer is on its way to a transport.
    pub(crate) is_queued: bool,
    /// Its answer goes out because a copy of the call came, or a question about it.
    pub(crate) is_asked: bool,
    /// For whom its answer is kept until the receipt comes.
    pub(crate) kept_for: Option<CallerKey>,
    /// Times its answer was given to one.
    pub(crate) sends: u8,
    /// When it was first.
    pub(crate) first: Time,
    /// When it is sent again.
    pub(crate) due: Option<Time>,
    /// Bytes that are charged for it: its arguments until it ends, then its answer.
    pub(crate) held: usize,
}

impl Task {
    /// A call that is about to be queued. The function is a key, a name and the way to run it.
    #[inline(always)]
    pub(crate) fn new(
        now: Time,
        (function, name, class): (FunctionKey, FunctionName, Class),
        caller: Caller,
        args: Option<Arguments>,
        who: &Applicant,
    ) -> Self {
        Self {
            function,
            name,
            class,
            caller,
            args,
            deadline: who.deadline,
            deadline_timer: None,
            progress: Progress::Queued,
            since: now,
            cancelled: false,
            has_calls: false,
            stream: None,
            stranger: who.stranger,
            tracked: None,
            arrival: None,
            is_queued: false,
            is_asked: false,
            kept_for: None,
            sends: 0,
            first: Time::ZERO,
            due: None,
            held: who.bytes,
        }
    }

    /// Whether its answer has left and is kept only to be asked for.
    pub(crate) fn is_parked(&self) -> bool {
        let has_left = self.kept_for.is_some() && !self.is_queued && self.due.is_none();
        has_left && matches!(self.progress, Progress::Answered(_))
    }

    /// Where it stands, as its caller is told.
    pub(crate) fn state(&self) -> CallState {
        match self.progress {
            Progress::Queued => CallState::Queued,
            Progress::Running { .. } => CallState::Running,
            Progress::Answered(_) => CallState::Done,
        }
    }

    /// Whether its result stands in several places, or in memory that others hold.
    pub(crate) fn is_spliced(&self) -> bool {
        match &self.progress {
            Progress::Answered(Ok(payload)) => payload.bytes.spliced().is_some(),
            _ => false,
        }
    }

    /// Bytes of its result, once it has one.
    pub(crate) fn answer_bytes(&self) -> usize {
        match &self.progress {
            Progress::Answered(Ok(payload)) => payload.bytes.len(),
            _ => 0,
        }
    }
}
