//! The keys of a node while it runs, and who is near without one of them.

use std::sync::Arc;

use lanc_core::ports::{GroupKey, KeyId};
use lanc_core::{ForeignGroup, KeyInfo, RingError};

use crate::node::Node;

impl Node {
    /// Whether this node has a key: it says and hears nothing that is not sealed.
    pub fn is_keyed(&self) -> bool {
        self.hub().state().core.is_keyed()
    }

    /// This node's keys, the one it seals under first; none in open mode. With when others last
    /// needed each, to know when it may be removed.
    pub fn keys(&self) -> Vec<KeyInfo> {
        let now = self.hub().clock.now();
        self.hub().state().core.keys(now)
    }

    /// Opens what is sealed under another key from now on, too: the first step of a rotation. One
    /// that is held stays as it is. Never waits.
    ///
    /// # Errors
    /// [`RingError::Full`] at 16 keys; [`RingError::Open`] when the node was opened without one.
    pub fn add_key(&self, key: Arc<dyn GroupKey>) -> Result<(), RingError> {
        self.hub().submit(|state| state.core.add_key(key))
    }

    /// Seals under another of its keys from now on: the second step. Those who still use another
    /// one are answered under that. Never waits.
    ///
    /// # Errors
    /// [`RingError`] when the key is not held.
    pub fn make_primary(&self, id: KeyId) -> Result<(), RingError> {
        let now = self.hub().clock.now();
        self.hub().submit(|state| state.core.make_primary(now, id))
    }

    /// Opens nothing under a key any more: the last step. Who has no other is gone after its
    /// lease. Never waits.
    ///
    /// # Errors
    /// [`RingError`] when the key is not held, or is the one that is sealed under.
    pub fn remove_key(&self, id: KeyId) -> Result<(), RingError> {
        self.hub().submit(|state| state.core.remove_key(id))
    }

    /// The groups whose key this node does not hold, by what was heard within the last minute.
    pub fn foreign_groups(&self) -> Vec<ForeignGroup> {
        let now = self.hub().clock.now();
        self.hub().state().core.foreign_groups(now)
    }

    /// How many addresses spoke without sealing within the last minute, while this node has a
    /// key: at most 64.
    pub fn plain_nodes(&self) -> usize {
        let now = self.hub().clock.now();
        self.hub().state().core.plain_nodes(now)
    }
}
