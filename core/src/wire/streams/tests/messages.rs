//! Messages: how they go, in which order, and what ends them.

use super::*;
use crate::payload::{Shared, Spliced};

#[test]
fn a_message_arrives_whole_and_its_sender_is_told() {
    let (mut one, mut other) = ends();
    for (size, records) in [(0, 1), (1, 2), (10, 2), (11, 3), (64, 8), (65, 8), (1000, 101)] {
        let message = pattern(size);
        let place = message.as_ptr();
        one.push_message("m", message).unwrap();
        let (mut count, mut end) = (0, None);
        while end.is_none() {
            let Some((frame, left)) = next(&mut one) else {
                // It waits for credit, and gets it at the latest when half of it is used up.
                carry(&mut other, &mut one);
                continue;
            };
            count += 1;
            let arrived = other.on_record(&frame).unwrap();
            if let Left::Message(tag, buffer) = left {
                let buffer = buffer.into_buffer();
                assert_eq!((tag, buffer.as_ptr()), ("m", place), "the bytes were moved");
                end = Some(arrived);
            } else {
                assert_eq!((left, arrived), (Left::Record, Arrived::Nothing));
            }
        }
        assert_eq!(end, Some(Arrived::Message(pattern(size))));
        // Sizes of records depend on credit only above the window.
        assert!(if size <= 64 { count == records } else { count >= records }, "{size}: {count}");
        settle(&mut one, &mut other);
        assert!(one.is_idle() && other.is_idle());
    }
    assert_eq!((one.held(), other.held()), (Held::default(), Held::default()));
}

#[test]
fn what_goes_over_the_wire_is_this() {
    let (mut one, mut other) = ends();
    one.push_message("m", b"hello".to_vec()).unwrap();
    assert_eq!(next(&mut one).unwrap().0, b"\x02\x01\x00\x00\x00\x01hello");
    assert_eq!(next(&mut one).unwrap().0, b"\x02\x01\x00\x00\x00\x01");
    other.push_message("m", b"hello".to_vec()).unwrap();
    assert_eq!(next(&mut other).unwrap().0, b"\x02\x01\x00\x00\x00\x02hello");
    one.push_message("m", vec![]).unwrap();
    assert_eq!(next(&mut one).unwrap().0, b"\x02\x01\x00\x00\x00\x03");
}

#[test]
fn a_message_gets_its_number_when_it_begins() {
    let (mut one, mut other) = ends();
    one.push_message("large", pattern(30)).unwrap();
    // The call that owns this stream leaves at once, before the first record of the message.
    let stream = joined(&mut one, &mut other);
    assert_eq!(stream, 1);
    let (frame, _) = next(&mut one).unwrap();
    assert_eq!(frame[2..6], [0, 0, 0, 3], "above all that the far end has heard of");
    assert_eq!(other.on_record(&frame), Ok(Arrived::Nothing));
    assert!(matches!(&carry(&mut one, &mut other).1[..], [Arrived::Message(_)]));
}

#[test]
fn a_stream_may_be_announced_after_messages_with_higher_numbers() {
    let (mut one, mut other) = ends();
    let stream = one.open().unwrap();
    one.write(stream, b"abc").unwrap();
    one.push_message("its own call", pattern(30)).unwrap();
    assert!(matches!(&carry(&mut one, &mut other).1[..], [Arrived::Message(_)]));
    assert_eq!(other.expect(stream), Ok(true));
    one.announced(stream);
    assert_eq!(carry(&mut one, &mut other).1, [Arrived::Readable(stream)]);
    assert_eq!(read_all(&mut other, stream), (b"abc".to_vec(), false));
}

#[test]
fn messages_take_turns_and_begin_in_order() {
    let (mut one, _) = ends();
    for tag in ["a", "b", "c"] {
        one.push_message(tag, pattern(15)).unwrap();
    }
    let mut turns = Vec::new();
    while let Some((frame, left)) = next(&mut one) {
        turns.push((frame[5], frame.len() - HEAD, left != Left::Record));
    }
    // All that wait to begin have one turn together. The half-close follows the last bytes.
    let wanted = [
        (1, 10, false),
        (3, 10, false),
        (1, 5, false),
        (1, 0, true),
        (5, 10, false),
        (3, 5, false),
        (3, 0, true),
        (5, 5, false),
        (5, 0, true),
    ];
    assert_eq!(turns, wanted);
}

#[test]
fn a_turn_may_last_several_records_where_there_are_only_messages() {
    let long = StreamLimits { turn: 2 * RECORD, ..limits() };
    let turns = |one: &mut End| -> Vec<_> {
        std::iter::from_fn(|| next(one)).map(|(frame, _)| (frame[5], frame.len() - HEAD)).collect()
    };
    let mut one: End = end(true, long);
    one.push_message("a", pattern(20)).unwrap();
    one.push_message("b", pattern(25)).unwrap();
    assert_eq!(turns(&mut one), [(1, 10), (1, 10), (1, 0), (3, 10), (3, 10), (3, 5), (3, 0)]);
    // What is longer than a turn waits for the others in between.
    one.push_message("a", pattern(25)).unwrap();
    one.push_message("b", pattern(15)).unwrap();
    let wanted = [(5, 10), (5, 10), (7, 10), (7, 5), (7, 0), (5, 5), (5, 0)];
    assert_eq!(turns(&mut one), wanted);
    // Whoever has no credit left does not keep the others from their turns.
    one.push_message("a", pattern(100)).unwrap();
    one.push_message("b", pattern(15)).unwrap();
    let sent: usize = turns(&mut one).iter().filter(|(number, _)| *number == 11).count();
    assert_eq!(sent, 3);
    // Bytes of a call come at once, not after a whole message.
    let (mut one, mut other): (End, End) = (end(true, long), end(false, long));
    let stream = joined(&mut one, &mut other);
    one.write(stream, &pattern(15)).unwrap();
    one.push_message("a", pattern(20)).unwrap();
    assert_eq!(turns(&mut one), [(1, 10), (3, 10), (1, 5), (3, 10), (3, 0)]);
}

#[test]
fn not_more_is_sent_at_once_than_the_far_end_puts_together() {
    let (mut one, mut other) = ends();
    for tag in ["a", "b", "c", "d"] {
        one.push_message(tag, pattern(1000)).unwrap();
    }
    let mut order = Vec::new();
    while !one.is_idle() {
        let (left, arrived) = carry(&mut one, &mut other);
        assert!(arrived.iter().all(|what| matches!(what, Arrived::Message(_))), "{arrived:?}");
        order.extend(left);
        assert!(one.begun <= 3000);
        carry(&mut other, &mut one);
    }
    let tags: Vec<_> = order
        .iter()
        .map(|left| if let Left::Message(tag, _) = left { *tag } else { "?" })
        .collect();
    assert_eq!(tags, ["a", "b", "c", "d"]);
    // Cancelling the next one lets a smaller one begin.
    let (mut one, _) = ends();
    for (tag, size) in [("a", 1000), ("b", 1000), ("c", 900), ("d", 101), ("e", 100)] {
        one.push_message(tag, pattern(size)).unwrap();
    }
    while next(&mut one).is_some() {}
    assert_eq!(one.begun, 2900);
    assert!(one.cancel_message(&"d") && next(&mut one).is_some());
    assert_eq!(one.begun, 3000);
    // One that is larger than that bound goes when it is alone.
    let tight = StreamLimits { assembly: 100, ..limits() };
    let mut one: End = end(true, tight);
    one.push_message("large", pattern(500)).unwrap();
    assert!(next(&mut one).is_some());
}

#[test]
fn a_cancelled_message_is_taken_out_or_reset() {
    let (mut one, mut other) = ends();
    one.push_message("waits", pattern(30)).unwrap();
    assert!(one.cancel_message(&"waits"));
    assert!(!one.cancel_message(&"waits"));
    assert_eq!(next(&mut one), None, "the far end never heard of it");
    assert!(one.is_idle());

    one.push_message("begun", pattern(30)).unwrap();
    let (frame, _) = next(&mut one).unwrap();
    other.on_record(&frame).unwrap();
    assert_eq!(other.held().bytes_in, 10);
    assert!(one.cancel_message(&"begun"));
    let (frame, left) = next(&mut one).unwrap();
    assert_eq!((&frame, left), (&reset(1, ErrorCode::CANCELLED), Left::Record));
    assert_eq!(other.on_record(&frame), Ok(Arrived::Nothing));
    assert!(one.is_idle() && other.is_idle());
    assert_eq!((one.held(), other.held()), (Held::default(), Held::default()));
}

#[test]
fn a_refused_message_is_told_by_its_tag() {
    let (mut one, _) = ends();
    one.push_message("m", pattern(30)).unwrap();
    next(&mut one).unwrap();
    let arrived = one.on_record(&reset(1, ErrorCode::BUSY));
    assert_eq!(arrived, Ok(Arrived::Refused("m", ErrorCode::BUSY)));
    assert_eq!(next(&mut one), None);
    assert!(one.is_idle());
    // A small one has left before the refusal can be here.
    let (mut one, mut other) = ends();
    for tag in ["0", "1", "2", "3", "4"] {
        one.push_message(tag, vec![1]).unwrap();
        let (frame, _) = next(&mut one).unwrap();
        other.on_record(&frame).unwrap();
        assert!(matches!(next(&mut one), Some((_, Left::Message(..)))));
    }
    assert!(one.is_idle());
    let (_, arrived) = carry(&mut other, &mut one);
    assert_eq!(arrived, [Arrived::Refused("4", ErrorCode::BUSY)]);
    assert_eq!(one.on_record(&reset(9, ErrorCode::BUSY)), Ok(Arrived::Nothing), "once");
    for _ in 0..MAX_RECENT - 1 {
        one.push_message("new", vec![]).unwrap();
        next(&mut one).unwrap();
    }
    assert_eq!(one.recent.len(), MAX_RECENT);
    let last = one.on_record(&reset(7, ErrorCode::BUSY));
    assert_eq!(last, Ok(Arrived::Refused("3", ErrorCode::BUSY)));
    assert_eq!(one.on_record(&reset(1, ErrorCode::BUSY)), Ok(Arrived::Nothing), "too long ago");
}

#[test]
fn a_link_that_ends_leaves_what_was_not_done() {
    let (mut one, mut other) = ends();
    let stream = joined(&mut one, &mut other);
    let over = joined(&mut one, &mut other);
    let theirs = joined(&mut other, &mut one);
    one.reset(over, ErrorCode::CANCELLED).unwrap();
    for tag in ["a", "b"] {
        one.push_message(tag, pattern(100)).unwrap();
    }
    for _ in 0..2 {
        next(&mut one).unwrap();
    }
    one.push_message("c", pattern(1)).unwrap();
    one.on_record(&bytes(20, b"half a message")).unwrap();
    let remains = one.dissolve();
    assert_eq!(
        (remains.messages, remains.streams),
        (vec!["a", "b", "c"], vec![(stream, None), (theirs, None)])
    );
}

#[test]
fn a_buffer_handed_back_is_used_again() {
    let (mut one, mut other) = ends();
    let mut place = None;
    for _ in 0..10 {
        one.push_message("m", pattern(60)).unwrap();
        let (_, mut arrived) = carry(&mut one, &mut other);
        let Some(Arrived::Message(buffer)) = arrived.pop() else { panic!("no message") };
        assert_eq!(*place.get_or_insert(buffer.as_ptr()), buffer.as_ptr());
        other.recycle(buffer);
        settle(&mut one, &mut other);
    }
    let kept = other.spare.capacity();
    assert!(kept >= 60);
    other.recycle(Vec::with_capacity(MAX_SPARE + 1));
    assert_eq!(other.spare.capacity(), kept, "too large to be kept");
    other.recycle(Vec::with_capacity(MAX_SPARE));
    assert_eq!(other.spare.capacity(), MAX_SPARE);
    // One is kept; who brings the next one is asked for another.
    assert!(!other.wants_spare());
    other.on_record(&bytes(101, b"a")).unwrap();
    assert!(other.wants_spare());
    other.recycle(Vec::with_capacity(MAX_SPARE));
    assert!(!other.wants_spare());
    other.on_record(&bytes(103, b"a")).unwrap();
    assert!(other.wants_spare());
    other.recycle(Vec::with_capacity(MAX_SPARE));
    other.relax();
    assert_eq!(other.spare.capacity(), 0);
}

#[test]
fn a_message_that_has_begun_is_granted_much_at_once() {
    for (message_window, grants) in [(0, 17), (640, 2)] {
        let limits = StreamLimits { message_window, ..limits() };
        let (mut one, mut other): (End, End) = (end(true, limits), end(false, limits));
        one.push_message("m", pattern(700)).unwrap();
        let (mut told, mut whole) = (0, false);
        while !whole {
            let Some((frame, _)) = next(&mut one) else { panic!("it waits for credit") };
            whole = other.on_record(&frame).unwrap() == Arrived::Message(pattern(700));
            while let Some((frame, _)) = next(&mut other) {
                told += 1;
                assert_eq!(one.on_record(&frame), Ok(Arrived::Nothing));
            }
        }
        assert_eq!(told, grants);
    }
}

#[test]
fn what_a_message_was_written_without_leaves_from_where_it_is() {
    let (mut one, mut other) = ends();
    let bulk = Shared::new(pattern(60));
    let parts = Spliced { own: b"<>", at: 1, bulk: &bulk };
    let gap = Gap::of(parts).at_end_of(b"head<>");
    one.push_message("m", Body::with_gap(b"head<>".to_vec(), gap)).unwrap();
    assert_eq!(one.held().bytes_out, 66);
    let (mut shared, mut arrived) = (0, Arrived::Nothing);
    while arrived == Arrived::Nothing {
        let (mut frame, mut tail) = (Vec::new(), None);
        if one.next_record_parts(100, &mut frame, &mut tail).is_none() {
            carry(&mut other, &mut one);
            continue;
        }
        if let Some(tail) = tail {
            assert!(bulk.as_ptr_range().contains(&tail.as_ptr()), "it was copied");
            shared += tail.len();
            frame.extend_from_slice(&tail);
        }
        arrived = other.on_record(&frame).unwrap();
    }
    let whole = [b"head<", pattern(60).as_slice(), b">"].concat();
    assert_eq!((arrived, shared), (Arrived::Message(whole), 60));
    assert_eq!(one.held().bytes_out, 0);
}
