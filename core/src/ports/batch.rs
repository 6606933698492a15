//! What an inlet moves its arrivals into.

use std::ops::Range;

use crate::endpoint::LinkId;
use crate::ports::{Cast, LinkEvent, Origin, Received};

/// What arrived since the last poll: one reused buffer with the frames end to end.
#[derive(Debug, Default)]
pub struct RecvBatch {
    buffer: Vec<u8>,
    filled: usize,
    items: Vec<Arrival>,
    frames: usize,
    /// Batches in a row that needed little of the buffer.
    small: u8,
}

#[derive(Debug)]
enum Arrival {
    Event(LinkEvent),
    Frame { link: LinkId, cast: Cast, origin: Origin, bytes: Range<usize> },
}

/// One item of a [`RecvBatch`], in the order of arrival.
#[derive(Debug)]
pub enum Arrived<'a> {
    /// A link changed.
    Event(LinkEvent),
    /// A frame came.
    Frame(Received<'a>),
}

impl RecvBatch {
    /// How many frames one poll may add: a busy lane must not starve the others.
    pub const MAX_FRAMES: usize = 64;
    /// Bytes one poll may add before it stops, apart from the frame that crosses the line.
    pub const SOFT_BYTES: usize = 256 * 1024;
    /// What is kept of the buffer in quiet times: room for the largest datagram and a few more.
    const KEPT_BYTES: usize = 96 * 1024;
    /// Small batches after which the times are quiet.
    const QUIET: u8 = 8;

    /// Whether there is room for another frame in this batch.
    pub fn has_room(&self) -> bool {
        self.frames < Self::MAX_FRAMES && self.filled < Self::SOFT_BYTES
    }

    /// Whether nothing arrived.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Room for a frame of up to `most` bytes, to read into; then call [`Self::commit`].
    pub fn spare(&mut self, most: usize) -> &mut [u8] {
        let end = self.filled.saturating_add(most);
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        self.buffer.get_mut(self.filled..end).unwrap_or_default()
    }

    /// Declares the first `len` bytes of the last [`Self::spare`] to be a frame.
    pub fn commit(&mut self, len: usize, link: LinkId, cast: Cast, origin: Origin) {
        let end = self.filled.saturating_add(len).min(self.buffer.len());
        self.items.push(Arrival::Frame { link, cast, origin, bytes: self.filled..end });
        self.filled = end;
        self.frames += 1;
    }

    /// Adds a frame by copying it once.
    pub fn push(&mut self, bytes: &[u8], link: LinkId, cast: Cast, origin: Origin) {
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let (over, behind) = bytes.split_at(bytes.len().min(room.len()));
        if let Some(room) = room.get_mut(..over.len()) {
            room.copy_from_slice(over);
        }
        // New room is not filled with zeros first.
        self.buffer.extend_from_slice(behind);
        self.commit(bytes.len(), link, cast, origin);
    }

    /// Adds a link event.
    pub fn event(&mut self, event: LinkEvent) {
        self.items.push(Arrival::Event(event));
    }

    /// Hands everything to `each`, in order, and empties the batch.
    pub fn drain(&mut self, mut each: impl FnMut(Arrived<'_>)) {
        for item in self.items.drain(..) {
            match item {
                Arrival::Event(event) => each(Arrived::Event(event)),
                Arrival::Frame { link, cast, origin, bytes } => {
                    let bytes = self.buffer.get_mut(bytes).unwrap_or_default();
                    each(Arrived::Frame(Received { link, cast, origin, bytes }));
                }
            }
        }
        self.give_back();
        self.filled = 0;
        self.frames = 0;
    }

    /// What a burst has grown is given back, but not between two waves of it.
    fn give_back(&mut self) {
        let is_small = self.filled < Self::KEPT_BYTES / 4 && self.frames < Self::MAX_FRAMES / 4;
        self.small = if is_small { self.small.saturating_add(1) } else { 0 };
        if self.small < Self::QUIET {
            return;
        }
        if self.buffer.capacity() > Self::KEPT_BYTES {
            self.buffer.truncate(Self::KEPT_BYTES);
            self.buffer.shrink_to(Self::KEPT_BYTES);
        }
        self.items.shrink_to(Self::MAX_FRAMES / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Lane;

    const LINK: LinkId = LinkId { lane: Lane(0), slot: 0, generation: 0 };

    fn drained(batch: &mut RecvBatch) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        batch.drain(|arrived| match arrived {
            Arrived::Frame(frame) => frames.push(frame.bytes.to_vec()),
            Arrived::Event(_) => unreachable!("no event was added"),
        });
        frames
    }

    #[test]
    fn frames_come_out_as_they_went_in_and_kept_room_is_used_again() {
        let (mut batch, mut capacities) = (RecvBatch::default(), Vec::new());
        for round in 0..20_u8 {
            // Behind the rest of an earlier round, across its end, and into new room.
            let frames = [vec![round; 100], vec![], vec![round ^ 0xff; 60_000], vec![7; 30_000]];
            for frame in &frames {
                batch.push(frame, LINK, Cast::Unicast, Origin::Network);
            }
            batch.spare(1000)[..3].copy_from_slice(b"abc");
            batch.commit(3, LINK, Cast::Unicast, Origin::Network);
            assert_eq!(drained(&mut batch)[..4], frames);
            capacities.push(batch.buffer.capacity());
        }
        assert!(capacities.iter().all(|capacity| capacity == &capacities[0]), "{capacities:?}");
        for _ in 0..RecvBatch::QUIET {
            batch.push(b"little", LINK, Cast::Unicast, Origin::Network);
            assert_eq!(drained(&mut batch), [b"little"]);
        }
        assert!(batch.buffer.capacity() <= RecvBatch::KEPT_BYTES);
        batch.push(&[9; 100_000], LINK, Cast::Unicast, Origin::Network);
        assert_eq!(drained(&mut batch), [[9; 100_000]]);
    }
}
