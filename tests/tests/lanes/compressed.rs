//! Compressed frames and messages: smaller on every lane, to those who read them, and with the
//! bounds of plain ones.

use std::sync::Arc;

use lanc_codec::{JsonCodec, Zlib};
use lanc_core::counters::Drop;
use lanc_core::error::{CallError, ErrorCode, Executed};
use lanc_core::id::{CallKey, FunctionName};
use lanc_core::payload::Arguments;
use lanc_core::ports::{Cast, Compressor, Format};
use lanc_core::{CallRequest, Config, Pipeline};
use lanc_tests::{in_mode, is_keyed};

use super::world::{World, connection};

/// Reads compressed frames, and writes them from 1 KiB on.
fn both(from: usize) -> Pipeline {
    in_mode!(Pipeline::new(Arc::new(JsonCodec))).with_compressor(Arc::new(Zlib::new()), from)
}

/// Text that deflate makes half as long.
fn text(length: usize) -> String {
    let mut seed = 7u64;
    let letter = |_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + (seed >> 40) as u8 % 16)
    };
    (0..length).map(letter).collect()
}

fn call(world: &mut World, size: usize) -> Result<CallKey, CallError> {
    let args = Arguments::new(Format::JSON, format!("[\"{}\"]", text(size)).as_bytes(), b"");
    let mut request = CallRequest::new(FunctionName::new("fb").unwrap(), args);
    // In keyed mode it must be said.
    request.compress = true;
    world.cores[0].call(world.now, request)
}

/// Bytes that calls of these sizes, and small answers, put on all lanes.
fn bytes(pipelines: [Pipeline; 2], size: usize) -> usize {
    let mut world = World::built(Config::default(), pipelines);
    world.sent.clear();
    let key = call(&mut world, size).unwrap();
    world.settle();
    assert_eq!(world.tasks[0].1.args.positional().len(), size + 4, "it came whole");
    world.answer(10);
    world.settle();
    assert_eq!(world.outcome(0, key), Some(Ok(12)));
    world.is_tidy();
    world.sent.iter().map(|sent| sent.size).sum()
}

#[test]
fn datagrams_frames_and_large_messages_are_compressed_for_those_who_read_them() {
    let plain = || in_mode!(Pipeline::new(Arc::new(JsonCodec)));
    for size in [1100, 30_000, 300_000, 3_000_000] {
        let whole = bytes([plain(), plain()], size);
        assert!(whole > size);
        let packed = bytes([both(1024), both(usize::MAX)], size);
        // Half of the text; what stands around it is not compressed everywhere.
        assert!((whole - packed) * 5 > size * 2, "{packed} of {whole} bytes");
        assert_eq!(bytes([both(1024), plain()], size), whole, "who does not read it gets it plain");
        assert_eq!(bytes([both(usize::MAX), both(1024)], size), whole, "who does not write it");
    }
    // Below the threshold.
    let small = bytes([both(1024), both(1024)], 200);
    assert_eq!(small, bytes([plain(), plain()], 200));
}

#[test]
fn a_message_may_be_no_larger_for_being_compressed() {
    let config = Config::default().with_max_message(200_000);
    let mut world = World::built(config, [both(1024), both(1024)]);
    let key = call(&mut world, 190_000).unwrap();
    world.settle();
    // The answer would be a few hundred bytes.
    world.answer(250_000);
    world.settle();
    let error = world.outcome(0, key).unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::TOO_LARGE, Executed::Yes), "{error}");
    let error = call(&mut world, 250_000).unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::TOO_LARGE, Executed::No), "{error}");
}

/// A trap costs what a frame may hold and is counted; the node goes on.
#[test]
fn traps_are_dropped_by_every_lane() {
    if is_keyed!() {
        return;
    }
    let mut world = World::built(Config::default(), [both(1024), both(1024)]);
    assert_eq!(world.ask(0, "fb", 100_000, 100_000), 100_002);
    let mut trap = Vec::new();
    Zlib::new().compress(&vec![b'{'; 4 << 20], &mut trap);
    let dropped = |world: &World| world.cores[1].counters().dropped(Drop::Oversized);
    let before = dropped(&world);
    world.hand(1, connection(0), Cast::Unicast, &trap);
    world.datagram(0, 1, Cast::Unicast, &trap);
    assert_eq!(dropped(&world), before + 2);
    assert_eq!(world.ask(0, "fb", 100_000, 100_000), 100_002);
    world.is_tidy();
}
