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
