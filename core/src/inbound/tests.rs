use super::*;
use crate::error::ErrorCode;

const SESSION: u64 = 7;

fn table(per_caller: usize, calls: usize) -> Inbound {
    let bounds = Bounds { per_caller, calls, answer_bytes: 140, one_answer: 60, callers: 2 };
    Inbound::new(bounds, HashKey::new([3; 16]))
}

fn id(number: u64) -> ExeId {
    ExeId { session: SESSION, number, random: 9 }
}

#[test]
fn a_number_is_known_until_the_watermark_passes_it_and_stale_from_then_on() {
    let mut inbound = table(8, 100);
    let caller = inbound.caller(Time::ZERO, SESSION, None).unwrap();
    for number in [5, 3, 9] {
        assert_eq!(inbound.look(caller, id(number)), Seen::New);
        inbound.remember(caller, id(number), Standing::Over);
        assert_eq!(inbound.look(caller, id(number)), Seen::Known(Standing::Over));
    }
    let other = ExeId { random: 10, ..id(5) };
    assert_eq!(inbound.look(caller, other), Seen::Forged);
    let mut passed = Vec::new();
    while let Some(entry) = inbound.pass(caller, 9) {
        passed.push(entry.number);
    }
    assert_eq!(passed, [3, 5], "the watermark itself is still waited for");
    assert_eq!(inbound.look(caller, id(8)), Seen::Stale);
    assert_eq!(inbound.look(caller, id(9)), Seen::Known(Standing::Over));
    assert_eq!(inbound.look(caller, id(10)), Seen::New);
    assert_eq!(inbound.calls(), 1);
}

#[test]
fn behind_a_long_call_the_oldest_ended_ones_are_told_apart_no_more() {
    let mut tasks: Slots<(), tag::Task> = Slots::new(4);
    let task = tasks.insert(()).unwrap();
    let mut inbound = table(4, 100);
    let caller = inbound.caller(Time::ZERO, SESSION, None).unwrap();
    inbound.remember(caller, id(1), Standing::Live(task));
    for number in 2..=5 {
        inbound.remember(caller, id(number * 2), Standing::Over);
    }
    assert_eq!(inbound.look(caller, id(3)), Seen::New, "as many as the bound");
    inbound.remember(caller, id(12), Standing::Over);
    for number in [3, 4, 6, 8] {
        assert_eq!(inbound.look(caller, id(number)), Seen::Stale, "{number}");
    }
    assert_eq!(inbound.look(caller, id(1)), Seen::Known(Standing::Live(task)));
    assert_eq!(inbound.look(caller, id(10)), Seen::Known(Standing::Over));
    assert_eq!(inbound.look(caller, id(9)), Seen::New);
}

#[test]
fn every_bound_holds_at_its_number_and_one_more_is_refused() {
    let mut tasks: Slots<(), tag::Task> = Slots::new(4);
    let task = tasks.insert(()).unwrap();
    let mut inbound = table(2, 3);
    let caller = inbound.caller(Time::ZERO, SESSION, None).unwrap();
    for number in 1..=2 {
        assert_eq!(inbound.has_room(caller), Ok(()));
        inbound.remember(caller, id(number), Standing::Live(task));
    }
    assert_eq!(inbound.has_room(caller), Err(Full("max_deduped_per_caller")));
    let second = inbound.caller(Time::ZERO, 8, None).unwrap();
    assert_eq!(inbound.caller(Time::ZERO, 9, None), Err(Full("max_callers")));
    inbound.remember(second, id(1), Standing::Over);
    assert_eq!(inbound.has_room(second), Err(Full("max_deduped")));
    let mut keep = |key, bytes| inbound.keep_answer(key, bytes);
    assert!(keep(caller, 60) && !keep(caller, 11) && keep(caller, 10), "half is one's share");
    assert!(!keep(second, 61) && keep(second, 60) && keep(second, 10));
    inbound.settle(caller, 1, Standing::Over);
    while inbound.pass(caller, 2).is_some() {}
    assert_eq!(inbound.has_room(caller), Err(Full("max_stored_answers")));
    inbound.drop_answer(caller, 10);
    assert_eq!(inbound.has_room(caller), Ok(()));
}

#[test]
fn a_caller_that_was_forgotten_cannot_start_an_old_call_again() {
    let mut inbound = table(8, 100);
    let mut peers: Slots<(), tag::Peer> = Slots::new(1);
    let peer = peers.insert(()).ok();
    let caller = inbound.caller(Time::ZERO, SESSION, peer).unwrap();
    inbound.remember(caller, id(4), Standing::Over);
    assert!(inbound.forget(caller).is_some());
    assert_eq!((inbound.len(), inbound.calls()), (0, 0));
    let again = inbound.caller(Time::ZERO, SESSION, None).unwrap();
    assert_eq!(inbound.look(again, id(4)), Seen::Stale);
    assert_eq!(inbound.look(again, id(5)), Seen::New);
}

#[test]
fn what_a_stranger_leaves_behind_binds_strangers_and_not_the_peer_whose_session_it_is() {
    let mut inbound = table(8, 100);
    let mut peers: Slots<(), tag::Peer> = Slots::new(1);
    let peer = peers.insert(()).ok();
    let caller = inbound.caller(Time::ZERO, SESSION, None).unwrap();
    inbound.remember(caller, id(u64::MAX - 1), Standing::Over);
    assert!(inbound.forget(caller).is_some());
    let again = inbound.caller(Time::ZERO, SESSION, None).unwrap();
    assert_eq!(inbound.look(again, id(1)), Seen::Stale, "it ran once");
    assert!(inbound.forget(again).is_some());
    let again = inbound.caller(Time::ZERO, SESSION, peer).unwrap();
    assert_eq!(inbound.look(again, id(1)), Seen::New);
    assert_eq!(inbound.look(again, id(u64::MAX)), Seen::Stale, "it could never be passed");
}

#[test]
fn refused_calls_are_remembered_up_to_the_bound_of_all_calls() {
    let mut inbound = table(8, 3);
    let caller = inbound.caller(Time::ZERO, SESSION, None).unwrap();
    for number in 1..=4 {
        inbound.remember(caller, id(number), Standing::Refused(ErrorCode::NOT_FOUND));
    }
    assert_eq!(inbound.calls(), 3);
    assert_eq!(inbound.look(caller, id(4)), Seen::New);
}
