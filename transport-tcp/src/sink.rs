//! A batch that knows whether this poll has added anything.

use lanc_core::endpoint::LinkId;
use lanc_core::ports::{Cast, LinkEvent, Origin, RecvBatch};

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
}
