//! Connections of strangers, and who is taken for whom.

use lanc_core::Config;
use lanc_core::counters::Drop;
use lanc_core::id::SessionId;
use lanc_core::ports::Cast;
use lanc_tests::is_keyed;

use super::world::{World, connection, host, tcp};

fn hello(session: SessionId, name: &str, more: &str) -> String {
    format!(
        "{{\"type\":\"LANC\",\"method\":\"hello\",\"version\":\"0.2\",\"data\":{{\"node\":\
         \"{name}\",\"sid\":\"{session}\",\"iv\":5000,\"rev\":1{more}}}}}"
    )
}

/// The token in the last hello that a node sent on a wire.
fn token(world: &World, wire: u32) -> String {
    let last = world.sent.iter().rev().find(|sent| sent.wire == Some(wire)).unwrap();
    let text = String::from_utf8_lossy(&last.bytes).into_owned();
    let tail = text.split("\"tok\":\"").nth(1).unwrap_or_else(|| panic!("no token: {text}"));
    tail[..16].to_owned()
}

/// A wire of a host that is no node of this world.
fn stranger(world: &mut World, to: usize, from: usize) -> u32 {
    let wire = world.open(usize::MAX, to);
    world.accept(to, wire, host(from));
    wire
}

#[test]
fn a_strangers_connection_is_not_pinged_and_is_swept() {
    let mut world = World::new(["a"]);
    let wire = stranger(&mut world, 0, 7);
    world.sent.clear();
    world.pass(14_000);
    assert_eq!(world.wires_up(), [wire]);
    assert!(world.sent.iter().all(|sent| sent.wire.is_none()));
    world.pass(7000);
    assert!(world.wires_up().is_empty());
    let tables = world.cores[0].tables();
    assert_eq!((tables.links, tables.peers), (0, 0));
}

#[test]
fn a_record_of_a_stranger_ends_its_connection() {
    if is_keyed!() {
        return;
    }
    let mut world = World::new(["a", "b"]);
    let wire = stranger(&mut world, 0, 7);
    world.hand(0, connection(wire), Cast::Unicast, &[2, 1, 0, 0, 0, 1, b'{']);
    assert_eq!(world.cores[0].counters().dropped(Drop::UnknownPeer), 1);
    world.settle();
    assert!(world.wires_up().is_empty());
    // Where there are no connections there is nothing to end.
    world.datagram(1, 0, Cast::Unicast, &[2, 1, 0, 0, 0, 1, b'{']);
    assert_eq!(world.cores[0].counters().dropped(Drop::Misaddressed), 1);
    assert_eq!(world.ask(0, "fb", 1, 1), 3);
}

#[test]
fn a_session_is_not_believed_to_live_on_another_host() {
    if is_keyed!() {
        return;
    }
    let mut world = World::new(["a", "b"]);
    let session = world.cores[1].session();
    let wire = stranger(&mut world, 0, 7);
    world.sent.clear();
    let said = hello(session, "b", ",\"tok\":\"00000000000000aa\"");
    world.hand(0, connection(wire), Cast::Unicast, said.as_bytes());
    world.settle();
    let again = hello(session, "b", &format!(",\"echo\":\"{}\"", token(&world, wire)));
    for said in [said, again] {
        world.hand(0, connection(wire), Cast::Unicast, said.as_bytes());
        world.settle();
        world.sent.clear();
        assert_eq!(world.route(0, "b").as_deref(), Some("udp"));
        assert_eq!(world.ask(0, "fb", 5000, 5000), 5002);
        assert_eq!(world.ask(1, "fa", 1, 5000), 5002);
        assert!(world.sent.iter().all(|sent| sent.wire != Some(wire)), "it was sent something");
    }
    world.is_tidy();
}

#[test]
fn a_node_met_by_a_connection_moves_to_datagrams_and_keeps_it() {
    let mut world = World::apart(Config::default(), ["a", "b"]);
    world.cores[0].add_peer(world.now, tcp(1));
    world.pass(3000);
    assert_eq!(world.route(0, "b").as_deref(), Some("tcp"));
    assert_eq!(world.route(1, "a").as_deref(), Some("tcp"));
    assert_eq!(world.ask(0, "fb", 5000, 5000), 5002);

    // In the middle of a large message the first datagrams are heard.
    let key = world.call(0, "fb", 600_000);
    for _ in 0..4 {
        world.step(0);
    }
    world.mute.clear();
    world.pass(12_000);
    assert_eq!(world.route(0, "b").as_deref(), Some("udp"));
    assert_eq!(world.route(1, "a").as_deref(), Some("udp"));
    world.answer(600_000);
    world.settle();
    assert_eq!(world.outcome(0, key), Some(Ok(600_002)));
    world.sent.clear();
    assert_eq!(world.ask(1, "fa", 5000, 5000), 5002);
    assert_eq!(world.ask(0, "fb", 5000, 5000), 5002);
    assert_eq!(world.ways_of("xxxx"), [Some(0)]);
    assert_eq!(world.wires.len(), 1);
    world.is_tidy();
}

#[test]
fn a_peer_that_was_forgotten_and_met_again_has_no_use_of_its_old_connection() {
    let mut world = World::new(["a", "b"]);
    world.ask(0, "fb", 5000, 5000);
    world.mute = vec![1];
    world.pass(30_000);
    assert!(world.route(0, "b").is_some(), "it lives while anything of it comes");
    world.wires[0].passes = false;
    world.pass(60_000);
    assert_eq!(world.route(0, "b"), None);
    assert!(world.wires_up().is_empty(), "closed with it");
    world.mute.clear();
    world.pass(12_000);
    assert_eq!(world.ask(0, "fb", 5000, 5000), 5002);
    assert_eq!(world.ask(1, "fa", 5000, 5000), 5002);
    assert_eq!(world.wires_up().len(), 1);
    assert!(world.cores[0].peers(world.now).iter().all(|peer| peer.open_calls == 0));
    world.is_tidy();
}
