//! The manners of each dialect.

use std::time::Duration;

use super::Dialect;

/// What a far end stands and expects beyond the words of its messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Profile {
    /// Answers and everything else go to one known port of the address a frame came from, its
    /// home, whatever port it was sent from; the address is the peer.
    pub has_home: bool,
    /// Largest frame it reads, in bytes.
    pub max_frame: usize,
    /// Most messages in a frame to it.
    pub messages_per_frame: usize,
    /// How long an answer is held back: the caller may note that it waits only after it has sent
    /// its call.
    pub answers_after: Duration,
    /// How long after its last hello it is there; `None`: as it says itself.
    pub lease: Option<Duration>,
    /// The exact time between its hellos, where something out of step means another process, and
    /// where what was meant for the one before would kill the new one.
    pub hello_period: Option<Duration>,
}

const NATIVE: Profile = Profile {
    has_home: false,
    max_frame: usize::MAX,
    messages_per_frame: usize::MAX,
    answers_after: Duration::ZERO,
    lease: None,
    hello_period: None,
};

const S0: Profile = Profile {
    has_home: true,
    max_frame: 1024,
    messages_per_frame: 1,
    answers_after: Duration::from_millis(30),
    lease: Some(Duration::from_secs(30)),
    hello_period: None,
};

const PUBLISHED: Profile = Profile { hello_period: Some(Duration::from_secs(5)), ..S0 };

impl Dialect {
    /// The manners that go with this vocabulary.
    pub const fn profile(self) -> &'static Profile {
        match self {
            Self::Native | Self::Lean => &NATIVE,
            Self::S0 => &S0,
            Self::Published => &PUBLISHED,
        }
    }
}
