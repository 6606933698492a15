//! Two ends of a link, and what is common to the tests.

mod bounds;
mod hostile;
mod joined;
mod lasting;
mod messages;
mod pace;
mod placed;

use super::*;
use crate::byte_budget::ByteBudget;
use crate::endpoint::Lane;
use crate::framing::RECORD_HEAD as HEAD;

/// Credit that both ends begin with, and their window.
const WINDOW: usize = 64;

/// Bytes of a record's body.
const RECORD: usize = 10;

fn limits() -> StreamLimits {
    StreamLimits {
        streams: 4,
        initial: 64,
        window: 64,
        message_window: 64,
        record: RECORD,
        turn: RECORD,
        message: 1000,
        assembly: 3000,
        queue: 5000,
    }
}

type End = Streams<&'static str>;

/// One end, of a node that may hold a lot.
fn end<T>(initiator: bool, limits: StreamLimits) -> Streams<T> {
    let account = || ByteBudget::new(1 << 30).account();
    Streams::new(initiator, limits, account(), account(), rooms())
}

/// Where one end puts messages together.
fn rooms() -> (Rooms, LinkId) {
    (Rooms::default(), LinkId { lane: Lane(0), slot: 0, generation: 0 })
}

/// The end that opened the link, and the other one.
fn ends() -> (End, End) {
    (end(true, limits()), end(false, limits()))
}

/// `count` bytes that tell their places.
fn pattern(count: usize) -> Vec<u8> {
    (0..=250).cycle().take(count).collect()
}

/// The next record and what left with it.
fn next(from: &mut End) -> Option<(Vec<u8>, Left<&'static str>)> {
    let mut frame = Vec::new();
    let left = from.next_record(1000, &mut frame);
    assert_eq!(left.is_none(), frame.is_empty());
    left.map(|left| (frame, left))
}

/// Has the bytes of a record read to where its message is put together. `None`: it has no room.
fn place(
    to: &mut End,
    number: u32,
    body: &[u8],
) -> Option<Result<Arrived<&'static str>, StreamError>> {
    let mut room = to.rooms.0.lend(to.rooms.1, number, body.len())?;
    room.space().copy_from_slice(body);
    room.give_back(body.len());
    Some(to.on_placed(number, body.len()))
}

/// Takes a record, every other one as connections do: what belongs to a message is there already.
fn hear(to: &mut End, frame: &[u8]) -> Result<Arrived<&'static str>, StreamError> {
    if let Some((number, record::Record::Bytes(body))) = record::read(frame)
        && body.len() % 2 == 1
        && let Some(result) = place(to, number, body)
    {
        return result;
    }
    to.on_record(frame)
}

/// Carries all that `from` has to say to `to`; returns what happened on the way, without what
/// nobody waits for.
fn carry(from: &mut End, to: &mut End) -> (Vec<Left<&'static str>>, Vec<Arrived<&'static str>>) {
    let (mut left, mut arrived) = (Vec::new(), Vec::new());
    while let Some((frame, what)) = next(from) {
        left.push(what);
        arrived.push(hear(to, &frame).unwrap());
    }
    left.retain(|what| *what != Left::Record);
    arrived.retain(|what| *what != Arrived::Nothing);
    (left, arrived)
}

/// Both ways, until neither has anything to say.
fn settle(one: &mut End, other: &mut End) {
    while one.is_ready() || other.is_ready() {
        carry(one, other);
        carry(other, one);
    }
}

/// A stream that `one` has opened and announced.
fn joined(one: &mut End, other: &mut End) -> u32 {
    let number = one.open().unwrap();
    one.announced(number);
    assert_eq!(other.expect(number), Ok(true));
    number
}

/// All that can be read now.
fn read_all(end: &mut End, number: u32) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let taken = end.read(number, usize::MAX, &mut out).unwrap();
    assert_eq!(taken.bytes, out.len());
    (out, taken.end)
}

fn bytes(number: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    record::write_bytes_head(number, &mut frame);
    frame.extend_from_slice(body);
    frame
}

fn credit(number: u32, count: u32) -> Vec<u8> {
    let mut frame = Vec::new();
    record::write_credit(number, count, &mut frame);
    frame
}

fn reset(number: u32, code: ErrorCode) -> Vec<u8> {
    let mut frame = Vec::new();
    record::write_reset(number, code, &mut frame);
    frame
}

/// Memory of all buffers, full or empty, and of the queues that are swept.
fn memory<T>(streams: &Streams<T>) -> usize {
    let of = |entry: &Entry<T>| match &entry.kind {
        Kind::Application(stream) => {
            stream.send.buffer.capacity() + stream.receive.buffer.capacity()
        }
        Kind::Sending(message) => message.bytes.capacity(),
        Kind::Assembling(message) => message.room.capacity(),
        Kind::Ending { .. } => 0,
    };
    let queues = streams.round.capacity() + streams.controls.capacity();
    let waiting = streams.waiting.iter().map(|(_, bytes)| bytes.capacity()).sum::<usize>();
    let table = streams.table.values().map(of).sum::<usize>();
    table + waiting + streams.spare.capacity() + 4 * queues
}

/// Repeatable and good enough to draw bytes and sizes from.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}
