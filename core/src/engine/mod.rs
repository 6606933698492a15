//! The engine: one machine that owns every table and is the only one to join them.
//!
//! | file | what flows through it |
//! |---|---|
//! | `link` | a link, from up to down; frames it refused |
//! | `lane` | which lane a message takes; connections beside datagrams |
//! | `keepalive` | connections that are kept, found dead, or idle |
//! | `receive` | a frame, to the handler of each message |
//! | `greet` | hello: who is there, and how far each is believed |
//! | `announce` | func: what this node offers, and what others do |
//! | `leave` | farewells, leases, evictions |
//! | `one_shot` | an answer by a connection of its own |
//! | `call` | a request of this node, to its provider |
//! | `nested` | what the calls of a function owe to the call that it serves |
//! | `outcome` | how a call ends, and what is kept of it |
//! | `ping` | pings and pongs |
//! | `attempts` | another provider for a call, after the first or beside it |
//! | `everybody` | calls to all providers |
//! | `register` | this node's own functions |
//! | `recovery` | calls that are sent again and asked about |
//! | `receipt` | receipts that came for calls, receipts owed for answers |
//! | `watermark` | below which number nobody waits any more |
//! | `inbound` | calls that come, for the first time or again; receipts for them |
//! | `kept_answer` | answers that are kept and sent again until their receipt comes |
//! | `caller` | who has called, and how long it is remembered |
//! | `serve` | a call from elsewhere, to a task |
//! | `answer` | what a function returned, to the link it leaves by |
//! | `form` | which form a message goes out in |
//! | `send` | what waits in the outbox, to one frame |
//! | `write` | each message, written |
//! | `unsent` | messages that are too large, or whose link went down |
//! | `stream` | large messages and byte streams of a link |
//! | `stream_end` | what the application does with a byte stream |
//! | `pipe` | byte streams between this node and itself |
//! | `seal`, `keys`, `foreign` | keyed mode: a sealed frame, both ways; this node's keys; who has another |
//! | `budget` | what strangers may be sent, and the challenge that sets it free |
//! | `older`, `homes`, `older_send` | what older programs say; when, and how, they are spoken to |
//! | `siblings` | what one node of a host has heard for the others |
//! | `shutdown` | the end: what runs may finish, then the farewell |
//! | `measure` | what calls and functions cost |
//! | `note` | the steps of calls, where somebody traces them |
//! | `wake` | a timer that fired |
//! | `view` | the tables, for people; and whom a person means |

mod announce;
mod answer;
mod attempts;
mod budget;
mod call;
mod caller;
mod everybody;
mod foreign;
mod form;
mod greet;
mod homes;
mod inbound;
mod keepalive;
mod kept_answer;
mod keys;
mod lane;
mod leave;
mod link;
mod measure;
mod nested;
mod note;
mod older;
mod older_send;
mod one_shot;
mod outcome;
mod ping;
mod pipe;
mod place;
mod receipt;
mod receive;
mod recovery;
mod register;
mod seal;
mod send;
mod serve;
mod shutdown;
mod siblings;
mod stream;
mod stream_end;
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
use crate::config::{Config, ConfigError};
use crate::counters::Counters;
use crate::directory::Directory;
use crate::endpoint::{Endpoint, Lane, LinkId};
use crate::event::{Event, Events};
use crate::homes::Homes;
use crate::id::{CallKey, FunctionName, PingKey, SessionId, tag};
use crate::inbound::{Bounds, Inbound};
use crate::keyed::{HashKey, KeyedMap};
use crate::measures::{Measured, Measures};
use crate::message::{Features, Watermark};
use crate::note::Notes;
use crate::peers::Peers;
use crate::ports::{Capabilities, Close, Entropy};
use crate::random::Random;
use crate::slots::Slots;
use crate::tasks::{Room, Tasks};
use crate::time::Time;
use crate::timers::{TimerKey, Timers};
use crate::wire::hosts::{Bucket, Hosts};
use crate::wire::links::Links;
use crate::wire::outbox::{Outbox, Outgoing};
use crate::wire::pipeline::Pipeline;

use keys::Keyring;

pub use foreign::ForeignGroup;
pub use keys::KeyInfo;
pub use pipe::PipeKey;
pub use register::RegisterError;
pub use serve::{Task, TaskStep};
pub use stream_end::{StreamGone, StreamKey};
pub use view::{FunctionInfo, InFlight, PeerInfo, Sealing, Tables};

/// Something the driver must do with a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkCommand {
    /// Begin a link to this endpoint, on the lane whose scheme it has.
    Connect(Endpoint),
    /// End this link.
    Close(LinkId, Close),
}

/// Something a waiter was waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    /// The call has an outcome: [`Core::take`] it.
    Call(CallKey),
    /// The ping came back after this time, or not at all.
    Ping(PingKey, Option<Duration>),
    /// There is something to read on a stream, or room to write, or its end.
    Stream(StreamKey),
    /// The call is on its way, and its byte stream with it: [`Core::stream_of`]. Comes before
    /// its [`Self::Call`].
    Opened(CallKey),
}

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Made; no hello yet.
    Fresh,
    /// Open.
    Running,
    /// Nothing new begins; what runs may finish.
    Draining,
    /// Farewell is said.
    Closed,
}

/// What was told of this node, and when it is told next.
#[derive(Default)]
struct Announcing {
    /// When the first hello went out, or the first to a peer that was added since: calls wait
    /// for the answers to it.
    first_hello: Option<Time>,
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
    strangers: Bucket,
    replies: Bucket,
    outbox: Outbox,
    peers: Peers,
    directory: Directory,
    calls: Calls,
    tasks: Tasks,
    inbound: Inbound,
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
    /// Calls in the frame polled last: a refused frame ends them.
    in_frame: Vec<CallKey>,
    /// The watermark for the far end of the link whose frame is being packed.
    frame_watermark: Option<Watermark>,
    scratch: Vec<u8>,
    buffers: Buffers,
    sealing: Keyring,
}

/// Configured endpoints a node may have.
const MAX_CONFIGURED: usize = 1024;

impl Core {
    /// A node that has not said anything yet. Add its lanes, then [`Self::start`] it.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting that is out of its range.
    pub fn new(
        mut config: Config,
        pipeline: Pipeline,
        entropy: Box<dyn Entropy>,
        now: Time,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let mut random = Random::new(entropy);
        let hash = HashKey::new(random.bytes());
        let session = SessionId(random.bytes());
        let token_key = HashKey::new(random.bytes());
        let budget = ByteBudget::new(config.max_buffered);
        let sealing = Keyring::new(&mut config, pipeline.keys(), session, &mut random, hash);
        Ok(Self {
            features: pipeline.features().with(Features::EVERYWHERE),
            pipeline: Arc::new(pipeline),
            random,
            session,
            token_key,
            phase: Phase::Fresh,
            counters: Counters::default(),
            measures: Measures::new(hash),
            notes: Notes::default(),
            events: Events::new(config.max_events),
            told: Vec::new(),
            timers: Timers::new(),
            homes: Homes::new(hash),
            homes_timer: None,
            links: Links::new(),
            hosts: Hosts::new(&config, hash, now),
            strangers: Bucket::full(now, config.unproved_rate_total),
            replies: Bucket::full(now, config.hello_replies),
            outbox: Outbox::new(config.max_outbox),
            peers: Peers::new(config.max_peers, config.max_tentative, hash),
            directory: Directory::new(config.max_functions, hash),
            calls: Calls::new(config.max_calls, config.max_results, hash, budget.account()),
            tasks: Tasks::new(Room::of(&config), config.max_outbox, hash, budget.account()),
            inbound: Inbound::new(Bounds::of(&config), hash),
            pings: Slots::new(config.max_pings),
            pings_by_number: KeyedMap::new(hash),
            done: VecDeque::new(),
            outbox_full: false,
            results_forgotten: false,
            configured: Vec::new(),
            one_shots: Vec::new(),
            pipes: Slots::new(config.max_calls),
            pipe_bytes: budget.account(),
            budget,
            unread: KeyedMap::new(hash),
            leftovers: KeyedMap::new(hash),
            answers_leaving: 0,
            link_commands: VecDeque::new(),
            sweep_timer: None,
            sweep_due: now,
            awake_since: now,
            announcing: Announcing::default(),
            in_frame: Vec::new(),
            frame_watermark: None,
            scratch: Vec::new(),
            buffers: Buffers::default(),
            sealing,
            name: config.name.as_str().into(),
            config,
        })
    }

    /// Adds a lane; its links carry the number returned. `None` after 256 of them.
    pub fn add_lane(&mut self, capabilities: Capabilities) -> Option<Lane> {
        let capabilities = self.within_envelope(capabilities);
        self.links.add_lane(capabilities)
    }

    /// Says where a lane was opened. One that takes connections at a port is told to others in
    /// hello, so do it before [`Self::start`].
    pub fn lane_opened(&mut self, lane: Lane, local: &Endpoint) {
        self.links.opened(lane, local);
        if self.links.connection_lane().is_some() {
            self.features = self.features.with(Features::STREAM);
        }
    }

    /// Says the first hello, and with it the functions there are. Does nothing the second time.
    pub fn start(&mut self, now: Time) {
        if self.phase == Phase::Fresh {
            self.phase = Phase::Running;
            self.announcing.first_hello = Some(now);
            self.keep_token(now);
            self.say_hello(now);
            if self.directory.revision() > 0 {
                let pending = self.announcing.announce_timer.take();
                self.cancel_timer(pending);
                self.announcing.announced = self.directory.revision();
                self.broadcast_functions();
            }
        }
    }

    /// Adds an endpoint that is greeted by unicast at every hello, on whatever network it is.
    /// `false`: there are 1024 already.
    pub fn add_peer(&mut self, now: Time, endpoint: Endpoint) -> bool {
        if self.configured.iter().any(|known| known.endpoint == endpoint) {
            return true;
        }
        if self.configured.len() >= MAX_CONFIGURED {
            return false;
        }
        self.link_commands.push_back(LinkCommand::Connect(endpoint.clone()));
        self.configured.push(Configured { endpoint, link: None });
        // A call that follows at once should wait for the answer as a cold one does.
        if self.phase == Phase::Running {
            self.announcing.first_hello = Some(now);
        }
        true
    }

    /// Whether [`Self::shutdown`] has come to its end and nothing waits to be sent.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed && !self.outbox.is_ready()
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
    /// and 4 MiB of them are kept, and none of 2 MiB or more; the rest is freed.
    pub fn give_buffer(&mut self, buffer: Vec<u8>) {
        self.buffers.give(buffer);
    }

    /// The name as it is known here already; its clones share one text.
    pub fn known_name(&self, name: &str) -> Option<FunctionName> {
        let function = self.directory.get(self.directory.find(name)?)?;
        Some(function.name.clone())
    }

    /// When to call [`Self::handle_timeout`] next, and the reason, for the log. Changed by every
    /// input; never later than the earliest timer.
    pub fn poll_timeout(&self) -> Option<(Time, &'static str)> {
        if crate::mutant::planted!(TimerStandsStill) {
            return self.timers.next().map(|(_, why)| (Time::ZERO, why));
        }
        self.timers.next()
    }

    /// The next piece of news. Filled by inputs and timeouts.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// The next link to begin or to end. Filled by inputs and timeouts.
    pub fn poll_link(&mut self) -> Option<LinkCommand> {
        let command = self.link_commands.pop_front();
        if command.is_none() {
            self.link_commands.shrink_to(64);
        }
        command
    }

    /// The next waiter to wake. Filled by inputs, timeouts and [`Self::call`] itself.
    pub fn poll_done(&mut self) -> Option<Done> {
        // A stream that was opened is told before its call's outcome can be taken.
        let other = self.done.pop_front();
        other.or_else(|| self.next_done().map(Done::Call))
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

    fn send(&mut self, to: LinkId, message: Outgoing) -> bool {
        let bytes = self.answer_bytes(&message);
        let sent = self.outbox.push(&mut self.links, to, message);
        if !sent {
            self.counters.messages_unsent += 1;
            self.outbox_full |= self.links.get(to).is_some();
        } else if let Some(link) = self.links.get_mut(to) {
            link.answer_bytes = link.answer_bytes.saturating_add(bytes);
        }
        sent
    }
}
