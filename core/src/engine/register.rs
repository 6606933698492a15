//! This node's own functions.

use std::time::Duration;

use thiserror::Error;

use super::{Core, Phase};
use crate::directory::{Class, LocalFunction};
use crate::event::Event;
use crate::id::{FunctionKey, FunctionName, InvalidName};
use crate::time::Time;

/// A function could not be registered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The name cannot name a function.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// This node has as many functions as peers will remember.
    #[error(
        "this node has {0} functions, which is as many as it may announce; raise max_functions_per_peer on every node"
    )]
    TooMany(usize),
    /// The names of this node's functions fill more broadcasts than peers read of one list.
    #[error(
        "the names of {names} functions do not fit the {parts} broadcasts that peers read; give them shorter names, or offer some of them from another node"
    )]
    ListTooLong {
        /// How many there would be.
        names: usize,
        /// How many broadcasts a list may fill.
        parts: usize,
    },
    /// The node is shut down.
    #[error("this node is shut down; open a new one")]
    Closed,
}

impl Core {
    /// Registers a function of this node under a name; one registered before is replaced. The
    /// name is broadcast once no other was registered for a second.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing has changed then.
    pub fn register(
        &mut self,
        now: Time,
        name: &str,
        function: LocalFunction,
    ) -> Result<FunctionKey, RegisterError> {
        let name = FunctionName::new(name)?;
        if self.phase >= Phase::Draining {
            return Err(RegisterError::Closed);
        }
        let limit = self.config.max_functions_per_peer;
        let is_new = self.directory.local(name.as_str()).is_none();
        if is_new && self.directory.local_count() >= limit {
            return Err(RegisterError::TooMany(limit));
        }
        let is_listed = |function: &LocalFunction| function.service.is_none();
        let before = self.directory.local(name.as_str());
        if is_listed(&function) && !before.is_some_and(|(_, before)| is_listed(before)) {
            self.has_part_for(&name)?;
        }
        let too_many = RegisterError::TooMany(self.config.max_functions);
        let key = self.directory.register(&name, function).ok_or(too_many)?;
        self.schedule_announce(now);
        // Calls that wait for a provider have one.
        self.route_seeking(now);
        Ok(key)
    }

    /// Takes a function of this node away and returns the key it had. Calls in flight finish.
    pub fn unregister(&mut self, now: Time, name: &str) -> Option<FunctionKey> {
        let key = self.directory.find(name)?;
        let had = self.directory.unregister(name);
        if had {
            self.schedule_announce(now);
        }
        had.then_some(key)
    }

    /// Takes a function off the inline class because a call of it took too long.
    pub fn demote(&mut self, function: FunctionKey, took: Duration) {
        let Some(name) = self.directory.get(function).map(|f| f.name.to_string()) else { return };
        self.directory.set_class(function, Class::Blocking);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.event(Event::SlowFunction { function: name, took_us });
    }
}
