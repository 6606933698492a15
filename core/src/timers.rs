//! Every reason to wake up later; all of them wait in one wheel.

mod wheel;

use crate::endpoint::LinkId;
use crate::id::{CallKey, CallerKey, PeerKey, PingKey, TaskKey};

pub(crate) use wheel::{TimerKey, Timers};

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    /// Say hello to everybody.
    Hello,
    /// Registrations have been quiet long enough: broadcast the names.
    Announce,
    /// The peer has been silent for its lease.
    Lease(PeerKey),
    /// Answers that the peer sent before its farewell have had their time to arrive.
    Farewell(PeerKey),
    /// The answer to a new peer's hello is due.
    Greet(PeerKey),
    /// The list of functions that a peer's hello spoke of has not come.
    Want(PeerKey),
    /// The call has no outcome yet.
    Deadline(CallKey),
    /// The call has waited long enough for a provider.
    Seek(CallKey),
    /// The provider has had its time to answer before another is asked too.
    Late(CallKey),
    /// Nobody fetched the oldest result.
    Forget,
    /// The caller's deadline has passed.
    TaskDeadline(TaskKey),
    /// A peer whose connection broke has had its time to answer a question.
    Suspect(PeerKey),
    /// No pong came.
    Ping(PingKey),
    /// The caller has had its time to accept a connection for its answer.
    OneShot(TaskKey),
    /// See whether a connection lives.
    KeepAlive(LinkId),
    /// Calls to a peer are to be sent again or asked about, or answers of it acknowledged.
    Recovery(PeerKey),
    /// A caller is to be told that its calls came, or sent answers again.
    Caller(CallerKey),
    /// Look for idle links and hosts.
    Sweep,
    /// Running functions have had their time to finish.
    Drain,
    /// Something is due about an older program.
    Homes,
    /// The network interfaces changed a moment ago.
    Rehello,
    /// Calls wait for a provider: perhaps the hello that it would have answered was lost.
    SeekAgain,
    /// Frames sealed for this node are to name another token.
    Token,
}

impl Timer {
    fn reason(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Announce => "announce functions",
            Self::Lease(_) => "peer lease",
            Self::Farewell(_) => "answers before a farewell",
            Self::Greet(_) => "answer a hello",
            Self::Want(_) => "ask for functions",
            Self::Deadline(_) => "call deadline",
            Self::Seek(_) => "wait for a provider",
            Self::Late(_) => "ask another provider",
            Self::Forget => "forget a result",
            Self::TaskDeadline(_) => "task deadline",
            Self::Suspect(_) => "answer of a suspected peer",
            Self::Ping(_) => "ping timeout",
            Self::OneShot(_) => "accept a connection for an answer",
            Self::KeepAlive(_) => "keep a connection",
            Self::Recovery(_) => "calls without a receipt",
            Self::Caller(_) => "receipts and answers",
            Self::Sweep => "sweep idle links",
            Self::Drain => "drain",
            Self::Homes => "older programs",
            Self::Rehello => "interfaces changed",
            Self::SeekAgain => "greet for calls that wait",
            Self::Token => "another token",
        }
    }
}
