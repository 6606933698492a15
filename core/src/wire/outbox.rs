//! What waits to be sent: small descriptors, never encoded messages, so that a first send and a
//! later resend take one path.

use std::collections::VecDeque;

use crate::copies::Arrival;
use crate::dialect::Form;
use crate::endpoint::{Lane, LinkId};
use crate::id::{CallKey, ExeId, TaskKey};
use crate::message::WireId;
use crate::ports::KeyId;
use crate::wire::links::{Link, Links};

/// One message to be encoded when its turn comes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Outgoing {
    /// This node's hello, with the token of the link and the far end's own, sent back.
    Hello {
        /// Ask for a hello and the functions in return.
        wants: bool,
    },
    /// One part of the list of functions.
    Func {
        /// Which part.
        part: u16,
    },
    /// A call of this node.
    Call(CallKey),
    /// The outcome of a task: `callback` or `error`.
    Answer(TaskKey),
    /// A refusal of something that never became a task.
    Refusal(Box<Refusal>),
    /// A receipt for the call of a task.
    Ack(TaskKey),
    /// Nothing is known of the call that was asked about, in the form the question came in.
    Unknown(Box<(ExeId, Form)>),
    /// A receipt for the answer to a call of this node: its number and random part.
    Receipt(u64, u32),
    /// What became of this call?
    Probe(CallKey),
    /// A call is not wanted any more.
    Cancel(Box<WireId<'static>>),
    /// Farewell.
    Bye,
    /// Send this number back.
    Ping(u64),
    /// Here it is back.
    Pong(u64),
    /// What an older program said, for another node of this host.
    Relay(Box<Relayed>),
    /// A message to an older program that was held back before.
    Ripe(Box<Self>),
}

impl Outgoing {
    pub(crate) fn is_hello(&self) -> bool {
        matches!(self, Self::Hello { .. })
    }

    /// What it counts against the room.
    fn counts(&self) -> usize {
        usize::from(!self.is_hello())
    }
}

/// A message of an older program.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Relayed {
    /// The host it came from.
    pub(crate) from: std::net::IpAddr,
    /// The message, one encoded map.
    pub(crate) frame: Vec<u8>,
}

/// An error for a call that was not accepted.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Refusal {
    /// What the call came in.
    pub(crate) form: Form,
    pub(crate) id: WireId<'static>,
    pub(crate) fault: crate::error::Fault,
    /// The copy of the call that it answers.
    pub(crate) arrival: Option<Arrival>,
}

/// A message for everybody.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Broadcast {
    pub(crate) message: Outgoing,
    /// The keys it is still to go out under. None before its turn, and in open mode.
    pub(crate) keys: Vec<KeyId>,
}

/// The order in which links are served, and what is broadcast.
pub(crate) struct Outbox {
    broadcasts: VecDeque<(Lane, Broadcast)>,
    round: VecDeque<LinkId>,
    /// Messages on links, but for hellos: of these at most one waits on a link, and it always has
    /// a place. Who is flooded must still be found by others.
    waiting: usize,
    /// Those of them on links that are stuck.
    stuck: usize,
    limit: usize,
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Self {
        let (broadcasts, round) = (VecDeque::new(), VecDeque::new());
        Self { broadcasts, round, waiting: 0, stuck: 0, limit }
    }

    /// Queues a message for a link. `false`: no room, or no such link. One that is stuck has an
    /// eighth of the room, and all that are have half of it, so that others have theirs. `bytes`: of
    /// an answer.
    pub(crate) fn push(
        &mut self,
        links: &mut Links,
        to: LinkId,
        message: Outgoing,
        bytes: usize,
    ) -> bool {
        let Some(link) = links.get_mut(to) else { return false };
        if link.merge_hello(&message) {
            return true;
        }
        let is_stuck = link.is_stuck();
        let has_share = || link.queue.len() >= self.limit / 8 || self.stuck >= self.limit / 2;
        let is_over = self.waiting >= self.limit || (is_stuck && has_share());
        if is_over && !message.is_hello() {
            return false;
        }
        self.waiting += message.counts();
        self.stuck += if is_stuck { message.counts() } else { 0 };
        link.answer_bytes = link.answer_bytes.saturating_add(bytes);
        // Hello brings the token without which the others may not leave; and where the budget of
        // a stranger is short, what was kept meanwhile must not use it up before the echo in it.
        let owes_echo = link.seal.to.is_some() && !link.proved;
        let goes_first = (link.seal.is_mute || owes_echo) && message.is_hello();
        if goes_first {
            link.queue.push_front(message);
        } else {
            link.queue.push_back(message);
        }
        if !link.in_round && link.is_ready() {
            link.in_round = true;
            self.round.push_back(to);
        }
        true
    }

    /// Queues a message for everybody on a lane.
    pub(crate) fn broadcast(&mut self, lane: Lane, message: Outgoing) {
        if self.broadcasts.len() < 4096 {
            self.broadcasts.push_back((lane, Broadcast { message, keys: Vec::new() }));
        }
    }

    /// Puts back what is to go out under another key, before all others.
    pub(crate) fn broadcast_next(&mut self, lane: Lane, message: Broadcast) {
        self.broadcasts.push_front((lane, message));
    }

    pub(crate) fn next_broadcast(&mut self) -> Option<(Lane, Broadcast)> {
        self.broadcasts.pop_front()
    }

    /// The link whose turn it is. It leaves the round; [`Self::again`] puts it back.
    pub(crate) fn next_link(&mut self, links: &mut Links) -> Option<LinkId> {
        while let Some(id) = self.round.pop_front() {
            let Some(link) = links.get_mut(id) else { continue };
            link.in_round = false;
            if link.is_ready() {
                return Some(id);
            }
        }
        None
    }

    /// Puts a link that still has messages at the end of the round.
    pub(crate) fn again(&mut self, links: &mut Links, id: LinkId) {
        if let Some(link) = links.get_mut(id)
            && !link.in_round
            && link.is_ready()
        {
            link.in_round = true;
            self.round.push_back(id);
        }
    }

    /// Takes the next message off a link's queue. [`Self::took`] or [`Self::put_back`] follows.
    pub(crate) fn pop(&mut self, link: &mut Link) -> Option<Outgoing> {
        let message = link.queue.pop_front()?;
        let count = if link.is_stuck() { message.counts() } else { 0 };
        self.stuck = self.stuck.saturating_sub(count);
        Some(message)
    }

    /// Takes the hello that waits on a link, wherever it stands. [`Self::took`] follows.
    pub(crate) fn pop_hello(&mut self, link: &mut Link) -> Option<Outgoing> {
        let place = link.queue.iter().position(Outgoing::is_hello)?;
        let hello = link.queue.remove(place)?;
        Some(hello)
    }

    /// Puts a message back to the front of a link's queue.
    pub(crate) fn put_back(&mut self, link: &mut Link, message: Outgoing) {
        self.stuck += if link.is_stuck() { message.counts() } else { 0 };
        link.queue.push_front(message);
    }

    /// Notes that a message waits no more.
    pub(crate) fn took(&mut self, message: &Outgoing) {
        self.waiting = self.waiting.saturating_sub(message.counts());
    }

    /// Changes whether a link is stuck, or what waits on it.
    pub(crate) fn change(&mut self, link: &mut Link, change: impl FnOnce(&mut Link)) {
        let count = |link: &Link| link.queue.iter().map(Outgoing::counts).sum();
        let stuck = |link: &Link| if link.is_stuck() { count(link) } else { 0 };
        self.stuck = self.stuck.saturating_sub(stuck(link));
        change(link);
        self.stuck += stuck(link);
    }

    /// Takes a link out of the round until its far end has shown more. Returns the newest of what
    /// waits on it, as far as there is no room for more on links that are stuck. Calls stay: this
    /// node made them, and bounds them by themselves.
    pub(crate) fn park(&mut self, link: &mut Link) -> Vec<Outgoing> {
        self.change(link, |link| link.parked = true);
        let surplus = self.stuck.saturating_sub(self.limit / 2);
        let goes =
            |message: &Outgoing| !message.is_hello() && !matches!(message, Outgoing::Call(_));
        let places = (0..link.queue.len()).rev();
        let places = places.filter(|place| link.queue.get(*place).is_some_and(goes));
        let places: Vec<_> = places.take(surplus).collect();
        let mut gone = Vec::with_capacity(places.len());
        self.change(link, |link| {
            gone.extend(places.iter().filter_map(|place| link.queue.remove(*place)));
        });
        gone.iter().for_each(|message| self.took(message));
        gone
    }

    /// How many messages wait on links, but for hellos.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Whether [`Self::next_broadcast`] or [`Self::next_link`] may have something.
    pub(crate) fn is_ready(&self) -> bool {
        !self.broadcasts.is_empty() || !self.round.is_empty()
    }
}
