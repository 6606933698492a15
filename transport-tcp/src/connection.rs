//! The reading side of a connection, and its orderly end.

use std::io::{self, ErrorKind, IoSliceMut, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use lanc_core::framing::{FramingError, Header, RECORD_HEAD, Splitter};
use lanc_core::ports::{DownReason, Initiator, LentRoom, LinkEvent, Origin, RecvBatch};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::admission::Host;
use crate::line::{Flushed, Line};
use crate::sink::Sink;
use crate::stats::{Count, TcpStats};

/// Reads of a connection that is closing, before others have their turn.
const DISCARDS: usize = 8;
/// Read behind a record that goes elsewhere: what ends a message and begins the next record. Those
/// are copied.
const BEHIND: usize = 64;

pub(crate) struct Connection {
    pub(crate) line: Arc<Line>,
    pub(crate) remote: SocketAddr,
    pub(crate) initiator: Initiator,
    pub(crate) host: Option<Host>,
    pub(crate) origin: Origin,
    /// Until when an accepted connection may keep its first frame to itself.
    pub(crate) silent_until: Option<Instant>,
    pub(crate) splitter: Splitter,
    pub(crate) max_frame: usize,
    /// The stream has ended; frames may be left in the splitter.
    pub(crate) ended: Option<DownReason>,
    /// The record that is being read into the room of its message.
    pub(crate) placing: Option<Placing>,
    /// Another such record may follow: only its head is read here.
    pub(crate) expects_head: bool,
}

/// A record on its way to where it stays.
pub(crate) struct Placing {
    room: LentRoom,
    length: usize,
}

/// What a connection needs next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// Nothing: its waker is registered.
    Wait,
    /// Another turn, after the others.
    Again,
    /// To go down.
    Over(DownReason),
}

/// Where a record of bytes is to be read, if its message has room. What ends a message has none,
/// nor has a record that is too long once its head is restored.
fn placing(line: &Line, max_frame: usize, header: &Header, sink: &Sink<'_>) -> Option<Placing> {
    let (stream, length) = header.of_stream()?;
    let is_one = length > 0 && length.saturating_add(RECORD_HEAD) <= max_frame;
    if !is_one {
        return None;
    }
    let room = sink.room(line.link, stream, length)?;
    Some(Placing { room, length })
}

impl Connection {
    /// Reads once and passes on what that makes whole. `looks`: asks the system itself where the
    /// runtime has told of nothing.
    pub(crate) fn receive(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut Sink<'_>,
        stats: &TcpStats,
        looks: bool,
    ) -> Turn {
        match self.pass_on(sink, stats) {
            Err(error) => return self.malformed(error, sink, stats),
            Ok(false) => return Turn::Again,
            Ok(true) => {}
        }
        if let Some(reason) = self.ended {
            return Turn::Over(reason);
        }
        if self.placing.is_none() {
            self.begin_placing(sink);
        }
        if self.read(cx, looks).is_pending() {
            // Everything that was there has been read.
            let is_broken = self.line.is_broken();
            return if is_broken { Turn::Over(DownReason::Broken) } else { Turn::Wait };
        }
        if self.is_placed(sink, stats) {
            return Turn::Again;
        }
        match self.pass_on(sink, stats) {
            Err(error) => self.malformed(error, sink, stats),
            Ok(_) => Turn::Again,
        }
    }

    /// Has the rest of a large record read to where its message is put together, if there is room.
    fn begin_placing(&mut self, sink: &Sink<'_>) {
        let Some((header, body)) = self.splitter.begun() else { return };
        let Some(mut placing) = placing(&self.line, self.max_frame, &header, sink) else { return };
        placing.room.copy(body);
        self.placing = Some(placing);
        self.splitter.pass_over();
    }

    /// Passes on a record that has been read to where it stays. `true`: it is not whole yet.
    fn is_placed(&mut self, sink: &mut Sink<'_>, stats: &TcpStats) -> bool {
        let Some(mut placing) = self.placing.take() else { return false };
        if !placing.room.space().is_empty() {
            self.placing = Some(placing);
            return true;
        }
        self.silent_until = None;
        self.expects_head = true;
        stats.count(Count::FrameIn);
        sink.place(placing.room, placing.length, self.origin);
        false
    }

    /// Moves whole frames into the batch, from the first large one on with the memory they arrived
    /// in. `false`: it is full, and more may be left.
    fn pass_on(&mut self, sink: &mut Sink<'_>, stats: &TcpStats) -> Result<bool, FramingError> {
        let mut lent = 0;
        let result = loop {
            if !sink.has_room() {
                break Ok(false);
            }
            let frame = match self.splitter.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break Ok(true),
                Err(error) => break Err(error),
            };
            let end = frame.end();
            // Once a message has room, all its records go there: so they stay in order.
            if let Some(mut placing) = placing(&self.line, self.max_frame, &frame.header, sink) {
                placing.room.copy(frame.body());
                self.silent_until = None;
                stats.count(Count::FrameIn);
                sink.place(placing.room, placing.length, self.origin);
                continue;
            }
            // A record's head is longer here than it was on the way.
            match frame.restore().filter(|frame| frame.len() <= self.max_frame) {
                Some(frame) => {
                    // What is passed over has said nothing.
                    self.silent_until = None;
                    stats.count(Count::FrameIn);
                    if lent > 0 || frame.len() >= RecvBatch::LARGE {
                        lent += 1;
                        sink.lent(end - frame.len()..end, self.line.link, self.origin);
                    } else {
                        sink.frame(frame, self.line.link, self.origin);
                    }
                }
                None => stats.count(Count::FrameIgnored),
            }
        };
        if lent > 0 {
            let memory = self.splitter.swap(sink.take_spare());
            sink.hand_over(memory, lent);
        }
        result
    }

    fn malformed(&self, error: FramingError, sink: &mut Sink<'_>, stats: &TcpStats) -> Turn {
        if matches!(error, FramingError::TooLong { .. }) {
            sink.event(LinkEvent::Limited { lane: self.line.link.lane, limit: "max_frame" });
        }
        tracing::debug!(remote = %self.remote, %error, "a connection is closed");
        stats.count(Count::ClosedMalformed);
        Turn::Over(DownReason::Broken)
    }

    fn read(&mut self, cx: &mut Context<'_>, looks: bool) -> Poll<()> {
        let stream = &self.line.stream;
        loop {
            let behind = self.splitter.room();
            let most =
                if self.expects_head || self.placing.is_some() { BEHIND } else { usize::MAX };
            let most = behind.len().min(most);
            let behind = behind.get_mut(..most).unwrap_or_default();
            let space = self.placing.as_mut().map(|placing| placing.room.space());
            let space = space.unwrap_or_default();
            let here = space.len();
            let mut pieces = [IoSliceMut::new(space), IoSliceMut::new(behind)];
            let is_told = match stream.poll_read_ready(cx) {
                Poll::Ready(Ok(())) => true,
                Poll::Pending => false,
                // The runtime of the socket has ended: it tells of nothing any more.
                Poll::Ready(Err(_)) => {
                    self.ended = Some(DownReason::Broken);
                    return Poll::Ready(());
                }
            };
            let read = match is_told {
                true => read_told(stream, &mut pieces),
                false if looks => (&*SockRef::from(stream)).read_vectored(&mut pieces),
                false => return Poll::Pending,
            };
            match read {
                Ok(0) => {
                    let in_order = self.splitter.is_between_frames() && self.placing.is_none();
                    let reason =
                        if in_order { DownReason::ClosedThere } else { DownReason::Broken };
                    self.ended = Some(reason);
                }
                Ok(count) => {
                    self.expects_head = false;
                    if let Some(placing) = &mut self.placing {
                        placing.room.filled(count.min(here));
                    }
                    self.splitter.filled(count.saturating_sub(here));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && is_told => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => self.ended = Some(DownReason::Broken),
            }
            return Poll::Ready(());
        }
    }
}

/// Reads what the runtime has told of. Where less comes than there is room for, no more is there
/// and the runtime tells of what comes next (epoll(7), "Questions and answers", 9): nobody need
/// ask the system again to be told that it has nothing. A closed far end it does not forget.
fn read_told(stream: &TcpStream, pieces: &mut [IoSliceMut<'_>; 2]) -> io::Result<usize> {
    let room = pieces.iter().map(|piece| piece.len()).sum();
    let mut short = None;
    let read = stream.try_io(Interest::READABLE, || {
        let count = (&*SockRef::from(stream)).read_vectored(pieces)?;
        if 0 < count && count < room {
            short = Some(count);
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(count)
    });
    short.map_or(read, Ok)
}

/// A connection that was closed here: what was taken still leaves. It is read on, because
/// unread bytes would make the system reset it and so destroy what is on its way.
pub(crate) struct Farewell {
    pub(crate) line: Arc<Line>,
    pub(crate) host: Option<Host>,
    pub(crate) until: Instant,
    pub(crate) finished: bool,
}

impl Farewell {
    /// Goes on as far as possible.
    pub(crate) fn proceed(&mut self, cx: &mut Context<'_>) -> Turn {
        match self.line.poll_flush(cx) {
            Flushed::Broken => return Turn::Over(DownReason::ClosedHere),
            Flushed::All { .. } if !self.finished => {
                self.line.finish();
                self.finished = true;
            }
            Flushed::All { .. } | Flushed::Waiting => {}
        }
        let mut unread = [0; 4096];
        for _ in 0..DISCARDS {
            if self.line.stream.poll_read_ready(cx).is_pending() {
                return Turn::Wait;
            }
            match self.line.stream.try_read(&mut unread) {
                Ok(0) => return Turn::Over(DownReason::ClosedHere),
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => return Turn::Over(DownReason::ClosedHere),
            }
        }
        Turn::Again
    }
}
