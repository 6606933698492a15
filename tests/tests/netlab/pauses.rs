//! Processes that stand still and go on, and networks that are cut and mended.

use std::time::Duration;

use lanc_netlab::{Lab, Rule, Signal};

use crate::ground::{Callee, Caller, HELLO, Ledger, beside, conclude, scale, tally, together};

const DEADLINE: Duration = Duration::from_secs(2);
const OPTIONS: [&str; 4] = ["--in-flight", "4", "--deadline-ms", "2000"];
const IN_FLIGHT: usize = 4;

/// In the long run also longer than a lease.
fn pauses() -> Vec<Duration> {
    let mut pauses = vec![100, 1000, 3000];
    if scale() >= 10 {
        pauses.extend([20_000, 60_000]);
    }
    pauses.into_iter().map(Duration::from_millis).collect()
}

#[test]
fn a_callee_that_stands_still_is_waited_for_until_the_deadline() {
    let _beside = beside();
    let Some(lab) = Lab::new(60, 2) else { return };
    let ledger = Ledger::new();
    lab.everywhere(Rule::after_ms(1));
    let callee = Callee::start(&lab, 0, &ledger, &[]);
    let mut caller = Caller::start(&lab, 1, "caller", &OPTIONS);
    caller.go(0);
    for pause in pauses() {
        caller.listen(Duration::from_millis(300));
        callee.0.signal(Signal::SIGSTOP);
        // Whatever it had printed is read before its answer to this.
        caller.stats();
        let before = caller.outcomes.len();
        caller.listen(pause);
        // Those whose answers were on their way, and of those begun since none.
        let successes = caller.outcomes[before..].iter().filter(|outcome| outcome.is_ok()).count();
        assert!(successes <= IN_FLIGHT, "{successes} answers of one that stands still");
        callee.0.signal(Signal::SIGCONT);
        let took = caller.succeeds(2 * HELLO);
        println!("callee still for {pause:?}: answers again after {took:?}");
    }
    caller.stop(DEADLINE + HELLO);
    conclude(&ledger, &caller.outcomes, DEADLINE);
}

#[test]
fn a_caller_that_stands_still_is_told_nothing_wrong_afterwards() {
    let _beside = beside();
    let Some(lab) = Lab::new(61, 2) else { return };
    let ledger = Ledger::new();
    lab.everywhere(Rule::after_ms(1));
    let _callee = Callee::start(&lab, 0, &ledger, &[]);
    let mut caller = Caller::start(&lab, 1, "caller", &OPTIONS);
    caller.go(0);
    for pause in pauses() {
        caller.listen(Duration::from_millis(300));
        caller.process.signal(Signal::SIGSTOP);
        caller.listen(pause);
        caller.process.signal(Signal::SIGCONT);
        caller.catch_up();
        caller.succeeds(2 * HELLO);
    }
    caller.stop(DEADLINE + HELLO);
    println!("caller stood still: {:?}", tally(&caller.outcomes));
    ledger.agrees(&caller.outcomes);
}

#[test]
fn a_cut_network_is_whole_again_once_it_is_mended() {
    let _beside = beside();
    // Both ways, only calls, only answers.
    let cuts = [&[(0, 1), (1, 0)][..], &[(1, 0)], &[(0, 1)]];
    together([62, 162, 262].into_iter().zip(cuts), |(seed, cut)| {
        let Some(lab) = Lab::new(seed, 2) else { return };
        let ledger = Ledger::new();
        lab.everywhere(Rule::after_ms(1));
        let _callee = Callee::start(&lab, 0, &ledger, &[]);
        let mut caller = Caller::start(&lab, 1, "caller", &OPTIONS);
        caller.go(0);
        for time in [500, 2500] {
            caller.listen(Duration::from_millis(200));
            for (from, to) in cut {
                lab.direction(*from, *to, Rule::cut());
            }
            caller.listen(Duration::from_millis(time));
            lab.everywhere(Rule::after_ms(1));
            caller.catch_up();
            let took = caller.succeeds(2 * HELLO);
            println!("{cut:?} cut for {time} ms: answers again after {took:?}");
        }
        caller.stop(DEADLINE + HELLO);
        conclude(&ledger, &caller.outcomes, DEADLINE);
    });
}
