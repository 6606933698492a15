//! The same for a long time: nothing grows, nothing is forgotten. `LANC_SOAK` says for how many
//! seconds; 5 unless it is set. Needs root; elsewhere it says why it checks nothing.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]
#![allow(dead_code, reason = "the helpers serve the scenarios too")]

#[path = "netlab/ground.rs"]
mod ground;
#[path = "netlab/usage.rs"]
mod usage;

use std::time::Duration;

use ground::{Callee, Caller, Ledger, percentile, tally};
use lanc_netlab::{Lab, Rule, now};
use usage::{descriptors, rss_kib};

/// Not counted: until then caches and tables fill.
const WARM_UP: Duration = Duration::from_secs(30);
/// MiB in a minute.
const MOST_SLOPE: f64 = 1.0;

fn duration() -> Duration {
    let text = std::env::var("LANC_SOAK").unwrap_or_default();
    Duration::from_secs(text.parse().unwrap_or(5).clamp(1, 24 * 3600))
}

/// What a process used, second by second.
struct Watched {
    name: &'static str,
    process: u32,
    descriptors: Option<usize>,
    /// Seconds and MiB.
    memory: Vec<(f64, f64)>,
}

impl Watched {
    fn new(name: &'static str, process: u32) -> Self {
        Self { name, process, descriptors: None, memory: Vec::new() }
    }

    fn look(&mut self, at: Duration) {
        let kib = f64::from(u32::try_from(rss_kib(self.process)).unwrap());
        self.memory.push((at.as_secs_f64(), kib / 1024.0));
        self.descriptors.get_or_insert_with(|| descriptors(self.process));
    }

    /// By how many MiB it grows in a minute: the line that fits best.
    fn slope(&self) -> f64 {
        let count = f64::from(u32::try_from(self.memory.len()).unwrap());
        let mean = |of: fn(&(f64, f64)) -> f64| self.memory.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            self.memory.iter().map(|point| of(point.0 - x, point.1 - y)).sum()
        };
        60.0 * sum(&|x, y| x * y) / sum(&|x, _| x * x)
    }

    fn check(&self, measured: bool) {
        let (slope, now) = (self.slope(), descriptors(self.process));
        let last = self.memory.last().unwrap().1;
        println!("{}: {last:.1} MiB, {slope:+.3} MiB/min, {now} descriptors", self.name);
        assert_eq!(Some(now), self.descriptors, "descriptors of the {}", self.name);
        assert!(!measured || slope < MOST_SLOPE, "the {} grows", self.name);
    }
}

#[test]
fn nothing_grows_and_nothing_is_forgotten() {
    let Some(lab) = Lab::new(90, 2) else { return };
    let (ledger, time) = (Ledger::new(), duration());
    lab.everywhere(Rule::after_ms(1));
    let mut callee = Callee::start(&lab, 0, &ledger, &[]);
    let options = ["--function", "mixed", "--nodes", "4", "--rate", "100"];
    let mut caller = Caller::start(&lab, 1, "caller", &options);
    lab.everywhere(Rule { duplication: 0.01, reordering: 0.01, ..Rule::after_ms(1).losing(0.01) });
    caller.go(0);

    let began = now();
    // A run that is shorter than the warm-up checks all but the slope.
    let warm = WARM_UP.min(time / 3);
    let mut watched =
        [Watched::new("callee", callee.0.id()), Watched::new("caller", caller.process.id())];
    let (mut calls, mut failed, mut slowest) = (0, Vec::new(), 0.0_f64);
    while began.elapsed() < time {
        caller.listen(Duration::from_secs(1));
        if began.elapsed() >= warm {
            watched.iter_mut().for_each(|process| process.look(began.elapsed()));
        }
        slowest = slowest.max(percentile(&caller.outcomes, 0.99));
        calls += caller.outcomes.len();
        failed.extend(caller.outcomes.extract_if(.., |outcome| !outcome.is_ok()));
        caller.outcomes.clear();
    }
    watched.iter().for_each(|process| process.check(time > 2 * WARM_UP));
    caller.stop(Duration::from_secs(40));
    let stats = callee.stats();
    println!(
        "{calls} calls in {:?}, p99 of the slowest second {slowest:.0} ms, failed: {:?}",
        began.elapsed(),
        tally(&failed)
    );
    ledger.agrees(&failed);
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(stats["frames_received"], stats["frames_accepted"] + dropped(&stats), "{stats:?}");
    assert_eq!(stats["tasks_started"], stats["tasks_succeeded"], "{stats:?}");
    assert_eq!(stats["events_lost"], 0);
}

fn dropped(stats: &std::collections::BTreeMap<String, u64>) -> u64 {
    stats.iter().filter(|(name, _)| name.starts_with("dropped_")).map(|(_, count)| count).sum()
}
