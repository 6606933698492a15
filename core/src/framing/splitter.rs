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
mod tests {
    use super::super::{Kind, Service};
    use super::*;

    const LIMIT: usize = 20_000;

    /// Repeatable and good enough to draw bytes and sizes from.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, below: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(self.0 >> 33).unwrap() % below
        }

        fn bytes(&mut self, count: usize) -> Vec<u8> {
            (0..count).map(|_| u8::try_from(self.roll(256)).unwrap()).collect()
        }
    }

    type Owned = (Header, Vec<u8>);

    fn frames(dice: &mut Dice, sizes: &[usize]) -> (Vec<Owned>, Vec<u8>) {
        let (mut all, mut stream) = (Vec::new(), Vec::new());
        for size in sizes {
            let (kind, service) = (Kind(dice.bytes(1)[0]), Service(dice.bytes(1)[0]));
            let id = u32::try_from(dice.roll(1 << 30)).unwrap();
            let header = Header::new(kind, service, id, *size).unwrap();
            let body = dice.bytes(*size);
            stream.extend(header.encode());
            stream.extend(&body);
            all.push((header, body));
        }
        (all, stream)
    }

    /// Feeds the chunks and takes what comes, until the first error.
    fn split<'a>(
        splitter: &mut Splitter,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<Owned>, Option<FramingError>) {
        let mut got = Vec::new();
        for mut chunk in chunks {
            loop {
                chunk = &chunk[splitter.feed(chunk)..];
                loop {
                    match splitter.next_frame() {
                        Ok(Some(frame)) => got.push((frame.header, frame.body().to_vec())),
                        Ok(None) => break,
                        Err(error) => return (got, Some(error)),
                    }
                }
                assert!(splitter.capacity() <= splitter.limit);
                if chunk.is_empty() {
                    break;
                }
            }
        }
        (got, None)
    }

    #[test]
    fn a_stream_cut_at_every_byte_gives_the_same_frames() {
        let mut dice = Dice(1);
        let (wanted, stream) = frames(&mut dice, &[0, 1, 11, 12, 13, 300, 0, 0, 77]);
        for cut in 0..=stream.len() {
            let mut splitter = Splitter::new(LIMIT);
            let (got, error) = split(&mut splitter, [&stream[..cut], &stream[cut..]]);
            assert_eq!((got, error), (wanted.clone(), None), "cut at {cut}");
            assert!(splitter.is_between_frames());
        }
    }

    #[test]
    fn a_stream_that_stops_at_any_byte_gives_the_frames_before_and_waits() {
        let (wanted, stream) = frames(&mut Dice(9), &[0, 1, 11, 12, 13, 300, 0, 0, 77]);
        let ends: Vec<usize> = wanted
            .iter()
            .scan(0, |end, (_, body)| {
                *end += Header::SIZE + body.len();
                Some(*end)
            })
            .collect();
        for cut in 0..=stream.len() {
            let mut splitter = Splitter::new(LIMIT);
            let (got, error) = split(&mut splitter, [&stream[..cut]]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!((&got[..], error), (&wanted[..whole], None), "cut at {cut}");
            assert_eq!(splitter.is_between_frames(), cut == 0 || ends.contains(&cut));
            assert!(!splitter.room().is_empty(), "it waits for more");
        }
    }

    #[test]
    fn any_chunking_gives_the_same_frames() {
        let mut dice = Dice(2);
        for round in 0..200 {
            let sizes: Vec<usize> =
                (0..1 + dice.roll(12)).map(|_| dice.roll(1 + dice.0 as usize % LIMIT)).collect();
            let (wanted, stream) = frames(&mut dice, &sizes);
            let (mut rest, mut chunks) = (stream.as_slice(), Vec::new());
            let most = [1, 7, 300, 5000, 60_000][round % 5];
            while !rest.is_empty() {
                let (chunk, behind) = rest.split_at((1 + dice.roll(most)).min(rest.len()));
                chunks.push(chunk);
                rest = behind;
            }
            let got = split(&mut Splitter::new(LIMIT), chunks);
            assert_eq!(got, (wanted, None), "round {round}");
        }
    }

    #[test]
    fn reading_straight_into_the_room_gives_the_same_frames() {
        let (wanted, stream) = frames(&mut Dice(3), &[LIMIT, 5, LIMIT - 1, 0, 9000, LIMIT]);
        let (mut splitter, mut rest, mut got) = (Splitter::new(LIMIT), &stream[..], Vec::new());
        while !rest.is_empty() {
            let room = splitter.room();
            let count = room.len().min(rest.len());
            assert!(count > 0, "no room, though every whole frame was taken");
            room[..count].copy_from_slice(&rest[..count]);
            splitter.filled(count);
            rest = &rest[count..];
            while let Some(frame) = splitter.next_frame().unwrap() {
                got.push((frame.header, frame.body().to_vec()));
            }
        }
        assert!(got == wanted);
    }

    #[test]
    fn the_limit_is_the_last_size_that_passes() {
        let (wanted, stream) = frames(&mut Dice(4), &[LIMIT]);
        assert_eq!(split(&mut Splitter::new(LIMIT), [&stream[..]]), (wanted, None));
        let limit = LIMIT - 1 + Header::SIZE;
        let error = FramingError::TooLong { length: u32::try_from(limit + 1).unwrap(), limit };
        // The header suffices: nothing is waited for, nothing is kept.
        let mut splitter = Splitter::new(LIMIT - 1);
        assert_eq!(split(&mut splitter, [&stream[..12]]), (vec![], Some(error)));
        assert_eq!(splitter.capacity(), 0);
    }

    #[test]
    fn after_an_error_nothing_comes_any_more() {
        let (mut wanted, stream) = frames(&mut Dice(5), &[3, 4]);
        wanted.truncate(1);
        for (at, byte, error) in [
            (1, 0x47, FramingError::Magic(0x47)),
            (2, 1, FramingError::Version(1)),
            (11, 11, FramingError::TooShort(11)),
            (8, 0xff, FramingError::TooLong { length: 0xff00_0010, limit: LIMIT + 12 }),
        ] {
            let mut broken = stream.clone();
            broken[15 + at] = byte;
            let mut splitter = Splitter::new(LIMIT);
            let got = split(&mut splitter, [&broken[..]]);
            assert_eq!(got, (wanted.clone(), Some(error)));
            assert_eq!(splitter.feed(&stream), 0);
            assert!(splitter.room().is_empty() && !splitter.is_between_frames());
            assert_eq!(splitter.next_frame(), Err(error));
        }
    }

    #[test]
    fn random_bytes_neither_panic_nor_grow_memory() {
        let mut dice = Dice(6);
        for _ in 0..3000 {
            let mut noise = dice.bytes(200);
            // Most would end at the magic: let them come further.
            if dice.roll(4) > 0 {
                noise[1..4].copy_from_slice(&[0x4C, 2, 0]);
            }
            if dice.roll(2) > 0 {
                noise[8..10].fill(0);
            }
            let mut splitter = Splitter::new(LIMIT);
            split(&mut splitter, noise.chunks(1 + dice.roll(50)));
            assert!(splitter.capacity() <= Splitter::KEPT, "200 bytes arrived");
        }
    }

    #[test]
    fn memory_is_handed_over_with_what_was_taken_and_nothing_behind_it_is_lost() {
        let mut dice = Dice(11);
        let (wanted, stream) = frames(&mut dice, &[0, 1, 300, LIMIT, 12, 7000, 9000, LIMIT, 3]);
        for most in [1, 13, 500, 8192, stream.len()] {
            let (mut splitter, mut got, mut spare) = (Splitter::new(LIMIT), Vec::new(), Vec::new());
            for mut chunk in stream.chunks(most) {
                while !chunk.is_empty() {
                    chunk = &chunk[splitter.feed(chunk)..];
                    let mut taken = Vec::new();
                    while let Some(frame) = splitter.next_frame().unwrap() {
                        taken.push((frame.header, frame.end() - frame.body().len()..frame.end()));
                    }
                    if !taken.is_empty() {
                        spare = splitter.swap(spare);
                        got.extend(taken.into_iter().map(|(h, at)| (h, spare[at].to_vec())));
                    }
                    assert!(splitter.capacity() <= splitter.limit);
                }
            }
            assert_eq!(got, wanted, "{most} bytes at once");
            assert!(splitter.is_between_frames());
        }
    }

    #[test]
    fn a_large_frame_is_read_to_its_end_and_kept_room_is_used_again() {
        let mut dice = Dice(9);
        let (_, stream) = frames(&mut dice, &[LIMIT, LIMIT / 2, 10]);
        let mut splitter = Splitter::new(LIMIT);
        // As large frames come over a network: in small packets, for longer than quiet times.
        let mut capacities = Vec::new();
        for _ in 0..10 {
            let got = split(&mut splitter, stream.chunks(100));
            assert_eq!((got.0.len(), got.1), (3, None));
            capacities.push(splitter.capacity());
        }
        assert_eq!(capacities, [splitter.limit; 10], "nothing is given back and made again");
        assert_eq!(splitter.feed(&stream[..100]), 100);
        assert!(splitter.next_frame().unwrap().is_none());
        assert_eq!(splitter.room().len(), LIMIT + Header::SIZE - 100);
        let (_, little) = frames(&mut dice, &[1000]);
        let mut splitter = Splitter::new(LIMIT);
        assert_eq!(splitter.feed(&little[..100]), 100);
        assert!(splitter.next_frame().unwrap().is_none());
        assert_eq!(splitter.room().len(), Splitter::KEPT - 100, "more than one small frame");
    }

    #[test]
    fn an_announced_length_is_not_believed_and_a_burst_is_given_back() {
        let (_, stream) = frames(&mut Dice(7), &[1 << 20]);
        let mut splitter = Splitter::new(1 << 20);
        assert_eq!(split(&mut splitter, [&stream[..100]]), (vec![], None));
        assert!(splitter.capacity() <= Splitter::KEPT);
        assert_eq!(split(&mut splitter, [&stream[100..]]).0.len(), 1);
        assert!(splitter.capacity() > 1 << 20);
        let (_, little) = frames(&mut Dice(8), &[10]);
        for _ in 0..=Splitter::QUIET {
            assert_eq!(split(&mut splitter, [&little[..]]).0.len(), 1);
        }
        assert!(splitter.capacity() <= Splitter::KEPT);
    }
}
