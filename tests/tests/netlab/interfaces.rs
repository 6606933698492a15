//! Interfaces that go down and come up, and change, under nodes that stay.

use std::time::Duration;

use lanc_netlab::{Lab, Rule};

use crate::ground::{Callee, Caller, HELLO, Ledger, Outcome, beside, conclude, tally, together};

const DEADLINE: Duration = Duration::from_secs(2);
const OPTIONS: [&str; 4] = ["--in-flight", "2", "--deadline-ms", "2000"];

/// Does something to the callee's side of a network, and to the caller's of another, while calls
/// go on, and waits for the next success.
fn at_either_side(
    seed: u64,
    wait: Duration,
    what: &str,
    change: impl Fn(&Lab, usize, &mut Caller) + Sync,
) {
    let _beside = beside();
    together([(seed, 0), (seed + 100, 1)], |(seed, side)| {
        let Some(lab) = Lab::new(seed, 2) else { return };
        let ledger = Ledger::new();
        lab.everywhere(Rule::after_ms(1));
        let _callee = Callee::start(&lab, 0, &ledger, &[]);
        let mut caller = Caller::start(&lab, 1, "caller", &OPTIONS);
        caller.go(0);
        caller.listen(Duration::from_millis(200));
        change(&lab, side, &mut caller);
        let took = caller.succeeds(wait);
        println!("{what} of host {side}: answers again after {took:?}");
        caller.stop(DEADLINE + HELLO);
        conclude(&ledger, &caller.outcomes, DEADLINE);
    });
}

#[test]
fn an_interface_may_go_down_and_come_up_at_either_side() {
    at_either_side(65, 2 * HELLO, "interface down for 2.5 s", |lab, side, caller| {
        lab.host(side).ip("link set lan down");
        caller.listen(Duration::from_millis(2500));
        lab.join(side);
        caller.catch_up();
    });
}

#[test]
fn an_address_may_change_at_either_side() {
    // Calls that are under way to the old address wait for their deadline.
    at_either_side(66, 2 * HELLO + DEADLINE, "another address", |lab, side, caller| {
        lab.host(side).ip(&format!("addr del {}/24 dev lan", lab.address(side)));
        caller.listen(Duration::from_millis(100));
        lab.host(side).ip(&format!("addr add 10.77.0.10{side}/24 brd + dev lan"));
        caller.listen(Duration::from_millis(100));
    });
}

#[test]
fn a_narrow_mtu_costs_no_call() {
    let _beside = beside();
    let Some(lab) = Lab::new(67, 2) else { return };
    let ledger = Ledger::new();
    for host in [0, 1] {
        lab.host(host).ip("link set lan mtu 600");
    }
    let _callee = Callee::start(&lab, 0, &ledger, &[]);
    let mut caller = Caller::start(&lab, 1, "caller", &["--function", "mixed", "--in-flight", "8"]);
    let outcomes = caller.run(400, Duration::from_secs(30));
    assert!(outcomes.iter().all(Outcome::is_ok), "{:?}", tally(&outcomes));
}
