//! The real `lanc` beside a program that behaves on the wire as the published Python package does,
//! each on a host of its own. Without namespaces or Python the test says so and checks nothing.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

#[path = "namespaces/command.rs"]
mod command;

use command::Lanc as _;
use lanc_netlab::{Host, Process, run};

/// Where 255.255.255.255 goes, as on any host with a router.
fn route(host: &Host) {
    host.ip("route add default dev lan");
}

#[test]
fn both_find_and_call_each_other_and_the_original_lives() {
    let Some([strong, desk]) = Host::some() else { return };
    strong.wire("lan", "10.77.4.1/24", &desk, "10.77.4.2/24");
    route(&strong);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/namespaces/original.py");
    if !strong.command("python3", &["-c", "pass"]).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no python3 here");
        return;
    }
    let mut original = Process::start(&mut strong.command("python3", &["-u", script, "10.77.4.1"]));
    let mut server = Process::start(&mut desk.lanc(&["serve", "--demo", "--name", "desk"]));
    server.ready();
    // It calls `add` of the node again and again, and each answer is right.
    original.line("listed add");
    for number in [1, 2, 3] {
        original.line(&format!("result {}", 10 + number));
    }
    // A second node of the same host: the answer reaches whichever of the two the system chooses.
    let called = run(&mut desk.lanc(&["call", "triple", "7", "--wait", "45s", "--timeout", "50s"]));
    called.prints("21\n");
    original.line("result 20");
}
