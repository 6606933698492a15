//! Records of large messages in keyed mode, between two cores on a wire of somebody who holds the
//! key too: what their envelopes promise, where they are opened, and what becomes of who lies.

use std::sync::Arc;

use lanc_codec::JsonCodec;
use lanc_core::counters::Drop;
use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::envelope::{self, HEAD, Head, Labels};
use lanc_core::error::ErrorCode;
use lanc_core::id::{CallKey, FunctionName, SessionId};
use lanc_core::payload::Arguments;
use lanc_core::ports::{
    Cast, Close, Dest, DownReason, Format, Initiator, LinkEvent, Origin, Received,
};
use lanc_core::{
    CallRequest, Class, Config, Core, LinkCommand, LocalFunction, Outcome, Pipeline, TaskStep, Time,
};
use lanc_testkit::sim::Dice;
use lanc_testkit::solo::CONNECTION;
use lanc_tests::{InMode as _, key};

const LINK: LinkId = LinkId { lane: Lane(0), slot: 0, generation: 0 };
const CALLER: usize = 0;
const CALLEE: usize = 1;
/// Records from this size on say what they belong to.
const PROMISED: usize = 16 << 10;

struct World {
    cores: [Core; 2],
    now: Time,
    /// The lengths of the arguments of the calls that have arrived whole, in order.
    arrived: Vec<usize>,
}

fn core(seed: u64) -> Core {
    let pipeline = Pipeline::new(Arc::new(JsonCodec)).sealed();
    let random = Box::new(Dice::new(seed, 0));
    let mut core = Core::new(Config::default(), pipeline, random, Time::ZERO).unwrap();
    core.add_lane(CONNECTION).unwrap();
    core
}

fn up(remote: &str, initiator: Initiator) -> LinkEvent {
    LinkEvent::Up { link: LINK, remote: Endpoint::text("wire", remote), initiator }
}

/// An opened frame, as its sender sealed it.
#[derive(Clone)]
struct Opened {
    head: Head,
    plain: Vec<u8>,
}

impl Opened {
    /// What follows the first frame of a connection.
    fn of(frame: &[u8]) -> Self {
        let head = Head::read_record(frame).unwrap();
        let mut bytes = frame.to_vec();
        let key = key().session(&head.session.0, head.epoch());
        let plain = envelope::open(&head, Labels::RECORD, key.as_ref(), &mut bytes).unwrap();
        Self { head, plain: plain.to_vec() }
    }

    /// Sealed again, in the place of the frame that it was.
    fn sealed(&self) -> Vec<u8> {
        let mut frame = self.plain.clone();
        let key = key().session(&self.head.session.0, self.head.epoch());
        assert!(envelope::seal(&self.head, Labels::RECORD, key.as_ref(), &mut frame));
        frame
    }

    /// The number of the stream whose record it is.
    fn stream(&self) -> u32 {
        let [2, 1 | 2, number @ ..] = *self.plain.first_chunk::<6>().unwrap() else {
            panic!("no record")
        };
        u32::from_be_bytes(number)
    }

    fn with_stream(mut self, number: u32) -> Self {
        self.plain[2..6].copy_from_slice(&number.to_be_bytes());
        self
    }

    fn promising(self, stream: u16) -> Self {
        Self { head: Head { stream, ..self.head }, ..self }
    }
}

impl World {
    fn new() -> Self {
        let mut cores = [core(1), core(2)];
        let function = LocalFunction::new(Class::Async);
        cores[CALLEE].register(Time::ZERO, "f", function).unwrap();
        cores.iter_mut().for_each(|core| core.start(Time::ZERO));
        cores[CALLER].add_peer(Time::ZERO, Endpoint::text("wire", "callee"));
        cores[CALLER].handle_link(Time::ZERO, up("callee", Initiator::Us));
        cores[CALLEE].handle_link(Time::ZERO, up("caller", Initiator::Them));
        let mut world = Self { cores, now: Time::ZERO, arrived: Vec::new() };
        for _ in 0..60 {
            world.settle();
            world.now = Time::from_millis(world.now.as_millis() + 50);
            world.cores.iter_mut().for_each(|core| core.handle_timeout(world.now));
        }
        world
    }

    fn poll(&mut self, node: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.cores[node].poll_frame(self.now, &mut bytes)? {
            Dest::Link(_) => Some(bytes),
            Dest::Broadcast(_) => None,
        }
    }

    /// Whether the frame was opened in place, for what it shows.
    fn deliver(&mut self, to: usize, mut bytes: Vec<u8>) -> bool {
        let before = bytes.clone();
        let frame = Received {
            link: LINK,
            cast: Cast::Unicast,
            origin: Origin::Network,
            bytes: &mut bytes,
        };
        self.cores[to].handle_frame(self.now, frame);
        while let Some(step) = self.cores[CALLEE].poll_task(self.now) {
            if let TaskStep::Run(task) = step {
                self.arrived.push(task.args.len());
            }
        }
        bytes != before
    }

    fn settle(&mut self) {
        loop {
            let frames = [CALLER, CALLEE].map(|from| self.poll(from));
            if frames.iter().all(Option::is_none) {
                return;
            }
            for (from, frame) in frames.into_iter().enumerate() {
                if let Some(frame) = frame {
                    self.deliver(1 - from, frame);
                }
            }
        }
    }

    fn call(&mut self, size: usize) -> CallKey {
        let args = format!("[\"{}\"]", "x".repeat(size));
        let args = Arguments::new(Format::JSON, args.as_bytes(), b"");
        let request = CallRequest::new(FunctionName::new("f").unwrap(), args);
        self.cores[CALLER].call(self.now, request).unwrap()
    }

    /// The caller's frames until one is a record of at least so many bytes; those before it arrive.
    fn record(&mut self) -> Opened {
        loop {
            let frame = self.poll(CALLER).expect("there are records");
            if frame.len() >= PROMISED {
                return Opened::of(&frame);
            }
            self.deliver(CALLEE, frame);
        }
    }

    fn take(&mut self, record: &Opened) -> bool {
        self.deliver(CALLEE, record.sealed())
    }

    fn is_connected(&self) -> bool {
        self.cores[CALLEE].tables().links > 0
    }

    /// The callee has closed the connection and keeps nothing of what came by it.
    fn assert_closed(&mut self, why: Drop) {
        let callee = &mut self.cores[CALLEE];
        assert_eq!((callee.counters().dropped(why), callee.tables().links), (1, 0));
        let close = LinkCommand::Close(LINK, Close::Abort);
        assert!(std::iter::from_fn(|| callee.poll_link()).any(|command| command == close));
        assert_eq!(callee.tables().stream_bytes, 0);
        assert!(self.arrived.is_empty());
    }
}

fn low(stream: u32) -> u16 {
    u16::try_from(stream & 0xffff).unwrap()
}

#[test]
fn large_records_are_promised_and_opened_where_their_message_is() {
    let mut world = World::new();
    world.call(300_000);
    let (mut here, mut there, mut small) = (0, 0, 0);
    while let Some(frame) = world.poll(CALLER) {
        let opened = Opened::of(&frame);
        let is_large = frame.len() >= PROMISED;
        assert_eq!(opened.head.stream, if is_large { low(opened.stream()) } else { 0 });
        let is_here = world.deliver(CALLEE, frame);
        *(if !is_large {
            &mut small
        } else if is_here {
            &mut here
        } else {
            &mut there
        }) += 1;
        if let Some(grant) = world.poll(CALLEE) {
            assert_eq!(Opened::of(&grant).head.stream, 0, "a grant promises nothing");
            world.deliver(CALLER, grant);
        }
    }
    assert_eq!(here, 1, "the first, for which there is no room yet");
    assert!(there >= 3 && small >= 1, "{there} large ones, {small} small ones");
    assert_eq!(world.arrived, [300_004]);
}

#[test]
fn messages_side_by_side_each_get_what_is_theirs() {
    let mut world = World::new();
    // Two are longer than a turn.
    let sizes = [100_000, 3_000_000, 2_000_000, 70_000];
    for size in sizes {
        world.call(size);
    }
    world.settle();
    let mut arrived = world.arrived.clone();
    arrived.sort_unstable();
    assert_eq!(arrived, [70_004, 100_004, 2_000_004, 3_000_004]);
    let tables = world.cores[CALLEE].tables();
    assert_eq!((tables.links, tables.stream_bytes), (1, 0));
    let counters = world.cores[CALLEE].counters();
    assert_eq!(counters.frames_received, counters.frames_accepted);
}

#[test]
fn a_promise_of_no_use_is_kept_all_the_same() {
    // None was given, of a message that has room: it is opened in place and copied.
    let mut world = World::new();
    world.call(100_000);
    let first = world.record();
    assert!(world.take(&first));
    let second = world.record().promising(0);
    assert!(world.take(&second), "opened in place");
    world.settle();
    assert_eq!(world.arrived, [100_004]);
}

#[test]
fn who_promises_another_stream_loses_the_connection() {
    for first in [true, false] {
        let mut world = World::new();
        world.call(300_000);
        let mut record = world.record();
        if !first {
            world.take(&record);
            record = world.record();
        }
        // There is no room for that one, and what is sealed is none of its records.
        let stream = low(record.stream()) + 2;
        world.take(&record.promising(stream));
        world.assert_closed(Drop::Malformed);
    }
}

#[test]
fn who_promises_the_room_of_another_message_loses_the_connection() {
    let mut world = World::new();
    world.call(600_000);
    world.call(600_000);
    let (one, mut other) = (world.record(), world.record());
    world.take(&one);
    // The other's turn comes when this one has no credit left.
    while other.stream() == one.stream() {
        world.take(&other);
        other = world.record();
    }
    world.take(&other);
    let lie = world.record();
    let of_other = if lie.stream() == one.stream() { other.stream() } else { one.stream() };
    assert!(!world.take(&lie.promising(low(of_other))), "opened in the other's room");
    world.assert_closed(Drop::Malformed);
}

#[test]
fn who_promises_a_record_and_seals_something_else_loses_the_connection() {
    for other in [&b"{}"[..], &[2, 2, 0, 0, 0, 1, 1, 0, 0, 0, 9], &[2, 1], b""] {
        for has_room in [true, false] {
            let mut world = World::new();
            world.call(300_000);
            let mut record = world.record();
            if has_room {
                world.take(&record);
                record = world.record();
            }
            record.plain = [other, &[b' '; 99]].concat();
            if other.len() < 6 {
                record.plain.truncate(other.len());
            }
            world.take(&record);
            world.assert_closed(Drop::Malformed);
        }
    }
}

#[test]
fn a_bit_that_changed_ends_the_connection_wherever_it_is() {
    for at in [2, 3, HEAD, HEAD + 3, HEAD + 6, 40_000, usize::MAX] {
        let mut world = World::new();
        let call = world.call(300_000);
        let first = world.record();
        world.take(&first);
        let mut frame = world.record().sealed();
        let at = at.min(frame.len() - 1);
        frame[at] ^= 1;
        world.deliver(CALLEE, frame);
        world.assert_closed(Drop::BadSeal);
        // The caller hears that the connection is gone, and tells so.
        let down = DownReason::ClosedThere;
        world.cores[CALLER].handle_link(world.now, LinkEvent::Down { link: LINK, reason: down });
        world.now = Time::from_millis(world.now.as_millis() + 60_000);
        world.cores[CALLER].handle_timeout(world.now);
        let Some(Outcome::One(answer)) = world.cores[CALLER].take(call) else {
            panic!("it is over")
        };
        let code = answer.result.map(drop).unwrap_err().code;
        assert!([ErrorCode::NETWORK, ErrorCode::TIMEOUT].contains(&code), "{code}");
    }
}

#[test]
fn a_number_that_ends_like_another_is_another() {
    let mut world = World::new();
    world.call(100_000);
    let records: Vec<_> = std::iter::from_fn(|| world.poll(CALLER)).collect();
    let records: Vec<_> = records.iter().map(|frame| Opened::of(frame)).collect();
    let [first, second, rest @ ..] = records.as_slice() else { panic!("too few records") };
    let number = first.stream();
    // The message with that number has room, and another begins whose number ends alike.
    world.take(first);
    assert!(!world.take(&second.clone().with_stream(number + 0x1_0000)), "opened in its room");
    assert!(world.is_connected());
    let begun = world.cores[CALLEE].tables().stream_bytes;
    assert_eq!(begun, first.plain.len() + second.plain.len() - 12, "each has its own");
    // What follows of either finds it.
    for record in rest {
        world.take(&record.clone().with_stream(number + 0x1_0000));
    }
    assert!(world.is_connected(), "what is no message is dropped");
    assert_eq!(world.cores[CALLEE].tables().stream_bytes, first.plain.len() - 6);
}

#[test]
fn a_stream_is_named_by_records_of_connections_alone() {
    let session = SessionId([9; 16]);
    let made = key().session(&session.0, 0);
    for (stream, dropped) in [(7, 1), (0, 0)] {
        let mut core = core(1);
        core.start(Time::ZERO);
        core.handle_link(Time::ZERO, up("somebody", Initiator::Them));
        let head = Head { key: key().id(), session, to: None, counter: 1, salt: [0; 4], stream };
        let mut bytes = b"{}".to_vec();
        assert!(envelope::seal(&head, Labels::HELLO, made.as_ref(), &mut bytes));
        let (cast, origin) = (Cast::Unicast, Origin::Network);
        core.handle_frame(Time::ZERO, Received { link: LINK, cast, origin, bytes: &mut bytes });
        assert_eq!(core.counters().frames_received, 1);
        assert_eq!(core.counters().dropped(Drop::Envelope), dropped);
    }
}
