//! What is sent that is no frame, or half of one, or another than it says.

use lanc_core::framing::{Header, Kind, RECORD_HEAD, Service};
use lanc_core::ports::{DownReason, SendRefused};
use lanc_transport_tcp::TcpConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::side::{Side, config, within};
use crate::{closed, frame, raw};

#[tokio::test]
async fn five_hundred_malformed_streams_end_alone() {
    let mut server = Side::open(config().with_max_silent(64)).await;
    let mut client = Side::open(config()).await;
    let link = client.connect(&server).await;
    client.send(link, b"{\"first\"}").unwrap();
    assert_eq!(server.frame().await.1, b"{\"first\"}");
    let limit = u32::try_from(TcpConfig::MAX_FRAME + 12).unwrap();
    for round in 0..50 {
        let mut streams = Vec::new();
        for kind in 0..10_u8 {
            let mut bytes = frame(b"{}");
            match kind % 5 {
                0 => bytes = b"GET / HTTP/1.1\r\n\r\n".to_vec(),
                1 => bytes[2] = 1,
                2 => bytes[8..12].copy_from_slice(&11_u32.to_be_bytes()),
                3 => bytes[8..12].copy_from_slice(&(limit + 1).to_be_bytes()),
                // Half a frame, then the end.
                _ => bytes.truncate(12 + usize::from(kind % 2)),
            }
            let mut stream = raw(&server).await;
            stream.write_all(&bytes).await.unwrap();
            if kind % 5 == 4 {
                stream.shutdown().await.unwrap();
            }
            streams.push(stream);
        }
        for _ in 0..10 {
            assert_eq!(server.down().await.1, DownReason::Broken);
        }
        for stream in &mut streams {
            closed(stream).await;
        }
        client.send(link, &[b'{', round]).unwrap();
        assert_eq!(server.frame().await.1, [b'{', round], "the good link goes on");
    }
    let counts = server.stats.counts();
    assert_eq!((counts.accepted, counts.closed_malformed), (501, 400));
    assert_eq!(counts.frames_in, 51);
}

/// One of each kind.
const FRAMES: [&[u8]; 9] = [
    b"{\"a\":1}",
    b"",
    b"\x81\xa1a\x01",
    b"\x01sealed",
    b"\x78\x9cpacked",
    b"\x02\x01\x00\x00\x00\x07bytes of a stream",
    b"\x02\x02\x00\x00\x00\x07",
    b"m of another format",
    b"{}",
];

#[tokio::test]
async fn frames_come_whole_however_the_stream_is_cut() {
    let mut server = Side::open(config()).await;
    let mut stream = raw(&server).await;
    stream.set_nodelay(true).unwrap();
    for byte in FRAMES.iter().flat_map(|bytes| frame(bytes)) {
        stream.write_all(&[byte]).await.unwrap();
        server.settle().await;
    }
    // And many at once, more than one poll takes.
    stream.write_all(&frame(&[b'{'; 3000])).await.unwrap();
    stream.write_all(&frame(b"{}").repeat(200)).await.unwrap();
    for bytes in FRAMES {
        assert_eq!(server.frame().await.1, bytes);
    }
    assert_eq!(server.frame().await.1, [b'{'; 3000]);
    for _ in 0..200 {
        assert_eq!(server.frame().await.1, b"{}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_at_any_byte_goes_down_in_order() {
    let mut server = Side::open(config()).await;
    let (mut whole, mut ends) = (Vec::new(), Vec::new());
    for bytes in FRAMES {
        whole.extend(frame(bytes));
        ends.push(whole.len());
    }
    let mut passed = 0;
    for cut in 0..=whole.len() {
        let mut stream = raw(&server).await;
        stream.write_all(&whole[..cut]).await.unwrap();
        drop(stream);
        let link = server.up().await;
        let arrived = ends.iter().filter(|end| **end <= cut).count();
        for bytes in &FRAMES[..arrived] {
            assert_eq!(server.frame().await, (link, bytes.to_vec()), "cut at {cut}");
        }
        let in_order = cut == 0 || ends.contains(&cut);
        let reason = if in_order { DownReason::ClosedThere } else { DownReason::Broken };
        assert_eq!(server.down().await, (link, reason), "cut at {cut}");
        passed += u64::try_from(arrived).unwrap();
    }
    let counts = server.stats.counts();
    assert_eq!(counts.accepted, u64::try_from(whole.len()).unwrap() + 1);
    assert_eq!((counts.frames_in, counts.frames_ignored), (passed, 0));
    assert_eq!((counts.closed_malformed, counts.closed_silent), (0, 0));
}

#[tokio::test]
async fn halves_that_are_stuck_disturb_nobody_and_may_become_whole() {
    let mut server = Side::open(config()).await;
    let mut client = Side::open(config()).await;
    let link = client.connect(&server).await;
    let large = frame(&[b'{'; 60_000]);
    let mut stuck = Vec::new();
    for cut in [1, 11, 12, 13, 30_000, 60_011] {
        let mut stream = raw(&server).await;
        stream.write_all(&[&frame(b"{spoken}"), &large[..cut]].concat()).await.unwrap();
        assert_eq!(server.frame().await.1, b"{spoken}");
        stuck.push((stream, cut));
    }
    for round in 0..100 {
        client.send(link, &[b'{', round]).unwrap();
        let (back, body) = server.frame().await;
        server.send(back, &body).unwrap();
        assert_eq!(client.frame().await.1, [b'{', round]);
    }
    for (stream, cut) in &mut stuck {
        server.pump(stream.write_all(&large[*cut..])).await.unwrap();
        assert_eq!(server.frame().await.1, [b'{'; 60_000]);
    }
}

#[tokio::test]
async fn a_header_that_contradicts_its_body_and_services_not_known_are_passed_over() {
    let mut server = Side::open(config()).await;
    let mut stream = raw(&server).await;
    let cases: [(u8, u8, u32, &[u8]); 10] = [
        (1, 0, 0, b"\x81\xa1a\x01"),
        (1, 0, 0, b"\x02\x01\x00\x00\x00\x07{}"),
        (0, 0, 0, b"\x02\x01\x00\x00\x00\x07{}"),
        (0, 0, 0, b"{}"),
        (2, 0, 0, b"{}"),
        (3, 0, 0, b"{}"),
        (1, 0, 1, b"{}"),
        (1, 1, 7, b"{}"),
        (0, 3, 7, b"{}"),
        (9, 0, 0, b"{}"),
    ];
    for (kind, service, id, body) in cases {
        let header = Header::new(Kind(kind), Service(service), id, body.len()).unwrap();
        stream.write_all(&[&header.encode(), body].concat()).await.unwrap();
    }
    stream.write_all(&frame(b"{known}")).await.unwrap();
    assert_eq!(server.frame().await.1, b"{known}");
    let counts = server.stats.counts();
    assert_eq!((counts.frames_in, counts.frames_ignored), (1, 10));
}

#[tokio::test]
async fn frames_are_laid_out_as_written_and_a_record_travels_without_its_head() {
    let mut server = Side::open(config()).await;
    let mut stream = raw(&server).await;
    stream.write_all(&frame(b"{}")).await.unwrap();
    let (link, _) = server.frame().await;
    let cases: [(&[u8], [u8; 6], &[u8]); 6] = [
        (b"{}", [1, 0, 0, 0, 0, 0], b"{}"),
        (b"\x93", [2, 0, 0, 0, 0, 0], b"\x93"),
        (b"\x78\x9c", [4, 0, 0, 0, 0, 0], b"\x78\x9c"),
        (b"", [0, 0, 0, 0, 0, 0], b""),
        (b"\x02\x01\x01\x02\x03\x04data", [0, 1, 1, 2, 3, 4], b"data"),
        (b"\x02\x02\x00\x00\x00\x09", [0, 2, 0, 0, 0, 9], b""),
    ];
    for (bytes, [kind, service, id @ ..], body) in cases {
        server.send(link, bytes).unwrap();
        let mut got = vec![0; 12 + body.len()];
        within(stream.read_exact(&mut got)).await.unwrap();
        let length = u32::try_from(got.len()).unwrap().to_be_bytes();
        assert_eq!(got, [&[kind, 0x4C, 2, service], &id[..], &length, body].concat());
    }
    for bytes in [&b"\x02\x01\x00\x00\x00"[..], b"\x02", b"\x02\x03\x00\x00\x00\x07data"] {
        assert_eq!(server.send(link, bytes), Err(SendRefused::Unreachable), "no record");
    }
    assert_eq!(server.stats.counts().frames_out, 6);
}

#[tokio::test]
async fn a_record_is_no_larger_than_a_frame_may_be() {
    const MOST: usize = TcpConfig::MIN_FRAME;
    let mut server = Side::open(config().with_max_frame(MOST)).await;
    let mut stream = raw(&server).await;
    // Without its head the largest record and one byte more both pass as frames of the stream.
    for body in [MOST - RECORD_HEAD, MOST - RECORD_HEAD + 1, MOST] {
        let header = Header::new(Kind::RAW, Service::STREAM, 7, body).unwrap();
        stream.write_all(&[&header.encode()[..], &vec![1; body]].concat()).await.unwrap();
    }
    stream.write_all(&frame(b"{behind}")).await.unwrap();
    let (link, record) = server.frame().await;
    assert_eq!((record.len(), &record[..7]), (MOST, &[2, 1, 0, 0, 0, 7, 1][..]));
    assert_eq!(server.frame().await.1, b"{behind}");
    assert_eq!(server.stats.counts().frames_ignored, 2);
    server.send(link, &record).unwrap();
    assert_eq!(server.send(link, &[record, vec![1]].concat()), Err(SendRefused::TooLarge));
}
