//! The writing side of a connection, which the outlet and the inlet share.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use lanc_core::endpoint::LinkId;
use lanc_core::framing::{Header, RECORD_HEAD};
use lanc_core::ports::{Close, SendRefused, Sent};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Small frames are gathered up to this many bytes, with their headers.
const GATHERED: usize = 64 * 1024;
/// Frames from this size on are not copied while nothing waits before them.
const LARGE: usize = 16 * 1024;
/// While the stream has no room, small frames join what waits up to this many bytes; more is
/// kept of one batch or one frame only.
const JOINED: usize = 16 * 1024;
/// Frames of more pieces are put together first; systems take no more than some hundreds.
const MAX_PIECES: usize = 16;

/// Frames of one write: three pieces each, with their header.
pub(crate) const MOST_AT_ONCE: usize = 16;

pub(crate) struct Line {
    pub(crate) link: LinkId,
    pub(crate) stream: TcpStream,
    writer: Mutex<Writer>,
}

#[derive(Default)]
struct Writer {
    /// What was taken and has not left is `pending[at..]`.
    pending: Vec<u8>,
    at: usize,
    /// Set while the stream has no room: when bytes last left, or would have. Then the inlet
    /// sends what waits, else the next flush does.
    blocked: Option<Instant>,
    /// The outlet is to flush it.
    listed: bool,
    /// Somebody was told to wait for room.
    owes_writable: bool,
    closed: Option<Close>,
    /// The stream takes no more.
    broken: bool,
}

/// What is to be done after a frame was offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// Nothing new.
    Nothing,
    /// The line is to be flushed after this batch.
    Flush,
    /// The inlet must look at the line.
    Look,
}

/// What became of the bytes that wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flushed {
    /// There are none; `Writable` is to be told if `owed`.
    All { owed: bool },
    /// The stream has no room, and the waker is registered.
    Waiting,
    /// The stream is broken.
    Broken,
}

/// A frame and what goes before it.
#[derive(Default)]
struct Outgoing<'a> {
    header: [u8; Header::SIZE],
    /// How many of the frame's first bytes the header stands for.
    skip: usize,
    frame: &'a [IoSlice<'a>],
    /// Bytes to send.
    size: usize,
}

impl<'a> Outgoing<'a> {
    fn new(frame: &'a [IoSlice<'a>], length: usize) -> Option<Self> {
        let (mut start, mut count) = ([0; RECORD_HEAD], 0);
        let bytes = frame.iter().flat_map(|piece| piece.iter());
        for (to, byte) in start.iter_mut().zip(bytes) {
            *to = *byte;
            count += 1;
        }
        let (header, skip) = Header::of_frame(start.get(..count)?, length)?;
        let size = usize::try_from(header.length()).ok()?;
        Some(Self { header: header.encode(), skip, frame, size })
    }

    /// The pieces without the first `skip` bytes to send.
    fn pieces(&self, skip: usize) -> impl Iterator<Item = &[u8]> {
        let from_header = skip.min(Header::SIZE);
        let mut skip = skip.saturating_sub(Header::SIZE).saturating_add(self.skip);
        let header = self.header.get(from_header..).unwrap_or_default();
        std::iter::once(header).chain(self.frame.iter().map(move |piece| {
            let from = skip.min(piece.len());
            skip -= from;
            piece.get(from..).unwrap_or_default()
        }))
    }
}

impl Line {
    pub(crate) fn new(link: LinkId, stream: TcpStream) -> Self {
        // Latency only: without it small frames wait for acknowledgements.
        let _ = stream.set_nodelay(true);
        Self { link, stream, writer: Mutex::default() }
    }

    /// Takes a frame of `length` bytes: sends it, gathers it, or keeps what there was no room
    /// for.
    pub(crate) fn send(
        &self,
        frame: &[IoSlice<'_>],
        length: usize,
    ) -> (Result<Sent, SendRefused>, Next) {
        let Some(frame) = Outgoing::new(frame, length) else {
            return (Err(SendRefused::Unreachable), Next::Nothing);
        };
        let mut writer = self.writer();
        if writer.closed.is_some() || writer.broken {
            return (Err(SendRefused::Gone), Next::Nothing);
        }
        let was_blocked = writer.blocked.is_some();
        let taken = writer.take(&self.stream, &frame);
        if writer.broken {
            return (Err(SendRefused::Gone), Next::Look);
        }
        writer.owes_writable |= writer.blocked.is_some();
        let next = match writer.blocked {
            Some(_) if was_blocked => Next::Nothing,
            Some(_) => Next::Look,
            None if writer.waiting() == 0 || writer.listed => Next::Nothing,
            None => {
                writer.listed = true;
                Next::Flush
            }
        };
        let sent = if writer.blocked.is_some() { Sent::Buffered } else { Sent::Whole };
        (if taken { Ok(sent) } else { Err(SendRefused::Full) }, next)
    }

    /// Takes up to [`MOST_AT_ONCE`] frames of up to `longest` bytes with one write, as far as there is
    /// room. Returns how many, and why the next one was not.
    pub(crate) fn send_all(
        &self,
        frames: &[[IoSlice<'_>; 2]],
        longest: usize,
    ) -> (usize, Option<SendRefused>, Next) {
        let mut all: [Outgoing<'_>; MOST_AT_ONCE] = Default::default();
        let (mut count, mut refused) = (0, None);
        for (place, frame) in all.iter_mut().zip(frames) {
            let length = frame.iter().fold(0usize, |sum, piece| sum.saturating_add(piece.len()));
            match Outgoing::new(frame, length) {
                _ if length > longest => refused = Some(SendRefused::TooLarge),
                None => refused = Some(SendRefused::Unreachable),
                Some(outgoing) => {
                    *place = outgoing;
                    count += 1;
                    continue;
                }
            }
            break;
        }
        let mut writer = self.writer();
        if writer.closed.is_some() || writer.broken {
            return (0, Some(SendRefused::Gone), Next::Nothing);
        }
        let was_blocked = writer.blocked.is_some();
        let taken = writer.take_all(&self.stream, all.get(..count).unwrap_or_default());
        if writer.broken {
            return (0, Some(SendRefused::Gone), Next::Look);
        }
        writer.owes_writable |= writer.blocked.is_some();
        let next =
            if writer.blocked.is_some() && !was_blocked { Next::Look } else { Next::Nothing };
        (taken, if taken < count { Some(SendRefused::Full) } else { refused }, next)
    }

    /// Sends what was gathered. `true`: the inlet must look at the line.
    pub(crate) fn flush(&self) -> bool {
        let mut writer = self.writer();
        writer.listed = false;
        if writer.blocked.is_some() || writer.waiting() == 0 {
            // The inlet is at it, or was.
            return false;
        }
        writer.flush(&self.stream);
        writer.blocked.is_some() || writer.broken
    }

    /// Sends what waits as far as there is room.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Flushed {
        let mut writer = self.writer();
        loop {
            if writer.broken {
                return Flushed::Broken;
            }
            if writer.waiting() == 0 {
                let owed = std::mem::take(&mut writer.owes_writable);
                return Flushed::All { owed };
            }
            match self.stream.poll_write_ready(cx) {
                Poll::Pending => return Flushed::Waiting,
                // The write says what is wrong.
                Poll::Ready(_) => writer.flush(&self.stream),
            }
        }
    }

    /// How long bytes have waited for room without any leaving.
    pub(crate) fn stalled(&self, now: Instant) -> Duration {
        self.writer().blocked.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Whether bytes wait for room.
    pub(crate) fn is_blocked(&self) -> bool {
        self.writer().blocked.is_some()
    }

    /// Whether bytes that were taken are still here.
    pub(crate) fn has_waiting(&self) -> bool {
        self.writer().waiting() > 0
    }

    /// Takes no more frames. `false`: it was closed before.
    pub(crate) fn close(&self, how: Close) -> bool {
        let mut writer = self.writer();
        let is_first = writer.closed.is_none();
        writer.closed.get_or_insert(how);
        is_first
    }

    pub(crate) fn closed(&self) -> Option<Close> {
        self.writer().closed
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.writer().broken
    }

    /// Tells the far end that nothing more comes. What waits goes first, as far as there is
    /// room at once.
    pub(crate) fn finish(&self) {
        self.writer().flush(&self.stream);
        // A stream that is broken already has nothing to be told.
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn waiting(&self) -> usize {
        self.pending.len().saturating_sub(self.at)
    }

    /// Whether a frame of `size` bytes may go behind what waits.
    fn has_room(&self, size: usize) -> bool {
        let joined = self.waiting().saturating_add(size);
        match self.blocked {
            _ if self.waiting() == 0 => true,
            Some(_) => joined <= JOINED,
            None => size < LARGE && joined <= GATHERED,
        }
    }

    /// Takes a frame; `false`: there is no room.
    fn take(&mut self, stream: &TcpStream, frame: &Outgoing<'_>) -> bool {
        if !self.has_room(frame.size) {
            self.flush(stream);
            if self.waiting() > 0 {
                return false;
            }
        }
        if frame.size < LARGE || self.waiting() > 0 {
            self.keep(frame, 0);
        } else if frame.frame.len() < MAX_PIECES {
            self.write(stream, frame);
        } else {
            self.keep(frame, 0);
            self.flush(stream);
        }
        true
    }

    /// Writes a frame in few pieces while nothing waits, and keeps what does not fit.
    fn write(&mut self, stream: &TcpStream, frame: &Outgoing<'_>) {
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        let all = frame.pieces(0).map(IoSlice::new);
        pieces.iter_mut().zip(all).for_each(|(to, piece)| *to = piece);
        let count = frame.frame.len().saturating_add(1);
        let Ok(written) = write_vectored(stream, pieces.get(..count).unwrap_or_default()) else {
            return self.broken = true;
        };
        if written < frame.size {
            self.keep(frame, written);
            self.blocked = Some(Instant::now());
        }
    }

    /// Writes what waits and frames behind it, all at once, and returns how many were taken: those
    /// that have left, and the next one, whose rest is kept.
    fn take_all(&mut self, stream: &TcpStream, frames: &[Outgoing<'_>]) -> usize {
        if self.blocked.is_some() && self.waiting() > 0 {
            self.flush(stream);
            if self.waiting() > 0 {
                return 0;
            }
        }
        let mut pieces = [IoSlice::new(&[]); 1 + 3 * MOST_AT_ONCE];
        let waiting = self.pending.get(self.at..).unwrap_or_default();
        let all = std::iter::once(waiting).chain(frames.iter().flat_map(|frame| frame.pieces(0)));
        pieces.iter_mut().zip(all).for_each(|(to, piece)| *to = IoSlice::new(piece));
        let count = 1 + 3 * frames.len();
        let pieces = pieces.get(..count).unwrap_or_default();
        let Ok(mut written) = write_vectored(stream, pieces) else {
            self.broken = true;
            return 0;
        };
        let left = written.min(waiting.len());
        (self.at, written) = (self.at.saturating_add(left), written - left);
        let mut taken = 0;
        for frame in frames {
            if self.waiting() > 0 {
                break;
            }
            taken += 1;
            if written < frame.size {
                self.keep(frame, written);
            }
            written = written.saturating_sub(frame.size);
        }
        if self.waiting() > 0 {
            self.blocked = Some(Instant::now());
        } else {
            self.flush(stream);
        }
        taken
    }

    /// Appends a frame, without the first `skip` bytes of it and its header.
    fn keep(&mut self, frame: &Outgoing<'_>, skip: usize) {
        if self.at > 0 {
            self.pending.drain(..self.at);
            self.at = 0;
        }
        for piece in frame.pieces(skip) {
            self.pending.extend_from_slice(piece);
        }
    }

    /// Writes what waits until there is no room.
    fn flush(&mut self, stream: &TcpStream) {
        while !self.broken && self.waiting() > 0 {
            match stream.try_write(self.pending.get(self.at..).unwrap_or_default()) {
                Ok(written) => {
                    self.at = self.at.saturating_add(written);
                    if let Some(since) = &mut self.blocked {
                        *since = Instant::now();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked.get_or_insert_with(Instant::now);
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.broken = true,
            }
        }
        self.pending.clear();
        self.pending.shrink_to(GATHERED);
        self.at = 0;
        self.blocked = None;
    }
}

/// Writes as many bytes as there is room for, and returns how many.
fn write_vectored(stream: &TcpStream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        match stream.try_write_vectored(pieces) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            result => return result,
        }
    }
}

/// Ends a connection so that neither end waits for anything.
pub(crate) fn reset(stream: &TcpStream) {
    // Where the option is refused, it is closed in order when it is dropped.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
