//! What an inlet moves its arrivals into.

use std::ops::Range;

use crate::endpoint::LinkId;
use crate::ports::{Cast, LentRoom, LinkEvent, Origin, Received, Rooms};

/// What arrived since the last poll: one reused buffer with the frames end to end.
#[derive(Debug, Default)]
pub struct RecvBatch {
    buffer: Vec<u8>,
    filled: usize,
    items: Vec<Arrival>,
    frames: usize,
    /// Batches in a row that needed little of the buffer.
    small: u8,
    /// Memory that was handed over with frames in it.
    lent: Vec<Memory>,
    /// Bytes of the frames in it.
    lent_bytes: usize,
    /// Memory whose frames were taken, for those who hand over more.
    spares: Vec<Vec<u8>>,
    /// What may be read elsewhere.
    rooms: Option<Rooms>,
}

#[derive(Debug, Default)]
struct Memory {
    bytes: Vec<u8>,
    /// Frames in it.
    frames: usize,
}

#[derive(Debug)]
enum Arrival {
    Event(LinkEvent),
    Frame {
        link: LinkId,
        cast: Cast,
        origin: Origin,
        bytes: Range<usize>,
    },
    /// In the memory of this number.
    Lent {
        link: LinkId,
        cast: Cast,
        origin: Origin,
        bytes: Range<usize>,
        memory: usize,
    },
    Placed(Placed),
}

/// Bytes of a stream's record, which were read straight into the room of its message.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// The link it came on.
    pub link: LinkId,
    /// Where its source is.
    pub origin: Origin,
    /// The stream.
    pub stream: u32,
    /// How many.
    pub length: usize,
}

/// One received frame in memory that it has for itself, and that may be kept.
#[derive(Debug)]
pub struct Lent<'a> {
    /// The link it came on; answers go there.
    pub link: LinkId,
    /// How it was addressed.
    pub cast: Cast,
    /// Where its source is.
    pub origin: Origin,
    /// The memory. Whoever keeps it leaves other memory in its place, or none.
    pub memory: &'a mut Vec<u8>,
    /// Where the frame stands in it.
    pub bytes: Range<usize>,
}

/// One item of a [`RecvBatch`], in the order of arrival.
#[derive(Debug)]
pub enum Arrived<'a> {
    /// A link changed.
    Event(LinkEvent),
    /// A frame came.
    Frame(Received<'a>),
}

/// One item of a [`RecvBatch`] to somebody who may keep memory.
#[derive(Debug)]
pub enum Handed<'a> {
    /// As ever.
    Arrived(Arrived<'a>),
    /// A large frame came, in memory of its own.
    Lent(Lent<'a>),
    /// A record came, whose bytes are where they belong.
    Placed(Placed),
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
    /// Frames from this size on are better handed over with their memory than copied.
    pub const LARGE: usize = 16 * 1024;
    /// Spare memory that is kept: what the largest batch has held.
    const SPARES: usize = 8;

    /// A batch of somebody who takes [`Handed::Placed`]: records may be read into `rooms`.
    pub fn with_rooms(rooms: Rooms) -> Self {
        Self { rooms: Some(rooms), ..Self::default() }
    }

    /// Room for the next record of a stream, of `length` bytes without its head, if its message has
    /// any. When they have arrived: [`Self::place`].
    pub fn room(&self, link: LinkId, stream: u32, length: usize) -> Option<LentRoom> {
        self.rooms.as_ref()?.lend(link, stream, length)
    }

    /// Adds a record that has been read into its room, `length` bytes.
    pub fn place(&mut self, room: LentRoom, length: usize, origin: Origin) {
        let link = room.link();
        let stream = room.give_back(length);
        self.lent_bytes = self.lent_bytes.saturating_add(length);
        self.items.push(Arrival::Placed(Placed { link, origin, stream, length }));
        self.frames += 1;
    }

    /// Whether there is room for another frame in this batch.
    pub fn has_room(&self) -> bool {
        self.frames < Self::MAX_FRAMES
            && self.filled.saturating_add(self.lent_bytes) < Self::SOFT_BYTES
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

    /// Adds a frame that stands at `bytes` of memory that is handed over when no more of its
    /// frames are added, by [`Self::hand_over`].
    pub fn push_lent(&mut self, bytes: Range<usize>, link: LinkId, cast: Cast, origin: Origin) {
        self.lent_bytes = self.lent_bytes.saturating_add(bytes.len());
        let memory = self.lent.len();
        self.items.push(Arrival::Lent { link, cast, origin, bytes, memory });
        self.frames += 1;
    }

    /// Hands over the memory of the last frames, as many as say so.
    pub fn hand_over(&mut self, bytes: Vec<u8>, frames: usize) {
        self.lent.push(Memory { bytes, frames });
    }

    /// Memory to be used in the place of what is handed over: as it was left, its bytes mean
    /// nothing. May be empty.
    pub fn take_spare(&mut self) -> Vec<u8> {
        self.spares.pop().unwrap_or_default()
    }

    /// Adds a link event.
    pub fn event(&mut self, event: LinkEvent) {
        self.items.push(Arrival::Event(event));
    }

    /// Hands everything to `each`, in order, and empties the batch. Frames in memory of their own
    /// are frames like others.
    pub fn drain(&mut self, mut each: impl FnMut(Arrived<'_>)) {
        self.drain_lent(|handed| match handed {
            Handed::Lent(Lent { link, cast, origin, memory, bytes }) => {
                let bytes = memory.get_mut(bytes).unwrap_or_default();
                each(Arrived::Frame(Received { link, cast, origin, bytes }));
            }
            Handed::Arrived(arrived) => each(arrived),
            // Only where somebody has asked for it.
            Handed::Placed(_) => {}
        });
    }

    /// Like [`Self::drain`], but large frames come as [`Handed::Lent`] where they can.
    pub fn drain_lent(&mut self, mut each: impl FnMut(Handed<'_>)) {
        for item in self.items.drain(..) {
            match item {
                Arrival::Event(event) => each(Handed::Arrived(Arrived::Event(event))),
                Arrival::Placed(placed) => each(Handed::Placed(placed)),
                Arrival::Frame { link, cast, origin, bytes } => {
                    let bytes = self.buffer.get_mut(bytes).unwrap_or_default();
                    let frame = Received { link, cast, origin, bytes };
                    each(Handed::Arrived(Arrived::Frame(frame)));
                }
                Arrival::Lent { link, cast, origin, bytes, memory } => {
                    let Some(lent) = self.lent.get_mut(memory) else { continue };
                    let memory = &mut lent.bytes;
                    each(if lent.frames == 1 {
                        Handed::Lent(Lent { link, cast, origin, memory, bytes })
                    } else {
                        let bytes = memory.get_mut(bytes).unwrap_or_default();
                        Handed::Arrived(Arrived::Frame(Received { link, cast, origin, bytes }))
                    });
                }
            }
        }
        let free = Self::SPARES.saturating_sub(self.spares.len());
        let left = self.lent.drain(..).map(|memory| memory.bytes);
        self.spares.extend(left.filter(|bytes| bytes.capacity() > 0).take(free));
        self.give_back();
        self.filled = 0;
        self.frames = 0;
        self.lent_bytes = 0;
    }

    /// What a burst has grown is given back, but not between two waves of it.
    fn give_back(&mut self) {
        let is_small = self.filled.saturating_add(self.lent_bytes) < Self::KEPT_BYTES / 4
            && self.frames < Self::MAX_FRAMES / 4;
        self.small = if is_small { self.small.saturating_add(1) } else { 0 };
        if self.small < Self::QUIET {
            return;
        }
        if self.buffer.capacity() > Self::KEPT_BYTES {
            self.buffer.truncate(Self::KEPT_BYTES);
            self.buffer.shrink_to(Self::KEPT_BYTES);
        }
        self.items.shrink_to(Self::MAX_FRAMES / 2);
        if !self.spares.is_empty() || self.lent.capacity() > 0 {
            self.spares = Vec::new();
            self.lent = Vec::new();
        }
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
    fn memory_is_lent_with_a_frame_that_is_alone_in_it_and_comes_back() {
        let mut batch = RecvBatch::default();
        let push = |batch: &mut RecvBatch, memory: &[u8], frames: &[Range<usize>]| {
            for frame in frames {
                batch.push_lent(frame.clone(), LINK, Cast::Unicast, Origin::Network);
            }
            batch.hand_over(memory.to_vec(), frames.len());
        };
        push(&mut batch, b"..alone", std::slice::from_ref(&(2..7)));
        batch.push(b"copied", LINK, Cast::Unicast, Origin::Network);
        push(&mut batch, b"ab", &[0..1, 1..2]);
        let mut got = Vec::new();
        batch.drain_lent(|handed| match handed {
            Handed::Lent(lent) => {
                got.push(lent.memory[lent.bytes].to_vec());
                *lent.memory = Vec::new();
            }
            Handed::Arrived(Arrived::Frame(frame)) => got.push(frame.bytes.to_vec()),
            _ => unreachable!("nothing else was added"),
        });
        assert_eq!(got, [&b"alone"[..], b"copied", b"a", b"b"]);
        assert_eq!((batch.take_spare(), batch.take_spare()), (b"ab".to_vec(), Vec::new()));
        // To somebody who keeps nothing they are frames like others, and fill the batch as they do.
        push(&mut batch, &[7; RecvBatch::SOFT_BYTES], &[0..1, 1..RecvBatch::SOFT_BYTES]);
        assert!(!batch.has_room());
        assert_eq!(drained(&mut batch)[1].len(), RecvBatch::SOFT_BYTES - 1);
        assert!(batch.has_room() && batch.spares.len() == 1);
        for _ in 0..RecvBatch::QUIET {
            batch.push(b"little", LINK, Cast::Unicast, Origin::Network);
            assert_eq!(drained(&mut batch), [b"little"]);
        }
        assert!(batch.spares.is_empty(), "times are quiet");
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
