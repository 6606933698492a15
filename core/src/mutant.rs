//! Planted bugs: each must be found by the simulator, or it watches in vain.
//!
//! They exist only in builds with `--cfg lanc_mutant`, where a test plants one in its own thread;
//! in every other build [`planted!`] is the word `false` and nothing of this is compiled.

/// Whether this bug is planted.
#[cfg(not(lanc_mutant))]
macro_rules! planted {
    ($mutant:ident) => {
        false
    };
}

/// Whether this bug is planted.
#[cfg(lanc_mutant)]
macro_rules! planted {
    ($mutant:ident) => {
        $crate::mutant::is_planted($crate::mutant::Mutant::$mutant)
    };
}

pub(crate) use planted;

#[cfg(lanc_mutant)]
pub use here::*;

#[cfg(lanc_mutant)]
mod here {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};

    macro_rules! mutants {
        ($($(#[$doc:meta])* $variant:ident,)*) => {
            /// A bug that can be planted.
            #[derive(Clone, Copy, PartialEq, Eq, Debug)]
            pub enum Mutant { $($(#[$doc])* $variant,)* }

            impl Mutant {
                /// All of them.
                pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            }
        };
    }

    mutants! {
        /// A peer that is verified makes room for a stranger.
        VerifiedMakesRoom,
        /// What may not be broadcast is obeyed when it is.
        BroadcastObeyed,
        /// Bytes to strangers are not counted.
        BudgetNotSpent,
        /// A cancelled function gives its place back before it ends.
        CancelFreesPlace,
        /// A call whose time is up in the queue starts.
        StartsLate,
        /// A cancelled call goes on.
        CancelForgotten,
        /// A call for another session is taken.
        SessionIgnored,
        /// Calls that are over count as open at their peer.
        OpenCallsKept,
        /// A drop is counted twice.
        DropCountedTwice,
        /// A refused call is said to have run.
        RefusedSaysYes,
        /// A call that was sent and not answered is said not to have run.
        TimeoutSaysNo,
        /// An error about no known call is answered with an error.
        ErrorAnswered,
        /// A draw depends on what happened elsewhere in the process.
        ChanceFromOutside,
        /// The next timer is said to be due, whenever it is.
        TimerStandsStill,
        /// A lease that is over is prolonged.
        LeaseForEver,
        /// The node listens to its own hello.
        OwnHello,
        /// What is queued starts while the node goes down.
        DrainStarts,
        /// Anybody says farewell for anybody.
        ByeFromAnybody,
        /// Anybody answers for anybody.
        AnswerFromAnybody,
        /// A list of functions that was lost is not asked for.
        ListNotAsked,
        /// One call more than the limit.
        OneCallTooMany,
        /// One queued call more than the limit.
        OneQueuedTooMany,
        /// A call that waits for a provider has no deadline.
        SeeksForEver,
        /// An answer ends whichever call is open at its peer.
        AnswerToAnother,
        /// Copies of calls are not recognised.
        CopiesNotSeen,
        /// Remembered calls make room for others.
        MemoryMakesRoom,
        /// The time until a call is sent again does not grow.
        TimeoutNotDoubled,
        /// The watermark is one too high.
        WatermarkTooHigh,
        /// Calls are sent again to peers that give no receipts.
        ResentToOlder,
        /// A caller that was forgotten begins anew.
        TombstoneIgnored,
        /// A call is sent once too often.
        SentOnceTooOften,
        /// A refused call is not remembered.
        RefusalForgotten,
        /// A receipt ends its call as refused.
        AckRefuses,
        /// A callee that knows nothing of a call is taken for one that will never start it.
        UnknownSaysNo,
        /// Bytes of answers count after the answers are gone.
        AnswerBytesKept,
        /// An answer that a callee sends again of itself counts as the answer to the last copy.
        ResendCounted,
        /// Every answer says that it answers the first copy.
        CopyMistaken,
        /// Two frames are sealed under one counter.
        CounterUsedTwice,
        /// What is sealed for everybody may act.
        BroadcastActs,
        /// What names any token at all is taken.
        AnyTokenTaken,
        /// Copies of sealed frames are taken.
        CopiesTaken,
        /// A frame that is not sealed is heard by a keyed node.
        PlaintextHeard,
        /// A peer that has sealed nothing for this node is believed.
        TentativeBelieved,
        /// Who seals a frame need not be who it speaks for.
        SenderIgnored,
        /// A counter is noted before its frame has shown to be genuine.
        WindowBeforeTag,
        /// The first token of a node is taken for ever.
        TokenNeverDropped,
        /// Who is no peer is forgotten while the token it has named is taken.
        SenderForgotten,
        /// What is sealed is sealed under the key of the next epoch.
        EpochOffByOne,
        /// What is sealed under a key that was removed is opened.
        RemovedKeyOpens,
        /// What asks is told in plain that somebody is there.
        AnsweredInPlain,
        /// Salts come from a buffer that a fork shares.
        SaltBuffered,
        /// What may be a copy proves an address and makes its sender believed.
        CopyProves,
        /// A peer is looked for wherever something of its was heard.
        CopyFollowed,
        /// A node opens what it has sealed itself.
        OwnOpened,
        /// Calls are sealed for everybody while the token of their callee is not known.
        CallsForAll,
    }

    thread_local! {
        static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    static OUTSIDE: AtomicU64 = AtomicU64::new(0);

    /// Plants a bug in this thread, or takes it out.
    pub fn plant(mutant: Option<Mutant>) {
        PLANTED.set(mutant);
    }

    pub(crate) fn is_planted(mutant: Mutant) -> bool {
        PLANTED.get() == Some(mutant)
    }

    /// A number that no seed determines.
    pub(crate) fn outside() -> u64 {
        OUTSIDE.fetch_add(1, Ordering::Relaxed)
    }
}
