//! Which provider a call goes to: pure functions over the list of candidates.

use crate::id::PeerKey;

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

/// A provider as a policy sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Who.
    pub peer: PeerKey,
    /// The order of first announcement: the latest is highest.
    pub order: u64,
    /// Calls of this node that it has not answered yet.
    pub open_calls: usize,
}

impl Policy {
    /// The place of the chosen one in `candidates`; `draw` is a random number.
    pub fn pick(self, candidates: &[Candidate], draw: u64) -> Option<usize> {
        let places = candidates.iter().enumerate();
        match self {
            Self::Latest => places.max_by_key(|(_, c)| c.order).map(|(place, _)| place),
            Self::Sticky => places.min_by_key(|(_, c)| c.order).map(|(place, _)| place),
            Self::Random => {
                let count = u64::try_from(candidates.len()).ok().filter(|count| *count > 0)?;
                usize::try_from(draw % count).ok()
            }
        }
    }

    /// The places in the order in which they would be picked, for calls to several.
    pub fn order(self, candidates: &[Candidate], mut draw: u64) -> Vec<usize> {
        let mut left: Vec<usize> = (0..candidates.len()).collect();
        let mut picked = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let remaining: Vec<_> =
                left.iter().filter_map(|place| candidates.get(*place).copied()).collect();
            let Some(place) = self.pick(&remaining, draw) else { break };
            picked.push(left.remove(place));
            draw = draw.rotate_left(7);
        }
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Slots;

    fn candidates(orders: &[u64]) -> Vec<Candidate> {
        let mut table: Slots<(), crate::id::tag::Peer> = Slots::new(99);
        let mut make = |order| {
            let peer = table.insert(()).unwrap();
            Candidate { peer, order, open_calls: 0 }
        };
        orders.iter().map(|order| make(*order)).collect()
    }

    #[test]
    fn policies_pick_what_they_say() {
        let three = candidates(&[5, 9, 2]);
        assert_eq!(Policy::Latest.pick(&three, 0), Some(1));
        assert_eq!(Policy::Sticky.pick(&three, 0), Some(2));
        assert_eq!(Policy::Random.pick(&three, 7), Some(1));
        assert_eq!(Policy::Latest.order(&three, 0), [1, 0, 2]);
        for policy in [Policy::Latest, Policy::Sticky, Policy::Random] {
            assert_eq!(policy.pick(&[], 3), None);
            let mut all = policy.order(&three, 12345);
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2]);
        }
    }
}
