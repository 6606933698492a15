//! LANC's own messages, drawn from a seed.

use std::borrow::Cow;
use std::time::Duration;

use lanc_core::Token;
use lanc_core::error::{ErrorCode, Executed, Fault};
use lanc_core::id::{ExeId, FunctionName, SessionId, Version};
use lanc_core::message::{
    Ack, Call, CallState, Callback, Failure, Features, Func, Hello, Message, Method, Receipt,
    ReplyTo, WireId,
};

use super::draw::Draw;

fn attempt(draw: &mut Draw) -> u8 {
    u8::try_from(draw.below(256)).unwrap_or(0)
}

fn receipt(draw: &mut Draw) -> Receipt {
    if draw.flip() {
        return Receipt::Answer { watermark: draw.some(Draw::number) };
    }
    let states = [CallState::Queued, CallState::Running, CallState::Done, CallState::Unknown];
    Receipt::Call { state: *draw.pick(&states), attempt: attempt(draw) }
}

/// A message of `method`. `list`, `map` and `value` are encoded already.
pub(super) fn message<'a>(
    method: Method,
    draw: &mut Draw,
    [list, map, value]: [&'a [u8]; 3],
) -> Message<'a> {
    match method {
        Method::Hello => Message::Hello(hello(draw)),
        Method::Func => Message::Func(func(draw)),
        Method::Call => Message::Call(Call {
            id: draw.some(id),
            function: Cow::Owned(draw.text(20)),
            args: draw.some(|_| list).unwrap_or_default(),
            kwargs: draw.some(|_| map).unwrap_or_default(),
            to: draw.some(Draw::number),
            deadline_ms: draw.some(Draw::number),
            one_way: draw.flip(),
            reply_to: draw.some(|draw| ReplyTo { port: port(draw), token: draw.number() }),
            stream: draw.some(|draw| u32::try_from(draw.below(1 << 32)).unwrap_or(0)),
            attempt: attempt(draw),
            watermark: draw.some(Draw::number),
        }),
        Method::Callback => Message::Callback(Callback {
            id: id(draw),
            result: value,
            token: draw.some(Draw::number),
            attempt: attempt(draw),
        }),
        Method::Error => Message::Error(Failure {
            id: draw.some(id),
            fault: fault(draw),
            token: draw.some(Draw::number),
            attempt: attempt(draw),
        }),
        Method::Ack => Message::Ack(Ack { id: id(draw), receipt: receipt(draw) }),
        Method::Probe => Message::Probe(id(draw)),
        Method::Cancel => Message::Cancel(id(draw)),
        Method::Bye => Message::Bye(session(draw)),
        Method::Ping => Message::Ping(draw.number()),
        Method::Pong => Message::Pong(draw.number()),
    }
}

fn port(draw: &mut Draw) -> u16 {
    1 + u16::try_from(draw.below(65_535)).unwrap_or(0)
}

fn hello(draw: &mut Draw) -> Hello<'static> {
    let name: String = draw.text(12).chars().filter(|c| !c.is_control()).collect();
    Hello {
        version: Version::NATIVE,
        session: session(draw),
        name: Cow::Owned(format!("n{name}")),
        interval: Duration::from_millis(draw.number()),
        revision: draw.number(),
        features: Features(u32::try_from(draw.below(1 << 32)).unwrap_or(0)),
        token: draw.some(Draw::number),
        echo: draw.some(Draw::number),
        receiver: draw.some(Draw::number).and_then(Token::from_bits),
        wants: draw.flip(),
        connection_port: draw.some(port),
        load: u8::try_from(draw.below(256)).unwrap_or(0),
    }
}

fn func(draw: &mut Draw) -> Func<'static> {
    let parts = 1 + u16::try_from(draw.below(256)).unwrap_or(0);
    let part = u16::try_from(draw.below(usize::from(parts))).unwrap_or(0);
    let count = draw.below(6);
    let names = (0..count).map(|_| {
        let text: String = draw.text(20).chars().filter(char::is_ascii_alphanumeric).collect();
        let name = format!("f{text}");
        assert!(FunctionName::is_valid(&name), "{name}");
        Cow::Owned(name)
    });
    let names: Vec<_> = names.collect();
    let places = 0..u16::try_from(names.len()).unwrap_or(0);
    let idempotent = places.filter(|_| draw.flip()).collect();
    let (session, revision) = (draw.some(session), draw.number());
    Func { session, revision, part, parts, names, idempotent }
}

fn fault(draw: &mut Draw) -> Fault {
    Fault {
        code: ErrorCode(1 + u16::try_from(draw.below(65_535)).unwrap_or(0)),
        message: draw.text(40),
        executed: *draw.pick(&[Executed::No, Executed::Maybe, Executed::Yes]),
        retry_after: draw.some(|draw| Duration::from_millis(draw.number())),
    }
}

fn session(draw: &mut Draw) -> SessionId {
    SessionId(((u128::from(draw.u64()) << 64) | u128::from(draw.u64())).to_be_bytes())
}

fn id(draw: &mut Draw) -> WireId<'static> {
    match draw.below(3) {
        0 => WireId::Native(ExeId {
            session: draw.number(),
            number: draw.number().max(1),
            random: u32::try_from(draw.below(1 << 32)).unwrap_or(0),
        }),
        // Text of another shape than a native id.
        1 => WireId::Text(Cow::Owned(format!("#{}", draw.text(12)))),
        _ => WireId::Number(draw.number()),
    }
}
