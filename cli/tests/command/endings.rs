//! How `serve` ends, and what it says while it lives.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use crate::support::{Lan, end};

#[test]
fn serve_says_ready_once_and_that_it_is_open_once() {
    for name in ["-INT", "-TERM"] {
        let lan = Lan::new();
        let server = lan.serve(&["--demo"]);
        assert!(server.address.starts_with("127.0.0.1:"), "{}", server.address);
        server.signal(name);
        let done = server.end();
        assert_eq!((done.code, done.out.as_str()), (0, ""), "{done:?}");
        assert_eq!(done.err.matches("OPEN MODE").count(), 1, "{done:?}");
    }
}

/// A function that says `started` and ends when something is written back.
const HOLD: &str = "hold=sh -c 'echo started >{out}; cat {in}'";

pub(crate) fn hold(lan: &Lan) -> String {
    let path = |name: &str| lan.fifo(name).display().to_string();
    HOLD.replace("{out}", &path("out")).replace("{in}", &path("in"))
}

fn start(lan: &Lan) -> Child {
    let mut command = lan.command(&["call", "hold", "--timeout", "10s"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(std::fs::read_to_string(lan.folder().join("out")).unwrap(), "started\n");
    child
}

#[test]
fn running_functions_finish_first() {
    let lan = Lan::new();
    let mut server = lan.serve(&["--cmd", &hold(&lan)]);
    let call = start(&lan);
    server.signal("-INT");
    server.wait_for_log("going down");
    std::fs::write(lan.folder().join("in"), "done\n").unwrap();
    end(call).expect(0, "done\n");
    let done = server.end();
    assert_eq!(done.code, 0, "{done:?}");
}

#[test]
fn functions_that_are_cut_off_are_counted() {
    let lan = Lan::new();
    let server = lan.serve(&["--cmd", &hold(&lan)]);
    let call = start(&lan);
    server.signal("-INT");
    let done = server.end();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.err.contains("WARN 1 function that did not finish is cut off"), "{done:?}");
    end(call).expect_error(7, &["lost", "maybe"]);
}

#[test]
fn a_server_that_is_killed_is_missed_before_its_lease_ends() {
    let lan = Lan::new();
    // Large enough for a connection, small enough for the command line of a program.
    let started =
        format!("hold=sh -c 'echo started >{}; exec sleep 5' sh {{0}}", lan.fifo("out").display());
    let server = lan.serve(&["--cmd", &started]);
    let large = "x".repeat(100_000);
    let mut command = lan.command(&["call", "hold", &large, "--timeout", "60s"]);
    let call = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(std::fs::read_to_string(lan.folder().join("out")).unwrap(), "started\n");
    server.signal("-KILL");
    end(call).expect_error(7, &["lost", "has ended: its connection broke", "ran: maybe"]);
}

#[test]
fn the_second_signal_cuts_running_functions_off() {
    let lan = Lan::new();
    // Both processes of the program hold the pipe open as long as they live.
    let hold =
        hold(&lan).replace("echo started >", "exec 3>").replace("; cat", "; echo started >&3; cat");
    let mut server = lan.serve(&["--cmd", &hold]);
    let mut command = lan.command(&["call", "hold", "--timeout", "10s"]);
    let call = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = BufReader::new(File::open(lan.folder().join("out")).unwrap());
    let mut said = String::new();
    pipe.read_line(&mut said).unwrap();
    assert_eq!(said, "started\n");
    server.signal("-INT");
    server.wait_for_log("going down");
    server.signal("-TERM");
    let done = server.end();
    done.expect_error(130, &["interrupted", "maybe"]);
    // The farewell says that no answer comes.
    end(call).expect_error(7, &["lost", "maybe"]);
    assert_eq!(pipe.read_line(&mut said).unwrap(), 0, "the program and what it has started ended");
}
