//! How many instructions a call takes, and whether that is within its budget. Counted by callgrind,
//! so that the machine, its clock and whoever shares it do not matter. `docs/performance.md` says
//! how to read the numbers and how to set them.
//!
//! ```sh
//! cargo bench -p lanc-bench --bench instructions             # compare with the budgets
//! cargo bench -p lanc-bench --bench instructions -- node     # only rows with this in their name
//! cargo bench -p lanc-bench --bench instructions -- --set    # write them anew
//! ```

mod budget;
mod callgrind;
mod workload;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use budget::{Budgets, FILE, Verdict};
use workload::Workload;

/// What can go wrong; the text is for the person at the terminal.
type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    // Cargo says to every bench that it is one.
    let args: Vec<_> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["--workload", name] => run(name),
        ["--set"] => set(),
        [] => check(""),
        [part] if !part.starts_with('-') => check(part),
        _ => Err("say `--set`, or a part of the rows' names".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs under callgrind.
fn run(name: &str) -> Fallible<()> {
    let workload = Workload::all().into_iter().find(|workload| workload.name == name);
    workload.ok_or_else(|| format!("there is no workload `{name}`"))?.run();
    Ok(())
}

/// Instructions of a call, by workload, of those with `part` in their name. `None`: they cannot be
/// counted here, and that is all right.
fn measure(part: &str) -> Fallible<Option<BTreeMap<String, u64>>> {
    if let Some(why) = callgrind::missing() {
        if std::env::var_os("CI").is_some() {
            return Err(format!("{why}; in CI that is a failure").into());
        }
        println!("instructions: skipped, {why}");
        return Ok(None);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("callgrind");
    std::fs::create_dir_all(&folder)?;
    let mut counted = BTreeMap::new();
    for workload in Workload::all().into_iter().filter(|workload| workload.name.contains(part)) {
        let all = callgrind::count(&workload.name, &folder)?;
        counted.insert(workload.name, all / workload::CALLS);
    }
    println!("instructions: callgrind_annotate reads what is in {}", folder.display());
    Ok(Some(counted))
}

fn set() -> Fallible<()> {
    let Some(counted) = measure("")? else { return Ok(()) };
    if let Ok(budgets) = Budgets::read() {
        print!("{}", budgets.compare(&counted).text);
    }
    Budgets::write(&counted)?;
    println!("instructions: {FILE} says so now");
    Ok(())
}

fn check(part: &str) -> Fallible<()> {
    let Some(counted) = measure(part)? else { return Ok(()) };
    let budgets = Budgets::read()?.of(part);
    let comparison = budgets.compare(&counted);
    print!("{}", comparison.text);
    match comparison.verdict {
        Verdict::Within => {
            println!("instructions: within the budgets of {FILE}");
            Ok(())
        }
        Verdict::Below => {
            println!("instructions: below the budgets of {FILE}; keep what was won by `--set`");
            Ok(())
        }
        Verdict::Above => Err(budgets.advice().into()),
    }
}
