//! For who watches what nodes say: with their keys, frames can be read as they were before they were
//! compressed and sealed.

use std::borrow::Cow;
use std::sync::Arc;

use lanc_codec::{JsonCodec, Zlib};
use lanc_core::carriage;
use lanc_core::envelope::{self, Head, Labels};
use lanc_core::ports::{Compressor, GroupKey};

use crate::sim::Quick;

/// Keys of groups.
#[derive(Clone, Default, Debug)]
pub struct Keys(Vec<Arc<dyn GroupKey>>);

impl Keys {
    /// Adds those of a node.
    pub fn add(&mut self, keys: &[Arc<dyn GroupKey>]) {
        for key in keys {
            if self.0.iter().all(|known| known.id() != key.id()) {
                self.0.push(Arc::clone(key));
            }
        }
    }

    /// What a frame held before it was compressed and sealed; itself when it was not sealed under
    /// one of these keys, or has been changed since.
    pub fn plain<'f>(&self, frame: &'f [u8]) -> Cow<'f, [u8]> {
        let opened = if self.0.is_empty() { None } else { self.open(frame) };
        let plain = opened.map_or(Cow::Borrowed(frame), Cow::Owned);
        expanded(&plain).map_or(plain, Cow::Owned)
    }

    fn open(&self, frame: &[u8]) -> Option<Vec<u8>> {
        if frame.first() != Some(&envelope::VERSION) {
            let mut envelope = Vec::new();
            let outer = carriage::read(&JsonCodec, frame, &mut envelope).ok()?;
            return self.open_as(&[outer.labels()], &envelope);
        }
        // A connection's second frame and a datagram look alike from here.
        self.open_as(&[Labels::BATCH, Labels::HELLO, Labels::RECORD], frame)
    }

    fn open_as(&self, labels: &[Labels<'_>], envelope: &[u8]) -> Option<Vec<u8>> {
        let head = Head::read_record(envelope).ok()?;
        let key = self.0.iter().find(|key| key.id() == head.key)?;
        let key = key.session(&head.session.0, head.epoch());
        let mut bytes = Vec::new();
        labels.iter().find_map(|labels| {
            bytes.clear();
            bytes.extend_from_slice(envelope);
            let plain = envelope::open(&head, *labels, key.as_ref(), &mut bytes).ok()?;
            Some(plain.to_vec())
        })
    }
}

/// Frames are at most so large, bytes.
const MOST: usize = 1 << 20;

fn expanded(frame: &[u8]) -> Option<Vec<u8>> {
    let first = *frame.first()?;
    let zlib = Zlib::new();
    let all = [&zlib as &dyn Compressor, &Quick];
    let compressor = all.into_iter().find(|compressor| compressor.claims(first))?;
    let mut plain = Vec::new();
    compressor.expand(frame, MOST, &mut plain).ok().map(|()| plain)
}
