//! Calls in the background: `call --async`, `join`, `get`, `cancel`, `jobs`.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use lanc::{Config, Interfaces, UdpConfig, UdpTransport};
use tokio::runtime::Runtime;

use crate::support::{Done, Lan, end, finish, signal, wait_for_log};

/// Leaves a call in the background and returns its id.
fn leave(lan: &Lan, words: &[&str]) -> String {
    let mut all = vec!["call", "--async", "--wait", "20s"];
    all.extend(words);
    let done = lan.run(&all);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{done:?}");
    done.out.strip_suffix('\n').unwrap().to_owned()
}

fn ask(lan: &Lan, words: &[&str]) -> Done {
    finish(&mut lan.bare(words))
}

/// The process that holds the only call in the background.
fn pid(lan: &Lan) -> u32 {
    let jobs = lan.jobs();
    let [job] = jobs.as_slice() else { panic!("{jobs:?}") };
    job["pid"].as_u64().unwrap().try_into().unwrap()
}

/// Waits until a process has ended; what nobody has collected counts as ended.
fn wait_for_end(pid: u32) {
    let state = || {
        let ps = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output();
        String::from_utf8(ps.unwrap().stdout).unwrap()
    };
    while !matches!(state().chars().next(), None | Some('Z')) {}
}

/// A function that says `started` and ends when something is written back.
fn hold(lan: &Lan, name: &str) -> String {
    let path = |end: &str| lan.fifo(&format!("{name}.{end}")).display().to_string();
    format!("{name}=sh -c 'echo started >{}; cat {}'", path("out"), path("in"))
}

fn wait_for_start(lan: &Lan, name: &str) {
    let out = lan.folder().join(format!("{name}.out"));
    assert_eq!(std::fs::read_to_string(out).unwrap(), "started\n");
}

fn release(lan: &Lan, name: &str, text: &str) {
    std::fs::write(lan.folder().join(format!("{name}.in")), text).unwrap();
}

fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_call_lives_until_its_result_is_fetched() {
    let lan = Lan::new();
    let _server = lan.serve(&["--cmd", &hold(&lan, "hold")]);
    let id = leave(&lan, &["hold"]);
    wait_for_start(&lan, "hold");
    ask(&lan, &["get", &id]).expect_error(4, &["not_ready", &id, "maybe"]);
    let jobs = lan.jobs();
    assert_eq!((jobs.len(), &jobs[0]["exe_id"]), (1, &id.as_str().into()), "{jobs:?}");
    assert_eq!((&jobs[0]["function"], &jobs[0]["state"]), (&"hold".into(), &"running".into()));
    assert!(jobs[0]["left_ms"].as_u64().unwrap() <= 30_000, "{jobs:?}");
    let table = ask(&lan, &["jobs"]).out;
    let heading: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heading, ["EXE", "ID", "FUNCTION", "STATE", "AGE", "LEFT"]);
    assert!(table.lines().nth(1).unwrap().starts_with(&format!("{id}  hold  ")), "{table}");

    let pid = pid(&lan);
    let waiting = spawn(lan.bare(&["join", &id[..8]]));
    release(&lan, "hold", "done\n");
    end(waiting).expect(0, "done\n");
    for verb in ["get", "join"] {
        let done = ask(&lan, &[verb, &id]);
        done.expect_error(
            1,
            &["result_expired", "fetched already", "yes, the function ran", "can be fetched once"],
        );
    }
    ask(&lan, &["cancel", &id]).expect(0, "it was over already; the function ran\n");
    assert_eq!(lan.jobs(), Vec::<serde_json::Value>::new());
    wait_for_end(pid);
}

#[test]
fn whoever_joins_does_not_wait_for_a_process_that_was_stopped() {
    let lan = Lan::new();
    let _server = lan.serve(&["--cmd", &hold(&lan, "hold")]);
    let id = leave(&lan, &["hold"]);
    let pid = pid(&lan);
    let mut waiting = spawn(lan.bare(&["join", &id, "-v"]));
    wait_for_log(&mut waiting, "asking the process");
    signal(pid, "-STOP");
    let done = end(waiting);
    signal(pid, "-CONT");
    done.expect_error(4, &["timeout", "silent for 5s", "maybe", &format!("kill -CONT {pid}")]);
    let waiting = spawn(lan.bare(&["join", &id]));
    wait_for_start(&lan, "hold");
    release(&lan, "hold", "done\n");
    end(waiting).expect(0, "done\n");
}

#[test]
fn join_prints_what_call_would() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo", "--name", "shop"]);
    for words in [
        &["add", "0.1", "0.2"][..],
        &["add", "1e-7", "5e-324"],
        &["echo", "two words \u{e4}\u{1f600}"],
        &["echo", "{\"a\": [1, null, \"\\u001b\"]}"],
        &["echo", "null"],
        &["fail", "boom \x1b[31m"],
    ] {
        for json in [&[][..], &["--json"]] {
            let mut call = vec!["call", "--wait", "20s"];
            call.extend(words);
            call.extend(json);
            let called = lan.run(&call);
            for verb in ["join", "get"] {
                let id = leave(&lan, words);
                while lan.jobs()[0]["state"] == "running" {}
                let mut fetch = vec![verb, &id];
                fetch.extend(json);
                let fetched = ask(&lan, &fetch);
                assert_eq!((fetched.code, &fetched.out), (called.code, &called.out), "{words:?}");
                assert_eq!(fetched.err, called.err, "{words:?}");
            }
        }
    }
}

#[test]
fn two_calls_do_not_mix_and_a_large_result_is_whole() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let text = "0123456789abcde\n".repeat(1 << 17);
    std::fs::write(lan.folder().join("large"), &text).unwrap();
    let large = leave(&lan, &["echo", "@large"]);
    let small = leave(&lan, &["echo", "small"]);
    assert_ne!(large, small);
    assert_eq!(lan.jobs().len(), 2);
    ask(&lan, &["join", &small]).expect(0, "small\n");
    let done = ask(&lan, &["join", &large]);
    assert_eq!((done.code, done.out.len()), (0, text.len() + 1));
    assert!(done.out.strip_suffix('\n') == Some(&text));
}

#[test]
fn what_goes_wrong_before_a_provider_has_the_call_is_told_at_once() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo", "--name", "shop"]);
    for (words, code, parts) in [
        (&["ecoh", "1"][..], 3, &["no_provider", "did you mean `echo`?", "did not run"][..]),
        (&["add", "1", "2", "--on", "shpo"], 3, &["did you mean `--on shop`?"]),
        (&["two words"], 6, &["invalid_arguments"]),
        (&["echo", "@missing"], 2, &["usage", "missing"]),
        (&["echo", "--iface", "none0"], 2, &["no network interface `none0`"]),
        (&["echo", "--peer", "nobody"], 2, &["no configured name"]),
    ] {
        let mut all = vec!["call", "--async"];
        all.extend(words);
        let done = lan.run(&all);
        done.expect_error(code, parts);
        assert_eq!(done.out, "", "{words:?}");
    }
    assert_eq!(lan.jobs(), Vec::<serde_json::Value>::new());
    ask(&lan, &["background"]).expect_error(2, &["--async"]);
    ask(&lan, &["join", "1011121314151617"]).expect_error(3, &["unknown_call", "lanc jobs"]);
}

#[test]
fn a_killed_process_loses_its_call_and_leaves_nothing_stale() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    for is_listed_first in [false, true] {
        let id = leave(&lan, &["sleep", "600000", "--timeout", "20m"]);
        let pid = pid(&lan);
        signal(pid, "-KILL");
        wait_for_end(pid);
        if is_listed_first {
            ask(&lan, &["jobs", "--json"]).expect(0, "[]\n");
        }
        for verb in ["join", "get", "cancel"] {
            ask(&lan, &[verb, &id]).expect_error(7, &["lost", "maybe"]);
        }
        ask(&lan, &["jobs", "--json"]).expect(0, "[]\n");
    }
}

#[test]
fn a_process_that_is_told_to_end_gives_its_call_up() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    for name in ["-TERM", "-INT"] {
        let id = leave(&lan, &["sleep", "600000", "--timeout", "20m"]);
        let pid = pid(&lan);
        let mut waiting = spawn(lan.bare(&["join", &id, "-v"]));
        wait_for_log(&mut waiting, "asking the process");
        signal(pid, name);
        let done = end(waiting);
        assert_eq!(done.code, 130, "{done:?}");
        assert!(done.err.contains("cancelled"), "{done:?}");
        wait_for_end(pid);
        ask(&lan, &["join", &id]).expect_error(130, &["cancelled", "maybe"]);
    }

    let id = leave(&lan, &["echo", "x"]);
    while lan.jobs()[0]["state"] == "running" {}
    signal(pid(&lan), "-TERM");
    let done = ask(&lan, &["join", &id]);
    // The signal may come first or the question.
    assert!(matches!(done.code, 0 | 7), "{done:?}");
}

#[test]
fn a_running_call_is_cancelled_at_once_and_its_callee_told() {
    let lan = Lan::new();
    let pipe = lan.fifo("pipe");
    let block = format!(
        "block=sh -c 'exec 3>{}; echo started >&3; sleep 600 3>&-; echo finished >&3'",
        pipe.display()
    );
    let _server = lan.serve(&["--cmd", &block]);
    let id = leave(&lan, &["block", "--timeout", "20m"]);
    let reading = std::thread::spawn(move || std::fs::read_to_string(pipe).unwrap());
    let pid = pid(&lan);
    let mut waiting = spawn(lan.bare(&["join", &id, "-v"]));
    wait_for_log(&mut waiting, "asking the process");
    ask(&lan, &["cancel", &id]).expect(0, "cancelled; the function may have run\n");
    assert_eq!(end(waiting).code, 130);
    wait_for_end(pid);
    let read = reading.join().unwrap();
    assert_eq!(read, "started\n", "the program was not killed");
    ask(&lan, &["join", &id]).expect_error(130, &["cancelled", "maybe"]);
    let again = ask(&lan, &["cancel", &id, "--json"]).json();
    assert_eq!(again["cancelled"], true, "{again}");
    assert_eq!(again["executed"], "maybe", "{again}");
}

#[test]
fn a_queued_call_that_is_cancelled_never_runs() {
    let lan = Lan::new();
    let runtime = Runtime::new().unwrap();
    let udp = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_port(lan.port());
    let one = lanc::builder().config(Config::default().with_workers(1));
    let node = runtime.block_on(one.transport(UdpTransport::new(udp)).open()).unwrap();
    let (start, started) = sync_channel(0);
    let (release, released) = sync_channel(0);
    let released = Mutex::new(released);
    let hold = move || {
        start.send(()).unwrap();
        released.lock().unwrap().recv().unwrap()
    };
    let ran = Arc::new(AtomicBool::new(false));
    let note = Arc::clone(&ran);
    node.register("hold", hold).unwrap();
    node.register("note", move || note.store(true, Ordering::SeqCst)).unwrap();
    let held = leave(&lan, &["hold"]);
    started.recv().unwrap();
    let queued = leave(&lan, &["note"]);
    while node.tables().queued == 0 {
        std::thread::yield_now();
    }
    ask(&lan, &["cancel", &queued]).expect(0, "cancelled; the function may have run\n");
    while node.tables().queued > 0 {
        std::thread::yield_now();
    }
    release.send("done").unwrap();
    ask(&lan, &["join", &held]).expect(0, "done\n");
    assert!(!ran.load(Ordering::SeqCst));
    lan.run(&["call", "note", "--wait", "20s"]).expect(0, "null\n");
    assert!(ran.load(Ordering::SeqCst));
}

#[test]
fn the_fastest_of_several_may_be_in_the_background() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let done = lan.run(&["call", "add", "1", "2", "--async", "--fastest", "2"]);
    ask(&lan, &["join", done.out.trim_end()]).expect(0, "3\n");
}

#[test]
fn a_result_that_nobody_fetches_expires() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let id = leave(&lan, &["echo", "x", "--keep", "1ms"]);
    while !lan.jobs().is_empty() {}
    let done = ask(&lan, &["join", &id]);
    done.expect_error(
        1,
        &["result_expired", "not fetched in time", "yes, the function ran", "--keep"],
    );
    ask(&lan, &["cancel", &id]).expect(0, "it was over already; the function ran\n");
    let id = leave(&lan, &["sleep", "600000", "--timeout", "2s"]);
    ask(&lan, &["join", &id]).expect_error(4, &["timeout", "maybe"]);
}

#[test]
fn an_interrupted_join_leaves_the_call_alone() {
    let lan = Lan::new();
    let _server = lan.serve(&["--cmd", &hold(&lan, "hold")]);
    let id = leave(&lan, &["hold"]);
    wait_for_start(&lan, "hold");
    let mut waiting = spawn(lan.bare(&["join", &id, "-v"]));
    wait_for_log(&mut waiting, "asking the process");
    signal(waiting.id(), "-INT");
    end(waiting).expect_error(130, &["interrupted", "the call goes on", "lanc cancel"]);
    assert_eq!(lan.jobs()[0]["state"], "running");
    release(&lan, "hold", "done\n");
    ask(&lan, &["join", &id]).expect(0, "done\n");
}

#[test]
fn an_interrupted_call_leaves_nothing_behind() {
    let lan = Lan::new();
    let mut call = spawn(lan.command(&["call", "nosuch", "--async", "--wait", "10m", "-v"]));
    wait_for_log(&mut call, "waiting until a provider");
    signal(call.id(), "-INT");
    let done = end(call);
    assert_eq!((done.code, done.out.as_str()), (130, ""), "{done:?}");
    assert!(done.err.contains("no, the function did not run"), "{done:?}");
    assert_eq!(lan.jobs(), Vec::<serde_json::Value>::new());
}

#[test]
fn a_result_that_cannot_be_printed_is_kept() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let id = leave(&lan, &["echo", "x"]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut join = lan.bare(&["join", &id]);
    let child = join.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    end(child).expect_error(1, &["standard output", "yes, the function ran", "is kept"]);
    ask(&lan, &["join", &id]).expect(0, "x\n");
}

/// The terminal's session ends with the terminal, and takes its processes along.
#[test]
fn the_process_has_a_session_of_its_own() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    leave(&lan, &["sleep", "600000", "--timeout", "20m"]);
    let pid = pid(&lan).to_string();
    let ps = Command::new("ps").args(["-o", "sess=", "-p", &pid]).output().unwrap();
    assert_eq!(String::from_utf8(ps.stdout).unwrap().trim(), pid);
}
