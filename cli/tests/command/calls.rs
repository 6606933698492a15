//! `lanc call` and `lanc serve --demo`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanc::{Bytes, Interfaces, UdpConfig, UdpTransport};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{Lan, finish, finish_with_input};

#[test]
fn results_are_printed() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    for (words, printed) in [
        (&["add", "1", "2"][..], "3\n"),
        (&["add", "-1", "0.5"], "-0.5\n"),
        (&["add", "--json", "1", "2"], "3\n"),
        (&["echo", "two words"], "two words\n"),
        (&["echo", "two words", "--json"], "\"two words\"\n"),
        (&["echo", "{\"a\": [1, null]}"], "{\"a\":[1,null]}\n"),
        (&["echo", "--", "a=b"], "a=b\n"),
        (&["echo", "--", "YQ=="], "YQ==\n"),
        (&["echo", "\u{e4}\u{1f600}"], "\u{e4}\u{1f600}\n"),
        (&["sleep", "1"], "1\n"),
        (&["echo", "x", "--fastest", "2"], "x\n"),
        (&["echo", "x", "--policy", "least-loaded"], "x\n"),
        (&["echo", "x", "--one-way"], ""),
    ] {
        let mut all = vec!["call"];
        all.extend(words);
        lan.run(&all).expect(0, printed);
    }
}

#[test]
fn values_come_from_files_and_standard_input() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    std::fs::write(lan.folder().join("value.json"), "[1,\n 2]\n").unwrap();
    lan.run(&["call", "echo", "@value.json"]).expect(0, "[1,2]\n");
    lan.run(&["call", "echo", "--", "@value.json"]).expect(0, "@value.json\n");
    let mut command = lan.command(&["call", "add", "-", "2"]);
    finish_with_input(&mut command, "40\n").expect(0, "42\n");
    std::fs::write(lan.folder().join("bytes.dat"), b"\xff").unwrap();
    let done = lan.run(&["call", "echo", "@bytes.dat"]);
    done.expect_error(2, &["not UTF-8 text", "bytes go as base64 text"]);
    std::fs::write(lan.folder().join("large.txt"), vec![b'x'; (16 << 20) + 1]).unwrap();
    let done = lan.run(&["call", "echo", "@large.txt"]);
    done.expect_error(2, &["larger than 16777216 bytes", "next: a call may have 16777216 bytes"]);
    let done = lan.run(&["call", "echo", "@missing"]);
    done.expect_error(2, &["usage", "missing", "the function did not run"]);
}

#[test]
fn failures_exit_with_their_code() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo", "--name", "shop"]);
    let ran = "yes, the function ran";
    let did_not = "no, the function did not run";
    let look = format!("next: `lanc peers --iface lo --port {}` lists", lan.port());
    let check = format!("offers it: `lanc functions --iface lo --port {}`", lan.port());
    let ping = format!("is alive: `lanc ping --iface lo --port {} shop`", lan.port());
    for (words, code, parts) in [
        (&["fail", "boom \x1b[31m"][..], 1, &["execution_error: boom \\u{1b}[31m", ran][..]),
        (&["nosuch"], 3, &["no_provider", "nosuch", did_not, "lanc functions"]),
        (&["ecoh", "1"], 3, &["did you mean `echo`?"]),
        (&["add", "1", "2", "--on", "shpo"], 3, &["did you mean `--on shop`?"]),
        (&["add", "1", "2", "--on", "nobody"], 3, &[&look, did_not]),
        (
            &["nosuch", "--wait", "20s", "--timeout", "300ms"],
            4,
            &["had no provider", &check, did_not],
        ),
        (&["ad", "1", "2", "--on", "shop"], 3, &["not_found", "did you mean `add`?", did_not]),
        (
            &["nosuch", "--wait", "20s", "--timeout", "300ms"],
            4,
            &["next: --timeout (300 ms) ended it before --wait (20.0 s) was over"],
        ),
        (&["sleep", "60000", "--timeout", "300ms"], 4, &["timeout", "maybe", &ping]),
        (&["sleep", "60000", "--timeout", "300ms", "--on", "shop"], 4, &[&ping]),
        (&["sleep", "soon"], 6, &["argument 1: invalid type: string, expected a number", did_not]),
        (&["add", "1"], 6, &["invalid_arguments"]),
        (&["add", "1", "2", "--wait", "later"], 2, &[]),
        (&["add", "1", "2", "--policy", "nearest"], 2, &[]),
        (&["two words"], 6, &["invalid_arguments", "`two words` cannot name a function", did_not]),
        (
            &["\u{65e5}\u{672c}", "1"],
            6,
            &["`\u{65e5}\u{672c}` cannot", "next: use 1 to 128 of A-Z"],
        ),
        (&["echo", "YQ=="], 6, &["no named arguments", "next: `YQ=` makes a named", "behind `--`"]),
    ] {
        let mut all = vec!["call"];
        all.extend(words);
        let done = lan.run(&all);
        if parts.is_empty() {
            assert_eq!(done.code, code, "{done:?}");
        } else {
            done.expect_error(code, parts);
        }
        assert_eq!(done.out, "", "{words:?}");
    }
    let id = lan.run(&["call", "echo", "PATH=/bin", "--async"]).out;
    let done = finish(&mut lan.bare(&["join", id.trim_end()]));
    done.expect_error(6, &["no named arguments", "`PATH=` makes a named argument"]);
}

#[test]
fn bytes_go_and_come_as_base64_text() {
    let lan = Lan::new();
    let runtime = Runtime::new().unwrap();
    let udp = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_port(lan.port());
    let node = lanc::builder().transport(UdpTransport::new(udp)).open();
    let node = runtime.block_on(node).unwrap();
    let back = |bytes: Bytes| Bytes::from(bytes.iter().rev().copied().collect::<Vec<u8>>());
    node.register("back", back).unwrap();
    // The second is a number unless it has quotes.
    for bytes in [&[0, 159, 146, 150, 10][..], &[0xd7, 0x87, 0xb9], &[]] {
        let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
        let text = format!("\"{}\"", STANDARD.encode(bytes));
        let done = finish_with_input(&mut lan.command(&["call", "back", "-"]), &text);
        done.expect(0, &format!("{}\n", STANDARD.encode(reversed)));
    }
    let text = STANDARD.encode([0xd7, 0x87, 0xb9]);
    let done = finish_with_input(&mut lan.command(&["call", "back", "-"]), &text);
    done.expect_error(6, &["invalid_arguments"]);
}

#[test]
fn json_that_nests_too_deep_is_refused_and_never_text() {
    let lan = Lan::new();
    let runtime = Runtime::new().unwrap();
    let udp = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_port(lan.port());
    let node = lanc::builder().transport(UdpTransport::new(udp)).open();
    let node = runtime.block_on(node).unwrap();
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    node.register("echo", |value: Value| value).unwrap();
    let deep = |levels: usize| (1..levels).fold(json!([]), |inner, _| json!([inner]));
    node.register("deep", deep).unwrap();
    let call = |words: &[&str], input: &str| {
        let all: Vec<_> = [&["call", "--timeout", "25s"], words].concat();
        finish_with_input(&mut lan.command(&all), input)
    };
    call(&["echo", "-"], &nested(62)).expect(0, &format!("{}\n", nested(62)));
    let (no, yes) = ("the function did not run", "the function ran");
    for levels in [63, 64, 126, 127, 128, 1000] {
        let told = format!("argument 1 is JSON that nests {levels} levels deep, and at most 62");
        let parts = ["too_large", &told, no, "next: nest it less, or give it as text"];
        call(&["echo", "-"], &nested(levels)).expect_error(6, &parts);
        call(&["echo", "--", &nested(levels)], "").expect_error(6, &parts);
        call(&["echo", "-", "--async"], &nested(levels)).expect_error(6, &parts);
    }
    // As text, which says so.
    let text = json!(nested(200)).to_string();
    call(&["echo", "-"], &text).expect(0, &format!("{}\n", nested(200)));
    call(&["deep", "63"], "").expect(0, &format!("{}\n", nested(63)));
    for levels in ["64", "126", "127", "128"] {
        let told = "what the function returned nests deeper than the 63 levels that are sent";
        call(&["deep", levels], "").expect_error(6, &["too_large", told, yes]);
    }
}

#[test]
fn numbers_that_would_become_others_are_refused() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let long = "12345678901234567890123";
    let parts = ["invalid_arguments: argument 1", long, "as text", "--text", &format!("{long}.0")];
    lan.run(&["call", "echo", long]).expect_error(6, &parts);
    lan.run(&["call", "echo", &format!("[{long}]")]).expect_error(6, &parts);
    let done = lan.run(&["call", "echo", "[1e400]"]);
    done.expect_error(6, &["the number 1e400", "1.8e308", "the function did not run"]);
    for words in [&["--text", long][..], &[&format!("\"{long}\"")], &["-t", "--", long]] {
        lan.run(&[&["call", "echo"], words].concat()).expect(0, &format!("{long}\n"));
    }
    lan.run(&["call", "echo", &format!("{long}.0")]).expect(0, "1.2345678901234568e+22\n");
}

#[test]
fn errors_are_json_when_asked() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let done = lan.run(&["call", "fail", "boom", "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    let error = done.json_error();
    assert_eq!(error["code"], 4);
    assert_eq!(error["name"], "execution_error");
    assert_eq!(error["message"], "boom");
    assert_eq!(error["executed"], "yes");
    assert!(error["retry_ms"].is_null());
    assert!(!error["next"].as_str().unwrap().is_empty());
    let error = lan.run(&["call", "nosuch", "--json", "--wait", "0"]).json_error();
    assert_eq!((&error["code"], &error["executed"]), (&json!(12), &json!("no")));
}

#[test]
fn a_cold_call_waits_as_long_as_it_is_told() {
    let lan = Lan::new();
    let (short, short_took) = timed(|| lan.run(&["call", "nosuch", "--wait", "100ms"]));
    let (usual, usual_took) = timed(|| lan.run(&["call", "nosuch"]));
    short.expect_error(3, &["no_provider"]);
    usual.expect_error(3, &["no_provider"]);
    assert!(usual_took >= std::time::Duration::from_millis(1500), "{usual_took:?}");
    assert!(short_took < usual_took, "{short_took:?} {usual_took:?}");
}

/// A call that waits for a provider starts before there is one.
#[test]
fn a_waiting_call_reaches_a_provider_that_comes_later() {
    let lan = Lan::new();
    let mut command = lan.command(&["call", "add", "1", "2", "--wait", "20s", "-v"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let _server = lan.serve(&["--demo"]);
    crate::support::end(child).expect(0, "3\n");
}

#[test]
fn where_all_providers_fail_the_one_that_ran_is_told() {
    let lan = Lan::new();
    // Whichever comes first in the list.
    let _two = lan.serve(&["--name", "two", "--cmd", "f=false", "--cmd", "g=echo {0}"]);
    let _one = lan.serve(&["--name", "one", "--cmd", "f=echo {0}", "--cmd", "g=false"]);
    for function in ["f", "g"] {
        let done = lan.run(&["call", function, "--all"]);
        done.expect_error(1, &["execution_error: ", "yes, the function ran"]);
        assert!(done.out.contains("error: invalid_arguments: "), "{done:?}");
    }
}

#[test]
fn all_providers_answer_one_line_each() {
    let lan = Lan::new();
    let _good = lan.serve(&["--name", "good", "--cmd", "f=echo fine"]);
    let _bad = lan.serve(&["--name", "bad", "--cmd", "f=sh -c 'echo oh no >&2; exit 3'"]);
    let done = lan.run(&["call", "f", "--all"]);
    done.expect_error(8, &["partial: 1 of 2 providers failed"]);
    let mut lines: Vec<_> = done.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 2, "{done:?}");
    assert!(lines[0].starts_with("bad\terror: execution_error: "), "{done:?}");
    assert!(lines[0].ends_with("exit status: 3: oh no"), "{done:?}");
    assert_eq!(lines[1], "good\tfine");

    let done = lan.run(&["call", "f", "--all", "--json"]);
    assert_eq!(done.code, 8);
    let answers = done.json();
    let find = |name: &str| {
        let list = answers.as_array().unwrap().iter();
        list.clone().find(|answer| answer["peer"] == name).unwrap().clone()
    };
    assert_eq!(find("good")["result"], "fine");
    assert_eq!(find("bad")["error"]["name"], "execution_error");

    lan.run(&["call", "f", "--on", "good"]).expect(0, "fine\n");
    lan.run(&["call", "f", "--on", "bad"]).expect_error(1, &["oh no"]);
    // The first answer that succeeds is the result.
    lan.run(&["call", "f", "--fastest", "2", "--wait", "2s"]).expect(0, "fine\n");
}

#[test]
fn providers_of_one_name_are_told_apart_and_each_can_be_called_again() {
    let lan = Lan::new();
    let _first = lan.serve(&["--name", "twin", "--cmd", "f=echo first"]);
    let _second = lan.serve(&["--name", "twin", "--cmd", "f=echo second"]);
    let done = lan.run(&["call", "f", "--all"]);
    assert_eq!((done.code, done.out.lines().count()), (0, 2), "{done:?}");
    for line in done.out.lines() {
        let (peer, result) = line.split_once('\t').unwrap();
        let digits = peer.strip_prefix("twin (").and_then(|rest| rest.strip_suffix(')')).unwrap();
        lan.run(&["call", "f", "--on", digits]).expect(0, &format!("{result}\n"));
    }
    let answers = lan.run(&["call", "f", "--all", "--json"]).json();
    let sessions: Vec<_> = answers.as_array().unwrap().iter().map(|a| &a["session"]).collect();
    assert!(sessions[0].is_string() && sessions[0] != sessions[1], "{answers}");
}

#[test]
fn configured_peers_need_no_discovery() {
    let lan = Lan::new();
    let server = lan.serve(&["--demo", "--no-discovery"]);
    lan.run(&["call", "add", "1", "2", "--wait", "0"]).expect_error(3, &["no_provider"]);
    let done = lan.run(&["call", "--no-discovery", "--peer", &server.address, "add", "1", "2"]);
    done.expect(0, "3\n");
    std::fs::write(
        lan.folder().join("lanc.toml"),
        format!("discovery = false\npeer = ['s1']\n[peers]\ns1 = '{}'\n", server.address),
    )
    .unwrap();
    lan.run(&["call", "add", "1", "2"]).expect(0, "3\n");
    finish(lan.command(&["call", "add", "1", "2"]).env("LANC_PEERS", "s2"))
        .expect_error(2, &["did you mean `s1`?"]);
}

#[expect(clippy::disallowed_methods, reason = "how long a whole command takes is what is tested")]
fn timed<T>(run: impl FnOnce() -> T) -> (T, std::time::Duration) {
    let began = std::time::Instant::now();
    let value = run();
    (value, began.elapsed())
}

#[test]
fn a_timeout_ends_in_time() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let (done, took) = timed(|| lan.run(&["call", "sleep", "60000", "--timeout", "300ms"]));
    done.expect_error(4, &["timeout"]);
    assert!(took >= std::time::Duration::from_millis(300), "{took:?}");
    assert!(took < std::time::Duration::from_secs(5), "{took:?}");
}
