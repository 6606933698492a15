//! Where functions run: threads that may block for plain ones, the runtime for futures.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use lanc_core::Time;
use lanc_core::error::{ErrorCode, Fault};
use lanc_core::id::TaskKey;
use lanc_core::payload::Payload;

use crate::contain;
use crate::context::{Call, Cancellation, Spent};
use crate::functions::{Ended, Function, Started, Unfinished};
use crate::hub::Hub;
use crate::serving::Serving;

/// How long an async function may go on after it was told that nobody waits; then its future is
/// dropped, so that forgotten calls do not fill the node.
const GRACE: Duration = Duration::from_secs(1);

/// An inline function that takes longer is demoted to a worker.
pub(crate) const INLINE_LIMIT: Duration = Duration::from_millis(1);

/// Runs a plain function on a thread that may block. The core bounds how many run at once; the
/// threads are the runtime's own, so that a paused clock waits for them too.
pub(crate) fn block(hub: Arc<Hub>, function: Arc<dyn Function>, call: Call) {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let began = hub.clock.now();
        let (serving, cancellation) = (call.serving, call.cancellation.clone());
        let (result, spent) = match guarded(serving, || function.start(call)) {
            Ok(Started::Done(result, spent)) => (result, spent),
            // An async function that was inline and took too long.
            Ok(Started::Later(future, spent)) => {
                // Of a runtime that ends the clock panics.
                let run = || runtime.block_on(run_to_end(future, serving, cancellation));
                (guarded(serving, run).unwrap_or_else(Err), spent)
            }
            Err(fault) => (Err(fault), Spent::default()),
        };
        contain::discard(function);
        complete(&hub, serving.task, began, result, spent);
    });
}

fn complete(hub: &Hub, key: TaskKey, began: Time, result: Result<Payload, Fault>, spent: Spent) {
    let ran = began..hub.clock.now();
    hub.submit(|state| state.complete(Ended { key, ran, result, spent }));
}

/// Runs an async function on the runtime.
pub(crate) fn spawn(hub: Arc<Hub>, function: Arc<dyn Function>, call: Call) {
    tokio::spawn(async move {
        let began = hub.clock.now();
        let (serving, cancellation) = (call.serving, call.cancellation.clone());
        // Not polled on the driver's task: a body that computes between two awaits must not
        // hold up the protocol.
        let (result, spent) = match guarded(serving, || function.start(call)) {
            Ok(Started::Done(result, spent)) => (result, spent),
            Ok(Started::Later(future, spent)) => {
                hub.state().give_back(spent);
                (run_to_end(future, serving, cancellation).await, Spent::default())
            }
            Err(fault) => (Err(fault), Spent::default()),
        };
        contain::discard(function);
        complete(&hub, serving.task, began, result, spent);
    });
}

/// Runs what an async function has returned, wherever that is, until it ends or is given up: one
/// that never ends must not keep its place for ever.
async fn run_to_end(
    future: Unfinished,
    serving: Serving,
    cancellation: Option<Arc<Cancellation>>,
) -> Result<Payload, Fault> {
    let cancellation = cancellation.unwrap_or_default();
    tokio::select! {
        result = GuardedFuture(Some(future), serving) => result,
        () = given_up(&cancellation) => Err(Fault::new(
            ErrorCode::CANCELLED,
            "nobody waited any more, and the function did not stop by itself",
        )),
    }
}

/// Resolves some time after nobody waits for the result any more.
async fn given_up(cancellation: &Cancellation) {
    cancellation.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

/// Runs what an inline function that `began` before left to do on the runtime.
pub(crate) fn spawn_future(
    hub: Arc<Hub>,
    serving: Serving,
    began: Time,
    future: Unfinished,
    cancellation: Option<Arc<Cancellation>>,
) {
    tokio::spawn(async move {
        let result = run_to_end(future, serving, cancellation).await;
        complete(&hub, serving.task, began, result, Spent::default());
    });
}

/// Runs user code that serves a call, and turns a panic into a fault. What it panicked with is the
/// user's too.
pub(crate) fn guarded<T>(serving: Serving, run: impl FnOnce() -> T) -> Result<T, Fault> {
    std::panic::catch_unwind(AssertUnwindSafe(|| serving.run(run))).map_err(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        contain::discard(panic);
        Fault::new(ErrorCode::EXECUTION_ERROR, format!("the function panicked: {text}"))
    })
}

/// A future whose panic becomes a fault, and one of its drop nothing: nobody asks any more.
struct GuardedFuture(Option<Unfinished>, Serving);

impl Future for GuardedFuture {
    type Output = Result<Payload, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let Self(future, serving) = &mut *self;
        // It is there until this is dropped.
        let Some(future) = future else { return Poll::Pending };
        let polled = guarded(*serving, || future.as_mut().poll(cx));
        polled.unwrap_or_else(|fault| Poll::Ready(Err(fault)))
    }
}

impl Drop for GuardedFuture {
    fn drop(&mut self) {
        contain::discard(self.0.take());
    }
}
