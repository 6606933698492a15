//! What `lanc top` draws: nothing but a function of its model.

use std::collections::BTreeMap;
use std::time::Duration;

use lanc::Stats;
use lanc::stats::{CalledStats, FunctionStats, ServedStats};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize as _};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Row, Table};

use super::model::{KEYS, Model, Sample, Shown};
use crate::stats::{PEER_HEADING, drops, peer_row, quantile};
use crate::{duration, escape};

/// Draws everything.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let (Some(shown), Some(sample)) = (model.shown(), model.now()) else { return };
    let drops = drop_rows(&shown);
    let peers = shown.now.peers.iter().map(peer_row).collect::<Vec<_>>();
    // Two lines of frame and heading each; functions take what is left.
    let height = |rows: usize| u16::try_from(rows.max(1) + 2).unwrap_or(u16::MAX);
    let third = frame.area().height / 3;
    let [title, totals, keys, top, middle, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Max(height(peers.len()).min(third)),
        Constraint::Min(4),
        Constraint::Max(height(drops.len()).min(third)),
    ])
    .areas(frame.area());
    frame.render_widget(heading(model, &shown).bold(), title);
    frame.render_widget(sums(&shown), totals);
    frame.render_widget(help().dim(), keys);
    table(frame, top, "Peers", PEER_HEADING, &peers, 0);
    let functions = function_rows(&shown, sample);
    let scroll = model.scroll.min(functions.len().saturating_sub(1));
    table(frame, middle, "Functions", FUNCTION_HEADING, &functions, scroll);
    table(frame, bottom, "Drops", ["WHERE AND WHY", "COUNT", "PER SECOND"], &drops, 0);
}

fn heading(model: &Model, shown: &Shown<'_>) -> Line<'static> {
    let Stats { node, pid, uptime_ms, .. } = shown.now;
    let up = duration::show(Duration::from_millis(*uptime_ms));
    let paused = if model.is_paused { "  PAUSED" } else { "" };
    let node = escape::line(node);
    let (place, count) = (shown.place + 1, shown.count);
    Line::from(format!("lanc top: {node}, pid {pid}, node {place} of {count}, up {up}{paused}"))
}

fn help() -> Line<'static> {
    let keys = KEYS
        .iter()
        .filter(|key| !key.does.is_empty())
        .map(|key| format!("{} {}", key.label, key.does));
    Line::from(keys.collect::<Vec<_>>().join("  "))
}

fn sums(shown: &Shown<'_>) -> Line<'static> {
    let rate = |name: &'static str| {
        shown.rate(move |stats: &Stats| stats.counters.get(name).copied().unwrap_or(0))
    };
    let table = |name: &str| shown.now.tables.get(name).copied().unwrap_or(0);
    Line::from(format!(
        "calls/s {}  in flight {}  served/s {}  running {}  queued {}  frames/s in {} out {}",
        rate("calls_started"),
        table("calls"),
        rate("tasks_started"),
        table("running"),
        table("queued"),
        rate("frames_received"),
        rate("frames_sent"),
    ))
}

/// Widest column: names may have 128 characters.
const WIDEST: u16 = 48;

const FUNCTION_HEADING: [&str; 11] = [
    "FUNCTION",
    "OFFERED",
    "RUNS/S",
    "RUNNING",
    "QUEUED",
    "P50",
    "P99",
    "CALLS/S",
    "FAILED",
    "IN FLIGHT",
    "P99",
];

/// The functions that ran here or were called from here, then what else the network offers.
fn function_rows(shown: &Shown<'_>, sample: &Sample) -> Vec<[String; 11]> {
    let mut offered: BTreeMap<&str, usize> = BTreeMap::new();
    offered.extend(sample.offered.iter().map(|(name, count)| (name.as_str(), *count)));
    let mut rows = Vec::new();
    for function in &shown.now.functions {
        let count = offered.remove(function.name.as_str());
        rows.push(function_row(shown, function, count.unwrap_or(0)));
    }
    for (name, count) in offered {
        let mut row: [String; 11] = std::array::from_fn(|_| "-".to_owned());
        [row[0], row[1]] = [name.to_owned(), count.to_string()];
        rows.push(row);
    }
    rows
}

fn function_row(shown: &Shown<'_>, function: &FunctionStats, offered: usize) -> [String; 11] {
    let served = |stats| of(stats, &function.name).and_then(|f: &FunctionStats| f.served.as_ref());
    let called = |stats| of(stats, &function.name).and_then(|f: &FunctionStats| f.called.as_ref());
    let run = shown.latency(|stats| served(stats).map(|served: &ServedStats| &served.run));
    let whole = shown.latency(|stats| called(stats).map(|called: &CalledStats| &called.whole));
    let (ran, was_called) = (function.served.as_ref(), function.called.as_ref());
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let dash = || "-".to_owned();
    [
        function.name.clone(),
        offered.to_string(),
        ran.map_or_else(dash, |_| shown.rate(|stats| served(stats).map_or(0, |s| s.count))),
        number(ran.map(|served| served.running)),
        number(ran.map(|served| served.queued)),
        quantile(&run, run.p50_us),
        quantile(&run, run.p99_us),
        was_called.map_or_else(dash, |_| shown.rate(|stats| called(stats).map_or(0, |c| c.count))),
        number(was_called.map(|called| called.failed)),
        number(was_called.map(|called| called.in_flight)),
        quantile(&whole, whole.p99_us),
    ]
}

fn of<'s>(stats: &'s Stats, name: &str) -> Option<&'s FunctionStats> {
    stats.functions.iter().find(|function| function.name == name)
}

/// What is dropped, the most frequent first.
fn drop_rows(shown: &Shown<'_>) -> Vec<[String; 3]> {
    let mut all = drops(shown.now);
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let row = |(name, count): (String, u64)| {
        let same = |stats: &Stats| {
            let found = drops(stats).into_iter().find(|(known, _)| *known == name);
            found.map_or(0, |(_, count)| count)
        };
        let rate = shown.rate(same);
        [name, count.to_string(), rate]
    };
    all.into_iter().map(row).collect()
}

/// A table with columns as wide as they need to be, within reason.
fn table<const N: usize>(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    heading: [&str; N],
    rows: &[[String; N]],
    scroll: usize,
) {
    let rows: Vec<[String; N]> = rows.iter().skip(scroll).map(escaped).collect();
    let widths = (0..N).map(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        let width = widest.max(heading.get(column).map_or(0, |text| text.len()));
        let width = u16::try_from(width).unwrap_or(u16::MAX);
        Constraint::Length(width.min(WIDEST))
    });
    let widths: Vec<_> = widths.collect();
    let head = Row::new(heading).style(Style::new().dim());
    let block = Block::new().borders(Borders::TOP).title(format!(" {title} "));
    let rows = rows.into_iter().map(Row::new);
    frame.render_widget(Table::new(rows, widths).header(head).column_spacing(2).block(block), area);
}

fn escaped<const N: usize>(row: &[String; N]) -> [String; N] {
    row.each_ref().map(|cell| escape::line(cell).into_owned())
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;

    fn sample(second: u64) -> Sample {
        let run = json!({
            "count": 10 * second, "sum_us": 0, "max_us": 500,
            "p50_us": 300, "p95_us": 400, "p99_us": 500, "buckets": [[512, 10 * second]],
        });
        let node = json!({
            "node": "shop\u{1b}[2J", "session": "s", "pid": 7, "uptime_ms": 65_000,
            "counters": { "tasks_started": 10 * second, "frames_received": 20 * second },
            "frames_dropped": { "malformed": 3 * second, "own": 0 },
            "tables": { "running": 2, "queued": 1, "calls": 4 },
            "transports": [{ "scheme": "udp", "dropped": { "kernel": 1 } }],
            "peers": [{
                "name": "desk\u{202e}", "endpoint": "udp://10.0.0.7:4000", "state": "verified",
                "round_trip_us": 310, "silent_ms": 1500, "calls_in_flight": 4,
            }],
            "functions": [{
                "name": "add", "served": { "count": 10 * second, "running": 2, "queued": 1, "run": run },
            }],
        });
        Sample {
            at: Duration::from_secs(second),
            nodes: vec![serde_json::from_value(node).unwrap()],
            offered: vec![("add".to_owned(), 2), ("scan".to_owned(), 1)],
        }
    }

    fn lines(model: &Model, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(model, frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y| {
            let cells = (0..width).map(|x| buffer[(x, y)].symbol().to_owned());
            cells.collect::<String>().trim_end().to_owned()
        };
        (0..height).map(line).collect()
    }

    fn words(line: &str) -> Vec<&str> {
        line.split_whitespace().collect()
    }

    #[test]
    fn everything_is_there_and_harmless() {
        let mut model = Model::default();
        model.add(sample(1));
        model.add(sample(3));
        let lines = lines(&model, 110, 24);
        let text = lines.join("\n");
        assert!(
            lines[0].starts_with("lanc top: shop\\u{1b}[2J, pid 7, node 1 of 1, up 65.0 s"),
            "{text}"
        );
        assert_eq!(
            lines[1],
            "calls/s 0  in flight 4  served/s 10  running 2  queued 1  frames/s in 20 out 0",
        );
        let row = |word: &str| {
            let found = lines.iter().find(|line| line.starts_with(word));
            words(found.unwrap_or_else(|| panic!("{word}: {text}"))).join(" ")
        };
        assert_eq!(row("desk"), "desk\\u{202e} 10.0.0.7:4000 verified 310 us 4 0 1.5 s ago");
        assert_eq!(row("add "), "add 2 10 2 1 500 us 500 us - - - -");
        assert_eq!(row("scan"), "scan 1 - - - - - - - - -");
        assert_eq!(row("frames dropped"), "frames dropped: malformed 9 3.0");
        assert_eq!(row("udp dropped"), "udp dropped: kernel 1 0");
        assert!(!text.contains("dropped: own"), "{text}");
    }

    #[test]
    fn small_and_empty_screens_are_no_trouble() {
        let mut model = Model::default();
        assert!(lines(&model, 80, 24).concat().is_empty());
        model.add(sample(1));
        for (width, height) in [(1, 1), (10, 3), (20, 8), (40, 12)] {
            lines(&model, width, height);
        }
        model.scroll = usize::MAX;
        assert!(lines(&model, 80, 24).iter().any(|line| line.starts_with("scan")), "the last row");
    }

    #[test]
    fn a_pause_shows() {
        let mut model = Model::default();
        model.add(sample(1));
        model.is_paused = true;
        assert!(lines(&model, 80, 24)[0].ends_with("PAUSED"));
    }
}
