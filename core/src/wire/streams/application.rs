//! Application streams: opened, announced, ended.

use thiserror::Error;

use super::entry::{Application, Class, Entry, Kind};
use super::{Gone, Streams};
use crate::error::ErrorCode;

/// No stream can be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(crate) enum OpenError {
    /// As many are open as may be.
    #[error("{0} streams of this end are open on the link; end one of them first")]
    Full(usize),
    /// 2^31 streams and messages have passed.
    #[error("the link has no stream number left; open a new link")]
    Exhausted,
}

impl<T> Streams<T> {
    /// Opens an application stream and returns its number, to be said in the call's message.
    /// Nothing of it is sent until [`Self::announced`]; writing may begin at once.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn open(&mut self) -> Result<u32, OpenError> {
        if self.counts.own >= self.limits.streams {
            return Err(OpenError::Full(self.limits.streams));
        }
        if !self.has_number() {
            return Err(OpenError::Exhausted);
        }
        let number = self.take_number().ok_or(OpenError::Exhausted)?;
        let stream = Application::new(self.limits.initial);
        self.insert(number, Entry::new(Class::Own, false, Kind::Application(stream)));
        Ok(number)
    }

    /// The message that announces a stream of [`Self::open`] has left.
    pub(crate) fn announced(&mut self, number: u32) {
        let Some(entry) = self.table.get_mut(&number) else { return };
        entry.announced = true;
        if matches!(entry.kind, Kind::Ending { .. }) {
            self.queue_control(number);
        } else {
            self.grant(number);
            self.enqueue(number);
        }
    }

    /// The message that was to announce a stream of [`Self::open`] will not be sent: the stream
    /// is over and the far end never hears of it.
    pub(crate) fn withdraw(&mut self, number: u32) {
        if self.table.get(&number).is_some_and(|entry| !entry.announced) {
            self.remove(number);
        }
    }

    /// Ends both directions of an application stream at once. What was not sent and not read is
    /// dropped; the far end is told `code`.
    ///
    /// # Errors
    /// [`Gone`]: it is over already.
    pub(crate) fn reset(&mut self, number: u32, code: ErrorCode) -> Result<(), Gone> {
        self.application(number)?;
        self.end(number, code);
        Ok(())
    }

    /// Resets every application stream, because this end is closed; returns which they were.
    pub(crate) fn cut(&mut self) -> Vec<u32> {
        let is_one = |entry: &Entry<T>| matches!(entry.kind, Kind::Application(_));
        let all = self.table.iter().filter(|(_, entry)| is_one(entry));
        let numbers: Vec<_> = all.map(|(number, _)| *number).collect();
        for number in &numbers {
            // What was finished and has left is whole: a reset would take it away again.
            if self.application(*number).is_ok_and(|stream| stream.send.closed) {
                self.remove(*number);
            } else {
                self.end(*number, ErrorCode::CLOSED);
            }
        }
        numbers
    }

    /// Whether something that this end has finished on a stream of the far end has not left yet.
    pub(crate) fn is_answering(&self) -> bool {
        self.table.values().any(|entry| match &entry.kind {
            Kind::Application(stream) => {
                entry.class == Class::Far && stream.send.finished && !stream.send.closed
            }
            _ => false,
        })
    }

    pub(super) fn application(&mut self, number: u32) -> Result<&mut Application, Gone> {
        match self.table.get_mut(&number).map(|entry| &mut entry.kind) {
            Some(Kind::Application(stream)) => Ok(stream),
            _ => Err(Gone),
        }
    }

    /// Forgets an application stream when both directions are over.
    pub(super) fn forget_if_over(&mut self, number: u32) {
        if self.application(number).is_ok_and(|stream| stream.is_over()) {
            self.remove(number);
        }
    }
}
