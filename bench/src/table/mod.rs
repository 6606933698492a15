//! `table`: every row and cell, each round in turn, and what came out as Markdown.

mod child;
mod markdown;
mod peers;
mod rows;
mod sample;

use std::path::Path;
use std::time::Duration;

use crate::Fallible;
use crate::args::{Options, Wanted};
use crate::attend::Stats;
use crate::measure::{PATIENCE, WARM_UP};
use child::Child;
use peers::Programs;
use rows::{CELLS, Cell, Row};
use sample::{Results, Sample};

/// What a client may take beyond its window before it is given up as hanging.
const SLACK: Duration = Duration::from_secs(15);

/// Measures and prints.
///
/// # Errors
/// A row is not known, a process does not run, or a small call failed. What failed is in the
/// table's notes too; echoes that a transport cannot carry are only noted.
pub(crate) fn run(wanted: &Wanted, options: &Options) -> Fallible<()> {
    let mut rows = rows::choose(&wanted.rows, options.key_file.is_some(), wanted.peers)?;
    let programs = Programs::of(&rows, options)?;
    let mut results = Results::default();
    rows.retain(|row| match programs.why_not(row) {
        Some(why) => {
            eprintln!("{}: skipped, {why}", row.name);
            results.skipped(row, &why);
            false
        }
        None => true,
    });
    for round in 1..=wanted.rounds {
        for cell in CELLS {
            // Rows that are compared are measured next to each other in time.
            for row in rows.iter().filter(|row| row.has(cell)) {
                eprintln!("round {round} of {}: {}, {}", wanted.rounds, row.name, cell.name());
                let sample = measure(row, cell, wanted.secs, options, programs.path(row))?;
                results.add(round, row, cell, sample);
            }
        }
    }
    let counted = options.count_allocations;
    print!("{}", markdown::render(&rows, &results, wanted, counted));
    match results.failed_calls() {
        0 => Ok(()),
        errors => Err(format!("{errors} small calls failed; see the notes").into()),
    }
}

/// Runs a server and a client of their own for one cell.
fn measure(
    row: &Row,
    cell: Cell,
    secs: Duration,
    options: &Options,
    program: &Path,
) -> Fallible<Sample> {
    let counting = options.count_allocations.then(|| "--count-allocations".to_owned());
    let key = options.key_file.iter().filter(|_| row.sealed_form_of.is_some());
    let key = key.flat_map(|path| ["--key-file".to_owned(), path.display().to_string()]);
    let first: Vec<_> = counting.into_iter().chain(key).collect();
    let words =
        |words: Vec<String>| -> Vec<String> { first.iter().cloned().chain(words).collect() };
    let mut server = Child::start(program, &words(row.server()))?;
    let line = server.line(SLACK)?;
    let address = line.strip_prefix("ADDR ").ok_or_else(|| format!("`{line}` is no address"))?;
    let mut client = Child::start(program, &words(row.client(address, cell, secs)))?;
    client.line(WARM_UP + PATIENCE + SLACK)?;
    let before = stats(&mut server)?;
    let report = serde_json::from_str(&client.line(secs + PATIENCE + SLACK)?)?;
    let after = stats(&mut server)?;
    client.wait()?;
    server.end()?;
    Ok(Sample { report, before, after })
}

fn stats(server: &mut Child) -> Fallible<Stats> {
    server.say("stats")?;
    Ok(serde_json::from_str(&server.line(SLACK)?)?)
}
