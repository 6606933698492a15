//! What the queue asks of a call before it is a task.

use super::Caller;
use crate::directory::Class;
use crate::fair_queue::{Kind, Owner};
use crate::time::Time;

/// A call that is to become a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Applicant {
    /// For whom it waits.
    pub(super) owner: Owner,
    pub(super) kind: Kind,
    pub(super) bytes: usize,
    pub(super) deadline: Option<Time>,
    /// Its caller has not proved its address.
    pub(super) stranger: bool,
}

impl Applicant {
    pub(crate) fn new(
        caller: &Caller,
        class: Class,
        bytes: usize,
        deadline: Option<Time>,
        stranger: bool,
    ) -> Self {
        let owner = match caller {
            Caller::Local(_) => Owner::Here,
            Caller::Remote { .. } if stranger => Owner::Unproved,
            Caller::Remote { peer: Some(peer), .. } => Owner::Peer(*peer),
            Caller::Remote { link, .. } => Owner::Link(*link),
        };
        Self { owner, kind: kind(class), bytes, deadline, stranger }
    }
}

pub(super) fn kind(class: Class) -> Kind {
    match class {
        Class::Blocking => Kind::Blocking,
        Class::Async | Class::Inline => Kind::Prompt,
    }
}
