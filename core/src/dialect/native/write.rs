//! From messages to bytes.

use std::borrow::Cow;

use crate::error::{Executed, Fault};
use crate::id::Version;
use crate::message::{Call, Func, Hello, Message, Method, WireId};
use crate::ports::{Codec, Item};

/// Appends a message: S0's fields in the order the published package writes them, absent ones
/// left out, and the extension object last.
pub fn write(message: &Message<'_>, codec: &dyn Codec, out: &mut Vec<u8>) {
    let mut data = Vec::new();
    let mut x = Vec::new();
    let mut parts = Parts::default();
    match message {
        Message::Hello(hello) => {
            hello_data(hello, codec, &mut data);
            parts.data = Some(Item::Encoded(&data));
        }
        Message::Func(func) => {
            let names: Vec<_> =
                func.names.iter().map(|name| Item::Text(Cow::Borrowed(name.as_ref()))).collect();
            codec.write_list(&names, &mut data);
            parts.data = Some(Item::Encoded(&data));
            func_extension(func, codec, &mut x);
        }
        Message::Call(call) => {
            parts.data = Some(Item::Text(Cow::Borrowed(&call.function)));
            parts.id = call.id.as_ref();
            parts.args = call.args;
            parts.kwargs = call.kwargs;
            call_extension(call, codec, &mut x);
        }
        Message::Callback(callback) => {
            let null = callback.result.is_empty();
            parts.data = Some(if null { Item::Null } else { Item::Encoded(callback.result) });
            parts.id = Some(&callback.id);
            token_extension(callback.token, codec, &mut x);
        }
        Message::Error(failure) => {
            error_data(&failure.fault, codec, &mut data);
            parts.data = Some(Item::Encoded(&data));
            parts.id = failure.id.as_ref();
            token_extension(failure.token, codec, &mut x);
        }
        Message::Ack(ack) => {
            let state = Item::Text(Cow::Borrowed(ack.state.name()));
            let attempt = Item::Uint(u64::from(ack.attempt));
            codec.write_map(&[("state", state), ("at", attempt)], &mut data);
            parts.data = Some(Item::Encoded(&data));
            parts.id = Some(&ack.id);
        }
        Message::Probe(id) | Message::Cancel(id) => parts.id = Some(id),
        Message::Bye(session) => {
            codec.write_map(&[("sid", text(session.to_string()))], &mut data);
            parts.data = Some(Item::Encoded(&data));
        }
        Message::Ping(number) | Message::Pong(number) => parts.data = Some(Item::Uint(*number)),
    }
    parts.write(message.method(), &x, codec, out);
}

/// The fields of one message on their way out.
#[derive(Default)]
struct Parts<'p> {
    data: Option<Item<'p>>,
    id: Option<&'p WireId<'p>>,
    args: &'p [u8],
    kwargs: &'p [u8],
}

impl Parts<'_> {
    fn write(self, method: Method, x: &[u8], codec: &dyn Codec, out: &mut Vec<u8>) {
        let word = |text: &'static str| Item::Text(Cow::Borrowed(text));
        let id = match self.id {
            None => Item::Null,
            Some(WireId::Native(id)) => text(id.to_string()),
            Some(WireId::Text(id)) => Item::Text(Cow::Borrowed(id)),
            Some(WireId::Number(id)) => Item::Uint(*id),
        };
        let all = [
            ("type", word("LANC"), true),
            ("method", word(method.name()), true),
            ("version", word(Version::NATIVE_TEXT), true),
            ("data", self.data.clone().unwrap_or(Item::Null), self.data.is_some()),
            ("encrypted", word("no"), true),
            ("compress", word("no"), true),
            ("exe_id", id, self.id.is_some()),
            ("args", Item::Encoded(self.args), !self.args.is_empty()),
            ("kwargs", Item::Encoded(self.kwargs), !self.kwargs.is_empty()),
            ("x", Item::Encoded(x), !x.is_empty()),
        ];
        let present: Vec<_> =
            all.into_iter().filter(|(.., is)| *is).map(|(key, item, _)| (key, item)).collect();
        codec.write_map(&present, out);
    }
}

fn text(text: String) -> Item<'static> {
    Item::Text(Cow::Owned(text))
}

fn hello_data(hello: &Hello<'_>, codec: &dyn Codec, out: &mut Vec<u8>) {
    let interval = u64::try_from(hello.interval.as_millis()).unwrap_or(u64::MAX);
    let mut entries = vec![
        ("node", Item::Text(Cow::Borrowed(hello.name.as_ref()))),
        ("sid", text(hello.session.to_string())),
        ("iv", Item::Uint(interval)),
        ("rev", Item::Uint(hello.revision)),
        ("feat", Item::Uint(u64::from(hello.features.0))),
    ];
    for (key, token) in [("tok", hello.token), ("echo", hello.echo)] {
        if let Some(token) = token {
            entries.push((key, text(format!("{token:016x}"))));
        }
    }
    if let Some(port) = hello.connection_port {
        entries.push(("tcp", Item::Uint(u64::from(port))));
    }
    if hello.wants {
        entries.push(("want", Item::Bool(true)));
    }
    codec.write_map(&entries, out);
}

fn func_extension(func: &Func<'_>, codec: &dyn Codec, out: &mut Vec<u8>) {
    let mut entries = Vec::with_capacity(4);
    if let Some(session) = func.session {
        entries.push(("sid", text(session.to_string())));
    }
    entries.push(("rev", Item::Uint(func.revision)));
    if func.parts > 1 {
        entries.push(("part", Item::Uint(u64::from(func.part))));
        entries.push(("parts", Item::Uint(u64::from(func.parts))));
    }
    codec.write_map(&entries, out);
}

fn call_extension(call: &Call<'_>, codec: &dyn Codec, out: &mut Vec<u8>) {
    let mut entries = Vec::with_capacity(3);
    if let Some(to) = call.to {
        entries.push(("to", text(format!("{to:016x}"))));
    }
    if let Some(deadline) = call.deadline_ms {
        entries.push(("dl", Item::Uint(deadline)));
    }
    if call.one_way {
        entries.push(("ow", Item::Bool(true)));
    }
    if let Some(stream) = call.stream {
        entries.push(("st", Item::Uint(u64::from(stream))));
    }
    if let Some(reply) = call.reply_to {
        entries.push(("re", Item::Uint(u64::from(reply.port))));
        entries.push(("tok", text(format!("{:016x}", reply.token))));
    }
    if !entries.is_empty() {
        codec.write_map(&entries, out);
    }
}

fn token_extension(token: Option<u64>, codec: &dyn Codec, out: &mut Vec<u8>) {
    if let Some(token) = token {
        codec.write_map(&[("tok", text(format!("{token:016x}")))], out);
    }
}

fn error_data(fault: &Fault, codec: &dyn Codec, out: &mut Vec<u8>) {
    let ex = match fault.executed {
        Executed::No => "no",
        Executed::Maybe => "maybe",
        Executed::Yes => "yes",
    };
    let mut entries = vec![
        ("code", Item::Uint(u64::from(fault.code.0))),
        ("name", Item::Text(Cow::Borrowed(fault.code.name()))),
        ("message", Item::Text(Cow::Borrowed(fault.message.as_str()))),
        ("ex", Item::Text(Cow::Borrowed(ex))),
    ];
    if let Some(after) = fault.retry_after {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        entries.push(("retry_ms", Item::Uint(millis)));
    }
    codec.write_map(&entries, out);
}
