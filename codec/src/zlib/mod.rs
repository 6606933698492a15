//! The zlib format (RFC 1950) over deflate (RFC 1951): header, body, checksum.

use std::sync::{Mutex, MutexGuard, PoisonError};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use lanc_core::ports::{Compressor, ExpandError};

/// The first byte of a body: deflate with a window of 32 KiB.
const HEADER: u8 = 0x78;
/// What a buffer grows by, at least, bytes.
const STEP: usize = 4096;
/// What has become so large, bytes, and so many times its own size, is counted before there is
/// room made for it: honest bodies rarely do, and a trap of a thousand to one at once.
const COUNTED_FROM: usize = 256 << 10;
const SUSPECT: usize = 16;

/// Compression that every language has.
///
/// Each body stands for itself: nothing of one is a dictionary for another. The tables, some
/// 300 KiB for writing and 45 KiB for reading, are made at first use and used again; bodies are
/// made one at a time.
#[derive(Default)]
pub struct Zlib {
    writer: Mutex<Option<Box<Compress>>>,
    reader: Mutex<Option<Box<Decompress>>>,
}

impl Zlib {
    /// A compressor without tables yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Compressor for Zlib {
    fn name(&self) -> &'static str {
        "zlib"
    }

    fn claims(&self, first: u8) -> bool {
        first == HEADER
    }

    fn compress(&self, plain: &[u8], out: &mut Vec<u8>) {
        let mut writer = lock(&self.writer);
        let writer = writer.get_or_insert_with(|| Box::new(Compress::new(LEVEL, true)));
        writer.reset();
        let start = out.len();
        let mut rest = plain;
        loop {
            if out.capacity() == out.len() {
                out.reserve((out.len() - start).max(STEP));
            }
            let before = writer.total_in();
            let status = writer.compress_vec(rest, out, FlushCompress::Finish);
            rest = advance(rest, before, writer.total_in());
            match status {
                Ok(Status::StreamEnd) => return,
                Ok(Status::Ok | Status::BufError) => {}
                // Only for a state that is used wrongly, which this is not.
                Err(_) => return out.truncate(start),
            }
        }
    }

    fn expand(&self, packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), ExpandError> {
        let mut reader = lock(&self.reader);
        let reader = reader.get_or_insert_with(|| Box::new(Decompress::new(true)));
        reader.reset(true);
        let start = out.len();
        let result = expand(reader, packed, limit, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }
}

/// Appends what comes out, never more than one byte above the limit.
fn expand(
    reader: &mut Decompress,
    packed: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), ExpandError> {
    let (start, mut filled) = (out.len(), 0);
    let mut rest = packed;
    // The byte above the limit shows that there is more.
    let most = limit.saturating_add(1);
    let mut room = packed.len().saturating_mul(4).clamp(STEP, most.max(STEP)).min(most);
    let mut is_counted = false;
    loop {
        out.reserve_exact(start.saturating_add(room).saturating_sub(out.len()));
        out.resize(start.saturating_add(room), 0);
        let place = out.get_mut(start.saturating_add(filled)..).ok_or(ExpandError::TooLarge)?;
        let (end, new) = step(reader, &mut rest, place)?;
        filled = filled.saturating_add(new);
        if filled > limit {
            return Err(ExpandError::TooLarge);
        }
        if end {
            out.truncate(start.saturating_add(filled));
            return Ok(());
        }
        if filled == room {
            let read = packed.len().saturating_sub(rest.len());
            if !is_counted && filled >= COUNTED_FROM && filled / SUSPECT > read {
                let scratch = out.get_mut(start..).unwrap_or_default();
                room = count(reader, packed, limit, scratch)?.saturating_add(1);
                reader.reset(true);
                (rest, filled, is_counted) = (packed, 0, true);
            } else {
                room = room.saturating_mul(2).min(most);
            }
        }
    }
}

/// How much would come out: a trap then costs time and no room.
fn count(
    reader: &mut Decompress,
    packed: &[u8],
    limit: usize,
    scratch: &mut [u8],
) -> Result<usize, ExpandError> {
    reader.reset(true);
    let (mut rest, mut whole) = (packed, 0usize);
    loop {
        let (end, new) = step(reader, &mut rest, scratch)?;
        whole = whole.saturating_add(new);
        if whole > limit {
            return Err(ExpandError::TooLarge);
        }
        if end {
            return Ok(whole);
        }
    }
}

/// Fills `place` as far as it goes. Returns whether that was the end, and how much came out.
fn step(
    reader: &mut Decompress,
    rest: &mut &[u8],
    place: &mut [u8],
) -> Result<(bool, usize), ExpandError> {
    let (read, written) = (reader.total_in(), reader.total_out());
    let status = reader.decompress(rest, place, FlushDecompress::None);
    let before = rest.len();
    *rest = advance(rest, read, reader.total_in());
    let new = usize::try_from(reader.total_out() - written).unwrap_or(usize::MAX);
    match status {
        Ok(Status::StreamEnd) if rest.is_empty() => Ok((true, new)),
        // A full place is no standstill.
        Ok(Status::Ok | Status::BufError) if new > 0 || rest.len() < before || place.is_empty() => {
            Ok((false, new))
        }
        // Bytes behind the end, no end, a checksum or a body that is wrong.
        _ => Err(ExpandError::Damaged),
    }
}

/// How much is tried: what more costs and saves is in decision 21.
const LEVEL: Compression = Compression::new(1);

fn advance(rest: &[u8], before: u64, after: u64) -> &[u8] {
    let taken = usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX);
    rest.get(taken..).unwrap_or_default()
}

/// A panic while it was held leaves nothing behind: every use begins with a reset.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
