//! Which provider a call goes to: pure functions over the list of providers, in which the
//! one that was last to be heard of is last.

/// How to choose among several providers of one name. A new policy is a variant here and an
/// arm in [`Policy::pick`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Policy {
    /// The one that this node heard of last as a provider of the name (S0's rule). Who announces it
    /// again keeps its place; who took it back, or was forgotten, and comes again is last.
    #[default]
    Latest,
    /// The one that has offered it longest: a newcomer attracts no calls.
    Sticky,
    /// Any, by chance.
    Random,
    /// The less loaded of two by chance. What others know of a node's load is seconds old: if all
    /// went to the least loaded, all would go to the same.
    LeastLoaded,
}

impl Policy {
    /// The place of the chosen one among `count` providers; `draw` is a random number, `load`
    /// says how much the provider at a place has to do. Takes the same time however many there
    /// are.
    pub fn pick(self, count: usize, draw: u64, load: impl Fn(usize) -> u32) -> Option<usize> {
        let last = count.checked_sub(1)?;
        match self {
            Self::Latest => Some(last),
            Self::Sticky => Some(0),
            Self::Random => place(draw, count),
            Self::LeastLoaded => {
                let one = place(draw, count)?;
                // One of the others, each as likely.
                let step = place(draw >> 32, last).map_or(0, |step| step + 1);
                let other = (one + step) % count;
                Some(if load(other) < load(one) { other } else { one })
            }
        }
    }

    /// The places in the order in which they would be picked, for calls to several.
    pub fn order(self, count: usize, mut draw: u64, load: impl Fn(usize) -> u32) -> Vec<usize> {
        let mut left: Vec<usize> = (0..count).collect();
        let mut picked = Vec::with_capacity(count);
        let of_left = |left: &[usize], at: usize| left.get(at).map_or(0, |place| load(*place));
        while let Some(place) = self.pick(left.len(), draw, |at| of_left(&left, at)) {
            picked.push(left.remove(place));
            draw = draw.rotate_left(7);
        }
        picked
    }
}

/// One of `count` places, each as likely.
fn place(draw: u64, count: usize) -> Option<usize> {
    let draw = draw.checked_rem(u64::try_from(count).ok()?)?;
    usize::try_from(draw).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Policy; 4] = [Policy::Latest, Policy::Sticky, Policy::Random, Policy::LeastLoaded];

    #[test]
    fn policies_pick_what_they_say() {
        let none = |_| 0;
        assert_eq!(Policy::Latest.pick(3, 0, none), Some(2));
        assert_eq!(Policy::Sticky.pick(3, 0, none), Some(0));
        assert_eq!(Policy::Random.pick(3, 7, none), Some(1));
        assert_eq!(Policy::Latest.order(3, 0, none), [2, 1, 0]);
        for policy in ALL {
            assert_eq!(policy.pick(0, 3, none), None);
            assert_eq!(policy.pick(1, u64::MAX, none), Some(0));
            let mut all = policy.order(3, 12345, none);
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2]);
        }
    }

    /// How often each of the places is picked.
    fn picks(loads: &[u32]) -> Vec<usize> {
        let mut picks = vec![0; loads.len()];
        // Numbers that a generator might give: both halves vary.
        let mut draw: u64 = 1;
        for _ in 0..6000 {
            draw = draw.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            let mixed = draw ^ draw >> 29;
            picks[Policy::LeastLoaded.pick(loads.len(), mixed, |at| loads[at]).unwrap()] += 1;
        }
        picks
    }

    #[test]
    fn of_two_the_less_loaded_is_picked_and_of_equals_either() {
        assert_eq!(picks(&[9, 3]), [0, 6000]);
        let even = picks(&[5, 5]);
        assert!(even.iter().all(|count| (2700..3300).contains(count)), "{even:?}");
    }

    #[test]
    fn of_many_the_most_loaded_is_never_picked_and_the_least_loaded_not_by_all() {
        let picks = picks(&[1, 2, 3, 4]);
        // In the mean 3, 2, 1 and none of each six.
        for (count, expected) in picks.iter().zip([3000_usize, 2000, 1000, 0]) {
            assert!(count.abs_diff(expected) < 200, "{picks:?}");
        }
    }
}
