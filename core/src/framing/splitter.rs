//! Finds the frames of a stream again, however its bytes arrive.

use super::{FramingError, Header};

/// A whole frame of a stream.
#[derive(PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Its header.
    pub header: Header,
    /// The encoded header and the body.
    pub(super) whole: &'a mut [u8],
    /// Where it ends in the memory of its splitter.
    end: usize,
}

impl<'a> Frame<'a> {
    /// What it holds, without the header.
    pub fn body(&self) -> &[u8] {
        self.whole.get(Header::SIZE..).unwrap_or_default()
    }

    /// Where it ends in the memory that [`Splitter::swap`] hands over.
    pub fn end(&self) -> usize {
        self.end
    }

    /// The same, to keep and to change.
    pub fn into_body(self) -> &'a mut [u8] {
        self.whole.get_mut(Header::SIZE..).unwrap_or_default()
    }
}

/// Cuts a stream of bytes into frames, however the bytes arrive.
///
/// Its memory grows with what has arrived, not with what a header announces: 8 KiB, then twice as
/// much as has arrived, and never beyond the largest frame.
///
/// ```
/// use lanc_core::framing::{Header, Kind, Service, Splitter};
///
/// let header = Header::new(Kind::JSON, Service::MESSAGES, 0, 2).unwrap();
/// let mut splitter = Splitter::new(1024);
/// splitter.feed(&header.encode());
/// assert!(splitter.next_frame().unwrap().is_none(), "the body is missing");
/// splitter.feed(b"{}");
/// assert_eq!(splitter.next_frame().unwrap().unwrap().body(), b"{}");
/// ```
#[derive(Debug)]
pub struct Splitter {
    /// The largest frame with its header.
    limit: usize,
    buffer: Vec<u8>,
    /// What has arrived and was not taken is `buffer[begin..end]`.
    begin: usize,
    end: usize,
    failed: Option<FramingError>,
    /// What is still to come of a large frame, in bytes.
    missing: usize,
    /// Reads in a row that needed little of the buffer.
    small: u8,
    /// The last read has filled all the room there was: more is on its way.
    is_pressed: bool,
}

impl Splitter {
    /// What is kept of the buffer in quiet times, and what it begins with.
    const KEPT: usize = 8 * 1024;
    /// Small reads after which the times are quiet.
    const QUIET: u8 = 64;
    /// Frames are large from this part of the largest on: few of them fit into the buffer.
    const LARGE: usize = 4;

    /// A splitter of frames whose bodies have up to `max_body` bytes.
    pub fn new(max_body: usize) -> Self {
        let limit = max_body.saturating_add(Header::SIZE);
        Self {
            limit,
            buffer: Vec::new(),
            begin: 0,
            end: 0,
            failed: None,
            missing: 0,
            small: 0,
            is_pressed: false,
        }
    }

    /// Room to read into; then call [`Self::filled`]. Not empty once [`Self::next_frame`] has
    /// said that there is no whole frame; empty after an error.
    pub fn room(&mut self) -> &mut [u8] {
        if self.failed.is_some() {
            return &mut [];
        }
        if self.begin > 0 {
            self.buffer.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
        }
        if self.end == 0 && self.small >= Self::QUIET && self.buffer.len() > Self::KEPT {
            self.buffer.truncate(Self::KEPT);
            self.buffer.shrink_to(Self::KEPT);
        }
        if self.end == self.buffer.len() || std::mem::take(&mut self.is_pressed) {
            let grown = self.buffer.len().saturating_mul(2).max(Self::KEPT).min(self.limit);
            self.buffer.reserve_exact(grown.saturating_sub(self.buffer.len()));
            self.buffer.resize(grown.max(self.buffer.len()), 0);
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        // A large frame is read to its end and no further: what came behind it would have to be
        // moved to the front.
        let most = if self.missing > 0 { self.missing.min(room.len()) } else { room.len() };
        room.get_mut(..most).unwrap_or_default()
    }

    /// Declares the first `count` bytes of the last [`Self::room`] to have arrived.
    pub fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
        self.is_pressed = self.end == self.buffer.len();
        self.missing = self.missing.saturating_sub(count);
        // A large frame that arrives in small packets is no quiet time.
        let is_small = self.end < Self::KEPT / 2;
        self.small = if is_small { self.small.saturating_add(1) } else { 0 };
    }

    /// Takes bytes by copying and returns how many. All of them, unless they overfill the room:
    /// then fetch frames and feed the rest. After an error: none.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let room = self.room();
            let count = room.len().min(rest.len());
            let (Some(to), Some(from)) = (room.get_mut(..count), rest.get(..count)) else { break };
            if count == 0 {
                break;
            }
            to.copy_from_slice(from);
            self.filled(count);
            taken += count;
        }
        taken
    }

    /// The next whole frame; `None`: more bytes must come first.
    ///
    /// # Errors
    /// [`FramingError`]; from then on it is returned again and nothing else comes.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FramingError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let arrived = self.buffer.get(self.begin..self.end).unwrap_or_default();
        let Some(head) = arrived.first_chunk() else { return Ok(None) };
        let (header, length) = match self.read_header(head) {
            Ok(read) => read,
            Err(error) => {
                self.failed = Some(error);
                // What was taken before is still handed over with its memory.
                if self.begin == 0 {
                    self.buffer = Vec::new();
                }
                (self.begin, self.end, self.missing) = (0, 0, 0);
                return Err(error);
            }
        };
        if arrived.len() < length {
            let is_large = length >= self.limit / Self::LARGE;
            self.missing = if is_large { length - arrived.len() } else { 0 };
            return Ok(None);
        }
        let (begin, end) = (self.begin, self.begin + length);
        self.begin = end;
        let whole = self.buffer.get_mut(begin..end).unwrap_or_default();
        Ok(Some(Frame { header, whole, end }))
    }

    /// The large frame that has begun and is not whole: its header, and what has arrived of its
    /// body. To be asked once [`Self::next_frame`] has said that there is no whole frame.
    pub fn begun(&self) -> Option<(Header, &[u8])> {
        let arrived = self.buffer.get(self.begin..self.end).filter(|_| self.missing > 0)?;
        let (head, body) = arrived.split_first_chunk()?;
        Some((Header::decode(head).ok()?, body))
    }

    /// Forgets the frame that has begun: the rest of it is read elsewhere. Next comes what is behind
    /// it.
    pub fn pass_over(&mut self) {
        (self.begin, self.end, self.missing) = (0, 0, 0);
    }

    /// Hands over the memory with the frames that were taken since the last [`Self::room`], and goes
    /// on in `spare`, which becomes as large. What has arrived behind these frames is moved there.
    pub fn swap(&mut self, mut spare: Vec<u8>) -> Vec<u8> {
        spare.resize(self.buffer.len(), 0);
        let rest = self.buffer.get(self.begin..self.end).unwrap_or_default();
        if let Some(place) = spare.get_mut(..rest.len()) {
            place.copy_from_slice(rest);
        }
        self.end = rest.len();
        self.begin = 0;
        std::mem::replace(&mut self.buffer, spare)
    }

    fn read_header(&self, head: &[u8; Header::SIZE]) -> Result<(Header, usize), FramingError> {
        let header = Header::decode(head)?;
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        if length > self.limit {
            return Err(FramingError::TooLong { length: header.length, limit: self.limit });
        }
        Ok((header, length))
    }

    /// Whether everything that arrived was taken: a stream that ends here ends in order.
    pub fn is_between_frames(&self) -> bool {
        self.failed.is_none() && self.begin == self.end
    }

    /// Bytes of memory the splitter holds.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}

#[cfg(test)]
mod tests;
