//! Ports that other programs hold, and several nodes on one host.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use lanc_netlab::{Process, run};

use crate::command::Lanc as _;
use crate::{neighbours, serve};

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

#[test]
fn a_foreign_program_on_the_shared_port_is_told_with_a_remedy() {
    let Some([strong, desk]) = neighbours() else { return };
    // It does not share, as most programs do not.
    let foreign = strong.within(|| UdpSocket::bind((ANY, 5127))).unwrap();
    for verb in [&["serve", "--demo"][..], &["call", "add", "1", "2"]] {
        let failed = run(&mut strong.lanc(verb)).fails(7, "UDP port 5127");
        assert_eq!(failed.err.lines().filter(|line| line.starts_with("error")).count(), 1);
        assert!(failed.err.contains("ss -ulpn"), "it says how to find it: {failed:?}");
        assert!(failed.err.contains("choose another broadcast port"), "and what to do: {failed:?}");
    }
    // The remedies it names.
    let port = ["--port", "5128"];
    let words = [&["serve", "--demo", "--name", "strong"], &port[..]].concat();
    let mut server = Process::start(&mut strong.lanc(&words));
    server.ready();
    run(&mut desk.lanc(&[&["call", "add", "1", "2"], &port[..]].concat())).prints("3\n");
    drop(server);
    drop(foreign);
    let _server = serve(&strong);
    run(&mut desk.lanc(&["call", "add", "1", "2"])).prints("3\n");
}

#[test]
fn a_foreign_program_on_a_chosen_port_is_told_too_and_on_tcp_5127_disturbs_nobody() {
    let Some([strong, desk]) = neighbours() else { return };
    let chosen = ["serve", "--demo", "--private-port", "40200"];
    let datagrams = strong.within(|| UdpSocket::bind((ANY, 40_200))).unwrap();
    run(&mut strong.lanc(&chosen)).fails(7, "Another program holds UDP port 40200");
    drop(datagrams);
    let listener = strong.within(|| TcpListener::bind((ANY, 40_200))).unwrap();
    let failed = run(&mut strong.lanc(&chosen)).fails(7, "listens on TCP port 40200");
    assert!(failed.err.contains("ss -tlpn"), "{failed:?}");
    drop(listener);

    let _foreign = strong.within(|| TcpListener::bind((ANY, 5127))).unwrap();
    let _server = serve(&strong);
    run(&mut desk.lanc(&["call", "add", "1", "2"])).prints("3\n");
}

#[test]
fn two_nodes_of_one_host_are_both_found() {
    let Some([strong, desk]) = neighbours() else { return };
    let _first = serve(&strong);
    let mut second = Process::start(&mut strong.lanc(&["serve", "--demo", "--name", "second"]));
    second.ready();
    for host in [&strong, &desk] {
        for name in ["strong", "second"] {
            run(&mut host.lanc(&["call", "add", "1", "2", "--on", name])).prints("3\n");
        }
    }
}

#[test]
fn an_interface_that_is_plugged_in_later_is_used() {
    let Some([strong, desk]) = lanc_netlab::Host::some() else { return };
    let mut server = Process::start(&mut strong.lanc(&["serve", "--demo", "--name", "strong"]));
    server.ready();
    let mut watcher = Process::start(&mut desk.lanc(&["serve", "--name", "watcher"]));
    watcher.ready();
    strong.wire("lan", "10.77.6.1/24", &desk, "10.77.6.2/24");
    let began = lanc_netlab::now();
    watcher.line("strong is here");
    // Two intervals of 5 s, each lengthened by up to a fifth.
    assert!(began.elapsed().as_secs() < 12, "{:?}", began.elapsed());
    run(&mut desk.lanc(&["call", "add", "1", "2"])).prints("3\n");
    // Large values take a connection, which was listened for before there was an interface.
    let text = "z".repeat(100_000);
    let done = run(&mut desk.lanc(&["call", "echo", &text]));
    assert_eq!((done.code, done.out.len()), (Some(0), text.len() + 1), "{}", done.err);
}
