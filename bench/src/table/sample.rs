//! What was measured, and the numbers made of it.

use std::collections::BTreeMap;

use super::rows::{Cell, Program, Row};
use crate::attend::Stats;
use crate::measure::Report;

/// One cell of one row in one round.
pub(crate) struct Sample {
    pub(crate) report: Report,
    /// The server when the client began to measure.
    pub(crate) before: Stats,
    /// And when it had ended.
    pub(crate) after: Stats,
}

/// A number made of a sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Figure {
    P50,
    P99,
    CallsPerSecond,
    /// One way; an echo goes both.
    MibPerSecond,
    /// CPU seconds of both processes for 100,000 calls.
    Cpu,
    ServerRss,
    /// Messages in a frame that the server received.
    CallsPerFrame,
    /// Messages in a frame that the server sent.
    AnswersPerFrame,
    ClientAllocations,
    ClientBytes,
    ServerAllocations,
    ServerBytes,
}

impl Sample {
    /// The number, where there is one.
    pub(crate) fn figure(&self, figure: Figure, cell: Cell) -> Option<f64> {
        let Self { report, before, after } = self;
        let calls = report.calls as f64;
        if report.calls == 0 {
            return None;
        }
        let allocated = after.allocations.zip(before.allocations);
        let allocated = allocated.map(|(after, before)| after.since(before));
        match figure {
            Figure::P50 => Some(report.p50_us),
            Figure::P99 => Some(report.p99_us),
            Figure::CallsPerSecond => Some(calls / report.secs),
            Figure::MibPerSecond => match cell {
                Cell::Echo(bytes) => {
                    Some(calls / report.secs * f64::from(bytes) / f64::from(1 << 20))
                }
                Cell::Calls(_) => None,
            },
            Figure::Cpu => Some((report.cpu_s + after.cpu_s - before.cpu_s) / calls * 1e5),
            Figure::ServerRss => after.rss_mib,
            Figure::CallsPerFrame => ratio(
                after.messages_accepted - before.messages_accepted,
                after.frames_received - before.frames_received,
            ),
            Figure::AnswersPerFrame => ratio(
                after.messages_sent - before.messages_sent,
                after.frames_sent - before.frames_sent,
            ),
            Figure::ClientAllocations => report.allocs_per_call,
            Figure::ClientBytes => report.alloc_bytes_per_call,
            Figure::ServerAllocations => allocated.map(|all| all.count as f64 / calls),
            Figure::ServerBytes => allocated.map(|all| all.bytes as f64 / calls),
        }
    }
}

fn ratio(messages: u64, frames: u64) -> Option<f64> {
    (frames > 0).then(|| messages as f64 / frames as f64)
}

/// All samples, and what went wrong.
#[derive(Default)]
pub(crate) struct Results {
    /// By row, cell and round.
    samples: BTreeMap<(&'static str, Cell, u32), Sample>,
    notes: BTreeMap<String, u64>,
    failed_calls: u64,
}

impl Results {
    pub(crate) fn add(&mut self, round: u32, row: &Row, cell: Cell, sample: Sample) {
        let Report { calls, errors, first_error, .. } = &sample.report;
        if *errors > 0 {
            let why = first_error.as_deref().unwrap_or("no reason given");
            let what = if *calls == 0 { "none answered" } else { "calls failed" };
            let note = format!("{}, {}: {what}, the first said: {why}", row.name, cell.name());
            *self.notes.entry(note).or_default() += errors;
        } else if *calls == 0 {
            let note = format!("{}, {}: no call fits into the window", row.name, cell.name());
            *self.notes.entry(note).or_default() += 1;
        }
        let dropped = sample.after.dropped - sample.before.dropped;
        if dropped > 0 {
            let note = format!(
                "{}, {}: dropped by the server, or not sent as the client was gone",
                row.name,
                cell.name()
            );
            *self.notes.entry(note).or_default() += dropped;
        }
        if sample.after.demoted > 0 {
            let what =
                "an inline function took over 1 ms too often and ran on worker threads since";
            let note = format!("{}, {}: {what}", row.name, cell.name());
            *self.notes.entry(note).or_default() += sample.after.demoted;
        }
        if matches!(cell, Cell::Calls(_)) && row.program == Program::Bench {
            self.failed_calls += errors;
        }
        self.samples.insert((row.name, cell, round), sample);
    }

    /// Notes that a row cannot be measured here.
    pub(crate) fn skipped(&mut self, row: &Row, why: &str) {
        self.notes.insert(format!("{}: skipped, {why}", row.name), 1);
    }

    /// How many calls of `add` failed, by LANC or by a floor.
    pub(crate) fn failed_calls(&self) -> u64 {
        self.failed_calls
    }

    /// What went wrong or another way than the row says, and how often.
    pub(crate) fn notes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.notes.iter().map(|(note, count)| (note.as_str(), *count))
    }

    /// A figure of every round that has it.
    pub(crate) fn figures(
        &self,
        row: &'static str,
        cell: Cell,
        figure: Figure,
    ) -> impl Iterator<Item = (u32, f64)> {
        let rounds = self.samples.range((row, cell, 0)..=(row, cell, u32::MAX));
        rounds.filter_map(move |((.., round), sample)| Some((*round, sample.figure(figure, cell)?)))
    }

    /// The same, each less what another row has in the same round.
    pub(crate) fn differences(
        &self,
        row: &'static str,
        to: &'static str,
        cell: Cell,
        figure: Figure,
    ) -> impl Iterator<Item = (u32, f64)> {
        self.beside(row, to, cell, figure, |value, base| Some(value - base))
    }

    /// The same, each divided by what another row has in the same round.
    pub(crate) fn ratios(
        &self,
        row: &'static str,
        to: &'static str,
        cell: Cell,
        figure: Figure,
    ) -> impl Iterator<Item = (u32, f64)> {
        self.beside(row, to, cell, figure, |value, base| (base > 0.0).then(|| value / base))
    }

    /// A figure of every round in which two rows have it, made of both.
    fn beside(
        &self,
        row: &'static str,
        to: &'static str,
        cell: Cell,
        figure: Figure,
        combined: impl Fn(f64, f64) -> Option<f64>,
    ) -> impl Iterator<Item = (u32, f64)> {
        let base: BTreeMap<_, _> = self.figures(to, cell, figure).collect();
        self.figures(row, cell, figure)
            .filter_map(move |(round, value)| Some((round, combined(value, *base.get(&round)?)?)))
    }
}
