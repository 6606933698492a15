//! The committed budgets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use crate::Fallible;

/// Where they are, for people.
pub(crate) const FILE: &str = "bench/instructions.txt";
/// Instructions by which a call may be above its budget, in percent.
const TOLERANCE: u64 = 5;
const MADE_BY: &str = "# Set with ";

/// Instructions for each call, both sides together.
pub(crate) struct Budgets {
    calls: BTreeMap<String, u64>,
    /// The compiler they were counted with.
    compiler: String,
}

/// How counted calls stand to their budgets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// All are within, and one is so far below that its budget guards nothing.
    Below,
    /// All are within.
    Within,
    /// One is above, or has no budget, or a budget has no workload.
    Above,
}

/// The same, for people.
pub(crate) struct Comparison {
    pub(crate) text: String,
    pub(crate) verdict: Verdict,
}

impl Budgets {
    /// Reads the file.
    pub(crate) fn read() -> Fallible<Self> {
        let text = std::fs::read_to_string(path())?;
        let compiler = text.lines().find_map(|line| line.strip_prefix(MADE_BY));
        let compiler = compiler.unwrap_or("an unknown compiler").to_owned();
        let mut calls = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (name, budget) = line.split_once(' ').ok_or_else(|| format!("{FILE}: `{line}`"))?;
            calls.insert(name.to_owned(), budget.trim().parse()?);
        }
        Ok(Self { calls, compiler })
    }

    /// Those with `part` in their name.
    pub(crate) fn of(mut self, part: &str) -> Self {
        self.calls.retain(|name, _| name.contains(part));
        self
    }

    /// Writes the file.
    pub(crate) fn write(counted: &BTreeMap<String, u64>) -> Fallible<()> {
        let mut text = format!(
            "# Instructions of a call, both sides together. `cargo bench -p lanc-bench --bench\n\
             # instructions` fails above {TOLERANCE} % more; with `-- --set` behind it this file is\n\
             # written anew. docs/performance.md says what the rows are.\n{MADE_BY}{}\n\n",
            compiler()
        );
        let width = counted.keys().map(String::len).max().unwrap_or_default();
        for (name, calls) in counted {
            let _ = writeln!(text, "{name:width$} {calls}");
        }
        Ok(std::fs::write(path(), text)?)
    }

    /// Sets counted calls beside their budgets.
    pub(crate) fn compare(&self, counted: &BTreeMap<String, u64>) -> Comparison {
        let mut text = format!("{:24} {:>10} {:>10}\n", "instructions per call", "now", "budget");
        let mut verdicts = Vec::new();
        for (name, now) in counted {
            let Some(budget) = self.calls.get(name) else {
                let _ = writeln!(text, "{name:24} {now:>10}          - has no budget");
                verdicts.push(Verdict::Above);
                continue;
            };
            let verdict = judge(*now, *budget);
            let more = (*now as f64 / *budget as f64 - 1.0) * 100.0;
            let said = match verdict {
                Verdict::Above => format!("more than {TOLERANCE} % above"),
                Verdict::Within => String::new(),
                Verdict::Below => format!("more than {TOLERANCE} % below"),
            };
            let line = format!("{name:24} {now:>10} {budget:>10} {more:>+7.1} %  {said}");
            let _ = writeln!(text, "{}", line.trim_end());
            verdicts.push(verdict);
        }
        for name in self.calls.keys().filter(|name| !counted.contains_key(*name)) {
            let _ = writeln!(text, "{name:24} is measured no more");
            verdicts.push(Verdict::Above);
        }
        // The worst, or the best of none.
        let worst = verdicts.iter().max().copied().unwrap_or(Verdict::Within);
        let is_below = worst != Verdict::Above && verdicts.contains(&Verdict::Below);
        Comparison { text, verdict: if is_below { Verdict::Below } else { worst } }
    }

    /// What to do when a call is above its budget.
    pub(crate) fn advice(&self) -> String {
        format!(
            "a call takes more instructions than {FILE} allows (which were counted with {}; this is \
             {}).\n\
             - If the change should not have cost that: `callgrind_annotate` says for each row in \
             target/tmp/callgrind where the instructions go; compare with the row before the change.\n\
             - If it is worth it, or if the compiler is another: `cargo bench -p lanc-bench --bench \
             instructions -- --set`, commit the file, and say why in the commit.",
            self.compiler,
            compiler()
        )
    }
}

fn judge(now: u64, budget: u64) -> Verdict {
    match (now * 100, budget * (100 + TOLERANCE), budget * (100 - TOLERANCE)) {
        (now, most, _) if now > most => Verdict::Above,
        (now, _, least) if now < least => Verdict::Below,
        _ => Verdict::Within,
    }
}

fn path() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "instructions.txt"].iter().collect()
}

fn compiler() -> String {
    let asked = Command::new("rustc").arg("--version").output();
    let said = asked.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    said.unwrap_or_else(|_| "an unknown compiler".to_owned())
}
