//! Which lane a call and its answer take.

use lanc_core::error::{ErrorCode, Executed};
use lanc_core::ports::LinkEvent;
use lanc_core::{Carrier, Config};

use super::world::{World, datagrams_to, deaf, tcp};

#[test]
fn a_large_call_takes_a_connection_and_so_does_its_answer() {
    let mut world = World::new(["a", "b"]);
    assert_eq!(world.ask(0, "fb", 10, 10), 12);
    assert_eq!(world.ways_of("fb\"").last(), Some(&None), "a datagram");
    assert!(world.wires.is_empty());

    world.accepts = false;
    let key = world.call(0, "fb", 100_000);
    world.settle();
    assert_eq!(world.dials, [(0, tcp(1))], "the port of the callee's hello");
    world.accepts = true;
    world.settle();
    world.answer(100_000);
    world.settle();
    assert_eq!(world.outcome(0, key), Some(Ok(100_002)));
    assert_eq!(world.ways_of("yyyy"), [Some(0)]);

    // Used again by both, and only for what is large.
    assert_eq!(world.ask(0, "fb", 2000, 2000), 2002);
    assert_eq!(world.ways_of("\"fb\""), [Some(0)]);
    assert_eq!(world.ask(1, "fa", 2000, 100_000), 100_002);
    assert_eq!(world.ways_of("\"fa\""), [Some(0)]);
    assert_eq!(world.ask(0, "fb", 10, 10), 12);
    assert_eq!(world.ways_of("\"fb\""), [None]);
    assert_eq!(world.wires.len(), 1);
    world.is_tidy();
}

#[test]
fn the_carrier_may_be_said() {
    let mut world = World::new(["a", "b"]);
    let key = world.call_over(0, "fb", 70_000, Carrier::Datagrams);
    world.settle();
    let error = world.outcome(0, key).unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::TOO_LARGE, Executed::No));
    let key = world.call_over(0, "fb", 5000, Carrier::Datagrams);
    world.settle();
    world.answer(1);
    world.settle();
    assert_eq!(world.outcome(0, key), Some(Ok(3)));
    assert!(world.wires.is_empty());

    let key = world.call_over(0, "fb", 1, Carrier::Connection);
    world.settle();
    assert_eq!(world.tasks.len(), 1);
    world.answer(1);
    world.settle();
    assert_eq!(world.outcome(0, key), Some(Ok(3)));
    assert_eq!(world.wires.len(), 1);

    let key = world.call_over(0, "fb", 1, Carrier::OneShot);
    world.settle();
    world.answer(1);
    world.settle();
    assert_eq!(world.outcome(0, key), Some(Ok(3)));
    assert_eq!((world.wires.len(), world.wires[1].from), (2, 1), "the callee dialled");
    assert_eq!(world.wires_up(), [0], "and closed");
    world.is_tidy();
}

#[test]
fn a_small_call_may_have_a_large_answer() {
    let mut world = World::new(["a", "b"]);
    assert_eq!(world.ask(0, "fb", 1, 200_000), 200_002);
    assert_eq!((world.wires.len(), world.wires[0].from), (1, 1), "the callee dialled");
    assert_eq!(world.ask(0, "fb", 1, 200_000), 200_002);
    assert_eq!(world.ask(1, "fa", 1, 200_000), 200_002);
    assert_eq!(world.wires.len(), 1, "the one that is there");
    world.is_tidy();
}

#[test]
fn where_no_connection_can_be_made_large_messages_fail_at_once() {
    let mut world = World::new(["a", "b"]);
    world.accepts = false;
    let key = world.call(0, "fb", 100_000);
    world.settle();
    world.fail(0);
    let error = world.outcome(0, key).unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::NETWORK, Executed::No));
    assert!(error.message.contains("firewall"), "{error}");

    let key = world.call(0, "fb", 1);
    world.settle();
    world.answer(100_000);
    world.settle();
    assert_eq!(world.dials, [(1, tcp(0))]);
    world.fail(0);
    world.settle();
    let error = world.outcome(0, key).unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::TOO_LARGE, Executed::Yes));

    world.accepts = true;
    assert_eq!(world.ask(0, "fb", 100_000, 100_000), 100_002, "dialled again");
    world.is_tidy();
}

#[test]
fn a_node_that_takes_no_connections_hears_that_its_answer_is_too_large() {
    let mut world = World::new(["a", "b"]);
    // What its hello says is no port.
    world.cores[0] = deaf("c", world.now);
    world.pass(8000);
    let key = world.call(0, "fb", 1);
    world.settle();
    world.answer(100_000);
    world.settle();
    let error = world.outcome(0, key).expect("at once").unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::TOO_LARGE, Executed::Yes));
    let key = world.call(0, "fb", 100_000);
    world.settle();
    let error = world.outcome(0, key).expect("at once").unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::TOO_LARGE, Executed::No));
    world.is_tidy();
}

#[test]
fn a_dial_without_an_answer_is_repeated_after_ten_seconds() {
    let mut world = World::new(["a", "b"]);
    world.accepts = false;
    let first = world.call(0, "fb", 5000);
    world.pass(9900);
    let second = world.call(0, "fb", 5000);
    world.settle();
    assert_eq!(world.dials.len(), 1);
    world.pass(150);
    let third = world.call(0, "fb", 5000);
    world.settle();
    assert_eq!(world.dials.len(), 2);
    world.succeed(1);
    world.settle();
    assert_eq!(world.tasks.len(), 3);
    for (node, task) in std::mem::take(&mut world.tasks) {
        world.complete(node, task.key, 1);
    }
    world.settle();
    for key in [first, second, third] {
        assert_eq!(world.outcome(0, key), Some(Ok(3)));
    }
    world.is_tidy();
}

#[test]
fn what_is_over_does_not_wait_for_a_connection() {
    let config = Config::default().with_call_deadline(std::time::Duration::from_millis(100));
    let mut world = World::with(config, ["a", "b"]);
    world.accepts = false;
    let mut keys = Vec::new();
    for _ in 0..50 {
        keys.push(world.call(0, "fb", 5000));
        world.pass(150);
    }
    for key in keys {
        let error = world.outcome(0, key).unwrap().unwrap_err();
        assert_eq!((error.code, error.executed), (ErrorCode::TIMEOUT, Executed::No));
    }
    world.accepts = true;
    world.settle();
    assert!(world.tasks.is_empty(), "nothing of them was sent");
    assert_eq!(world.ask(0, "fb", 5000, 5000), 5002);
    world.is_tidy();
}

#[test]
fn both_may_dial_at_once() {
    for a_first in [true, false] {
        let mut world = World::new(["a", "b"]);
        world.accepts = false;
        let of_a = world.call(0, "fb", 100_000);
        let of_b = world.call(1, "fa", 100_000);
        world.settle();
        assert_eq!(world.dials, [(0, tcp(1)), (1, tcp(0))]);
        // The first one carries frames before the other is up.
        world.succeed(usize::from(!a_first));
        world.settle();
        world.succeed(0);
        world.settle();
        assert_eq!(world.tasks.len(), 2, "a first: {a_first}");
        for (node, task) in std::mem::take(&mut world.tasks) {
            world.complete(node, task.key, 100_000);
        }
        world.settle();
        assert_eq!(world.outcome(0, of_a), Some(Ok(100_002)));
        assert_eq!(world.outcome(1, of_b), Some(Ok(100_002)));
        world.is_tidy();
        // One is closed as idle by who began it; the other is used on.
        for _ in 0..20 {
            world.pass(5000);
            assert_eq!(world.ask(0, "fb", 5000, 5000), 5002);
        }
        assert_eq!(world.wires_up().len(), 1);
        let idle: u64 = world.cores.iter().map(|core| core.counters().connections_idle).sum();
        assert_eq!(idle, 1);
        world.is_tidy();
    }
}

#[test]
fn both_dials_may_come_up_together() {
    let mut world = World::new(["a", "b"]);
    let of_a = world.call(0, "fb", 100_000);
    let of_b = world.call(1, "fa", 100_000);
    world.settle();
    for (node, task) in std::mem::take(&mut world.tasks) {
        world.complete(node, task.key, 100_000);
    }
    world.settle();
    assert_eq!(world.outcome(0, of_a), Some(Ok(100_002)));
    assert_eq!(world.outcome(1, of_b), Some(Ok(100_002)));
    // If one of them breaks, the other is found.
    let wires = world.wires_up();
    assert_eq!(wires.len(), 2);
    world.break_wire(wires[0]);
    assert_eq!(world.ask(0, "fb", 5000, 5000), 5002);
    assert_eq!(world.ask(1, "fa", 5000, 5000), 5002);
    assert_eq!(world.wires.len(), 2, "no other was dialled");
    world.is_tidy();
}

#[test]
fn a_datagram_is_as_large_as_was_told_of_its_link_last() {
    let mut world = World::new(["a", "b"]);
    let mut outcome = |max_frame| {
        let limit = LinkEvent::Limit { link: datagrams_to(1), max_frame };
        world.cores[0].handle_link(world.now, limit);
        let key = world.call_over(0, "fb", 3000, Carrier::Datagrams);
        world.settle();
        let came = world.tasks.len();
        if came > 0 {
            world.answer(1);
            world.settle();
        }
        (came, world.outcome(0, key).expect("an outcome").map_err(|error| error.code))
    };
    assert_eq!(outcome(4096), (1, Ok(3)));
    assert_eq!(outcome(1472), (0, Err(ErrorCode::TOO_LARGE)));
    assert_eq!(outcome(4096), (1, Ok(3)));
}
