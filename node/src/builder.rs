//! Putting a node together.

use std::sync::Arc;
use std::time::Duration;

use lanc_core::config::ConfigError;
use lanc_core::endpoint::Endpoint;
use lanc_core::ports::{
    Codec, Compressor, Entropy, GroupKey, Normalizer, Transport, TransportError,
};
use lanc_core::{Config, Core, Pipeline};
use thiserror::Error;

use crate::broken::Watched;
use crate::clock::{Clock, SystemEntropy};
use crate::driver::Driver;
use crate::hub::Hub;
use crate::node::{Node, Owner};
use crate::outlets::Outlets;

/// A node could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The builder was given no codec.
    #[error("the node has no codec; add one with NodeBuilder::codec")]
    NoCodec,
    /// The builder was given no transport.
    #[error("the node has no transport; add one with NodeBuilder::transport")]
    NoTransport,
    /// More transports than a node can number.
    #[error("a node has at most 256 transports")]
    TooManyTransports,
    /// More configured peers than a node remembers.
    #[error("a node has at most 1024 configured peers")]
    TooManyPeers,
    /// More keys than a node holds.
    #[error("a node holds at most {MOST_KEYS} keys: leave out those that nobody uses any more")]
    TooManyKeys,
    /// A setting is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A transport could not be opened.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// There is no tokio runtime to run on.
    #[error("no tokio runtime is running here; use #[tokio::main] or lanc::blocking::Node")]
    NoRuntime,
}

/// See [`NodeBuilder::busy_poll`].
const LONGEST_BUSY_POLL: Duration = Duration::from_millis(10);

/// Keys a node holds, at most.
const MOST_KEYS: usize = 16;

/// Collects the parts of a node. What is missing is named by [`Self::open`].
#[derive(Default)]
pub struct NodeBuilder {
    name: Option<String>,
    config: Option<Config>,
    codecs: Vec<Arc<dyn Codec>>,
    compressor: Option<(Arc<dyn Compressor>, usize)>,
    normalizer: Option<Arc<dyn Normalizer>>,
    transports: Vec<Box<dyn Transport>>,
    peers: Vec<Endpoint>,
    keys: Vec<Arc<dyn GroupKey>>,
    entropy: Option<Box<dyn Entropy>>,
    busy_poll: Duration,
}

impl NodeBuilder {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The node's name, for people and for `on(...)`. Default: the configuration's, or host name
    /// and four hex digits.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Every limit and interval. Default: [`Config::default`], with as many workers as the
    /// machine has cores.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = Some(config);
        self
    }

    /// Adds a data format. The first is the one this node writes by default.
    #[must_use]
    pub fn codec(mut self, codec: impl Codec + 'static) -> Self {
        self.codecs.push(Arc::new(codec));
        self
    }

    /// Reads what peers have compressed. Compresses frames and large messages of at least
    /// `threshold` bytes, to peers that read it, if that saves a tenth; [`usize::MAX`]: none. The
    /// last one counts.
    #[must_use]
    pub fn compressor(mut self, compressor: impl Compressor + 'static, threshold: usize) -> Self {
        self.compressor = Some((Arc::new(compressor), threshold));
        self
    }

    /// Reads frames that older programs write in a way of their own.
    #[must_use]
    pub fn normalizer(mut self, normalizer: impl Normalizer + 'static) -> Self {
        self.normalizer = Some(Arc::new(normalizer));
        self
    }

    /// Adds a transport. A node may have several; each is a lane of its own.
    #[must_use]
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.transports.push(Box::new(transport));
        self
    }

    /// Adds a peer that is greeted by unicast, on whatever network segment it is.
    #[must_use]
    pub fn peer(mut self, endpoint: Endpoint) -> Self {
        self.peers.push(endpoint);
        self
    }

    /// Gives the node a key; with one it is keyed: it seals all that it says, hears nothing that is
    /// not sealed, and never falls back. The first key is the one it seals under, the others, 15
    /// at most, are opened only. Without any, the node is open to everybody.
    #[must_use]
    pub fn key(mut self, key: Arc<dyn GroupKey>) -> Self {
        self.keys.push(key);
        self
    }

    /// Replaces the operating system's randomness, for repeatable tests.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy + 'static) -> Self {
        self.entropy = Some(Box::new(entropy));
        self
    }

    /// Looks for more to do for so long before it lets its thread sleep; at most 10 ms count. A call
    /// that goes alone is then answered some times sooner, at the price of a core that is busy
    /// that long after each message. Default: [`Duration::ZERO`], which means for 50 us after a
    /// batch of many calls, as long as that pays.
    #[must_use]
    pub fn busy_poll(mut self, time: Duration) -> Self {
        self.busy_poll = time.min(LONGEST_BUSY_POLL);
        self
    }

    /// Opens the node on the current tokio runtime and says the first hello.
    ///
    /// Not cancel safe: a future dropped half-way may leave a port bound for a moment.
    ///
    /// # Errors
    /// [`OpenError`] names what is missing, out of range or taken.
    pub async fn open(self) -> Result<Node, OpenError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| OpenError::NoRuntime)?;
        let mut codecs = self.codecs.into_iter();
        let mut pipeline = Pipeline::new(codecs.next().ok_or(OpenError::NoCodec)?);
        for codec in codecs {
            pipeline = pipeline.with_codec(codec);
        }
        if let Some((compressor, threshold)) = self.compressor {
            pipeline = pipeline.with_compressor(compressor, threshold);
        }
        if let Some(normalizer) = self.normalizer {
            pipeline = pipeline.with_normalizer(normalizer);
        }
        if self.keys.len() > MOST_KEYS {
            return Err(OpenError::TooManyKeys);
        }
        for key in self.keys {
            pipeline = pipeline.with_key(key);
        }
        if self.transports.is_empty() {
            return Err(OpenError::NoTransport);
        }
        let mut config = self.config.unwrap_or_else(default_config);
        if let Some(name) = self.name {
            config = config.with_name(name);
        } else if config.name() == Config::default().name() {
            config = config.with_name(default_name());
        }
        let clock = Clock::start();
        let entropy = self.entropy.unwrap_or_else(|| Box::new(SystemEntropy));
        let mut core = Core::new(config, pipeline, entropy, clock.now())?;
        // What begins before the driver runs for the first time is traced too.
        core.note_calls(crate::trace::is_wanted());
        let (mut lanes, mut inlets, mut endpoints) = (Vec::new(), Vec::new(), Vec::new());
        let mut statistics = Vec::new();
        for transport in &self.transports {
            let capabilities = transport.capabilities();
            let lane = core.add_lane(capabilities).ok_or(OpenError::TooManyTransports)?;
            let opened = transport.open(lane).await?;
            core.lane_opened(lane, &opened.local);
            statistics.push(transport.statistics());
            lanes.push((transport.scheme().to_owned(), opened.outlet));
            inlets.push(opened.inlet);
            endpoints.push(opened.local);
        }
        let now = clock.now();
        core.start(now);
        for peer in self.peers {
            if !core.add_peer(now, peer) {
                return Err(OpenError::TooManyPeers);
            }
        }
        let hub = Arc::new(Hub::new(core, Outlets::new(lanes), clock));
        let owner = Arc::new(Owner::new(Arc::clone(&hub), endpoints, statistics));
        let driver = Driver::new(Arc::clone(&hub), Arc::downgrade(&owner), inlets, self.busy_poll);
        runtime.spawn(Watched::new(driver.run(), hub));
        Ok(Node::of(owner))
    }
}

fn default_config() -> Config {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Config::default().with_workers(cores)
}

/// The host's name and four random hex digits: several nodes of one host stay distinct.
fn default_name() -> String {
    let host = ["HOSTNAME", "COMPUTERNAME"].into_iter().find_map(|key| std::env::var(key).ok());
    let host = host.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    let host = host.unwrap_or_else(|| "node".to_owned());
    let host: String =
        host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    let mut tail = [0; 2];
    SystemEntropy.fill(&mut tail);
    let host = if host.is_empty() { "node" } else { &host };
    format!("{host}-{:04x}", u16::from_be_bytes(tail))
}
