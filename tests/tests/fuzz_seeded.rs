//! The fuzzers' bodies in the ordinary run: each on its committed corpus, then on mutants of it
//! from a fixed seed. `LANC_FUZZ_INPUTS` multiplies the mutants and `LANC_FUZZ_SEED` draws others.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use lanc_testkit::fuzz::{Mutator, TARGETS, Target};

/// What people write, on the command line and into files.
const COMMAND: [Target; 2] = [
    Target { name: "settings", body: lanc_cli::fuzz::settings },
    Target { name: "arguments", body: lanc_cli::fuzz::arguments },
];

fn targets() -> impl Iterator<Item = Target> {
    TARGETS.iter().chain(&COMMAND).copied()
}

/// A target's inputs, by name.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

fn run(target: &Target, what: &str, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.body)(input))).is_err() {
        let mut hex = String::new();
        for byte in input {
            write!(hex, "{byte:02x}").unwrap();
        }
        panic!("{} fails on {what}: {hex}", target.name);
    }
}

fn replay_and_mutate(name: &str, mutants: u64) {
    let target = targets().find(|target| target.name == name).unwrap();
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for (path, input) in &corpus {
        run(&target, &path.display().to_string(), input);
    }
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
    let seed = number("LANC_FUZZ_SEED").unwrap_or(1);
    let mut mutator = Mutator::new(&inputs, seed);
    for count in 0..mutants * number("LANC_FUZZ_INPUTS").unwrap_or(1) {
        let input = mutator.next_input();
        run(&target, &format!("mutant {count} of seed {seed}"), &input);
    }
}

macro_rules! targets {
    ($($name:ident: $mutants:literal,)*) => {
        $(
            #[test]
            fn $name() {
                replay_and_mutate(stringify!($name), $mutants);
            }
        )*

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),*];
            let all: Vec<&str> = targets().map(|target| target.name).collect();
            assert_eq!(run[..], all);
        }
    };
}

targets! {
    json_message: 60_000,
    msgpack_message: 60_000,
    lean_frame: 60_000,
    json_scan: 60_000,
    msgpack_scan: 60_000,
    json_differential: 60_000,
    msgpack_differential: 60_000,
    python_text: 60_000,
    names: 60_000,
    compressed_body: 6_000,
    stream_frames: 6_000,
    sealed_frame: 6_000,
    pairing: 300,
    hello_and_func: 400,
    whole_core: 1_000,
    keyed_core: 600,
    two_cores: 600,
    settings: 5_000,
    arguments: 1_000,
}
