//! The writing side of a connection, which the outlet and the inlet share.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use lanc_core::endpoint::LinkId;
use lanc_core::framing::{Header, Kind, Service};
use lanc_core::ports::{Close, SendRefused, Sent};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Small frames join what waits already up to this many bytes; more is kept of one frame only.
const JOINED: usize = 16 * 1024;
/// Frames of more pieces are put together first; systems take no more than some hundreds.
const MAX_PIECES: usize = 16;

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
    /// When bytes last left, while any wait.
    moved: Option<Instant>,
    /// Somebody was told to wait for room.
    owes_writable: bool,
    closed: Option<Close>,
    /// The stream takes no more.
    broken: bool,
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

impl Line {
    pub(crate) fn new(link: LinkId, stream: TcpStream) -> Self {
        // Latency only: without it small frames wait for acknowledgements.
        let _ = stream.set_nodelay(true);
        Self { link, stream, writer: Mutex::default() }
    }

    /// Takes a frame of `length` bytes. After [`Sent::Buffered`], and when the link turned out
    /// to be gone, the inlet must look at the line.
    pub(crate) fn send(&self, frame: &[IoSlice<'_>], length: usize) -> Result<Sent, SendRefused> {
        let first = frame.iter().find_map(|piece| piece.first());
        let kind = if first == Some(&b'{') { Kind::JSON } else { Kind::MESSAGE_PACK };
        let header = Header::new(kind, Service::MESSAGES, 0, length);
        let header = header.ok_or(SendRefused::TooLarge)?.encode();
        let mut writer = self.writer();
        if writer.closed.is_some() || writer.broken {
            return Err(SendRefused::Gone);
        }
        let joined = writer.waiting().saturating_add(header.len()).saturating_add(length);
        if writer.waiting() > 0 && joined > JOINED {
            writer.flush(&self.stream);
            if writer.broken {
                return Err(SendRefused::Gone);
            }
            if writer.waiting() > 0 {
                writer.owes_writable = true;
                return Err(SendRefused::Full);
            }
        }
        if writer.waiting() > 0 || frame.len() >= MAX_PIECES {
            let was_waiting = writer.waiting() > 0;
            writer.keep(&header, frame, 0);
            if !was_waiting {
                writer.flush(&self.stream);
            }
        } else {
            writer.write(&self.stream, &header, frame, length);
        }
        match writer.waiting() {
            _ if writer.broken => Err(SendRefused::Gone),
            0 => Ok(Sent::Whole),
            _ => {
                writer.owes_writable = true;
                Ok(Sent::Buffered)
            }
        }
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

    /// How long bytes have waited without any leaving.
    pub(crate) fn stalled(&self, now: Instant) -> Duration {
        self.writer().moved.map_or(Duration::ZERO, |moved| now.saturating_duration_since(moved))
    }

    /// Whether bytes wait.
    pub(crate) fn is_waiting(&self) -> bool {
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

    /// Writes a frame in few pieces while nothing waits, and keeps what does not fit.
    fn write(&mut self, stream: &TcpStream, header: &[u8], frame: &[IoSlice<'_>], length: usize) {
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES + 1];
        let all = std::iter::once(IoSlice::new(header)).chain(frame.iter().copied());
        pieces.iter_mut().zip(all).for_each(|(to, piece)| *to = piece);
        let count = frame.len().saturating_add(1);
        let result = loop {
            let result = stream.try_write_vectored(pieces.get(..count).unwrap_or_default());
            if !is(&result, ErrorKind::Interrupted) {
                break result;
            }
        };
        let written = match result {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return self.broken = true,
        };
        if written < header.len().saturating_add(length) {
            self.keep(header, frame, written);
        }
    }

    /// Appends a frame, without the first `skip` bytes of it and its header.
    fn keep(&mut self, header: &[u8], frame: &[IoSlice<'_>], mut skip: usize) {
        self.moved.get_or_insert_with(Instant::now);
        if self.at > 0 {
            self.pending.drain(..self.at);
            self.at = 0;
        }
        for piece in std::iter::once(header).chain(frame.iter().map(|piece| &**piece)) {
            let from = skip.min(piece.len());
            skip -= from;
            self.pending.extend_from_slice(piece.get(from..).unwrap_or_default());
        }
    }

    fn flush(&mut self, stream: &TcpStream) {
        while !self.broken && self.waiting() > 0 {
            match stream.try_write(self.pending.get(self.at..).unwrap_or_default()) {
                Ok(written) => {
                    self.at = self.at.saturating_add(written);
                    self.moved = Some(Instant::now());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.broken = true,
            }
        }
        self.pending.clear();
        self.pending.shrink_to(JOINED);
        self.at = 0;
        self.moved = None;
    }
}

fn is<T>(result: &io::Result<T>, kind: ErrorKind) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == kind)
}

/// Ends a connection so that neither end waits for anything.
pub(crate) fn reset(stream: &TcpStream) {
    // Where the option is refused, it is closed in order when it is dropped.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
