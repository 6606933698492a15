//! The bytes of wire protocol 0.2, as `docs/protocol.md` prints them. They never change; another
//! version gets another file.

use std::borrow::Cow;
use std::time::Duration;

use lanc_codec::JsonCodec;
use lanc_core::dialect::native;
use lanc_core::error::{ErrorCode, Fault};
use lanc_core::fields::Fields;
use lanc_core::id::{ExeId, SessionId, Version};
use lanc_core::message::{
    Ack, Call, CallState, Callback, Failure, Features, Func, Hello, Message, WireId,
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
        features: Features::CANCEL,
        token: None,
        echo: None,
        wants: false,
        connection_port: None,
    }
}

fn func(part: u16, parts: u16, names: &[&'static str]) -> Message<'static> {
    let names = names.iter().map(|name| Cow::Borrowed(*name)).collect();
    Message::Func(Func { session: Some(session(0x10)), revision: 1, part, parts, names })
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
        call(id(), Some(short), Some(30_000)),
        call(WireId::Number(1), None, None),
        Message::Callback(Callback { id: id(), result: b"30", token: None }),
        Message::Error(Failure {
            id: Some(id()),
            fault: Fault::new(ErrorCode::EXECUTION_ERROR, "can't open"),
            token: None,
        }),
        Message::Cancel(id()),
        Message::Bye(session(0x10)),
        Message::Ping(7),
        Message::Ack(Ack { id: id(), state: CallState::Queued, attempt: 0 }),
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
