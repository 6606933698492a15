//! Two engines joined by memory: a call without node, runtime and sockets. Everything is the same
//! in every run, chance and time too, so that instructions can be counted.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanc::{Group, JsonCodec, MasterKey, MsgpackCodec};
use lanc_core::endpoint::{Endpoint, LinkId};
use lanc_core::id::FunctionName;
use lanc_core::payload::{Arguments, Encoded, Payload};
use lanc_core::ports::{
    Capabilities, Cast, Dest, Entropy, Format, Initiator, LinkEvent, Origin, Received,
};
use lanc_core::{
    CallRequest, Class, Config, Core, Done, LocalFunction, Outcome, Pipeline, Task, TaskStep, Time,
};

/// What the callers of a pair call: it returns its arguments.
const FUNCTION: &str = "echo";
/// Between two exchanges. A multiple of what a call takes on loopback.
const STEP: Duration = Duration::from_micros(50);
/// In which two nodes have told each other everything.
const GREETING: Duration = Duration::from_secs(3);

/// How calls are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form {
    /// In JSON; else in lean MessagePack frames.
    pub json: bool,
    /// With a key.
    pub sealed: bool,
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self { json: false, sealed: false },
        Self { json: false, sealed: true },
        Self { json: true, sealed: false },
        Self { json: true, sealed: true },
    ];

    /// As it is called in tables.
    pub fn name(self) -> &'static str {
        match (self.json, self.sealed) {
            (false, false) => "msgpack",
            (false, true) => "msgpack+key",
            (true, false) => "json",
            (true, true) => "json+key",
        }
    }

    /// The group of a sealed form.
    pub fn key(self) -> Option<Arc<Group>> {
        self.sealed.then(|| Arc::new(Group::new(&MasterKey::from_bytes(&[7; 32]))))
    }

    fn pipeline(self) -> Pipeline {
        let pipeline = if self.json {
            Pipeline::new(Arc::new(JsonCodec)).with_codec(Arc::new(MsgpackCodec))
        } else {
            Pipeline::new(Arc::new(MsgpackCodec)).with_codec(Arc::new(JsonCodec))
        };
        match self.key() {
            Some(key) => pipeline.with_key(key),
            None => pipeline,
        }
    }

    /// `[4660, 7]`.
    fn arguments(self) -> (Format, &'static [u8]) {
        if self.json {
            (Format::JSON, b"[4660,7]")
        } else {
            (Format::MSGPACK, &[0x92, 0xcd, 0x12, 0x34, 0x07])
        }
    }
}

/// Chance from a number, by SplitMix64.
pub struct Seeded(pub u64);

impl Entropy for Seeded {
    fn fill(&mut self, into: &mut [u8]) {
        for chunk in into.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// One engine, and all its driver does.
pub struct End {
    core: Core,
    /// The link to the other end.
    link: LinkId,
    frame: Vec<u8>,
    /// Frames to neither the other end nor everybody.
    strays: Vec<(LinkId, Vec<u8>)>,
    /// What has to come back.
    expected: &'static [u8],
    /// Calls that came back.
    answered: u64,
}

impl End {
    fn new(form: Form, config: Config, number: u8) -> Self {
        let random = Box::new(Seeded(number.into()));
        let core = Core::new(config, form.pipeline(), random, Time::from_millis(1000));
        let mut core = core.unwrap_or_else(|error| panic!("the settings: {error}"));
        let lane = core.add_lane(Capabilities::datagrams(65_507)).expect("a first lane");
        let link = LinkId { lane, slot: 0, generation: 0 };
        let expected = form.arguments().1;
        Self { core, link, frame: Vec::new(), strays: Vec::new(), expected, answered: 0 }
    }

    fn up(&mut self, now: Time, far_end: u8) {
        let remote = Endpoint::socket("udp", address(far_end));
        let event = LinkEvent::Up { link: self.link, remote, initiator: Initiator::Them };
        self.core.handle_link(now, event);
    }

    /// Hands every frame to the other end. `false`: there was none.
    fn send(&mut self, now: Time, to: &mut Self) -> bool {
        let mut any = false;
        while let Some(dest) = self.core.poll_frame(now, &mut self.frame) {
            any = true;
            let cast = match dest {
                Dest::Link(link) if link != self.link => {
                    self.strays.push((link, self.frame.clone()));
                    continue;
                }
                Dest::Link(_) => Cast::Unicast,
                Dest::Broadcast(_) => Cast::Broadcast,
            };
            let bytes = self.frame.as_mut_slice();
            let frame = Received { link: to.link, cast, origin: Origin::Network, bytes };
            to.core.handle_frame(now, frame);
            to.work(now);
        }
        any
    }

    /// Does what a driver does with everything but frames.
    fn work(&mut self, now: Time) {
        while let Some(step) = self.core.poll_task(now) {
            if let TaskStep::Run(task) = step {
                self.run(now, task);
            }
        }
        while let Some(done) = self.core.poll_done() {
            if let Done::Call(key) = done {
                let Some(Outcome::One(answer)) = self.core.take(key) else {
                    panic!("a call without an outcome")
                };
                let result = answer.result.unwrap_or_else(|error| panic!("a call failed: {error}"));
                assert_eq!(result.bytes, self.expected, "other bytes came back");
                self.core.give_buffer(result.bytes.into_buffer());
                self.answered += 1;
            }
        }
        while self.core.poll_link().is_some() {}
        while self.core.poll_event().is_some() {}
    }

    fn run(&mut self, now: Time, task: Task) {
        let bytes = encoded(&mut self.core, task.args.positional());
        let format = task.args.format();
        self.core.give_buffer(task.args.into_buffer());
        self.core.began(task.key, now);
        self.core.complete(now, task.key, Ok(Payload { format, bytes }));
    }
}

impl End {
    /// The engine. What it has to say is heard in the next [`Pair::step`].
    pub fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    /// Frames to others than the other end, since this was asked last.
    pub fn take_strays(&mut self) -> Vec<(LinkId, Vec<u8>)> {
        std::mem::take(&mut self.strays)
    }
}

/// Bytes as a node has them that has encoded them.
fn encoded(core: &mut Core, bytes: &[u8]) -> Encoded {
    Encoded::few(bytes).unwrap_or_else(|| {
        let mut buffer = core.take_buffer();
        buffer.extend_from_slice(bytes);
        buffer.into()
    })
}

fn address(number: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, number), 40_000))
}

/// A client and a server that know each other.
pub struct Pair {
    form: Form,
    client: End,
    server: End,
    now: Time,
}

impl Pair {
    /// Two engines that have told each other everything.
    ///
    /// # Panics
    /// They do not find each other.
    pub fn new(form: Form) -> Self {
        Self::with_config(form, &Config::default())
    }

    /// The same with these settings.
    ///
    /// # Panics
    /// The settings are out of range, or they do not find each other.
    pub fn with_config(form: Form, config: &Config) -> Self {
        let now = Time::from_millis(1000);
        let client = End::new(form, config.clone().with_name("client".to_owned()), 1);
        let mut server = End::new(form, config.clone().with_name("server".to_owned()), 2);
        let function = LocalFunction::new(Class::Inline);
        server.core.register(now, FUNCTION, function).expect("a valid name");
        let mut pair = Self { form, client, server, now };
        pair.client.up(now, 2);
        pair.server.up(now, 1);
        pair.client.core.start(now);
        pair.server.core.start(now);
        pair.pass(GREETING);
        assert!(pair.client.core.known_name(FUNCTION).is_some(), "they did not meet");
        pair
    }

    /// Makes so many calls at once and waits for all of them.
    ///
    /// # Panics
    /// An answer is missing, or another than was asked for.
    pub fn call(&mut self, in_flight: u64) {
        let wanted = self.client.answered + in_flight;
        for _ in 0..in_flight {
            self.begin();
        }
        self.exchange();
        assert_eq!(self.client.answered, wanted, "answers are missing");
        self.now = self.now + STEP;
    }

    fn begin(&mut self) {
        let core = &mut self.client.core;
        let (format, list) = self.form.arguments();
        let args = Arguments::of_list(format, encoded(core, list));
        let name = core.known_name(FUNCTION);
        let name = name.unwrap_or_else(|| FunctionName::new(FUNCTION).expect("a valid name"));
        let begun = core.call(self.now, CallRequest::new(name, args));
        begun.unwrap_or_else(|error| panic!("a call was refused: {error}"));
    }

    /// Lets frames go to and fro until there are no more.
    fn exchange(&mut self) {
        for end in [&mut self.client, &mut self.server] {
            end.core.handle_timeout(self.now);
            end.work(self.now);
        }
        while self.client.send(self.now, &mut self.server)
            | self.server.send(self.now, &mut self.client)
        {}
    }

    /// Lets time pass, timer by timer.
    pub fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            self.exchange();
            let due = [&self.client, &self.server].map(|end| end.core.poll_timeout());
            let next = due.into_iter().flatten().map(|(at, _)| at).min();
            match next.filter(|at| *at <= until) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
        }
        self.now = until;
    }

    /// Client and server.
    pub fn ends(&mut self) -> [&mut End; 2] {
        [&mut self.client, &mut self.server]
    }

    /// Lets so much time pass at once, and everything be said.
    pub fn step(&mut self, time: Duration) {
        self.now = self.now + time;
        self.exchange();
    }

    /// The present.
    pub fn now(&self) -> Time {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_carries_calls_packed_and_one_by_one() {
        for form in Form::ALL {
            let mut pair = Pair::new(form);
            let ends =
                |pair: &Pair| [&pair.client, &pair.server].map(|e| e.core.counters().clone());
            for in_flight in [1, 1, 64] {
                let before = ends(&pair);
                pair.call(in_flight);
                for (before, after) in before.iter().zip(ends(&pair)) {
                    assert!(after.messages_sent - before.messages_sent >= in_flight, "{form:?}");
                    let frames = after.frames_sent - before.frames_sent;
                    assert!(frames <= 1 + in_flight / 4, "{form:?}: messages are not packed");
                    assert_eq!(after.dropped_total(), before.dropped_total(), "{form:?}");
                }
            }
            assert_eq!(pair.client.core.is_keyed(), form.sealed);
        }
    }

    #[test]
    fn calls_go_out_in_the_form_that_was_asked_for() {
        for form in Form::ALL {
            let mut pair = Pair::new(form);
            pair.begin();
            let core = &mut pair.client.core;
            let mut frame = Vec::new();
            assert!(core.poll_frame(pair.now, &mut frame).is_some(), "{form:?}: no frame");
            let is_json = frame.first() == Some(&b'{');
            assert_eq!(frame.first() == Some(&1), form.sealed, "{form:?}: {frame:?}");
            assert!(form.sealed || is_json == form.json, "{form:?}: {frame:?}");
        }
    }
}
