//! Byte streams of calls between two cores on a virtual wire: what one end does, and what the
//! other one and the link make of it.

use std::sync::Arc;

use lanc_codec::JsonCodec;
use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::error::ErrorCode;
use lanc_core::id::{CallKey, FunctionName};
use lanc_core::payload::{Arguments, Payload};
use lanc_core::ports::{Cast, Dest, DownReason, Format, Initiator, LinkEvent, Origin, Received};
use lanc_core::{
    CallRequest, Class, Config, Core, LocalFunction, Outcome, Pipeline, StreamGone, StreamKey,
    Task, TaskStep, Time,
};
use lanc_testkit::sim::Dice;
use lanc_testkit::solo::CONNECTION;
use lanc_tests::in_mode;

const LINK: LinkId = LinkId { lane: Lane(0), slot: 0, generation: 0 };
const CALLER: usize = 0;
const CALLEE: usize = 1;

/// A caller and a callee with the function `f`, joined by one wire. A call runs until a test
/// ends it.
struct World {
    cores: [Core; 2],
    now: Time,
    running: Vec<Task>,
    cancelled: usize,
}

fn core(seed: u64, config: Config) -> Core {
    let pipeline = in_mode!(Pipeline::new(Arc::new(JsonCodec)));
    let mut core = Core::new(config, pipeline, Box::new(Dice::new(seed, 0)), Time::ZERO).unwrap();
    core.add_lane(CONNECTION).unwrap();
    core
}

fn up(remote: &str, initiator: Initiator) -> LinkEvent {
    LinkEvent::Up { link: LINK, remote: Endpoint::text("wire", remote), initiator }
}

impl World {
    fn new(of_callee: Config) -> Self {
        let mut cores = [core(1, Config::default()), core(2, of_callee)];
        let function = LocalFunction::new(Class::Async);
        cores[CALLEE].register(Time::ZERO, "f", function).unwrap();
        cores.iter_mut().for_each(|core| core.start(Time::ZERO));
        cores[CALLER].add_peer(Time::ZERO, Endpoint::text("wire", "callee"));
        cores[CALLER].handle_link(Time::ZERO, up("callee", Initiator::Us));
        cores[CALLEE].handle_link(Time::ZERO, up("caller", Initiator::Them));
        let mut world = Self { cores, now: Time::ZERO, running: Vec::new(), cancelled: 0 };
        world.pass(3000);
        world
    }

    /// One frame of each node in turn until none has another.
    fn settle(&mut self) {
        loop {
            let mut frames = Vec::new();
            for from in [CALLER, CALLEE] {
                let mut bytes = Vec::new();
                match self.cores[from].poll_frame(self.now, &mut bytes) {
                    Some(Dest::Link(_)) => frames.push((1 - from, bytes)),
                    Some(Dest::Broadcast(_)) | None => {}
                }
            }
            if frames.is_empty() {
                return;
            }
            for (to, mut bytes) in frames {
                let bytes = bytes.as_mut_slice();
                let frame =
                    Received { link: LINK, cast: Cast::Unicast, origin: Origin::Network, bytes };
                self.cores[to].handle_frame(self.now, frame);
            }
            while let Some(step) = self.cores[CALLEE].poll_task(self.now) {
                match step {
                    TaskStep::Run(task) => self.running.push(task),
                    TaskStep::Cancel(_) => self.cancelled += 1,
                }
            }
        }
    }

    /// All that the caller has to send arrives; what the callee says to it is still on its way.
    fn hear_caller(&mut self) {
        let mut bytes = Vec::new();
        while self.cores[CALLER].poll_frame(self.now, &mut bytes).is_some() {
            let bytes = bytes.as_mut_slice();
            let frame =
                Received { link: LINK, cast: Cast::Unicast, origin: Origin::Network, bytes };
            self.cores[CALLEE].handle_frame(self.now, frame);
        }
    }

    fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 50 {
            self.settle();
            self.now = Time::from_millis(self.now.as_millis() + 50);
            for core in &mut self.cores {
                core.handle_timeout(self.now);
            }
        }
        self.settle();
    }

    /// Calls `f` with a text of `size` letters and a byte stream.
    fn call(&mut self, size: usize) -> (CallKey, StreamKey) {
        let args = format!("[\"{}\"]", "x".repeat(size));
        let args = Arguments::new(Format::JSON, args.as_bytes(), b"");
        let name = FunctionName::new("f").unwrap();
        let request = CallRequest { stream: true, ..CallRequest::new(name, args) };
        let key = self.cores[CALLER].call(self.now, request).unwrap();
        (key, self.cores[CALLER].stream_of(key).expect("the link is there"))
    }

    /// Ends the function that runs; returns its end of the stream.
    fn answer(&mut self) -> StreamKey {
        let task = self.running.remove(0);
        let result = Payload { format: Format::JSON, bytes: b"1".to_vec().into() };
        self.cores[CALLEE].complete(self.now, task.key, Ok(result));
        task.stream.unwrap()
    }

    fn outcome(&mut self, key: CallKey) -> Result<(), ErrorCode> {
        match self.cores[CALLER].take(key).expect("it is over") {
            Outcome::One(answer) => answer.result.map(drop).map_err(|error| error.code),
            Outcome::All(_) => panic!("one answer was asked for"),
        }
    }

    fn write(&mut self, node: usize, key: StreamKey, count: usize) -> Result<usize, StreamGone> {
        self.cores[node].stream_write(key, &vec![b'{'; count])
    }

    fn read(&mut self, node: usize, key: StreamKey) -> Result<(usize, bool), StreamGone> {
        self.cores[node].stream_read(key, 1 << 20, &mut Vec::new())
    }

    /// The stream is over at this node.
    fn assert_gone(&mut self, node: usize, key: StreamKey) {
        assert_eq!(self.write(node, key, 1), Err(StreamGone));
        assert_eq!(self.read(node, key), Err(StreamGone));
    }

    /// Nothing is left, no byte was taken for a message, and the link carries the next stream.
    fn assert_sound(&mut self) {
        for core in &self.cores {
            let tables = core.tables();
            assert_eq!((tables.links, tables.streams, tables.stream_bytes), (1, 0, 0));
            assert_eq!(core.counters().frames_received, core.counters().frames_accepted);
        }
        let (key, stream) = self.call(1);
        self.write(CALLER, stream, 10).unwrap();
        self.cores[CALLER].stream_finish(stream).unwrap();
        self.settle();
        let far = self.running[0].stream.unwrap();
        assert_eq!(self.read(CALLEE, far), Ok((10, true)));
        self.answer();
        self.settle();
        assert_eq!(self.outcome(key), Ok(()));
        assert_eq!(self.read(CALLER, stream), Ok((0, true)));
    }
}

#[test]
fn the_bytes_of_a_refused_call_are_no_messages() {
    let mut world = World::new(Config::default());
    world.cores[CALLEE].unregister(world.now, "f").unwrap();
    let (key, stream) = world.call(1);
    // As much as may leave before the refusal comes.
    assert_eq!(world.write(CALLER, stream, 256 << 10), Ok(256 << 10));
    world.settle();
    assert_eq!(world.outcome(key), Err(ErrorCode::NOT_FOUND));
    world.assert_gone(CALLER, stream);
    let function = LocalFunction::new(Class::Async);
    world.cores[CALLEE].register(world.now, "f", function).unwrap();
    world.assert_sound();
}

#[test]
fn what_a_function_that_has_ended_did_not_read_is_dropped() {
    let mut world = World::new(Config::default());
    let (key, stream) = world.call(1);
    assert_eq!(world.write(CALLER, stream, 1 << 20), Ok(256 << 10));
    world.settle();
    let far = world.answer();
    world.settle();
    assert_eq!(world.outcome(key), Ok(()));
    // The rest of the upload finds room as if somebody read it.
    let mut written = 256 << 10;
    while written < 4 << 20 {
        let taken = world.write(CALLER, stream, 256 << 10).unwrap();
        assert!(taken > 0);
        written += taken;
        world.settle();
    }
    assert_eq!(world.cores[CALLEE].tables().stream_bytes, 0);
    assert_eq!(world.write(CALLEE, far, 1), Err(StreamGone), "its end is over");
    world.cores[CALLER].stream_finish(stream).unwrap();
    assert_eq!(world.read(CALLER, stream), Ok((0, true)));
    world.settle();
    world.assert_sound();
}

#[test]
fn a_deadline_ends_the_stream_on_both_sides() {
    let mut world = World::new(Config::default());
    let (key, stream) = world.call(1);
    world.settle();
    let far = world.running[0].stream.unwrap();
    world.write(CALLER, stream, 1000).unwrap();
    world.write(CALLEE, far, 1000).unwrap();
    world.pass(30_100);
    assert_eq!(world.outcome(key), Err(ErrorCode::TIMEOUT));
    world.assert_gone(CALLER, stream);
    world.assert_gone(CALLEE, far);
    assert_eq!(world.cancelled, 1, "the function was told");
    world.answer();
    world.settle();
    world.assert_sound();
}

#[test]
fn a_large_call_that_is_turned_away_takes_its_stream_with_it() {
    let limit = 100_000;
    let mut world = World::new(Config::default().with_max_message(limit));
    for size in [limit + 1, limit + 20_000, 3 * limit] {
        let (key, stream) = world.call(size);
        assert_eq!(world.write(CALLER, stream, 256 << 10), Ok(256 << 10));
        world.hear_caller();
        world.settle();
        assert_eq!(world.outcome(key), Err(ErrorCode::TOO_LARGE));
        world.assert_gone(CALLER, stream);
        for core in &world.cores {
            assert_eq!((core.tables().links, core.tables().streams), (1, 0));
        }
    }
    // The largest that is taken, with its stream.
    let (key, stream) = world.call(limit - 1000);
    world.settle();
    world.answer();
    world.settle();
    assert_eq!((world.outcome(key), world.read(CALLER, stream)), (Ok(()), Ok((0, true))));
}

#[test]
fn a_call_that_never_left_takes_its_stream_with_it() {
    let mut world = World::new(Config::default());
    let (key, stream) = world.call(1);
    world.write(CALLER, stream, 1000).unwrap();
    world.cores[CALLER].cancel(world.now, key);
    world.assert_gone(CALLER, stream);
    assert_eq!(world.outcome(key), Err(ErrorCode::CANCELLED));
    world.settle();
    assert!(world.running.is_empty());
    world.assert_sound();
}

#[test]
fn what_arrived_to_its_end_can_be_read_when_the_link_is_gone() {
    let mut world = World::new(Config::default());
    let (key, whole) = world.call(1);
    let (_, half) = world.call(1);
    world.settle();
    for task in &world.running {
        world.cores[CALLEE].stream_write(task.stream.unwrap(), &[7; 1000]).unwrap();
    }
    world.answer();
    world.settle();
    let down = LinkEvent::Down { link: LINK, reason: DownReason::ClosedThere };
    world.cores[CALLER].handle_link(world.now, down);
    assert_eq!(world.outcome(key), Ok(()));
    assert_eq!(world.write(CALLER, whole, 1), Err(StreamGone));
    assert_eq!(world.cores[CALLER].stream_read(whole, 600, &mut Vec::new()), Ok((600, false)));
    assert_eq!(world.read(CALLER, whole), Ok((400, true)));
    world.assert_gone(CALLER, half);
    world.cores[CALLER].stream_drop(whole, ErrorCode::CANCELLED);
    assert_eq!(world.cores[CALLER].tables().streams, 0);
}
