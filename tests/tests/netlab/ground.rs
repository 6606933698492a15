//! What the scenarios share: the endpoints on their hosts, their outcomes, the ledger.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use lanc_netlab::{Lab, Process, Signal, now};
use serde::Deserialize;
use serde_json::Value;

/// A hello interval with all its jitter, and what the machine may add.
pub(crate) const HELLO: Duration = Duration::from_millis(6_500);
/// How late an outcome may be.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// How many times as much is done as in the ordinary run; 10 for the long one.
pub(crate) fn scale() -> u32 {
    let text = std::env::var("LANC_LAB_SCALE").unwrap_or_default();
    text.parse().unwrap_or(1).clamp(1, 100)
}

static TURN: RwLock<()> = RwLock::new(());

/// For scenarios that measure how fast something is: nothing else runs meanwhile.
pub(crate) fn turn() -> RwLockWriteGuard<'static, ()> {
    TURN.write().unwrap_or_else(PoisonError::into_inner)
}

/// For scenarios that wait most of the time: they run beside each other.
pub(crate) fn beside() -> RwLockReadGuard<'static, ()> {
    TURN.read().unwrap_or_else(PoisonError::into_inner)
}

/// The parts of such a scenario, beside each other.
pub(crate) fn together<T: Send>(parts: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
    let work = &work;
    std::thread::scope(|scope| {
        for part in parts {
            scope.spawn(move || work(part));
        }
    });
}

/// The file in which the callee writes every start down; gone when dropped.
pub(crate) struct Ledger(PathBuf);

impl Ledger {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lanc-ledger-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// By key, the sessions in which it was started, once for every start.
    pub(crate) fn starts(&self) -> BTreeMap<String, Vec<String>> {
        let mut starts = BTreeMap::<_, Vec<_>>::new();
        for line in std::fs::read_to_string(&self.0).unwrap_or_default().lines() {
            let mut words = line.split(' ');
            let (key, session) = (words.next().unwrap(), words.next().unwrap());
            starts.entry(key.to_owned()).or_default().push(session.to_owned());
        }
        starts
    }

    /// Checks that nothing was started twice, and that every outcome says what is true.
    #[track_caller]
    pub(crate) fn agrees(&self, outcomes: &[Outcome]) {
        let starts = self.starts();
        for (key, sessions) in &starts {
            assert_eq!(sessions.len(), 1, "{key} was started by {sessions:?}");
        }
        for outcome in outcomes {
            let ran = starts.contains_key(&outcome.key);
            let right = match &outcome.result {
                Ok(right) => ran && *right,
                Err(error) => match error.executed.as_str() {
                    "no" => !ran,
                    "yes" => ran,
                    _ => true,
                },
            };
            assert!(right, "it ran: {ran}, but {outcome:?}");
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What became of a call.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) key: String,
    /// When the call was made, in the caller's own time.
    pub(crate) at_ms: f64,
    /// How long it took.
    pub(crate) ms: f64,
    /// Whether the right answer came.
    pub(crate) result: Result<bool, Failed>,
}

#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) code: String,
    pub(crate) executed: String,
    pub(crate) retry_ms: Option<f64>,
    #[allow(dead_code, reason = "told when a test fails")]
    pub(crate) message: String,
}

#[derive(Deserialize)]
struct Line {
    key: String,
    at_ms: f64,
    ms: f64,
    ok: Option<bool>,
    error: Option<String>,
    executed: Option<String>,
    message: Option<String>,
    retry_ms: Option<f64>,
}

impl Outcome {
    /// `None`: the line says something else.
    fn read(line: &str) -> Option<Self> {
        let line: Line = serde_json::from_str(line).ok()?;
        let failed = |code| Failed {
            code,
            executed: line.executed.unwrap_or_default(),
            retry_ms: line.retry_ms,
            message: line.message.unwrap_or_default(),
        };
        let result = match line.error {
            Some(code) => Err(failed(code)),
            None => Ok(line.ok?),
        };
        Some(Self { key: line.key, at_ms: line.at_ms, ms: line.ms, result })
    }

    pub(crate) fn is_ok(&self) -> bool {
        matches!(self.result, Ok(true))
    }
}

/// The callee on a host.
pub(crate) struct Callee(pub(crate) Process);

impl Callee {
    /// Starts it and waits until it serves. `more` are further options.
    #[track_caller]
    pub(crate) fn start(lab: &Lab, host: usize, ledger: &Ledger, more: &[&str]) -> Self {
        let ledger = ledger.path().to_str().unwrap();
        let words = [&["serve", "--name", "callee", "--ledger", ledger], more].concat();
        Self::launch(lab.host(host).command(env!("CARGO_BIN_EXE_endpoint"), &words))
    }

    #[track_caller]
    pub(crate) fn launch(mut command: std::process::Command) -> Self {
        let mut process = Process::start_to_tell(&mut command);
        process.ready();
        Self(process)
    }

    /// What it has counted.
    #[track_caller]
    pub(crate) fn stats(&mut self) -> BTreeMap<String, u64> {
        self.0.tell("stats");
        stats(&self.0.line("{\"stats\""))
    }
}

fn stats(line: &str) -> BTreeMap<String, u64> {
    let mut line: Value = serde_json::from_str(line).unwrap();
    serde_json::from_value(line["stats"].take()).unwrap()
}

/// A caller on a host.
pub(crate) struct Caller {
    pub(crate) process: Process,
    /// What became of its calls, as far as it has been read.
    pub(crate) outcomes: Vec<Outcome>,
}

impl Caller {
    /// Starts it and waits until it is warm.
    #[track_caller]
    pub(crate) fn start(lab: &Lab, host: usize, name: &str, options: &[&str]) -> Self {
        let words = [&["call", "--name", name], options].concat();
        let mut command = lab.host(host).command(env!("CARGO_BIN_EXE_endpoint"), &words);
        let mut process = Process::start_to_tell(&mut command);
        process.line("warm");
        Self { process, outcomes: Vec::new() }
    }

    /// Has it make so many calls; 0: until it is told to stop.
    #[track_caller]
    pub(crate) fn go(&mut self, count: u32) {
        self.process.tell(&format!("go {count}"));
    }

    /// Reads outcomes for as long as that.
    #[track_caller]
    pub(crate) fn listen(&mut self, time: Duration) {
        let began = now();
        while let Some(left) = time.checked_sub(began.elapsed()) {
            self.next(left);
        }
    }

    /// Reads outcomes until one succeeds, and returns how long that took.
    #[track_caller]
    pub(crate) fn succeeds(&mut self, within: Duration) -> Duration {
        let (began, seen) = (now(), self.outcomes.len());
        while let Some(left) = within.checked_sub(began.elapsed()) {
            if self.next(left) && self.outcomes.last().is_some_and(Outcome::is_ok) {
                return began.elapsed();
            }
        }
        panic!("nothing succeeds in {within:?}: {:#?}", &self.outcomes[seen..]);
    }

    /// Ends it as a power cut would, and reads what it printed before.
    pub(crate) fn kill(mut self) -> Vec<Outcome> {
        self.process.signal(Signal::SIGKILL);
        // Its end closes what its lines come through.
        while self.next(Duration::from_secs(10)) {}
        self.outcomes
    }

    /// Reads what there is already.
    pub(crate) fn catch_up(&mut self) {
        while self.next(Duration::ZERO) {}
    }

    /// Reads outcomes until all calls of the round have theirs.
    #[track_caller]
    pub(crate) fn finish(&mut self, within: Duration) {
        let began = now();
        loop {
            let left = within.saturating_sub(began.elapsed());
            let Some(line) = self.process.next_line(left) else {
                panic!(
                    "calls without an outcome after {within:?}, {} have one",
                    self.outcomes.len()
                )
            };
            if line.starts_with("{\"done\"") {
                return;
            }
            self.outcomes.extend(Outcome::read(&line));
        }
    }

    /// Ends an endless round.
    #[track_caller]
    pub(crate) fn stop(&mut self, within: Duration) {
        self.process.tell("stop");
        self.finish(within);
    }

    /// One round of so many calls. Returns its outcomes.
    #[track_caller]
    pub(crate) fn run(&mut self, count: u32, within: Duration) -> Vec<Outcome> {
        self.go(count);
        self.finish(within);
        std::mem::take(&mut self.outcomes)
    }

    /// What its first node has counted. Outcomes that come meanwhile are kept.
    #[track_caller]
    pub(crate) fn stats(&mut self) -> BTreeMap<String, u64> {
        self.process.tell("stats");
        loop {
            let line = self.process.next_line(Duration::from_secs(10)).unwrap();
            if line.starts_with("{\"stats\"") {
                return stats(&line);
            }
            self.outcomes.extend(Outcome::read(&line));
        }
    }

    /// Reads a line. Whether there was one.
    fn next(&mut self, patience: Duration) -> bool {
        let Some(line) = self.process.next_line(patience) else { return false };
        self.outcomes.extend(Outcome::read(&line));
        true
    }
}

/// Checks that no call took longer than its deadline.
#[track_caller]
pub(crate) fn in_time(outcomes: &[Outcome], deadline: Duration) {
    let most = (deadline + TICK).as_secs_f64() * 1000.0;
    for outcome in outcomes {
        assert!(outcome.ms <= most, "{outcome:?}");
    }
}

/// Ends a scenario: prints what came of its calls, and checks that they agree with the callee's
/// ledger and took no longer than their deadline.
#[track_caller]
pub(crate) fn conclude(ledger: &Ledger, outcomes: &[Outcome], deadline: Duration) {
    println!("{:?}", tally(outcomes));
    ledger.agrees(outcomes);
    in_time(outcomes, deadline);
}

/// How many succeeded, and of the others how many by code.
pub(crate) fn tally(outcomes: &[Outcome]) -> BTreeMap<&str, usize> {
    let mut tally = BTreeMap::new();
    for outcome in outcomes {
        let code = outcome
            .result
            .as_ref()
            .map_or_else(|error| error.code.as_str(), |right| if *right { "ok" } else { "wrong" });
        *tally.entry(code).or_default() += 1;
    }
    tally
}

/// The latency that this share of the calls does not exceed, in milliseconds.
pub(crate) fn percentile(outcomes: &[Outcome], share: f64) -> f64 {
    let mut times: Vec<f64> = outcomes.iter().map(|outcome| outcome.ms).collect();
    times.sort_unstable_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
    #[allow(clippy::cast_precision_loss, reason = "a list in memory")]
    let place = (times.len() as f64 * share).ceil() as usize;
    times.get(place.saturating_sub(1)).copied().unwrap_or_default()
}
