//! Records of streams on their way to one link, which are sent at once.
//!
//! A record is a frame, and a system call if it goes alone; each wakes a far end that then finds
//! little to do. What follows the first one goes with it.

use std::collections::BTreeMap;
use std::io::IoSlice;

use lanc_core::endpoint::LinkId;
use lanc_core::payload::Shared;
use lanc_core::ports::{Dest, Outlet, SendRefused};

/// A record from this size on begins a run: smaller ones are gathered by the transport.
const LARGE: usize = 16 << 10;
/// Bytes of a run, apart from the frame that crosses the line.
const MOST_BYTES: usize = 1 << 20;
/// Frames of a run.
const MOST_FRAMES: usize = 16;

type Frame = (Vec<u8>, Option<Shared>);

fn link_of(to: Dest) -> Option<LinkId> {
    match to {
        Dest::Link(link) => Some(link),
        Dest::Broadcast(_) => None,
    }
}

/// Frames that go together, in order.
#[derive(Default)]
pub(crate) struct Run {
    to: Option<Dest>,
    frames: Vec<Frame>,
    bytes: usize,
    /// What links take at once that had no room before. A small message waits for what is held
    /// there, which is to be little: it is tried with one record again, then with twice as much.
    narrow: BTreeMap<LinkId, usize>,
    /// Buffers of frames that were sent.
    spares: Vec<Vec<u8>>,
    /// A run was sent since memory was given back last.
    was_used: bool,
}

impl Run {
    /// Where it goes; `None`: it is empty.
    pub(crate) fn to(&self) -> Option<Dest> {
        self.to
    }

    /// Whether a frame for `to` joins it, or begins it.
    pub(crate) fn wants(&self, to: Dest, size: usize, is_record: bool) -> bool {
        match self.to {
            Some(own) => own == to,
            None => is_record && size >= LARGE,
        }
    }

    /// Adds a frame, and leaves another buffer in its place. `false`: it must be sent before more
    /// is added.
    pub(crate) fn push(&mut self, to: Dest, frame: &mut Vec<u8>, tail: Option<Shared>) -> bool {
        self.to = Some(to);
        let size = frame.len().saturating_add(tail.as_ref().map_or(0, |tail| tail.len()));
        self.bytes = self.bytes.saturating_add(size);
        let most =
            link_of(to).and_then(|link| self.narrow.get(&link)).copied().unwrap_or(MOST_BYTES);
        let spare = self.spares.pop().unwrap_or_default();
        self.frames.push((std::mem::replace(frame, spare), tail));
        self.frames.len() < MOST_FRAMES && self.bytes < most
    }

    /// Offers it. Why a frame was refused, and with it those behind it; they are handed to `held`
    /// if there was no room for them.
    pub(crate) fn send(
        &mut self,
        outlet: Option<&mut Box<dyn Outlet>>,
        held: &mut Vec<(LinkId, Vec<u8>)>,
    ) -> Option<SendRefused> {
        let to = self.to.take()?;
        let bytes = std::mem::take(&mut self.bytes);
        self.was_used = true;
        let mut pieces = [[IoSlice::new(&[]); 2]; MOST_FRAMES];
        for (place, (frame, tail)) in pieces.iter_mut().zip(&self.frames) {
            *place = [IoSlice::new(frame), IoSlice::new(tail.as_deref().unwrap_or_default())];
        }
        let frames = pieces.get(..self.frames.len()).unwrap_or_default();
        let (taken, refused) = match outlet {
            Some(outlet) => outlet.try_send_all(to, frames),
            None => (0, Some(SendRefused::Gone)),
        };
        self.widen(to, bytes, refused);
        for (number, (mut frame, tail)) in self.frames.drain(..).enumerate() {
            let is_held = number >= taken && refused == Some(SendRefused::Full);
            if let Some(link) = link_of(to).filter(|_| is_held) {
                // Copied: memory that somebody does not fetch is not to be held in large pieces.
                frame.extend_from_slice(tail.as_deref().unwrap_or_default());
                held.push((link, frame));
            } else {
                // As it was left: the core does not fill it with zeros again.
                self.spares.push(frame);
            }
        }
        refused
    }

    /// Notes what became of a run of so many bytes.
    fn widen(&mut self, to: Dest, bytes: usize, refused: Option<SendRefused>) {
        let Some(link) = link_of(to) else { return };
        if refused == Some(SendRefused::Full) {
            self.narrow.insert(link, LARGE);
        } else if let Some(most) = self.narrow.get_mut(&link) {
            *most = bytes.saturating_mul(2).max(*most);
            if *most >= MOST_BYTES {
                self.narrow.remove(&link);
            }
        }
    }

    /// Forgets a link that is gone.
    pub(crate) fn forget(&mut self, link: LinkId) {
        self.narrow.remove(&link);
    }

    /// Gives memory back bit by bit, unless it is in use. To be called when everything has been sent.
    pub(crate) fn relax(&mut self) {
        self.spares.truncate(MOST_FRAMES);
        if !std::mem::take(&mut self.was_used) {
            self.spares.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use lanc_core::endpoint::{Endpoint, Lane};
    use lanc_core::ports::{Close, Sent};

    use super::*;

    const TO: Dest = Dest::Link(LinkId { lane: Lane(0), slot: 0, generation: 0 });

    /// Takes so many frames, and then has no room.
    struct Narrow(usize);

    impl Outlet for Narrow {
        fn try_send(&mut self, _: Dest, _: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
            self.0 = self.0.checked_sub(1).ok_or(SendRefused::Full)?;
            Ok(Sent::Whole)
        }

        fn connect(&mut self, _: &Endpoint) {}

        fn close(&mut self, _: LinkId, _: Close) {}
    }

    /// Fills a run with records and sends it; how many there were, and what is held of them.
    fn fill(run: &mut Run, takes: usize, own: bool) -> (usize, usize) {
        let tail = Shared::new(vec![1; 64 << 10]);
        let (mut count, mut held) = (0, Vec::new());
        loop {
            count += 1;
            let tail = (!own).then(|| tail.clone());
            let mut frame = vec![2; if own { 64 << 10 } else { 6 }];
            assert!(run.wants(TO, 64 << 10, true));
            if !run.push(TO, &mut frame, tail) {
                break;
            }
        }
        let mut outlet: Box<dyn Outlet> = Box::new(Narrow(takes));
        let refused = run.send(Some(&mut outlet), &mut held);
        assert_eq!(refused.is_some(), takes < count);
        let whole = if own { 64 << 10 } else { (64 << 10) + 6 };
        assert!(held.iter().all(|(to, frame)| Dest::Link(*to) == TO && frame.len() == whole));
        (count, held.len())
    }

    #[test]
    fn a_run_is_long_where_there_is_room_and_a_record_where_there_was_none() {
        let mut run = Run::default();
        assert_eq!(fill(&mut run, 99, false), (16, 0));
        assert_eq!(fill(&mut run, 99, true), (16, 0), "as long where it is sealed");
        assert_eq!(fill(&mut run, 3, false), (16, 13));
        let wider: Vec<_> = (0..6).map(|_| fill(&mut run, 99, false).0).collect();
        assert_eq!(wider, [1, 2, 4, 8, 16, 16]);
        assert_eq!(fill(&mut run, 0, false), (16, 16));
        assert_eq!(fill(&mut run, 0, false), (1, 1));
        let Dest::Link(link) = TO else { return };
        run.forget(link);
        assert!(run.narrow.is_empty() && run.to().is_none());
        assert!(!run.wants(TO, LARGE - 1, true) && !run.wants(TO, LARGE, false));
        assert_eq!(fill(&mut run, 99, true), (16, 0));
        let kept = [(); 3].map(|()| {
            run.relax();
            run.spares.len()
        });
        assert_eq!(kept, [16, 15, 14], "first they were used");
    }
}
