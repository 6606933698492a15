//! What happens to the frames of one direction.

use std::time::Duration;

use fastrand::Rng;

/// How much longer an overtaken frame waits than the others.
const HELD_BACK: Duration = Duration::from_millis(5);

/// What the switch does to each frame of one direction. Shares are between 0 and 1.
///
/// Only IP packets are lost, repeated, held back and spoiled. The rest, which is ARP, is delayed and
/// cut off: a test of calls is not one of address resolution.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Rule {
    /// The share of frames that is lost.
    pub loss: f64,
    /// The share that arrives twice.
    pub duplication: f64,
    /// The share that waits 5 ms longer and is overtaken.
    pub reordering: f64,
    /// The share in which one bit of a datagram's data is flipped. Its checksum is taken out, so
    /// that the program gets to see it; other packets are left to their checksums.
    pub corruption: f64,
    /// How long every frame is under way.
    pub delay: Duration,
    /// Up to so much longer, uniformly. It lets frames overtake each other.
    pub jitter: Duration,
    /// Nothing passes.
    pub cut: bool,
}

impl Rule {
    /// A direction with this delay and no faults.
    pub fn after_ms(delay: u64) -> Self {
        Self { delay: Duration::from_millis(delay), ..Self::default() }
    }

    /// A direction in which nothing passes.
    pub fn cut() -> Self {
        Self { cut: true, ..Self::default() }
    }

    /// The same, with this share of frames lost.
    #[must_use]
    pub fn losing(self, loss: f64) -> Self {
        Self { loss, ..self }
    }
}

/// What becomes of one frame.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Fate {
    /// When it arrives, and when again, counted from now.
    pub(crate) arrivals: [Option<Duration>; 2],
    pub(crate) overtaken: bool,
    pub(crate) spoiled: bool,
}

impl Rule {
    /// Draws the fate of a frame.
    pub(crate) fn draw(&self, dice: &mut Rng, is_ip: bool) -> Fate {
        if self.cut {
            return Fate::default();
        }
        if !is_ip {
            return Fate { arrivals: [Some(self.time(dice)), None], ..Fate::default() };
        }
        // Always as many draws, so that one share's value does not shift the others' luck.
        let [lost, twice, overtaken, spoiled] =
            [self.loss, self.duplication, self.reordering, self.corruption]
                .map(|share| dice.f64() < share);
        let held = if overtaken { HELD_BACK } else { Duration::ZERO };
        let (first, second) = (self.time(dice) + held, self.time(dice));
        let arrivals = [Some(first).filter(|_| !lost), Some(second).filter(|_| twice && !lost)];
        Fate { arrivals, overtaken: overtaken && !lost, spoiled: spoiled && !lost }
    }

    fn time(&self, dice: &mut Rng) -> Duration {
        self.delay + self.jitter.mul_f64(dice.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(rule: Rule) -> Vec<Fate> {
        let mut dice = Rng::with_seed(3);
        (0..10_000).map(|_| rule.draw(&mut dice, true)).collect()
    }

    fn share(fates: &[Fate], of: impl Fn(&Fate) -> bool) -> f64 {
        let count = u32::try_from(fates.iter().filter(|fate| of(fate)).count()).unwrap();
        f64::from(count) / 10_000.0
    }

    #[test]
    fn every_fault_comes_as_often_as_asked_for() {
        let fates = fates(Rule {
            loss: 0.3,
            duplication: 0.1,
            reordering: 0.2,
            corruption: 0.05,
            ..Rule::after_ms(1)
        });
        for (wanted, got) in [
            (0.3, share(&fates, |fate| fate.arrivals[0].is_none())),
            (0.07, share(&fates, |fate| fate.arrivals[1].is_some())),
            (0.14, share(&fates, |fate| fate.overtaken)),
            (0.035, share(&fates, |fate| fate.spoiled)),
        ] {
            assert!((wanted - got).abs() < 0.015, "{wanted} was asked for, {got} drawn");
        }
        assert!(fates.iter().all(|fate| fate.arrivals[0].is_some() || *fate == Fate::default()));
    }

    #[test]
    fn one_seed_is_one_fate() {
        let rule = Rule { jitter: Duration::from_millis(9), ..Rule::after_ms(1).losing(0.5) };
        assert_eq!(fates(rule), fates(rule));
        let delays = fates(rule).iter().filter_map(|fate| fate.arrivals[0]).collect::<Vec<_>>();
        let (least, most) = (Duration::from_millis(1), Duration::from_millis(10));
        assert!(delays.iter().all(|delay| (least..most).contains(delay)));
        assert!(
            delays.iter().max().unwrap().saturating_sub(*delays.iter().min().unwrap()) > most / 2
        );
    }

    #[test]
    fn without_faults_all_arrive_and_of_a_cut_none() {
        let plain = Fate { arrivals: [Some(Duration::from_millis(1)), None], ..Fate::default() };
        assert!(fates(Rule::after_ms(1)).iter().all(|fate| *fate == plain));
        assert!(fates(Rule::cut()).iter().all(|fate| *fate == Fate::default()));
        let mut dice = Rng::with_seed(3);
        assert_eq!(Rule::after_ms(1).losing(1.0).draw(&mut dice, false), plain);
        assert_eq!(Rule::cut().draw(&mut dice, false), Fate::default());
    }
}
