//! A batch that knows whether this poll has added anything.

use std::ops::Range;

use lanc_core::endpoint::LinkId;
use lanc_core::ports::{Cast, LentRoom, LinkEvent, Origin, RecvBatch};

pub(crate) struct Sink<'a> {
    batch: &'a mut RecvBatch,
    pub(crate) added: bool,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(batch: &'a mut RecvBatch) -> Self {
        Self { batch, added: false }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.batch.has_room()
    }

    pub(crate) fn event(&mut self, event: LinkEvent) {
        self.batch.event(event);
        self.added = true;
    }

    pub(crate) fn frame(&mut self, bytes: &[u8], link: LinkId, origin: Origin) {
        self.batch.push(bytes, link, Cast::Unicast, origin);
        self.added = true;
    }

    pub(crate) fn lent(&mut self, bytes: Range<usize>, link: LinkId, origin: Origin) {
        self.batch.push_lent(bytes, link, Cast::Unicast, origin);
        self.added = true;
    }

    pub(crate) fn hand_over(&mut self, memory: Vec<u8>, frames: usize) {
        self.batch.hand_over(memory, frames);
    }

    pub(crate) fn room(&self, link: LinkId, stream: u32, length: usize) -> Option<LentRoom> {
        self.batch.room(link, stream, length)
    }

    pub(crate) fn place(&mut self, room: LentRoom, length: usize, origin: Origin) {
        self.batch.place(room, length, origin);
        self.added = true;
    }

    pub(crate) fn take_spare(&mut self) -> Vec<u8> {
        self.batch.take_spare()
    }
}
