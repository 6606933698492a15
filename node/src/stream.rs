//! The byte stream of a call: one end of it, for the caller or for the function.

use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker, ready};

use lanc_core::error::{CallError, ErrorCode};
use lanc_core::id::CallKey;
use lanc_core::{StreamGone, StreamKey};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::call::Call;
use crate::hub::{Hub, State};
use crate::pending::{Pending, single, typed};

/// Bytes that are taken from the core, or given to it, under one lock.
const CHUNK: usize = 64 << 10;

/// One end of the byte stream of a call: [`Call::with_stream`] gives the caller's,
/// [`Context::stream`](crate::Context::stream) the function's.
///
/// Each end writes one direction and reads the other. Both are bounded: a writer waits while the
/// far end does not read (by default after 256 KiB there and as much here). Shutting it down for
/// writing ends its own direction only; the far end reads what was written, then the end of the
/// stream. The caller's may be written before there is a provider: writing waits for one.
///
/// Dropping the caller's end before it was shut down cuts the stream off, so that half of an
/// upload is never taken for the whole. Dropped after that, and always on the function's side,
/// what was written still arrives and what still comes is dropped; whether a function wrote all
/// it wanted is what the call's result says.
///
/// Reading and writing are cancel safe. They fail with `ConnectionReset` and `BrokenPipe` when
/// the stream was cut off: by the far end, with its connection, or because the call ended
/// without it.
pub struct ByteStream {
    hub: Arc<Hub>,
    end: End,
    is_callee: bool,
    /// Taken from the core; of these, `given` bytes were handed on.
    arrived: Vec<u8>,
    given: usize,
    /// The far end has finished, and all that it wrote was taken.
    ended: bool,
    /// This end has finished.
    finished: bool,
}

enum End {
    /// The call is not on its way yet; once it is, the stream stands in the cell.
    Waiting(CallKey, Arc<OnceLock<StreamKey>>),
    Open(StreamKey),
}

impl End {
    /// Which stream it is, once there is one.
    fn poll_key(&mut self, state: &mut State, waker: &Waker) -> Poll<Option<StreamKey>> {
        let (call, cell) = match self {
            Self::Open(key) => return Poll::Ready(Some(*key)),
            Self::Waiting(call, cell) => (*call, cell),
        };
        state.tell_opened(call);
        if let Some(key) = cell.get().copied() {
            *self = Self::Open(key);
            return Poll::Ready(Some(key));
        }
        if state.is_over || state.core.is_done(call) {
            return Poll::Ready(None);
        }
        state.wait_for_call(call, waker);
        Poll::Pending
    }
}

impl ByteStream {
    /// The caller's end. The call must not have been taken out of the core.
    pub(crate) fn of_call(hub: &Arc<Hub>, call: CallKey) -> Self {
        let cell = Arc::new(OnceLock::new());
        hub.state().opening.insert(call, Arc::downgrade(&cell));
        Self::new(hub, End::Waiting(call, cell), false)
    }

    /// The function's end.
    pub(crate) fn of_task(hub: &Arc<Hub>, key: StreamKey) -> Self {
        Self::new(hub, End::Open(key), true)
    }

    fn new(hub: &Arc<Hub>, end: End, is_callee: bool) -> Self {
        let hub = Arc::clone(hub);
        let (arrived, given) = (Vec::new(), 0);
        Self { hub, end, is_callee, arrived, given, ended: false, finished: false }
    }

    /// Ready once the call is on its way; `false`: it ended before.
    pub(crate) fn poll_opened(&mut self, waker: &Waker) -> Poll<bool> {
        let mut state = self.hub.state();
        self.end.poll_key(&mut state, waker).map(|key| key.is_some())
    }

    /// What was taken from the core and not handed on.
    pub(crate) fn ready(&self) -> &[u8] {
        self.arrived.get(self.given..).unwrap_or_default()
    }

    /// Hands `count` of the ready bytes on.
    pub(crate) fn consume(&mut self, count: usize) {
        self.given += count;
        if self.given < self.arrived.len() {
            return;
        }
        self.given = 0;
        self.arrived.clear();
        self.arrived.shrink_to(CHUNK);
    }

    /// Takes more bytes from the core. `false`: nothing more comes.
    pub(crate) fn poll_fill(&mut self, waker: &Waker) -> Poll<io::Result<bool>> {
        if self.ended {
            return Poll::Ready(Ok(false));
        }
        self.arrived.drain(..std::mem::take(&mut self.given));
        let mut state = self.hub.state();
        let Some(key) = ready!(self.end.poll_key(&mut state, waker)) else {
            return Poll::Ready(Err(never_opened()));
        };
        match state.core.stream_read(key, CHUNK, &mut self.arrived) {
            Ok((0, false)) if !state.is_over => {
                state.wait_for_stream(key, waker);
                Poll::Pending
            }
            Ok((count, end)) if count > 0 || end => {
                self.ended = end;
                self.hub.changed(state);
                Poll::Ready(Ok(count > 0))
            }
            Ok(_) | Err(StreamGone) => Poll::Ready(Err(cut_off(io::ErrorKind::ConnectionReset))),
        }
    }

    /// Ready when the stream is cut off, with the error that says so.
    pub(crate) fn poll_cut(&mut self, waker: &Waker) -> Poll<io::Error> {
        let mut state = self.hub.state();
        let Some(key) = ready!(self.end.poll_key(&mut state, waker)) else {
            return Poll::Ready(never_opened());
        };
        match state.core.stream_write(key, &[]) {
            Ok(_) if !state.is_over => {
                state.wait_for_stream(key, waker);
                Poll::Pending
            }
            Ok(_) | Err(StreamGone) => Poll::Ready(cut_off(io::ErrorKind::BrokenPipe)),
        }
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if self.ready().is_empty() && !ready!(self.poll_fill(cx.waker()))? {
            return Poll::Ready(Ok(()));
        }
        let count = self.ready().len().min(into.remaining());
        into.put_slice(self.ready().get(..count).unwrap_or_default());
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.finished {
            let text = "this end of the stream was shut down for writing";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, text)));
        }
        let mut state = this.hub.state();
        let Some(key) = ready!(this.end.poll_key(&mut state, cx.waker())) else {
            return Poll::Ready(Err(never_opened()));
        };
        let bytes = bytes.get(..CHUNK).unwrap_or(bytes);
        match state.core.stream_write(key, bytes) {
            Ok(0) if !bytes.is_empty() && !state.is_over => {
                state.wait_for_stream(key, cx.waker());
                Poll::Pending
            }
            Ok(count) if count > 0 || bytes.is_empty() => {
                this.hub.changed(state);
                Poll::Ready(Ok(count))
            }
            Ok(_) | Err(StreamGone) => Poll::Ready(Err(cut_off(io::ErrorKind::BrokenPipe))),
        }
    }

    /// What was written leaves by itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.finished {
            return Poll::Ready(Ok(()));
        }
        let mut state = this.hub.state();
        let Some(key) = ready!(this.end.poll_key(&mut state, cx.waker())) else {
            return Poll::Ready(Err(never_opened()));
        };
        let finished = state.core.stream_finish(key);
        this.hub.changed(state);
        this.finished = finished.is_ok();
        Poll::Ready(finished.map_err(|StreamGone| cut_off(io::ErrorKind::BrokenPipe)))
    }
}

impl Drop for ByteStream {
    fn drop(&mut self) {
        let is_whole = self.is_callee || self.finished;
        // Dropped outside the lock: a waker is foreign code.
        let _wakers = self.hub.submit(|state| {
            let key = match &mut self.end {
                End::Open(key) => *key,
                End::Waiting(call, cell) => {
                    state.tell_opened(*call);
                    let key = cell.get().copied();
                    // Under the lock: a stream that is opened from now on finds nobody and is
                    // cut off.
                    *cell = Arc::default();
                    if state.core.is_done(*call) {
                        state.opening.remove(call);
                    }
                    key?
                }
            };
            if is_whole {
                state.core.stream_leave(key);
            } else {
                state.core.stream_drop(key, ErrorCode::CANCELLED);
            }
            state.streams.remove(&key)
        });
    }
}

impl std::fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByteStream")
            .field("ended", &self.ended)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}

fn never_opened() -> io::Error {
    let text = "the call ended before its stream was opened; its result says why";
    io::Error::new(io::ErrorKind::NotConnected, text)
}

fn cut_off(kind: io::ErrorKind) -> io::Error {
    let text = "the stream was cut off: the far end dropped it, its connection is gone, or the \
                call ended without it; the call's result says more";
    io::Error::new(kind, text)
}

impl<T> Call<T> {
    /// Makes the call with a byte stream between caller and function, and returns the caller's
    /// end of it and the call's result, which is to be awaited. The call travels by a
    /// connection. Dropping the result before it is there gives the call up and cuts off its
    /// stream.
    ///
    /// ```no_run
    /// # async fn demo(node: lanc_node::Node) -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, sink};
    ///
    /// node.register("size", async |ctx: lanc_node::Context| {
    ///     let Some(mut stream) = ctx.stream() else { return Err("send me a stream".to_owned()) };
    ///     copy(&mut stream, &mut sink()).await.map_err(|error| error.to_string())
    /// })?;
    /// let (mut stream, size) = node.call::<u64>("size", ()).with_stream()?;
    /// stream.write_all(b"as much as you like").await?;
    /// stream.shutdown().await?;
    /// assert_eq!(size.await?, 19);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`CallError`] when this node cannot take the call; all that happens later is told by its
    /// result.
    pub fn with_stream(self) -> Result<(ByteStream, Running<T>), CallError> {
        let (stream, pending) = self.submit_with_stream()?;
        Ok((stream, Running { pending, result: PhantomData }))
    }
}

/// A call that was made: await it for its result. Dropped before, the call is given up.
#[must_use = "a call that nobody waits for is given up"]
pub struct Running<T> {
    pending: Pending,
    result: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Future for Running<T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(self.pending.poll_take(cx));
        Poll::Ready(single(outcome).and_then(|answer| typed(&self.pending.hub, answer.result?)))
    }
}
