//! Functions that return many values: the callee's side.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};

use futures_core::Stream;
use lanc_core::Class;
use lanc_core::error::{ErrorCode, Executed, Fault};
use lanc_core::payload::Payload;
use lanc_core::ports::Item;
use serde::de::DeserializeOwned;
use tokio::io::AsyncWrite as _;

use crate::context::{Call, Context, Rest, Spent};
use crate::functions::Started;
use crate::stream::ByteStream;
use crate::typed::marker::{Bare, Later, Now, WithContext};
use crate::typed::{Boxed, Outcome, no_named, with_context};

/// Bytes of values that are gathered while the next ones are there at once.
const BATCH: usize = 16 << 10;

/// What [`Node::register_stream`](crate::Node::register_stream) takes: functions and closures
/// of up to eight parameters, with or without [`Context`] as the first, that return an async
/// [`Stream`] or something to iterate over. Parameters are as in
/// [`IntoFunction`](crate::IntoFunction), values as results are there: the first `Err` of a
/// stream of `Result`s ends it and is the failure of the call.
///
/// Values leave as they come, and no further one is asked for while the caller does not take
/// them. When the caller gives up, a stream is dropped at its next await; an iterator, which runs
/// on a worker thread and may block, is dropped after its current value.
///
/// A caller that asks for one result gets the list of all values, if that is no larger than a
/// message may be.
///
/// ```no_run
/// # fn demo(node: lanc_node::Node) -> Result<(), lanc_node::RegisterError> {
/// node.register_stream("lines", |text: String| {
///     text.lines().map(str::to_owned).collect::<Vec<_>>()
/// })?;
/// node.register_stream("halves", |n: f64| {
///     std::iter::successors(Some(n), |n| Some(n / 2.0))
/// })
/// # }
/// ```
///
/// `M` is found by the compiler; nobody needs to name it. The trait is implemented here only.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be registered as a function that returns many values",
    note = "it must return a `Stream` or an iterator whose values are `serde::Serialize`; \
            parameters need `serde::Deserialize`"
)]
pub trait IntoStreaming<M>: Send + Sync + 'static {
    /// The function in the form the node keeps it in, and how it is run.
    #[doc(hidden)]
    fn into_function(self) -> (Class, Boxed);
}

/// Many values: an async stream or an iterator.
pub trait Items<M> {
    /// How a function is run that returns them.
    #[doc(hidden)]
    const CLASS: Class;

    /// Sends them to the caller.
    #[doc(hidden)]
    fn send(self, to: Context) -> Sending;
}

/// Values on their way.
#[doc(hidden)]
pub struct Sending(pub(crate) Started);

impl<S, K> Items<(Later, K)> for S
where
    S: Stream + Send + 'static,
    S::Item: Outcome<K>,
{
    const CLASS: Class = Class::Async;

    fn send(self, to: Context) -> Sending {
        let send = async move {
            // The values are dropped with this block, before the call has its outcome.
            let mut values = pin!(self);
            let mut sink = Sink::new(&to);
            tokio::select! {
                result = pour::<S, K>(values.as_mut(), &mut sink) => result,
                () = to.cancelled() => Err(given_up()),
            }
        };
        Sending(Started::Later(Box::pin(send), Spent::default()))
    }
}

impl<I, K> Items<(Now, K)> for I
where
    I: IntoIterator,
    I::Item: Outcome<K>,
{
    const CLASS: Class = Class::Blocking;

    fn send(self, to: Context) -> Sending {
        let runtime = to.node().hub().runtime.clone();
        let mut sink = Sink::new(&to);
        let mut send = |value: I::Item| {
            if to.is_cancelled() {
                return Err(given_up());
            }
            let value = sink.rest.encode(value)?;
            sink.add(value)?;
            // Whether the next value takes long is not known: each leaves at once.
            runtime.block_on(async {
                tokio::select! {
                    result = poll_fn(|cx| sink.poll_flush(cx)) => result,
                    () = to.cancelled() => Err(given_up()),
                }
            })
        };
        let sent = self.into_iter().try_for_each(&mut send);
        Sending(Started::Done(sent.and_then(|()| sink.end()), Spent::default()))
    }
}

/// Sends what an async stream gives.
async fn pour<S: Stream, K>(mut values: Pin<&mut S>, sink: &mut Sink) -> Result<Payload, Fault>
where
    S::Item: Outcome<K>,
{
    loop {
        let next = poll_fn(|cx| match values.as_mut().poll_next(cx) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            // Nothing waits for the next value; and if nobody reads, there is no need for one.
            Poll::Pending => sink.poll_idle(cx).map(Err),
        });
        let encoded = next.await?.map(|value| sink.rest.encode(value));
        let added = match encoded {
            None => break,
            Some(encoded) => encoded.and_then(|value| sink.add(value)),
        };
        if added.is_err() || sink.is_full() {
            // What came before the failure still arrives.
            poll_fn(|cx| sink.poll_flush(cx)).await?;
        }
        added?;
    }
    poll_fn(|cx| sink.poll_flush(cx)).await?;
    sink.end()
}

/// Where values go.
struct Sink {
    /// What a value is encoded with.
    rest: Rest,
    /// Bytes that one value, or the list of all, may take.
    largest: usize,
    /// `None`: the caller asked for one result.
    stream: Option<ByteStream>,
    /// Encoded values that have not been written to the stream, or all of them.
    bytes: Vec<u8>,
    /// Written to the stream.
    written: usize,
    /// Where each value of the list ends.
    ends: Vec<usize>,
}

impl Sink {
    fn new(to: &Context) -> Self {
        let largest = to.node().hub().state().core.config().max_message();
        let (bytes, ends) = (Vec::new(), Vec::new());
        let mut rest = to.rest();
        // Of a stream too: how deep a value may nest does not depend on how it is asked for.
        rest.room.holds_items();
        Self { rest, largest, stream: to.stream(), bytes, written: 0, ends }
    }

    fn add(&mut self, value: Payload) -> Result<(), Fault> {
        let value = value.bytes;
        if self.stream.is_none() {
            // A comma behind each, in the format that needs most.
            let size = self.bytes.len() + self.ends.len() + value.len();
            if size > self.largest {
                let what = "a list of all values, instead of one after the other,";
                return Err(too_large(what, size, self.largest));
            }
            value.append_to(&mut self.bytes);
            self.ends.push(self.bytes.len());
            self.rest.room.reuse(value.into_buffer());
            return Ok(());
        }
        let size = u32::try_from(value.len()).ok().filter(|_| value.len() <= self.largest);
        let size = size.ok_or_else(|| too_large("a value", value.len(), self.largest))?;
        self.bytes.extend_from_slice(&size.to_be_bytes());
        value.append_to(&mut self.bytes);
        self.rest.room.reuse(value.into_buffer());
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.stream.is_some() && self.bytes.len() >= BATCH
    }

    /// Gives all values there are to the stream.
    fn poll_flush(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), Fault>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(())) };
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *stream).poll_write(cx, rest)) {
                Ok(count) => self.written += count,
                Err(_) => return Poll::Ready(Err(given_up())),
            }
        }
        self.written = 0;
        self.bytes.clear();
        self.bytes.shrink_to(2 * BATCH);
        Poll::Ready(Ok(()))
    }

    /// While no value is there: sends what there is. Ready when nobody wants any more.
    fn poll_idle(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Fault> {
        if let Err(fault) = ready!(self.poll_flush(cx)) {
            return Poll::Ready(fault);
        }
        match &mut self.stream {
            Some(stream) => stream.poll_cut(cx.waker()).map(|_| given_up()),
            None => Poll::Pending,
        }
    }

    /// The call's own result: null behind a stream, else the list.
    fn end(&self) -> Result<Payload, Fault> {
        let (codec, mut bytes) = (&self.rest.codec, Vec::new());
        if self.stream.is_some() {
            codec.write_item(&Item::Null, &mut bytes);
        } else {
            let starts = std::iter::once(0).chain(self.ends.iter().copied());
            let values = starts.zip(&self.ends).filter_map(|(at, end)| self.bytes.get(at..*end));
            let values: Vec<_> = values.map(Item::Encoded).collect();
            codec.write_list(&values, &mut bytes);
        }
        Ok(Payload { format: codec.format(), bytes: bytes.into() })
    }
}

fn given_up() -> Fault {
    let mut fault = Fault::new(ErrorCode::CANCELLED, "the caller took no more values");
    fault.executed = Executed::Yes;
    fault
}

fn too_large(what: &str, size: usize, most: usize) -> Fault {
    let text = format!("{what} takes {size} bytes or more, at most {most} are sent");
    let mut fault = Fault::new(ErrorCode::TOO_LARGE, text);
    fault.executed = Executed::Yes;
    fault
}

/// A function that reads its parameters and begins to return values.
fn streaming<R: Items<K>, K>(
    begin: impl Fn(&Context) -> Result<R, Fault> + Send + Sync + 'static,
) -> (Class, Boxed) {
    let start = move |call: Call| {
        let ctx = Context::new(call);
        match begin(&ctx) {
            Ok(values) => values.send(ctx).0,
            Err(fault) => Started::Done(Err(fault), Spent::default()),
        }
    };
    (R::CLASS, with_context(start))
}

macro_rules! arity {
    ($($name:ident)*) => {
        impl<Func, Ret, Kind, $($name),*> IntoStreaming<(Bare, Kind, Ret, ($($name,)*))> for Func
        where
            Func: Fn($($name),*) -> Ret + Send + Sync + 'static,
            Ret: Items<Kind>,
            $($name: DeserializeOwned + Send,)*
        {
            #[allow(non_snake_case)]
            fn into_function(self) -> (Class, Boxed) {
                streaming(move |ctx| {
                    no_named(ctx.args().arguments())?;
                    let ($($name,)*) = ctx.args().parameters::<($($name,)*)>()?;
                    Ok(self($($name),*))
                })
            }
        }

        impl<Func, Ret, Kind, $($name),*>
            IntoStreaming<(WithContext, Kind, Ret, ($($name,)*))> for Func
        where
            Func: Fn(Context, $($name),*) -> Ret + Send + Sync + 'static,
            Ret: Items<Kind>,
            $($name: DeserializeOwned + Send,)*
        {
            #[allow(non_snake_case)]
            fn into_function(self) -> (Class, Boxed) {
                streaming(move |ctx| {
                    let ($($name,)*) = ctx.args().parameters::<($($name,)*)>()?;
                    Ok(self(ctx.clone(), $($name),*))
                })
            }
        }
    };
}

arity!();
arity!(A);
arity!(A B);
arity!(A B C);
arity!(A B C D);
arity!(A B C D E);
arity!(A B C D E F);
arity!(A B C D E F G);
arity!(A B C D E F G H);
