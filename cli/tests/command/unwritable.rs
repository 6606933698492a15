//! Standard output and standard error that cannot be written: a disk that is full, a reader that
//! has gone away or does not read.

use std::fs::File;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::endings::hold;
use crate::support::{Done, Lan, end, finish, first_line};

/// A disk without room.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody reads any more.
fn broken() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

/// A pipe that is full already, and its end that nobody reads.
fn clogged() -> (Stdio, impl Drop) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let (sender, receiver) = tokio::net::unix::pipe::pipe().unwrap();
        sender.writable().await.unwrap();
        while sender.try_write(&[b'x'; 4096]).is_ok() {}
        (sender.into_blocking_fd().unwrap().into(), receiver.into_nonblocking_fd().unwrap())
    })
}

/// Starts a command whose standard output is read and whose standard error is not.
fn start(lan: &Lan, words: &[&str], stderr: Stdio) -> Child {
    lan.command(words).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap()
}

#[test]
fn a_log_that_cannot_be_written_changes_nothing() {
    for broken_pipe in [false, true] {
        let log = || if broken_pipe { broken() } else { full() };
        for verbosity in [&[][..], &["-v"], &["-vv"]] {
            let lan = Lan::new();
            let hold = hold(&lan);
            let serve = [&["serve", "--cmd", &hold, "--demo"], verbosity].concat();
            let server = lan.serve_with_log(&serve, log());
            for _ in 0..3 {
                let call = [&["call", "--timeout", "20s", "add", "1", "2"], verbosity].concat();
                end(start(&lan, &call, log())).expect(0, "3\n");
            }
            let call = start(&lan, &["call", "hold", "--timeout", "20s"], log());
            let said = std::fs::read_to_string(lan.folder().join("out")).unwrap();
            assert_eq!(said, "started\n");
            server.signal("-TERM");
            std::fs::write(lan.folder().join("in"), "done\n").unwrap();
            end(call).expect(0, "done\n");
            server.end().expect(0, "");
        }
    }
}

#[test]
fn who_does_not_read_the_log_holds_nobody_up() {
    let lan = Lan::new();
    let (unread, log) = std::io::pipe().unwrap();
    let mut filler = log.try_clone().unwrap();
    let server = lan.serve_with_log(&["serve", "--demo", "-vv"], log.into());
    // The pipe is full soon, with what the server logs or with this.
    let filling = std::thread::spawn(move || filler.write_all(&[b'x'; 1 << 20]));
    for _ in 0..5 {
        let call = ["call", "--timeout", "20s", "add", "1", "2"];
        end(start(&lan, &call, Stdio::null())).expect(0, "3\n");
    }
    assert!(!filling.is_finished());
    server.signal("-TERM");
    server.end().expect(0, "");
    drop(unread);
    filling.join().unwrap().unwrap_err();
}

#[test]
fn who_serves_is_not_held_up_by_notes_that_nobody_reads() {
    let lan = Lan::new();
    let (log, _unread) = clogged();
    let server = lan.serve_with_log(&["serve", "--demo"], log);
    end(start(&lan, &["call", "--timeout", "20s", "add", "1", "2"], Stdio::null()))
        .expect(0, "3\n");
    server.signal("-TERM");
    server.end().expect(0, "");
    // What it has to say when it is cut off does not keep it from ending either.
    let hold = hold(&lan);
    let (log, _unread) = clogged();
    let server = lan.serve_with_log(&["serve", "--cmd", &hold], log);
    let call = start(&lan, &["call", "hold", "--timeout", "20s"], Stdio::null());
    let said = std::fs::read_to_string(lan.folder().join("out")).unwrap();
    assert_eq!(said, "started\n");
    server.signal("-INT");
    server.signal("-TERM");
    server.end().expect(130, "");
    assert_ne!(end(call).code, 0);
}

#[test]
fn who_pairs_is_not_held_up_by_notes_that_nobody_reads() {
    let lan = Lan::new();
    let (log, _unread) = clogged();
    let mut giver = start(&lan, &["pair"], log);
    let (_stdout, line) = first_line(&mut giver);
    let code = line.trim_end().strip_prefix("on the other machine run: lanc pair ").unwrap();
    let taken = finish(&mut lan.on("other", &["pair", code]));
    assert_eq!(taken.code, 0, "{taken:?}");
    assert_eq!(end(giver).code, 0);
}

#[test]
fn a_failure_that_cannot_be_told_is_told_by_the_exit_code() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    for (words, code) in [(["call", "fail", "boom"], 1), (["call", "nosuch", "1"], 3)] {
        let status = lan.command(&words).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code));
    }
}

/// Runs a command whose standard output is on a full disk.
fn unprinted(lan: &Lan, words: &[&str]) -> Done {
    end(lan.command(words).stdout(full()).stderr(Stdio::piped()).spawn().unwrap())
}

#[test]
fn a_result_that_cannot_be_printed_is_a_failure_after_the_call() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    for words in [&["add", "1", "2"][..], &["add", "1", "2", "--all"], &["echo", "x", "--stream"]] {
        let done = unprinted(&lan, &[&["call"], words].concat());
        let parts = ["error: output: cannot write to standard output", "yes, the function ran"];
        done.expect_error(1, &parts);
        assert!(!done.err.contains("report"), "{done:?}");
    }
    let error = unprinted(&lan, &["call", "add", "1", "2", "--json"]).json_error();
    assert_eq!((&error["name"], &error["code"]), (&json!("output"), &json!(null)));
}

#[test]
fn what_was_asked_for_and_cannot_be_printed_is_a_failure() {
    let lan = Lan::new();
    for words in [
        &["--version"][..],
        &["--help"],
        &["call", "--help"],
        &["man"],
        &["completions", "bash"],
        &["jobs", "--json"],
        &["functions", "--json"],
    ] {
        let done = end(lan
            .bare(words)
            .env("LANC_IFACE", "lo")
            .env("LANC_PORT", lan.port().to_string())
            .stdout(full())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap());
        assert_eq!(done.code, 1, "{words:?} {done:?}");
        let error = "cannot write to standard output: No space left on device";
        assert!(done.err.contains(error) && !done.err.contains("ran:"), "{words:?} {done:?}");
    }
    // Nothing is to be printed.
    assert_eq!(unprinted(&lan, &["jobs"]).code, 0);
    // A reader that has seen enough is no failure, and a mistake stays one.
    let mut help = lan.bare(&["--help"]);
    assert_eq!(help.stdout(broken()).status().unwrap().code(), Some(0));
    let mut mistake = lan.bare(&["nosuch"]);
    assert_eq!(mistake.stderr(full()).status().unwrap().code(), Some(2));
}

#[test]
fn a_result_for_a_closed_output_is_kept() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let id = lan.run(&["call", "add", "1", "2", "--async"]).out;
    let join = |output: &str| {
        let join = format!("exec {} join {} {output}", env!("CARGO_BIN_EXE_lanc"), id.trim_end());
        let mut shell = Command::new("sh");
        finish(shell.args(["-c", &join]).env_clear().env("HOME", lan.folder()))
    };
    for _ in 0..2 {
        join(">&-").expect(0, "");
    }
    join("").expect(0, "3\n");
    join("").expect_error(1, &["result_expired", "was fetched already"]);
}
