//! The real `lanc` on hosts of its own: network namespaces joined by virtual wires. Nothing
//! reaches the machine's network. Where namespaces may not be made the tests say so and check
//! nothing, except in CI, where they fail.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

#[path = "namespaces/command.rs"]
mod command;
#[path = "namespaces/large.rs"]
mod large;
#[path = "namespaces/pairing.rs"]
mod pairing;
#[path = "namespaces/ports.rs"]
mod ports;
#[path = "namespaces/remembered.rs"]
mod remembered;

use std::time::Duration;

use command::Lanc as _;
use lanc_netlab::{Host, Lab, Process, Rule, now, run};

/// Two hosts on one wire.
fn neighbours() -> Option<[Host; 2]> {
    let hosts = Host::some()?;
    let [strong, desk] = &hosts;
    strong.wire("lan", "10.77.3.1/24", desk, "10.77.3.2/24");
    Some(hosts)
}

fn serve(host: &Host) -> Process {
    let mut server = Process::start(&mut host.lanc(&["serve", "--demo", "--name", "strong"]));
    assert!(server.ready().starts_with("10.77.3.1:"));
    server
}

#[test]
fn a_neighbour_is_found_and_called() {
    let Some([strong, desk]) = neighbours() else { return };
    let _server = serve(&strong);
    let done = run(&mut desk.lanc(&["call", "add", "1", "2"])).prints("3\n");
    assert!(done.took < Duration::from_secs(6), "{done:?}");

    let functions = run(&mut desk.lanc(&["functions", "--json"]));
    assert_eq!(functions.code, Some(0), "{functions:?}");
    for name in ["add", "echo", "sleep", "fail"] {
        assert!(functions.out.contains(&format!("\"{name}\"")), "{functions:?}");
    }
    let peers = run(&mut desk.lanc(&["peers"]));
    assert!(peers.out.contains("strong") && peers.out.contains("10.77.3.1"), "{peers:?}");
}

#[test]
fn both_may_be_cold() {
    let Some([strong, desk]) = neighbours() else { return };
    let began = now();
    let mut server = Process::start(&mut strong.lanc(&["serve", "--demo"]));
    run(&mut desk.lanc(&["call", "add", "1", "2", "--wait", "5s"])).prints("3\n");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    server.ready();
}

#[test]
fn calls_get_through_a_lossy_network() {
    let Some(lab) = Lab::new(1, 2) else { return };
    let (strong, desk) = (lab.host(0), lab.host(1));
    let mut server = Process::start(&mut strong.lanc(&["serve", "--demo"]));
    server.ready();
    lab.everywhere(Rule::after_ms(2).losing(0.2));
    // Each a node of its own, beside the others: they wait most of the time.
    std::thread::scope(|scope| {
        for number in 0..10 {
            scope.spawn(move || {
                // Found by the second hello, if the first or its answer is lost.
                let one = number.to_string();
                let call = ["call", "add", &one, "1", "--wait", "25s", "--timeout", "40s"];
                run(&mut desk.lanc(&call)).prints(&format!("{}\n", number + 1));
            });
        }
    });
}

#[test]
fn failures_have_their_exit_codes() {
    let Some([strong, desk]) = neighbours() else { return };
    let _server = serve(&strong);
    run(&mut desk.lanc(&["call", "fail", "boom"])).fails(1, "boom");
    run(&mut desk.lanc(&["call", "nosuch"])).fails(3, "nosuch");

    let done = run(&mut desk.lanc(&["call", "sleep", "60000", "--timeout", "1s"])).fails(4, "");
    let (least, most) = (Duration::from_millis(1000), Duration::from_millis(1500));
    assert!((least..=most).contains(&done.took), "{done:?}");
}

#[test]
fn an_interrupted_call_says_so() {
    let Some([strong, desk]) = neighbours() else { return };
    let mut server = serve(&strong);
    let call = Process::start(&mut desk.lanc(&["call", "sleep", "60000"]));
    server.line("is here");
    call.interrupt();
    let (code, took) = call.end();
    assert_eq!(code, Some(130));
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// Two hosts with a router between them, the last: 10.77.4.2 and 10.77.5.2.
fn routed() -> Option<[Host; 3]> {
    let [strong, desk, router] = Host::some()?;
    strong.wire("one", "10.77.4.2/24", &router, "10.77.4.1/24");
    desk.wire("two", "10.77.5.2/24", &router, "10.77.5.1/24");
    router.forward();
    strong.ip("route add default via 10.77.4.1");
    desk.ip("route add default via 10.77.5.1");
    Some([strong, desk, router])
}

#[test]
fn configured_peers_meet_across_segments() {
    let Some([strong, desk, _router]) = routed() else { return };
    let mut server = Process::start(&mut strong.lanc(&[
        "serve",
        "--demo",
        "--private-port",
        "40112",
        "--peer",
        "10.77.5.2:40113",
    ]));
    assert_eq!(server.ready(), "10.77.4.2:40112");
    let far = ["--private-port", "40113", "--peer", "10.77.4.2:40112"];
    let call = ["call", "add", "1", "2"];
    run(&mut desk.lanc(&[&call[..], &far].concat())).prints("3\n");
    run(&mut desk.lanc(&[&["call", "fail", "boom"], &far[..]].concat())).fails(1, "boom");

    // Whoever the server was not told of is on another segment and not heard.
    let stranger = ["--private-port", "40114", "--peer", "10.77.4.2:40112"];
    run(&mut desk.lanc(&[&call[..], &stranger].concat())).fails(3, "add");
    run(&mut desk.lanc(&call)).fails(3, "add");
}

#[test]
fn a_node_rejoins_when_its_wire_is_back() {
    let Some([strong, desk]) = neighbours() else { return };
    let _server = serve(&strong);
    let mut watcher = Process::start(&mut desk.lanc(&["serve", "--name", "watcher"]));
    watcher.line("strong is here");
    strong.ip("link set lan down");
    watcher.line("strong is gone");
    run(&mut desk.lanc(&["call", "add", "1", "2"])).fails(3, "add");

    strong.ip("link set lan up");
    let began = now();
    watcher.line("strong is here");
    // Two intervals of 5 s, each lengthened by up to a fifth.
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    run(&mut desk.lanc(&["call", "add", "1", "2"])).prints("3\n");
}
