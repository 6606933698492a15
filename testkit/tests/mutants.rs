//! Planted bugs, and the simulator that must find each of them.
//!
//! `RUSTFLAGS="--cfg lanc_mutant" cargo test -p lanc-testkit --test mutants --target-dir
//! target/mutants`; without the flag there is nothing here.

#![cfg(lanc_mutant)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lanc_core::mutant::{Mutant, plant};
use lanc_testkit::sim::Invariant;
use lanc_testkit::sim::swarm::{Plan, run, shrink};

/// Every bug must be found within so many seeds.
const SEEDS: u64 = 1000;

/// The first seed that breaks a promise, and the promise.
fn find(mutant: Mutant) -> Option<(u64, Invariant)> {
    plant(Some(mutant));
    let found = (0..SEEDS).find_map(|seed| {
        let plan = Plan::draw(seed);
        let report = run(&plan);
        // One seed in ten is compared with itself here.
        let differs = || seed % 10 == 0 && run(&plan).trace != report.trace;
        match report.violation {
            Some(violation) => Some((seed, violation.invariant)),
            None if differs() => Some((seed, Invariant::Deterministic)),
            None => None,
        }
    });
    plant(None);
    found
}

#[test]
fn every_planted_bug_is_found_within_a_thousand_seeds() {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutant) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = find(*mutant);
                    match result {
                        Some((seed, promise)) => println!("{mutant:?}: seed {seed}, {promise}"),
                        None => println!("{mutant:?}: not found"),
                    }
                    found.lock().unwrap().push((*mutant, result));
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    let missed: Vec<_> = found.iter().filter(|(_, result)| result.is_none()).collect();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
    assert!(found.len() >= 20, "only {} bugs are planted", found.len());
}

#[test]
fn a_plan_that_finds_a_bug_is_made_small() {
    let mutant = Mutant::SessionIgnored;
    let (seed, promise) = find(mutant).unwrap();
    let plan = Plan::draw(seed);
    plant(Some(mutant));
    let small = shrink(&plan, promise);
    let violation = run(&small).violation;
    plant(None);
    println!("of seed {seed}, {} events, is left: {small:#?}", plan.acts.len());
    assert_eq!(violation.map(|violation| violation.invariant), Some(promise));
    assert!(small.nodes.len() <= 3 && small.acts.len() <= 8, "{small:#?}");
    assert!(small.heals_at <= plan.heals_at);
    // Without the bug the same plan holds.
    assert_eq!(run(&small).violation, None);
}
