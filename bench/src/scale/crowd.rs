//! Peers that are made of messages only: they say hello, prove their address and offer functions.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lanc::JsonCodec;
use lanc::counters::Counters;
use lanc_bench::pair::{End, Pair};
use lanc_core::dialect::frame::FrameReader;
use lanc_core::dialect::native;
use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::id::{SessionId, Version};
use lanc_core::message::{Features, Func, Hello, Message};
use lanc_core::ports::{Budget, Cast, Initiator, LinkEvent, Origin, Received};
use lanc_core::{Core, Time};

/// So many come at once,
const GROUP: usize = 64;
/// and the next after this: an engine looks at 4096 hosts within 15 s one by one.
const PAUSE: Duration = Duration::from_secs(1);
/// What every peer says of its next hello: long enough that none is forgotten meanwhile.
const INTERVAL: Duration = Duration::from_secs(300);
const BUDGET: Budget = Budget { depth: 64, nodes: 65_536 };
/// What nodes of this version can do; see `Features`.
const FEATURES: Features = Features::ACK
    .with(Features::MSGPACK)
    .with(Features::CANCEL)
    .with(Features::LEAN)
    .with(Features::COPIES);

/// Names the client of a pair, and its server.
pub(super) const BOTH: [usize; 2] = [0, 1];

/// Peers on the network of a pair.
pub(super) struct Crowd {
    peers: Vec<Peer>,
    /// Revision of what they offer.
    revision: u64,
    functions: usize,
}

struct Peer {
    number: u32,
    /// Its hello to everybody.
    hello: Vec<u8>,
}

impl Peer {
    fn name(&self) -> String {
        format!("device-{:05}", self.number)
    }

    fn session(&self) -> SessionId {
        // Their halves differ too: calls are known by one.
        let mixed = u64::from(self.number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        SessionId((u128::from(mixed) << 64 | u128::from(self.number)).to_be_bytes())
    }

    fn link(&self) -> LinkId {
        LinkId { lane: Lane(0), slot: self.number + 1, generation: 0 }
    }

    fn address(&self) -> SocketAddr {
        let [_, b, c, d] = (self.number + 0x01_0000).to_be_bytes();
        SocketAddr::from((Ipv4Addr::new(10, b, c, d), 40_000))
    }

    fn says(&self, revision: u64, token: Option<u64>, echo: Option<u64>) -> Vec<u8> {
        let name = self.name();
        let hello = Hello {
            version: Version::NATIVE,
            session: self.session(),
            name: Cow::Borrowed(&name),
            interval: INTERVAL,
            revision,
            features: FEATURES,
            token,
            echo,
            receiver: None,
            wants: false,
            connection_port: None,
            load: 0,
        };
        let mut bytes = Vec::new();
        native::write(&Message::Hello(hello), &JsonCodec, &mut bytes);
        bytes
    }

    fn offers(&self, revision: u64, functions: usize) -> Vec<u8> {
        let name = |place: usize| Cow::Owned(format!("function-{:05}-{place:02}", self.number));
        let func = Func {
            session: Some(self.session()),
            revision,
            part: 0,
            parts: 1,
            names: (0..functions).map(name).collect(),
            idempotent: Vec::new(),
        };
        let mut bytes = Vec::new();
        native::write(&Message::Func(func), &JsonCodec, &mut bytes);
        bytes
    }
}

impl Crowd {
    /// So many peers whom nobody knows yet.
    pub(super) fn new(peers: u32) -> Self {
        let peer = |number| Peer { number, hello: Vec::new() };
        Self { peers: (0..peers).map(peer).collect(), revision: 0, functions: 0 }
    }

    /// An end of a pair gets to know all of them.
    pub(super) fn meet(&self, pair: &mut Pair, end: usize) {
        for group in self.peers.chunks(GROUP) {
            let now = pair.now();
            for peer in group {
                let core = core_of(pair, end);
                let remote = Endpoint::socket("udp", peer.address());
                let up = LinkEvent::Up { link: peer.link(), remote, initiator: Initiator::Them };
                core.handle_link(now, up);
                hear(core, now, peer, Cast::Unicast, peer.says(0, Some(1), None));
            }
            pair.step(Duration::from_millis(1));
            let now = pair.now();
            let strays = end_of(pair, end).take_strays();
            let core = core_of(pair, end);
            for (link, frame) in strays {
                let peer = &self.peers[usize::try_from(link.slot - 1).expect("a small number")];
                if let Some(token) = token_in(&frame) {
                    hear(core, now, peer, Cast::Unicast, peer.says(0, None, Some(token)));
                }
            }
            // From here on broadcasts are known to do.
            for peer in group {
                let core = core_of(pair, end);
                hear(core, now, peer, Cast::Broadcast, peer.says(0, None, None));
            }
            pair.step(PAUSE);
        }
        pair.ends().into_iter().for_each(|end| drop(end.take_strays()));
    }

    /// All of them tell an end of a pair of so many functions in all.
    pub(super) fn offer(&mut self, pair: &mut Pair, end: usize, functions: usize) {
        self.revision = 1;
        self.functions = functions;
        let each = functions / self.peers.len();
        for group in self.peers.chunks(GROUP) {
            let now = pair.now();
            for peer in group {
                let core = core_of(pair, end);
                hear(core, now, peer, Cast::Broadcast, peer.offers(self.revision, each));
            }
            pair.step(Duration::from_millis(1));
        }
        pair.ends().into_iter().for_each(|end| drop(end.take_strays()));
    }

    /// Writes what they say from now on.
    pub(super) fn write_hellos(&mut self) {
        for peer in &mut self.peers {
            peer.hello = peer.says(self.revision, None, None);
        }
    }

    /// All of them say hello to the client of a pair, one after the other.
    pub(super) fn say_hello(&mut self, pair: &mut Pair) {
        for peer in &mut self.peers {
            let now = pair.now();
            let link = peer.link();
            let [client, _] = pair.ends();
            let (cast, origin) = (Cast::Broadcast, Origin::Network);
            let frame = Received { link, cast, origin, bytes: &mut peer.hello };
            client.core().handle_frame(now, frame);
        }
        pair.step(Duration::from_millis(1));
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether an end knows them all, and all they offer.
    pub(super) fn is_known(&self, core: &Core) -> bool {
        let tables = core.tables();
        // The other end and its function, too.
        tables.peers == self.peers.len() + 1 && tables.functions == self.functions + 1
    }
}

fn hear(core: &mut Core, now: Time, from: &Peer, cast: Cast, mut bytes: Vec<u8>) {
    let dropped = Counters::dropped_total;
    let before = dropped(core.counters());
    let (link, origin) = (from.link(), Origin::Network);
    core.handle_frame(now, Received { link, cast, origin, bytes: &mut bytes });
    assert_eq!(dropped(core.counters()), before, "dropped: {:?}", core.counters());
}

/// The token in a hello, if there is one.
fn token_in(frame: &[u8]) -> Option<u64> {
    let mut reader = FrameReader::new(&JsonCodec, frame, BUDGET).ok()?;
    while !reader.is_empty() {
        if let Ok(Message::Hello(hello)) = reader.read().ok()? {
            return hello.token;
        }
    }
    None
}

fn end_of(pair: &mut Pair, end: usize) -> &mut End {
    let [client, server] = pair.ends();
    if end == 0 { client } else { server }
}

fn core_of(pair: &mut Pair, end: usize) -> &mut Core {
    end_of(pair, end).core()
}
