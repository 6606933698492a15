//! Keyed mode: the keys that a node holds, and the token that it tells.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::foreign::Foreign;
use crate::config::Config;
use crate::id::SessionId;
use crate::keyed::HashKey;
use crate::ports::{GroupKey, KeyId};
use crate::random::Random;
use crate::time::Time;
use crate::timers::{Timer, TimerKey};
use crate::wire::sessions::{Held, RingError, Sessions, Token};

/// One of a node's keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyInfo {
    /// Its name.
    pub id: KeyId,
    /// Whether this node seals under it; the others are only opened.
    pub primary: bool,
    /// Time since somebody who is not known to hold the primary key used it. `None`: nobody has.
    /// After a lease it may be removed.
    pub unused_for: Option<Duration>,
    /// Frames that named it and did not verify.
    pub failures: u64,
}

/// Everything of a node that has to do with keys.
pub(super) struct Keyring {
    /// Keys, tokens, and what is remembered of senders; none in open mode.
    pub(super) sessions: Option<Box<Sessions>>,
    pub(super) foreign: Foreign,
    token_timer: Option<TimerKey>,
    /// Envelopes that came inside a message.
    pub(super) scratch: Vec<u8>,
}

impl Keyring {
    /// With a key there is keyed mode, and older programs, which have none, are left alone.
    pub(super) fn new(
        config: &mut Config,
        keys: &[Arc<dyn GroupKey>],
        session: SessionId,
        random: &mut Random,
        hash: HashKey,
    ) -> Self {
        let sessions = sessions(config, keys, session, random, hash);
        if sessions.is_some() {
            config.older_port = 0;
        }
        Self { sessions, foreign: Foreign::default(), token_timer: None, scratch: Vec::new() }
    }
}

/// The sealing state of a node whose pipeline has keys.
fn sessions(
    config: &Config,
    keys: &[Arc<dyn GroupKey>],
    session: SessionId,
    random: &mut Random,
    hash: HashKey,
) -> Option<Box<Sessions>> {
    let (primary, others) = keys.split_first()?;
    let token = draw_token(random);
    let (most, unnamed) = (config.max_senders, config.max_tentative);
    let primary = Arc::clone(primary);
    let mut sessions = Sessions::new(session, primary, token, most, unnamed, hash);
    for key in others {
        // More than a ring holds are left out, as the pipeline says.
        let _ = sessions.ring.add(Arc::clone(key));
    }
    Some(Box::new(sessions))
}

pub(super) fn draw_token(random: &mut Random) -> Token {
    loop {
        if let Some(token) = Token::read(random.fresh()) {
            return token;
        }
    }
}

impl Core {
    /// This node's keys, the primary one first; none in open mode.
    pub fn keys(&self, now: Time) -> Vec<KeyInfo> {
        let Some(sessions) = &self.sealing.sessions else { return Vec::new() };
        let primary = sessions.ring.primary();
        let info = |held: &Held| KeyInfo {
            id: held.id,
            primary: Some(held.id) == primary,
            unused_for: held.opened.map(|at| now.since(at)),
            failures: held.failures,
        };
        sessions.ring.iter().map(info).collect()
    }

    /// Opens what is sealed under another key from now on, too. One that is held stays as it is.
    ///
    /// # Errors
    /// [`RingError::Full`] at 16 keys, [`RingError::Open`] when the node began without one.
    pub fn add_key(&mut self, key: Arc<dyn GroupKey>) -> Result<(), RingError> {
        self.sealing.sessions.as_mut().ok_or(RingError::Open)?.ring.add(key)
    }

    /// Seals under another of its keys from now on, and says hello under it. Peers that used one
    /// of the others are answered under that until they change.
    ///
    /// # Errors
    /// [`RingError`] when the key is not held.
    pub fn make_primary(&mut self, now: Time, id: KeyId) -> Result<(), RingError> {
        self.sealing.sessions.as_mut().ok_or(RingError::Open)?.ring.make_primary(id)?;
        self.say_hello(now);
        Ok(())
    }

    /// Opens nothing under a key any more: who has no other is gone after its lease. What came
    /// under it is remembered all the same: if it is added again, no copy is taken.
    ///
    /// # Errors
    /// [`RingError`] when the key is not held, or is the one that is sealed under.
    pub fn remove_key(&mut self, id: KeyId) -> Result<(), RingError> {
        self.sealing.sessions.as_mut().ok_or(RingError::Open)?.remove_key(id)
    }

    /// Sets the time when the token changes.
    pub(super) fn keep_token(&mut self, now: Time) {
        if self.is_keyed() {
            let old = self.sealing.token_timer.take();
            self.cancel_timer(old);
            self.sealing.token_timer =
                Some(self.timers.set(now + self.config.token_lifetime, Timer::Token));
        }
    }

    /// Gives out another token, and says it in a hello.
    pub(super) fn rotate_token(&mut self, now: Time) {
        let token = draw_token(&mut self.random);
        let peers = &self.peers;
        if let Some(sessions) = &mut self.sealing.sessions {
            sessions.rotate(token, |session| peers.by_session(session).is_some());
        }
        self.say_hello(now);
        self.keep_token(now);
    }
}
