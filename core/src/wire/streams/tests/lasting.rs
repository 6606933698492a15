//! Application streams: numbers, credit, ends, and who is woken when.

use super::super::application::OpenError;
use super::*;

#[test]
fn each_end_has_numbers_of_its_own() {
    let (mut one, mut other) = ends();
    assert_eq!([one.open(), one.open(), one.open()], [Ok(1), Ok(3), Ok(5)]);
    assert_eq!([other.open(), other.open(), other.open()], [Ok(2), Ok(4), Ok(6)]);
    for wrong in [0, 2, 8] {
        assert_eq!(other.expect(wrong), Err(StreamError::Unknown(wrong)));
    }
    assert_eq!(other.expect(7), Ok(true));
    assert_eq!(other.expect(7), Err(StreamError::InUse(7)));
}

#[test]
fn numbers_end_and_messages_that_wait_have_theirs() {
    let mut one: End = end(true, limits());
    one.next = u64::from(u32::MAX) - 2;
    one.push_message("m", pattern(1)).unwrap();
    assert_eq!(one.open(), Ok(u32::MAX - 2));
    assert_eq!(one.open(), Err(OpenError::Exhausted));
    assert_eq!(one.push_message("n", vec![1]), Err((PushError::Exhausted, vec![1].into())));
    assert_eq!(next(&mut one).unwrap().0[2..6], [0xff; 4]);
    assert_eq!(one.open(), Err(OpenError::Exhausted));
    let mut other: End = end(false, limits());
    other.next = u64::from(u32::MAX) - 1;
    assert_eq!(other.open(), Ok(u32::MAX - 1));
    assert_eq!(other.open(), Err(OpenError::Exhausted));
}

#[test]
fn bytes_go_both_ways_until_both_ends_have_finished() {
    let (mut one, mut other) = ends();
    let stream = joined(&mut one, &mut other);
    assert_eq!(one.write(stream, b"question"), Ok(8));
    assert_eq!(one.finish(stream), Ok(()));
    assert_eq!(one.write(stream, b"more"), Err(Gone));
    let (_, arrived) = carry(&mut one, &mut other);
    assert_eq!(arrived, [Arrived::Readable(stream), Arrived::Finished(stream)]);
    let mut out = b"kept ".to_vec();
    let taken = other.read(stream, 3, &mut out);
    assert_eq!((taken, &out[..]), (Ok(Taken { bytes: 3, end: false }), &b"kept que"[..]));
    assert_eq!(read_all(&mut other, stream), (b"stion".to_vec(), true));
    assert_eq!(read_all(&mut other, stream), (vec![], true), "still there: it may answer");
    assert_eq!(other.write(stream, b"answer"), Ok(6));
    assert_eq!(other.finish(stream), Ok(()));
    let (_, arrived) = carry(&mut other, &mut one);
    assert_eq!(arrived, [Arrived::Readable(stream), Arrived::Finished(stream)]);
    assert!(other.is_idle() && !one.is_idle(), "one has something to read");
    assert_eq!(read_all(&mut one, stream), (b"answer".to_vec(), true));
    assert!(one.is_idle());
    for end in [&mut one, &mut other] {
        assert_eq!(end.write(stream, b"x"), Err(Gone));
        assert_eq!(end.read(stream, 1, &mut out), Err(Gone));
        assert_eq!(end.finish(stream), Err(Gone));
        assert_eq!(end.reset(stream, ErrorCode::CANCELLED), Err(Gone));
    }
}

#[test]
fn nothing_of_a_stream_is_sent_before_it_is_announced() {
    let (mut one, mut other) = ends();
    let stream = one.open().unwrap();
    one.write(stream, b"abc").unwrap();
    one.finish(stream).unwrap();
    assert_eq!(next(&mut one), None);
    for early in [credit(stream, 1), bytes(stream, b"x"), reset(stream, ErrorCode::BUSY)] {
        assert_eq!(one.on_record(&early), Err(StreamError::Unknown(stream)));
    }
    assert_eq!(other.expect(stream), Ok(true));
    one.announced(stream);
    let (_, arrived) = carry(&mut one, &mut other);
    assert_eq!(arrived, [Arrived::Readable(stream), Arrived::Finished(stream)]);

    // Reset before: the far end is told once it knows the stream.
    let stream = one.open().unwrap();
    one.reset(stream, ErrorCode::CANCELLED).unwrap();
    assert_eq!(next(&mut one), None);
    assert_eq!(other.expect(stream), Ok(true));
    one.announced(stream);
    let (_, arrived) = carry(&mut one, &mut other);
    assert_eq!(arrived, [Arrived::Reset(stream, ErrorCode::CANCELLED)]);

    // Its call was never sent.
    let stream = one.open().unwrap();
    let before = one.held().streams;
    one.withdraw(stream);
    assert_eq!((one.held().streams, next(&mut one)), (before - 1, None));
    let announced = joined(&mut one, &mut other);
    one.withdraw(announced);
    assert_eq!(one.held().streams, before, "too late for that");
}

#[test]
fn a_sender_stops_at_its_credit_and_goes_on_at_half() {
    let (mut one, mut other) = ends();
    let stream = joined(&mut one, &mut other);
    assert_eq!(one.write(stream, &pattern(WINDOW)), Ok(WINDOW));
    assert_eq!(carry(&mut one, &mut other).1, [Arrived::Readable(stream)]);
    assert_eq!(one.write(stream, &pattern(WINDOW)), Ok(WINDOW));
    assert_eq!(next(&mut one), None, "no credit");
    let mut out = Vec::new();
    other.read(stream, WINDOW / 2 - 1, &mut out).unwrap();
    assert_eq!(next(&mut other), None, "less than half is free");
    other.read(stream, 1, &mut out).unwrap();
    assert_eq!(next(&mut other).unwrap().0, credit(stream, 32));
    assert_eq!(next(&mut other), None);
    assert_eq!(one.on_record(&credit(stream, 32)), Ok(Arrived::Nothing));
    carry(&mut one, &mut other);
    assert_eq!((one.held().unsent, other.held().unread), (32, WINDOW));
    assert_eq!(next(&mut one), None);
    // What is read before the grant has left is in it.
    read_all(&mut other, stream);
    assert_eq!(next(&mut other).unwrap().0, credit(stream, 64));
}

#[test]
fn a_larger_window_is_granted_when_the_stream_begins() {
    let wide = StreamLimits { window: 200, ..limits() };
    let (mut one, mut other): (End, End) = (end(true, wide), end(false, wide));
    let stream = one.open().unwrap();
    assert_eq!(next(&mut one), None);
    one.announced(stream);
    assert_eq!(next(&mut one).unwrap().0, credit(stream, 136));
    assert_eq!(other.expect(stream), Ok(true));
    assert_eq!(next(&mut other).unwrap().0, credit(stream, 136));
    other.on_record(&bytes(3, &pattern(10))).unwrap();
    assert_eq!(next(&mut other).unwrap().0, credit(3, 146));
    // With a smaller one less is granted than was used, until it fits.
    let narrow = StreamLimits { window: 20, ..limits() };
    let mut other: End = end(false, narrow);
    other.expect(1).unwrap();
    other.on_record(&bytes(1, &pattern(64))).unwrap();
    read_all(&mut other, 1);
    assert_eq!(next(&mut other).unwrap().0, credit(1, 20));
}

#[test]
fn who_breaks_the_rules_is_named() {
    use StreamError::*;
    let cases: [(&str, &[Vec<u8>], StreamError); 13] = [
        ("no record", &[b"\x02\x03\x00\x00\x00\x01".to_vec()], Malformed),
        ("number 0", &[bytes(0, b"x")], Unknown(0)),
        ("a number of this end", &[bytes(6, b"x")], Unknown(6)),
        ("credit for what never was", &[credit(9, 1)], Unknown(9)),
        ("reset of what never was", &[reset(9, ErrorCode::BUSY)], Unknown(9)),
        ("beyond credit", &[bytes(1, &pattern(64)), bytes(1, b"x")], BeyondCredit(1)),
        ("at once", &[bytes(1, &pattern(65))], BeyondCredit(1)),
        ("bytes after the end", &[bytes(1, b""), bytes(1, b"x")], AfterEnd(1)),
        ("a second end", &[bytes(1, b""), bytes(1, b"")], AfterEnd(1)),
        ("bytes of our message", &[bytes(4, b"x")], WrongWay(4)),
        ("credit for its own message", &[bytes(9, b"x"), credit(9, 1)], WrongWay(9)),
        ("credit of nothing", &[credit(1, 0)], BadCredit(1)),
        ("too much credit", &[credit(1, u32::MAX - 64), credit(1, 1)], BadCredit(1)),
    ];
    for (name, frames, error) in cases {
        let mut end: End = end(false, limits());
        end.expect(1).unwrap();
        assert_eq!(end.open(), Ok(2));
        end.announced(2);
        end.push_message("m", pattern(20)).unwrap();
        next(&mut end).unwrap();
        let (last, before) = frames.split_last().unwrap();
        for frame in before {
            assert!(end.on_record(frame).is_ok(), "{name}");
        }
        assert_eq!(end.on_record(last), Err(error), "{name}");
    }
}

#[test]
fn a_reset_ends_both_directions_at_both_ends() {
    let (mut one, mut other) = ends();
    let stream = joined(&mut one, &mut other);
    one.write(stream, &pattern(20)).unwrap();
    other.write(stream, &pattern(20)).unwrap();
    carry(&mut one, &mut other);
    other.reset(stream, ErrorCode::TIMEOUT).unwrap();
    assert_eq!((other.held().unread, other.held().unsent), (0, 0));
    assert_eq!(other.read(stream, 1, &mut vec![]), Err(Gone));
    let (_, arrived) = carry(&mut other, &mut one);
    assert_eq!(arrived, [Arrived::Reset(stream, ErrorCode::TIMEOUT)]);
    assert!(one.is_idle() && other.is_idle());
    assert_eq!(next(&mut one), None);
}

#[test]
fn resets_that_cross_end_the_stream_silently() {
    let (mut one, mut other) = ends();
    let stream = joined(&mut one, &mut other);
    one.reset(stream, ErrorCode::CANCELLED).unwrap();
    other.reset(stream, ErrorCode::TIMEOUT).unwrap();
    let (mine, _) = next(&mut one).unwrap();
    let (theirs, _) = next(&mut other).unwrap();
    assert_eq!(one.on_record(&theirs), Ok(Arrived::Nothing));
    assert_eq!(other.on_record(&mine), Ok(Arrived::Nothing));
    // The one whose own reset has not left yet does not send it any more.
    let stream = joined(&mut one, &mut other);
    one.reset(stream, ErrorCode::CANCELLED).unwrap();
    assert_eq!(one.on_record(&reset(stream, ErrorCode::TIMEOUT)), Ok(Arrived::Nothing));
    assert_eq!(next(&mut one), None);
    assert!(one.is_idle());
}

#[test]
fn what_was_on_its_way_at_a_reset_is_ignored_up_to_its_credit() {
    let (_, mut other) = ends();
    other.expect(1).unwrap();
    other.on_record(&bytes(1, &pattern(10))).unwrap();
    other.reset(1, ErrorCode::CANCELLED).unwrap();
    // The reset has not left yet.
    assert_eq!(other.on_record(&bytes(1, &pattern(20))), Ok(Arrived::Nothing));
    assert_eq!(other.on_record(&credit(1, 5)), Ok(Arrived::Nothing));
    next(&mut other).unwrap();
    assert!(other.is_idle());
    assert_eq!(other.on_record(&bytes(1, &pattern(34))), Ok(Arrived::Nothing));
    assert_eq!(other.on_record(&credit(1, 5)), Ok(Arrived::Nothing));
    assert_eq!(other.on_record(&bytes(1, b"")), Ok(Arrived::Nothing));
    assert_eq!(other.on_record(&reset(1, ErrorCode::BUSY)), Ok(Arrived::Nothing));
    assert_eq!(other.on_record(&bytes(1, b"x")), Err(StreamError::BeyondCredit(1)));
    assert!(other.is_idle());
    // One that had ended may send nothing more.
    other.expect(3).unwrap();
    other.on_record(&bytes(3, b"")).unwrap();
    other.reset(3, ErrorCode::CANCELLED).unwrap();
    next(&mut other).unwrap();
    assert_eq!(other.on_record(&bytes(3, b"x")), Err(StreamError::BeyondCredit(3)));
}

#[test]
fn a_reader_is_woken_when_there_was_nothing_and_a_writer_when_half_is_free() {
    let (mut one, mut other) = ends();
    let stream = joined(&mut one, &mut other);
    let readable = Arrived::Readable(stream);
    assert_eq!(other.on_record(&bytes(stream, b"ab")), Ok(readable.clone()));
    assert_eq!(other.on_record(&bytes(stream, b"cd")), Ok(Arrived::Nothing));
    other.read(stream, 3, &mut vec![]).unwrap();
    assert_eq!(other.on_record(&bytes(stream, b"ef")), Ok(Arrived::Nothing), "not empty");
    read_all(&mut other, stream);
    assert_eq!(other.on_record(&bytes(stream, b"gh")), Ok(readable));

    let stream = joined(&mut one, &mut other);
    assert_eq!(one.write(stream, &pattern(WINDOW)), Ok(WINDOW));
    assert_eq!(carry(&mut one, &mut other).0, [], "nobody was turned away");
    one.on_record(&credit(stream, 100)).unwrap();
    assert_eq!(one.write(stream, &pattern(WINDOW + 1)), Ok(WINDOW));
    let mut out = Vec::new();
    for _ in 0..3 {
        assert_eq!(one.next_record(1000, &mut out), Some(Left::Record));
    }
    assert_eq!(one.held().unsent, 34);
    assert_eq!(one.write(stream, &[]), Ok(0), "asks for nothing and changes nothing");
    assert_eq!(one.next_record(1000, &mut out), Some(Left::Writable(stream)));
    assert_eq!(one.next_record(1000, &mut out), Some(Left::Record), "once");
}

#[test]
fn a_reader_that_stalls_holds_nobody_up() {
    let (mut one, mut other) = ends();
    let stalled = joined(&mut one, &mut other);
    let lively = joined(&mut one, &mut other);
    let mut got = Vec::new();
    for _ in 0..20 {
        one.write(stalled, &pattern(WINDOW)).unwrap();
        assert_eq!(one.write(lively, &pattern(WINDOW)), Ok(WINDOW));
        one.push_message("m", pattern(200)).unwrap();
        settle(&mut one, &mut other);
        got.extend(read_all(&mut other, lively).0);
        settle(&mut one, &mut other);
    }
    assert_eq!(got, pattern(WINDOW).repeat(20));
    assert_eq!(one.held().messages_out, 0);
    assert_eq!((one.held().unsent, other.held().unread), (WINDOW, WINDOW));
    assert!(!one.is_ready() && !other.is_ready(), "nothing turns in circles");
}

#[test]
fn streams_take_turns_after_grants_and_resets() {
    let (mut one, mut other) = ends();
    let (a, b) = (joined(&mut one, &mut other), joined(&mut one, &mut other));
    let c = joined(&mut other, &mut one);
    one.write(a, &pattern(25)).unwrap();
    one.write(b, &pattern(15)).unwrap();
    one.on_record(&bytes(c, &pattern(40))).unwrap();
    let first = next(&mut one).unwrap().0;
    read_all(&mut one, c);
    let mut rest = Vec::new();
    while let Some((frame, _)) = next(&mut one) {
        rest.push((frame[1], u32::from(frame[5]), frame.len() - HEAD));
    }
    assert_eq!(first, bytes(a, &pattern(10)));
    assert_eq!(rest, [(2, c, 5), (1, b, 10), (1, a, 10), (1, b, 5), (1, a, 5)]);
}

#[test]
fn a_record_keeps_to_what_the_frame_may_have() {
    let (mut one, mut other) = ends();
    let stream = joined(&mut one, &mut other);
    one.write(stream, &pattern(30)).unwrap();
    let mut out = b"before".to_vec();
    for too_few in 0..HEAD + 5 {
        assert_eq!(one.next_record(too_few, &mut out), None);
    }
    assert_eq!(out, b"before");
    assert_eq!(one.next_record(HEAD + 5, &mut out), Some(Left::Record));
    assert_eq!(out, [&b"before"[..], &bytes(stream, &pattern(5))].concat());
}
