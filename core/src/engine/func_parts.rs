//! The list of this node's functions, cut into parts that fit a broadcast.

use std::borrow::Cow;

use super::Core;
use super::register::RegisterError;
use crate::dialect::native::{self, MAX_PARTS};
use crate::directory::LocalFunction;
use crate::id::{FunctionName, SessionId};
use crate::message::{Func, Message};
use crate::ports::Codec;

/// What the longest name takes: with its quotes, a comma, and its place in `idem`.
const LONGEST: usize = FunctionName::MAX + 3 + 6;

impl Core {
    /// The local names, cut so that each part fits a broadcast, and whether each may run more
    /// than once.
    pub(super) fn func_parts(&mut self) -> &[Vec<(String, bool)>] {
        let revision = self.directory.revision();
        if self.announcing.func_parts.0 != revision || self.announcing.func_parts.1.is_empty() {
            let parts = cut(self.directory.locals(), self.room_for_names());
            self.announcing.func_parts = (revision, parts);
        }
        &self.announcing.func_parts.1
    }

    /// Bytes for names in the smallest broadcast of all lanes.
    fn room_for_names(&self) -> usize {
        let lanes = self.links.broadcast_lanes();
        let broadcasts = lanes.filter_map(|lane| self.links.capabilities(lane));
        let smallest = broadcasts.map(|lane| lane.max_broadcast).min().unwrap_or(1024);
        smallest.saturating_sub(head(self.pipeline.plain().as_ref())).max(LONGEST)
    }

    /// Whether another name may stand in the list: nobody reads one of more than
    /// [`MAX_PARTS`].
    pub(super) fn has_part_for(&self, name: &FunctionName) -> Result<(), RegisterError> {
        let (room, most) = (self.room_for_names(), usize::from(MAX_PARTS));
        // However long they are.
        if self.directory.local_count() < (room / LONGEST).saturating_mul(most) {
            return Ok(());
        }
        let size = |name: &str| name.len() + LONGEST - FunctionName::MAX;
        let mut sum = size(name.as_str());
        let (mut names, mut longest) = (1, sum);
        for (name, _) in self.directory.locals() {
            let size = size(name);
            (names, sum, longest) = (names + 1, sum + size, longest.max(size));
        }
        // A part is over when the next name does not fit, so all but the last are at least so full,
        // whatever the order.
        let filled = room.saturating_sub(longest) + 1;
        if sum / filled < most {
            return Ok(());
        }
        Err(RegisterError::ListTooLong { names, parts: most })
    }
}

/// Bytes of a part without names, at most.
fn head(codec: &dyn Codec) -> usize {
    let func = Func {
        session: Some(SessionId([0; 16])),
        revision: u64::MAX,
        part: MAX_PARTS - 1,
        parts: MAX_PARTS,
        names: vec![Cow::Borrowed("")],
        idempotent: vec![0],
    };
    let mut out = Vec::new();
    native::write(&Message::Func(func), codec, &mut out);
    // The quotes of the name, and its place.
    out.len().saturating_sub(3)
}

fn cut<'a>(
    locals: impl Iterator<Item = (&'a str, &'a LocalFunction)>,
    room: usize,
) -> Vec<Vec<(String, bool)>> {
    let mut parts = vec![Vec::new()];
    let mut used = 0;
    for (name, local) in locals {
        let place = parts.last().map_or(0, Vec::len);
        let mut size = size(name, local, place);
        if used + size > room {
            parts.push(Vec::new());
            (used, size) = (0, self::size(name, local, 0));
        }
        used += size;
        if let Some(part) = parts.last_mut() {
            part.push((name.to_owned(), local.idempotent));
        }
    }
    parts
}

/// What a name takes in its part: quotes and a comma, and a place with a comma in another list.
fn size(name: &str, local: &LocalFunction, place: usize) -> usize {
    let digits = match place {
        0..=9 => 1,
        10..=99 => 2,
        100..=999 => 3,
        1000..=9999 => 4,
        _ => 5,
    };
    name.len() + 3 + if local.idempotent { digits + 1 } else { 0 }
}
