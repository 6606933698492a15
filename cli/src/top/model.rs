//! What `lanc top` shows: the last samples, and what was chosen by keys.

use std::collections::VecDeque;
use std::time::Duration;

use lanc::Stats;
use lanc::stats::Latency;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Samples that are kept: rates are those of the last five seconds.
const SAMPLES: usize = 6;

/// Everything at one moment.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Sample {
    /// When, counted from any origin.
    pub(super) at: Duration,
    /// The nodes: the processes of this machine, then the one that looks.
    pub(super) nodes: Vec<Stats>,
    /// What the network offers: a function, and by how many.
    pub(super) offered: Vec<(String, usize)>,
}

/// What is shown.
#[derive(Default)]
pub(super) struct Model {
    samples: VecDeque<Sample>,
    /// Which node, by its place among them.
    selected: usize,
    pub(super) scroll: usize,
    pub(super) is_paused: bool,
}

/// What follows from a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    Go,
    Quit,
}

/// A key, what it is called, what it does: nothing where its neighbour says it for both.
pub(super) struct Key {
    code: KeyCode,
    pub(super) label: &'static str,
    pub(super) does: &'static str,
    act: fn(&mut Model) -> Flow,
}

/// Every key there is; Ctrl-C quits too.
pub(super) const KEYS: &[Key] = &[
    Key { code: KeyCode::Char('q'), label: "q", does: "quit", act: |_| Flow::Quit },
    Key { code: KeyCode::Tab, label: "Tab", does: "next node", act: |model| model.select_next() },
    Key { code: KeyCode::Char('p'), label: "p", does: "pause", act: |model| model.pause() },
    Key { code: KeyCode::Up, label: "", does: "", act: |model| model.scroll_to(-1) },
    Key { code: KeyCode::Down, label: "Up/Down", does: "scroll", act: |model| model.scroll_to(1) },
];

impl Model {
    /// Takes a sample, unless it is paused.
    pub(super) fn add(&mut self, sample: Sample) {
        if self.is_paused {
            return;
        }
        if self.samples.len() >= SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Does what a key stands for.
    pub(super) fn press(&mut self, key: KeyEvent) -> Flow {
        let is_interrupt = key.code == KeyCode::Char('c');
        if is_interrupt && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Flow::Quit;
        }
        match KEYS.iter().find(|known| known.code == key.code) {
            Some(known) => (known.act)(self),
            None => Flow::Go,
        }
    }

    /// The last sample.
    pub(super) fn now(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// The node that is shown, which of how many it is, and how it was some seconds ago.
    pub(super) fn shown(&self) -> Option<Shown<'_>> {
        let sample = self.now()?;
        let place = self.selected.checked_rem(sample.nodes.len())?;
        let now = sample.nodes.get(place)?;
        let earlier = self.samples.iter().find_map(|earlier| {
            let same = earlier.nodes.iter().find(|node| node.session == now.session)?;
            Some((same, sample.at.saturating_sub(earlier.at)))
        });
        let (before, between) = earlier?;
        Some(Shown { place, count: sample.nodes.len(), now, before, between })
    }

    fn select_next(&mut self) -> Flow {
        let count = self.now().map_or(1, |sample| sample.nodes.len().max(1));
        self.selected = (self.selected + 1) % count;
        self.scroll = 0;
        Flow::Go
    }

    fn pause(&mut self) -> Flow {
        self.is_paused = !self.is_paused;
        Flow::Go
    }

    fn scroll_to(&mut self, by: isize) -> Flow {
        self.scroll = self.scroll.saturating_add_signed(by);
        Flow::Go
    }
}

/// A node now and some seconds ago.
#[derive(Clone, Copy)]
pub(super) struct Shown<'m> {
    pub(super) place: usize,
    pub(super) count: usize,
    pub(super) now: &'m Stats,
    pub(super) before: &'m Stats,
    between: Duration,
}

impl<'m> Shown<'m> {
    /// How often something happens in a second; nothing is known at first.
    pub(super) fn rate(&self, of: impl Fn(&'m Stats) -> u64) -> String {
        let count = of(self.now).saturating_sub(of(self.before));
        if self.between.is_zero() {
            return "-".to_owned();
        }
        // Counts of some seconds: far from where this is inexact.
        let rate = count as f64 / self.between.as_secs_f64();
        if rate == 0.0 || rate >= 10.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
    }

    /// The latency of some seconds, or of all time where nothing happened in them.
    pub(super) fn latency(&self, of: impl Fn(&'m Stats) -> Option<&'m Latency>) -> Latency {
        let now = of(self.now).cloned().unwrap_or_default();
        let since = now.since(of(self.before).unwrap_or(&Latency::default()));
        if since.count > 0 { since } else { now }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(second: u64, sent: u64, sessions: &[&str]) -> Sample {
        let node = |session: &&str| {
            let counters = json!({ "frames_sent": sent });
            serde_json::from_value(json!({ "session": session, "counters": counters })).unwrap()
        };
        let at = Duration::from_secs(second);
        Sample { at, nodes: sessions.iter().map(node).collect(), offered: Vec::new() }
    }

    fn sent(stats: &Stats) -> u64 {
        stats.counters.get("frames_sent").copied().unwrap_or(0)
    }

    fn press(model: &mut Model, code: KeyCode) -> Flow {
        model.press(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn rates_are_those_of_the_last_five_seconds() {
        let mut model = Model::default();
        assert!(model.shown().is_none());
        model.add(sample(0, 100, &["a"]));
        assert_eq!(model.shown().unwrap().rate(sent), "-");
        for second in 1..=10 {
            model.add(sample(second, 100 + 2 * second * second, &["a"]));
        }
        // 300 now, 150 five seconds ago.
        assert_eq!(model.shown().unwrap().rate(sent), "30");
        model.add(sample(11, 5, &["b"]));
        assert_eq!(model.shown().unwrap().rate(sent), "-", "another life");
    }

    #[test]
    fn keys_choose_what_is_shown() {
        let mut model = Model::default();
        model.add(sample(0, 0, &["a", "b"]));
        assert_eq!(press(&mut model, KeyCode::Tab), Flow::Go);
        assert_eq!(model.shown().map(|shown| shown.place), Some(1));
        press(&mut model, KeyCode::Tab);
        assert_eq!(model.shown().map(|shown| shown.place), Some(0));
        for (code, scroll) in [(KeyCode::Up, 0), (KeyCode::Down, 1), (KeyCode::Down, 2)] {
            press(&mut model, code);
            assert_eq!(model.scroll, scroll);
        }
        press(&mut model, KeyCode::Char('p'));
        model.add(sample(1, 0, &["c"]));
        assert_eq!(model.shown().map(|shown| shown.now.session.as_str()), Some("a"));
        assert_eq!(press(&mut model, KeyCode::Char('x')), Flow::Go);
        assert_eq!(press(&mut model, KeyCode::Char('c')), Flow::Go);
        assert_eq!(press(&mut model, KeyCode::Char('q')), Flow::Quit);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(model.press(interrupt), Flow::Quit);
    }

    #[test]
    fn no_two_keys_are_the_same() {
        for (place, key) in KEYS.iter().enumerate() {
            assert!(KEYS.iter().skip(place + 1).all(|other| other.code != key.code));
        }
    }
}
