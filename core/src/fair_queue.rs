//! Calls that wait for a place to run: bounded, and taken in turn from each caller.
//!
//! Every operation takes the same time however many wait, and none allocates once the queue has
//! been as long as it is. Each caller has a line for each kind of function; the lines take turns.

use std::collections::VecDeque;

use crate::endpoint::LinkId;
use crate::id::{PeerKey, TaskKey};
use crate::keyed::{HashKey, Recent};
use crate::mutant::planted;

/// Whom a waiting call counts for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Owner {
    /// This node itself.
    Here,
    /// A peer, by whichever of its links.
    Peer(PeerKey),
    /// Somebody who has not said hello.
    Link(LinkId),
    /// All who have not proved their address: addresses cost nothing to invent, so together
    /// they are one caller.
    Unproved,
}

/// Which places a call waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Those of blocking functions.
    Blocking,
    /// Those of all others.
    Prompt,
}

/// How much may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bounds {
    /// Calls.
    pub(crate) count: usize,
    /// Bytes of their arguments.
    pub(crate) bytes: usize,
}

impl Bounds {
    /// What one caller may have of it while others wait: a quarter.
    fn share(self) -> Self {
        Self { count: (self.count / 4).max(1), bytes: self.bytes / 4 }
    }
}

/// Why a call may not wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    /// As many calls wait as may.
    Count,
    /// As many bytes.
    Bytes,
    /// Its caller has its share, and others wait.
    Share,
}

/// Lanes that are kept for callers of whom nothing waits.
const KEPT: usize = 64;

/// What waits of one caller.
struct Lane {
    owner: Owner,
    lines: [Line; 2],
    count: usize,
    bytes: usize,
    /// It has more than its share.
    is_over: bool,
    /// It stands in the list of idle lanes; it may have work again.
    is_idle: bool,
}

/// What waits of one caller for one kind of place, as a list through the places.
#[derive(Default)]
struct Line {
    first: Option<u32>,
    last: Option<u32>,
    /// It has a place in the round, which is passed over if the line is empty by then.
    in_round: bool,
}

/// A waiting call. Kept at the number of its task's slot.
struct Place {
    key: TaskKey,
    lane: u32,
    kind: Kind,
    bytes: usize,
    before: Option<u32>,
    after: Option<u32>,
}

/// The queue.
pub(crate) struct FairQueue {
    bounds: Bounds,
    places: Vec<Option<Place>>,
    lanes: Vec<Lane>,
    by_owner: Recent<Owner, u32>,
    hash: HashKey,
    idle: Vec<u32>,
    rounds: [VecDeque<u32>; 2],
    /// Lanes with more than their share. There cannot be many: each has more than a quarter.
    over: Vec<u32>,
    /// Lanes in which something waits.
    busy: usize,
    count: usize,
    bytes: usize,
}

impl FairQueue {
    pub(crate) fn new(bounds: Bounds, hash: HashKey) -> Self {
        Self {
            bounds,
            places: Vec::new(),
            lanes: Vec::new(),
            by_owner: Recent::new(hash),
            hash,
            idle: Vec::new(),
            rounds: [VecDeque::new(), VecDeque::new()],
            over: Vec::new(),
            busy: 0,
            count: 0,
            bytes: 0,
        }
    }

    /// Calls that wait.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Whether a caller may have a call of so many bytes wait.
    ///
    /// # Errors
    /// Which bound is in the way.
    pub(crate) fn check(&self, owner: Owner, bytes: usize) -> Result<(), Full> {
        let lane = self.by_owner.get(owner).and_then(|lane| self.lanes.get(index(lane)));
        let (own_count, own_bytes) = lane.map_or((0, 0), |lane| (lane.count, lane.bytes));
        let others_wait = self.busy > usize::from(own_count > 0);
        let share = self.bounds.share();
        let has_share = own_count >= share.count
            || (own_count > 0 && own_bytes.saturating_add(bytes) > share.bytes);
        if others_wait && has_share {
            Err(Full::Share)
        } else if self.count >= self.bounds.count + usize::from(planted!(OneQueuedTooMany)) {
            Err(Full::Count)
        } else if self.bytes.saturating_add(bytes) > self.bounds.bytes {
            Err(Full::Bytes)
        } else {
            Ok(())
        }
    }

    /// How many calls have their turn before the next one of this caller.
    pub(crate) fn before(&self, owner: Owner) -> usize {
        let lane = self.by_owner.get(owner).and_then(|lane| self.lanes.get(index(lane)));
        let own = lane.map_or(0, |lane| lane.count);
        let callers = self.busy + usize::from(own == 0);
        self.count.min(own.saturating_add(1).saturating_mul(callers).saturating_sub(1))
    }

    /// The newest call of whoever has most above its share, if that is not `owner`. It leaves the
    /// queue, so that somebody within its share finds room.
    pub(crate) fn displace(&mut self, owner: Owner) -> Option<TaskKey> {
        let others = self.over.iter().filter_map(|lane| self.lanes.get(index(*lane)));
        let others = others.filter(|lane| lane.owner != owner);
        let longest = others.max_by_key(|lane| (lane.count, lane.bytes))?;
        let newest = longest.lines.iter().find_map(|line| line.last)?;
        let key = self.places.get(index(newest))?.as_ref()?.key;
        self.remove(key);
        Some(key)
    }

    /// Lets a call wait, which was [checked](Self::check).
    pub(crate) fn push(&mut self, owner: Owner, kind: Kind, key: TaskKey, bytes: usize) {
        let Ok(slot) = u32::try_from(key.slot()) else { return };
        let number = self.lane_of(owner);
        let Some(lane) = self.lanes.get_mut(index(number)) else { return };
        let Some(line) = lane.lines.get_mut(kind.place()) else { return };
        let before = line.last.replace(slot);
        match before {
            None => line.first = Some(slot),
            Some(before) => {
                if let Some(Some(before)) = self.places.get_mut(index(before)) {
                    before.after = Some(slot);
                }
            }
        }
        if self.places.len() <= key.slot() {
            self.places.resize_with(key.slot() + 1, || None);
        }
        if let Some(place) = self.places.get_mut(key.slot()) {
            *place = Some(Place { key, lane: number, kind, bytes, before, after: None });
        }
        if !std::mem::replace(&mut line.in_round, true)
            && let Some(round) = self.rounds.get_mut(kind.place())
        {
            round.push_back(number);
        }
        self.busy += usize::from(lane.count == 0);
        lane.count += 1;
        lane.bytes += bytes;
        self.count += 1;
        self.bytes += bytes;
        self.note_share(number);
    }

    /// Takes the call whose turn it is.
    pub(crate) fn pop(&mut self, kind: Kind) -> Option<TaskKey> {
        loop {
            let number = self.rounds.get_mut(kind.place())?.pop_front()?;
            let Some(line) = self.line(number, kind) else { continue };
            line.in_round = false;
            let Some(first) = line.first else { continue };
            let Some(key) = self.places.get(index(first))?.as_ref().map(|place| place.key) else {
                continue;
            };
            self.remove(key);
            if let Some(line) = self.line(number, kind).filter(|line| line.first.is_some()) {
                line.in_round = true;
                self.rounds.get_mut(kind.place())?.push_back(number);
            }
            return Some(key);
        }
    }

    /// Takes a call out of the queue, if it is in there.
    pub(crate) fn remove(&mut self, key: TaskKey) {
        let Some(place) = self.places.get_mut(key.slot()) else { return };
        let Some(gone) = place.take_if(|place| place.key == key) else { return };
        for (next_to, is_before) in [(gone.before, true), (gone.after, false)] {
            if let Some(Some(place)) = next_to.and_then(|slot| self.places.get_mut(index(slot))) {
                if is_before {
                    place.after = gone.after;
                } else {
                    place.before = gone.before;
                }
            }
        }
        let Some(lane) = self.lanes.get_mut(index(gone.lane)) else { return };
        if let Some(line) = lane.lines.get_mut(gone.kind.place()) {
            if gone.before.is_none() {
                line.first = gone.after;
            }
            if gone.after.is_none() {
                line.last = gone.before;
            }
        }
        lane.count -= 1;
        lane.bytes -= gone.bytes;
        self.count -= 1;
        self.bytes -= gone.bytes;
        if lane.count == 0 {
            self.busy -= 1;
            if !std::mem::replace(&mut lane.is_idle, true) {
                self.idle.push(gone.lane);
            }
        }
        self.note_share(gone.lane);
        if self.count == 0 {
            self.relax();
        }
    }

    fn line(&mut self, lane: u32, kind: Kind) -> Option<&mut Line> {
        self.lanes.get_mut(index(lane))?.lines.get_mut(kind.place())
    }

    /// The lane of a caller: the one it has, one of a caller of whom nothing waits, or a new one.
    fn lane_of(&mut self, owner: Owner) -> u32 {
        if let Some(lane) = self.by_owner.get(owner) {
            return lane;
        }
        let idle = if self.lanes.len() < KEPT { None } else { self.next_idle() };
        let number = match idle {
            Some(number) => {
                if let Some(lane) = self.lanes.get_mut(index(number)) {
                    self.by_owner.remove(lane.owner);
                    lane.owner = owner;
                }
                number
            }
            None => {
                let lines = [Line::default(), Line::default()];
                let (count, bytes, is_over, is_idle) = (0, 0, false, false);
                self.lanes.push(Lane { owner, lines, count, bytes, is_over, is_idle });
                u32::try_from(self.lanes.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.by_owner.insert(owner, number);
        number
    }

    fn next_idle(&mut self) -> Option<u32> {
        while let Some(number) = self.idle.pop() {
            let Some(lane) = self.lanes.get_mut(index(number)) else { continue };
            lane.is_idle = false;
            if lane.count == 0 {
                return Some(number);
            }
        }
        None
    }

    /// Notes whether a lane has more than its share. A single call may be as large as it likes.
    fn note_share(&mut self, number: u32) {
        let share = self.bounds.share();
        let Some(lane) = self.lanes.get_mut(index(number)) else { return };
        let is_over = lane.count > share.count || (lane.count > 1 && lane.bytes > share.bytes);
        if std::mem::replace(&mut lane.is_over, is_over) == is_over {
            return;
        }
        if is_over {
            self.over.push(number);
        } else {
            self.over.retain(|over| *over != number);
        }
    }

    /// Gives back what a crowd has made it grow to.
    fn relax(&mut self) {
        if self.lanes.len() > 4 * KEPT || self.places.capacity() > 1024 * KEPT {
            *self = Self::new(self.bounds, self.hash);
        }
    }
}

impl Kind {
    fn place(self) -> usize {
        match self {
            Self::Blocking => 0,
            Self::Prompt => 1,
        }
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
