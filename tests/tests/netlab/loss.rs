//! Calls over a lossy network, beside what a model of the protocol's timers says of them.

use std::time::Duration;

use lanc_netlab::{Lab, Rule};

use crate::ground::{Callee, Caller, Ledger, in_time, percentile, scale, tally, turn};

/// Nodes that call at once, one call each: what waits for the congestion window is not measured.
const NODES: u32 = 8;
const DEADLINE: Duration = Duration::from_secs(30);

/// One row: the share lost each way, the model's 99th percentile in milliseconds where there is
/// one to compare with, and the share of calls that must succeed.
struct Row {
    loss: f64,
    model_p99: Option<f64>,
    success: f64,
}

const ROWS: [Row; 6] = [
    Row { loss: 0.0, model_p99: None, success: 0.9999 },
    Row { loss: 0.01, model_p99: None, success: 0.9999 },
    Row { loss: 0.05, model_p99: Some(38.0), success: 0.9999 },
    Row { loss: 0.1, model_p99: Some(88.0), success: 0.9999 },
    Row { loss: 0.2, model_p99: Some(185.0), success: 0.998 },
    Row { loss: 0.3, model_p99: Some(295.0), success: 0.998 },
];

impl Row {
    /// The most the 99th percentile may be. The tenth part of the calls leaves it to chance whether
    /// a rare long call is counted; twice as much is allowed then.
    fn most_p99(&self) -> f64 {
        let most = self.model_p99.map_or(50.0, |model| model + (0.3 * model).max(15.0));
        if scale() < 10 { 2.0 * most } else { most }
    }
}

#[test]
fn calls_survive_a_lossy_network() {
    let _turn = turn();
    println!("loss   calls  success    p50 ms  p99 ms  p99.9 ms  datagrams  outcomes");
    for row in ROWS {
        let Some(lab) = Lab::new(40, 2) else { return };
        measure(&lab, &row);
    }
}

fn measure(lab: &Lab, row: &Row) {
    let ledger = Ledger::new();
    lab.everywhere(Rule::after_ms(1));
    let _callee = Callee::start(lab, 0, &ledger, &[]);
    let mut caller = Caller::start(lab, 1, "caller", &["--nodes", &NODES.to_string()]);
    lab.everywhere(Rule::after_ms(1).losing(row.loss));
    let before = lab.counts(0, 1).offered + lab.counts(1, 0).offered;
    let calls = 1000 * scale();
    let outcomes = caller.run(calls, Duration::from_secs(u64::from(120 * scale())));
    let datagrams = lab.counts(0, 1).offered + lab.counts(1, 0).offered - before;

    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| percentile(&outcomes, share));
    let tally = tally(&outcomes);
    let ok = u32::try_from(tally.get("ok").copied().unwrap_or_default()).unwrap();
    let success = f64::from(ok) / f64::from(calls);
    let each = f64::from(u32::try_from(datagrams).unwrap()) / f64::from(calls);
    println!(
        "{:4.0} %  {calls:5}  {:7.3} %  {p50:6.1}  {p99:6.1}  {p999:8.1}  {each:9.2}  {tally:?}",
        row.loss * 100.0,
        success * 100.0,
    );
    for failed in outcomes.iter().filter(|outcome| !outcome.is_ok()) {
        println!("{failed:?}");
    }
    assert_eq!(outcomes.len(), calls as usize);
    ledger.agrees(&outcomes);
    in_time(&outcomes, DEADLINE);
    assert!(success >= row.success, "{tally:?}");
    assert!(p99 <= row.most_p99(), "{p99} ms, and {} at most", row.most_p99());
}

#[test]
fn duplicates_and_reordering_start_nothing_twice() {
    let _turn = turn();
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
