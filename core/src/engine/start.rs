//! The beginning: a node is made from its configuration, given lanes and peers, and says hello.

use std::collections::VecDeque;
use std::sync::Arc;

use super::keys::Keyring;
use super::large::Large;
use super::{Announcing, Configured, Core, InFrame, LinkCommand, Phase};
use crate::buffers::Buffers;
use crate::byte_budget::ByteBudget;
use crate::calls::Calls;
use crate::config::{Config, ConfigError};
use crate::counters::Counters;
use crate::directory::Directory;
use crate::doubts::Doubts;
use crate::endpoint::{Endpoint, Lane};
use crate::event::Events;
use crate::homes::Homes;
use crate::id::SessionId;
use crate::inbound::{Bounds, Inbound};
use crate::keyed::{HashKey, KeyedMap};
use crate::measures::Measures;
use crate::message::Features;
use crate::note::Notes;
use crate::peers::Peers;
use crate::ports::{Capabilities, Entropy};
use crate::random::Random;
use crate::slots::Slots;
use crate::tasks::{Room, Tasks};
use crate::time::Time;
use crate::timers::Timers;
use crate::wire::hosts::{Bucket, Hosts};
use crate::wire::links::Links;
use crate::wire::outbox::Outbox;
use crate::wire::pipeline::Pipeline;

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
        let (hash, session) = (HashKey::new(random.bytes()), SessionId(random.bytes()));
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
            links: Links::new(config.max_assembly_in_all()),
            hosts: Hosts::new(&config, hash, now),
            strangers: [Bucket::full(now, config.unproved_rate_total); 2],
            newcomers: VecDeque::new(),
            replies: Bucket::full(now, config.hello_replies),
            outbox: Outbox::new(config.max_outbox),
            peers: Peers::new(config.max_peers, config.max_tentative, hash),
            directory: Directory::new(config.max_functions, hash),
            calls: Calls::new(config.max_calls, config.max_results, hash, budget.account()),
            tasks: Tasks::new(Room::of(&config), config.max_outbox, hash, budget.account()),
            inbound: Inbound::new(Bounds::of(&config), hash),
            doubts: Doubts::new(config.max_doubts),
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
            in_frame: InFrame::default(),
            frame_watermark: None,
            scratch: Vec::new(),
            buffers: Buffers::default(),
            large: Large::default(),
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
}
