//! What a node tells its application without being asked.

use std::collections::VecDeque;

use crate::endpoint::Endpoint;
use crate::error::Executed;
use crate::id::{ExeId, SessionId};
use crate::ports::KeyId;

/// Something happened that an application or a person may want to know.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A peer was heard for the first time.
    PeerUp {
        /// Its session.
        session: SessionId,
        /// Its name.
        name: String,
        /// Where it is.
        endpoint: Endpoint,
    },
    /// A peer has proved that its address receives.
    PeerVerified {
        /// Its session.
        session: SessionId,
        /// Its name.
        name: String,
    },
    /// A peer is gone.
    PeerDown {
        /// Its session.
        session: SessionId,
        /// Its name.
        name: String,
        /// Why.
        reason: PeerDownReason,
    },
    /// A peer offers a function.
    FunctionUp {
        /// The function.
        function: String,
        /// The peer's name.
        peer: String,
    },
    /// A peer offers a function no more.
    FunctionDown {
        /// The function.
        function: String,
        /// The peer's name.
        peer: String,
    },
    /// More than one node offers this function now. Under the default policy new calls go to
    /// the one that announced it last.
    FunctionConflict {
        /// The function.
        function: String,
        /// The name of the one that came last.
        peer: String,
        /// How many offer it, this node included.
        providers: usize,
    },
    /// A limit of the configuration was reached; told at most once a second per limit.
    LimitHit {
        /// The setting's name.
        limit: &'static str,
    },
    /// Somebody who has not proved its address sends too much, or all such together do; told at
    /// most once a second.
    RateLimited {
        /// Where one of them is.
        endpoint: Endpoint,
    },
    /// A connection was closed because its far end does not take what is sent to it. What was
    /// under way on it is over.
    SlowPeer {
        /// Where it is.
        endpoint: Endpoint,
    },
    /// The system's send buffer or the interface's queue is full: what is to be sent waits; told
    /// at most once a second.
    SendBufferFull,
    /// The system dropped datagrams because they were not read fast enough.
    KernelDrops {
        /// How many since the last time.
        count: u64,
    },
    /// The network interfaces changed.
    InterfacesChanged,
    /// A configured peer could not be reached; it is tried again.
    Unreachable {
        /// Its endpoint.
        endpoint: Endpoint,
        /// The system's reason.
        reason: String,
    },
    /// A peer speaks another major version of the protocol; told at most once a second.
    IncompatibleVersion {
        /// Where it is.
        endpoint: Endpoint,
    },
    /// Somebody seals under a key that this node does not hold, or has a key while this node has
    /// none; told at most once a minute for each key.
    ForeignGroup {
        /// The key.
        key: KeyId,
        /// Where one of them is.
        endpoint: Endpoint,
    },
    /// Somebody speaks without sealing, and this node has a key: it is not heard. Told at most
    /// once a minute.
    PlaintextRefused {
        /// Where it is.
        endpoint: Endpoint,
    },
    /// So many frames have named this key and did not verify (2^36) that another should take its
    /// place.
    KeyWorn {
        /// The key.
        key: KeyId,
    },
    /// A function declared short took longer than it may; it runs on a worker from now on.
    SlowFunction {
        /// The function.
        function: String,
        /// How long it took, in microseconds.
        took_us: u64,
    },
    /// A call had failed without anybody knowing whether its function ran; now its callee has
    /// answered after all: it did, or was refused. Told once a call, of calls to one provider
    /// that may not run more than once.
    LateAnswer {
        /// The call.
        call: ExeId,
        /// The function.
        function: String,
        /// The callee's name.
        peer: String,
        /// Whether it ran: `Maybe` if not even the callee knows.
        executed: Executed,
    },
    /// The node has said farewell and nothing runs any more.
    Closed,
}

/// Why a peer is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PeerDownReason {
    /// It said farewell.
    Left,
    /// It was silent for its lease.
    Expired,
    /// Another session answers at its endpoint.
    Restarted,
    /// Its link went down.
    Disconnected,
    /// Its place was needed and it had not proved its address.
    Evicted,
    /// Its connection broke, its host refuses another, and it answers no question.
    Gone,
}

/// Places the queue keeps when it is empty.
const KEPT: usize = 64;

/// Events until somebody fetches them; the newest are lost when nobody does.
pub(crate) struct Events {
    queue: VecDeque<Event>,
    limit: usize,
}

impl Events {
    pub(crate) fn new(limit: usize) -> Self {
        Self { queue: VecDeque::new(), limit }
    }

    /// Whether there was room.
    pub(crate) fn push(&mut self, event: Event) -> bool {
        let room = self.queue.len() < self.limit;
        if room {
            self.queue.push_back(event);
        }
        room
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.queue.pop_front();
        if event.is_none() {
            self.queue.shrink_to(KEPT);
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_fetches_is_bounded() {
        let mut events = Events::new(2);
        assert!(events.push(Event::InterfacesChanged) && events.push(Event::SendBufferFull));
        assert!(!events.push(Event::Closed));
        assert_eq!(events.pop(), Some(Event::InterfacesChanged));
        assert!(events.push(Event::Closed));
        assert_eq!([events.pop(), events.pop()], [Event::SendBufferFull, Event::Closed].map(Some));
        assert_eq!(events.pop(), None);
    }
}
