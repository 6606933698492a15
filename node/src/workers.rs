//! Where functions run: worker threads for plain ones, the runtime for futures.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use lanc_core::error::{ErrorCode, Fault};
use lanc_core::id::TaskKey;
use lanc_core::payload::Payload;

use crate::context::Context;
use crate::functions::{Function, Started};
use crate::hub::Hub;

/// An inline function that takes longer is demoted to a worker.
pub(crate) const INLINE_LIMIT: Duration = Duration::from_millis(1);

/// How long an idle worker thread waits before it ends.
const IDLE: Duration = Duration::from_secs(30);

/// A bounded pool of threads, started as they are needed. How many functions wait for it is the
/// core's bound: the queue here never holds more than there are threads.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    limit: usize,
}

struct Shared {
    hub: Arc<Hub>,
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

struct Job {
    key: TaskKey,
    function: Arc<dyn Function>,
    context: Context,
}

impl Workers {
    pub(crate) fn new(hub: Arc<Hub>, limit: usize) -> Self {
        let shared = Shared { hub, queue: Mutex::default(), arrived: Condvar::new() };
        Self { shared: Arc::new(shared), limit }
    }

    /// Runs a plain function on a worker; its result goes to the hub.
    pub(crate) fn run(&self, key: TaskKey, function: Arc<dyn Function>, context: Context) {
        let mut queue = self.shared.lock();
        queue.jobs.push_back(Job { key, function, context });
        if queue.idle >= queue.jobs.len() {
            self.shared.arrived.notify_one();
            return;
        }
        if queue.threads >= self.limit {
            return;
        }
        queue.threads += 1;
        drop(queue);
        let shared = Arc::clone(&self.shared);
        let runtime = tokio::runtime::Handle::try_current().ok();
        let thread = std::thread::Builder::new().name("lanc-worker".to_owned());
        let spawned = thread.spawn(move || {
            // A function may use the runtime of its node.
            let _guard = runtime.as_ref().map(tokio::runtime::Handle::enter);
            shared.work();
        });
        if let Err(error) = spawned {
            self.shared.lock().threads -= 1;
            tracing::error!(%error, "cannot start a worker thread");
            self.refuse_if_alone();
        }
    }

    /// Without any thread the queue would never move.
    fn refuse_if_alone(&self) {
        let mut queue = self.shared.lock();
        if queue.threads > 0 {
            return;
        }
        let jobs = std::mem::take(&mut queue.jobs);
        drop(queue);
        for job in jobs {
            let fault = Fault::new(ErrorCode::BUSY, "the callee cannot start a worker thread");
            complete(&self.shared.hub, job.key, Err(fault));
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.arrived.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            let result = match guarded(|| job.function.start(job.context)) {
                Ok(Started::Done(result)) => result,
                // A handler that was registered as blocking after all.
                Ok(Started::Later(future)) => match tokio::runtime::Handle::try_current() {
                    Ok(runtime) => runtime.block_on(GuardedFuture(future)),
                    Err(error) => Err(Fault::new(ErrorCode::INTERNAL, error.to_string())),
                },
                Err(fault) => Err(fault),
            };
            complete(&self.hub, job.key, result);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                queue.threads -= 1;
                return None;
            }
            queue.idle += 1;
            let waited = self.arrived.wait_timeout(queue, IDLE);
            let (back, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            queue = back;
            queue.idle -= 1;
            if timeout.timed_out() && queue.jobs.is_empty() {
                queue.threads -= 1;
                return None;
            }
        }
    }
}

fn complete(hub: &Hub, key: TaskKey, result: Result<Payload, Fault>) {
    let now = hub.clock.now();
    hub.submit(|state| state.core.complete(now, key, result));
}

/// Runs an async function on the runtime.
pub(crate) fn spawn(hub: Arc<Hub>, key: TaskKey, function: Arc<dyn Function>, context: Context) {
    tokio::spawn(async move {
        // Not polled on the driver's task: a body that computes between two awaits must not
        // hold up the protocol.
        let result = match guarded(|| function.start(context)) {
            Ok(Started::Done(result)) => result,
            Ok(Started::Later(future)) => GuardedFuture(future).await,
            Err(fault) => Err(fault),
        };
        complete(&hub, key, result);
    });
}

/// Runs what an inline function left to do on the runtime.
pub(crate) fn spawn_future(
    hub: Arc<Hub>,
    key: TaskKey,
    future: Pin<Box<dyn Future<Output = Result<Payload, Fault>> + Send>>,
) {
    tokio::spawn(async move {
        let result = GuardedFuture(future).await;
        complete(&hub, key, result);
    });
}

/// Runs user code and turns a panic into a fault.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Fault> {
    std::panic::catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Fault::new(ErrorCode::EXECUTION_ERROR, format!("the function panicked: {text}"))
    })
}

/// A future whose panic becomes a fault.
struct GuardedFuture(Pin<Box<dyn Future<Output = Result<Payload, Fault>> + Send>>);

impl Future for GuardedFuture {
    type Output = Result<Payload, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let future = &mut self.0;
        guarded(|| future.as_mut().poll(cx)).unwrap_or_else(|fault| Poll::Ready(Err(fault)))
    }
}
