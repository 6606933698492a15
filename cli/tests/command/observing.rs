//! What can be seen of a node that serves: `stats`, `serve --metrics`, `serve -v`, `top`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Lan, Server, end};

/// Reads the log until it tells where the metrics are.
fn metrics_of(server: &mut Server) -> String {
    let line = server.wait_for_log("metrics at http://");
    let url = line.split("http://").nth(1).unwrap();
    url.trim_end().strip_suffix("/metrics").unwrap().to_owned()
}

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(address: &str, host: &str) -> String {
    ask(address, &format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

/// The samples of a page, each a name with its labels, and a number; checked line by line.
fn samples(page: &str) -> Vec<(String, f64)> {
    let mut samples = Vec::new();
    let mut family = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(rest.split_once(' ').is_some_and(|(_, help)| !help.is_empty()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            name.clone_into(&mut family);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let suffix = name.strip_prefix(family.as_str());
            assert!(matches!(suffix, Some("" | "_bucket" | "_sum" | "_count")), "{line}");
            samples.push((series.to_owned(), value.parse().unwrap()));
        }
    }
    samples
}

#[test]
fn prometheus_reads_the_metrics_on_loopback() {
    let lan = Lan::new();
    let mut server = lan.serve(&["--demo", "--name", "shop", "--metrics", "127.0.0.1:0"]);
    let address = metrics_of(&mut server);
    lan.run(&["call", "add", "1", "2"]).expect(0, "3\n");
    lan.run(&["call", "fail", "boom"]);
    let answer = get(&address, &address);
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let samples = samples(page);
    let value = |series: &str| {
        let found = samples.iter().find(|(known, _)| known == series);
        found.unwrap_or_else(|| panic!("{series} is not in\n{page}")).1
    };
    assert_eq!(value(r#"lanc_runs_total{name="add",result="ok"}"#), 1.0);
    assert_eq!(value(r#"lanc_runs_total{name="fail",result="execution_error"}"#), 1.0);
    assert_eq!(value(r#"lanc_run_seconds_bucket{name="add",le="+Inf"}"#), 1.0);
    assert_eq!(value(r#"lanc_run_seconds_count{name="add"}"#), 1.0);
    assert_eq!(value(r#"lanc_transport_dropped_total{transport="udp",reason="kernel"}"#), 0.0);
    let received = value("lanc_frames_received_total");
    let dropped = samples.iter().filter(|(name, _)| name.starts_with("lanc_dropped_total"));
    let dropped: f64 = dropped.map(|(_, count)| count).sum();
    assert_eq!(received, value("lanc_frames_accepted_total") + dropped);

    let foreign = get(&address, "rebound.example:9127");
    assert!(foreign.starts_with("HTTP/1.1 403 "), "{foreign}");
    let post = ask(&address, "POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    server.signal("-INT");
    assert_eq!(server.end().code, 0);
}

#[test]
fn a_port_that_is_taken_is_told() {
    let lan = Lan::new();
    let mut server = lan.serve(&["--demo", "--metrics", "127.0.0.1:0"]);
    let address = metrics_of(&mut server);
    let done = lan.run(&["serve", "--demo", "--metrics", &address]);
    done.expect_refusal(7, &["--metrics cannot use", &address]);
    let done = lan.run(&["serve", "--demo", "--metrics", "shop:9127"]);
    assert_eq!(done.code, 2, "{done:?}");
}

/// The id of the first line of a log that holds `text`.
fn exe_id(log: &str, text: &str) -> String {
    let line = log.lines().find(|line| line.contains(text));
    let line = line.unwrap_or_else(|| panic!("{text} is not in {log}"));
    let id = line.split("exe_id=").nth(1).unwrap().split(' ').next().unwrap();
    id.to_owned()
}

#[test]
fn one_id_joins_the_logs_of_caller_and_callee() {
    let lan = Lan::new();
    let mut server = lan.serve(&["--demo", "--name", "shop", "-v"]);
    let done = lan.run(&["call", "add", "1", "2", "-vv"]);
    assert_eq!(done.out, "3\n", "{done:?}");
    let served = server.wait_for_log("served exe_id=");
    let id = exe_id(&served, "served exe_id=");
    for part in ["function=add", "caller=", "waited=", "ran=", "outcome=ok"] {
        assert!(served.contains(part), "{part}: {served}");
    }
    for step in ["call begun", "call sent", "called"] {
        assert_eq!(exe_id(&done.err, &format!("{step} exe_id=")), id, "{step}: {done:?}");
    }
    let called = done.err.lines().find(|line| line.contains("called exe_id=")).unwrap();
    assert!(called.contains("callee=\"shop\"") && called.contains("outcome=ok"), "{called}");
    let failed = lan.run(&["call", "fail", "boom", "-v"]);
    assert!(failed.err.contains("callee=\"shop\""), "{failed:?}");
    let served = server.wait_for_log("served exe_id=");
    assert!(served.contains("outcome=execution_error"), "{served}");
}

#[test]
fn each_event_is_one_line_of_the_log() {
    let lan = Lan::new();
    let mut server = lan.serve(&["--demo", "-v"]);
    lan.run(&["call", "add", "1", "2"]).expect(0, "3\n");
    let log = server.log_until(" is gone");
    assert!(log.matches(" is here, at ").count() <= 1, "{log}");
    assert!(log.matches(" has proved its address").count() <= 1, "{log}");
    assert!(!log.contains("event="), "{log}");
    let mut server = lan.serve(&["--demo", "-vv"]);
    lan.run(&["call", "add", "1", "2"]).expect(0, "3\n");
    assert!(server.log_until(" is gone").contains("event="), "the detail is there for -vv");
}

#[test]
fn a_process_that_does_not_answer_is_not_left_out() {
    let lan = Lan::new();
    let shop = lan.serve(&["--name", "shop", "--demo"]);
    let pid = shop.pid();
    let folder = lan.folder().join(".local/state/lanc");
    let is_node = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "node");
    let mut entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let socket = entries.find(is_node).unwrap();
    // As many as it takes at once, and none of them asks anything.
    let idle: Vec<_> = (0..64).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let busy = format!("process {pid} did not answer as asked: 64 others ask");
    lan.run(&["stats"]).expect_refusal(4, &["timeout", &busy, "next: ask again"]);
    drop(idle);
    shop.signal("-STOP");
    let told = format!("process {pid} did not answer within 5.0 s");
    let advice = format!("kill -CONT {pid}");
    for words in [&["stats"][..], &["stats", "shop"], &["stats", "--pid", &pid.to_string()]] {
        lan.run(words).expect_refusal(4, &["timeout", &told, &advice]);
    }
    let _desk = lan.serve(&["--name", "desk", "--demo"]);
    let done = lan.run(&["stats", "--json"]);
    assert_eq!((done.code, &done.json()["node"]), (8, &Value::from("desk")), "{done:?}");
    assert_eq!(done.json_error()["message"], format!("1 of 2 processes: {told}"));
    assert_eq!(lan.run(&["stats", "desk"]).code, 0);
    shop.signal("-CONT");
    assert_eq!(lan.run(&["stats"]).code, 0);
}

#[test]
fn top_prints_once_where_there_is_no_terminal() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo", "--name", "shop"]);
    let done = lan.run(&["top"]);
    assert_eq!(done.code, 0, "{done:?}");
    for part in ["lanc 0.2.0", "PEER", "shop", "FUNCTION", "echo"] {
        assert!(done.out.contains(part), "{part}: {done:?}");
    }
    let json = lan.run(&["top", "--json"]).json();
    // The nodes of this machine that serve, and the one that looks.
    let nodes = json["nodes"].as_array().unwrap();
    let knows_shop =
        |node: &&Value| node["peers"].as_array().unwrap().iter().any(|peer| peer["name"] == "shop");
    assert!(nodes.iter().find(knows_shop).is_some(), "{nodes:?}");
    let names = json["offered"].as_array().unwrap().iter().map(|one| one["name"].clone());
    assert!(names.collect::<Vec<_>>().contains(&Value::from("add")));
}

#[test]
fn stats_asks_the_nodes_of_this_machine() {
    let lan = Lan::new();
    let done = lan.run(&["stats"]);
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{done:?}");
    let _shop = lan.serve(&["--demo", "--name", "shop"]);
    let desk = lan.serve(&["--demo", "--name", "desk"]);
    lan.run(&["call", "add", "1", "2", "--on", "shop"]).expect(0, "3\n");
    let done = lan.run(&["stats", "shop"]);
    for part in ["shop: pid", "RUNS HERE", "add", "calls_received", "PEER", "desk"] {
        assert!(done.out.contains(part), "{part}: {done:?}");
    }
    let done = lan.run(&["stats", "--json"]);
    let all: Vec<Value> =
        done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = all.iter().map(|stats| stats["node"].clone()).collect();
    assert_eq!(names, ["desk", "shop"]);
    let pid = all[0]["pid"].to_string();
    let done = lan.run(&["stats", "--pid", &pid, "--json"]);
    assert_eq!(done.json()["node"], "desk");
    assert_eq!(lan.run(&["top", "--json"]).json()["nodes"].as_array().map(Vec::len), Some(3));
    let none = lan.run(&["stats", "nobody"]);
    none.expect_refusal(3, &["desk", "shop"]);
    assert!(!none.err.contains("--wait"), "{none:?}");
    // One that is killed leaves its socket behind, which is no node.
    desk.signal("-KILL");
    desk.end();
    let done = lan.run(&["stats", "--json"]);
    assert_eq!(done.json()["node"], "shop");
    lan.run(&["stats", "desk"]).expect_refusal(3, &["there are: shop"]);
}

#[test]
fn a_node_that_ends_takes_its_socket_away() {
    let lan = Lan::new();
    let server = lan.serve(&["--demo"]);
    let folder = lan.folder().join(".local/state/lanc");
    let files = || std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files(), 1);
    server.signal("-INT");
    assert_eq!(server.end().code, 0);
    assert_eq!(files(), 0);
}

/// In a terminal of its own: it takes the whole of it, shows the peer, ends by a key or a signal,
/// and gives the terminal back.
#[test]
fn top_takes_a_terminal_and_gives_it_back() {
    let has_script = Command::new("script").arg("--version").output();
    if !has_script
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("util-linux"))
    {
        println!("skipped: there is no util-linux `script` to make a terminal with");
        return;
    }
    let lan = Lan::new();
    let _server = lan.serve(&["--demo", "--name", "shop"]);
    for quits in [b"q", b"\x03"] {
        let port = lan.port().to_string();
        let top = format!(
            "stty rows 24 cols 120; {} --iface lo --port {port} top; echo ended $?; stty -a",
            env!("CARGO_BIN_EXE_lanc")
        );
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &top, "/dev/null"]);
        script.current_dir(lan.folder()).env("HOME", lan.folder()).env("TERM", "xterm");
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = script.spawn().unwrap();
        let mut seen = Vec::new();
        let mut byte = [0];
        let out = child.stdout.as_mut().unwrap();
        while !String::from_utf8_lossy(&seen).contains("shop") {
            assert_eq!(out.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&seen));
            seen.extend(byte);
        }
        let text = String::from_utf8_lossy(&seen);
        assert!(text.contains("\u{1b}[?1049h"), "no other screen: {text:?}");
        assert!(text.contains("lanc top:"), "{text:?}");
        let mut input = child.stdin.take().unwrap();
        input.write_all(quits).unwrap();
        let done = end(child);
        assert!(done.out.contains("\u{1b}[?1049l"), "the screen is not given back: {done:?}");
        assert!(done.out.contains("ended 0"), "{done:?}");
        let after = done.out.split("ended 0").nth(1).unwrap();
        let modes: Vec<_> = after.split([' ', '\n', '\r', ';']).collect();
        assert!(modes.contains(&"icanon") && modes.contains(&"echo"), "{done:?}");
        drop(input);
    }
}
