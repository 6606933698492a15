//! What needs no network.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Lan, finish};

#[test]
fn completions_and_manual_pages_are_printed() {
    let lan = Lan::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = finish(&mut lan.bare(&["completions", shell]));
        assert_eq!(done.code, 0);
        assert!(done.out.contains("no-discovery"), "{shell}");
    }
    let page = finish(&mut lan.bare(&["man"]));
    assert!(page.out.contains(".TH lanc 1") && page.out.contains("functions"), "{page:?}");
    for part in ["LANC_TIMEOUT", "private_port = 6001", "Default: 5127.", "Default: 30s."] {
        assert!(page.out.contains(part), "{part}: {page:?}");
    }
    let page = finish(&mut lan.bare(&["man", "call"]));
    assert!(page.out.contains("fastest") && page.out.contains("iface"), "{page:?}");
    let row = page.out.lines().find(|line| line.starts_with("no_provider "));
    let row: Vec<_> = row.unwrap().split_whitespace().collect();
    assert_eq!(row, ["no_provider", "12", "3"]);
    for words in [&["man", "key rotate"][..], &["man", "key", "rotate"]] {
        let page = finish(&mut lan.bare(words));
        assert!(page.out.contains(".TH lanc-key-rotate 1"), "{page:?}");
        assert!(page.out.contains("primary"), "{page:?}");
    }
    let unknown = finish(&mut lan.bare(&["man", "key", "turn"]));
    unknown.expect_refusal(2, &["no verb `turn`", "verbs of `lanc key` are: new, store, show"]);
    let none = finish(&mut lan.bare(&["man", "call", "back"]));
    none.expect_refusal(2, &["`lanc call` has no verbs", "next: its page is: lanc man call"]);
    finish(&mut lan.bare(&["man", "cal"])).expect_refusal(2, &["did you mean `call`?"]);
}

/// On a terminal of its own, with a `man` of its own.
#[test]
fn a_terminal_gets_the_page_from_man() {
    let lan = Lan::new();
    let terminal = |path: &str| {
        let page = format!("PATH={path} {} man call", env!("CARGO_BIN_EXE_lanc"));
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &page, "/dev/null"]).current_dir(lan.folder());
        script.stdin(Stdio::null());
        finish(&mut script)
    };
    let has_script = Command::new("script").arg("--version").output();
    if !has_script.is_ok_and(|told| String::from_utf8_lossy(&told.stdout).contains("util-linux")) {
        println!("skipped: there is no util-linux `script` to make a terminal with");
        return;
    }
    let man = lan.folder().join("man");
    let path = format!("{}:/usr/bin:/bin", lan.folder().display());
    for (body, code, rendered) in [("echo man $@; grep -c '^.SH'", 0, true), ("exit 16", 0, false)]
    {
        std::fs::write(&man, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&man, Permissions::from_mode(0o755)).unwrap();
        let done = terminal(&path);
        assert_eq!((done.code, done.out.contains("man -l -")), (code, rendered), "{done:?}");
        assert_eq!(done.out.contains(".TH lanc-call 1"), !rendered, "{done:?}");
    }
    let none = terminal("/nowhere");
    assert!(none.code == 0 && none.out.contains(".TH lanc-call 1"), "{none:?}");
}

#[test]
fn help_and_version_are_printed() {
    let lan = Lan::new();
    let version = finish(&mut lan.bare(&["--version"]));
    version.expect(0, &format!("lanc {}\n", env!("CARGO_PKG_VERSION")));
    for verb in [
        "serve",
        "call",
        "join",
        "get",
        "cancel",
        "jobs",
        "peers",
        "functions",
        "ping",
        "demo",
        "completions",
        "man",
    ] {
        let help = finish(&mut lan.bare(&[verb, "--help"]));
        assert_eq!(help.code, 0);
        assert!(help.out.contains("Usage: lanc "), "{help:?}");
    }
    assert_eq!(finish(&mut lan.bare(&[])).code, 2);
    assert_eq!(finish(&mut lan.bare(&["nosuch"])).code, 2);
}

#[test]
fn mistakes_on_the_command_line_are_json_when_asked() {
    let lan = Lan::new();
    for (words, message, next) in [
        (&["call", "--json", "f", "--nosuch"][..], "unexpected argument '--nosuch'", "Usage: "),
        (&["--json", "nosuch"], "unrecognized subcommand 'nosuch'", "Usage: "),
        (&["call", "--json"], "<NAME>", "lanc call"),
        (&["cal", "--json"], "'cal'", "'call'"),
        (&["--json"], "the verb is missing", "--help"),
        (&["key", "--json"], "the verb is missing", "--help"),
    ] {
        let done = finish(&mut lan.bare(words));
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{done:?}");
        let error = done.json_error();
        assert_eq!((&error["name"], &error["executed"]), (&json!("usage"), &json!("no")));
        assert!(error["message"].as_str().unwrap().contains(message), "{words:?}: {error}");
        assert!(error["next"].as_str().unwrap().contains(next), "{words:?}: {error}");
    }
    // Behind `--` it is an argument.
    let plain = finish(&mut lan.bare(&["call", "--nosuch", "--", "--json"]));
    assert!(plain.code == 2 && plain.err.starts_with("error: unexpected"), "{plain:?}");
    let help = finish(&mut lan.bare(&["call", "--help", "--json"]));
    assert!(help.code == 0 && help.out.contains("Usage:"), "{help:?}");
}

#[test]
fn too_few_descriptors_are_told() {
    let lan = Lan::new();
    let call = format!("ulimit -n 6; exec {} call --iface lo f", env!("CARGO_BIN_EXE_lanc"));
    let done = finish(Command::new("sh").args(["-c", &call]).env("HOME", lan.folder()));
    done.expect_error(1, &["internal: cannot start the runtime: Too many open", "ulimit -n 256"]);
}
