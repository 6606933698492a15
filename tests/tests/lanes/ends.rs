//! Ends of peers and connections while something is under way.

use lanc_core::error::{ErrorCode, Executed};
use lanc_core::id::CallKey;
use lanc_core::ports::{Cast, Dest, DownReason, LinkEvent, SendRefused};
use lanc_core::{Carrier, Config, Time};

use super::world::{World, connection, core, datagrams_to};

/// A node is replaced by another life of it, at the same addresses.
fn restart(world: &mut World, node: usize, name: &str) {
    world.cores[node] = core(Config::default(), name, 77, world.now);
    world.tasks.retain(|(of, _)| *of != node);
}

#[test]
fn a_restart_ends_what_was_under_way() {
    let mut world = World::new(["a", "b"]);
    world.ask(0, "fb", 5000, 1);
    let sent = world.call(0, "fb", 5000);
    world.settle();
    // Its old connection says nothing of the restart, as after a lost wire.
    world.wires[0].passes = false;
    restart(&mut world, 1, "b");
    world.pass(8000);
    let error = world.outcome(0, sent).unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::LOST, Executed::Maybe));
    assert!(error.message.contains("restarted"), "{error}");
    assert!(world.wires_up().is_empty());
    assert_eq!(world.ask(0, "fb", 5000, 5000), 5002);
    world.is_tidy();
}

#[test]
fn a_restart_ends_what_waited_for_a_connection() {
    let mut world = World::new(["a", "b"]);
    world.accepts = false;
    let waits = world.call(0, "fb", 5000);
    world.call(1, "fa", 1);
    world.settle();
    world.answer(5000);
    world.settle();
    assert_eq!(world.dials.len(), 1, "one dial for both");
    restart(&mut world, 1, "b");
    world.pass(8000);
    let error = world.outcome(0, waits).unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::LOST, Executed::No));
    world.accepts = true;
    world.settle();
    assert_eq!(world.ask(0, "fb", 5000, 5000), 5002);
    world.is_tidy();
}

/// A node answers at length and says farewell, which overtakes the answer by so many milliseconds.
fn overtaken_by_farewell(has_begun: bool, millis: u64) -> (World, CallKey) {
    let mut world = World::new(["a", "b"]);
    let key = world.call(0, "fb", 5000);
    world.settle();
    world.cores[1].shutdown(world.now);
    world.answer(200_000);
    // What the callee sends by the connection arrives after its datagrams.
    let mut late = Vec::new();
    let mut bytes = Vec::new();
    while let Some(to) = world.cores[1].poll_frame(world.now, &mut bytes) {
        match to {
            Dest::Link(link) if link == connection(0) => late.push(bytes.clone()),
            Dest::Link(_) => world.datagram(1, 0, Cast::Unicast, &bytes),
            Dest::Broadcast(_) => world.datagram(1, 0, Cast::Broadcast, &bytes),
        }
    }
    assert_eq!(world.route(0, "b"), None, "it has left");
    world.obey();
    assert!(late.len() > 3);
    let rest = late.split_off(if has_begun { late.len() - 1 } else { 0 });
    for frame in late {
        world.hand(0, connection(0), Cast::Unicast, &frame);
    }
    // Nothing else comes of the callee meanwhile: the end of its connection stands behind this.
    world.now = Time::from_millis(world.now.as_millis() + millis);
    world.cores[0].handle_timeout(world.now);
    for frame in rest {
        world.hand(0, connection(0), Cast::Unicast, &frame);
    }
    (world, key)
}

#[test]
fn a_large_answer_outlives_the_farewell_that_overtakes_it() {
    // What has begun to come is waited for as long as it comes.
    for (has_begun, millis) in [(false, 0), (false, 99), (true, 99), (true, 999)] {
        let (mut world, key) = overtaken_by_farewell(has_begun, millis);
        assert_eq!(world.outcome(0, key), Some(Ok(200_002)), "{has_begun}, {millis} ms");
        world.pass(200);
        assert!(world.wires_up().is_empty(), "and then the connection goes");
        world.is_tidy();
    }
}

#[test]
fn a_call_of_which_nothing_comes_after_the_farewell_of_its_callee_is_lost() {
    for (has_begun, millis) in [(false, 100), (true, 1000)] {
        let (mut world, key) = overtaken_by_farewell(has_begun, millis);
        let error = world.outcome(0, key).unwrap().unwrap_err();
        assert_eq!((error.code, error.executed), (ErrorCode::LOST, Executed::Maybe));
        world.pass(200);
        assert!(world.wires_up().is_empty());
        world.is_tidy();
    }
}

#[test]
fn a_call_that_was_half_sent_did_not_run() {
    let mut world = World::new(["a", "b"]);
    world.ask(0, "fb", 5000, 1);
    let key = world.call(0, "fb", 600_000);
    for _ in 0..10 {
        world.step(0);
    }
    assert!(world.cores[0].tables().stream_bytes > 0);
    world.break_wire(0);
    let error = world.outcome(0, key).unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::NETWORK, Executed::No));
    world.settle();
    assert!(world.tasks.is_empty());
    world.is_tidy();

    // Wholly sent, it runs once, and its answer comes by another connection.
    let key = world.call_over(0, "fb", 600_000, Carrier::Connection);
    world.settle();
    assert_eq!(world.tasks.len(), 1);
    let wire = world.wires_up()[0];
    world.break_wire(wire);
    assert_eq!(world.outcome(0, key), None, "its callee is asked by datagrams");
    world.answer(5000);
    world.settle();
    assert_eq!(world.outcome(0, key), Some(Ok(5002)));
    world.is_tidy();
    assert_eq!(world.ask(0, "fb", 5000, 5000), 5002, "the peer is there");
}

#[test]
fn an_answer_that_was_half_sent_leaves_one_outcome() {
    let mut world = World::new(["a", "b"]);
    let key = world.call(0, "fb", 1);
    world.settle();
    world.answer(600_000);
    world.obey();
    for _ in 0..10 {
        world.step(1);
    }
    let wire = world.wires_up()[0];
    world.break_wire(wire);
    world.settle();
    // The call left by datagrams, which still work.
    let error = world.outcome(0, key).unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::NETWORK, Executed::Yes));
    world.is_tidy();

    // The same if the connection takes nothing, and then breaks.
    world.ask(0, "fb", 5000, 1);
    let key = world.call(0, "fb", 1);
    world.settle();
    let link = connection(world.wires_up()[0]);
    world.cores[1].handle_refused(world.now, Dest::Link(link), SendRefused::Full);
    world.answer(5000);
    world.settle();
    assert!(world.outcome(0, key).is_none());
    world.break_wire(link.slot);
    world.settle();
    let error = world.outcome(0, key).unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::NETWORK, Executed::Yes));
    world.is_tidy();
}

#[test]
fn a_copy_that_could_not_leave_says_nothing_of_the_copies_before() {
    let mut world = World::new(["a", "b"]);
    world.mute = vec![1];
    let key = world.call(0, "fb", 1);
    world.settle();
    assert_eq!(world.tasks.len(), 1, "it has come");
    world.now = Time::from_millis(world.now.as_millis() + 300);
    world.cores[0].handle_timeout(world.now);
    assert_eq!(world.cores[0].tables().outbox, 1, "another copy is about to leave");
    let down = LinkEvent::Down { link: datagrams_to(1), reason: DownReason::Broken };
    world.cores[0].handle_link(world.now, down);
    world.settle();
    let error = world.outcome(0, key).expect("nobody can be asked").unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::LOST, Executed::Maybe));
}

#[test]
fn a_large_call_whose_connection_broke_is_asked_about_and_not_sent_again() {
    let mut world = World::new(["a", "b"]);
    let key = world.call(0, "fb", 5000);
    world.settle();
    assert_eq!(world.tasks.len(), 1);
    world.accepts = false;
    world.mute = vec![0, 1];
    world.break_wire(0);
    world.pass(8000);
    assert_eq!(world.dials.len(), 1, "to see whether it is there, and for no message");
    assert_eq!(world.cores[0].tables().outbox, 0);
    assert_eq!(world.outcome(0, key), None);
    assert!(world.cores[0].counters().probes_sent > 2);
    assert_eq!(world.cores[0].counters().calls_resent, 0);
    world.mute.clear();
    world.answer(1);
    world.pass(8000);
    assert_eq!(world.outcome(0, key), Some(Ok(3)));
}
