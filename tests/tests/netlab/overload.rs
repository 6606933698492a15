//! Four times as many calls as can be done: as much is done as ever, and the rest is refused.

use std::time::Duration;

use lanc_netlab::{Lab, Rule};

use crate::ground::{Callee, Caller, Ledger, in_time, scale, tally, turn};
use crate::usage::rss;

/// Two workers that need 10 ms each.
const CAPACITY: u32 = 200;
const WORK: [&str; 6] = ["--function", "work", "--ms", "10", "--deadline-ms", "5000"];
/// The bound of queued arguments, of kept answers, and what the process has anyway.
const MOST_MIB: u64 = 160;

#[test]
fn overload_is_refused_and_costs_no_goodput() {
    let _turn = turn();
    let Some(lab) = Lab::new(70, 3) else { return };
    let ledger = Ledger::new();
    lab.everywhere(Rule::after_ms(1));
    let callee = Callee::start(&lab, 0, &ledger, &["--workers", "2"]);
    let mut calm = Caller::start(&lab, 1, "calm", &[&WORK[..], &["--in-flight", "8"]].concat());
    let peak = goodput(&calm.run(3 * CAPACITY, Duration::from_secs(30)));

    let rate = (2 * CAPACITY).to_string();
    let options = [&WORK[..], &["--nodes", "2", "--rate", &rate]].concat();
    let mut crowd = Caller::start(&lab, 2, "crowd", &options);
    let seconds = 5 * scale().min(4);
    let outcomes = crowd.run(4 * CAPACITY * seconds, Duration::from_secs(60));
    let under_load = goodput(&outcomes);
    let tally = tally(&outcomes);
    let most = rss(callee.0.id());
    println!(
        "peak {peak:.0}/s; offered {}/s: {under_load:.0}/s, {tally:?}, {most} MiB",
        4 * CAPACITY
    );
    assert!(under_load >= 0.9 * peak);
    assert!(most <= MOST_MIB);
    ledger.agrees(&outcomes);
    in_time(&outcomes, Duration::from_secs(5));
    let refusals: Vec<_> = outcomes.iter().filter_map(|one| one.result.as_ref().err()).collect();
    assert!(!refusals.is_empty(), "nothing was refused");
    for refusal in refusals {
        assert_eq!(
            (refusal.code.as_str(), refusal.executed.as_str()),
            ("busy", "no"),
            "{refusal:?}"
        );
        assert!(refusal.retry_ms.is_some(), "{refusal:?}");
    }
    // Whoever comes afterwards is served at once.
    let after = calm.run(20, Duration::from_secs(5));
    assert!(after.iter().all(|one| one.is_ok() && one.ms < 1000.0), "{after:?}");
}

/// Successes in a second, between the first call and the last answer of those that succeeded.
fn goodput(outcomes: &[crate::ground::Outcome]) -> f64 {
    let good = || outcomes.iter().filter(|one| one.is_ok());
    let first = good().map(|one| one.at_ms).fold(f64::MAX, f64::min);
    let last = good().map(|one| one.at_ms + one.ms).fold(0.0, f64::max);
    f64::from(u32::try_from(good().count()).unwrap()) * 1000.0 / (last - first)
}
