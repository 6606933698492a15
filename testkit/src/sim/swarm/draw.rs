//! A plan from a seed.

use std::time::Duration;

use lanc_core::policy::Policy;
use lanc_core::{Mode, Time};

use super::plan::{Act, Keying, Limits, NodePlan, Plan, Weather, Wish};
use crate::sim::dice::Dice;
use crate::sim::hostile::Script;
use crate::sim::input::Place;
use crate::sim::ms;

/// How long faults go on, in milliseconds.
const TROUBLE: u64 = 30_000;

/// What a seed may do, drawn once.
struct Temper {
    duplicates: bool,
    damages: bool,
    loses: u32,
    slowest: u64,
    leaps: bool,
    shrinks: bool,
    lean: u32,
    skews: bool,
    nodes: usize,
    originals: usize,
}

impl Plan {
    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 7);
        let dice = &mut dice;
        let is_crowd = dice.chance(20);
        let originals = if dice.chance(250) { 1 + dice.place(3) } else { 0 };
        let temper = Temper {
            duplicates: dice.chance(500),
            damages: originals == 0 && dice.chance(250),
            loses: if dice.chance(300) { 0 } else { 400 },
            slowest: if dice.chance(500) { 20 } else { 500 },
            leaps: dice.chance(200),
            shrinks: dice.chance(350),
            lean: [0, 500, 1000][dice.place(3)],
            skews: dice.chance(500),
            nodes: if is_crowd { 64 } else { 2 + dice.place(11) },
            originals,
        };
        let hostiles = if dice.chance(350) { 1 + dice.place(2) } else { 0 };
        let mut script = |_| Script::ALL[dice.place(Script::ALL.len())];
        let hostiles = (0..hostiles).map(&mut script).collect();
        let nodes = (0..temper.nodes).map(|number| temper.node(number, is_crowd, dice)).collect();
        let weather = temper.weather(dice);
        let pace = 20 + dice.below(180);
        let mut acts = Vec::new();
        let (mut at, mut calls) = (500, 0);
        while at < TROUBLE {
            acts.push((Time::from_millis(at), temper.act(&mut calls, dice)));
            at += dice.below(2 * pace);
        }
        let originals = (0..temper.originals).collect();
        let heals_at = Time::from_millis(TROUBLE);
        let keys = Keying::Open;
        let plan = Self { seed, nodes, originals, keys, hostiles, weather, acts, heals_at };
        plan.keyed(&mut Dice::new(seed, 8)).compressed(&mut Dice::new(seed, 9))
    }

    /// In a quarter of the plans, nodes that compress among such that do not.
    fn compressed(mut self, dice: &mut Dice) -> Self {
        if dice.chance(250) {
            for node in &mut self.nodes {
                // Where it pays, however small.
                node.compress = [None, Some(usize::MAX), Some(64), Some(64)][dice.place(4)];
            }
        }
        self
    }

    /// A third of the plans, with keys.
    fn keyed(mut self, dice: &mut Dice) -> Self {
        self.keys = match dice.below(9) {
            0 => Keying::One,
            1 => Keying::Mixed,
            2 => Keying::Rotating,
            _ => return self,
        };
        for node in &mut self.nodes {
            let keys = match self.keys {
                Keying::Mixed => [dice.below(3); 2],
                Keying::Rotating => [1, 2],
                _ => [1; 2],
            };
            [node.key, node.last_key] = keys.map(|key| u8::try_from(key).unwrap_or(0));
            if dice.chance(500) {
                node.token_lifetime = ms(10_000 + dice.below(10_000));
            }
        }
        if self.keys == Keying::Rotating {
            self.rotate(dice);
        }
        if dice.chance(250) {
            let node = dice.place(self.nodes.len());
            self.acts.push((Time::from_millis(dice.below(TROUBLE)), Act::Clone(node)));
        }
        for _ in 0..dice.below(3) {
            self.hostiles.push(Script::SEALED[dice.place(Script::SEALED.len())]);
        }
        self.acts.sort_by_key(|(at, _)| *at);
        self
    }

    /// The three steps of a change of keys, at each node some time; some miss one or all.
    fn rotate(&mut self, dice: &mut Dice) {
        let steps = [Act::AddKey, Act::PrimaryKey, |node, _| Act::RemoveKey(node, 1)];
        for node in 0..self.nodes.len() {
            for (step, begins) in steps.iter().zip([2_000, 9_000, 19_000]) {
                let spread = if dice.chance(100) { 12_000 } else { 4_000 };
                let at = begins + dice.below(spread);
                if !dice.chance(100) {
                    self.acts.push((Time::from_millis(at), step(node, 2)));
                }
            }
        }
    }
}

impl Temper {
    fn node(&self, number: usize, is_crowd: bool, dice: &mut Dice) -> NodePlan {
        let late = if is_crowd { 1000 } else { 4000 };
        let born = Time::from_millis(if number == 0 { 0 } else { dice.below(late) });
        let lean = dice.chance(self.lean);
        let clock =
            if self.skews { 900 + u32::try_from(dice.below(201)).unwrap_or(0) } else { 1000 };
        let limits = (self.shrinks && dice.chance(600)).then(|| limits(dice, self.nodes));
        let token_lifetime = Duration::from_secs(600);
        NodePlan {
            number,
            born,
            lean,
            compress: None,
            clock,
            limits,
            key: 0,
            last_key: 0,
            token_lifetime,
        }
    }

    fn weather(&self, dice: &mut Dice) -> Weather {
        let mut upto = |most: u32| u32::try_from(dice.below(u64::from(most) + 1)).unwrap_or(0);
        Weather {
            loss: upto(self.loses),
            duplication: if self.duplicates { upto(200) } else { 0 },
            corruption: if self.damages { upto(10) } else { 0 },
            truncation: if self.damages { upto(10) } else { 0 },
            delay: ms(dice.below(self.slowest) + 1),
        }
    }

    fn act(&self, calls: &mut usize, dice: &mut Dice) -> Act {
        let node = dice.place(self.nodes);
        let other = dice.place(self.nodes);
        let call = dice.place(*calls + 1);
        match dice.below(100) {
            0 => Act::Crash(node),
            1..3 => Act::Restart(node, if dice.chance(700) { Place::Same } else { Place::New }),
            3 => Act::Pause(node),
            4..6 => Act::Resume(node),
            6 => Act::CutBoth(node, other),
            7 => Act::Cut(node, other),
            8 => Act::Path(node, other, self.weather(dice)),
            9..12 => Act::Turn(self.weather(dice)),
            12 => Act::Register(node, dice.below(3)),
            13 => Act::Unregister(node, dice.below(3)),
            14 if dice.chance(200) => Act::Shutdown(node),
            15..17 => Act::Ping(node, other),
            17..20 => Act::Cancel(call),
            20 => Act::Abandon(call),
            21 => Act::Get(call),
            22 if self.skews => {
                Act::ClockRate(node, 900 + u32::try_from(dice.below(201)).unwrap_or(0))
            }
            23 if self.leaps => Act::Leap(node, Duration::from_secs(1 + dice.below(20_000))),
            24..28 if self.originals > 0 => {
                let original = dice.place(self.originals);
                match dice.below(8) {
                    0 => Act::OriginalCrashes(original),
                    1 => Act::OriginalStarts(original),
                    _ => Act::OriginalCalls(original, self.function(dice)),
                }
            }
            _ => {
                *calls += 1;
                Act::Call(node, self.wish(*calls - 1, dice))
            }
        }
    }

    fn function(&self, dice: &mut Dice) -> String {
        match dice.below(16) {
            0..3 => "echo".to_owned(),
            3..6 => "sleep".to_owned(),
            6 => "soon".to_owned(),
            7 => "quick".to_owned(),
            8 => "fail".to_owned(),
            9 => "large".to_owned(),
            10 => "missing".to_owned(),
            11 => format!("extra{}", dice.below(3)),
            12 if self.originals > 0 => format!("py{}", dice.place(self.originals)),
            _ => format!("own{}", dice.place(self.nodes)),
        }
    }

    fn wish(&self, call: usize, dice: &mut Dice) -> Wish {
        let function = self.function(dice);
        let mode = match dice.below(12) {
            0 => Mode::All,
            1 | 2 => Mode::Fastest(dice.place(4) + 1),
            3 => Mode::OneWay,
            4 => Mode::Hedged,
            _ => Mode::One,
        };
        let policy = match dice.below(4) {
            0 => Policy::Sticky,
            1 => Policy::Random,
            _ => Policy::Latest,
        };
        let is_own = function.starts_with("own");
        let target = (!is_own && dice.chance(300)).then(|| dice.place(self.nodes));
        let longest = if dice.chance(300) { 300 } else { 8000 };
        let largest = if dice.chance(50) { 3000 } else { 1000 };
        Wish {
            call,
            size: dice.below(largest),
            function,
            deadline: ms(dice.below(longest) + 1),
            wait: dice.chance(200).then(|| ms(dice.below(3000))),
            target,
            policy,
            mode,
            keeps: dice.chance(60),
            idempotent: dice.chance(200),
        }
    }
}

fn limits(dice: &mut Dice, nodes: usize) -> Limits {
    let mut small = || dice.place(8) + 1;
    Limits {
        max_calls: small(),
        max_calls_per_peer: small(),
        max_queued: small(),
        max_results: small(),
        workers: small(),
        max_async_running: small(),
        max_events: small(),
        max_outbox: 16 + 8 * small(),
        max_pings: small(),
        max_stranger_tasks: small(),
        // All nodes may be met at once; invented ones find it full.
        max_tentative: nodes + 2 * small(),
        max_tentative_per_ip: 3 + small(),
        bytes: 1024 + 64 * small(),
        max_error_text: 16 * small(),
        max_call_window: u32::try_from(small()).unwrap_or(1),
        max_deduped_per_caller: small(),
        max_stored_answer: 64 * small(),
    }
}
