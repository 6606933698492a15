//! What one hostile frame may cost: each is dropped, once, under its counter, for at most 50 ms of
//! processor time and 4 MiB of heap. By datagrams and by connections; in the open and in keyed
//! mode, there from who has no key and from who has it. To link the counter is to make this
//! binary's allocator a counting one.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

#[path = "bounded/scene.rs"]
mod scene;
#[path = "bounded/villain.rs"]
mod villain;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use scene::{Ground, Lane};
use villain::Villain;

const LANES: [Lane; 2] = [Lane::Datagrams, Lane::Connection];

/// Bytes before what is sealed, and those around it.
const HEAD: usize = 44;
const OVERHEAD: usize = 60;

const CALL: &[u8] =
    br#"{"type":"LANC","method":"call","version":"0.2","exe_id":7,"data":"add","args":[1,2]}"#;

/// A body of a thousand to one.
fn bomb(size: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b'['; size]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() * 1000 < size, "{} bytes", bomb.len());
    bomb
}

/// A call in MessagePack with these arguments.
fn call_with(args: &[u8]) -> Vec<u8> {
    let fields: [&[u8]; 12] = [
        b"\xa4type",
        b"\xa4LANC",
        b"\xa6method",
        b"\xa4call",
        b"\xa7version",
        b"\xa30.2",
        b"\xa6exe_id",
        b"\x07",
        b"\xa4data",
        b"\xa3add",
        b"\xa4args",
        args,
    ];
    [&[0x86], &fields.concat()[..]].concat()
}

/// Frames that claim 4 GiB for a part of theirs.
fn claims() -> Vec<Vec<u8>> {
    let tops = [0xdd, 0xdf, 0xdb, 0xc6, 0xc9].map(|first| {
        // Lists, maps, texts, bytes, extensions.
        call_with(&[first, 0xff, 0xff, 0xff, 0xff, 0xc0, 0xc0])
    });
    let whole = vec![0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, b'x'];
    let lean = [&b"\x93\x02\x01\x01\x81\xa1a"[..], &[0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0]].concat();
    tops.into_iter().chain([whole, lean]).collect()
}

/// Frames of lists that are 1024 deep.
fn nests() -> Vec<Vec<u8>> {
    let json = |open: &str, close: &str| {
        let (open, close) = (open.repeat(1024), close.repeat(1024));
        String::from_utf8_lossy(CALL).replace("[1,2]", &format!("{open}1{close}")).into_bytes()
    };
    vec![
        json("[", "]"),
        json("{\"a\":", "}"),
        // Python's text, and half of it.
        json("[", "]").iter().map(|byte| if *byte == b'"' { b'\'' } else { *byte }).collect(),
        b"{\"a\":".repeat(1024),
        call_with(&[&[0x91; 1024][..], b"\xc0"].concat()),
        call_with(&[&b"\x81\xa1a".repeat(1024)[..], b"\xc0"].concat()),
    ]
}

fn in_every_mode(test: impl Fn(&Ground, Lane)) {
    for is_keyed in [false, true] {
        let ground = Ground::new(is_keyed);
        for lane in LANES {
            test(&ground, lane);
        }
    }
}

/// The same from a member and from a stranger, each with its counter.
fn from_both(ground: &Ground, lane: Lane, what: &str, plain: &[u8], counters: [&str; 2]) {
    let [of_member, of_stranger] = counters;
    let mut villain = Villain::member(ground, lane);
    let frame = villain.frame(plain);
    ground.drops(what, of_member, &mut villain, &frame);
    let mut villain = Villain::stranger(ground, lane);
    let frame = villain.framed(plain);
    ground.drops(&format!("{what} of a stranger"), of_stranger, &mut villain, &frame);
}

fn what(ground: &Ground, lane: Lane, what: &str) -> String {
    let mode = if ground.is_keyed { "keyed" } else { "open" };
    format!("{mode}, {lane:?}: {what}")
}

#[test]
fn a_wrong_key() {
    in_every_mode(|ground, lane| {
        for plain in [CALL, &[b'['; 900], &bomb(3 << 20)] {
            let mut villain = Villain::foreigner(ground, lane);
            let frame = villain.frame(plain);
            ground.drops(&what(ground, lane, "a wrong key"), "sealed", &mut villain, &frame);
        }
    });
}

#[test]
fn a_flipped_bit() {
    in_every_mode(|ground, lane| {
        // On a connection in use they name a stream, and are authenticated like the rest.
        let of_stream = if lane == Lane::Connection { "bad_seal" } else { "envelope" };
        let places: &[(usize, &str)] = if ground.is_keyed {
            &[
                (1, "envelope"),
                (2, of_stream),
                (5, "sealed"),
                (10, "bad_seal"),
                (28, "wrong_token"),
                (32, "envelope"),
                (35, "bad_seal"),
                (41, "bad_seal"),
                (HEAD, "bad_seal"),
                (HEAD + CALL.len(), "bad_seal"),
                (OVERHEAD + CALL.len() - 1, "bad_seal"),
            ]
        } else {
            &[(1, "malformed"), (6, "malformed"), (70, "malformed")]
        };
        for (place, counter) in places {
            let mut villain = Villain::member(ground, lane);
            let frame = villain.changed(CALL, |bytes| bytes[*place] ^= 4);
            let what = what(ground, lane, &format!("a bit of byte {place}"));
            ground.drops(&what, counter, &mut villain, &frame);
        }
        // Checked by the body's own sum.
        let mut villain = Villain::member(ground, lane);
        let packed = packed(&CALL.repeat(20));
        let frame = villain.changed(&packed, |bytes| bytes[packed.len() / 2] ^= 4);
        let counter = if ground.is_keyed { "bad_seal" } else { "compression" };
        ground.drops(&what(ground, lane, "a bit of a body"), counter, &mut villain, &frame);
    });
}

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_cut_frame() {
    in_every_mode(|ground, lane| {
        let (whole, lengths): (usize, &[(usize, &str)]) = if ground.is_keyed {
            let whole = CALL.len() + OVERHEAD;
            (whole, &[(1, "envelope"), (HEAD, "envelope"), (59, "envelope"), (60, "bad_seal")])
        } else {
            (CALL.len(), &[(1, "malformed"), (40, "malformed")])
        };
        let last = (whole - 1, lengths[lengths.len() - 1].1);
        for (length, counter) in lengths.iter().chain([&last]) {
            let mut villain = Villain::member(ground, lane);
            let frame = villain.changed(CALL, |bytes| bytes.truncate(*length));
            let what = what(ground, lane, &format!("{length} bytes of {whole}"));
            ground.drops(&what, counter, &mut villain, &frame);
        }
        let mut villain = Villain::member(ground, lane);
        let body = packed(&CALL.repeat(20));
        let frame = villain.frame(&body[..body.len() - 1]);
        ground.drops(&what(ground, lane, "a cut body"), "compression", &mut villain, &frame);
        if lane == Lane::Datagrams {
            ground.drops(&what(ground, lane, "nothing"), "empty", &mut villain, b"");
        } else {
            ground.run(ground.scene.forgets_half_a_frame(&mut villain, CALL));
        }
    });
}

#[test]
fn a_claim_of_4_gib() {
    in_every_mode(|ground, lane| {
        for (number, plain) in claims().iter().enumerate() {
            let what = what(ground, lane, &format!("claim {number}"));
            let of_stranger = if ground.is_keyed { "plaintext" } else { "malformed" };
            from_both(ground, lane, &what, plain, ["malformed", of_stranger]);
        }
        if lane == Lane::Connection {
            for kind in 0..5 {
                let header = [kind, 0x4c, 2, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
                for mut villain in [Villain::stranger(ground, lane), Villain::member(ground, lane)]
                {
                    let what = what(ground, lane, &format!("a frame of kind {kind}"));
                    ground.drops(&what, "closed_malformed", &mut villain, &header);
                }
            }
        }
    });
}

#[test]
fn a_body_of_a_thousand_to_one() {
    in_every_mode(|ground, lane| {
        let mut villain = Villain::stranger(ground, lane);
        let frame = villain.framed(&bomb(3 << 20));
        let counter = if ground.is_keyed { "unknown_format" } else { "oversized" };
        ground.drops(&what(ground, lane, "a stranger's"), counter, &mut villain, &frame);
        for size in [3 << 20, 60 << 20] {
            let mut villain = Villain::member(ground, lane);
            let frame = villain.frame(&bomb(size));
            let what = what(ground, lane, &format!("of {size} bytes"));
            ground.drops(&what, "oversized", &mut villain, &frame);
        }
        // As a large message: records of a stream, and the end of it.
        if lane == Lane::Connection {
            // The last is as much as may be sent at once.
            for size in [3 << 20, 60 << 20, 240 << 20] {
                let mut villain = Villain::member(ground, lane);
                let bomb = bomb(size);
                let records = bomb.chunks(60_000).chain([&b""[..]]);
                let stream: Vec<u8> = records
                    .flat_map(|bytes| villain.frame(&[b"\x02\x01\0\0\0\x01", bytes].concat()))
                    .collect();
                let what = what(ground, lane, &format!("a message of {size} bytes"));
                ground.drops(&what, "oversized", &mut villain, &stream);
            }
        }
    });
}

#[test]
fn lists_that_are_1024_deep() {
    in_every_mode(|ground, lane| {
        for (number, plain) in nests().iter().enumerate() {
            let what = what(ground, lane, &format!("nest {number}"));
            let of_stranger = match lane {
                // More than a stranger's datagram may hold.
                Lane::Datagrams if plain.len() > 4096 => "oversized",
                _ if ground.is_keyed => "plaintext",
                _ => "too_deep",
            };
            from_both(ground, lane, &what, plain, ["too_deep", of_stranger]);
        }
    });
}
