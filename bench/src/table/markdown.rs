//! The tables.

use std::fmt::Write as _;

use super::rows::{Cell, ECHO_1M, ECHO_64K, MANY, ONE, Program, Row, SOME, TCP_FLOOR, UDP_FLOOR};
use super::sample::{Figure, Results};
use crate::args::Wanted;

/// A column: its head, and what stands under it.
type Column = (&'static str, Figure, Cell);

const MEASURED: [Column; 10] = [
    ("p50 us @1", Figure::P50, ONE),
    ("p99 us @1", Figure::P99, ONE),
    ("calls/s @64", Figure::CallsPerSecond, SOME),
    ("calls/s @256", Figure::CallsPerSecond, MANY),
    ("64 KiB echo MiB/s", Figure::MibPerSecond, ECHO_64K),
    ("1 MiB echo MiB/s", Figure::MibPerSecond, ECHO_1M),
    ("CPU-s/100k @1", Figure::Cpu, ONE),
    ("CPU-s/100k @64", Figure::Cpu, SOME),
    ("CPU-s/100k @256", Figure::Cpu, MANY),
    ("server RSS MiB @256", Figure::ServerRss, MANY),
];

/// A ratio: its head, its figure, its load, and the row that is one.
type Ratio = (&'static str, Figure, Cell, &'static str);

const RATIOS: [Ratio; 8] = [
    ("p50 @1 / raw-udp-std", Figure::P50, ONE, UDP_FLOOR),
    ("CPU @1 / raw-udp-std", Figure::Cpu, ONE, UDP_FLOOR),
    ("calls/s @64 / raw-tcp-tokio", Figure::CallsPerSecond, SOME, TCP_FLOOR),
    ("calls/s @256 / raw-tcp-tokio", Figure::CallsPerSecond, MANY, TCP_FLOOR),
    ("CPU @64 / raw-tcp-tokio", Figure::Cpu, SOME, TCP_FLOOR),
    ("CPU @256 / raw-tcp-tokio", Figure::Cpu, MANY, TCP_FLOOR),
    ("64 KiB / raw-tcp-tokio", Figure::MibPerSecond, ECHO_64K, TCP_FLOOR),
    ("1 MiB / raw-tcp-tokio", Figure::MibPerSecond, ECHO_1M, TCP_FLOOR),
];

/// What is more with a key than without: its head, figure and load, and what it is multiplied by.
type More = (&'static str, Figure, Cell, f64);

/// Microseconds of a call, from CPU seconds of 100,000.
const US: f64 = 10.0;

const SEALING: [More; 6] = [
    ("p50 us @1", Figure::P50, ONE, 1.0),
    ("CPU us/call @1", Figure::Cpu, ONE, US),
    ("CPU us/call @64", Figure::Cpu, SOME, US),
    ("CPU us/call @256", Figure::Cpu, MANY, US),
    // An echo moves its bytes twice.
    ("CPU us/MiB, 64 KiB echo", Figure::Cpu, ECHO_64K, US * 8.0),
    ("CPU us/MiB, 1 MiB echo", Figure::Cpu, ECHO_1M, US / 2.0),
];

const PACKED: [Column; 6] = [
    ("calls/frame @1", Figure::CallsPerFrame, ONE),
    ("answers/frame @1", Figure::AnswersPerFrame, ONE),
    ("calls/frame @64", Figure::CallsPerFrame, SOME),
    ("answers/frame @64", Figure::AnswersPerFrame, SOME),
    ("calls/frame @256", Figure::CallsPerFrame, MANY),
    ("answers/frame @256", Figure::AnswersPerFrame, MANY),
];

const ALLOCATED: [Column; 8] = [
    ("client allocations/call @1", Figure::ClientAllocations, ONE),
    ("server allocations/call @1", Figure::ServerAllocations, ONE),
    ("client bytes/call @1", Figure::ClientBytes, ONE),
    ("server bytes/call @1", Figure::ServerBytes, ONE),
    ("client allocations/call @64", Figure::ClientAllocations, SOME),
    ("server allocations/call @64", Figure::ServerAllocations, SOME),
    ("client bytes/call @64", Figure::ClientBytes, SOME),
    ("server bytes/call @64", Figure::ServerBytes, SOME),
];

/// Everything, ready to print.
pub(crate) fn render(rows: &[Row], results: &Results, wanted: &Wanted, counted: bool) -> String {
    let mut out = heading(wanted, counted);
    let own: Vec<_> = rows.iter().filter(|row| row.program == Program::Bench).copied().collect();
    let measured = |title: &str, rows: &[Row], columns: &[Column]| {
        let heads: Vec<_> = columns.iter().map(|(head, ..)| *head).collect();
        table(title, &heads, rows, |row| {
            let cell = |(_, figure, cell): &Column| {
                summary(results.figures(row.name, *cell, *figure).map(|(_, value)| value))
            };
            columns.iter().map(cell).collect()
        })
    };
    out += &measured("Measured: median (min..max)", rows, &MEASURED);
    let heads: Vec<_> = RATIOS.iter().map(|(head, ..)| *head).collect();
    let title = "Ratios, taken within each round (calls/s and MiB/s: more is better; p50 and CPU: \
                 less is better)";
    out += &table(title, &heads, rows, |row| {
        let cell = |(_, figure, cell, to): &Ratio| {
            summary(results.ratios(row.name, to, *cell, *figure).map(|(_, value)| value))
        };
        RATIOS.iter().map(cell).collect()
    });
    out += &sealing(rows, results);
    out += &measured("Messages in a frame, as the server counts them", &own, &PACKED);
    if counted {
        out += &measured("Allocations", &own, &ALLOCATED);
    }
    let _ = write!(out, "### Notes\n\nSmall calls that failed: {}.\n\n", results.failed_calls());
    for (note, count) in results.notes() {
        let _ = writeln!(out, "- {count} x {note}");
    }
    out
}

/// What a key costs, if any row has one.
fn sealing(rows: &[Row], results: &Results) -> String {
    let sealed: Vec<Row> =
        rows.iter().filter(|row| row.sealed_form_of.is_some()).copied().collect();
    if sealed.is_empty() {
        return String::new();
    }
    let heads: Vec<_> = SEALING.iter().map(|(head, ..)| *head).collect();
    let title = "What sealing costs: the row with a key less the one without, within each round";
    table(title, &heads, &sealed, |row| {
        let plain = row.sealed_form_of.unwrap_or_default();
        let cell = |(_, figure, cell, scale): &More| {
            let more = results.differences(row.name, plain, *cell, *figure);
            summary(more.map(|(_, value)| value * scale))
        };
        SEALING.iter().map(cell).collect()
    })
}

fn heading(wanted: &Wanted, counted: bool) -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let counting = if counted { ", allocations counted: times are not comparable" } else { "" };
    let debug = if cfg!(debug_assertions) { ", a build with debug assertions" } else { "" };
    format!(
        "lanc-bench {}, {} {}, {cores} cores, loopback; rounds: {}, seconds for each cell: {}{counting}{debug}\n\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        wanted.rounds,
        wanted.secs.as_secs_f64(),
    )
}

fn table(title: &str, heads: &[&str], rows: &[Row], cells: impl Fn(&Row) -> Vec<String>) -> String {
    let mut out = format!("### {title}\n\n| row | {} |\n|---|", heads.join(" | "));
    out += &"---:|".repeat(heads.len());
    out.push('\n');
    for row in rows {
        let _ = writeln!(out, "| {} | {} |", row.name, cells(row).join(" | "));
    }
    out.push('\n');
    out
}

/// Median, least and most.
fn summary(values: impl Iterator<Item = f64>) -> String {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (values.first(), values.last()) else {
        return "-".to_owned();
    };
    let (lower, upper) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    let median = f64::midpoint(lower, upper);
    if values.len() == 1 {
        return number(median);
    }
    format!("{} ({}..{})", number(median), number(*least), number(*most))
}

/// With about three digits.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        ..0.0 => format!("-{}", number(-value)),
        ..0.1 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_stand_before_their_range() {
        assert_eq!(summary([3.0, 1.0, 20.0].into_iter()), "3.00 (1.00..20.0)");
        assert_eq!(summary([1.0, 2.0].into_iter()), "1.50 (1.00..2.00)");
        assert_eq!(summary([448_213.4].into_iter()), "448213");
        assert_eq!(summary([0.042, 0.0].into_iter()), "0.021 (0..0.042)");
        assert_eq!(summary([-2.5].into_iter()), "-2.50");
        assert_eq!(summary(std::iter::empty()), "-");
    }
}
