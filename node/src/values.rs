//! A call that returns many values, one after the other: the caller's side.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use futures_core::Stream;
use lanc_core::Outcome;
use lanc_core::error::{CallError, ErrorCode, Executed};
use lanc_core::payload::Payload;
use lanc_core::ports::{Codec, Item};
use serde::de::DeserializeOwned;
use tokio::io::AsyncWrite as _;

use crate::args::{decode, printable};
use crate::call::Call;
use crate::pending::{Pending, single, taken, typed};
use crate::stream::ByteStream;

/// Bytes of the length before each value: an unsigned number, highest byte first.
const HEAD: usize = 4;

/// The values a function returns, as they come: [`Call::values`].
///
/// The failure of the call, if it fails, is the last item. Dropping it gives the call up: the
/// function is told, and what it was about to send is dropped.
pub struct Values<T> {
    /// `None`: it was read to its end.
    stream: Option<ByteStream>,
    /// `None`: all is over.
    pending: Option<Pending>,
    codec: Arc<dyn Codec>,
    /// Bytes of the largest value that is taken.
    largest: usize,
    count: u64,
    /// How the stream ended, if not well.
    broken: Option<CallError>,
    result: PhantomData<fn() -> T>,
}

impl<T> Call<T> {
    /// Makes the call and returns the values of a function that was registered with
    /// [`Node::register_stream`](crate::Node::register_stream) as they come. Values that nobody
    /// takes stop the function for as long (by default after 512 KiB). The deadline is that of
    /// the last value: 30 s unless [`Self::deadline`] says otherwise.
    ///
    /// Of another function its result is the only value, or there is none if that is null.
    ///
    /// ```no_run
    /// # async fn demo(node: lanc_node::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// node.register_stream("count", |n: u64| 0..n)?;
    /// let mut values = node.call::<u64>("count", (10,)).values().await?;
    /// while let Some(value) = values.next().await {
    ///     println!("{}", value?);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`CallError`] when the call fails before it is on its way. A callee that is reached by
    /// datagrams only fails it with `unsupported`.
    pub async fn values(self) -> Result<Values<T>, CallError> {
        let (mut stream, pending) = self.submit_with_stream()?;
        if !poll_fn(|cx| stream.poll_opened(cx.waker())).await {
            return Err(pending.outcome().await?.result.err().unwrap_or_else(taken));
        }
        let (codec, largest) = {
            let core = &pending.hub.state().core;
            let format = core.format_of(pending.key);
            let codec = format.and_then(|format| core.pipeline().codec(format));
            let codec = codec.unwrap_or(core.pipeline().first());
            (Arc::clone(codec), core.config().max_message())
        };
        let (stream, pending) = (Some(stream), Some(pending));
        let (count, broken, result) = (0, None, PhantomData);
        Ok(Values { stream, pending, codec, largest, count, broken, result })
    }
}

impl<T: DeserializeOwned> Values<T> {
    /// The next value; `None` after the last. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<T, CallError>> {
        poll_fn(|cx| self.poll_value(cx)).await
    }

    fn poll_value(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, CallError>>> {
        while let Some(stream) = &mut self.stream {
            // Nothing is sent to the function. That it is cut off is found by reading.
            let _ = Pin::new(&mut *stream).poll_shutdown(cx);
            match self.take_value() {
                Ok(None) => {}
                Ok(Some(value)) => {
                    self.count += 1;
                    return Poll::Ready(Some(Ok(value)));
                }
                Err(error) => {
                    self.give_up();
                    return Poll::Ready(Some(Err(error)));
                }
            }
            ready!(self.poll_more(cx.waker()));
        }
        let Some(pending) = &mut self.pending else { return Poll::Ready(None) };
        let outcome = ready!(pending.poll_take(cx));
        let last = self.last(outcome);
        self.pending = None;
        Poll::Ready(last)
    }

    /// Reads more of the stream, or notes its end.
    fn poll_more(&mut self, waker: &Waker) -> Poll<()> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(()) };
        match ready!(stream.poll_fill(waker)) {
            Ok(true) => return Poll::Ready(()),
            Ok(false) if stream.ready().is_empty() => {}
            Ok(false) => {
                let text = "the stream ended in the middle of a value";
                self.broken = Some(CallError::new(ErrorCode::PROTOCOL, Executed::Yes, text));
            }
            Err(error) => {
                let text = format!("after {} values: {error}", self.count);
                self.broken = Some(CallError::new(ErrorCode::LOST, Executed::Maybe, text));
            }
        }
        self.stream = None;
        Poll::Ready(())
    }

    /// The next value of the bytes that are here, if it is whole.
    fn take_value(&mut self) -> Result<Option<T>, CallError> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let Some((head, rest)) = stream.ready().split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let size = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        if size > self.largest {
            let text = format!("a value of {size} bytes: at most {} are taken", self.largest);
            return Err(CallError::new(ErrorCode::TOO_LARGE, Executed::Yes, text));
        }
        let Some(bytes) = rest.get(..size) else { return Ok(None) };
        let value = decode(self.codec.as_ref(), bytes).map_err(|reason| {
            let (number, reason) = (self.count + 1, printable(&reason));
            let text = format!("value {number} is not of the type asked for: {reason}");
            CallError::new(ErrorCode::DECODE_ERROR, Executed::Yes, text)
        })?;
        stream.consume(HEAD + size);
        Ok(Some(value))
    }

    /// What is left to say when the stream has ended and the call too.
    fn last(&mut self, outcome: Option<Outcome>) -> Option<Result<T, CallError>> {
        match (single(outcome).and_then(|answer| answer.result), self.broken.take()) {
            (Err(error), _) | (Ok(_), Some(error)) => Some(Err(self.after_values(error))),
            (Ok(payload), None) if self.count == 0 && !self.is_null(&payload) => {
                let hub = self.pending.as_ref().map(|pending| &pending.hub)?;
                Some(typed(hub, payload))
            }
            (Ok(_), None) => None,
        }
    }

    /// Where a value has come, the function ran, whatever became of the call.
    fn after_values(&self, error: CallError) -> CallError {
        let executed = if self.count > 0 { Executed::Yes } else { error.executed };
        CallError { executed, ..error }
    }

    fn is_null(&self, payload: &Payload) -> bool {
        let mut null = Vec::new();
        self.codec.write_item(&Item::Null, &mut null);
        payload.bytes.is_empty() || payload.bytes == null
    }

    /// Wants no more: the callee is told.
    fn give_up(&mut self) {
        self.stream = None;
        self.pending = None;
    }
}

impl<T: DeserializeOwned> Stream for Values<T> {
    type Item = Result<T, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_value(cx)
    }
}
