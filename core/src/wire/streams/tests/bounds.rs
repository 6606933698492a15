//! Every bound, at the bound and one above.

use super::super::application::OpenError;
use super::*;
use crate::config::Config;

#[test]
fn the_limits_are_those_of_the_configuration() {
    let config = Config::default()
        .with_max_streams(7)
        .with_stream_window(16 << 10)
        .with_stream_record(1 << 10)
        .with_max_message(5000)
        .with_max_assembly(6000)
        .with_max_message_queue(8000);
    assert_eq!(config.check(), Ok(()));
    let wanted = StreamLimits {
        streams: 7,
        initial: 256 << 10,
        window: 16 << 10,
        message_window: 64 << 10,
        record: 1 << 10,
        turn: 1_114_112,
        message: 5000,
        assembly: 6000,
        queue: 8000,
    };
    assert_eq!(StreamLimits::of(&config), wanted);
    assert!(config.clone().with_stream_window((16 << 10) - 1).check().is_err());
    let small = Config::default().with_max_buffered(1 << 20);
    assert_eq!(StreamLimits::of(&small).assembly, 1 << 19, "of a node that holds little");
    assert!(config.with_stream_window((16 << 20) + 1).check().is_err());
}

#[test]
fn streams_of_each_end() {
    let (mut one, mut other) = ends();
    let streams: Vec<u32> = (0..4).map(|_| joined(&mut one, &mut other)).collect();
    assert_eq!(one.open(), Err(OpenError::Full(4)));
    // The other direction of opening and messages have places of their own.
    joined(&mut other, &mut one);
    one.push_message("m", pattern(20)).unwrap();
    assert!(matches!(&carry(&mut one, &mut other).1[..], [Arrived::Message(_)]));
    // A place is free when the reset has left.
    one.reset(streams[0], ErrorCode::CANCELLED).unwrap();
    assert_eq!(one.open(), Err(OpenError::Full(4)));
    carry(&mut one, &mut other);
    joined(&mut one, &mut other);
}

#[test]
fn streams_that_the_far_end_has_too_many_of() {
    let (_, mut other) = ends();
    for number in [1, 3, 5, 7] {
        assert_eq!(other.expect(number), Ok(true));
    }
    assert_eq!(other.expect(9), Ok(false));
    assert_eq!(next(&mut other).unwrap().0, reset(9, ErrorCode::BUSY));
    assert_eq!(other.on_record(&bytes(9, &pattern(64))), Ok(Arrived::Nothing));
    assert_eq!(other.on_record(&bytes(9, b"x")), Err(StreamError::BeyondCredit(9)));
}

#[test]
fn messages_at_once() {
    let (mut one, mut other) = ends();
    for tag in ["a", "b", "c", "d", "e"] {
        one.push_message(tag, pattern(100)).unwrap();
    }
    while next(&mut one).is_some() {}
    assert_eq!((one.held().messages_out, one.counts.sending), (5, 4));

    for number in [1, 3, 5, 7] {
        assert_eq!(other.on_record(&bytes(number, b"x")), Ok(Arrived::Nothing));
    }
    let refused = other.on_record(&bytes(9, b"x"));
    assert_eq!(refused, Ok(Arrived::TurnedAway(ErrorCode::BUSY)));
    assert_eq!(next(&mut other).unwrap().0, reset(9, ErrorCode::BUSY));
    // As much again for a stream that the message may have announced.
    assert_eq!(other.on_record(&bytes(9, &pattern(64 + 63))), Ok(Arrived::Nothing));
    assert_eq!(other.on_record(&bytes(9, b"x")), Err(StreamError::BeyondCredit(9)));
    assert_eq!(other.on_record(&bytes(11, &pattern(129))), Err(StreamError::BeyondCredit(11)));
    assert_eq!(other.held().bytes_in, 4);
}

#[test]
fn refusals_that_nobody_reads() {
    let (_, mut other) = ends();
    for number in [1, 3, 5, 7] {
        other.on_record(&bytes(number, b"x")).unwrap();
    }
    let mut number = 7;
    for _ in 0..MAX_REFUSALS {
        number += 2;
        assert!(other.on_record(&bytes(number, b"x")).is_ok());
    }
    let error = Err(StreamError::TooManyRefused);
    assert_eq!(other.on_record(&bytes(number + 2, b"x")), error);
    next(&mut other).unwrap();
    assert!(other.on_record(&bytes(number + 4, b"x")).is_ok());
    carry_into_nothing(&mut other);
    other.relax();
    assert!(other.refusals.capacity() <= KEPT_PLACES);
}

fn carry_into_nothing(from: &mut End) {
    while next(from).is_some() {}
}

#[test]
fn one_message() {
    let (mut one, _) = ends();
    let error = PushError::TooLarge { size: 1001, limit: 1000 };
    assert_eq!(one.push_message("m", pattern(1001)), Err((error, pattern(1001).into())));
    assert_eq!(error.code(), ErrorCode::TOO_LARGE);
    assert_eq!(one.push_message("m", pattern(1000)), Ok(()));
    for (limits, size, code) in [
        (limits(), 1000, ErrorCode::TOO_LARGE),
        // Larger than all that is put together, it would never fit.
        (StreamLimits { assembly: 500, ..limits() }, 500, ErrorCode::TOO_LARGE),
    ] {
        let mut other: End = end(false, StreamLimits { initial: 2000, ..limits });
        assert_eq!(other.on_record(&bytes(1, &pattern(size))), Ok(Arrived::Nothing));
        assert_eq!(other.held().bytes_in, size);
        assert_eq!(other.on_record(&bytes(1, b"x")), Ok(Arrived::TurnedAway(code)));
        assert_eq!(other.held().bytes_in, 0, "given back at once");
        assert_eq!(next(&mut other).unwrap().0, reset(1, code));
        assert!(other.is_idle());
    }
}

#[test]
fn messages_being_put_together() {
    let limits = StreamLimits { initial: 1000, assembly: 1500, ..limits() };
    let mut other: End = end(false, limits);
    other.on_record(&bytes(1, &pattern(900))).unwrap();
    assert_eq!(other.on_record(&bytes(3, &pattern(600))), Ok(Arrived::Nothing));
    let busy = Ok(Arrived::TurnedAway(ErrorCode::BUSY));
    assert_eq!(other.on_record(&bytes(3, b"x")), busy);
    assert_eq!(next(&mut other).unwrap().0, reset(3, ErrorCode::BUSY));
    assert_eq!(other.on_record(&bytes(5, &pattern(600))), Ok(Arrived::Nothing));
    assert_eq!(other.on_record(&bytes(1, b"")), Ok(Arrived::Message(pattern(900))));
    assert_eq!(other.held().bytes_in, 600);
}

#[test]
fn messages_waiting_to_be_sent() {
    let (mut one, mut other) = ends();
    for _ in 0..5 {
        one.push_message("m", pattern(1000)).unwrap();
    }
    let error = PushError::Full { waiting: 5000, size: 1 };
    assert_eq!(one.push_message("n", vec![7]), Err((error, vec![7].into())));
    assert_eq!(error.code(), ErrorCode::BUSY);
    settle(&mut one, &mut other);
    assert_eq!(one.push_message("n", vec![7]), Ok(()));
    // A message may be larger than the queue if it is the only one.
    let mut one: End = end(true, StreamLimits { queue: 100, ..limits() });
    assert_eq!(one.push_message("m", pattern(1000)), Ok(()));
    assert!(one.push_message("n", pattern(1)).is_err());
    // Empty ones are counted.
    let mut one: End = end(true, limits());
    for _ in 0..MAX_WAITING {
        one.push_message("m", vec![]).unwrap();
    }
    assert!(one.push_message("m", vec![]).is_err());
}

#[test]
fn bytes_waiting_to_be_sent_or_read() {
    let (mut one, mut other) = ends();
    let stream = joined(&mut one, &mut other);
    assert_eq!(one.write(stream, &pattern(WINDOW + 1)), Ok(WINDOW));
    assert_eq!(one.write(stream, b"x"), Ok(0));
    carry(&mut one, &mut other);
    assert_eq!(one.write(stream, &pattern(WINDOW + 1)), Ok(WINDOW));
    carry(&mut one, &mut other);
    assert_eq!((one.held().unsent, other.held().unread), (WINDOW, WINDOW));
}

#[test]
fn an_announced_window_takes_no_memory_and_a_burst_is_given_back() {
    let large = StreamLimits { initial: 1 << 20, window: 1 << 20, message: 1 << 20, ..limits() };
    let large = StreamLimits { assembly: 1 << 21, ..large };
    let (mut one, mut other): (End, End) = (end(true, large), end(false, large));
    let stream = joined(&mut one, &mut other);
    other.on_record(&bytes(3, b"x")).unwrap();
    assert!(memory(&one) + memory(&other) < 2000);
    other.on_record(&bytes(3, &pattern(100_000))).unwrap();
    assert!(memory(&other) < 202_000, "at most twice what has arrived");
    other.on_record(&bytes(3, &pattern(500_000))).unwrap();
    other.on_record(&bytes(3, &pattern((1 << 20) - 600_001))).unwrap();
    assert!(memory(&other) < (1 << 20) + 2000, "no more than the largest message");
    other.on_record(&reset(3, ErrorCode::CANCELLED)).unwrap();
    other.relax();
    assert_eq!(one.write(stream, &pattern(1 << 20)), Ok(1 << 20));
    carry(&mut one, &mut other);
    assert_eq!(read_all(&mut other, stream).0.len(), 1 << 20);
    assert!(memory(&one) + memory(&other) < 2000, "{} {}", memory(&one), memory(&other));
}

#[test]
fn streams_that_are_gone_do_not_pile_up_in_the_queues() {
    let (mut one, _) = ends();
    // The link takes nothing of ours, and the far end makes us owe it grants, then resets.
    for number in (2..20_000).step_by(2) {
        assert_eq!(one.expect(number), Ok(true));
        one.on_record(&bytes(number, &pattern(64))).unwrap();
        read_all(&mut one, number);
        one.write(number, b"x").unwrap();
        one.on_record(&reset(number, ErrorCode::CANCELLED)).unwrap();
        assert!(one.controls.len() <= 2 * 4 + KEPT_PLACES);
        assert!(one.round.len() <= 2 * 4 + KEPT_PLACES);
    }
    assert!(one.is_idle());
    assert_eq!(next(&mut one), None);
}

#[test]
fn what_the_whole_node_may_hold() {
    let budget = ByteBudget::new(400);
    let all = ByteBudget::new(200);
    let (account, assembled) = (budget.account(), all.account());
    let mut other: End = Streams::new(false, limits(), account, assembled, rooms());
    let mut rest = budget.account();
    assert_eq!(other.expect(1), Ok(true));
    assert_eq!(other.on_record(&bytes(1, &pattern(60))), Ok(Arrived::Readable(1)));
    assert_eq!(other.on_record(&bytes(3, &pattern(60))), Ok(Arrived::Nothing));
    assert_eq!(budget.held(), 120, "a lone connection may hold more than its share");
    rest.charge(80);
    // Half of it is held, and this connection has more than a quarter.
    assert_eq!(other.on_record(&bytes(1, b"x")), Ok(Arrived::Crowded(Some(1))));
    assert_eq!(other.held().unread, 0, "given back at once");
    assert_eq!(other.on_record(&bytes(3, b"x")), Ok(Arrived::Nothing));
    rest.charge(208);
    assert_eq!(other.on_record(&bytes(3, b"x")), Ok(Arrived::Nothing));
    assert_eq!((budget.held(), all.held()), (350, 62));
    // The last eighth is not for messages.
    assert_eq!(other.on_record(&bytes(3, b"x")), Ok(Arrived::Crowded(None)));
    assert_eq!(all.held(), 0);
    rest.charge(51);
    let said: Vec<_> = std::iter::from_fn(|| next(&mut other)).map(|(record, _)| record).collect();
    assert!(said.contains(&reset(1, ErrorCode::BUSY)) && said.contains(&reset(3, ErrorCode::BUSY)));
    assert_eq!(budget.held(), 339);
    let (error, _) = other.push_message("m", pattern(62)).unwrap_err();
    assert_eq!((error.code(), error.limit()), (ErrorCode::BUSY, "max_buffered"));
    assert_eq!(other.push_message("m", pattern(61)), Ok(()));
    assert_eq!(budget.held(), 400);
    drop(other);
    assert_eq!(budget.held(), 339);
}
