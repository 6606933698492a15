//! Records that were read to where their message is put together.

use super::*;

#[test]
fn they_count_like_those_that_are_copied() {
    let (_, mut other) = ends();
    assert!(place(&mut other, 1, b"nothing has begun").is_none());
    other.on_record(&bytes(1, &pattern(20))).unwrap();
    assert_eq!(place(&mut other, 1, &pattern(251)[20..50]), Some(Ok(Arrived::Nothing)));
    assert_eq!((other.held().bytes_in, other.assembled()), (50, 50));
    // A grant is due, and comes.
    assert_eq!(next(&mut other).map(|(frame, _)| frame), Some(credit(1, 50)));
    other.on_record(&bytes(1, &pattern(251)[50..60])).unwrap();
    let whole = other.on_record(&bytes(1, b""));
    assert_eq!(whole, Ok(Arrived::Message(pattern(60))));
    assert_eq!((other.held().bytes_in, other.held().messages_in), (0, 0));
}

#[test]
fn nothing_is_taken_beyond_credit_and_bounds() {
    let (_, mut other) = ends();
    other.on_record(&bytes(1, b"x")).unwrap();
    assert_eq!(place(&mut other, 1, &pattern(64)), Some(Err(StreamError::BeyondCredit(1))));
    let narrow = StreamLimits { message: 40, ..limits() };
    let mut other: End = end(false, narrow);
    other.on_record(&bytes(1, b"x")).unwrap();
    assert!(place(&mut other, 1, &pattern(40)).is_none(), "it would be too large");
    let refused = other.on_record(&bytes(1, &pattern(40)));
    assert_eq!(refused, Ok(Arrived::TurnedAway(ErrorCode::TOO_LARGE)));
    assert!(place(&mut other, 1, b"y").is_none());
}

#[test]
fn what_was_on_its_way_when_its_message_was_turned_away_is_late() {
    let (_, mut other) = ends();
    other.on_record(&bytes(1, b"x")).unwrap();
    let (rooms, link) = other.rooms.clone();
    let room = rooms.lend(link, 1, 10).unwrap();
    assert!(other.end_largest());
    room.give_back(10);
    assert_eq!(other.on_placed(1, 10), Ok(Arrived::Nothing));
    while next(&mut other).is_some() {}
    assert_eq!(other.on_placed(1, 10), Ok(Arrived::Nothing), "the far end does not know yet");
    assert_eq!(other.on_placed(1, 1000), Err(StreamError::BeyondCredit(1)));
    assert_eq!(other.on_placed(3, 1), Err(StreamError::Unknown(3)));
}

#[test]
fn a_message_that_goes_on_after_its_end_ends_the_link() {
    let (_, mut other) = ends();
    other.on_record(&bytes(1, b"x")).unwrap();
    let (rooms, link) = other.rooms.clone();
    let _room = rooms.lend(link, 1, 10).unwrap();
    assert_eq!(other.on_placed(1, 10), Err(StreamError::Malformed), "it is not there");
    assert_eq!(other.on_record(&bytes(1, b"")), Err(StreamError::AfterEnd(1)));
}

#[test]
fn a_message_is_found_by_the_end_of_its_number() {
    let (_, mut other) = ends();
    assert_eq!(other.assembled_as(1), None);
    for number in [1, 0xffff, 0x1_0003] {
        other.on_record(&bytes(number, b"x")).unwrap();
    }
    let found = [1, 3, 5, 0xffff].map(|low| other.assembled_as(low));
    assert_eq!(
        found,
        [None, Some(0x1_0003), None, Some(0xffff)],
        "1 is too old, 5 was never there"
    );
    other.on_record(&bytes(0xffff, b"")).unwrap();
    assert_eq!(other.assembled_as(0xffff), None, "it is whole");
}

#[test]
fn records_of_messages_are_known_from_those_of_applications() {
    let (mut one, _) = ends();
    let stream = one.open().unwrap();
    one.announced(stream);
    one.write(stream, b"x").unwrap();
    one.push_message("message", b"x".to_vec()).unwrap();
    let mut seen = Vec::new();
    while let Some((record, _)) = next(&mut one) {
        seen.push((record.len() > 6, one.is_of_message(Some(&record))));
    }
    seen.sort_unstable();
    assert_eq!(seen, [(false, false), (true, false), (true, true)], "its end is of none any more");
    assert!(!one.is_of_message(None) && !one.is_of_message(Some(b"no record")));
}
