//! Connections that are kept, found dead, idle, or stuck.

use std::time::Duration;

use lanc_core::Config;
use lanc_core::error::{ErrorCode, Executed};
use lanc_core::event::Event;
use lanc_core::ports::{Cast, Dest, Initiator, LinkEvent, SendRefused};
use lanc_tests::is_keyed;

use super::world::{World, connection, host, tcp};

fn pings(world: &World) -> usize {
    let is_ping = |bytes: &[u8]| bytes.windows(6).any(|w| w == b"\"ping\"");
    world.sent.iter().filter(|sent| sent.wire.is_some() && is_ping(&sent.bytes)).count()
}

#[test]
fn only_who_began_a_connection_closes_it_as_idle() {
    let mut world = World::new(["a", "b"]);
    world.ask(0, "fb", 5000, 1);
    world.pass(59_000);
    assert_eq!(world.wires_up(), [0]);
    world.pass(12_000);
    assert!(world.wires_up().is_empty());
    let idle = |node: usize| world.cores[node].counters().connections_idle;
    assert_eq!((idle(0), idle(1)), (1, 0));
    assert_eq!(world.ask(0, "fb", 5000, 1), 3, "and the next call has another");
    world.is_tidy();
}

#[test]
fn an_accepted_connection_that_may_be_closing_is_not_used() {
    let mut world = World::new(["a", "b"]);
    world.ask(0, "fb", 5000, 1);
    world.pass(29_000);
    world.ask(1, "fa", 5000, 1);
    assert_eq!(world.wires.len(), 1, "it was used half its time ago");
    world.pass(31_000);
    world.ask(0, "fb", 5000, 1);
    assert_eq!(world.wires.len(), 1, "who began it may use it at any time");
    world.pass(31_000);
    world.ask(1, "fa", 5000, 1);
    assert_eq!((world.wires.len(), world.wires[1].from), (2, 1));
    world.is_tidy();
}

#[test]
fn nothing_is_closed_while_somebody_waits() {
    let config = Config::default().with_call_deadline(Duration::from_secs(3600));
    let mut world = World::with(config, ["a", "b"]);
    let waits = world.call(0, "fb", 5000);
    world.pass(300_000);
    world.answer(5000);
    world.settle();
    assert_eq!(world.outcome(0, waits), Some(Ok(5002)));
    // The other way round: the answer is owed by who began the connection.
    let waits = world.call(1, "fa", 5000);
    world.settle();
    world.pass(300_000);
    assert_eq!(world.wires_up().len(), 1);
    world.answer(5000);
    world.settle();
    assert_eq!(world.outcome(1, waits), Some(Ok(5002)));
    assert_eq!(world.wires.len(), 1);
    world.is_tidy();
}

#[test]
fn a_connection_is_asked_for_signs_of_life() {
    let mut world = World::new(["a", "b"]);
    world.ask(0, "fb", 5000, 1);
    world.sent.clear();
    world.pass(10_050);
    assert_eq!(pings(&world), 2, "one from each end");
    let trips = |node: usize| world.cores[node].peers(world.now)[0].round_trip;
    assert_eq!((trips(0), trips(1)), (Some(Duration::ZERO), Some(Duration::ZERO)));
}

#[test]
fn a_connection_that_comes_up_again_is_asked_no_more_often() {
    let mut world = World::new(["a", "b"]);
    world.ask(0, "fb", 5000, 1);
    let (link, remote) = (connection(0), tcp(1));
    for _ in 0..10 {
        let (remote, initiator) = (remote.clone(), Initiator::Us);
        world.cores[0].handle_link(world.now, LinkEvent::Up { link, remote, initiator });
        world.now = lanc_core::Time::from_millis(world.now.as_millis() + 1);
    }
    world.sent.clear();
    let timers = world.cores[0].tables().timers;
    world.pass(10_050);
    assert_eq!(pings(&world), 2);
    assert_eq!(world.wires_up(), [0]);
    assert!(world.cores[0].tables().timers <= timers);
}

#[test]
fn a_dead_connection_is_closed_and_its_peer_lives_on() {
    let config = Config::default().with_call_deadline(Duration::from_secs(300));
    let mut world = World::with(config, ["a", "b"]);
    world.ask(0, "fb", 5000, 1);
    let asked = world.call(0, "fb", 5000);
    world.settle();
    world.wires[0].passes = false;
    world.pass(20_000);
    assert_eq!(world.wires_up(), [0], "one sign of life may be missing");
    world.pass(10_050);
    assert!(world.wires_up().is_empty());
    assert_eq!(world.outcome(0, asked), None, "its callee is asked by datagrams now");
    world.answer(1);
    world.settle();
    assert_eq!(world.outcome(0, asked), Some(Ok(3)));
    assert_eq!(world.cores.iter().map(|core| core.counters().connections_dead).max(), Some(1));
    assert_eq!(world.route(0, "b").as_deref(), Some("udp"));
    assert_eq!(world.ask(0, "fb", 1, 1), 3);
    assert_eq!(world.ask(0, "fb", 5000, 5000), 5002);
}

#[test]
fn a_link_that_takes_nothing_holds_no_more_than_its_share() {
    let share = 100;
    let config = Config::default().with_max_outbox(8 * share).with_max_message_queue(20_000);
    let mut world = World::with(config, ["a", "b", "c"]);
    world.ask(0, "fb", 5000, 1);
    let full = Dest::Link(connection(0));
    world.cores[1].handle_refused(world.now, full, SendRefused::Full);
    for _ in 0..2 * share {
        world.call(0, "fb", 5000);
    }
    world.settle();
    let answers = std::mem::take(&mut world.tasks);
    assert_eq!(answers.len(), 2 * share);
    // Four of these are 20,000 bytes and a few; then short refusals take their place.
    for (node, task) in answers {
        world.complete(node, task.key, 4990);
    }
    world.settle();
    assert_eq!(world.cores[1].tables().outbox, share);
    // Others have the room that is left.
    let key = world.call(2, "fb", 1);
    world.settle();
    world.answer(1);
    world.settle();
    assert_eq!(world.outcome(2, key), Some(Ok(3)));
    // When it takes frames again, what was kept arrives.
    let (done, failed) = (2, 1);
    let count = |world: &World| {
        let counters = world.cores[0].counters();
        [0, counters.calls_failed, counters.calls_succeeded].map(|n| usize::try_from(n).unwrap())
    };
    let before = count(&world);
    world.cores[1].handle_link(world.now, LinkEvent::Writable(connection(0)));
    world.settle();
    let after = count(&world);
    assert_eq!(after[done] - before[done], 4);
    assert_eq!(after[failed] - before[failed], share - 4);
}

/// Half of a message that is never finished.
fn half(number: u32, size: usize) -> Vec<u8> {
    let mut record = vec![2, 1];
    record.extend(number.to_be_bytes());
    record.resize(6 + size, b'x');
    record
}

#[test]
fn a_message_that_stands_still_is_turned_away() {
    if is_keyed!() {
        return;
    }
    let config = Config::default().with_min_message_rate(1);
    let mut world = World::with(config, ["a", "b"]);
    // A connection of the host of node 0 that answers nothing.
    let wire = world.open(usize::MAX, 1);
    world.accept(1, wire, host(0));
    let hello = format!(
        "{{\"type\":\"LANC\",\"method\":\"hello\",\"version\":\"0.2\",\"data\":{{\"node\":\"a\",\
         \"sid\":\"{}\"}}}}",
        world.cores[0].session()
    );
    let link = connection(wire);
    world.hand(1, link, Cast::Unicast, hello.as_bytes());
    for number in [101, 103] {
        world.hand(1, link, Cast::Unicast, &half(number, 1000));
    }
    let held = |world: &World| world.cores[1].tables().stream_bytes;
    assert_eq!(held(&world), 2000);
    let mut seconds = 0;
    while held(&world) == 2000 + seconds {
        // One of them gets on, slowly.
        world.hand(1, link, Cast::Unicast, &half(103, 1));
        seconds += 1;
        world.pass(1000);
        assert!(seconds < 60, "still there");
    }
    assert_eq!(held(&world), 1000 + seconds);
    // Looked at every 10 s: first seen within that, turned away with the first look 30 s later.
    assert!((30..=41).contains(&seconds), "{seconds}");
    assert_eq!(world.cores[1].counters().messages_stalled, 1);
    let is_reset = |bytes: &[u8]| bytes.starts_with(&[2, 2, 0, 0, 0, 101, 2]);
    let resets = world.sent.iter().filter(|sent| is_reset(&sent.bytes)).count();
    assert_eq!(resets, 1, "the far end is told");
    world.pass(60_000);
    assert_eq!(held(&world), 0);
    assert_eq!(world.cores[1].tables().streams, 0);
}

fn slow_peers(world: &mut World, node: usize) -> usize {
    let events = std::iter::from_fn(|| world.cores[node].poll_event());
    events.filter(|event| matches!(event, Event::SlowPeer { .. })).count()
}

#[test]
fn more_than_may_wait_for_a_far_end_that_takes_nothing_ends_its_connection() {
    // An answer of 4990 letters is one of 4992 bytes.
    let config = Config::default().with_max_backlog(3 * 4992);
    let mut world = World::with(config, ["a", "b"]);
    world.ask(0, "fb", 5000, 1);
    let calls: Vec<_> = (0..5).map(|_| world.call(0, "fb", 5000)).collect();
    world.settle();
    let mut answers = std::mem::take(&mut world.tasks).into_iter();
    let full = Dest::Link(connection(0));
    world.cores[1].handle_refused(world.now, full, SendRefused::Full);
    let mut answer = |world: &mut World| {
        let (node, task) = answers.next().unwrap();
        world.complete(node, task.key, 4990);
        world.settle();
        world.wires_up().len()
    };
    // In its first second nothing is too much, and never as much as may be.
    world.pass(950);
    assert_eq!((0..3).map(|_| answer(&mut world)).collect::<Vec<_>>(), [1, 1, 1]);
    // And the arguments of the two that still run.
    assert_eq!(world.cores[1].tables().buffered, 3 * 4992 + 2 * 5004);
    world.pass(50);
    assert_eq!(slow_peers(&mut world, 1), 0);
    assert_eq!(answer(&mut world), 0);
    assert_eq!(slow_peers(&mut world, 1), 1);
    assert_eq!(world.cores[1].counters().connections_slow, 1);
    answer(&mut world);
    // Their callee lives: they are asked for by datagrams.
    world.pass(40_000);
    assert!(calls.into_iter().all(|call| world.outcome(0, call).is_some()));
    let tables = world.cores[1].tables();
    assert_eq!(tables.buffered, tables.stored_bytes);
}

#[test]
fn who_takes_nothing_of_a_large_answer_is_cut_off() {
    if is_keyed!() {
        return;
    }
    let mut world = World::new(["a", "b"]);
    // A connection of the host of node 0 that grants nothing.
    let wire = world.open(usize::MAX, 1);
    world.accept(1, wire, host(0));
    let session = world.cores[0].session();
    let link = connection(wire);
    for text in [
        format!("\"method\":\"hello\",\"data\":{{\"node\":\"a\",\"sid\":\"{session}\"}}"),
        "\"method\":\"call\",\"data\":\"fb\",\"exe_id\":7".to_owned(),
    ] {
        let message = format!("{{\"type\":\"LANC\",\"version\":\"0.2\",{text}}}");
        world.hand(1, link, Cast::Unicast, message.as_bytes());
    }
    world.settle();
    let (node, task) = world.tasks.pop().unwrap();
    // More than there is credit for at the beginning.
    world.complete(node, task.key, 300_000);
    world.settle();
    assert!(world.cores[1].tables().stream_bytes > 300_000);
    let mut seconds = 0;
    while world.cores[1].tables().stream_bytes > 0 {
        // It is alive.
        let ping = b"{\"type\":\"LANC\",\"version\":\"0.2\",\"method\":\"ping\",\"data\":1}";
        world.hand(1, link, Cast::Unicast, ping);
        world.pass(1000);
        seconds += 1;
        assert!(seconds < 60, "still there");
    }
    // First seen within 10 s, cut off with the first look 30 s later.
    assert!((30..=41).contains(&seconds), "{seconds}");
    assert_eq!(slow_peers(&mut world, 1), 1);
    assert_eq!(world.cores[1].tables().buffered, 0);
}

#[test]
fn a_large_call_that_the_node_has_no_room_for_is_turned_away() {
    let config = Config::default().with_max_buffered(1 << 20);
    let mut world = World::with(config, ["a", "b", "c"]);
    let ask = |world: &mut World, node| world.call(node, "fb", 200_000);
    let mut held = Vec::new();
    for node in [0, 0, 2, 2] {
        held.push((node, ask(&mut world, node)));
        world.settle();
    }
    let hits = |world: &World| world.cores[1].counters().limit_hits("max_buffered");
    assert_eq!((world.tasks.len(), hits(&world)), (4, 0));
    // Seven eighths are held nearly: neither fits.
    let refused = [(0, ask(&mut world, 0)), (2, ask(&mut world, 2))];
    world.settle();
    assert!(hits(&world) >= 2, "{}", hits(&world));
    for (node, call) in refused {
        let error = world.outcome(node, call).unwrap().unwrap_err();
        assert_eq!((error.code, error.executed), (ErrorCode::BUSY, Executed::No), "{error}");
    }
    assert_eq!(world.tasks.len(), 4);
    for (node, task) in std::mem::take(&mut world.tasks) {
        world.complete(node, task.key, 1);
    }
    world.settle();
    assert!(held.into_iter().all(|(node, call)| world.outcome(node, call) == Some(Ok(3))));
    assert_eq!(world.ask(0, "fb", 200_000, 200_000), 200_002);
    world.is_tidy();
}
