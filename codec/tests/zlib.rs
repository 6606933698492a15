//! What bodies cost: traps, tables, frames. To link the counter is to make this binary's allocator
//! a counting one.

use std::time::Duration;

use allocation_counter::measure;
use lanc_codec::Zlib;
use lanc_core::ports::{Compressor, ExpandError};

fn packed(zlib: &Zlib, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    zlib.compress(plain, &mut out);
    out
}

/// CPU time of this thread.
fn spent() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// A trap of a thousand to one, as large as a frame, costs what may come out and no more.
#[test]
fn a_trap_costs_no_more_than_its_limit() {
    let zlib = Zlib::new();
    for size in [4 << 20, 16 << 20, 64 << 20] {
        let trap = packed(&zlib, &vec![0; size]);
        assert!(trap.len() * 150 < size, "{} bytes", trap.len());
        for limit in [64 << 10, 1 << 20, 100 * trap.len().min(size / 100 - 1).min(160 << 10)] {
            let before = spent();
            let mut result = Ok(());
            let cost = measure(|| result = zlib.expand(&trap, limit, &mut Vec::new()));
            let took = spent() - before;
            assert_eq!(result, Err(ExpandError::TooLarge));
            assert!(cost.bytes_max <= 4 << 20, "{size} to {limit}: {} B of heap", cost.bytes_max);
            assert!(took <= Duration::from_millis(50), "{size} to {limit}: {took:?}");
        }
    }
}

/// What is honest is not taken for a trap, however much comes of it, and takes the room it needs.
#[test]
fn what_expands_far_within_its_limit_comes_whole() {
    let zlib = Zlib::new();
    for size in [(256 << 10) - 1, 256 << 10, (256 << 10) + 1, 3 << 20] {
        let plain = vec![0; size];
        let body = packed(&zlib, &plain);
        let mut out = b"kept".to_vec();
        let cost = measure(|| assert_eq!(zlib.expand(&body, size, &mut out), Ok(())));
        assert!(out[..4] == *b"kept" && out[4..] == plain, "{size}");
        assert!(cost.bytes_max <= 2 * (size as u64) + (64 << 10), "{size}: {}", cost.bytes_max);
        assert_eq!(zlib.expand(&body, size - 1, &mut out), Err(ExpandError::TooLarge));
        let cut = &body[..body.len() - 1];
        assert_eq!(zlib.expand(cut, size, &mut out), Err(ExpandError::Damaged));
        let changed = [&body[..body.len() - 1], &[!body[body.len() - 1]]].concat();
        assert_eq!(zlib.expand(&changed, size, &mut out), Err(ExpandError::Damaged));
        assert_eq!(out.len(), size + 4);
    }
}

#[test]
fn frames_allocate_nothing() {
    let zlib = Zlib::new();
    let plain = br#"{"temperature":20.5,"room":"hall"}"#.repeat(100);
    let (mut body, mut back) = (Vec::new(), Vec::new());
    let mut round = |count: usize| {
        for _ in 0..count {
            body.clear();
            zlib.compress(&plain, &mut body);
            back.clear();
            zlib.expand(&body, plain.len(), &mut back).unwrap();
            assert!(back == plain);
            assert!(zlib.expand(&body, plain.len() - 1, &mut back).is_err());
        }
    };
    // Once for the tables and the buffers.
    round(1);
    let cost = measure(|| round(100));
    assert_eq!((cost.count_total, cost.bytes_total), (0, 0));
}

#[test]
fn tables_are_made_once_and_small() {
    let zlib = Zlib::new();
    let (mut body, mut back) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    let writing = measure(|| zlib.compress(b"{}", &mut body)).bytes_total;
    let reading = measure(|| zlib.expand(&body, 4096, &mut back).unwrap()).bytes_total;
    assert!(writing <= 400 << 10 && reading <= 64 << 10, "{writing} B, {reading} B");
    assert_eq!(back, b"{}");
}

/// Made by another implementation, with a checksum that is right, one that is not, and a
/// dictionary that nobody has.
#[test]
fn bodies_of_others_are_read() {
    let zlib = Zlib::new();
    let expand = |body: &[u8]| {
        let mut out = Vec::new();
        zlib.expand(body, 100, &mut out).map(|()| out)
    };
    // Python: zlib.compress(b"lanc lanc lanc lanc")
    let body = b"\x78\x9c\xcb\x49\xcc\x4b\x56\xc8\x41\x21\x00\x44\x9f\x06\xd9";
    assert_eq!(expand(body), Ok(b"lanc lanc lanc lanc".to_vec()));
    let mut wrong = *body;
    wrong[14] ^= 1;
    assert_eq!(expand(&wrong), Err(ExpandError::Damaged));
    let mut with_dictionary = *body;
    with_dictionary[1] = 0xbb;
    assert_eq!(expand(&with_dictionary), Err(ExpandError::Damaged));
}
