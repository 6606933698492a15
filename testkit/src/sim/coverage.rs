//! What a run, or many, has come by: numbers, and the codes, events and limits that were seen.

use std::collections::BTreeMap;
use std::fmt;

use lanc_core::counters::Counters;
use lanc_core::error::ErrorCode;
use lanc_core::event::Event;
use lanc_core::{Answer, Outcome};

/// Counts over one run or many.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coverage {
    /// Runs.
    pub seeds: u64,
    /// Runs that were done twice, to compare them.
    pub repeated: u64,
    /// Nodes, older programs and hostile ones.
    pub programs: u64,
    /// Datagrams that nodes sent.
    pub datagrams: u64,
    /// Frames among them that were shorter than what they held.
    pub compressed: u64,
    /// Datagrams that hostile programs sent.
    pub hostile: u64,
    /// Faults: crashes, restarts, pauses, cuts, leaps of clocks, changes of the network.
    pub faults: u64,
    /// Runs in which not all knew each other two hello intervals after the faults.
    pub slow: u64,
    /// Events that were handled.
    pub steps: u64,
    /// Times a node was checked.
    pub checks: u64,
    /// Calls that were made.
    pub calls: u64,
    /// Bodies that were started.
    pub bodies: u64,
    /// Transmissions of calls.
    pub transmissions: u64,
    /// Those of them that were not the first.
    pub resends: u64,
    /// Acks and probes.
    pub receipts: u64,
    /// Outcomes by the name of their code.
    pub outcomes: BTreeMap<String, u64>,
    /// Errors sent, by the name of their code.
    pub errors: BTreeMap<String, u64>,
    /// Events by name.
    pub events: BTreeMap<String, u64>,
    /// Limits that were hit, by name.
    pub limits: BTreeMap<String, u64>,
    /// Drops by kind.
    pub drops: BTreeMap<String, u64>,
}

fn count(into: &mut BTreeMap<String, u64>, name: &str, by: u64) {
    if by == 0 {
        return;
    }
    match into.get_mut(name) {
        Some(number) => *number += by,
        None => {
            into.insert(name.to_owned(), by);
        }
    }
}

impl Coverage {
    pub(super) fn sent_error(&mut self, code: u16) {
        count(&mut self.errors, ErrorCode(code).name(), 1);
    }

    pub(super) fn outcome(&mut self, outcome: &Outcome) {
        let mut note = |answer: &Answer| {
            let name = match &answer.result {
                Ok(_) => "ok",
                Err(error) => error.code.name(),
            };
            count(&mut self.outcomes, name, 1);
        };
        match outcome {
            Outcome::One(answer) => note(answer),
            Outcome::All(members) => members.iter().for_each(|member| note(&member.answer)),
        }
    }

    pub(super) fn refused(&mut self, code: ErrorCode) {
        count(&mut self.outcomes, code.name(), 1);
    }

    pub(super) fn event(&mut self, event: &Event) {
        if let Event::LimitHit { limit } = event {
            count(&mut self.limits, limit, 1);
        }
        // The name of the variant is the first word of its debug text.
        let text = match event {
            Event::PeerDown { reason, .. } => return self.peer_down(&format!("{reason:?}")),
            Event::PeerUp { .. } => "PeerUp",
            Event::PeerVerified { .. } => "PeerVerified",
            Event::FunctionUp { .. } => "FunctionUp",
            Event::FunctionDown { .. } => "FunctionDown",
            Event::FunctionConflict { .. } => "FunctionConflict",
            Event::LimitHit { .. } => "LimitHit",
            Event::Closed => "Closed",
            Event::LateAnswer { .. } => "LateAnswer",
            other => return self.rare(&format!("{other:?}")),
        };
        count(&mut self.events, text, 1);
    }

    fn peer_down(&mut self, reason: &str) {
        count(&mut self.events, &format!("PeerDown:{reason}"), 1);
    }

    fn rare(&mut self, text: &str) {
        let name = text.split([' ', '{', '(']).next().unwrap_or(text);
        count(&mut self.events, name, 1);
    }

    /// The counters of a life that is over, or of a run.
    pub(super) fn life(&mut self, counters: &Counters) {
        for (kind, number) in lanc_core::counters::Drop::ALL.iter().zip(counters.drops) {
            count(&mut self.drops, kind.name(), number);
        }
    }

    /// Adds the counts of another run, or of many.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.numbers_mut().into_iter().zip(other.numbers()) {
            *mine.1 += theirs.1;
        }
        for (mine, theirs) in self.tables_mut().into_iter().zip(other.tables()) {
            for (name, number) in theirs.1 {
                count(mine.1, name, *number);
            }
        }
    }

    /// One line of `name=number` words, the inverse of [`Self::parse`].
    pub fn line(&self) -> String {
        let numbers = self.numbers().map(|(name, number)| format!("{name}={number}"));
        let mut words = numbers.to_vec();
        for (table, entries) in self.tables() {
            words.extend(entries.iter().map(|(name, number)| format!("{table}:{name}={number}")));
        }
        words.join(" ")
    }

    /// Reads what [`Self::line`] wrote; words it does not know are passed over.
    pub fn parse(line: &str) -> Self {
        let mut all = Self::default();
        for word in line.split_whitespace() {
            let Some((name, number)) = word.split_once('=') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            if let Some((table, entry)) = name.split_once(':') {
                for (known, entries) in all.tables_mut() {
                    if known == table {
                        count(entries, entry, number);
                    }
                }
            }
            for (known, place) in all.numbers_mut() {
                if known == name {
                    *place += number;
                }
            }
        }
        all
    }
}

macro_rules! parts {
    ($numbers:literal: $($number:ident)*; $tables:literal: $($table:ident)*) => {
        impl Coverage {
            fn numbers(&self) -> [(&'static str, u64); $numbers] {
                [$((stringify!($number), self.$number)),*]
            }
            fn numbers_mut(&mut self) -> [(&'static str, &mut u64); $numbers] {
                [$((stringify!($number), &mut self.$number)),*]
            }
            fn tables(&self) -> [(&'static str, &BTreeMap<String, u64>); $tables] {
                [$((stringify!($table), &self.$table)),*]
            }
            fn tables_mut(&mut self) -> [(&'static str, &mut BTreeMap<String, u64>); $tables] {
                [$((stringify!($table), &mut self.$table)),*]
            }
        }
    };
}

parts! {
    15: seeds repeated programs datagrams compressed hostile faults slow steps checks calls bodies
        transmissions resends receipts;
    5: outcomes errors events limits drops
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, number) in self.numbers() {
            writeln!(f, "{name:>14} {number}")?;
        }
        for (table, entries) in self.tables() {
            writeln!(f, "{table} ({}):", entries.len())?;
            for (name, number) in entries {
                writeln!(f, "{name:>26} {number}")?;
            }
        }
        Ok(())
    }
}
