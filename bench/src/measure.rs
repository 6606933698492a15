//! Callers, the window they are measured in, and the line that comes out of it. `bench/peers` has
//! this file too.

use std::future::Future;
use std::io::Write as _;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::Fallible;
use crate::allocations::{self, Allocations};
use crate::load::Load;
use crate::process;

/// How long callers run before anything is measured.
pub(crate) const WARM_UP: Duration = Duration::from_millis(400);
/// A call that is not answered by then is an error.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// One of the callers that keep a call in flight each.
pub(crate) trait Caller: Send + 'static {
    /// Makes one call and checks its answer. `number` is another one each time.
    ///
    /// # Errors
    /// What went wrong, for people.
    fn call(&mut self, number: i64) -> impl Future<Output = Result<(), String>> + Send;
}

/// The present.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Makes the bytes differ from call to call.
pub(crate) fn stamp(bytes: &mut [u8], number: i64) {
    for (byte, stamp) in bytes.iter_mut().zip(number.to_be_bytes()) {
        *byte = stamp;
    }
}

/// Whether they begin with that number: comparing a MiB would be a part of what is measured.
pub(crate) fn is_stamped(bytes: &[u8], number: i64) -> bool {
    bytes.iter().zip(number.to_be_bytes()).all(|(byte, stamp)| *byte == stamp)
}

/// What callers saw.
pub(crate) struct Tally {
    calls: u64,
    errors: u64,
    first_error: Option<String>,
    /// In nanoseconds, to within one per cent.
    latencies: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Fallible<Self> {
        let latencies = Histogram::new_with_bounds(1, 60_000_000_000, 2)?;
        Ok(Self { calls: 0, errors: 0, first_error: None, latencies })
    }

    /// Counts a call that was answered.
    pub(crate) fn answered(&mut self, took: Duration) {
        self.calls += 1;
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(nanos);
    }

    /// Counts a call that was not, or wrongly.
    pub(crate) fn failed(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    /// Whether nothing but errors came.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.calls == 0 && self.errors > 0
    }

    fn add(&mut self, other: Self) -> Fallible<()> {
        self.calls += other.calls;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.latencies.add(other.latencies)?;
        Ok(())
    }

    /// Errors of the warm-up are errors too.
    pub(crate) fn add_errors(&mut self, warm: Self) {
        self.errors += warm.errors;
        self.first_error = warm.first_error.or(self.first_error.take());
    }

    fn quantile_us(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1000.0
    }
}

/// The line a client ends with.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Calls answered within the window.
    pub(crate) calls: u64,
    /// Its length.
    pub(crate) secs: f64,
    /// The median of what a call took.
    pub(crate) p50_us: f64,
    /// What 99 of 100 calls did not exceed.
    pub(crate) p99_us: f64,
    /// CPU time of the client's process.
    pub(crate) cpu_s: f64,
    /// Calls that failed, or were not answered in 5 s.
    pub(crate) errors: u64,
    /// What the first of them said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_error: Option<String>,
    /// Allocations of the client's process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) allocs_per_call: Option<f64>,
    /// Bytes of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) alloc_bytes_per_call: Option<f64>,
}

impl Report {
    /// The same without what a counting build adds.
    pub(crate) fn without_allocations(&self) -> Self {
        Self { allocs_per_call: None, alloc_bytes_per_call: None, ..self.clone() }
    }
}

/// Reads the meters of the process at the beginning of a window and at its end.
pub(crate) struct Meter {
    cpu: Duration,
    allocations: Option<Allocations>,
}

impl Meter {
    /// Tells who waits for it that the measurement begins.
    pub(crate) fn start() -> Fallible<Self> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "START")?;
        out.flush()?;
        Ok(Self { allocations: allocations::total(), cpu: process::cpu() })
    }

    pub(crate) fn finish(self, tally: &Tally, window: Duration) -> Report {
        let cpu = process::cpu().saturating_sub(self.cpu);
        let calls = tally.calls.max(1) as f64;
        let allocated = allocations::total().zip(self.allocations);
        let allocated = allocated.map(|(after, before)| after.since(before));
        Report {
            calls: tally.calls,
            secs: window.as_secs_f64(),
            p50_us: tally.quantile_us(0.5),
            p99_us: tally.quantile_us(0.99),
            cpu_s: cpu.as_secs_f64(),
            errors: tally.errors,
            first_error: tally.first_error.clone(),
            allocs_per_call: allocated.map(|all| all.count as f64 / calls),
            alloc_bytes_per_call: allocated.map(|all| all.bytes as f64 / calls),
        }
    }
}

/// Warms up, measures, and says what was seen. When no call at all succeeds while warming up,
/// that is the report; what failed there is in it in any case.
pub(crate) async fn measure<C: Caller>(callers: Vec<C>, load: Load) -> Fallible<Report> {
    let (callers, warm) = window(callers, WARM_UP).await?;
    let meter = Meter::start()?;
    if warm.is_hopeless() {
        return Ok(meter.finish(&warm, WARM_UP));
    }
    let (_, mut tally) = window(callers, load.secs).await?;
    tally.add_errors(warm);
    Ok(meter.finish(&tally, load.secs))
}

/// Lets all callers run for a time, each on a task of its own.
async fn window<C: Caller>(callers: Vec<C>, length: Duration) -> Fallible<(Vec<C>, Tally)> {
    let mut total = Tally::new()?;
    let mut tallies = Vec::with_capacity(callers.len());
    for _ in &callers {
        tallies.push(Tally::new()?);
    }
    let until = now() + length;
    let tasks: Vec<_> = callers
        .into_iter()
        .zip(tallies)
        .map(|(caller, tally)| tokio::spawn(run(caller, tally, until)))
        .collect();
    let mut callers = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (caller, tally) = task.await?;
        callers.push(caller);
        total.add(tally)?;
    }
    Ok((callers, total))
}

/// Calls again and again until the time is over. A call that is open then is waited for: it
/// counts when it fails, not when it succeeds too late. Who never had an answer stops at the
/// first error.
async fn run<C: Caller>(mut caller: C, mut tally: Tally, until: Instant) -> (C, Tally) {
    let mut began = now();
    for number in 0.. {
        let outcome = caller.call(number).await;
        let ended = now();
        match outcome {
            Ok(()) if ended <= until => tally.answered(ended - began),
            Ok(()) => {}
            Err(error) => tally.failed(error),
        }
        if ended >= until || tally.is_hopeless() {
            break;
        }
        began = ended;
    }
    (caller, tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Result<(), String>);

    impl Caller for Fixed {
        async fn call(&mut self, _: i64) -> Result<(), String> {
            tokio::task::yield_now().await;
            self.0.clone()
        }
    }

    fn load() -> Load {
        Load { in_flight: 2, secs: Duration::from_millis(20), payload: 0 }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        crate::runtime(crate::RuntimeKind::Current).unwrap().block_on(future)
    }

    #[test]
    fn answers_are_counted_and_timed() {
        let report = block_on(measure(vec![Fixed(Ok(())), Fixed(Ok(()))], load())).unwrap();
        assert!(report.calls > 2 && report.errors == 0);
        assert!(report.p50_us > 0.0 && report.p50_us <= report.p99_us);
        assert_eq!(report.secs, 0.02);
    }

    #[test]
    fn callers_that_only_fail_stop_at_once_and_say_why() {
        let callers = vec![Fixed(Err("no".to_owned())), Fixed(Err("no".to_owned()))];
        let report = block_on(measure(callers, load())).unwrap();
        assert_eq!((report.calls, report.errors), (0, 2));
        assert_eq!(report.first_error.as_deref(), Some("no"));
    }

    #[test]
    fn the_line_has_the_six_fields_and_more_only_when_there_is_more() {
        let tally = Tally::new().unwrap();
        let meter = Meter { cpu: process::cpu(), allocations: None };
        let report = meter.finish(&tally, Duration::from_secs(1)).without_allocations();
        let line = serde_json::to_string(&report).unwrap();
        let keys: Vec<_> = line.split('"').skip(1).step_by(2).collect();
        assert_eq!(keys, ["calls", "secs", "p50_us", "p99_us", "cpu_s", "errors"]);
    }
}
