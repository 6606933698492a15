//! What must hold whatever the network does. The numbers are those of `docs/reliability.md`.

use std::fmt;

use lanc_core::Time;

macro_rules! invariants {
    ($($(#[$doc:meta])* $variant:ident => $number:literal;)*) => {
        /// A promise that a run is checked against.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Invariant { $($(#[$doc])* $variant,)* }

        impl Invariant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its number.
            pub const fn number(self) -> &'static str {
                match self { $(Self::$variant => $number,)* }
            }
        }
    };
}

invariants! {
    /// Nothing that arrives crashes or hangs a node.
    NoCrash => "P1";
    /// A body starts at most once per caller session and call number, and only in the session
    /// the call was meant for.
    OneStart => "I-1";
    /// A call gets exactly one outcome.
    OneOutcome => "I-2";
    /// It comes by the deadline and one tick; no body starts when its time is up.
    InTime => "I-3";
    /// A result was computed for this call and these arguments.
    TrueResult => "I-4";
    /// `executed = no`: the body never starts, before or after.
    NoIsNever => "I-5";
    /// `executed = yes`: it started exactly once.
    YesIsOnce => "I-6";
    /// A call that timed out or was cancelled never succeeds.
    NoLateSuccess => "I-7";
    /// Keyed: nothing that a node says can be read without its key.
    NothingPlain => "I-8";
    /// Keyed: what is not sealed under a key that is held changes nothing, and meets nobody.
    GenuineOnly => "I-9";
    /// No nonce is used twice under a key, not even by a clone.
    NonceOnce => "I-10";
    /// Keyed: no copy of what was sealed for one node is taken, and no copy makes anybody
    /// believed.
    NoCopies => "I-11";
    /// Keyed: what is sealed for one node is taken by no other.
    ForMeOnly => "I-12";
    /// Strangers get at most three times what they sent, and a fixed sum per window.
    Unamplified => "I-13";
    /// Tables keep their limits and are empty two leases after silence.
    Bounded => "I-14";
    /// Verified peers are neither evicted nor starved, nor sent away by others.
    VerifiedStay => "I-15";
    /// Older programs are never sent a thing twice, nor what they do not know; who has not said
    /// that it acknowledges is never resent to.
    OlderUnharmed => "I-16";
    /// An error is never the answer to an error, a callback, an ack or a broadcast.
    ErrorsEnd => "I-17";
    /// Timers make progress, and none is left over.
    TimersMove => "I-18";
    /// Six transmissions of a call, each later than the one before by twice as much, then one with
    /// each question about it; none past its deadline.
    FewResends => "I-19";
    /// A cancelled body keeps its place until it ends.
    PlacesHold => "I-21";
    /// Equal inputs give equal outputs.
    Deterministic => "I-22";
    /// Once the network is good, all list each other and the right functions.
    Heals => "I-23";
    /// No node is its own peer; a call in flight stays with its callee.
    CallsStay => "I-24";
    /// What is written can be read.
    Readable => "I-25";
    /// Keyed: what has come is remembered as long as the token that it named is taken.
    MemoryKept => "I-26";
    /// After a shutdown began nothing starts, and what was accepted is answered.
    DrainsClean => "I-27";
    /// Received is accepted plus each kind of drop.
    CountersAddUp => "I-28";
    /// A round trip that is measured is that of a copy of the call, and of no other time.
    TrueSamples => "I-29";
}

impl Invariant {
    /// It does not hold.
    pub(super) fn broken(self, why: impl Into<String>) -> Broken {
        Broken { invariant: self, why: why.into() }
    }

    /// It holds only if `this` does.
    pub(super) fn holds_if(self, this: bool, why: impl FnOnce() -> String) -> Result<(), Broken> {
        if this { Ok(()) } else { Err(self.broken(why())) }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({self:?})", self.number())
    }
}

/// A promise that was not kept, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Broken {
    pub(super) invariant: Invariant,
    pub(super) why: String,
}

/// A run that went wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The promise that was broken.
    pub invariant: Invariant,
    /// When.
    pub at: Time,
    /// What happened, with the last frames.
    pub report: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}: {}", self.invariant, self.at, self.report)
    }
}
