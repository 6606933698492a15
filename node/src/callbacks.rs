//! Callbacks of finished calls, and where they run: each is called, whatever becomes of the runtime.

use std::sync::{Arc, Mutex, PoisonError};

use lanc_core::Outcome;
use tokio::runtime::Handle;

use crate::contain;
use crate::hub::OnDone;

/// A callback that must be called.
struct Due {
    runtime: Handle,
    call: Option<(OnDone, Option<Outcome>)>,
}

impl Due {
    fn run(mut self) {
        if let Some((on_done, outcome)) = self.call.take() {
            on_done(outcome);
        }
    }
}

/// A runtime that ends drops what it has not begun.
impl Drop for Due {
    fn drop(&mut self) {
        run_all(&self.runtime, self.call.take().into_iter().collect());
    }
}

/// Calls back on a thread of the runtime that may block: the user's code may. Where the runtime
/// ends before, on a plain thread.
pub(crate) fn run(runtime: &Handle, on_done: OnDone, outcome: Option<Outcome>) {
    let due = Due { runtime: runtime.clone(), call: Some((on_done, outcome)) };
    runtime.spawn_blocking(move || due.run());
}

/// Calls back, one after the other, on one plain thread: a runtime that ends begins nothing more,
/// and waits for the thread that ends it, which the user's code may not hold up. Nobody waits for
/// the plain one: a program that ends at once takes it along.
pub(crate) fn run_all(runtime: &Handle, calls: Vec<(OnDone, Option<Outcome>)>) {
    if calls.is_empty() {
        return;
    }
    let calls = Arc::new(Mutex::new(calls));
    let (shared, runtime) = (Arc::clone(&calls), runtime.clone());
    let thread = std::thread::Builder::new().name("lanc callbacks".to_owned());
    let begun = thread.spawn(move || {
        // What a callback spawns finds its runtime, which may take it no more.
        let _context = runtime.enter();
        take_and_run(&shared);
    });
    if begun.is_err() {
        // The system gives no more threads: late is worse than here.
        take_and_run(&calls);
    }
}

fn take_and_run(calls: &Mutex<Vec<(OnDone, Option<Outcome>)>>) {
    let calls = std::mem::take(&mut *calls.lock().unwrap_or_else(PoisonError::into_inner));
    for (on_done, outcome) in calls {
        contain::run(|| on_done(outcome));
    }
}
