//! What is gathered until the flush, and what is not.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;

use lanc_core::endpoint::LinkId;
use lanc_core::ports::{Close, Dest, SendRefused, Sent};

use crate::frame;
use crate::side::{Side, config};

/// A server and a far end that can look without waiting.
async fn pair() -> (Side, LinkId, TcpStream) {
    let mut server = Side::open(config()).await;
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(&frame(b"{}")).unwrap();
    let (link, _) = server.frame().await;
    (server, link, stream)
}

/// Whether anything is there: on loopback what was written is.
fn has_come(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    match peeked {
        Ok(count) => count > 0,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

fn expect(stream: &mut TcpStream, frames: &[Vec<u8>]) {
    let wanted: Vec<u8> = frames.iter().flat_map(|bytes| frame(bytes)).collect();
    let mut got = vec![0; wanted.len()];
    stream.read_exact(&mut got).unwrap();
    assert!(got == wanted, "the frames as they were offered");
}

#[tokio::test]
async fn small_frames_leave_with_the_flush_and_large_ones_at_once() {
    let (mut server, link, mut stream) = pair().await;
    let small: Vec<_> = (0..64).map(|number| vec![b'{', number]).collect();
    for bytes in &small {
        assert_eq!(server.offer(link, bytes), Ok(Sent::Whole));
    }
    assert!(!has_come(&stream), "a batch is written at its end");
    server.outlet.flush();
    expect(&mut stream, &small);
    let large = vec![b'{'; 16 * 1024];
    assert_eq!(server.offer(link, &large), Ok(Sent::Whole));
    expect(&mut stream, std::slice::from_ref(&large));
    // What was gathered before a large frame leaves before it.
    let mixed = [small[0].clone(), large, small[1].clone()];
    for bytes in &mixed {
        assert_eq!(server.offer(link, bytes), Ok(Sent::Whole));
    }
    expect(&mut stream, &mixed[..2]);
    assert!(!has_come(&stream));
    server.outlet.flush();
    expect(&mut stream, &mixed[2..]);
}

#[tokio::test]
async fn no_more_is_gathered_than_64_kib() {
    let (mut server, link, mut stream) = pair().await;
    // With their headers 64 of these fill the buffer to the last byte.
    let frames: Vec<_> = (0..65).map(|number| vec![number + 10; 1024 - 12]).collect();
    for bytes in &frames[..64] {
        assert_eq!(server.offer(link, bytes), Ok(Sent::Whole));
    }
    assert!(!has_come(&stream));
    assert_eq!(server.offer(link, &frames[64]), Ok(Sent::Whole));
    expect(&mut stream, &frames[..64]);
    assert!(!has_come(&stream), "the one too many waits for the flush");
    server.outlet.flush();
    expect(&mut stream, &frames[64..]);
}

#[tokio::test]
async fn frames_offered_together_go_behind_what_was_gathered_and_none_is_lost_where_there_is_no_room()
 {
    let (mut server, link, mut stream) = pair().await;
    let record = |number: u8| vec![number; 40_000];
    let mut wanted = vec![vec![b'{']];
    assert_eq!(server.offer(link, &wanted[0]), Ok(Sent::Whole));
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got
    });
    let (mut number, mut full) = (0, 0);
    while full < 5 {
        let frames: Vec<_> = (0..20).map(|more| record(10 + (number + more) % 90)).collect();
        let pieces: Vec<_> = frames.iter().map(|frame| frame.split_at(100)).collect();
        let pieces: Vec<_> =
            pieces.iter().map(|(one, other)| [IoSlice::new(one), IoSlice::new(other)]).collect();
        let (taken, refused) = server.outlet.try_send_all(Dest::Link(link), &pieces);
        number = (number + u8::try_from(taken).unwrap()) % 90;
        wanted.extend_from_slice(&frames[..taken]);
        if taken < frames.len() {
            assert_eq!(refused, Some(SendRefused::Full));
            full += 1;
            server.writable(link).await;
        }
    }
    server.outlet.close(link, Close::Flush);
    let reading = tokio::task::spawn_blocking(move || reader.join().unwrap());
    let got = server.pump(reading).await.unwrap();
    let wanted: Vec<u8> = wanted.iter().flat_map(|bytes| frame(bytes)).collect();
    assert!(got == wanted, "the frames as they were taken");
}
