//! Interfaces that go down and come up, and change, under nodes that stay.

use std::time::Duration;

use lanc_netlab::{Lab, Rule};

use crate::ground::{Callee, Caller, HELLO, Ledger, Outcome, in_time, tally, turn};

const DEADLINE: Duration = Duration::from_secs(2);
const OPTIONS: [&str; 4] = ["--in-flight", "2", "--deadline-ms", "2000"];

#[test]
fn an_interface_may_go_down_and_come_up_at_either_side() {
    let _turn = turn();
    let Some(lab) = Lab::new(65, 2) else { return };
    let ledger = Ledger::new();
    lab.everywhere(Rule::after_ms(1));
    let _callee = Callee::start(&lab, 0, &ledger, &[]);
    let mut caller = Caller::start(&lab, 1, "caller", &OPTIONS);
    caller.go(0);
    for side in [0, 1] {
        caller.listen(Duration::from_millis(200));
        lab.host(side).ip("link set lan down");
        caller.listen(Duration::from_millis(2500));
        lab.join(side);
        caller.catch_up();
        let took = caller.succeeds(2 * HELLO);
        println!("interface of host {side} down for 2.5 s: answers again after {took:?}");
    }
    caller.stop(DEADLINE + HELLO);
    println!("{:?}", tally(&caller.outcomes));
    ledger.agrees(&caller.outcomes);
    in_time(&caller.outcomes, DEADLINE);
}

#[test]
fn an_address_may_change_at_either_side() {
    let _turn = turn();
    let Some(lab) = Lab::new(66, 2) else { return };
    let ledger = Ledger::new();
    lab.everywhere(Rule::after_ms(1));
    let _callee = Callee::start(&lab, 0, &ledger, &[]);
    let mut caller = Caller::start(&lab, 1, "caller", &OPTIONS);
    caller.go(0);
    for side in [0, 1] {
        caller.listen(Duration::from_millis(200));
        lab.host(side).ip(&format!("addr del {}/24 dev lan", lab.address(side)));
        caller.listen(Duration::from_millis(100));
        lab.host(side).ip(&format!("addr add 10.77.0.10{side}/24 brd + dev lan"));
        caller.listen(Duration::from_millis(100));
        // Calls that are under way to the old address wait for their deadline.
        let took = caller.succeeds(2 * HELLO + DEADLINE);
        println!("address of host {side} changed: answers again after {took:?}");
    }
    caller.stop(DEADLINE + HELLO);
    println!("{:?}", tally(&caller.outcomes));
    ledger.agrees(&caller.outcomes);
    in_time(&caller.outcomes, DEADLINE);
}

#[test]
fn a_narrow_mtu_costs_no_call() {
    let _turn = turn();
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
