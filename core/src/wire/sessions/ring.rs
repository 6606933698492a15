//! The keys of a node: one that it seals under, others that it still or already opens.

use std::sync::Arc;

use thiserror::Error;

use crate::id::SessionId;
use crate::mutant::planted;
use crate::ports::{GroupKey, KeyId, SessionKey};
use crate::time::Time;

/// A change of the ring that cannot be made; nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RingError {
    /// There are 16 keys.
    #[error("a node holds at most 16 keys: remove one that is not used any more")]
    Full,
    /// A node without a key stays without: it said so to its neighbours.
    #[error("this node was started without a key: start it anew with one")]
    Open,
    /// There is no such key.
    #[error("this node holds no key {0}")]
    Unknown(KeyId),
    /// The key that is sealed under cannot be taken away.
    #[error("key {0} is the one this node seals under: make another one primary first")]
    Primary(KeyId),
}

/// One key.
pub(crate) struct Held {
    pub(crate) group: Arc<dyn GroupKey>,
    pub(crate) id: KeyId,
    /// This node's own session key and its epoch.
    own: Option<(u32, Box<dyn SessionKey>)>,
    /// When it last opened a frame of somebody not known to hold the primary one.
    pub(crate) opened: Option<Time>,
    /// Frames that named it and did not verify.
    pub(crate) failures: u64,
}

/// All keys; the first one is primary.
pub(crate) struct Ring {
    keys: Vec<Held>,
}

impl Ring {
    /// Keys a node may hold.
    pub(crate) const MOST: usize = 16;

    /// A ring of one key.
    pub(crate) fn new(primary: Arc<dyn GroupKey>) -> Self {
        Self { keys: vec![Held::new(primary)] }
    }

    /// Opens what is sealed under another key, too. One that is held already stays as it is.
    pub(crate) fn add(&mut self, key: Arc<dyn GroupKey>) -> Result<(), RingError> {
        if self.get(key.id()).is_some() {
            return Ok(());
        }
        if self.keys.len() >= Self::MOST {
            return Err(RingError::Full);
        }
        self.keys.push(Held::new(key));
        Ok(())
    }

    /// Seals under this key from now on.
    pub(crate) fn make_primary(&mut self, id: KeyId) -> Result<(), RingError> {
        let place = self.keys.iter().position(|key| key.id == id).ok_or(RingError::Unknown(id))?;
        if let Some(upto) = self.keys.get_mut(..=place) {
            upto.rotate_right(1);
        }
        Ok(())
    }

    /// Opens nothing under this key any more.
    pub(crate) fn remove(&mut self, id: KeyId) -> Result<(), RingError> {
        match self.keys.iter().position(|key| key.id == id) {
            None => Err(RingError::Unknown(id)),
            Some(0) => Err(RingError::Primary(id)),
            Some(_) if planted!(RemovedKeyOpens) => Ok(()),
            Some(place) => {
                self.keys.remove(place);
                Ok(())
            }
        }
    }

    pub(crate) fn primary(&self) -> Option<KeyId> {
        self.keys.first().map(|key| key.id)
    }

    pub(crate) fn get(&self, id: KeyId) -> Option<&Held> {
        self.keys.iter().find(|key| key.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: KeyId) -> Option<&mut Held> {
        self.keys.iter_mut().find(|key| key.id == id)
    }

    /// All keys, the primary one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.keys.iter()
    }
}

impl Held {
    fn new(group: Arc<dyn GroupKey>) -> Self {
        Self { id: group.id(), group, own: None, opened: None, failures: 0 }
    }

    /// The key of this node's own session in an epoch.
    pub(crate) fn own(&mut self, session: SessionId, epoch: u32) -> &dyn SessionKey {
        let made = self.own.take().filter(|(of, _)| *of == epoch);
        let own = made.unwrap_or_else(|| (epoch, self.group.session(&session.0, epoch)));
        self.own.insert(own).1.as_ref()
    }
}
