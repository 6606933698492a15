//! Connections that others began and have not proved: what closes them, and who makes room.

use lanc_core::Config;
use lanc_core::counters::Drop;
use lanc_core::envelope::Head;
use lanc_core::error::{ErrorCode, Executed};
use lanc_core::event::Event;
use lanc_core::id::SessionId;
use lanc_core::ports::{Cast, KeyId};
use lanc_tests::is_keyed;

use super::world::{World, connection, host};

/// A wire of a host that is no node of this world.
fn stranger(world: &mut World, from: usize) -> u32 {
    let wire = world.open(usize::MAX, 0);
    world.accept(0, wire, host(from));
    world.settle();
    wire
}

fn say(world: &mut World, wire: u32, bytes: &[u8]) {
    world.hand(0, connection(wire), Cast::Unicast, bytes);
    world.settle();
}

fn events(world: &mut World) -> Vec<Event> {
    std::iter::from_fn(|| world.cores[0].poll_event()).collect()
}

fn displaced(world: &World) -> u64 {
    world.cores[0].counters().limits.get("max_newcomers").copied().unwrap_or(0)
}

/// An envelope of a key that nobody here has.
fn foreign() -> Vec<u8> {
    let session = SessionId([7; 16]);
    let head = Head { key: KeyId([9; 4]), session, to: None, counter: 1, salt: [0; 4], stream: 0 };
    [&head.write()[..], &[7; 60]].concat()
}

#[test]
fn one_newcomer_more_than_may_be_displaces_the_oldest() {
    let mut world = World::with(Config::default().with_max_newcomers(2), ["a", "b"]);
    let [first, second] = [5, 6].map(|from| stranger(&mut world, from));
    assert_eq!((world.wires_up(), displaced(&world)), (vec![first, second], 0));
    let third = stranger(&mut world, 7);
    assert_eq!((world.wires_up(), displaced(&world)), (vec![second, third], 1));
    assert!(events(&mut world).contains(&Event::LimitHit { limit: "max_newcomers" }));
    assert_eq!(world.cores[0].tables().links, 3, "two of strangers, and the peer's");
}

#[test]
fn many_of_one_host_displace_each_other_and_no_others() {
    let mut world = World::with(Config::default().with_max_newcomers(4), ["a", "b"]);
    let quiet = stranger(&mut world, 5);
    let mut held: Vec<u32> = (0..3).map(|_| stranger(&mut world, 6)).collect();
    for _ in 0..20 {
        held.remove(0);
        held.push(stranger(&mut world, 6));
        assert_eq!(world.wires_up(), [&[quiet], &held[..]].concat());
    }
    // A third host takes the place of the one that has most.
    held.remove(0);
    held.push(stranger(&mut world, 7));
    assert_eq!(world.wires_up(), [&[quiet], &held[..]].concat());
}

#[test]
fn a_peers_connection_makes_room_for_nobody_and_takes_no_strangers_place() {
    let mut world = World::with(Config::default().with_max_newcomers(2), ["a", "b", "c", "d"]);
    // More peers than places for newcomers; each proves its connection.
    for node in 1..4 {
        assert_eq!(world.ask(node, "fa", 5000, 5000), 5002);
    }
    let of_peers = world.wires_up();
    assert_eq!((of_peers.len(), displaced(&world)), (3, 0));
    let held: Vec<u32> = (10..20).map(|from| stranger(&mut world, from)).collect();
    assert_eq!(world.wires_up(), [&of_peers[..], &held[8..]].concat());
    assert_eq!(displaced(&world), 8);
    for node in 1..4 {
        assert_eq!(world.ask(node, "fa", 5000, 5000), 5002);
    }
    // While somebody holds and opens as many as it likes a peer begins another.
    world.break_wire(of_peers[0]);
    assert_eq!(world.ask(1, "fa", 5000, 5000), 5002);
    assert_eq!(world.wires_up().len(), 3 + 1, "one of the two made room until it was proved");
    world.is_tidy();
}

#[test]
fn what_cannot_be_read_ends_a_newcomers_connection_at_once() {
    let mut world = World::new(["a", "b"]);
    let deep = [b"[".repeat(200), b"]".repeat(200)].concat();
    let hello = br#"{"type":"LANC","method":"ping","version":"0.2","data":1}"#;
    let mut cases: Vec<(&[u8], bool)> = vec![
        (b"", true),
        (b"{}", true),
        (b"{\"type\":\"other\"}", true),
        (b"{\"broken", true),
        (b"\xff\xfe", true),
        (&deep, true),
        (b"\x78\x9cno zlib", true),
        // In keyed mode nothing is heard in plain.
        (hello, is_keyed!()),
        (br#"{"type":"LANC","method":"new","version":"0.2"}"#, is_keyed!()),
        (br#"{"type":"LANC","method":"ping","version":"9.0","data":1}"#, is_keyed!()),
    ];
    let foreign = foreign();
    cases.push((&foreign, true));
    for (bytes, ends) in cases {
        let before = world.wires_up();
        let wire = stranger(&mut world, 7);
        let dropped = world.cores[0].counters().dropped_total();
        say(&mut world, wire, bytes);
        let text = String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(world.wires_up().contains(&wire), !ends, "{text}");
        assert!(!ends || world.cores[0].counters().dropped_total() == dropped + 1, "{text}");
        if !ends {
            world.break_wire(wire);
        }
        assert_eq!(world.wires_up(), before);
    }
    // Whoever is near in another group is told of all the same.
    let told = events(&mut world);
    let is_group = |event: &Event| matches!(event, Event::ForeignGroup { .. });
    let is_plain = |event: &Event| matches!(event, Event::PlaintextRefused { .. });
    assert!(told.iter().any(is_group), "{told:?}");
    assert_eq!(told.iter().any(is_plain), is_keyed!(), "{told:?}");
    assert_eq!(world.ask(1, "fa", 5000, 5000), 5002);
}

#[test]
fn what_a_peers_connection_brings_that_cannot_be_read_does_not_end_it() {
    let mut world = World::new(["a", "b"]);
    assert_eq!(world.ask(1, "fa", 5000, 5000), 5002);
    let wire = world.wires_up()[0];
    say(&mut world, wire, b"{\"broken");
    // A peer is believed to have meant something.
    let is_up = world.wires_up().contains(&wire);
    assert!(is_up);
    assert_eq!(world.ask(1, "fa", 5000, 5000), 5002);
}

#[test]
fn a_flood_of_datagrams_uses_up_nothing_of_what_connections_may_bring() {
    let config = Config::default().with_unproved_rate(10).with_unproved_rate_total(10);
    let mut world = World::with(config, ["a", "b"]);
    // From everybody, and in the name of the peer's host, until nothing more of it is heard.
    for from in (10..60).chain([1]) {
        for _ in 0..40 {
            world.datagram(from, 0, Cast::Unicast, b"garbage");
        }
    }
    assert!(world.cores[0].counters().dropped(Drop::RateLimited) > 1000);
    assert_eq!(world.ask(1, "fa", 5000, 5000), 5002, "by a connection that is new");
    assert_eq!(world.wires_up().len(), 1);
    // Whoever has one may bring no more by it than by datagrams.
    let wire = stranger(&mut world, 7);
    let before = world.cores[0].counters().dropped(Drop::RateLimited);
    for _ in 0..21 {
        say(&mut world, wire, br#"{"type":"LANC","method":"new","version":"0.2"}"#);
    }
    let dropped = world.cores[0].counters().dropped(Drop::RateLimited) - before;
    assert!(is_keyed!() || dropped > 0, "{dropped}");
}

#[test]
fn connections_that_come_and_go_push_nobody_out() {
    let mut world = World::with(Config::default().with_max_tentative(4), ["a", "b"]);
    let before = world.cores[0].tables().links;
    for from in 20..23 {
        world.datagram(from, 0, Cast::Unicast, b"garbage");
    }
    for _ in 0..50 {
        let wire = stranger(&mut world, 7);
        world.break_wire(wire);
    }
    let held = |world: &World| world.cores[0].counters().limits.get("max_tentative").copied();
    assert_eq!((world.cores[0].tables().links, held(&world)), (before + 3, None));
    // One more stranger than may be is too many all the same.
    stranger(&mut world, 7);
    assert_eq!((world.cores[0].tables().links, held(&world)), (before + 4, None));
    stranger(&mut world, 7);
    assert_eq!((world.cores[0].tables().links, held(&world)), (before + 4, Some(1)));
}

#[test]
fn half_of_the_places_are_for_those_that_said_hello() {
    if is_keyed!() {
        return;
    }
    let mut world = World::with(Config::default().with_max_newcomers(4), ["a", "b"]);
    let hello = |from: usize| {
        let sid = format!("a{from:015x}{from:016x}");
        format!(
            "{{\"type\":\"LANC\",\"method\":\"hello\",\"version\":\"0.2\",\"data\":{{\"node\":\
             \"n{from}\",\"sid\":\"{sid}\",\"iv\":5000,\"rev\":1}}}}"
        )
    };
    let introduced = |world: &mut World, from: usize| {
        let wire = stranger(world, from);
        say(world, wire, hello(from).as_bytes());
        wire
    };
    let [first, second] = [5, 6].map(|from| introduced(&mut world, from));
    let silent: Vec<u32> = (10..20).map(|from| stranger(&mut world, from)).collect();
    assert_eq!(world.wires_up(), [&[first, second], &silent[8..]].concat());
    // Nor do those that say hello take the other half.
    let third = introduced(&mut world, 7);
    assert_eq!(world.wires_up(), [first, second, silent[9], third]);
    let fourth = introduced(&mut world, 8);
    assert_eq!(world.wires_up(), [second, silent[9], third, fourth]);
    let newest = stranger(&mut world, 9);
    assert_eq!(world.wires_up(), [silent[9], third, fourth, newest]);
}

#[test]
fn a_call_whose_new_connections_are_closed_is_told_so_and_did_not_run() {
    let mut world = World::new(["a", "b"]);
    world.accepts = false;
    let key = world.call(1, "fa", 5000);
    world.settle();
    // It is dialled again, but not for ever.
    for dial in 1..=4 {
        assert_eq!((world.dials.len(), world.outcome(1, key)), (1, None), "dial {dial}");
        let wire = world.succeed(0).unwrap();
        world.break_wire(wire);
        world.settle();
    }
    assert_eq!(world.dials, []);
    let error = world.outcome(1, key).unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::NETWORK, Executed::No));
    let text = error.to_string();
    for part in ["tcp://10.0.0.1:200 ended", "may have had no room", "did not run", "try again"] {
        assert!(text.contains(part), "{text}");
    }
    // Three that are closed cost a call nothing.
    let again = [5000, 300_000].map(|size| world.call(1, "fa", size));
    world.settle();
    for _ in 0..3 {
        let wire = world.succeed(0).unwrap();
        world.break_wire(wire);
        world.settle();
    }
    world.accepts = true;
    world.settle();
    for (key, size) in again.into_iter().zip([10, 20]) {
        let (node, task) = world.tasks.remove(0);
        world.complete(node, task.key, size);
        world.settle();
        assert_eq!(world.outcome(1, key), Some(Ok(size + 2)));
    }
    world.is_tidy();
}
