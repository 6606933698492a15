//! `lanc peers`, `lanc functions`, `lanc ping`, `lanc demo`.

use std::process::Stdio;

use serde_json::json;

use crate::support::{Lan, end, first_line};

#[test]
fn peers_are_listed() {
    let lan = Lan::new();
    let done = lan.run(&["peers", "--wait", "0"]);
    done.expect(0, "");
    let advised = format!("`lanc peers --iface lo --port {} --wait 7s`", lan.port());
    for part in ["no peers were heard", &advised] {
        assert!(done.err.contains(part), "{part}: {done:?}");
    }
    let done = lan.run(&["functions", "--wait", "0"]);
    assert!(done.err.contains(&advised.replace("peers", "functions")), "{done:?}");
    lan.run(&["peers", "--wait", "0", "--json"]).expect(0, "[]\n");

    let server = lan.serve(&["--demo", "--name", "shop"]);
    let done = lan.run(&["peers"]);
    let lines: Vec<_> = done.out.lines().collect();
    assert_eq!(lines.len(), 2, "{done:?}");
    let heading: Vec<_> =
        lines[0].split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect();
    assert_eq!(heading, ["NAME", "ADDRESS", "FUNCTIONS", "SEEN", "ROUND TRIP", "DIALECT", "TRUST"]);
    assert!(lines[1].starts_with(&format!("shop  {}", server.address)), "{done:?}");
    let at = lines[0].find("TRUST").unwrap();
    assert_eq!(&lines[1][at..], "verified", "{done:?}");
    let at = lines[0].find("DIALECT").unwrap();
    assert!(lines[1][at..].starts_with("native  "), "{done:?}");

    let peers = lan.run(&["peers", "--json"]).json();
    let [peer] = peers.as_array().unwrap().as_slice() else { panic!("{peers}") };
    assert_eq!(peer["name"], "shop");
    assert_eq!(peer["endpoint"], format!("udp://{}", server.address));
    assert_eq!((&peer["functions"], &peer["trust"]), (&json!(4), &json!("verified")));
    assert_eq!(peer["dialect"], "native");
    assert!(peer["round_trip_us"].is_u64() && peer["seen_ms"].is_u64(), "{peer}");
}

#[test]
fn functions_are_listed() {
    let lan = Lan::new();
    let _a = lan.serve(&["--demo", "--name", "a"]);
    let _b = lan.serve(&["--cmd", "echo=echo {0}", "--name", "b"]);
    let done = lan.run(&["functions"]);
    assert_eq!(done.code, 0);
    assert!(done.out.starts_with("NAME   OFFERED BY\nadd    a\necho   "), "{done:?}");
    let functions = lan.run(&["functions", "--json"]).json();
    let names: Vec<_> = functions.as_array().unwrap().iter().map(|f| f["name"].clone()).collect();
    assert_eq!(names, ["add", "echo", "fail", "sleep"]);
    let one = lan.run(&["functions", "echo", "--json"]).json();
    let mut providers: Vec<String> = serde_json::from_value(one[0]["providers"].clone()).unwrap();
    providers.sort_unstable();
    assert_eq!(providers, ["a", "b"]);
    lan.run(&["functions", "ech"]).expect_refusal(3, &["no_provider", "did you mean `echo`?"]);
}

#[test]
fn peers_of_one_name_are_told_apart() {
    let lan = Lan::new();
    let _one = lan.serve(&["--demo", "--name", "twin"]);
    let _two = lan.serve(&["--cmd", "echo=echo {0}", "--name", "twin"]);
    let _other = lan.serve(&["--cmd", "echo=echo {0}", "--name", "other"]);
    let peers = lan.run(&["peers", "--json"]).json();
    let twins = peers.as_array().unwrap().iter().filter(|peer| peer["name"] == "twin");
    let short = |session: &serde_json::Value| session.as_str().unwrap()[..8].to_owned();
    let mut twins: Vec<_> =
        twins.map(|peer| format!("twin ({})", short(&peer["session"]))).collect();
    twins.sort_unstable();
    assert_eq!(twins.len(), 2, "{peers}");
    let listed = lan.run(&["peers"]).out;
    for name in twins.iter().map(String::as_str).chain(["other"]) {
        assert!(listed.lines().any(|line| line.starts_with(&format!("{name}  "))), "{listed}");
    }

    let listed = lan.run(&["functions", "echo"]).out;
    let row = listed.lines().nth(1).unwrap().strip_prefix("echo  ").unwrap();
    let mut providers: Vec<_> = row.split(", ").collect();
    providers.sort_unstable();
    assert_eq!(providers, ["other", &twins[0], &twins[1]], "{listed}");
    let functions = lan.run(&["functions", "echo", "--json"]).json();
    let sessions = functions[0]["sessions"].as_array().unwrap();
    let providers = functions[0]["providers"].as_array().unwrap();
    for (name, session) in providers.iter().zip(sessions).filter(|(name, _)| *name == "twin") {
        assert!(twins.contains(&format!("twin ({})", short(session))), "{name} {session}");
        lan.run(&["call", "echo", "1", "--on", &short(session)]).expect(0, "1\n");
    }
}

#[test]
fn pings_that_are_lost_say_nothing_of_a_function() {
    let lan = Lan::new();
    let server = lan.serve(&["--demo", "--name", "shop"]);
    let mut command = lan.command(&["ping", "shop", "--count", "3"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (_stdout, line) = first_line(&mut child);
    assert!(line.starts_with("pong from shop: "), "{line}");
    // Stopped, it answers nothing; each ping has 5 s.
    server.signal("-STOP");
    let done = end(child);
    server.signal("-CONT");
    done.expect_refusal(8, &["partial: ", " of 3 pings were not answered"]);
}

#[test]
fn peers_are_pinged() {
    let lan = Lan::new();
    let server = lan.serve(&["--demo", "--name", "shop"]);
    for whom in ["shop", &server.address] {
        let done = lan.run(&["ping", whom, "--count", "2"]);
        assert_eq!(done.code, 0, "{done:?}");
        let lines: Vec<_> = done.out.lines().collect();
        assert_eq!(lines.len(), 2, "{done:?}");
        assert!(lines[0].starts_with(&format!("pong from {whom}: ")), "{done:?}");
        assert!(lines[0].ends_with(" ms"), "{done:?}");
    }
    let report = lan.run(&["ping", "shop", "--count", "2", "--json"]).json();
    assert_eq!(report["round_trips_us"].as_array().unwrap().len(), 2);
    assert_eq!(report["lost"], 0);
    let look = format!("`lanc peers --iface lo --port {}` lists who is there", lan.port());
    let parts = ["no_provider", "did you mean `shop`?", &look];
    lan.run(&["ping", "shpo"]).expect_refusal(3, &parts);
}

#[test]
fn the_demo_succeeds() {
    let lan = Lan::new();
    let done = lan.run(&["demo"]);
    assert_eq!(done.code, 0, "{done:?}");
    for part in
        ["laptop found workshop at 127.0.0.1:", "the result is 3", "division by zero", "144"]
    {
        assert!(done.out.contains(part), "{part}: {done:?}");
    }
    assert_eq!(done.err, "");
}
