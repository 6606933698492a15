//! Which copy of a call has brought an answer out, so that the time between the two is a round
//! trip, however often the call was sent (as with TCP's timestamps and QUIC's packet numbers).

use crate::message::NO_COPY;
use crate::mutant::planted;
use crate::recovery::ACK_DELAY;
use crate::time::Time;

/// A copy of a call, at its callee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Arrival {
    /// Which one, from 0.
    pub(crate) attempt: u8,
    /// When it came.
    pub(crate) at: Time,
}

impl Arrival {
    /// What an answer says that leaves now. One that leaves later than a receipt would, because
    /// its function took long or because it is sent again unasked, is of no copy: how long the
    /// way is cannot be told from it.
    pub(crate) fn answered(self, now: Time) -> u8 {
        let is_at_once = now.since(self.at) <= ACK_DELAY;
        match self.attempt {
            _ if planted!(CopyMistaken) => 0,
            attempt if is_at_once || planted!(ResendCounted) => attempt,
            _ => NO_COPY,
        }
    }

    /// The same of a receipt for the call. That of the first copy is held back, which its caller
    /// takes off; a second one for it, or one that is asked for, is not.
    pub(crate) fn acknowledged(self, now: Time) -> u8 {
        let waited = now.since(self.at);
        let is_in_time = match self.attempt {
            0 => (ACK_DELAY..=ACK_DELAY * 2).contains(&waited),
            _ => waited <= ACK_DELAY,
        };
        if is_in_time { self.attempt } else { NO_COPY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_sent_at_once_is_of_no_copy() {
        let at = |millis| Time::from_millis(millis);
        let [first, third] = [0, 2].map(|attempt| Arrival { attempt, at: at(100) });
        assert_eq!([first, third].map(|copy| copy.answered(at(115))), [0, 2]);
        assert_eq!([first, third].map(|copy| copy.answered(at(116))), [NO_COPY; 2]);
        let receipts = |millis| [first, third].map(|copy| copy.acknowledged(at(millis)));
        assert_eq!(receipts(100), [NO_COPY, 2]);
        assert_eq!(receipts(114), [NO_COPY, 2]);
        assert_eq!(receipts(115), [0, 2]);
        assert_eq!(receipts(130), [0, NO_COPY]);
        assert_eq!(receipts(131), [NO_COPY; 2]);
    }
}
