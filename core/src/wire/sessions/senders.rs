//! What is known of everybody whose frames have verified: keys, and which counters came.

use std::collections::VecDeque;

use super::window::Window;
use crate::id::SessionId;
use crate::keyed::{HashKey, KeyedMap};
use crate::mutant::planted;
use crate::ports::{KeyId, SessionKey};
use crate::slots::{Key, Slots};

/// One session under one key.
pub(crate) struct Sender {
    pub(crate) session: SessionId,
    key: KeyId,
    pub(crate) window: Window,
    /// Session keys by their epoch, the one used last first.
    keys: [Option<(u32, Box<dyn SessionKey>)>; 2],
    /// The newest generation of this node's tokens that it has named. `None`: it has named none,
    /// so all it has sent may be copies of what it once sent to everybody.
    named: Option<u64>,
    /// The counter of the first frame that named one.
    bound: u64,
}

impl Sender {
    pub(crate) fn new(session: SessionId, key: KeyId) -> Self {
        Self { session, key, window: Window::new(), keys: [None, None], named: None, bound: 0 }
    }

    /// The key of an epoch, if it is at hand.
    pub(crate) fn key(&self, epoch: u32) -> Option<&dyn SessionKey> {
        let mut held = self.keys.iter().flatten();
        held.find(|(of, _)| *of == epoch).map(|(_, key)| key.as_ref())
    }

    /// Keeps a key under which a frame has verified, and the one used before it.
    pub(crate) fn keep(&mut self, epoch: u32, key: Box<dyn SessionKey>) {
        self.keys.swap(0, 1);
        if let Some(place) = self.keys.first_mut() {
            *place = Some((epoch, key));
        }
    }

    /// Notes that a frame has named one of this node's tokens.
    pub(crate) fn named(&mut self, generation: u64, counter: u64) {
        if self.named.is_none() {
            self.bound = counter;
        }
        self.named = self.named.max(Some(generation));
    }

    /// Whether something for this node was sealed before this counter: so what bears it was sealed
    /// in this life of the node.
    pub(crate) fn is_bound_before(&self, counter: u64) -> bool {
        self.named.is_some() && counter > self.bound
    }
}

type SenderKey = Key<Sender>;

/// All senders. Made only for frames that have verified: strangers without a key get no entry.
pub(crate) struct Senders {
    table: Slots<Sender>,
    places: KeyedMap<(KeyId, SessionId), SenderKey>,
    /// Those that have named no token, the oldest first; stale keys are passed over.
    unnamed: VecDeque<SenderKey>,
    /// How many of those there may be.
    max_unnamed: usize,
}

/// There is no room for another sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

impl Senders {
    pub(crate) fn new(limit: usize, max_unnamed: usize, hash: HashKey) -> Self {
        Self {
            table: Slots::new(limit + max_unnamed),
            places: KeyedMap::new(hash),
            unnamed: VecDeque::new(),
            max_unnamed,
        }
    }

    pub(crate) fn get(&self, key: KeyId, session: SessionId) -> Option<&Sender> {
        self.table.get(*self.places.get(&(key, session))?)
    }

    pub(crate) fn get_mut(&mut self, key: KeyId, session: SessionId) -> Option<&mut Sender> {
        self.table.get_mut(*self.places.get(&(key, session))?)
    }

    /// Adds a sender. Those that have named no token make room for each other only: what they
    /// sent may be taken a second time without harm.
    pub(crate) fn insert(&mut self, sender: Sender) -> Result<(), Full> {
        let is_unnamed = sender.named.is_none();
        if is_unnamed && self.unnamed.len() >= self.max_unnamed {
            self.unnamed.retain(|key| self.table.get(*key).is_some_and(|s| s.named.is_none()));
            while self.unnamed.len() >= self.max_unnamed {
                let Some(oldest) = self.unnamed.pop_front() else { break };
                self.remove(oldest);
            }
        }
        let place = (sender.key, sender.session);
        let key = self.table.insert(sender).map_err(|_| Full)?;
        self.places.insert(place, key);
        if is_unnamed {
            self.unnamed.push_back(key);
        }
        Ok(())
    }

    /// Forgets whoever is no peer and has named no token that is still taken: copies of what it
    /// sent to this node name tokens that nobody has any more.
    pub(crate) fn forget(&mut self, oldest: u64, is_kept: impl Fn(KeyId, SessionId) -> bool) {
        for key in self.table.keys() {
            let Some(sender) = self.table.get(key) else { continue };
            let is_harmless =
                sender.named.is_some_and(|named| named < oldest) || planted!(SenderForgotten);
            if is_harmless && !is_kept(sender.key, sender.session) {
                self.remove(key);
            }
        }
    }

    /// Forgets the session keys made from a key that is held no more, and whoever has named no
    /// token under it. The windows of the others stay while copies could come.
    pub(crate) fn forget_key(&mut self, id: KeyId) {
        for key in self.table.keys() {
            let Some(sender) = self.table.get_mut(key).filter(|sender| sender.key == id) else {
                continue;
            };
            sender.keys = [None, None];
            if sender.named.is_none() {
                self.remove(key);
            }
        }
    }

    fn remove(&mut self, key: SenderKey) {
        if let Some(sender) = self.table.remove(key) {
            self.places.remove(&(sender.key, sender.session));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: u8) -> SessionId {
        SessionId([number; 16])
    }

    fn senders() -> Senders {
        Senders::new(2, 3, HashKey::new([1; 16]))
    }

    const KEY: KeyId = KeyId([1; 4]);

    fn named(number: u8, generation: u64) -> Sender {
        let mut sender = Sender::new(session(number), KEY);
        sender.named(generation, 1);
        sender
    }

    #[test]
    fn who_has_named_no_token_makes_room_for_such_only() {
        let mut senders = senders();
        senders.insert(named(1, 1)).unwrap();
        for number in 10..14 {
            senders.insert(Sender::new(session(number), KEY)).unwrap();
        }
        assert!(senders.get(KEY, session(1)).is_some());
        assert!(senders.get(KEY, session(10)).is_none() && senders.get(KEY, session(11)).is_some());
        assert_eq!(senders.len(), 4);
        senders.get_mut(KEY, session(11)).unwrap().named(1, 1);
        senders.insert(Sender::new(session(14), KEY)).unwrap();
        assert_eq!(senders.len(), 5);
        assert_eq!(senders.insert(named(2, 1)), Err(Full), "one past the limit");
    }

    #[test]
    fn only_what_cannot_come_again_is_forgotten() {
        let mut senders = senders();
        senders.insert(named(1, 4)).unwrap();
        senders.insert(named(2, 5)).unwrap();
        senders.insert(Sender::new(session(3), KEY)).unwrap();
        senders.forget(4, |_, _| false);
        assert_eq!(senders.len(), 3);
        senders.forget(5, |_, session| session == self::session(1));
        assert_eq!(senders.len(), 3, "a peer stays");
        senders.forget(5, |_, _| false);
        assert!(senders.get(KEY, session(1)).is_none() && senders.get(KEY, session(2)).is_some());
        senders.forget_key(KeyId([2; 4]));
        assert_eq!(senders.len(), 2);
        senders.forget_key(KEY);
        assert_eq!(senders.len(), 1, "the key may come again, and copies with it");
        senders.forget(6, |_, _| false);
        assert_eq!(senders.len(), 0);
    }
}
