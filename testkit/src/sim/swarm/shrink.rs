//! Making a plan that fails smaller, as long as the same promise is broken.

use lanc_core::Time;

use super::plan::{Plan, Weather};
use super::run::run;
use crate::sim::invariant::Invariant;
use crate::sim::ms;

/// Runs at most; a plan is small long before.
const MOST_RUNS: usize = 2000;

/// The smallest plan that was found to break `invariant` as `plan` does: first without programs
/// that are not needed, then without events and faults, then in less time.
pub fn shrink(plan: &Plan, invariant: Invariant) -> Plan {
    let mut shrinker = Shrinker { best: plan.clone(), invariant, runs: 0 };
    loop {
        let before = shrinker.size();
        shrinker.drop_programs();
        shrinker.drop_acts();
        shrinker.calm();
        shrinker.hurry();
        if shrinker.size() >= before || shrinker.runs >= MOST_RUNS {
            return shrinker.best;
        }
    }
}

struct Shrinker {
    best: Plan,
    invariant: Invariant,
    runs: usize,
}

impl Shrinker {
    fn size(&self) -> usize {
        let plan = &self.best;
        let programs = plan.nodes.len() + plan.originals.len() + plan.hostiles.len();
        let small = plan.nodes.iter().filter(|node| node.limits.is_some()).count();
        let time = usize::try_from(plan.heals_at.as_millis() / 100).unwrap_or(usize::MAX);
        programs * 1000 + plan.acts.len() * 100 + small + time
    }

    /// Keeps a smaller plan if it still fails.
    fn try_out(&mut self, plan: Plan) -> bool {
        if self.runs >= MOST_RUNS {
            return false;
        }
        self.runs += 1;
        let fails = run(&plan).violation.is_some_and(|found| found.invariant == self.invariant);
        if fails {
            self.best = plan;
        }
        fails
    }

    fn drop_programs(&mut self) {
        let lists: [fn(&mut Plan, usize) -> bool; 3] = [
            |plan, place| remove(&mut plan.nodes, place),
            |plan, place| remove(&mut plan.originals, place),
            |plan, place| remove(&mut plan.hostiles, place),
        ];
        for list in lists {
            let mut place = 0;
            loop {
                let mut plan = self.best.clone();
                if !list(&mut plan, place) {
                    break;
                }
                if !self.try_out(plan) {
                    place += 1;
                }
            }
        }
    }

    /// Drops halves, quarters, eighths and so on of what happens.
    fn drop_acts(&mut self) {
        let mut chunk = self.best.acts.len().div_ceil(2);
        while chunk > 0 {
            let mut from = 0;
            while from < self.best.acts.len() {
                let mut plan = self.best.clone();
                let to = (from + chunk).min(plan.acts.len());
                plan.acts.drain(from..to);
                if !self.try_out(plan) {
                    from += chunk;
                }
            }
            chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
        }
    }

    /// Makes the network, the clocks and the limits ordinary.
    fn calm(&mut self) {
        let better: [fn(&mut Weather); 5] = [
            |weather| weather.loss = 0,
            |weather| weather.duplication = 0,
            |weather| weather.corruption = 0,
            |weather| weather.truncation = 0,
            |weather| weather.delay = ms(1),
        ];
        for change in better {
            let mut plan = self.best.clone();
            change(&mut plan.weather);
            if plan.weather != self.best.weather {
                self.try_out(plan);
            }
        }
        for place in 0..self.best.nodes.len() {
            let mut plan = self.best.clone();
            let Some(node) = plan.nodes.get_mut(place) else { return };
            let is_plain = node.limits.is_none()
                && node.clock == 1000
                && !node.lean
                && node.compress.is_none();
            (node.limits, node.clock, node.lean, node.compress) = (None, 1000, false, None);
            if !is_plain {
                self.try_out(plan);
            }
        }
    }

    /// Lets the faults end earlier.
    fn hurry(&mut self) {
        let last = self.best.acts.last().map_or(Time::ZERO, |(at, _)| *at);
        for ends in [last + ms(1), last + ms(1000), last + ms(8000)] {
            if ends < self.best.heals_at {
                let mut plan = self.best.clone();
                plan.heals_at = ends;
                if self.try_out(plan) {
                    return;
                }
            }
        }
    }
}

fn remove<T>(list: &mut Vec<T>, place: usize) -> bool {
    if place < list.len() {
        list.remove(place);
        return true;
    }
    false
}
