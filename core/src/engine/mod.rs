//! The engine: one machine that owns every table and is the only one to join them.
//!
//! | file | what flows through it |
//! |---|---|
//! | `link` | a link, from up to down; frames it refused |
//! | `lane` | which lane a message takes; connections beside datagrams |
//! | `keepalive` | connections that are kept, found dead, or idle |
//! | `admission` | whether a received frame is looked at |
//! | `receive` | a frame, to the handler of each message |
//! | `greet` | hello: who is there, and how far each is believed |
//! | `announce` | func: what this node offers, and what others do |
//! | `leave` | farewells, leases, evictions |
//! | `one_shot` | an answer by a connection of its own |
//! | `call` | a request of this node, to its provider |
//! | `seek` | calls that wait for a provider |
//! | `dispatch` | a call whose provider is known, to the outbox or to this node's own queue |
//! | `nested` | what the calls of a function owe to the call that it serves |
//! | `outcome` | how a call ends, and what is kept of it |
//! | `ping` | pings and pongs |
//! | `suspect` | whether the program is gone whose connection broke |
//! | `attempts` | another provider for a call, after the first or beside it |
//! | `late` | when an answer is late, and whom that, or discovery, lets be asked beside |
//! | `everybody` | calls to all providers |
//! | `register` | this node's own functions |
//! | `recovery` | calls that are sent again and asked about |
//! | `receipt` | receipts that came for calls, receipts owed for answers |
//! | `watermark` | below which number nobody waits any more |
//! | `inbound` | calls that come, for the first time or again; receipts for them |
//! | `kept_answer` | answers that are kept and sent again until their receipt comes |
//! | `caller` | who has called, and how long it is remembered |
//! | `serve` | a call from elsewhere, to a task |
//! | `task` | a task, from the queue to its function; those that nobody waits for any more |
//! | `answer` | what a function returned, to the link it leaves by |
//! | `form` | which form a message goes out in |
//! | `send` | what waits in the outbox, to one frame |
//! | `write` | each message, written |
//! | `unsent` | messages that are too large, or whose link went down |
//! | `stream` | large messages and byte streams of a link |
//! | `stream_end` | what the application does with a byte stream |
//! | `pipe` | byte streams between this node and itself |
//! | `seal`, `keys`, `foreign` | keyed mode: a sealed frame, both ways; this node's keys; who has another |
//! | `newcomer` | connections that others began: how many, and which are closed |
//! | `budget` | what strangers may be sent, and the challenge that sets it free |
//! | `older`, `homes`, `older_send` | what older programs say; when, and how, they are spoken to |
//! | `siblings` | what one node of a host has heard for the others |
//! | `start` | the beginning: from a configuration to the first hello |
//! | `shutdown` | the end: what runs may finish, then the farewell |
//! | `measure` | what calls and functions cost |
//! | `note` | the steps of calls, where somebody traces them |
//! | `wake` | a timer that fired |
//! | `poll` | what the driver is told: links, waiters to wake, news, the next timer |
//! | `view` | the tables, for people; and whom a person means |

mod admission;
mod announce;
mod answer;
mod assembly;
mod attempts;
mod budget;
mod call;
mod caller;
mod dispatch;
mod everybody;
mod foreign;
mod form;
mod func_parts;
mod greet;
mod homes;
mod inbound;
mod keepalive;
mod kept_answer;
mod keys;
mod lane;
mod large;
mod late;
mod leave;
mod link;
mod measure;
mod nested;
mod newcomer;
mod note;
mod older;
mod older_send;
mod one_shot;
mod outcome;
mod ping;
mod pipe;
mod place;
mod poll;
mod promised;
mod receipt;
mod receive;
mod recovery;
mod register;
mod seal;
mod seek;
mod send;
mod serve;
mod shutdown;
mod siblings;
mod start;
mod stream;
mod stream_end;
mod suspect;
mod task;
mod unsent;
mod view;
mod wake;
mod watermark;
mod write;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::buffers::Buffers;
use crate::byte_budget::{Account, ByteBudget};
use crate::calls::Calls;
use crate::config::Config;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::doubts::Doubts;
use crate::endpoint::{Endpoint, LinkId};
use crate::event::{Event, Events};
use crate::homes::Homes;
use crate::id::{CallKey, FunctionName, PingKey, SessionId, tag};
use crate::inbound::Inbound;
use crate::keyed::{HashKey, KeyedMap};
use crate::measures::{Measured, Measures};
use crate::message::{Features, Watermark};
use crate::note::Notes;
use crate::peers::Peers;
use crate::random::Random;
use crate::slots::Slots;
use crate::tasks::Tasks;
use crate::time::Time;
use crate::timers::{TimerKey, Timers};
use crate::wire::hosts::{Bucket, Hosts};
use crate::wire::links::Links;
use crate::wire::outbox::{Outbox, Outgoing};
use crate::wire::pipeline::Pipeline;

use keys::Keyring;
use large::Large;

pub use foreign::ForeignGroup;
pub use keys::KeyInfo;
pub use pipe::PipeKey;
pub use poll::{Done, LinkCommand};
pub use register::RegisterError;
pub use stream_end::{StreamGone, StreamKey};
pub use task::{Task, TaskStep};
pub use view::{FunctionInfo, InFlight, PeerInfo, Sealing, Tables};

/// An endpoint from the configuration, greeted by unicast for ever.
struct Configured {
    endpoint: Endpoint,
    link: Option<LinkId>,
}

struct Ping {
    number: u64,
    sent: Time,
    link: LinkId,
    timer: Option<TimerKey>,
}

/// How far the node is from its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Phase {
    /// Made; no hello yet.
    Fresh,
    /// Open.
    Running,
    /// Nothing new begins; what runs may finish.
    Draining,
    /// Farewell is said.
    Closed,
    /// The same, and what was sent need not leave.
    CutOff,
}

/// The calls in the frame that was polled last. If it is refused they end; the next poll says that it
/// was not.
#[derive(Default)]
struct InFrame {
    to: Option<LinkId>,
    calls: Vec<CallKey>,
    /// Those of them that want no answer, and are over once they have left.
    one_way: Vec<CallKey>,
}

/// What was told of this node, and when it is told next.
#[derive(Default)]
struct Announcing {
    /// When the first hello went out, or the first to a peer that was added since: calls wait
    /// for the answers to it.
    first_hello: Option<Time>,
    /// When a verified peer was last heard of that has restarted: its list of functions comes after
    /// that.
    peer_restarted: Option<Time>,
    hello_timer: Option<TimerKey>,
    /// How often hello was said for the calls that wait for a provider now; none if none waits.
    sought: Option<u32>,
    announce_timer: Option<TimerKey>,
    last_announce: Option<Time>,
    /// The revision of the local list that hellos speak of: the one announced last, so that
    /// nobody asks for a list that is about to be broadcast.
    announced: u64,
    /// The local names, cut into messages, and the revision they are of.
    func_parts: (u64, Vec<Vec<(String, bool)>>),
}

/// The protocol engine of one node.
///
/// It does nothing by itself. The driver hands it inputs, each with the time it happened, then
/// drains every output; the outputs may be polled in any order and at any moment:
///
/// ```text
///   handle_frame  handle_link  handle_refused        poll_frame    a frame to send
///   handle_timeout                            ───►   poll_link     a link to begin or end
///   call  cancel  complete  register  ...            poll_task     a function to run or to stop
///                                                    poll_done     a waiter to wake
///                                                    poll_event    news for the application
///                                                    poll_timeout  when to call handle_timeout
/// ```
///
/// Network input never returns an error: bad peers become counters and events. Equal
/// configuration, entropy and inputs give equal outputs.
pub struct Core {
    config: Config,
    /// The configured name, shared by what tells of this node.
    name: Arc<str>,
    pipeline: Arc<Pipeline>,
    random: Random,
    session: SessionId,
    features: Features,
    token_key: HashKey,
    phase: Phase,
    counters: Counters,
    measures: Measures,
    notes: Notes,
    events: Events,
    told: Vec<(&'static str, Time)>,
    timers: Timers,
    homes: Homes,
    homes_timer: Option<(Time, TimerKey)>,
    links: Links,
    hosts: Hosts,
    /// Rates of all strangers together, by datagrams and by connections.
    strangers: [Bucket; 2],
    newcomers: newcomer::Newcomers,
    replies: Bucket,
    outbox: Outbox,
    peers: Peers,
    directory: Directory,
    calls: Calls,
    tasks: Tasks,
    inbound: Inbound,
    doubts: Doubts,
    pings: Slots<Ping, tag::Ping>,
    pings_by_number: KeyedMap<u64, PingKey>,
    done: VecDeque<Done>,
    /// A message found no room in the outbox; to be told with the next frame or timer.
    outbox_full: bool,
    /// An outcome was forgotten for want of room; to be told with the next one.
    results_forgotten: bool,
    configured: Vec<Configured>,
    one_shots: Vec<one_shot::OneShot>,
    /// What everything of this node holds together. Whatever keeps bytes for long has an account.
    budget: ByteBudget,
    pipes: Slots<pipe::Pipe>,
    /// Bytes of `pipes` and `leftovers`.
    pipe_bytes: Account,
    /// Streams of functions that have ended without reading all: what still comes is dropped.
    unread: KeyedMap<(LinkId, u32), ()>,
    /// Streams of links that are gone: what had arrived to its end and is not read.
    leftovers: KeyedMap<(LinkId, u32), VecDeque<u8>>,
    /// Answers that are being sent as streams.
    answers_leaving: usize,
    link_commands: VecDeque<LinkCommand>,
    sweep_timer: Option<TimerKey>,
    sweep_due: Time,
    /// Since when this node has run without standing still, as its sweeps tell.
    awake_since: Time,
    announcing: Announcing,
    in_frame: InFrame,
    /// The watermark for the far end of the link whose frame is being packed.
    frame_watermark: Option<Watermark>,
    scratch: Vec<u8>,
    buffers: Buffers,
    large: Large,
    sealing: Keyring,
}

impl Core {
    /// Whether [`Self::shutdown`] has come to its end and nothing waits to be sent.
    pub fn is_closed(&self) -> bool {
        self.phase >= Phase::Closed && !self.outbox.is_ready()
    }

    /// Whether [`Self::close_now`] ended it: what has left the core need not leave the node then.
    pub fn is_cut_off(&self) -> bool {
        self.phase == Phase::CutOff
    }

    /// When whoever is there has had the time to answer the first hello.
    pub fn settled_at(&self) -> Time {
        self.announcing.first_hello.map_or(Time::ZERO, |first| first + self.config.discovery_wait)
    }

    /// The life of this node.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its formats.
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// What happened so far, in numbers.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How long the functions took that ran here or were called from here, in the order of their
    /// first call.
    pub fn measures(&self) -> &[Measured] {
        self.measures.rows()
    }

    /// A buffer to encode arguments or a result into, empty; for something large if there is
    /// one. Whoever decodes gives the buffer back.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        self.buffers.take_largest()
    }

    /// Takes back the buffer of arguments or a result that nobody needs any more. At most 512
    /// and 16 MiB of them are kept, and none of 2 MiB or more; the rest is freed.
    pub fn give_buffer(&mut self, buffer: Vec<u8>) {
        self.buffers.give(buffer);
    }

    /// The name as it is known here already; its clones share one text.
    pub fn known_name(&self, name: &str) -> Option<FunctionName> {
        let function = self.directory.get(self.directory.find(name)?)?;
        Some(function.name.clone())
    }

    fn event(&mut self, event: Event) {
        if !self.events.push(event) {
            self.counters.events_lost += 1;
        }
    }

    /// Counts that a limit was hit, and tells it.
    fn limit_hit(&mut self, now: Time, limit: &'static str) {
        self.counters.limit(limit);
        if self.may_tell(now, limit) {
            self.event(Event::LimitHit { limit });
        }
    }

    /// Tells what was noticed where there was no time to tell it at.
    fn tell_outbox(&mut self, now: Time) {
        if std::mem::take(&mut self.outbox_full) {
            self.limit_hit(now, "max_outbox");
        }
    }

    /// Whether something that a flood can cause may be told again: once a second each.
    fn may_tell(&mut self, now: Time, what: &'static str) -> bool {
        let told = self.told.iter_mut().find(|(name, _)| *name == what);
        match told {
            Some((_, at)) if now.since(*at) < Duration::from_secs(1) => return false,
            Some((_, at)) => *at = now,
            None => self.told.push((what, now)),
        }
        true
    }

    /// Sets back a timer kept in an optional place.
    fn cancel_timer(&mut self, place: Option<TimerKey>) {
        if let Some(key) = place {
            self.timers.cancel(key);
        }
    }

    /// Sets a call's other timer in the place of the one it had.
    fn set_other_timer(&mut self, key: CallKey, timer: Option<TimerKey>) {
        let call = self.calls.get_mut(key);
        let old = call.and_then(|call| std::mem::replace(&mut call.other_timer, timer));
        self.cancel_timer(old);
    }

    fn send(&mut self, to: LinkId, message: Outgoing) -> bool {
        let bytes = self.answer_bytes(&message);
        let sent = self.outbox.push(&mut self.links, to, message, bytes);
        if !sent {
            self.counters.messages_unsent += 1;
            self.outbox_full |= self.links.get(to).is_some();
        }
        sent
    }
}
