//! Programs as functions: `serve --cmd`.

use std::fs::{File, Permissions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use crate::support::{Lan, end, finish_with_input, signal};

#[test]
fn arguments_reach_the_program_as_text_and_no_shell() {
    let lan = Lan::new();
    let _server = lan.serve(&["--cmd", "show=printf '%s|' {0} 'in {name} word'"]);
    for hostile in ["$(touch x)", "`touch x`", "; touch x", "a\nb", "*", "'\"", "{name}", "%s"] {
        let name = format!("name={hostile}");
        let printed = format!("{hostile}|in {hostile} word|\n");
        lan.run(&["call", "show", &name, "--", hostile]).expect(0, &printed);
    }
    assert!(!lan.folder().join("x").exists());
}

/// A program in the folder.
fn script(lan: &Lan, name: &str, mode: u32) -> PathBuf {
    let path = lan.folder().join(name);
    std::fs::write(&path, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn programs_that_cannot_be_started_are_refused_at_once() {
    let lan = Lan::new();
    script(&lan, "notes", 0o644);
    for (cmd, part) in [
        ("f=no-such-program {0}", "--cmd f: there is no program `no-such-program` in the folders"),
        ("f=/no/such/program", "there is no program /no/such/program"),
        ("f=./notes {0}", "allow it: chmod +x ./notes"),
    ] {
        let words = ["serve", "--cmd", "g=true", "--cmd", cmd, "-q"];
        lan.run(&words).expect_refusal(2, &["usage", part]);
    }
}

#[test]
fn output_is_the_result() {
    let lan = Lan::new();
    // There at the start, and not when it is called.
    let program = script(&lan, "gone", 0o755);
    let gone = format!("gone={}", program.display());
    let _server = lan.serve(&[
        "--cmd",
        "json=echo '{{\"a\":{n}}}'",
        "--cmd",
        "text=printf 'one\\ntwo\\n'",
        "--cmd",
        "bad=sh -c 'echo broken >&2; exit 3'",
        "--cmd",
        &gone,
    ]);
    std::fs::remove_file(program).unwrap();
    lan.run(&["call", "json", "n=[1]"]).expect(0, "{{\"a\":[1]}}\n");
    lan.run(&["call", "text", "--json"]).expect(0, "\"one\\ntwo\"\n");
    lan.run(&["call", "bad"]).expect_error(1, &["execution_error", "exit status: 3", "broken"]);
    lan.run(&["call", "gone"]).expect_error(1, &["cannot start", "the function did not run"]);
    let so = |words: &str| {
        format!(" next: call it so: `lanc call --iface lo --port {} {words}`\n", lan.port())
    };
    let missing = ["argument `n` is missing", &so("json n=VALUE")];
    lan.run(&["call", "json"]).expect_error(6, &missing);
    let too_many = ["1 argument was given", "takes none", &so("text")];
    lan.run(&["call", "text", "1"]).expect_error(6, &too_many);
    let so = so("text").replace(" next: ", "goes behind `--`; ");
    lan.run(&["call", "text", "k=1"]).expect_error(6, &["there is no argument `k`", &so]);
}

#[test]
fn what_looks_like_a_number_keeps_its_text_as_text() {
    let lan = Lan::new();
    let _server = lan.serve(&["--cmd", "args=printf '%s|' {0} {1}", "--cmd", "say=printf %s {0}"]);
    // A Rust function wants the number: the caller cannot know who is behind the name.
    lan.run(&["call", "args", "1.10", "14e5"]).expect(0, "1.1|1400000.0|\n");
    lan.run(&["call", "args", "--text", "1.10", "14e5"]).expect(0, "1.10|14e5|\n");
    lan.run(&["call", "args", "-t", "--", "007", "{ \"b\": 1 }"]).expect(0, "007|{ \"b\": 1 }|\n");
    for (printed, result) in
        [("1.10", "\"1.10\""), ("14e5", "\"14e5\""), ("3", "3"), ("1.5", "1.5")]
    {
        lan.run(&["call", "say", "-t", printed]).expect(0, &format!("{printed}\n"));
        lan.run(&["call", "say", "-t", printed, "--json"]).expect(0, &format!("{result}\n"));
    }
}

#[test]
fn json_that_a_program_prints_too_deep_is_no_text() {
    let lan = Lan::new();
    let deep = lan.folder().join("deep");
    let _server = lan.serve(&["--cmd", &format!("show=cat {}", deep.display())]);
    for levels in [63, 64, 127, 128, 1000] {
        std::fs::write(&deep, "[".repeat(levels) + &"]".repeat(levels)).unwrap();
        let done = lan.run(&["call", "show", "--timeout", "25s"]);
        if levels == 63 {
            assert_eq!((done.code, done.out.len()), (0, 127), "{done:?}");
            continue;
        }
        let told = format!("the program printed JSON that nests {levels} levels deep, and at most");
        done.expect_error(6, &["too_large", &told, "the function ran"]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_argument_that_is_too_long_for_a_program_is_told_with_the_bound() {
    let lan = Lan::new();
    let any = format!("any={} {{0}}", script(&lan, "any", 0o755).display());
    let _server = lan.serve(&["--cmd", &any]);
    let call = |size: usize| {
        let words = ["call", "any", "-", "--timeout", "25s"];
        finish_with_input(&mut lan.command(&words), &format!("\"{}\"", "x".repeat(size)))
    };
    call((128 << 10) - 1).expect(0, "\n");
    for size in [128 << 10, 1 << 20] {
        let told = format!("an argument has {size} bytes, and Linux gives a program 131071 in one");
        let told = [&*told, "in parts", "the function did not run", "keep arguments"];
        call(size).expect_error(6, &told);
    }
}

/// A program that says `started`, and would say `finished` long after everybody gave up.
const BLOCK: &str =
    "block=sh -c 'exec 3>{pipe}; echo started >&3; sleep 20 3>&-; echo finished >&3'";

fn blocked(lan: &Lan, words: &[&str]) -> (std::process::Child, BufReader<File>) {
    let pipe = lan.fifo("pipe");
    let mut all = vec!["call", "block"];
    all.extend(words);
    let mut command = lan.command(&all);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = BufReader::new(File::open(pipe).unwrap());
    let mut line = String::new();
    pipe.read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    (child, pipe)
}

/// The pipe's writing end closes when the program dies.
fn expect_killed(mut pipe: BufReader<File>) {
    let mut rest = String::new();
    pipe.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

fn block(lan: &Lan) -> String {
    BLOCK.replace("{pipe}", &lan.folder().join("pipe").display().to_string())
}

#[test]
fn an_interrupted_call_kills_its_program() {
    let lan = Lan::new();
    let _server = lan.serve(&["--cmd", &block(&lan)]);
    let (child, pipe) = blocked(&lan, &[]);
    signal(child.id(), "-INT");
    end(child).expect_error(130, &["interrupted", "maybe"]);
    expect_killed(pipe);
}

#[test]
fn a_program_is_killed_when_its_time_is_up() {
    let lan = Lan::new();
    let _server = lan.serve(&["--cmd", &block(&lan)]);
    let (child, pipe) = blocked(&lan, &["--timeout", "1s"]);
    end(child).expect_error(4, &["timeout"]);
    expect_killed(pipe);
}

#[test]
fn a_one_way_call_runs_without_an_answer() {
    let lan = Lan::new();
    let pipe = lan.fifo("pipe");
    let _server = lan.serve(&["--cmd", &format!("note=sh -c 'echo {{text}} >{}'", pipe.display())]);
    let done = lan.run(&["call", "note", "text=hello", "--one-way"]);
    done.expect(0, "");
    assert_eq!(std::fs::read_to_string(pipe).unwrap(), "hello\n");
}

#[test]
fn templates_that_make_no_sense_are_usage_errors() {
    let lan = Lan::new();
    for (cmd, part) in [
        ("noname", "has no name"),
        ("=true", "`=true` has no name"),
        ("\u{65e5}=true", "--cmd \u{65e5}: `\u{65e5}` cannot name a function"),
        ("f=", "the program is missing"),
        ("f='open", "open quote"),
        ("f={0} x", "choose the program"),
        ("bad name=true", "--cmd bad name"),
    ] {
        lan.run(&["serve", "--cmd", cmd, "-q"]).expect_refusal(2, &["usage", part]);
    }
    let twice = ["serve", "--cmd", "f=true", "--cmd", "g=true", "--cmd", "f=false", "-q"];
    lan.run(&twice).expect_refusal(2, &["usage", "two programs", "`f`", "a name of its own"]);
    let nobody = ["serve", "--demo", "--name", "", "-q"];
    lan.run(&nobody).expect_refusal(2, &["`` cannot name a node", "next: use 1 to 64 bytes"]);
    let demo = ["serve", "--demo", "--cmd", "add=true", "-q"];
    lan.run(&demo).expect_refusal(2, &["--cmd add: --demo offers", "a name of its own"]);
}

#[test]
fn braces_that_are_no_placeholder_are_told() {
    let lan = Lan::new();
    let mut server = lan.serve(&["--cmd", "list=ls {}"]);
    let told = server.wait_for_log("--cmd list: ");
    assert!(told.contains("`{}` goes to the program as it is: write {0}"), "{told}");
}
