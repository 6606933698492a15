//! Lean frames carry what S0's nine keys carry.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use lanc_codec::{JsonCodec, MsgpackCodec};
use lanc_core::dialect::frame::{FrameReader, FrameWriter};
use lanc_core::dialect::lean::Head;
use lanc_core::dialect::native::Unreadable;
use lanc_core::dialect::{Form, lean};
use lanc_core::error::{ErrorCode, Executed, Fault};
use lanc_core::id::{ExeId, SessionId};
use lanc_core::message::{
    Ack, Call, CallState, Callback, Failure, Message, Receipt, ReplyTo, WireId,
};
use lanc_core::ports::{Budget, Codec, DecodeError, Item};
use proptest::prelude::*;

const AMPLE: Budget = Budget { depth: 64, nodes: 65_536 };
const OTHER: u64 = 0x1011_1213_1415_1617;
const HEAD: Head =
    Head { minor: 2, sender: 0x2021_2223_2425_2627, receiver: Some(OTHER), watermark: None };

/// The frame of some messages.
fn frame(writer: &FrameWriter, messages: &[Message<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages {
        writer.begin(&mut out);
        assert!(writer.write(message, &mut out), "{message:?}");
    }
    out
}

fn lean_frame(head: Head, messages: &[Message<'_>]) -> Vec<u8> {
    frame(&FrameWriter::lean(Arc::new(MsgpackCodec), head), messages)
}

/// What is read of a frame, up to the first byte that cannot be.
fn read(bytes: &[u8]) -> (Vec<Result<Message<'_>, Unreadable>>, Option<DecodeError>) {
    let mut reader = FrameReader::new(&MsgpackCodec, bytes, AMPLE).expect("the head is whole");
    let mut messages = Vec::new();
    while !reader.is_empty() {
        match reader.read() {
            Ok(message) => messages.push(message.map_err(|unread| unread.why)),
            Err(error) => return (messages, Some(error.why)),
        }
    }
    (messages, None)
}

fn whole(bytes: &[u8]) -> Vec<Message<'_>> {
    let (messages, error) = read(bytes);
    assert_eq!(error, None);
    messages.into_iter().map(|message| message.expect("a message")).collect()
}

/// One message under [`HEAD`], of these entries.
fn entries(entries: &[(&str, Item<'_>)]) -> Vec<u8> {
    let mut out = Vec::new();
    HEAD.write(&MsgpackCodec, &mut out);
    MsgpackCodec.write_map(entries, &mut out);
    out
}

fn one(bytes: &[u8]) -> Result<Message<'_>, Unreadable> {
    let (mut messages, error) = read(bytes);
    assert_eq!((messages.len(), error), (1, None));
    messages.remove(0)
}

fn id(session: u64, number: u64, random: u32) -> WireId<'static> {
    WireId::Native(ExeId { session, number, random })
}

/// A value of the user's, encoded.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(b"\xc0".to_vec()),
        any::<i64>().prop_map(|number| {
            let mut out = Vec::new();
            MsgpackCodec.write_item(&Item::Int(number), &mut out);
            out
        }),
        ".{0,40}".prop_map(|text| {
            let mut out = Vec::new();
            MsgpackCodec.write_item(&Item::Text(text.into()), &mut out);
            out
        }),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(|l| list(&l)))
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let items: Vec<_> = items.iter().map(|item| Item::Encoded(item)).collect();
    let mut out = Vec::new();
    MsgpackCodec.write_list(&items, &mut out);
    out
}

#[derive(Clone, Debug)]
struct Drawn {
    head: Head,
    method: u8,
    number: u64,
    random: u32,
    with_id: bool,
    text: String,
    list: Option<Vec<u8>>,
    named: Option<Vec<u8>>,
    value: Vec<u8>,
    millis: Option<u64>,
    flag: bool,
    code: u16,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let head = (any::<u64>(), any::<u64>(), any::<Option<u64>>());
    let id = (1..=u64::MAX, any::<u32>(), any::<bool>());
    let list = prop::option::of(prop::collection::vec(value(), 0..4).prop_map(|l| list(&l)));
    let named = prop::option::of((".{0,8}", value()).prop_map(|(key, value)| {
        let mut out = Vec::new();
        MsgpackCodec.write_map(&[(key.as_str(), Item::Encoded(&value))], &mut out);
        out
    }));
    let rest = (".{0,40}", value(), prop::option::of(any::<u64>()), any::<bool>(), 1..=u16::MAX);
    (head, 0..8_u8, id, list, named, rest).prop_map(|(head, method, id, list, named, rest)| Drawn {
        head: Head { watermark: head.2, ..Head::new(head.0, Some(head.1)) },
        method,
        number: id.0,
        random: id.1,
        with_id: id.2,
        text: rest.0,
        list,
        named,
        value: rest.1,
        millis: rest.2,
        flag: rest.3,
        code: rest.4,
    })
}

impl Drawn {
    fn receipt(&self, state: CallState) -> Receipt {
        if self.flag {
            return Receipt::Answer { watermark: self.head.watermark };
        }
        Receipt::Call { state, attempt: self.random.to_be_bytes()[0] }
    }

    /// Of every method that has a lean form.
    fn message(&self) -> Message<'_> {
        let own = id(self.head.sender, self.number, self.random);
        let theirs = id(self.head.receiver.unwrap(), self.number, self.random);
        let token = self.flag.then_some(self.number);
        let picked = usize::from(self.code % 4);
        let [attempt, ..] = self.random.to_be_bytes();
        match self.method {
            0 => Message::Call(Call {
                id: self.with_id.then_some(own),
                function: Cow::Borrowed(&self.text),
                args: self.list.as_deref().unwrap_or_default(),
                kwargs: self.named.as_deref().unwrap_or_default(),
                to: self.head.receiver,
                deadline_ms: self.millis,
                one_way: self.flag,
                reply_to: token.map(|token| ReplyTo { port: self.code, token }),
                stream: token.map(|_| self.random),
                attempt,
                watermark: self.head.watermark,
            }),
            1 => Message::Callback(Callback { id: theirs, result: &self.value, token, attempt }),
            2 => Message::Error(Failure {
                id: self.with_id.then_some(theirs),
                fault: Fault {
                    code: ErrorCode(self.code),
                    message: self.text.clone(),
                    executed: [Executed::No, Executed::Maybe, Executed::Yes, Executed::No][picked],
                    retry_after: self.millis.map(Duration::from_millis),
                },
                token,
                attempt,
            }),
            3 => Message::Ack(Ack {
                id: if self.flag { own } else { theirs },
                receipt: self.receipt(
                    [CallState::Queued, CallState::Running, CallState::Done, CallState::Unknown]
                        [picked],
                ),
            }),
            4 => Message::Probe(own),
            5 => Message::Cancel(own),
            6 => Message::Ping(self.number),
            _ => Message::Pong(self.number),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lean_and_nine_keys_carry_the_same(drawn in prop::collection::vec(drawn(), 1..5)) {
        let head = drawn[0].head;
        let drawn: Vec<_> = drawn.into_iter().map(|drawn| Drawn { head, ..drawn }).collect();
        let messages: Vec<_> = drawn.iter().map(Drawn::message).collect();
        let lean = lean_frame(head, &messages);
        let nine = frame(&FrameWriter::native(Arc::new(MsgpackCodec)), &messages);
        prop_assert!(lean.len() < nine.len());
        prop_assert_eq!(&whole(&lean), &messages);
        prop_assert_eq!(whole(&nine), messages);
    }

    #[test]
    fn any_bytes_behind_any_head_are_a_message_or_an_error(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200), first in 0x90..=0x9f_u8,
    ) {
        bytes.insert(0, first);
        if let Ok(mut reader) = FrameReader::new(&MsgpackCodec, &bytes, AMPLE) {
            prop_assert_eq!(reader.form(), Form::LEAN);
            while !reader.is_empty() && reader.read().is_ok() {}
        }
    }
}

#[test]
fn what_the_head_cannot_carry_is_not_written() {
    let call = |id, to| {
        let (args, kwargs) = (&b""[..], &b""[..]);
        let function = Cow::Borrowed("add");
        Message::Call(Call {
            id,
            function,
            args,
            kwargs,
            to,
            deadline_ms: None,
            one_way: false,
            reply_to: None,
            stream: None,
            attempt: 0,
            watermark: None,
        })
    };
    let (token, attempt) = (None, 0);
    let callback = |id| Message::Callback(Callback { id, result: b"\x01", token, attempt });
    let failure = |id| {
        let fault = Fault::new(ErrorCode::BUSY, "");
        Message::Error(Failure { id, fault, token, attempt })
    };
    let (own, theirs) = (|| id(HEAD.sender, 1, 2), || id(OTHER, 1, 2));
    let writer = FrameWriter::lean(Arc::new(MsgpackCodec), HEAD);
    for (message, fits) in [
        (call(Some(own()), Some(OTHER)), true),
        (call(None, Some(OTHER)), true),
        (call(Some(own()), Some(OTHER + 1)), false),
        (call(Some(own()), None), false),
        (call(Some(theirs()), Some(OTHER)), false),
        (call(Some(WireId::Number(1)), Some(OTHER)), false),
        (call(Some(id(HEAD.sender, 0, 2)), Some(OTHER)), false),
        (callback(theirs()), true),
        (callback(own()), false),
        (callback(WireId::Text("a".into())), false),
        (callback(WireId::Number(1)), false),
        (failure(Some(theirs())), true),
        (failure(None), true),
        (failure(Some(own())), false),
        (Message::Cancel(own()), true),
        (Message::Cancel(theirs()), false),
        (Message::Probe(theirs()), false),
        (Message::Bye(SessionId([0; 16])), false),
    ] {
        let mut out = b"kept".to_vec();
        assert_eq!(writer.write(&message, &mut out), fits, "{message:?}");
        assert_eq!(out.len() > 4, fits, "{message:?}");
    }
    let nobody = FrameWriter::lean(Arc::new(MsgpackCodec), Head { receiver: None, ..HEAD });
    assert!(!nobody.write(&callback(theirs()), &mut Vec::new()));
    assert!(nobody.write(&call(Some(own()), None), &mut Vec::new()));
}

#[test]
fn heads_are_read_generously_and_only_whole() {
    let read = |items: &[Item<'_>]| {
        let mut out = Vec::new();
        MsgpackCodec.write_list(items, &mut out);
        Head::read(&MsgpackCodec, &out, &mut AMPLE.clone()).map(|(head, used)| {
            assert_eq!(used, out.len());
            head
        })
    };
    let broken = Err(Unreadable::Field(DecodeError::Malformed(0)));
    let (two, session) = (Item::Int(2), Item::Uint(u64::MAX));
    let head = Head { minor: 2, sender: u64::MAX, receiver: None, watermark: None };
    assert_eq!(read(&[two.clone(), session.clone(), Item::Null]), Ok(head));
    let more = [two.clone(), session.clone(), Item::Int(5), Item::Bool(true), Item::List(&[])];
    assert_eq!(read(&more), Ok(Head { receiver: Some(5), ..head }));
    let newer = [Item::Int(3), session.clone(), Item::Null];
    assert_eq!(read(&newer), Ok(Head { minor: 3, ..head }));
    assert_eq!(read(&[Item::Int(1), session.clone(), Item::Null]), Err(Unreadable::Version));
    for items in [
        &[][..],
        std::slice::from_ref(&two),
        &[two.clone(), session.clone()],
        &[Item::Null, session.clone(), Item::Null],
        &[Item::Int(65_536), session.clone(), Item::Null],
        &[two.clone(), Item::Int(-1), Item::Null],
        &[two.clone(), Item::Null, Item::Null],
        &[two.clone(), session.clone(), Item::Bool(false)],
        &[two.clone(), session, Item::Text("5".into())],
    ] {
        assert_eq!(read(items), broken, "{items:?}");
    }
    assert!(lean::is_claimed_by(&MsgpackCodec));
    assert!(!lean::is_claimed_by(&JsonCodec));
}

#[test]
fn a_message_is_told_by_its_method_or_by_what_it_alone_has() {
    let (f, v, e) = (("f", Item::Text("f".into())), ("v", Item::Int(1)), ("e", Item::Int(4)));
    let (i, r) = (("i", Item::Int(1)), ("r", Item::Int(2)));
    let both = [i.clone(), r.clone()];
    let with = |more: &[(&'static str, Item<'static>)]| entries(&[&both[..], more].concat());
    let number = |number| ("m", Item::Int(number));
    let method = |bytes: &[u8]| one(bytes).map(|message| message.method().name());
    let wrong = Err(Unreadable::Field(DecodeError::WrongType));
    assert_eq!(method(&with(std::slice::from_ref(&f))), Ok("call"));
    assert_eq!(method(&with(std::slice::from_ref(&v))), Ok("callback"));
    assert_eq!(method(&with(std::slice::from_ref(&e))), Ok("error"));
    assert_eq!(method(&with(&[f.clone(), v.clone()])), wrong);
    assert_eq!(method(&with(&[v.clone(), e.clone()])), wrong);
    assert_eq!(method(&with(&[])), wrong);
    assert_eq!(method(&with(&[f.clone(), v.clone(), number(3)])), Ok("call"));
    assert_eq!(method(&with(&[f.clone(), v, number(4)])), Ok("callback"));
    assert_eq!(method(&with(&[f.clone(), e, number(5)])), Ok("error"));
    assert_eq!(method(&with(&[number(7)])), Ok("probe"));
    assert_eq!(method(&with(&[number(8)])), Ok("cancel"));
    // Hello, func, bye and what a later version may have; whatever its keys are.
    for unknown in [0, 1, 2, 9, 12, 4711] {
        let odd = ("d", Item::Text("soon".into()));
        assert_eq!(method(&with(&[number(unknown), odd])), Err(Unreadable::UnknownMethod));
    }
    assert_eq!(method(&with(&[("m", Item::Text("call".into())), f])), wrong);
}

#[test]
fn a_wrong_field_spoils_its_message_and_no_other() {
    let good = [("m", Item::Int(10)), ("n", Item::Int(5))];
    let call = [
        ("i", Item::Int(1)),
        ("r", Item::Int(2)),
        ("f", Item::Text("add".into())),
        ("zz", Item::Int(3)),
        ("", Item::Null),
    ];
    assert!(one(&entries(&call)).is_ok(), "unknown keys are ignored");
    let text = || Item::Text("x".into());
    for (key, item, caller_is_known) in [
        ("i", Item::Int(0), false),
        ("i", Item::Int(-1), false),
        ("i", text(), false),
        ("r", Item::Null, false),
        ("r", Item::Int(1 << 32), false),
        ("f", Item::Int(1), true),
        ("a", Item::Map(&[]), true),
        ("k", Item::List(&[]), true),
        ("d", text(), true),
        ("d", Item::Int(-1), true),
    ] {
        let mut bytes = entries(&[&call[..], &[(key, item.clone())]].concat());
        MsgpackCodec.write_map(&good, &mut bytes);
        let mut reader = FrameReader::new(&MsgpackCodec, &bytes, AMPLE).unwrap();
        let unread = reader.read().unwrap().unwrap_err();
        assert_eq!(unread.why, Unreadable::Field(DecodeError::WrongType), "{key} {item:?}");
        let known = caller_is_known.then(|| id(HEAD.sender, 1, 2));
        assert_eq!(unread.call, known, "{key} {item:?}");
        assert_eq!(reader.read().unwrap(), Ok(Message::Ping(5)));
        assert!(reader.is_empty());
    }
}

#[test]
fn errors_are_read_generously() {
    let error = |more: &[(&'static str, Item<'static>)]| match one(&entries(
        &[&[("e", Item::Int(7))], more].concat(),
    )) {
        Ok(Message::Error(failure)) => failure.fault,
        other => panic!("{other:?}"),
    };
    let text = || Item::Text("x".into());
    assert_eq!(error(&[]), Fault::new(ErrorCode::TIMEOUT, ""));
    for (code, read) in [
        (Item::Int(0), ErrorCode::PROTOCOL),
        (Item::Int(65_536), ErrorCode::INTERNAL),
        (text(), ErrorCode::INTERNAL),
    ] {
        assert_eq!(error(&[("e", code)]), Fault::new(read, ""));
    }
    for (item, read) in [
        (Item::Int(0), Executed::No),
        (Item::Int(1), Executed::Maybe),
        (Item::Int(2), Executed::Yes),
        (Item::Int(3), Executed::Maybe),
        (text(), Executed::Maybe),
    ] {
        assert_eq!(error(&[("x", item)]).executed, read);
    }
    let odd = error(&[("t", Item::Int(1)), ("w", text())]);
    assert_eq!(odd, Fault::new(ErrorCode::TIMEOUT, ""));
}

#[test]
fn a_full_datagram_holds_43_calls_at_least() {
    let mut args = Vec::new();
    MsgpackCodec.write_list(&[Item::Int(1), Item::Int(2)], &mut args);
    let writer = FrameWriter::lean(Arc::new(MsgpackCodec), HEAD);
    // How many there are depends on how long the session has been calling.
    for (first, calls, most) in
        [(1, 53, 27), (200, 51, 28), (60_000, 50, 29), (u64::from(u32::MAX) - 99, 46, 31)]
    {
        let mut out = Vec::new();
        let mut count = 0;
        loop {
            let before = out.len();
            writer.begin(&mut out);
            let head = if count == 0 { out.len() } else { 0 };
            let call = Call {
                id: Some(id(HEAD.sender, first + count, 0x9f2c_4e1a)),
                function: Cow::Borrowed("add"),
                args: &args,
                kwargs: b"",
                to: HEAD.receiver,
                deadline_ms: Some(30_000),
                one_way: false,
                reply_to: None,
                stream: None,
                attempt: 0,
                watermark: HEAD.watermark,
            };
            assert!(writer.write(&Message::Call(call), &mut out));
            if out.len() > 1472 {
                break;
            }
            assert!(out.len() - before - head <= most);
            count += 1;
        }
        assert_eq!(count, calls, "from call {first}");
        assert!(count >= 43);
    }
}
