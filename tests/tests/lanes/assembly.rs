//! Large messages that are put together on all connections hold no more than half of what the node
//! may; who holds most of it makes room.

use std::net::Ipv4Addr;

use lanc_core::Config;
use lanc_core::ports::Cast;
use lanc_tests::is_keyed;

use super::world::{World, connection};

/// What the target may hold, and what may be held by messages that are put together.
const ALL: usize = 4 << 20;
const PART: usize = ALL / 2;
/// What a message may bring before any credit has come.
const INITIAL: usize = 256 << 10;

fn world() -> World {
    World::with(Config::default().with_max_buffered(ALL), ["a", "b"])
}

/// A connection to node 1 that says a proper hello of its own.
fn villain(world: &mut World, from: Ipv4Addr) -> u32 {
    let wire = world.open(usize::MAX, 1);
    world.accept(1, wire, from);
    greet(world, wire);
    wire
}

fn greet(world: &mut World, wire: u32) {
    let hello = format!(
        "{{\"type\":\"LANC\",\"method\":\"hello\",\"version\":\"0.2\",\"data\":{{\"node\":\"v\",\
         \"sid\":\"a{wire:03x}000000000000000000000000beef\"}}}}"
    );
    world.hand(1, connection(wire), Cast::Unicast, hello.as_bytes());
}

/// Brings bytes of a message that is never finished.
fn bring(world: &mut World, wire: u32, message: u32, count: usize) {
    let mut left = count;
    while left > 0 {
        let mut record = vec![2, 1];
        record.extend(message.to_be_bytes());
        let body = left.min(60_000);
        record.resize(6 + body, b'x');
        left -= body;
        world.hand(1, connection(wire), Cast::Unicast, &record);
    }
}

fn held(world: &World) -> usize {
    world.cores[1].tables().stream_bytes
}

/// Sixteen connections of one host, each with two messages that lack their ends: three times as
/// much as may be held by messages.
fn attack(world: &mut World) -> Vec<u32> {
    let wires: Vec<_> = (0..16).map(|_| villain(world, Ipv4Addr::LOCALHOST)).collect();
    for round in 0..2 {
        for wire in &wires {
            bring(world, *wire, 101 + 2 * round, INITIAL - 2000);
            assert!(held(world) <= PART);
        }
    }
    assert!(held(world) > PART - INITIAL);
    wires
}

#[test]
fn messages_that_are_never_finished_leave_room_for_calls_small_and_large() {
    if is_keyed!() {
        return;
    }
    let mut world = world();
    let wires = attack(&mut world);
    let cut = |world: &World| world.cores[1].counters().limit_hits("max_buffered");
    assert!(cut(&world) > 0);
    assert_eq!(world.ask(0, "fb", 10, 10), 12);
    // A host that brings less than others makes no room for them, whoever came first.
    let before = cut(&world);
    assert_eq!(world.ask(0, "fb", 900_000, 900_000), 900_002);
    assert!(cut(&world) > before);
    // Nor does a connection of the same host.
    let other = villain(&mut world, Ipv4Addr::LOCALHOST);
    bring(&mut world, other, 101, 100_000);
    for wire in &wires {
        bring(&mut world, *wire, 105, INITIAL - 2000);
    }
    let hears = |world: &mut World, said: &[u8]| {
        world.settle();
        world.sent.iter().filter(|sent| sent.wire == Some(other) && sent.bytes == said).count()
    };
    assert_eq!(hears(&mut world, &[2, 2, 0, 0, 0, 101, 2, 0, 6]), 0);
    // Nobody goes on: what is left of them ends soon.
    for _ in 0..41 {
        for wire in &wires {
            greet(&mut world, *wire);
            bring(&mut world, *wire, 105, 1);
        }
        assert_eq!(world.ask(0, "fb", 10, 10), 12);
        world.pass(1000);
    }
    // What is brought of messages that were turned away is dropped.
    assert_eq!((held(&world), world.wires_up().len()), (0, 1 + 16));
    assert!(world.cores[1].counters().messages_stalled > 0);
}

#[test]
fn one_byte_more_than_may_be_held_ends_the_largest_message_of_who_holds_most() {
    if is_keyed!() {
        return;
    }
    let mut world = world();
    // Of two hosts, one with three connections and one with five: the latter holds most.
    let hosts = [[10, 9, 0, 1], [10, 9, 0, 2]].map(Ipv4Addr::from);
    let [few, many] = hosts;
    let first: Vec<_> = (0..3).map(|_| villain(&mut world, few)).collect();
    let second: Vec<_> = (0..5).map(|_| villain(&mut world, many)).collect();
    for wire in first.iter().chain(&second) {
        bring(&mut world, *wire, 101, INITIAL);
    }
    assert_eq!(held(&world), PART);
    bring(&mut world, first[0], 103, 1);
    assert_eq!(held(&world), PART + 1 - INITIAL);
    world.settle();
    let resets = world.sent.iter().filter(|sent| sent.bytes.starts_with(&[2, 2, 0, 0, 0, 101, 2]));
    let cut: Vec<_> = resets.filter_map(|sent| sent.wire).collect();
    assert!(matches!(cut[..], [wire] if second.contains(&wire)), "{cut:?}");
}
