//! Calls over a lossy network, beside what a model of the protocol's timers says of them.

use std::time::Duration;

use lanc_netlab::{Lab, Rule};

use crate::ground::{
    Callee, Caller, Ledger, beside, in_time, percentile, scale, tally, together, turn,
};

/// Nodes that call at once, one call each: what waits for the congestion window is not measured.
const NODES: u32 = 8;
const DEADLINE: Duration = Duration::from_secs(30);
/// Calls of which the 99th percentile is known well enough: to a tenth of its one per cent.
const ENOUGH: u32 = 10_000;

/// One row of the table in `docs/reliability.md`.
struct Row {
    /// The share that is lost, each way.
    loss: f64,
    /// The 99th percentile in milliseconds: what it must not exceed.
    most_p99: f64,
    /// The share of calls that must succeed.
    success: f64,
    /// Calls in the ordinary run.
    calls: u32,
}

/// A third more than the model has, or 15 ms.
fn most_p99(model: f64) -> f64 {
    model + (0.3 * model).max(15.0)
}

/// The share of calls that may be slower. Of many calls it is p99 itself that is judged: one in a
/// hundred. Of fewer, the lower end of the interval in which the true p99 lies with a confidence of
/// 99.6 % (of 1,000 calls; more of more): three standard deviations of the number of calls above it.
fn most_slow(calls: u32) -> f64 {
    let chance = 3.0 * (0.01 * 0.99 / f64::from(calls)).sqrt();
    0.01 + if calls < ENOUGH { chance } else { 0.0 }
}

#[test]
fn loss_00_none() {
    measure(&Row { loss: 0.0, most_p99: 50.0, success: 0.9999, calls: 1000 });
}

#[test]
fn loss_01_percent() {
    measure(&Row { loss: 0.01, most_p99: 50.0, success: 0.9999, calls: 1000 });
}

#[test]
fn loss_05_percent() {
    measure(&Row { loss: 0.05, most_p99: most_p99(38.0), success: 0.9999, calls: 1000 });
}

#[test]
fn loss_10_percent() {
    measure(&Row { loss: 0.1, most_p99: most_p99(88.0), success: 0.9999, calls: 1000 });
}

#[test]
fn loss_20_percent() {
    measure(&Row { loss: 0.2, most_p99: most_p99(185.0), success: 0.9999, calls: 1000 });
}

#[test]
fn loss_30_percent() {
    // As many as the model had, in the long run.
    let calls = if scale() < 10 { 1000 } else { 4000 };
    measure(&Row { loss: 0.3, most_p99: most_p99(295.0), success: 0.999, calls });
}

fn measure(row: &Row) {
    let _turn = turn();
    let Some(lab) = Lab::new(40, 2) else { return };
    let ledger = Ledger::new();
    lab.everywhere(Rule::after_ms(1));
    let _callee = Callee::start(&lab, 0, &ledger, &[]);
    let mut caller = Caller::start(&lab, 1, "caller", &["--nodes", &NODES.to_string()]);
    lab.everywhere(Rule::after_ms(1).losing(row.loss));
    let before = lab.counts(0, 1).offered + lab.counts(1, 0).offered;
    let calls = row.calls * scale();
    let outcomes = caller.run(calls, Duration::from_secs(u64::from(calls / 10)));
    let datagrams = lab.counts(0, 1).offered + lab.counts(1, 0).offered - before;

    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| percentile(&outcomes, share));
    let slow = outcomes.iter().filter(|outcome| outcome.ms > row.most_p99).count();
    let slow = f64::from(u32::try_from(slow).unwrap()) / f64::from(calls);
    let tally = tally(&outcomes);
    let ok = u32::try_from(tally.get("ok").copied().unwrap_or_default()).unwrap();
    let success = f64::from(ok) / f64::from(calls);
    let each = f64::from(u32::try_from(datagrams).unwrap()) / f64::from(calls);
    println!(
        "{:2.0} % lost each way: {calls} calls, {:.3} % succeed, p50 {p50:.1} ms, p99 {p99:.1} ms, \
         p99.9 {p999:.1} ms, {:.3} % above {:.1} ms, {each:.2} datagrams for a call, {tally:?}",
        row.loss * 100.0,
        success * 100.0,
        slow * 100.0,
        row.most_p99,
    );
    for failed in outcomes.iter().filter(|outcome| !outcome.is_ok()).take(20) {
        println!("{failed:?}");
    }
    assert_eq!(outcomes.len(), calls as usize);
    ledger.agrees(&outcomes);
    in_time(&outcomes, DEADLINE);
    assert!(success >= row.success, "{tally:?}");
    assert!(slow <= most_slow(calls), "{slow} are slower than {} ms", row.most_p99);
}

#[test]
fn long_ways_lose_no_call() {
    let _beside = beside();
    together([(41, 20), (42, 200)], |(seed, delay)| {
        let Some(lab) = Lab::new(seed, 2) else { return };
        let ledger = Ledger::new();
        lab.everywhere(Rule::after_ms(delay));
        let _callee = Callee::start(&lab, 0, &ledger, &[]);
        let nodes = ["--nodes", &NODES.to_string(), "--warm-up", "3"];
        let mut caller = Caller::start(&lab, 1, "caller", &nodes);
        lab.everywhere(Rule::after_ms(delay).losing(0.1));
        let outcomes = caller.run(100 * scale(), Duration::from_secs(u64::from(60 * scale())));
        let [p50, p99] = [0.5, 0.99].map(|share| percentile(&outcomes, share));
        println!(
            "{delay} ms each way, 10 % lost: p50 {p50:.0} ms, p99 {p99:.0} ms, {:?}",
            tally(&outcomes)
        );
        ledger.agrees(&outcomes);
        assert!(outcomes.iter().all(|outcome| outcome.is_ok()), "{:?}", tally(&outcomes));
    });
}

#[test]
fn duplicates_and_reordering_start_nothing_twice() {
    let _beside = beside();
    let Some(lab) = Lab::new(63, 2) else { return };
    let ledger = Ledger::new();
    lab.everywhere(Rule::after_ms(1));
    let _callee = Callee::start(&lab, 0, &ledger, &[]);
    let mut caller = Caller::start(&lab, 1, "caller", &["--nodes", "4"]);
    lab.everywhere(Rule {
        duplication: 0.2,
        reordering: 0.2,
        jitter: Duration::from_millis(3),
        ..Rule::after_ms(1)
    });
    let outcomes = caller.run(1000 * scale(), Duration::from_secs(u64::from(60 * scale())));
    println!("duplicates and reordering: {:?}", tally(&outcomes));
    ledger.agrees(&outcomes);
    assert!(outcomes.iter().all(|outcome| outcome.is_ok()), "{:?}", tally(&outcomes));
}
