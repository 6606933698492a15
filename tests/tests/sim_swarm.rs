//! Many seeds, each a scenario of its own with faults of every kind: all promises hold in all of
//! them, and all heal.
//!
//! `LANC_SWARM_SEEDS=A..B` runs those seeds instead; with `LANC_SWARM_STATE=FILE` as well, in
//! chunks that are noted in the file, so that a long run may be interrupted and begun again.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use std::io::Write;
use std::ops::Range;

use lanc_testkit::sim::Coverage;
use lanc_testkit::sim::swarm::{Plan, Swept, run, shrink, sweep};

/// Seeds of an ordinary run.
const SEEDS: u64 = 2000;
/// Seeds between two notes in the file of a long run.
const CHUNK: u64 = 500;

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn wished() -> Option<Range<u64>> {
    let text = std::env::var("LANC_SWARM_SEEDS").ok()?;
    let (from, to) = text.split_once("..")?;
    Some(from.parse().ok()?..to.parse().ok()?)
}

fn assert_holds(swept: &Swept) {
    let Some((seed, violation)) = swept.failed.first() else { return };
    for (seed, violation) in &swept.failed {
        let first = violation.report.lines().next().unwrap_or_default();
        let plan = Plan::draw(*seed);
        let (nodes, originals) = (plan.nodes.len(), plan.originals.len());
        println!("seed {seed}: {} at {:?}: {first}", violation.invariant, violation.at);
        println!("  {nodes} nodes, {originals} older programs, hostile {:?}", plan.hostiles);
    }
    let smallest = shrink(&Plan::draw(*seed), violation.invariant);
    let again = run(&smallest).violation;
    let again = again.map_or(String::new(), |violation| violation.to_string());
    panic!("seed {seed}: {violation}\nthe smallest plan that breaks it:\n{smallest:#?}\n{again}");
}

/// Runs seeds in chunks; those that the file says are done are added, not run again.
fn run_on(seeds: Range<u64>, file: &str) -> Coverage {
    let mut all = Coverage::default();
    let mut from = seeds.start;
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        let Some((done, rest)) = line.split_once(' ') else { continue };
        if done.parse::<u64>().is_ok_and(|done| done == from) {
            all.add(&Coverage::parse(rest));
            from += CHUNK;
        }
    }
    let mut notes = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    while from < seeds.end {
        let swept = sweep(from..(from + CHUNK).min(seeds.end), threads());
        assert_holds(&swept);
        writeln!(notes, "{from} {}", swept.coverage.line()).unwrap();
        all.add(&swept.coverage);
        from += CHUNK;
    }
    all
}

#[test]
fn every_promise_holds_in_every_seed() {
    let seeds = wished().unwrap_or(0..SEEDS);
    let coverage = match std::env::var("LANC_SWARM_STATE") {
        Ok(file) => run_on(seeds, &file),
        Err(_) => {
            let swept = sweep(seeds, threads());
            assert_holds(&swept);
            swept.coverage
        }
    };
    println!("{coverage}");
}

#[test]
fn equal_seeds_give_equal_runs_and_other_seeds_others() {
    let trace = |seed: u64| run(&Plan::draw(seed)).trace;
    let hashes: Vec<_> = (3000..3008).map(trace).collect();
    for (seed, hash) in (3000..3008).zip(&hashes) {
        assert_eq!(trace(seed), *hash, "seed {seed}");
    }
    let mut distinct = hashes.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), hashes.len());
}

#[test]
fn coverage_is_read_as_it_was_written() {
    let coverage = run(&Plan::draw(1)).coverage;
    assert_eq!(Coverage::parse(&coverage.line()), coverage);
}
