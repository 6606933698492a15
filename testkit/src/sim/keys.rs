//! The keys of all groups of a world: who watches what keyed nodes say must hold them.

use std::borrow::Cow;
use std::sync::Arc;

use lanc_core::carriage::unwrap;
use lanc_core::envelope::{self, Head, Labels};
use lanc_core::ports::{Format, GroupKey};

use super::values::codec;

/// Every key of a world.
#[derive(Default)]
pub(super) struct Keys(Vec<Arc<dyn GroupKey>>);

impl Keys {
    pub(super) fn add(&mut self, keys: &[Arc<dyn GroupKey>]) {
        for key in keys {
            if self.0.iter().all(|known| known.id() != key.id()) {
                self.0.push(Arc::clone(key));
            }
        }
    }

    /// What a frame held before it was sealed; itself when it was not, or has been changed since.
    pub(super) fn plain<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
        if self.0.is_empty() {
            return Cow::Borrowed(frame);
        }
        self.open(frame).map_or(Cow::Borrowed(frame), Cow::Owned)
    }

    fn open(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        if frame.first() == Some(&envelope::VERSION) {
            bytes.extend_from_slice(frame);
            let is_for_all = Head::read(&bytes).ok()?.to.is_none();
            return self.open_as(if is_for_all { Labels::HELLO } else { Labels::BATCH }, bytes);
        }
        let outer = unwrap(codec(Format::JSON), frame, &mut bytes).ok()?;
        self.open_as(outer.labels(), bytes)
    }

    fn open_as(&self, labels: Labels<'_>, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let head = Head::read(&bytes).ok()?;
        let key = self.0.iter().find(|key| key.id() == head.key)?;
        let key = key.session(&head.session.0, head.epoch());
        let plain = envelope::open(&head, labels, key.as_ref(), &mut bytes).ok()?;
        Some(plain.to_vec())
    }
}
