//! A node, an honest friend of it, and what villains say to it.

use std::time::Duration;

use lanc_core::counters::Drop;
use lanc_core::error::ErrorCode;
use lanc_core::id::{FunctionName, SessionId};
use lanc_core::payload::Arguments;
use lanc_core::ports::{Cast, Format};
use lanc_core::{CallRequest, Config, Tables, Target, Trust};
use lanc_testkit::fuzz::{Duo, HOSTS};
use lanc_testkit::solo::{self, Solo, To};

/// One misbehaviour.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The node's settings, where they are not the defaults.
    pub(crate) config: Option<Config>,
    pub(crate) script: fn(&mut Scene),
    pub(crate) end: End,
}

/// What must come of it.
pub(crate) enum End {
    /// A drop is counted under this reason.
    Dropped(Drop),
    /// The villain is told this error.
    Told(ErrorCode),
    /// A limit of this name is reported.
    Limit(&'static str),
    /// Nothing is dropped and nobody is told of an error; the script says what else.
    Quiet,
    /// The connection is closed, and this counted.
    Closed(Drop),
}

pub(crate) fn row(name: &'static str, script: fn(&mut Scene), end: End) -> Row {
    Row { name, config: None, script, end }
}

/// The villain of most rows.
pub(crate) const VILLAIN: u8 = 2;

pub(crate) struct Scene {
    duo: Duo,
    before: Tables,
    drops: [u64; Drop::ALL.len()],
    /// All that villains were sent.
    pub(crate) heard: Vec<(To, String)>,
    /// Connections of the villain; the first is the one that rows speak of.
    pub(crate) connections: Vec<lanc_core::endpoint::LinkId>,
}

/// The session of host `number`, in hex.
pub(crate) fn session(number: u8) -> String {
    SessionId([number; 16]).to_string()
}

/// A message of version 0.2.
pub(crate) fn message(method: &str, rest: &str) -> String {
    format!("{{\"type\":\"LANC\",\"method\":\"{method}\",\"version\":\"0.2\"{rest}}}")
}

/// An id of host `number`.
pub(crate) fn id(host: u8, number: u64, random: u32) -> String {
    format!(",\"exe_id\":\"{}.{number}.{random:08x}\"", &session(host)[..16])
}

/// A call of `echo`, with an id and what else stands in it.
pub(crate) fn call(function: &str, id: &str, rest: &str) -> String {
    message("call", &format!(",\"data\":\"{function}\"{id},\"args\":[7]{rest}"))
}

impl Scene {
    pub(crate) fn open(config: Config) -> Self {
        let mut duo = Duo::new([config, Config::default()]);
        duo.pass_well(Duration::from_secs(3));
        let mut scene = Self {
            duo,
            before: Tables::default(),
            drops: [0; Drop::ALL.len()],
            heard: Vec::new(),
            connections: Vec::new(),
        };
        scene.friend_is_served();
        scene.pass(2000);
        scene.before = scene.node().core.tables();
        scene.drops = scene.node().core.counters().drops;
        scene.heard.clear();
        scene.node().limits_hit.clear();
        scene
    }

    /// The node.
    pub(crate) fn node(&mut self) -> &mut Solo {
        &mut self.duo.nodes[0]
    }

    pub(crate) fn friend(&mut self) -> &mut Solo {
        &mut self.duo.nodes[1]
    }

    /// The friend's session, in hex.
    pub(crate) fn friends_session(&mut self) -> String {
        self.friend().core.session().to_string()
    }

    /// The friend's address.
    pub(crate) fn friends_address(&self) -> std::net::SocketAddr {
        solo::address(HOSTS[1])
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.duo.pass_well(Duration::from_millis(millis));
        for frame in self.duo.strays.drain(..) {
            self.heard.push((frame.to, String::from_utf8_lossy(&frame.bytes).into_owned()));
        }
    }

    /// A villain sends a datagram to the node alone.
    pub(crate) fn say(&mut self, host: u8, text: &str) {
        self.send(host, text.as_bytes());
    }

    pub(crate) fn send(&mut self, host: u8, bytes: &[u8]) {
        self.node().datagram(solo::address(host), Cast::Unicast, bytes);
        self.pass(0);
    }

    pub(crate) fn broadcast(&mut self, host: u8, text: &str) {
        self.node().datagram(solo::address(host), Cast::Broadcast, text.as_bytes());
        self.pass(0);
    }

    /// A villain introduces itself, short-lived.
    pub(crate) fn greet(&mut self, host: u8, more: &str) {
        self.say(host, &hello(host, more));
    }

    /// A villain introduces itself and proves its address; it acknowledges, and reads JSON only.
    pub(crate) fn prove(&mut self, host: u8) {
        self.greet(host, ",\"feat\":9,\"tok\":\"00000000000000aa\"");
        self.pass(1000);
        let told = self
            .heard_by(host)
            .find_map(|text| Some(text.split("\"tok\":\"").nth(1)?.get(..16)?.to_owned()));
        let token = told.expect("the node asks for a proof");
        self.greet(host, &format!(",\"feat\":9,\"echo\":\"{token}\""));
        let (now, wanted) = (self.node().now, SessionId([host; 16]));
        let peers = self.node().core.peers(now);
        let peer = peers.iter().find(|peer| peer.session == wanted).unwrap();
        assert_eq!(peer.trust, Trust::Verified);
    }

    /// What a host was sent, as text.
    pub(crate) fn heard_by(&self, host: u8) -> impl Iterator<Item = &str> {
        let address = To::Address(solo::address(host));
        self.heard.iter().filter(move |(to, _)| *to == address).map(|(_, text)| text.as_str())
    }

    /// How often a word stands in what the villain was sent.
    pub(crate) fn count(&self, word: &str) -> usize {
        self.heard.iter().map(|(_, text)| text.matches(word).count()).sum()
    }

    pub(crate) fn dropped(&mut self, why: Drop) -> u64 {
        let place = Drop::ALL.iter().position(|kind| *kind == why).unwrap();
        self.node().core.counters().drops[place] - self.drops[place]
    }

    /// Begins a call of a friend, or of the node with `from` 0; returns its place.
    pub(crate) fn begin(&mut self, from: usize, function: &str, to: Target) -> usize {
        let args = Arguments::new(Format::MSGPACK, b"\x91\x07", &[]);
        let mut request = CallRequest::new(FunctionName::new(function).unwrap(), args);
        request.target = to;
        request.deadline = Some(Duration::from_secs(5));
        let place = self.duo.nodes[from].call(request).unwrap();
        self.pass(0);
        place
    }

    pub(crate) fn outcome(&self, from: usize, place: usize) -> Option<Result<(), ErrorCode>> {
        let outcome = self.duo.nodes[from].ledger.calls()[place].outcome.clone()?;
        Some(outcome.map(drop).map_err(|error| error.code))
    }

    /// The friend calls the node and gets its answer.
    pub(crate) fn friend_is_served(&mut self) {
        let place = self.begin(1, "echo", Target::Peer("one".to_owned()));
        self.pass(1000);
        assert_eq!(self.outcome(1, place), Some(Ok(())), "the friend is not served");
    }

    /// The node calls a function that the villain offers; returns the call's place and its id.
    pub(crate) fn node_calls_villain(&mut self) -> (usize, String) {
        self.prove(VILLAIN);
        let sid = session(VILLAIN);
        self.say(
            VILLAIN,
            &message("func", &format!(",\"data\":[\"evil\"],\"x\":{{\"sid\":\"{sid}\"}}")),
        );
        let place = self.begin(0, "evil", Target::Session(SessionId([VILLAIN; 16])));
        let id = self.node().ledger.calls()[place].id.unwrap();
        (place, format!(",\"exe_id\":\"{id}\""))
    }

    /// Checks the end of a row, and that nothing of it stays.
    pub(crate) fn ends(&mut self, end: &End) {
        self.pass(1000);
        match end {
            End::Dropped(why) => assert!(self.dropped(*why) > 0, "{:?}", self.all_drops()),
            End::Told(code) => {
                let told = format!("\"code\":{}", code.0);
                assert!(self.count(&told) > 0, "{told} is not in {:?}", self.heard);
            }
            End::Limit(name) => {
                let hit = self.node().limits_hit.clone();
                assert!(hit.contains(name), "{hit:?}");
            }
            End::Quiet => {
                assert_eq!(self.all_drops(), [], "something was dropped");
                assert_eq!(self.count("\"method\":\"error\""), 0, "{:?}", self.heard);
            }
            End::Closed(why) => {
                assert!(self.dropped(*why) > 0, "{:?}", self.all_drops());
                let link = self.connections[0];
                assert!(!self.node().is_up(link), "the connection is still there");
            }
        }
        self.friend_is_served();
        while self.node().finish_slow() {}
        self.pass(60_000);
        while self.node().finish_slow() {}
        self.friend_is_served();
        // Longer than any lease that a villain may claim.
        self.pass(1_200_000);
        self.friend_is_served();
        self.pass(2000);
        let (after, before) = (self.node().core.tables(), self.before);
        let sizes = |t: Tables| {
            let calls = [t.open_calls, t.queued, t.running, t.outbox, t.streams, t.stream_bytes];
            (t.links, t.peers, t.functions, t.callers, t.stored_bytes, calls)
        };
        assert_eq!(sizes(after), sizes(before), "{after:?}, before {before:?}");
        assert!(after.remembered <= before.remembered + 1, "{after:?}, before {before:?}");
        assert!(after.hosts <= before.hosts + 1, "{after:?}, before {before:?}");
        assert!(after.timers <= before.timers + 3, "{after:?}, before {before:?}");
    }

    fn all_drops(&mut self) -> Vec<(Drop, u64)> {
        let all = Drop::ALL.iter().map(|why| (*why, self.dropped(*why)));
        all.filter(|(_, count)| *count > 0).collect()
    }
}

/// A hello of host `number`.
pub(crate) fn hello(number: u8, more: &str) -> String {
    let sid = session(number);
    message(
        "hello",
        &format!(",\"data\":{{\"node\":\"v{number}\",\"sid\":\"{sid}\",\"iv\":60000{more}}}"),
    )
}
