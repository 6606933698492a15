//! What a node is built with: a key, ready to make the keys of sessions.

use std::fmt;

use lanc_core::ports::{GroupKey, KeyId, SessionKey};

use crate::key::MasterKey;
use crate::schedule::Prk;

/// A group's key behind the core's port. Holds what is derived from the master key, not the key
/// itself, and wipes it when dropped.
pub struct Group {
    id: KeyId,
    prk: Prk,
}

impl Group {
    /// The group of whoever holds this key.
    pub fn new(key: &MasterKey) -> Self {
        let prk = key.prk();
        Self { id: prk.key_id(), prk }
    }

    #[cfg(test)]
    pub(crate) fn from_prk(prk: Prk) -> Self {
        Self { id: prk.key_id(), prk }
    }
}

impl GroupKey for Group {
    fn id(&self) -> KeyId {
        self.id
    }

    fn session(&self, session: &[u8; 16], epoch: u32) -> Box<dyn SessionKey> {
        Box::new(self.prk.session_key(session, epoch))
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({})", self.id)
    }
}
