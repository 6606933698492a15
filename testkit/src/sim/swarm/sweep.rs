//! Many seeds, on every core of the machine.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::plan::Plan;
use super::run::{Report, run};
use crate::sim::coverage::Coverage;
use crate::sim::invariant::{Invariant, Violation};

/// One seed in so many is run twice, and the traces compared.
const TWICE: u64 = 100;

/// What many seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// What all of them came by.
    pub coverage: Coverage,
    /// The seeds that failed, lowest first.
    pub failed: Vec<(u64, Violation)>,
}

/// Runs the plans of these seeds in as many threads. It ends early after ten failures.
pub fn sweep(seeds: Range<u64>, threads: usize) -> Swept {
    let next = AtomicU64::new(seeds.start);
    let all = Mutex::new(Swept::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut mine = Coverage::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let report = run_seed(seed);
                    mine.add(&report.coverage);
                    if let Some(violation) = report.violation {
                        let mut all = lock(&all);
                        all.failed.push((seed, violation));
                        if all.failed.len() >= 10 {
                            next.store(seeds.end, Ordering::Relaxed);
                        }
                    }
                }
                lock(&all).coverage.add(&mine);
            });
        }
    });
    let mut all = all.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.failed.sort_by_key(|(seed, _)| *seed);
    all
}

/// Runs a seed; one in a hundred twice.
fn run_seed(seed: u64) -> Report {
    let plan = Plan::draw(seed);
    let mut report = run(&plan);
    if report.violation.is_none() && seed.is_multiple_of(TWICE) {
        let again = run(&plan);
        report.coverage.repeated = 1;
        if again.trace != report.trace {
            let why = format!("the second run of seed {seed} goes another way");
            report.violation = Some(Violation {
                invariant: Invariant::Deterministic,
                at: plan.heals_at,
                report: why,
            });
        }
    }
    report
}

fn lock(all: &Mutex<Swept>) -> std::sync::MutexGuard<'_, Swept> {
    all.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
