//! The application's side of byte streams: which one a call has, reading, writing, ending.

use thiserror::Error;

use super::pipe::PipeKey;
use super::{Core, Done};
use crate::endpoint::LinkId;
use crate::error::ErrorCode;
use crate::id::CallKey;
use crate::ports::Format;
use crate::wire::streams::Taken;

/// Names one end of a byte stream. Stale once both directions are over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum StreamKey {
    /// A stream of a link, by its number there.
    Link(LinkId, u32),
    /// An end of a stream between a caller and a function of the same node: the caller's if true.
    Pipe(PipeKey, bool),
}

/// The stream, or the direction that was meant, is over: reset, cut off with its link, or
/// finished here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the stream has ended")]
pub struct StreamGone;

impl Core {
    /// The byte stream of a call, once the call is on its way.
    pub fn stream_of(&self, key: CallKey) -> Option<StreamKey> {
        self.calls.get(key)?.stream
    }

    /// What a call is written in, and with it the values on its stream. `None`: its outcome was
    /// taken.
    pub fn format_of(&self, key: CallKey) -> Option<Format> {
        self.calls.get(key).map(|call| call.request.args.format())
    }

    /// Takes as many bytes as there is room for and returns how many; after fewer than all,
    /// [`Done::Stream`] tells when there is room again.
    ///
    /// # Errors
    /// [`StreamGone`].
    pub fn stream_write(&mut self, key: StreamKey, bytes: &[u8]) -> Result<usize, StreamGone> {
        match key {
            StreamKey::Pipe(pipe, is_caller) => self.pipe_write(pipe, is_caller, bytes),
            StreamKey::Link(link, number) => {
                let streams = self.streams_of(link).ok_or(StreamGone)?;
                let taken = streams.write(number, bytes).map_err(|_| StreamGone);
                self.outbox.again(&mut self.links, link);
                taken
            }
        }
    }

    /// Ends the direction that this end writes; what was written still leaves.
    ///
    /// # Errors
    /// [`StreamGone`].
    pub fn stream_finish(&mut self, key: StreamKey) -> Result<(), StreamGone> {
        match key {
            StreamKey::Pipe(pipe, is_caller) => self.pipe_finish(pipe, is_caller),
            StreamKey::Link(link, number) => {
                let streams = self.streams_of(link).ok_or(StreamGone)?;
                let finished = streams.finish(number).map_err(|_| StreamGone);
                self.outbox.again(&mut self.links, link);
                finished
            }
        }
    }

    /// Moves up to `most` bytes to the end of `out`. The second value: nothing more comes. After
    /// none of either, [`Done::Stream`] tells when to try again.
    ///
    /// # Errors
    /// [`StreamGone`]: cut off or reset; bytes that were not read are lost. Not those of a
    /// direction that has arrived to its end before its link went down.
    pub fn stream_read(
        &mut self,
        key: StreamKey,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<(usize, bool), StreamGone> {
        match key {
            StreamKey::Pipe(pipe, is_caller) => self.pipe_read(pipe, is_caller, most, out),
            StreamKey::Link(link, number) => {
                if let Some(rest) = self.leftovers.get_mut(&(link, number)) {
                    let taken = rest.len().min(most);
                    out.extend(rest.drain(..taken));
                    self.pipe_bytes.refund(taken);
                    return Ok((taken, rest.is_empty()));
                }
                let streams = self.streams_of(link).ok_or(StreamGone)?;
                let taken = streams.read(number, most, out);
                self.outbox.again(&mut self.links, link);
                taken.map(|Taken { bytes, end }| (bytes, end)).map_err(|_| StreamGone)
            }
        }
    }

    /// Cuts off what is not over: the far end is told `code`, and whoever still waits here finds
    /// [`StreamGone`].
    pub fn stream_drop(&mut self, key: StreamKey, code: ErrorCode) {
        self.done.push_back(Done::Stream(key));
        match key {
            StreamKey::Pipe(pipe, is_caller) => self.pipe_drop(pipe, is_caller),
            StreamKey::Link(link, number) => {
                self.unread.remove(&(link, number));
                self.drop_leftover(link, number);
                if let Some(streams) = self.streams_of(link) {
                    // It may be over: then there is nothing to tell.
                    let _ = streams.reset(number, code);
                    self.outbox.again(&mut self.links, link);
                }
            }
        }
    }

    /// This end is done, as a function's is when its task ends: what it wrote still leaves, what
    /// it did not read is dropped, and so is what still comes.
    pub fn stream_leave(&mut self, key: StreamKey) {
        // It may have finished by itself, or be cut off.
        let _ = self.stream_finish(key);
        match key {
            StreamKey::Pipe(pipe, is_caller) => self.pipe_unread(pipe, is_caller),
            StreamKey::Link(link, number) => {
                self.drop_leftover(link, number);
                self.unread.insert((link, number), ());
                self.drop_unread(link, number);
            }
        }
    }

    fn drop_leftover(&mut self, link: LinkId, number: u32) {
        let rest = self.leftovers.remove(&(link, number));
        self.pipe_bytes.refund(rest.map_or(0, |rest| rest.len()));
    }

    pub(super) fn drop_unread(&mut self, link: LinkId, number: u32) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = loop {
            scratch.clear();
            match self.stream_read(StreamKey::Link(link, number), 1 << 16, &mut scratch) {
                Ok((0, false)) => break true,
                Ok((_, false)) => {}
                Ok((_, true)) | Err(StreamGone) => break false,
            }
        };
        scratch.clear();
        self.scratch = scratch;
        if !result {
            self.unread.remove(&(link, number));
        }
    }
}
