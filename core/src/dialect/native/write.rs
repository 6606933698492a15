//! From messages to bytes.

use std::borrow::Cow;

use super::ids::Short;
use crate::error::{Executed, Fault};
use crate::id::Version;
use crate::message::{Call, Func, Hello, Message, Method, Receipt, WireId};
use crate::ports::{Codec, Item};
use crate::wire::sessions::Token;

/// Appends a message: S0's fields in the order the published package writes them, absent ones
/// left out, and the extension object last. Calls and results are written without an allocation.
pub fn write(message: &Message<'_>, codec: &dyn Codec, out: &mut Vec<u8>) {
    let parts = Parts::of(message.method());
    match message {
        Message::Hello(hello) => write_hello(parts, hello, codec, out),
        Message::Func(func) => write_func(parts, func, codec, out),
        Message::Call(call) => write_call(parts, call, codec, out),
        Message::Callback(callback) => {
            // An empty result stands for null.
            let data = Some(Item::Encoded(callback.result));
            let token = callback.token.map(Short::hex);
            let x = answer_extras(callback.attempt, token.as_ref());
            Parts { data, id: Some(&callback.id), x: x.as_slice(), ..parts }.write(codec, out);
        }
        Message::Error(failure) => {
            let token = failure.token.map(Short::hex);
            let x = answer_extras(failure.attempt, token.as_ref());
            let parts = Parts { id: failure.id.as_ref(), x: x.as_slice(), ..parts };
            write_error(parts, &failure.fault, codec, out);
        }
        Message::Ack(ack) => {
            let mut data = Entries::<2>::new();
            match ack.receipt {
                Receipt::Call { state, attempt } => {
                    data.push("state", text(state.name()));
                    data.push("at", Item::Uint(u64::from(attempt)));
                }
                Receipt::Answer { watermark } => {
                    data.push_some("lo", watermark.map(Item::Uint));
                }
            }
            let data = Some(Item::Entries(data.as_slice()));
            Parts { data, id: Some(&ack.id), ..parts }.write(codec, out);
        }
        Message::Probe(id) | Message::Cancel(id) => {
            Parts { id: Some(id), ..parts }.write(codec, out)
        }
        Message::Bye(session) => {
            let session = Short::session(*session);
            let entries = [("sid", session.item())];
            Parts { data: Some(Item::Entries(&entries)), ..parts }.write(codec, out);
        }
        Message::Ping(number) | Message::Pong(number) => {
            Parts { data: Some(Item::Uint(*number)), ..parts }.write(codec, out);
        }
    }
}

/// The fields of one message on their way out.
struct Parts<'p> {
    method: Method,
    data: Option<Item<'p>>,
    id: Option<&'p WireId<'p>>,
    args: &'p [u8],
    kwargs: &'p [u8],
    x: &'p [(&'p str, Item<'p>)],
}

impl Parts<'_> {
    fn of(method: Method) -> Self {
        Self { method, data: None, id: None, args: &[], kwargs: &[], x: &[] }
    }

    fn write(self, codec: &dyn Codec, out: &mut Vec<u8>) {
        let native;
        let id = match self.id {
            None => None,
            Some(WireId::Native(id)) => {
                native = Short::exe_id(id);
                Some(native.item())
            }
            Some(WireId::Text(id)) => Some(text(id)),
            Some(WireId::Number(id)) => Some(Item::Uint(*id)),
        };
        let encoded = |bytes| Some(Item::Encoded(bytes)).filter(|_| !bytes.is_empty());
        let mut all = Entries::<10>::new();
        all.push("type", text("LANC"));
        all.push("method", text(self.method.name()));
        all.push("version", text(Version::NATIVE_TEXT));
        all.push_some("data", self.data);
        all.push("encrypted", text("no"));
        all.push("compress", text("no"));
        all.push_some("exe_id", id);
        all.push_some("args", encoded(self.args));
        all.push_some("kwargs", encoded(self.kwargs));
        all.push_some("x", Some(Item::Entries(self.x)).filter(|_| !self.x.is_empty()));
        codec.write_map(all.as_slice(), out);
    }
}

fn write_hello(parts: Parts<'_>, hello: &Hello<'_>, codec: &dyn Codec, out: &mut Vec<u8>) {
    let interval = u64::try_from(hello.interval.as_millis()).unwrap_or(u64::MAX);
    let session = Short::session(hello.session);
    let receiver = hello.receiver.map(Token::bits);
    let tokens = [hello.token, hello.echo, receiver];
    let [token, echo, receiver] = tokens.map(|token| token.map(Short::hex));
    let mut data = Entries::<11>::new();
    data.push("node", text(&hello.name));
    data.push("sid", session.item());
    data.push("iv", Item::Uint(interval));
    data.push("rev", Item::Uint(hello.revision));
    data.push("feat", Item::Uint(u64::from(hello.features.0)));
    data.push_some("tok", token.as_ref().map(Short::item));
    data.push_some("echo", echo.as_ref().map(Short::item));
    data.push_some("rx", receiver.as_ref().map(Short::item));
    let port = hello.connection_port.map(|port| Item::Uint(u64::from(port)));
    data.push_some("tcp", port);
    data.push_some("want", Some(Item::Bool(true)).filter(|_| hello.wants));
    data.push_some("load", Some(Item::Uint(u64::from(hello.load))).filter(|_| hello.load > 0));
    Parts { data: Some(Item::Entries(data.as_slice())), ..parts }.write(codec, out);
}

fn write_func(parts: Parts<'_>, func: &Func<'_>, codec: &dyn Codec, out: &mut Vec<u8>) {
    let names: Vec<_> = func.names.iter().map(|name| text(name)).collect();
    let mut data = Vec::new();
    codec.write_list(&names, &mut data);
    let session = func.session.map(Short::session);
    let places: Vec<_> = func.idempotent.iter().map(|at| Item::Uint(u64::from(*at))).collect();
    let mut idempotent = Vec::new();
    codec.write_list(&places, &mut idempotent);
    let mut x = Entries::<5>::new();
    x.push_some("sid", session.as_ref().map(Short::item));
    x.push("rev", Item::Uint(func.revision));
    if func.parts > 1 {
        x.push("part", Item::Uint(u64::from(func.part)));
        x.push("parts", Item::Uint(u64::from(func.parts)));
    }
    x.push_some("idem", Some(Item::Encoded(&idempotent)).filter(|_| !places.is_empty()));
    Parts { data: Some(Item::Encoded(&data)), x: x.as_slice(), ..parts }.write(codec, out);
}

fn write_call(parts: Parts<'_>, call: &Call<'_>, codec: &dyn Codec, out: &mut Vec<u8>) {
    let to = call.to.map(Short::hex);
    let token = call.reply_to.map(|reply| Short::hex(reply.token));
    let mut x = Entries::<8>::new();
    x.push_some("to", to.as_ref().map(Short::item));
    x.push_some("dl", call.deadline_ms.map(Item::Uint));
    x.push_some("at", attempt(call.attempt));
    x.push_some("lo", call.watermark.map(Item::Uint));
    x.push_some("ow", Some(Item::Bool(true)).filter(|_| call.one_way));
    x.push_some("st", call.stream.map(|stream| Item::Uint(u64::from(stream))));
    x.push_some("re", call.reply_to.map(|reply| Item::Uint(u64::from(reply.port))));
    x.push_some("tok", token.as_ref().map(Short::item));
    let (data, id) = (Some(text(&call.function)), call.id.as_ref());
    let (args, kwargs, x) = (call.args, call.kwargs, x.as_slice());
    Parts { data, id, args, kwargs, x, ..parts }.write(codec, out);
}

/// What stands in the extension object of a callback and of an error.
fn answer_extras<'e>(of: u8, token: Option<&'e Short>) -> Entries<'e, 2> {
    let mut x = Entries::new();
    x.push_some("at", attempt(of));
    x.push_some("tok", token.map(Short::item));
    x
}

/// Nothing of the first transmission.
fn attempt(attempt: u8) -> Option<Item<'static>> {
    Some(Item::Uint(u64::from(attempt))).filter(|_| attempt > 0)
}

fn write_error(parts: Parts<'_>, fault: &Fault, codec: &dyn Codec, out: &mut Vec<u8>) {
    let ex = match fault.executed {
        Executed::No => "no",
        Executed::Maybe => "maybe",
        Executed::Yes => "yes",
    };
    let millis = |after: std::time::Duration| u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    let mut data = Entries::<5>::new();
    data.push("code", Item::Uint(u64::from(fault.code.0)));
    data.push("name", text(fault.code.name()));
    data.push("message", text(&fault.message));
    data.push("ex", text(ex));
    data.push_some("retry_ms", fault.retry_after.map(|after| Item::Uint(millis(after))));
    Parts { data: Some(Item::Entries(data.as_slice())), ..parts }.write(codec, out);
}

fn text(text: &str) -> Item<'_> {
    Item::Text(Cow::Borrowed(text))
}

/// Up to `N` entries of a map, without a heap.
struct Entries<'e, const N: usize> {
    all: [(&'e str, Item<'e>); N],
    count: usize,
}

impl<'e, const N: usize> Entries<'e, N> {
    fn new() -> Self {
        Self { all: [const { ("", Item::Null) }; N], count: 0 }
    }

    fn push(&mut self, key: &'e str, item: Item<'e>) {
        let place = self.all.get_mut(self.count);
        debug_assert!(place.is_some(), "more than {N} entries");
        if let Some(place) = place {
            *place = (key, item);
            self.count += 1;
        }
    }

    fn push_some(&mut self, key: &'e str, item: Option<Item<'e>>) {
        if let Some(item) = item {
            self.push(key, item);
        }
    }

    fn as_slice(&self) -> &[(&'e str, Item<'e>)] {
        self.all.get(..self.count).unwrap_or_default()
    }
}
