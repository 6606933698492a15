//! Byte streams between a caller and a function of the same node: no link, the same rules.

use std::collections::VecDeque;

use super::{Core, Done, StreamGone, StreamKey};
use crate::slots::Key;

/// Bytes that may be written on a stream while the node holds as many as it may: its writer is
/// told of room when its reader reads, so there must be something to read.
const WITHOUT_ROOM: usize = 16 << 10;

/// Names a stream that stays within this node.
pub type PipeKey = Key<Pipe>;

/// A stream within this node: two directions.
#[derive(Default)]
pub struct Pipe {
    to_callee: Direction,
    to_caller: Direction,
}

#[derive(Default)]
struct Direction {
    bytes: VecDeque<u8>,
    /// Nothing more is written.
    finished: bool,
    /// Nobody reads any more: what is written is dropped.
    unread: bool,
    /// Its reader knows that nothing more comes.
    told: bool,
    /// Its writer found no room.
    blocked: bool,
    /// One of its ends was dropped before its time.
    cut: bool,
}

impl Direction {
    fn is_over(&self) -> bool {
        self.cut || self.told || (self.finished && self.unread)
    }
}

impl Pipe {
    fn written_by(&mut self, is_caller: bool) -> &mut Direction {
        if is_caller { &mut self.to_callee } else { &mut self.to_caller }
    }
}

impl Core {
    /// Opens a stream within this node. `None`: as many are open as calls may be.
    pub(super) fn open_pipe(&mut self) -> Option<PipeKey> {
        self.pipes.insert(Pipe::default()).ok()
    }

    fn direction(&mut self, pipe: PipeKey, by_caller: bool) -> Result<&mut Direction, StreamGone> {
        let pipe = self.pipes.get_mut(pipe).ok_or(StreamGone)?;
        Some(pipe.written_by(by_caller)).filter(|direction| !direction.cut).ok_or(StreamGone)
    }

    pub(super) fn pipe_write(
        &mut self,
        pipe: PipeKey,
        is_caller: bool,
        bytes: &[u8],
    ) -> Result<usize, StreamGone> {
        let window = self.config.stream_window;
        let has_room = self.budget.has_room_for_work(bytes.len().min(window));
        let direction = self.direction(pipe, is_caller)?;
        if direction.finished {
            return Err(StreamGone);
        }
        if direction.unread {
            return Ok(bytes.len());
        }
        let window = if has_room { window } else { window.min(WITHOUT_ROOM) };
        let taken = window.saturating_sub(direction.bytes.len()).min(bytes.len());
        direction.bytes.extend(bytes.get(..taken).unwrap_or_default());
        direction.blocked |= taken < bytes.len();
        self.pipe_bytes.charge(taken);
        if taken > 0 {
            self.done.push_back(Done::Stream(StreamKey::Pipe(pipe, !is_caller)));
        }
        Ok(taken)
    }

    pub(super) fn pipe_finish(&mut self, pipe: PipeKey, is_caller: bool) -> Result<(), StreamGone> {
        self.direction(pipe, is_caller)?.finished = true;
        self.done.push_back(Done::Stream(StreamKey::Pipe(pipe, !is_caller)));
        self.forget_pipe(pipe);
        Ok(())
    }

    pub(super) fn pipe_read(
        &mut self,
        pipe: PipeKey,
        is_caller: bool,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<(usize, bool), StreamGone> {
        let half = self.config.stream_window / 2;
        let direction = self.direction(pipe, !is_caller)?;
        let count = direction.bytes.len().min(most);
        out.extend(direction.bytes.drain(..count));
        let end = direction.finished && direction.bytes.is_empty();
        direction.told |= end;
        let has_room = direction.bytes.len() <= half && std::mem::take(&mut direction.blocked);
        self.pipe_bytes.refund(count);
        if has_room {
            self.done.push_back(Done::Stream(StreamKey::Pipe(pipe, !is_caller)));
        }
        if end {
            self.forget_pipe(pipe);
        }
        Ok((count, end))
    }

    /// An end does not read any more.
    pub(super) fn pipe_unread(&mut self, pipe: PipeKey, is_caller: bool) {
        if let Ok(direction) = self.direction(pipe, !is_caller) {
            direction.unread = true;
            let dropped = std::mem::take(&mut direction.bytes);
            self.pipe_bytes.refund(dropped.len());
            self.done.push_back(Done::Stream(StreamKey::Pipe(pipe, !is_caller)));
            self.forget_pipe(pipe);
        }
    }

    pub(super) fn pipe_drop(&mut self, pipe: PipeKey, is_caller: bool) {
        let Some(known) = self.pipes.get_mut(pipe) else { return };
        for direction in [&mut known.to_callee, &mut known.to_caller] {
            direction.cut |= !direction.is_over();
        }
        self.done.push_back(Done::Stream(StreamKey::Pipe(pipe, !is_caller)));
        self.forget_pipe(pipe);
    }

    fn forget_pipe(&mut self, pipe: PipeKey) {
        let is_over = self
            .pipes
            .get(pipe)
            .is_some_and(|pipe| pipe.to_callee.is_over() && pipe.to_caller.is_over());
        if is_over && let Some(pipe) = self.pipes.remove(pipe) {
            self.pipe_bytes.refund(pipe.to_callee.bytes.len() + pipe.to_caller.bytes.len());
        }
    }
}
