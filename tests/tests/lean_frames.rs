//! Lean frames between engines: when they are written, and what they do to who reads them.

use std::sync::Arc;
use std::time::Duration;

use lanc_codec::{JsonCodec, MsgpackCodec};
use lanc_core::counters::Drop;
use lanc_core::dialect::Form;
use lanc_core::dialect::frame::{FrameReader, FrameWriter};
use lanc_core::dialect::lean::Head;
use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::error::{ErrorCode, Executed};
use lanc_core::id::{CallKey, ExeId, FunctionName};
use lanc_core::message::{Call, Callback, Failure, Message, Method, NO_COPY, WireId};
use lanc_core::payload::{Arguments, Payload};
use lanc_core::ports::{
    Budget, Capabilities, Cast, Codec, Format, Initiator, Item, Lent, LinkEvent, Origin, Received,
};
use lanc_core::{
    CallRequest, Class, Config, Core, LocalFunction, Mode, Outcome, Pipeline, TaskStep, Time,
};
use lanc_testkit::sim::Dice;

use nine_keys::NineKeys;

#[path = "formats/nine_keys.rs"]
mod nine_keys;

const LIMIT: usize = 1472;
const AMPLE: Budget = Budget { depth: 64, nodes: 65_536 };
const PEER: u64 = 0x2021_2223_2425_2627;
const LINK: LinkId = LinkId { lane: Lane(0), slot: 0, generation: 0 };

fn byte(dice: &mut Dice) -> u8 {
    dice.number().to_le_bytes()[0]
}

fn msgpack_first() -> Pipeline {
    Pipeline::new(Arc::new(MsgpackCodec)).with_codec(Arc::new(JsonCodec))
}

/// A node with the function `f`, one link, and somebody at its far end who writes by hand.
struct Scene {
    core: Core,
    now: Time,
}

impl Scene {
    fn new(pipeline: Pipeline, config: Config) -> Self {
        let now = Time::ZERO;
        let mut core = Core::new(config, pipeline, Box::new(Dice::new(1, 0)), now).unwrap();
        let lane = Capabilities {
            max_frame: LIMIT,
            max_broadcast: 1024,
            reliable: false,
            ordered: false,
            broadcast: false,
            connected: true,
        };
        core.add_lane(lane).unwrap();
        let function = LocalFunction::new(Class::Inline);
        core.register(now, "f", function).unwrap();
        core.start(now);
        let remote = Endpoint::text("wire", "far");
        core.handle_link(now, LinkEvent::Up { link: LINK, remote, initiator: Initiator::Them });
        Self { core, now }
    }

    /// The same, with a peer that says it has these features and offers `g`.
    fn with_peer(pipeline: Pipeline, config: Config, features: u32) -> Self {
        let mut scene = Self::new(pipeline, config);
        scene.hand(hello_of_far(features).as_bytes());
        let of = format!(r#","x":{{"sid":"{PEER:016x}{PEER_REST}","rev":1}}"#);
        scene.hand(message("func", r#"["g"]"#, &of).as_bytes());
        scene.pass(3);
        assert_eq!(scene.core.peers(scene.now).len(), 1);
        scene
    }

    fn hand(&mut self, frame: &[u8]) {
        let mut bytes = frame.to_vec();
        let received = Received {
            link: LINK,
            cast: Cast::Unicast,
            origin: Origin::Network,
            bytes: &mut bytes,
        };
        self.core.handle_frame(self.now, received);
    }

    /// Lets so many seconds go by and forgets what is sent meanwhile.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.now = Time::from_millis(self.now.as_millis() + 100);
            self.core.handle_timeout(self.now);
            self.run();
            self.frames();
        }
    }

    /// Runs what waits to be run: `f` returns 30.
    fn run(&mut self) {
        while let Some(step) = self.core.poll_task(self.now) {
            let TaskStep::Run(task) = step else { continue };
            let result = Payload { format: Format::JSON, bytes: b"30".to_vec().into() };
            self.core.complete(self.now, task.key, Ok(result));
        }
    }

    fn frames(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut bytes = Vec::new();
        while self.core.poll_frame(self.now, &mut bytes).is_some() {
            frames.push(bytes.clone());
        }
        frames
    }

    fn call(&mut self, args: &[u8]) -> CallKey {
        let format = self.core.pipeline().first().format();
        let args = Arguments::new(format, args, b"");
        let request = CallRequest::new(FunctionName::new("g").unwrap(), args);
        self.core.call(self.now, request).unwrap()
    }

    fn head(&self) -> Head {
        Head::new(PEER, Some(self.core.session().short()))
    }

    /// A lean frame from the far end.
    fn lean(&self, head: Head, messages: &[Message<'_>]) -> Vec<u8> {
        let writer = FrameWriter::lean(Arc::new(MsgpackCodec), head);
        let mut out = Vec::new();
        for message in messages {
            writer.begin(&mut out);
            assert!(writer.write(message, &mut out));
        }
        out
    }

    fn dropped(&self, why: Drop) -> u64 {
        self.core.counters().dropped(why)
    }
}

/// The form of a frame, and its messages.
fn read(frame: &[u8]) -> (Form, Vec<Message<'_>>) {
    let codec: &dyn Codec = if frame[0] == b'{' { &JsonCodec } else { &MsgpackCodec };
    let mut reader = FrameReader::new(codec, frame, AMPLE).unwrap();
    let form = reader.form();
    let mut messages = Vec::new();
    while !reader.is_empty() {
        messages.push(reader.read().unwrap().unwrap());
    }
    (form, messages)
}

/// The second half of the peer's session.
const PEER_REST: &str = "28292a2b2c2d2e2f";

fn message(method: &str, data: &str, rest: &str) -> String {
    format!(r#"{{"type":"LANC","method":"{method}","version":"0.2","data":{data}{rest}}}"#)
}

fn hello_of_far(features: u32) -> String {
    let sid = format!("{PEER:016x}{PEER_REST}");
    let data = format!(r#"{{"node":"far","sid":"{sid}","iv":5000,"rev":1,"feat":{features}}}"#);
    message("hello", &data, "")
}

/// A list of `size` bytes: one byte string.
fn args(size: usize) -> Vec<u8> {
    let content = vec![7; size - 4];
    let mut out = Vec::new();
    MsgpackCodec.write_list(&[Item::Bytes(&content)], &mut out);
    assert_eq!(out.len(), size);
    out
}

fn call_of<'a>(head: Head, number: u64, function: &'a str) -> Message<'a> {
    Message::Call(Call {
        id: Some(WireId::Native(ExeId { session: head.sender, number, random: 9 })),
        function: function.into(),
        args: b"\x92\x01\x02",
        kwargs: b"",
        to: head.receiver,
        deadline_ms: Some(30_000),
        one_way: false,
        reply_to: None,
        stream: None,
        attempt: 0,
        watermark: head.watermark,
    })
}

#[test]
fn a_peer_is_called_in_the_leanest_form_that_both_read() {
    let json_first = || Pipeline::new(Arc::new(JsonCodec)).with_codec(Arc::new(MsgpackCodec));
    let nine_keys = || Pipeline::new(Arc::new(NineKeys)).with_codec(Arc::new(JsonCodec));
    let json = || Pipeline::new(Arc::new(JsonCodec));
    let (plain, nine) = (Form::native(Format::JSON), Form::native(Format::MSGPACK));
    for (pipeline, own, form_of) in [
        (msgpack_first(), 107, [Form::LEAN, nine, plain]),
        (nine_keys(), 75, [nine, nine, plain]),
        (json_first(), 107, [plain, plain, plain]),
        (json(), 73, [plain, plain, plain]),
    ] {
        for (theirs, form) in [43, 11, 9].into_iter().zip(form_of) {
            let mut scene = Scene::with_peer(pipeline.clone(), Config::default(), theirs);
            scene.hand(
                br#"{"type":"LANC","method":"hello","version":"0.2","data":{"node":"far",
                "sid":"202122232425262728292a2b2c2d2e2f","rev":1,"tok":"00000000000000ff"}}"#,
            );
            let frames = scene.frames();
            let [Message::Hello(hello)] = &read(&frames[0]).1[..] else { panic!("no hello") };
            assert_eq!(hello.features.0, own);
            // That hello has no features: it takes back what the first one said.
            scene = Scene::with_peer(pipeline.clone(), Config::default(), theirs);
            let three =
                if pipeline.first().format() == Format::JSON { &b"[3]"[..] } else { b"\x91\x03" };
            let key = scene.call(three);
            let frames = scene.frames();
            let (written, messages) = read(&frames[0]);
            assert_eq!(written, form, "{own} calls {theirs}");
            let [Message::Call(call)] = &messages[..] else { panic!("{messages:?}") };
            assert_eq!(call.id, scene.core.exe_id(key).map(WireId::Native));
            assert_eq!(call.to, Some(PEER));
            let expected = if form.format == Format::JSON { &b"[3]"[..] } else { b"\x91\x03" };
            assert_eq!(call.args, expected);
            // Pings and cancels too.
            scene.core.cancel(scene.now, key);
            scene.core.ping(scene.now, "far").unwrap();
            let frames = scene.frames();
            let (written, messages) = read(&frames[0]);
            assert_eq!((frames.len(), written), (1, form));
            let methods: Vec<_> = messages.iter().map(Message::method).collect();
            assert_eq!(methods, [Method::Cancel, Method::Ping]);
        }
    }
}

#[test]
fn an_answer_is_lean_only_where_the_head_can_say_whose_it_is() {
    let config = Config::default;
    let nine = Form::native(Format::MSGPACK);
    let answers = |scene: &mut Scene, head: Head, first: u64| {
        for (number, function) in (first..).zip(["f", "nosuch"]) {
            scene.hand(&scene.lean(head, &[call_of(head, number, function)]));
        }
        scene.run();
        let frames = scene.frames();
        let mut forms = Vec::new();
        for frame in &frames {
            let (form, messages) = read(frame);
            forms.push(form);
            for message in messages {
                let is_failure = matches!(message, Message::Error(_));
                let id = match message {
                    Message::Callback(callback) => {
                        assert_eq!(callback.result, b"\x1e");
                        callback.id
                    }
                    Message::Error(failure) => {
                        assert_eq!(failure.fault.code, ErrorCode::NOT_FOUND);
                        failure.id.unwrap()
                    }
                    Message::Hello(_) | Message::Func(_) => continue,
                    other => panic!("{other:?}"),
                };
                let number = if is_failure { first + 1 } else { first };
                assert_eq!(id, WireId::Native(ExeId { session: head.sender, number, random: 9 }));
            }
        }
        forms
    };
    let mut scene = Scene::with_peer(msgpack_first(), config(), 42);
    let head = scene.head();
    assert_eq!(answers(&mut scene, head, 5), [Form::LEAN]);
    assert_eq!(answers(&mut scene, Head { sender: PEER + 1, ..head }, 5), [nine]);
    let mut scene = Scene::new(msgpack_first(), config());
    scene.frames();
    assert_eq!(answers(&mut scene, head, 5), [nine]);
    assert_eq!(answers(&mut scene, Head { receiver: None, ..head }, 7), [nine]);
    assert_eq!(scene.core.counters().dropped_total(), 0);
}

#[test]
fn a_lean_call_for_another_session_is_refused_and_its_answer_needs_the_right_one() {
    let mut scene = Scene::with_peer(msgpack_first(), Config::default(), 42);
    let other = Head { receiver: Some(1), ..scene.head() };
    scene.hand(&scene.lean(other, &[call_of(other, 1, "f")]));
    let frames = scene.frames();
    let [Message::Error(failure)] = &read(&frames[0]).1[..] else { panic!("no error") };
    assert_eq!(failure.fault.code, ErrorCode::LOST);

    let key = scene.call(b"\x90");
    let id = scene.core.exe_id(key).unwrap();
    let answer = |session| {
        Message::Callback(Callback {
            id: WireId::Native(ExeId { session, ..id }),
            result: b"\x01",
            token: None,
            attempt: 0,
        })
    };
    scene.hand(&scene.lean(other, &[answer(1)]));
    assert!(!scene.core.is_done(key));
    assert_eq!(scene.dropped(Drop::UnknownCall), 1);
    scene.hand(&scene.lean(scene.head(), &[answer(id.session)]));
    assert!(scene.core.take(key).is_some_and(|outcome| outcome.is_success()));
}

#[test]
fn full_frames_have_a_head_each_and_carry_every_call_once() {
    let mut scene = Scene::with_peer(msgpack_first(), Config::default(), 42);
    let keys: Vec<_> = (0..200).map(|_| scene.call(b"\x92\x01\x02")).collect();
    let ids: Vec<_> = keys.iter().map(|key| scene.core.exe_id(*key)).collect();
    let frames = scene.frames();
    let mut seen = Vec::new();
    for frame in &frames {
        assert!(frame.len() <= LIMIT);
        let (form, messages) = read(frame);
        assert_eq!(form, Form::LEAN);
        for message in messages {
            let Message::Call(Call { id: Some(WireId::Native(id)), .. }) = message else {
                panic!("{message:?}")
            };
            seen.push(Some(id));
        }
    }
    assert_eq!(seen, ids);
    assert_eq!(frames.len(), 4);
}

#[test]
fn the_head_counts_for_the_limit_of_a_frame() {
    let mut scene = Scene::with_peer(msgpack_first(), Config::default(), 42);
    scene.call(&args(1000));
    let around = scene.frames()[0].len() - 1000;
    // One that fills a frame to the last byte goes behind a small one, in the next frame.
    scene.call(b"\x90");
    let fits = scene.call(&args(LIMIT - around));
    let exceeds = scene.call(&args(LIMIT - around + 1));
    let sizes: Vec<_> = scene.frames().iter().map(Vec::len).collect();
    assert_eq!(sizes.len(), 2);
    assert_eq!(sizes[1], LIMIT);
    assert!(!scene.core.is_done(fits));
    assert!(scene.core.is_done(exceeds), "one byte more fits no frame");
}

#[test]
fn a_head_never_goes_out_alone_nor_before_another_form() {
    let mut scene = Scene::with_peer(msgpack_first(), Config::default(), 42);
    // A call that ends before it leaves, alone and before what is not lean.
    for and_hello in [false, true] {
        let key = scene.call(b"\x90");
        scene.core.cancel(scene.now, key);
        if and_hello {
            scene.hand(br#"{"type":"LANC","method":"hello","version":"0.2","data":{"node":"far",
                "sid":"202122232425262728292a2b2c2d2e2f","rev":1,"feat":42,"tok":"00000000000000ff"}}"#);
        }
        let frames = scene.frames();
        assert_eq!(frames.len(), usize::from(and_hello));
        for frame in frames {
            assert_eq!(read(&frame).0, Form::native(Format::JSON));
        }
    }
    // One that does not fit, then one that does.
    let large = scene.call(&args(LIMIT));
    scene.call(b"\x90");
    let frames = scene.frames();
    assert!(scene.core.is_done(large));
    assert_eq!((frames.len(), read(&frames[0]).1.len()), (1, 1));
    // Lean and plain messages in turn.
    scene.call(b"\x90");
    scene.hand(br#"{"type":"LANC","method":"call","version":"0.2","data":"f","exe_id":5}"#);
    scene.run();
    scene.call(b"\x90");
    let forms: Vec<_> = scene.frames().iter().map(|frame| read(frame).0).collect();
    assert_eq!(forms, [Form::LEAN, Form::native(Format::JSON), Form::LEAN]);
}

#[test]
fn a_one_way_call_is_lean_too() {
    let mut scene = Scene::with_peer(msgpack_first(), Config::default(), 42);
    let args = Arguments::new(Format::MSGPACK, b"\x90", b"\x81\xa1k\x01");
    let mut request = CallRequest::new(FunctionName::new("g").unwrap(), args);
    request.mode = Mode::OneWay;
    scene.core.call(scene.now, request).unwrap();
    let frames = scene.frames();
    let (form, messages) = read(&frames[0]);
    let [Message::Call(call)] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!((form, call.one_way, call.kwargs), (Form::LEAN, true, &b"\x81\xa1k\x01"[..]));
}

#[test]
fn an_answer_asked_for_in_the_moment_it_is_due_is_followed_by_the_next() {
    let mut scene = Scene::with_peer(msgpack_first(), Config::default(), 43);
    let head = scene.head();
    let call = scene.lean(head, &[call_of(head, 1, "f")]);
    scene.hand(&call);
    scene.run();
    assert_eq!(scene.frames().len(), 1, "the answer");
    // No round trip is known yet: 200 ms until the second copy, 400 more until the third, and a
    // fifth of that at most.
    scene.now = Time::from_millis(scene.now.as_millis() + 200);
    scene.hand(&call);
    scene.core.handle_timeout(scene.now);
    assert_eq!(scene.frames().len(), 1, "one copy for both reasons");
    scene.now = Time::from_millis(scene.now.as_millis() + 480);
    scene.core.handle_timeout(scene.now);
    assert_eq!(scene.frames().len(), 1, "the third");
}

#[test]
fn what_is_wrong_with_a_frame_is_counted_and_spoils_no_more_than_it_must() {
    let mut scene = Scene::with_peer(msgpack_first(), Config::default(), 42);
    let ping = || [("m", Item::Int(10)), ("n", Item::Int(5))];
    let frame = |head: &[Item<'_>], messages: &[&[(&str, Item<'_>)]]| {
        let mut out = Vec::new();
        MsgpackCodec.write_list(head, &mut out);
        for message in messages {
            MsgpackCodec.write_map(message, &mut out);
        }
        out
    };
    let good = [Item::Int(2), Item::Uint(PEER), Item::Null];
    let unknown = [("m", Item::Int(99)), ("q", Item::Null)];
    let odd = [("m", Item::Int(10)), ("n", Item::Null)];
    let newer = [Item::Int(9), Item::Uint(PEER), Item::Null, Item::Int(4), Item::Bool(true)];
    for (bytes, why, pongs) in [
        (frame(&good, &[]), None, 0),
        (frame(&newer, &[&ping()]), None, 1),
        (frame(&good, &[&unknown, &ping()]), Some(Drop::UnknownMethod), 1),
        (frame(&good, &[&odd, &ping(), &odd]), Some(Drop::BadField), 1),
        (frame(&good[..2], &[&ping()]), Some(Drop::Malformed), 0),
        (frame(&[Item::Null, Item::Uint(PEER), Item::Null], &[]), Some(Drop::Malformed), 0),
        (frame(&[Item::Int(1), Item::Uint(PEER), Item::Null], &[&ping()]), Some(Drop::Version), 0),
        ([frame(&good, &[&ping()]), b"{}".to_vec()].concat(), Some(Drop::Malformed), 1),
        ([frame(&good, &[&ping()]), frame(&good, &[])].concat(), Some(Drop::Malformed), 1),
        (vec![0xdc, 0, 3, 2, 5, 0xc0], Some(Drop::UnknownFormat), 0),
    ] {
        let before = scene.core.counters().clone();
        scene.hand(&bytes);
        let after = scene.core.counters();
        assert_eq!(after.dropped_total() - before.dropped_total(), u64::from(why.is_some()));
        if let Some(why) = why {
            assert_eq!(after.dropped(why) - before.dropped(why), 1, "{why:?}");
        }
        assert_eq!(after.messages_accepted - before.messages_accepted, pongs, "{bytes:02x?}");
        let frames = scene.frames();
        assert_eq!(u64::try_from(frames.len()).unwrap(), pongs);
        assert!(frames.iter().all(|frame| read(frame) == (Form::LEAN, vec![Message::Pong(5)])));
    }
    // What may not be broadcast may not be so in a lean frame.
    let mut bytes = frame(&good, &[&ping()]);
    let received =
        Received { link: LINK, cast: Cast::Broadcast, origin: Origin::Network, bytes: &mut bytes };
    scene.core.handle_frame(scene.now, received);
    assert_eq!(scene.dropped(Drop::Misaddressed), 1);
}

#[test]
fn limits_hold_for_lean_frames() {
    let config = Config::default().with_max_messages_per_frame(3).with_max_depth(4);
    let mut scene = Scene::with_peer(msgpack_first(), config, 42);
    let head = scene.head();
    for (count, too_many) in [(3, 0), (4, 1)] {
        let pings: Vec<_> = (0..count).map(Message::Ping).collect();
        scene.hand(&scene.lean(head, &pings));
        let frames = scene.frames();
        assert_eq!(read(&frames[0]).1.len(), 3);
        assert_eq!(scene.dropped(Drop::TooManyMessages), too_many);
    }
    // The message, the list of arguments and two more in it.
    for (depth, too_deep) in [(3, 0), (4, 1)] {
        let args = [vec![0x91; depth - 1], vec![0x90]].concat();
        let Message::Call(call) = call_of(head, 1, "f") else { unreachable!() };
        scene.hand(&scene.lean(head, &[Message::Call(Call { args: &args, ..call })]));
        assert_eq!(scene.dropped(Drop::TooDeep), too_deep);
    }
    let config = Config::default().with_max_nodes(64);
    let mut scene = Scene::with_peer(msgpack_first(), config, 42);
    // The head costs 4, a ping 5: one budget for the frame.
    for (count, too_many) in [(12, 0), (13, 1)] {
        let pings: Vec<_> = (0..count).map(Message::Ping).collect();
        scene.hand(&scene.lean(scene.head(), &pings));
        assert_eq!(scene.dropped(Drop::TooMany), too_many);
    }
}

/// Whoever waits for a message that goes beyond a bound is told, by what stands before that: the
/// caller that its function did not run, this node's own call that it ran. Nobody else is.
#[test]
fn whoever_waits_for_what_is_beyond_a_bound_is_told() {
    let config = Config::default().with_max_depth(4).with_max_nodes(100);
    let mut scene = Scene::with_peer(msgpack_first(), config, 42);
    let head = scene.head();
    let (deep, many) = ([0x91, 0x91, 0x91, 0x91, 0x90], [&[0xdc, 0, 120][..], &[7; 120]].concat());
    for (args, why, limit) in
        [(&deep[..], Drop::TooDeep, "max_depth"), (&many, Drop::TooMany, "max_nodes")]
    {
        let Message::Call(call) = call_of(head, 1, "f") else { unreachable!() };
        let call = Call { args, ..call };
        let id = call.id.clone();
        // It spoils what stands behind it, not what stands before.
        let frame =
            scene.lean(head, &[Message::Ping(1), Message::Call(call.clone()), Message::Ping(2)]);
        scene.hand(&frame);
        assert_eq!(scene.dropped(why), 1);
        let frames = scene.frames();
        let (form, messages) = read(&frames[0]);
        let [Message::Pong(1), Message::Error(failure)] = &messages[..] else {
            panic!("{messages:?}")
        };
        assert_eq!((form, &failure.id), (Form::LEAN, &id));
        let fault = &failure.fault;
        assert_eq!((fault.code, fault.executed), (ErrorCode::TOO_LARGE, Executed::No));
        assert!(fault.message.contains(limit), "{}", fault.message);
        // Nobody waits for one without an id, and what is said to everybody is no call.
        scene.hand(&scene.lean(head, &[Message::Call(Call { id: None, ..call.clone() })]));
        let mut bytes = scene.lean(head, &[Message::Call(call)]);
        let (cast, origin) = (Cast::Broadcast, Origin::Network);
        scene
            .core
            .handle_frame(scene.now, Received { link: LINK, cast, origin, bytes: &mut bytes });
        assert_eq!((scene.dropped(why), scene.frames().len()), (3, 0));

        // One for an earlier life of the node, which may have run it.
        let earlier = Head::new(PEER, Some(scene.core.session().short() ^ 1));
        let Message::Call(call) = call_of(earlier, 2, "f") else { unreachable!() };
        scene.hand(&scene.lean(earlier, &[Message::Call(Call { args, ..call })]));
        let frames = scene.frames();
        let [Message::Error(failure)] = &read(&frames[0]).1[..] else { panic!("an error") };
        assert_eq!(failure.fault.executed, Executed::Maybe);

        let before = scene.dropped(why);
        let key = scene.call(b"\x90");
        scene.frames();
        let id = scene.core.exe_id(key).unwrap();
        let answer =
            |id| Callback { id: WireId::Native(id), result: args, token: None, attempt: 0 };
        let of_another = ExeId { random: id.random ^ 1, ..id };
        scene.hand(&scene.lean(head, &[Message::Callback(answer(of_another))]));
        assert!(!scene.core.is_done(key), "an answer to a call that is none");
        scene.hand(&scene.lean(head, &[Message::Callback(answer(id))]));
        assert_eq!(scene.dropped(why), before + 2);
        let Some(Outcome::One(answer)) = scene.core.take(key) else { panic!("it is over") };
        let error = answer.result.unwrap_err();
        assert_eq!((error.code, error.executed), (ErrorCode::TOO_LARGE, Executed::Yes));
        assert!(error.message.contains(limit), "{error}");
        let frames = scene.frames();
        let told = frames.iter().flat_map(|frame| read(frame).1).collect::<Vec<_>>();
        assert!(told.iter().all(|message| matches!(message, Message::Ack(_))), "{told:?}");
    }
}

/// Large arguments stay where their frame arrived, and other memory takes its place; what is not
/// kept leaves the memory where it is.
#[test]
fn memory_with_a_large_frame_is_kept_with_its_arguments_and_only_then() {
    let mut scene = Scene::with_peer(msgpack_first(), Config::default(), 42);
    let head = scene.head();
    let args = [&[0x91, 0xc5, 0xf0, 0][..], &[7; 0xf000]].concat();
    let lend = |scene: &mut Scene, number, function| {
        let Message::Call(call) = call_of(head, number, function) else { unreachable!() };
        let frame = scene.lean(head, &[Message::Call(Call { args: &args, ..call })]);
        let (mut memory, bytes) = ([b"before", &*frame].concat(), 6..6 + frame.len());
        let place = memory.as_ptr_range();
        let (cast, origin) = (Cast::Unicast, Origin::Network);
        let lent = Lent { link: LINK, cast, origin, memory: &mut memory, bytes };
        scene.core.handle_lent(scene.now, lent);
        (place, memory)
    };
    let (place, left) = lend(&mut scene, 1, "f");
    assert!(left.capacity() == 0, "there is none to take its place yet");
    let Some(TaskStep::Run(task)) = scene.core.poll_task(scene.now) else { panic!("it runs") };
    assert_eq!(task.args.positional(), args);
    let held = task.args.shared().expect("it is held where it arrived");
    assert!(place.contains(&held.as_ptr()));
    drop(task);
    let (other, left) = lend(&mut scene, 2, "unknown");
    assert!(left.len() > args.len() && left.as_ptr() == other.start, "nobody keeps it");
    let (_, left) = lend(&mut scene, 3, "f");
    assert_eq!(left.as_ptr(), place.start, "what came home takes its place");
}

/// A frame with one of everything a peer may send.
fn rich_frame(scene: &Scene, waiting: ExeId) -> Vec<u8> {
    let head = scene.head();
    let own = WireId::Native(ExeId { session: PEER, number: 1, random: 9 });
    let answer = Callback {
        id: WireId::Native(waiting),
        result: b"\x81\xa1a\x92\x01\xc0",
        token: None,
        attempt: 0,
    };
    let messages = [
        call_of(head, 1, "f"),
        Message::Cancel(own),
        Message::Ping(300),
        Message::Callback(answer),
        call_of(head, 70_000, "nosuch"),
    ];
    scene.lean(head, &messages)
}

#[test]
fn a_frame_cut_at_any_byte_is_read_up_to_the_cut() {
    let mut scene = Scene::with_peer(msgpack_first(), Config::default(), 42);
    let key = scene.call(b"\x90");
    let frame = rich_frame(&scene, scene.core.exe_id(key).unwrap());
    let mut ends = Vec::new();
    let mut reader = FrameReader::new(&MsgpackCodec, &frame, AMPLE).unwrap();
    let (_, mut at) = Head::read(&MsgpackCodec, &frame, &mut AMPLE.clone()).unwrap();
    ends.push(at);
    while !reader.is_empty() {
        reader.read().unwrap().unwrap();
        at += MsgpackCodec.read_map(&frame[at..], &mut AMPLE.clone(), &mut |_, _| Ok(())).unwrap();
        ends.push(at);
    }
    assert_eq!((ends.len(), at), (6, frame.len()));
    for cut in 0..=frame.len() {
        let mut scene = Scene::with_peer(msgpack_first(), Config::default(), 42);
        let key = scene.call(b"\x90");
        // The same seed draws the same ids.
        assert_eq!(rich_frame(&scene, scene.core.exe_id(key).unwrap()), frame);
        let before = scene.core.counters().clone();
        scene.hand(&frame[..cut]);
        let after = scene.core.counters();
        let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
        let accepted = after.messages_accepted - before.messages_accepted;
        assert_eq!(accepted, u64::try_from(whole).unwrap(), "cut at {cut}");
        let dropped = after.dropped_total() - before.dropped_total();
        assert_eq!(dropped, u64::from(!ends.contains(&cut)), "cut at {cut}");
    }
}

/// The frame with some bytes changed, taken away or put in.
fn mutated(dice: &mut Dice, frame: &[u8]) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    for _ in 0..=dice.place(4) {
        let at = dice.place(bytes.len());
        match dice.place(6) {
            0 => bytes[at] = byte(dice),
            1 => bytes[at] ^= 1 << dice.place(8),
            2 => bytes.truncate(at.max(1)),
            3 => bytes.insert(at, byte(dice)),
            4 if bytes.len() > 1 => drop(bytes.remove(at)),
            _ => {
                let from = dice.place(bytes.len());
                let piece = bytes[from..(from + dice.place(20)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

#[test]
fn ten_thousand_malformed_frames_are_counted_and_leave_nothing_behind() {
    let mut scene = Scene::with_peer(msgpack_first(), Config::default(), 42);
    let key = scene.call(b"\x90");
    let valid = rich_frame(&scene, scene.core.exe_id(key).unwrap());
    scene.core.cancel(scene.now, key);
    scene.pass(1);
    let _ = scene.core.take(key);
    let mut dice = Dice::new(7, 0);
    let before = scene.core.counters().clone();
    for round in 0..10_000_u64 {
        let frame = if round % 4 == 0 {
            let mut random: Vec<u8> = (0..dice.place(LIMIT)).map(|_| byte(&mut dice)).collect();
            random.insert(0, 0x90 + byte(&mut dice) % 16);
            random
        } else {
            mutated(&mut dice, &valid)
        };
        scene.hand(&frame);
        scene.run();
        for frame in scene.frames() {
            assert!(frame.len() <= LIMIT);
        }
        let counters = scene.core.counters();
        assert_eq!(counters.frames_received, before.frames_received + round + 1);
        assert_eq!(counters.frames_received, counters.frames_accepted + counters.dropped_total());
    }
    let counters = scene.core.counters();
    assert!(counters.dropped(Drop::Malformed) > 1000, "{counters:?}");
    assert!(counters.dropped(Drop::BadField) > 100, "{counters:?}");
    // Callers that nobody knows are forgotten after half a minute, the peer lives on.
    for _ in 0..10 {
        scene.pass(4);
        scene.hand(hello_of_far(42).as_bytes());
    }
    scene.pass(1);
    let left = scene.core.tables();
    assert!(left.callers <= 1, "{left:?}");
    assert_eq!([left.links, left.peers, left.functions], [1, 1, 2]);
    assert_eq!([left.open_calls, left.results, left.queued, left.running, left.outbox], [0; 5]);
    let head = scene.head();
    scene.hand(&scene.lean(head, &[call_of(head, 1 << 40, "f")]));
    scene.run();
    let frames = scene.frames();
    assert!(matches!(&read(&frames[0]).1[..], [Message::Callback(_)]), "it still serves");
}

/// What the answers in frames say: the number of their call, and of its copy.
fn copies(frames: &[Vec<u8>]) -> Vec<(u64, u8)> {
    let messages = frames.iter().flat_map(|frame| read(frame).1);
    let copy = |message| match message {
        Message::Callback(Callback { id: WireId::Native(id), attempt, .. })
        | Message::Error(Failure { id: Some(WireId::Native(id)), attempt, .. }) => {
            Some((id.number, attempt))
        }
        _ => None,
    };
    messages.filter_map(copy).collect()
}

fn copy_of(message: Message<'_>, attempt: u8) -> Message<'_> {
    let Message::Call(call) = message else { panic!("{message:?}") };
    Message::Call(Call { attempt, ..call })
}

#[test]
fn an_answer_names_the_copy_that_brought_it_out_to_whom_that_means_something() {
    for features in [107, 43] {
        let names = |attempt| if features == 107 { attempt } else { 0 };
        let mut scene = Scene::with_peer(msgpack_first(), Config::default(), features);
        let head = scene.head();
        let answers = |scene: &mut Scene, number, function, attempt| {
            let call = copy_of(call_of(head, number, function), attempt);
            scene.hand(&scene.lean(head, &[call]));
            scene.run();
            copies(&scene.frames())
        };
        for attempt in [0, 1, 2, 2, 200] {
            assert_eq!(answers(&mut scene, 1, "f", attempt), [(1, names(attempt))]);
        }
        // Refused ones too.
        for attempt in [1, 0, 3] {
            assert_eq!(answers(&mut scene, 2, "nosuch", attempt), [(2, names(attempt))]);
        }
        // What is sent again unasked is of no copy. Nor is what was asked for.
        scene.now = scene.now + Duration::from_millis(500);
        scene.core.handle_timeout(scene.now);
        assert_eq!(copies(&scene.frames()), [(1, names(NO_COPY))]);
        let id = ExeId { session: PEER, number: 1, random: 9 };
        scene.hand(&scene.lean(head, &[Message::Probe(WireId::Native(id))]));
        assert_eq!(copies(&scene.frames()), [(1, names(NO_COPY))]);
    }
}

#[test]
fn a_round_trip_is_measured_from_the_copy_that_was_answered() {
    let ms = Duration::from_millis;
    for (features, copy, measured) in [
        (107, 0, Some(ms(410))),
        (107, 1, Some(ms(210))),
        (107, 2, None),
        (107, NO_COPY, None),
        // Karn's rule: nothing is known of what was sent twice.
        (43, 1, None),
    ] {
        let mut scene = Scene::with_peer(msgpack_first(), Config::default(), features);
        let key = scene.call(b"\x90");
        assert_eq!(scene.frames().len(), 1);
        for (passed, sent) in [(200, 1), (210, 0)] {
            scene.now = scene.now + ms(passed);
            scene.core.handle_timeout(scene.now);
            assert_eq!(scene.frames().len(), sent, "it is sent again after 200 ms, and then 400");
        }
        let id = WireId::Native(scene.core.exe_id(key).unwrap());
        let answer = Callback { id, result: b"\x01", token: None, attempt: copy };
        scene.hand(&scene.lean(scene.head(), &[Message::Callback(answer)]));
        assert!(scene.core.take(key).is_some_and(|outcome| outcome.is_success()));
        let round_trip = scene.core.peers(scene.now)[0].round_trip;
        assert_eq!(round_trip, measured, "{features}, {copy}");
        assert_eq!(scene.core.counters().round_trips, u64::from(measured.is_some()));
    }
}
