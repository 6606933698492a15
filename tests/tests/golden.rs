//! The bytes of wire protocol 0.2, as `docs/protocol.md` prints them. They never change; another
//! version gets another file.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use lanc_codec::{JsonCodec, MsgpackCodec};
use lanc_core::dialect::frame::{FrameReader, FrameWriter};
use lanc_core::dialect::lean::Head;
use lanc_core::dialect::native::{self, Unreadable};
use lanc_core::error::{ErrorCode, Fault};
use lanc_core::fields::Fields;
use lanc_core::id::{ExeId, SessionId, Version};
use lanc_core::message::{
    Ack, Call, CallState, Callback, Failure, Features, Func, Hello, Message, Receipt, ReplyTo,
    WireId,
};
use lanc_core::ports::Budget;

const GOLDEN: &str = include_str!("../golden/wire-0.2.jsonl");
const DOCUMENT: &str = include_str!("../../docs/protocol.md");

fn session(first: u8) -> SessionId {
    SessionId(std::array::from_fn(|place| first + u8::try_from(place).unwrap()))
}

fn id() -> WireId<'static> {
    let session = session(0x20).short();
    WireId::Native(ExeId { session, number: 1, random: 0x9f2c_4e1a })
}

fn hello(name: &'static str, session: SessionId, revision: u64) -> Hello<'static> {
    Hello {
        version: Version::NATIVE,
        session,
        name: Cow::Borrowed(name),
        interval: Duration::from_secs(6),
        revision,
        features: Features::CANCEL.with(Features::ACK),
        token: None,
        echo: None,
        receiver: None,
        wants: false,
        connection_port: None,
        load: 0,
    }
}

fn func(part: u16, parts: u16, names: &[&'static str]) -> Message<'static> {
    let names = names.iter().map(|name| Cow::Borrowed(*name)).collect();
    let idempotent = Vec::new();
    Message::Func(Func {
        session: Some(session(0x10)),
        revision: 1,
        part,
        parts,
        names,
        idempotent,
    })
}

fn idempotent() -> Message<'static> {
    let Message::Func(func) = func(0, 1, &["add", "echo", "sleep", "fail"]) else { unreachable!() };
    Message::Func(Func { idempotent: vec![0, 1], ..func })
}

fn call(id: WireId<'static>, to: Option<u64>, deadline_ms: Option<u64>) -> Message<'static> {
    let function = Cow::Borrowed("add");
    let (args, kwargs, one_way) = (&b"[1,2]"[..], &b""[..], false);
    Message::Call(Call {
        id: Some(id),
        function,
        args,
        kwargs,
        to,
        deadline_ms,
        one_way,
        reply_to: None,
        stream: None,
        attempt: 0,
        watermark: None,
    })
}

/// In the order of the document.
fn messages() -> Vec<Message<'static>> {
    let strong = || hello("strong", session(0x10), 1);
    let (token, echo) = (Some(0xb1b2_b3b4_b5b6_b7b8), Some(0xa1a2_a3a4_a5a6_a7a8));
    let short = session(0x10).short();
    vec![
        Message::Hello(strong()),
        Message::Hello(Hello { token: echo, ..strong() }),
        Message::Hello(Hello { token, echo, ..hello("desk", session(0x20), 0) }),
        func(0, 1, &["add", "echo", "sleep", "fail"]),
        func(0, 2, &["add", "echo"]),
        idempotent(),
        call(id(), Some(short), Some(30_000)),
        call(WireId::Number(1), None, None),
        Message::Callback(Callback { id: id(), result: b"30", token: None, attempt: 0 }),
        Message::Callback(Callback { id: id(), result: b"30", token: None, attempt: 2 }),
        Message::Error(Failure {
            id: Some(id()),
            fault: Fault::new(ErrorCode::EXECUTION_ERROR, "can't open"),
            token: None,
            attempt: 0,
        }),
        Message::Cancel(id()),
        Message::Bye(session(0x10)),
        Message::Ping(7),
        Message::Ack(Ack {
            id: id(),
            receipt: Receipt::Call { state: CallState::Queued, attempt: 0 },
        }),
        Message::Ack(Ack { id: id(), receipt: Receipt::Answer { watermark: Some(4) } }),
        Message::Probe(id()),
    ]
}

#[test]
fn messages_are_written_and_read_byte_for_byte() {
    let lines: Vec<&str> = GOLDEN.lines().collect();
    let messages = messages();
    assert_eq!(lines.len(), messages.len());
    for (line, message) in lines.into_iter().zip(messages) {
        let mut written = Vec::new();
        native::write(&message, &JsonCodec, &mut written);
        assert_eq!(String::from_utf8(written).unwrap(), line);
        let mut budget = Budget { depth: 64, nodes: 65_536 };
        let (fields, used) = Fields::read(&JsonCodec, line.as_bytes(), &mut budget).unwrap();
        assert_eq!(used, line.len());
        assert_eq!(native::read(&fields, &JsonCodec, &mut budget), Ok(message), "{line}");
        assert!(DOCUMENT.contains(line), "docs/protocol.md does not print {line}");
    }
}

const LEAN: &str = include_str!("../golden/lean-0.2.txt");

/// From `desk` to `strong`, and the answers back, in the order of the document.
fn lean_messages() -> Vec<(Head, Message<'static>)> {
    let (desk, strong) = (session(0x20).short(), session(0x10).short());
    let there = Head::new(desk, Some(strong));
    let told = Head { watermark: Some(4), ..there };
    let back = Head::new(strong, Some(desk));
    let Message::Call(call) = call(id(), Some(strong), Some(30_000)) else { unreachable!() };
    let call = Call { args: b"\x92\x01\x02", ..call };
    let full = Call {
        kwargs: b"\x81\xa1b\x05",
        one_way: true,
        reply_to: Some(ReplyTo { port: 40_000, token: 7 }),
        stream: Some(3),
        ..call.clone()
    };
    let fault = Fault::new(ErrorCode::EXECUTION_ERROR, "can't open");
    let busy = Fault {
        retry_after: Some(Duration::from_millis(20)),
        ..Fault::new(ErrorCode::BUSY, "full")
    };
    let callback = Callback { id: id(), result: b"\x1e", token: None, attempt: 0 };
    vec![
        (there, Message::Call(call)),
        (there, Message::Call(full)),
        (back, Message::Callback(callback.clone())),
        (back, Message::Callback(Callback { attempt: 2, ..callback })),
        (back, Message::Error(Failure { id: Some(id()), fault, token: None, attempt: 0 })),
        (back, Message::Error(Failure { id: None, fault: busy, token: None, attempt: 0 })),
        (there, Message::Cancel(id())),
        (there, Message::Ping(7)),
        (back, Message::Pong(7)),
        (
            back,
            Message::Ack(Ack {
                id: id(),
                receipt: Receipt::Call { state: CallState::Queued, attempt: 0 },
            }),
        ),
        (told, Message::Ack(Ack { id: id(), receipt: Receipt::Answer { watermark: Some(4) } })),
        (there, Message::Probe(id())),
    ]
}

/// Hex digits, with what they mean behind `#`.
fn bytes(line: &str) -> Vec<u8> {
    let digits: String = line.split('#').next().unwrap_or_default().split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn lean_frames_are_written_and_read_byte_for_byte() {
    let mut lines = LEAN.lines();
    let messages = lean_messages();
    assert_eq!(LEAN.lines().count(), messages.len() + 1);
    let head = bytes(lines.next().unwrap());
    for (line, (its_head, message)) in lines.zip(messages) {
        let writer = FrameWriter::lean(Arc::new(MsgpackCodec), its_head);
        let mut frame = Vec::new();
        writer.begin(&mut frame);
        if its_head.watermark.is_some() {
            assert_eq!(frame, [&[0x94], &head[1..], &[4]].concat());
        } else if its_head.sender == session(0x20).short() {
            assert_eq!(frame, head);
        }
        let begin = frame.len();
        assert!(writer.write(&message, &mut frame));
        assert_eq!(frame[begin..], bytes(line), "{:02x?} is {line}", &frame[begin..]);
        let budget = Budget { depth: 64, nodes: 65_536 };
        let mut reader = FrameReader::new(&MsgpackCodec, &frame, budget).unwrap();
        assert_eq!(reader.read(), Ok(Ok(message)), "{line}");
        assert!(reader.is_empty());
    }
    for line in LEAN.lines() {
        assert!(DOCUMENT.contains(line), "docs/protocol.md does not print {line}");
    }
}

/// Reads the extension and the list of a func.
fn read_func(x: &str, data: &str) -> Result<(Vec<String>, Vec<u16>), Unreadable> {
    let text = format!(
        r#"{{"type":"LANC","method":"func","version":"0.2","data":{data},"x":{{"rev":1{x}}}}}"#
    );
    let mut budget = Budget { depth: 64, nodes: 65_536 };
    let (fields, _) = Fields::read(&JsonCodec, text.as_bytes(), &mut budget).unwrap();
    match native::read(&fields, &JsonCodec, &mut budget)? {
        Message::Func(func) => {
            Ok((func.names.iter().map(ToString::to_string).collect(), func.idempotent))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn functions_that_may_run_again_are_named_by_their_places_in_what_was_sent() {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let list = r#"["a","no name","b",7,"c"]"#;
    let all = names(&["a", "b", "c"]);
    assert_eq!(read_func("", list), Ok((all.clone(), vec![])));
    assert_eq!(read_func(r#","idem":[2,4]"#, list), Ok((all.clone(), vec![1, 2])));
    // Twice, no name, no function, and beyond the list.
    assert_eq!(read_func(r#","idem":[4,4,1,3,5,65535]"#, list), Ok((all.clone(), vec![2])));
    assert_eq!(read_func(r#","idem":[]"#, list), Ok((all, vec![])));
    let objects = r#"[{"name":"a"},"b",{"name":"c"}]"#;
    let (found, places) = read_func(r#","idem":[1,2]"#, objects).unwrap();
    let mut marked: Vec<_> = places.iter().map(|at| found[usize::from(*at)].as_str()).collect();
    marked.sort_unstable();
    assert_eq!(marked, ["b", "c"]);
    for wrong in ["0", "null", "true", "[-1]", "[65536]", r#"["a"]"#, "{}"] {
        let read = read_func(&format!(r#","idem":{wrong}"#), list);
        assert!(matches!(read, Err(Unreadable::Field(_))), "{wrong}: {read:?}");
    }
}
