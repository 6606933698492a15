//! `kill -9` at any moment: every call still has one true outcome, nothing is started twice, and
//! whoever comes back is of use within one hello, at the same port.

use std::time::Duration;

use fastrand::Rng;
use lanc_netlab::{Lab, Rule, now};

use crate::ground::{
    Callee, Caller, HELLO, Ledger, Outcome, beside, in_time, scale, tally, together,
};

const DEADLINE: Duration = Duration::from_secs(3);
const PORT: [&str; 2] = ["--private-port", "41000"];
/// Calls are running when the end comes.
const RUNNING: [&str; 8] =
    ["--function", "slow", "--ms", "20", "--in-flight", "4", "--deadline-ms", "3000"];

/// What may become of a call whose callee is killed, and what it then says of execution.
#[track_caller]
fn as_documented(outcomes: &[Outcome]) {
    for outcome in outcomes {
        let Err(error) = &outcome.result else { continue };
        let right = match error.code.as_str() {
            "timeout" => error.executed == "maybe",
            // No, if it was waiting here for room on the way.
            "lost" => error.executed != "yes",
            // While it is known to be away.
            "no_provider" | "network" | "busy" | "shutting_down" => error.executed == "no",
            _ => false,
        };
        assert!(right, "{outcome:?}");
    }
}

/// Kills the callee again and again while calls run.
fn callee_is_killed(seed: u64, rounds: u32, over: &str) {
    let Some(lab) = Lab::new(seed, 2) else { return };
    let (ledger, mut dice) = (Ledger::new(), Rng::with_seed(seed + 1));
    lab.everywhere(Rule::after_ms(1));
    let mut callee = Callee::start(&lab, 0, &ledger, &PORT);
    let mut caller = Caller::start(&lab, 1, "caller", &[&RUNNING[..], &["--over", over]].concat());
    caller.go(0);
    let (mut slowest, mut sum) = (Duration::ZERO, Duration::ZERO);
    for round in 0..rounds {
        caller.listen(Duration::from_millis(dice.u64(50..300)));
        callee.0.kill();
        // Now and then it is away for longer than calls wait.
        let away = if round % 10 == 9 { 4000 } else { dice.u64(0..100) };
        caller.listen(Duration::from_millis(away));
        callee = Callee::start(&lab, 0, &ledger, &PORT);
        caller.catch_up();
        let took = caller.succeeds(HELLO);
        (slowest, sum) = (slowest.max(took), sum + took);
    }
    caller.stop(DEADLINE + HELLO);
    let tally = tally(&caller.outcomes);
    println!(
        "callee killed {rounds} times ({over}): {tally:?}; of use again after {:?} on average, {slowest:?} at most",
        sum / rounds
    );
    ledger.agrees(&caller.outcomes);
    as_documented(&caller.outcomes);
    in_time(&caller.outcomes, DEADLINE);
    assert!(tally.len() > 1, "no call met an end");
}

#[test]
fn a_callee_may_be_killed_at_any_moment() {
    let _beside = beside();
    together([50, 150], |seed| callee_is_killed(seed, 10 * scale(), "auto"));
}

#[test]
fn so_it_may_under_connections() {
    let _beside = beside();
    callee_is_killed(50, 5 * scale(), "tcp");
}

#[test]
fn a_caller_may_be_killed_at_any_moment() {
    let _beside = beside();
    together([52, 152], |seed| caller_is_killed(seed, 10 * scale()));
}

/// Kills the caller again and again while its calls run.
fn caller_is_killed(seed: u64, rounds: u32) {
    let Some(lab) = Lab::new(seed, 3) else { return };
    let (ledger, mut dice) = (Ledger::new(), Rng::with_seed(seed + 1));
    lab.everywhere(Rule::after_ms(1));
    let mut callee = Callee::start(&lab, 0, &ledger, &["--workers", "4"]);
    // Somebody else, who must not notice.
    let mut other = Caller::start(&lab, 2, "other", &RUNNING);
    other.go(0);
    let mut outcomes = Vec::new();
    for round in 0..rounds {
        let options = [&RUNNING[..], &PORT, &["--warm-up", "1"]].concat();
        let began = now();
        let mut caller = Caller::start(&lab, 1, &format!("caller{round}"), &options);
        assert!(began.elapsed() < HELLO, "it is of use after {:?}", began.elapsed());
        caller.go(0);
        caller.listen(Duration::from_millis(dice.u64(20..300)));
        outcomes.append(&mut caller.kill());
        other.catch_up();
    }
    other.stop(DEADLINE);
    let ok = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    println!(
        "caller killed {rounds} times: {ok} of its calls answered, {} started",
        ledger.starts().len()
    );
    ledger.agrees(&outcomes);
    ledger.agrees(&other.outcomes);
    assert!(other.outcomes.iter().all(Outcome::is_ok), "{:?}", tally(&other.outcomes));
    // What the last of them had called may still run.
    let began = now();
    loop {
        let stats = callee.stats();
        let ended = stats["tasks_succeeded"] + stats["tasks_failed"];
        if stats["tasks_started"] == ended {
            return;
        }
        assert!(began.elapsed() < HELLO, "{ended} have ended: {stats:?}");
    }
}
