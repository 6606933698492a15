//! `lanc pair`: a key from one machine to another by a code.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};

use crate::support::{Done, Lan, end, finish, signal};

/// `lanc pair` on the machine that gives.
struct Giving {
    child: Child,
    out: BufReader<ChildStdout>,
    code: String,
}

impl Giving {
    fn start(lan: &Lan, machine: &str, more: &[&str]) -> Self {
        let mut command = lan.on(machine, &[&["pair"], more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let code = line.trim_end().strip_prefix("on the other machine run: lanc pair ");
        let Some(code) = code.map(str::to_owned) else {
            panic!("no code: {line:?} {:?}", child.wait_with_output());
        };
        Self { child, out, code }
    }

    /// Waits for its end; what it printed after the code.
    fn end(mut self) -> Done {
        let mut out = String::new();
        self.out.read_to_string(&mut out).unwrap();
        Done { out, ..end(self.child) }
    }
}

/// A code with the same first two digits, and another secret.
fn another(code: &str) -> String {
    let last = if code.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", &code[..code.len() - 1])
}

#[test]
fn two_machines_pair_and_then_need_no_option() {
    let lan = Lan::new();
    let giving = Giving::start(&lan, "strong", &[]);
    assert_eq!(giving.code.len(), 11, "{}", giving.code);
    let taken = finish(&mut lan.on("desk", &["pair", &giving.code]));
    assert_eq!(taken.code, 0, "{taken:?}");
    let given = giving.end();
    assert_eq!(given.code, 0, "{given:?}");
    let id = finish(&mut lan.on("desk", &["key", "show"])).out;
    finish(&mut lan.on("strong", &["key", "show"])).expect(0, &id);
    assert_eq!(id.trim().len(), 8);
    for done in [&taken, &given] {
        assert!(done.out.contains(&format!("paired: both machines hold key {}", id.trim())));
    }
    let _server = crate::support::Server::start(&mut lan.on("strong", &["serve", "--demo"]));
    finish(&mut lan.on("desk", &["call", "add", "1", "2"])).expect(0, "3\n");
    let stranger = ["call", "add", "1", "2", "--wait", "300ms"];
    finish(&mut lan.on("other", &stranger)).expect_error(3, &["no_provider"]);

    // Whoever has a key already takes no other.
    let refused = finish(&mut lan.on("desk", &["pair", "42-483-9127"]));
    refused.expect_refusal(2, &["stored here already", id.trim()]);
    // Whoever has one gives that one, here to a third machine.
    let giving = Giving::start(&lan, "desk", &[]);
    assert_eq!(finish(&mut lan.on("third", &["pair", &giving.code])).code, 0);
    assert_eq!(giving.end().code, 0);
    finish(&mut lan.on("third", &["key", "show"])).expect(0, &id);
}

#[test]
fn a_wrong_code_ends_it_on_both_machines_and_gives_nothing() {
    let lan = Lan::new();
    let giving = Giving::start(&lan, "strong", &[]);
    let code = giving.code.clone();
    let taken = finish(&mut lan.on("desk", &["pair", &another(&code)]));
    taken.expect_refusal(5, &["the code is wrong", "run `lanc pair` anew on both machines"]);
    let given = giving.end();
    assert_eq!(given.code, 5, "{given:?}");
    assert!(given.err.contains("a wrong code was tried, and nothing was given"), "{given:?}");
    // The right one comes too late.
    let late = finish(&mut lan.on("desk", &["pair", &code, "--wait", "1s"]));
    late.expect_refusal(3, &["no machine on this network shows a code"]);
    for machine in ["strong", "desk"] {
        let shown = finish(&mut lan.on(machine, &["key", "show"]));
        shown.expect(0, "");
        assert!(!lan.folder().join(machine).join(".local/state/lanc/keys").exists());
    }
}

#[test]
fn a_key_file_can_be_given_and_mistakes_cost_no_try() {
    let lan = Lan::new();
    assert_eq!(finish(&mut lan.bare(&["key", "new", "lan.key"])).code, 0);
    let giving = Giving::start(&lan, "strong", &["--key-file", "lan.key"]);
    let typed = finish(&mut lan.on("desk", &["pair", "12345"]));
    typed.expect_refusal(2, &["a code has 9 digits", "next: run `lanc pair CODE` again"]);
    let second = finish(&mut lan.on("other", &["pair"]));
    second.expect_refusal(7, &["Another `lanc pair` runs here"]);
    let spaced = giving.code.replace('-', " ");
    let taken = finish(&mut lan.on("desk", &["pair", &spaced, "--json"]));
    assert_eq!(taken.json()["paired"], true, "{taken:?}");
    assert_eq!(giving.end().code, 0);
    let shown = finish(&mut lan.bare(&["key", "show", "lan.key"])).out;
    finish(&mut lan.on("desk", &["key", "show"])).expect(0, &shown);
    assert!(!lan.folder().join("strong/.local").exists(), "it has its key in the file");
}

#[test]
fn a_pairing_is_interrupted() {
    let lan = Lan::new();
    let giving = Giving::start(&lan, "strong", &[]);
    signal(giving.child.id(), "-INT");
    let given = giving.end();
    assert_eq!(given.code, 130, "{given:?}");
}
