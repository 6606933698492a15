//! A stream cut into frames: the same frames however the bytes arrive.

use lanc_core::framing::{FramingError, Header, Splitter};

use super::Script;

/// Largest body.
const LIMIT: usize = 4096;

/// A frame: its header, its body, and what the core gets of it.
type Cut = (Header, Vec<u8>, Option<Vec<u8>>);

/// The first sixteen bytes say how the rest is chunked.
pub fn stream_frames(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let sizes: [usize; 8] = std::array::from_fn(|_| usize::from(script.pair() % 700) + 1);
    let stream = script.rest();
    let whole = split(stream, &[stream.len().max(1)], false);
    assert_eq!(split(stream, &sizes, false), whole, "chunks of {sizes:?} give other frames");
    assert_eq!(split(stream, &sizes, true), whole, "read in place, other frames come");
    assert_eq!(split(stream, &[1], true), whole, "byte by byte, other frames come");
    for (header, body, core) in &whole.0 {
        let length = usize::try_from(header.length()).unwrap_or(usize::MAX);
        assert_eq!(length, body.len() + Header::SIZE);
        assert_eq!(Header::decode(&header.encode()), Ok(*header));
        if let Some(frame) = core {
            same_on_the_wire(header, body, frame);
        }
    }
}

/// What the core got of a frame is sent as the same frame again.
fn same_on_the_wire(header: &Header, body: &[u8], frame: &[u8]) {
    let Some((again, skip)) = Header::of_frame(&frame[..frame.len().min(6)], frame.len()) else {
        panic!("{frame:02x?} came by a stream, but cannot be sent by one");
    };
    assert_eq!((&again, &frame[skip..]), (header, body));
}

fn split(stream: &[u8], sizes: &[usize], in_place: bool) -> (Vec<Cut>, Option<FramingError>, bool) {
    let (mut splitter, mut frames) = (Splitter::new(LIMIT), Vec::new());
    let (mut rest, mut sizes) = (stream, sizes.iter().cycle());
    while !rest.is_empty() {
        let most = sizes.next().copied().unwrap_or(1).min(rest.len());
        let taken = if in_place {
            let room = splitter.room();
            let count = room.len().min(most);
            room[..count].copy_from_slice(&rest[..count]);
            splitter.filled(count);
            count
        } else {
            splitter.feed(&rest[..most])
        };
        rest = &rest[taken..];
        loop {
            match splitter.next_frame() {
                Ok(Some(frame)) => {
                    let (header, body) = (frame.header, frame.body().to_vec());
                    frames.push((header, body, frame.restore().map(|frame| frame.to_vec())));
                }
                Ok(None) => break,
                Err(error) => {
                    assert!(splitter.room().is_empty() && splitter.feed(b"more") == 0);
                    return (frames, Some(error), false);
                }
            }
        }
        assert!(taken > 0, "the splitter takes nothing, though it has handed out every frame");
        assert!(splitter.capacity() <= LIMIT.max(8192) + Header::SIZE, "it grows beyond its limit");
    }
    let is_between = splitter.is_between_frames();
    (frames, None, is_between)
}
