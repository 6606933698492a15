//! Answers by connections of their own.

use lanc_core::Carrier;
use lanc_core::counters::Drop;
use lanc_core::ports::{Cast, Initiator, LinkEvent};
use lanc_tests::is_keyed;

use super::world::{World, connection, host};

/// Connections for one answer that may be in the making.
const MAX_DIALS: usize = 64;

#[test]
fn so_many_are_dialled_at_once_and_the_others_take_the_way_back() {
    let mut world = World::new(["a", "b"]);
    world.accepts = false;
    let all: Vec<_> =
        (0..=MAX_DIALS).map(|_| world.call_over(0, "fb", 1, Carrier::OneShot)).collect();
    // So many need more room than there is at first.
    world.pass(100);
    for (node, task) in std::mem::take(&mut world.tasks) {
        world.complete(node, task.key, 1);
    }
    world.settle();
    assert_eq!(world.dials.len(), MAX_DIALS);
    let done = |world: &World| all.iter().filter(|key| world.cores[0].is_done(**key)).count();
    assert_eq!(done(&world), 1);
    // Who does not accept within 3 s gets its answer the way the call came.
    world.pass(2900);
    assert_eq!(done(&world), 1);
    world.pass(150);
    assert_eq!(done(&world), MAX_DIALS + 1);
    for key in all {
        assert_eq!(world.outcome(0, key), Some(Ok(3)));
    }
    // One that comes up late is of no use, and does not stay.
    world.accepts = true;
    world.settle();
    world.pass(25_000);
    assert!(world.wires_up().is_empty());
    world.is_tidy();
}

#[test]
fn an_answer_larger_than_a_frame_takes_a_connection_that_stays() {
    let mut world = World::new(["a", "b"]);
    let key = world.call_over(0, "fb", 1, Carrier::OneShot);
    world.settle();
    world.answer(60_000);
    world.settle();
    assert_eq!(world.outcome(0, key), Some(Ok(60_002)));
    assert!(world.wires_up().is_empty());
    let key = world.call_over(0, "fb", 1, Carrier::OneShot);
    world.settle();
    world.answer(200_000);
    world.settle();
    assert_eq!(world.outcome(0, key), Some(Ok(200_002)));
    world.is_tidy();
}

#[test]
fn a_forged_source_is_dialled_no_more_than_its_budget_allows() {
    if is_keyed!() {
        return;
    }
    let mut world = World::new(["a"]);
    world.accepts = false;
    // Each call allows three times its size: two dials of 180 bytes at the most.
    for number in 0..50 {
        let call = format!(
            "{{\"type\":\"LANC\",\"method\":\"call\",\"version\":\"0.2\",\"data\":\"fa\",\"args\":[],\
             \"exe_id\":\"{number}\",\"x\":{{\"re\":22,\"tok\":\"00000000000000aa\"}}}}"
        );
        world.datagram(9, 0, Cast::Unicast, call.as_bytes());
    }
    world.settle();
    for (node, task) in std::mem::take(&mut world.tasks) {
        world.complete(node, task.key, 1);
    }
    world.settle();
    let asked = world.dials.len();
    assert!((1..=6).contains(&asked), "1200 bytes in 10 s: {asked}");
    assert!(world.dials.iter().all(|(_, to)| to.ip() == Some(host(9).into())));
}

#[test]
fn an_answer_with_another_token_is_dropped() {
    if is_keyed!() {
        return;
    }
    let mut world = World::new(["a", "b"]);
    world.accepts = false;
    let key = world.call_over(0, "fb", 1, Carrier::OneShot);
    world.settle();
    world.answer(1);
    world.settle();
    // Somebody else brings the answer, without what only the callee was told.
    let id = world.cores[0].exe_id(key).unwrap();
    let forged = format!(
        "{{\"type\":\"LANC\",\"method\":\"callback\",\"version\":\"0.2\",\"data\":666,\
         \"exe_id\":\"{id}\",\"x\":{{\"tok\":\"00000000000000aa\"}}}}"
    );
    let wire = world.open(usize::MAX, 0);
    world.accept(0, wire, host(7));
    world.hand(0, connection(wire), Cast::Unicast, forged.as_bytes());
    assert!(world.outcome(0, key).is_none());
    assert_eq!(world.cores[0].counters().dropped(Drop::UnknownCall), 1);
    world.accepts = true;
    world.settle();
    assert_eq!(world.outcome(0, key), Some(Ok(3)));
}

#[test]
fn a_connection_that_is_there_is_not_closed_by_an_answer() {
    let mut world = World::new(["a", "b"]);
    // The callee has a connection to the very port where the answer is to be brought.
    assert_eq!(world.ask(1, "fa", 5000, 1), 3);
    assert_eq!(world.wires_up(), [0]);
    world.accepts = false;
    let key = world.call_over(0, "fb", 1, Carrier::OneShot);
    world.settle();
    world.answer(1);
    world.settle();
    let (node, remote) = world.dials.remove(0);
    let (link, initiator) = (connection(0), Initiator::Us);
    world.cores[node].handle_link(world.now, LinkEvent::Up { link, remote, initiator });
    world.settle();
    assert_eq!(world.outcome(0, key), Some(Ok(3)));
    assert_eq!(world.wires_up(), [0]);
    world.is_tidy();
}
