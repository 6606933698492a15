//! Which provider a call goes to: pure functions over the list of providers, in which the
//! latest to announce the name is last.

/// How to choose among several providers of one name. A new policy is a variant here and an
/// arm in [`Policy::pick`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Policy {
    /// The one that announced the name last (S0's rule).
    #[default]
    Latest,
    /// The one that has offered it longest: a newcomer attracts no calls.
    Sticky,
    /// Any, by chance.
    Random,
}

impl Policy {
    /// The place of the chosen one among `count` providers; `draw` is a random number. Takes
    /// the same time however many there are.
    pub fn pick(self, count: usize, draw: u64) -> Option<usize> {
        let last = count.checked_sub(1)?;
        match self {
            Self::Latest => Some(last),
            Self::Sticky => Some(0),
            Self::Random => usize::try_from(draw % u64::try_from(count).ok()?).ok(),
        }
    }

    /// The places in the order in which they would be picked, for calls to several.
    pub fn order(self, count: usize, mut draw: u64) -> Vec<usize> {
        let mut left: Vec<usize> = (0..count).collect();
        let mut picked = Vec::with_capacity(count);
        while let Some(place) = self.pick(left.len(), draw) {
            picked.push(left.remove(place));
            draw = draw.rotate_left(7);
        }
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_pick_what_they_say() {
        assert_eq!(Policy::Latest.pick(3, 0), Some(2));
        assert_eq!(Policy::Sticky.pick(3, 0), Some(0));
        assert_eq!(Policy::Random.pick(3, 7), Some(1));
        assert_eq!(Policy::Latest.order(3, 0), [2, 1, 0]);
        for policy in [Policy::Latest, Policy::Sticky, Policy::Random] {
            assert_eq!(policy.pick(0, 3), None);
            let mut all = policy.order(3, 12345);
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2]);
        }
    }
}
