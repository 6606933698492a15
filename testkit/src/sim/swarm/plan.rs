//! A scenario as data.

use std::time::Duration;

use lanc_core::policy::Policy;
use lanc_core::{Config, Mode, Time};

use crate::sim::hostile::Script;
use crate::sim::input::Place;
use crate::sim::network::Rules;

/// Everything that happens to a world. Nodes and calls have numbers of their own, so that one
/// may be left out without a change to the others: what is done to those that are not there
/// does nothing.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the network and the nodes have their chance from.
    pub seed: u64,
    /// The nodes.
    pub nodes: Vec<NodePlan>,
    /// Older programs, by number.
    pub originals: Vec<usize>,
    /// Who holds keys.
    pub keys: Keying,
    /// Hostile programs.
    pub hostiles: Vec<Script>,
    /// How the network is at first.
    pub weather: Weather,
    /// What happens, in order of time.
    pub acts: Vec<(Time, Act)>,
    /// When the faults are over; from then on everything must settle within 30 s.
    pub heals_at: Time,
}

/// Who holds keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keying {
    /// Nobody.
    Open,
    /// All the same one.
    One,
    /// Some one, some another, some none: three groups side by side.
    Mixed,
    /// All one at first; then another is added, made primary, and the first one taken away, node
    /// by node; some nodes are late.
    Rotating,
}

/// A node to be made.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Its number: it is named `n` and this.
    pub number: usize,
    /// When it starts.
    pub born: Time,
    /// Whether it writes lean MessagePack; else JSON alone.
    pub lean: bool,
    /// From how many bytes on it compresses; `usize::MAX`: it only expands, `None`: not even that.
    pub compress: Option<usize>,
    /// How fast its clock runs, in thousandths.
    pub clock: u32,
    /// Limits that are smaller than usual.
    pub limits: Option<Limits>,
    /// The number of its first key; 0: none.
    pub key: u8,
    /// The number of the key it has in the end.
    pub last_key: u8,
    /// How long a token of its is told.
    pub token_lifetime: Duration,
}

/// Limits so small that they are hit.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each is the setting of its name")]
pub struct Limits {
    pub max_calls: usize,
    pub max_calls_per_peer: usize,
    pub max_queued: usize,
    pub max_results: usize,
    pub workers: usize,
    pub max_async_running: usize,
    pub max_events: usize,
    pub max_outbox: usize,
    pub max_pings: usize,
    pub max_stranger_tasks: usize,
    pub max_tentative: usize,
    pub max_tentative_per_ip: usize,
    /// Bytes: queued arguments, kept results, stored answers.
    pub bytes: usize,
    pub max_error_text: usize,
    pub max_call_window: u32,
    pub max_deduped_per_caller: usize,
    pub max_stored_answer: usize,
}

impl Limits {
    /// The settings with these limits.
    pub(super) fn apply(self, config: Config) -> Config {
        config
            .with_max_calls(self.max_calls)
            .with_max_calls_per_peer(self.max_calls_per_peer)
            .with_max_queued(self.max_queued)
            .with_max_results(self.max_results)
            .with_workers(self.workers)
            .with_max_async_running(self.max_async_running)
            .with_max_events(self.max_events)
            .with_max_outbox(self.max_outbox)
            .with_max_pings(self.max_pings)
            .with_max_stranger_tasks(self.max_stranger_tasks)
            .with_max_tentative(self.max_tentative)
            .with_max_tentative_per_ip(self.max_tentative_per_ip)
            .with_max_queued_bytes(self.bytes)
            .with_max_result_bytes(self.bytes)
            .with_max_error_text(self.max_error_text)
            .with_max_call_window(self.max_call_window)
            .with_max_deduped_per_caller(self.max_deduped_per_caller)
            .with_max_stored_answer(self.max_stored_answer)
            .with_max_stored_answers(self.bytes)
    }
}

/// What the network does, in thousandths of the datagrams.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Weather {
    /// Lost.
    pub loss: u32,
    /// Doubled.
    pub duplication: u32,
    /// Some bits turned.
    pub corruption: u32,
    /// Cut short.
    pub truncation: u32,
    /// How long one takes at most; they overtake each other.
    pub delay: Duration,
}

impl Weather {
    pub(super) fn rules(self) -> Rules {
        Rules::default()
            .loss(self.loss)
            .duplication(self.duplication)
            .corruption(self.corruption)
            .truncation(self.truncation)
            .delay(Duration::ZERO..=self.delay)
    }
}

/// A call to be made. Its only argument is unlike that of every other call.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Its number in the plan.
    pub call: usize,
    /// The function.
    pub function: String,
    /// Bytes of text that go with it, or milliseconds that the function takes.
    pub size: u64,
    /// When it must be over, from its start.
    pub deadline: Duration,
    /// How long it waits for a provider.
    pub wait: Option<Duration>,
    /// The number of the node it must go to.
    pub target: Option<usize>,
    /// Which of several.
    pub policy: Policy,
    /// How many.
    pub mode: Mode,
    /// It may run more than once.
    pub idempotent: bool,
    /// Its result is left in the core.
    pub keeps: bool,
}

/// One thing that happens. Numbers are those of nodes in the plan.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is the input of its name")]
pub enum Act {
    Call(usize, Wish),
    /// By the call's number.
    Cancel(usize),
    Abandon(usize),
    Get(usize),
    Ping(usize, usize),
    Register(usize, u64),
    Unregister(usize, u64),
    Shutdown(usize),
    Crash(usize),
    Restart(usize, Place),
    Pause(usize),
    Resume(usize),
    Cut(usize, usize),
    CutBoth(usize, usize),
    Path(usize, usize, Weather),
    /// All cuts are mended and the network changes.
    Turn(Weather),
    /// Opens what is sealed under the key of this number, too.
    AddKey(usize, u8),
    /// Seals under it.
    PrimaryKey(usize, u8),
    /// Opens nothing under it any more.
    RemoveKey(usize, u8),
    /// A copy of its process starts elsewhere.
    Clone(usize),
    ClockRate(usize, u32),
    Leap(usize, Duration),
    /// An older program calls a function.
    OriginalCalls(usize, String),
    OriginalCrashes(usize),
    OriginalStarts(usize),
}

impl Act {
    /// Whether it is a fault.
    pub(super) fn is_fault(&self) -> bool {
        !matches!(
            self,
            Self::Call(..)
                | Self::Cancel(_)
                | Self::Abandon(_)
                | Self::Get(_)
                | Self::Ping(..)
                | Self::Register(..)
                | Self::Unregister(..)
                | Self::OriginalCalls(..)
        )
    }
}
