//! Limits that somebody meets who is not known yet, or says more than others.

use std::net::SocketAddr;

use lanc_core::counters::Drop;
use lanc_core::envelope::{self, Head, Labels};
use lanc_core::event::{Event, PeerDownReason};
use lanc_core::id::SessionId;
use lanc_core::ports::Cast;
use lanc_testkit::sim::{Function, Spec, group_key, ms, secs};
use lanc_tests::is_keyed;
use serde_json::{Value, json};

use super::Room;

const HEAD: &str = r#"{"type":"LANC","version":"0.2","#;

/// The address of a stranger: of one host for each hundred.
fn address(number: u16) -> SocketAddr {
    let host = u8::try_from(number / 100).unwrap();
    SocketAddr::from(([10, 0, 200, host], 9000 + number % 100))
}

fn ping() -> String {
    format!(r#"{HEAD}"method":"ping","data":1}}"#)
}

fn hello(number: u16, more: &str) -> String {
    format!(
        r#"{HEAD}"method":"hello","data":{{"node":"s{number}","sid":"{}","iv":60000,"rx":"00000000000000bb"{more}}}}}"#,
        session(number)
    )
}

fn session(number: u16) -> SessionId {
    SessionId((0xa << 124 | u128::from(number) << 64 | u128::from(number)).to_be_bytes())
}

impl Room {
    fn hear(&mut self, from: u16, cast: Cast, frame: &str) {
        self.say(from, cast, frame);
        self.lan.run_for(ms(2));
    }

    /// A stranger says something; in keyed mode it holds the key and no token of the node.
    fn say(&mut self, from: u16, cast: Cast, frame: &str) {
        let mut frame = frame.as_bytes().to_vec();
        if is_keyed!() {
            self.sealed += 1;
            let (key, session) = (group_key(1), session(from));
            let head = Head {
                key: key.id(),
                session,
                to: None,
                counter: self.sealed,
                salt: [0; 4],
                stream: 0,
            };
            let key = key.session(&session.0, head.epoch());
            assert!(envelope::seal(&head, Labels::HELLO, key.as_ref(), &mut frame));
            return self.lan.inject_sealed(session, address(from), self.node, cast, &frame);
        }
        self.lan.inject(address(from), self.node, cast, &frame);
    }

    fn dropped(&self, why: Drop) -> u64 {
        self.lan.core(self.node).counters().dropped(why)
    }

    fn strangers(&self) -> usize {
        self.lan.peers(self.node).iter().filter(|peer| peer.name.starts_with('s')).count()
    }
}

pub(crate) fn datagrams() {
    let mut room = Room::new(|c| c.with_max_unproved_frame(1200));
    for (size, hits) in [(1200, 0), (1201, 1)] {
        let mut frame = ping();
        let around = if is_keyed!() { envelope::OVERHEAD } else { 0 };
        frame.push_str(&" ".repeat(size - frame.len() - around));
        room.hear(0, Cast::Unicast, &frame);
        assert_eq!((room.dropped(Drop::Oversized), room.hits("max_unproved_frame")), (hits, hits));
    }
}

pub(crate) fn messages_in_a_frame() {
    let mut room = Room::new(|c| c.with_max_messages_per_frame(2));
    for (count, hits) in [(2, 0), (3, 1)] {
        room.hear(0, Cast::Unicast, &ping().repeat(count));
        let drops = room.dropped(Drop::TooManyMessages);
        assert_eq!((drops, room.hits("max_messages_per_frame")), (hits, hits));
    }
}

/// A call with its arguments so deep, and as many beside each other.
fn call(depth: usize, count: usize) -> String {
    let deep = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let many = ",1".repeat(count);
    format!(r#"{HEAD}"method":"call","data":"echo","exe_id":7,"args":[{deep}{many}]}}"#)
}

pub(crate) fn nesting() {
    let mut room = Room::new(|c| c.with_max_depth(10));
    // The message and the list of arguments are two.
    room.hear(0, Cast::Unicast, &call(8, 0));
    assert_eq!((room.dropped(Drop::TooDeep), room.hits("max_depth")), (0, 0));
    room.hear(0, Cast::Unicast, &call(9, 0));
    assert_eq!((room.dropped(Drop::TooDeep), room.hits("max_depth")), (1, 1));
}

pub(crate) fn values() {
    // The largest number that passes is one larger where one value more may be.
    let most = |room: &mut Room| {
        (1..400)
            .find(|count| {
                room.hear(0, Cast::Unicast, &call(0, *count));
                room.dropped(Drop::TooMany) > 0
            })
            .unwrap()
    };
    let mut room = Room::new(|c| c.with_max_nodes(200).with_unproved_rate(0));
    let limit = most(&mut room);
    assert_eq!(room.hits("max_nodes"), 1);
    let mut room = Room::new(|c| c.with_max_nodes(201).with_unproved_rate(0));
    assert_eq!(most(&mut room), limit + 1);
    assert!((100..200).contains(&limit), "{limit}");
}

pub(crate) fn functions_of_a_peer() {
    for (limit, hits) in [(3, 0), (2, 1)] {
        let config = match limit {
            3 => |c: lanc_core::Config| c.with_max_functions_per_peer(3),
            _ => |c: lanc_core::Config| c.with_max_functions_per_peer(2),
        };
        let mut room = Room::new(config);
        // `long` is there already.
        for name in ["one", "two"] {
            let body = |_: &[Value]| (ms(1), Ok(Value::Null));
            room.lan.register_function(room.friend, Function::new(name, body));
        }
        room.lan.run_for(secs(2));
        let peer = room.lan.peer(room.node, "friend").unwrap();
        assert_eq!((peer.functions, room.hits("max_functions_per_peer")), (limit, hits));
    }
}

pub(crate) fn functions_in_all() {
    // Its own `wait` and `echo`, and `long` of its friend.
    let mut room = Room::new(|c| c.with_max_functions(4));
    for (name, hits) in [("one", 0), ("two", 1)] {
        let body = |_: &[Value]| (ms(1), Ok(Value::Null));
        room.lan.register_function(room.friend, Function::new(name, body));
        room.lan.run_for(secs(2));
        assert_eq!(room.lan.tables(room.node).functions, 4);
        assert_eq!(room.hits("max_functions") > 0, hits > 0);
        if hits == 0 {
            assert_eq!(room.lan.providers(room.node, "one"), ["friend"]);
        }
    }
    assert!(room.lan.providers(room.node, "two").is_empty());
}

pub(crate) fn verified_peers() {
    let mut room = Room::new(|c| c.with_max_peers(2));
    for (name, trust, hits) in
        [("second", lanc_core::Trust::Verified, 0), ("third", lanc_core::Trust::Tentative, 1)]
    {
        room.lan.add(Spec::new(name));
        room.lan.run_for(secs(2));
        assert_eq!(room.lan.peer(room.node, name).unwrap().trust, trust);
        assert_eq!(room.hits("max_peers") > 0, hits > 0);
    }
}

pub(crate) fn tentative_peers() {
    let mut room = Room::new(|c| c.with_max_tentative(2));
    for (number, known) in [(0, 1), (100, 2)] {
        room.hear(number, Cast::Broadcast, &hello(number, ""));
        let evicted = room.lan.events(room.node).filter(|(_, event)| is_eviction(event)).count();
        assert_eq!((room.strangers(), evicted), (known, 0));
    }
    room.hear(200, Cast::Broadcast, &hello(200, ""));
    assert_eq!(room.strangers(), 2);
    assert!(room.hits("max_tentative") > 0);
    assert!(room.lan.events(room.node).any(|(_, event)| is_eviction(event)));
    assert!(room.lan.peer(room.node, "s0").is_none(), "the oldest stays");
    assert!(room.lan.peer(room.node, "friend").is_some(), "a verified one goes");
}

fn is_eviction(event: &Event) -> bool {
    matches!(event, Event::PeerDown { reason: PeerDownReason::Evicted, .. })
}

pub(crate) fn tentative_peers_of_a_host() {
    let mut room = Room::new(|c| c.with_max_tentative_per_ip(2));
    for (number, known, hits) in [(0, 1, 0), (1, 2, 0), (2, 2, 1), (100, 3, 1)] {
        room.hear(number, Cast::Broadcast, &hello(number, ""));
        assert_eq!((room.strangers(), room.hits("max_tentative_per_ip")), (known, hits));
    }
}

fn is_told(room: &Room) -> bool {
    room.lan.events(room.node).any(|(_, event)| matches!(event, Event::RateLimited { .. }))
}

pub(crate) fn frames_of_a_host() {
    let mut room = Room::new(|c| c.with_unproved_rate(10));
    // Twice the rate at once, from whatever port.
    for number in 0..20 {
        room.say(number, Cast::Unicast, &ping());
    }
    room.lan.run_for(ms(1));
    assert_eq!((room.dropped(Drop::RateLimited), is_told(&room)), (0, false));
    room.hear(20, Cast::Unicast, &ping());
    assert_eq!((room.dropped(Drop::RateLimited), is_told(&room)), (1, true));
    // Another host is heard.
    room.hear(100, Cast::Unicast, &ping());
    assert_eq!(room.dropped(Drop::RateLimited), 1);
}

pub(crate) fn frames_of_all() {
    let mut room = Room::new(|c| c.with_unproved_rate_total(10));
    for number in 0..20 {
        room.say(number * 100, Cast::Unicast, &ping());
    }
    room.lan.run_for(ms(1));
    assert_eq!((room.dropped(Drop::RateLimited), is_told(&room)), (0, false));
    room.hear(2000, Cast::Unicast, &ping());
    assert_eq!((room.dropped(Drop::RateLimited), is_told(&room)), (1, true));
}

pub(crate) fn bytes_to_a_host() {
    let mut room = Room::new(|c| c);
    let ask = |id: u8, text: &str| {
        let args = json!([text]);
        format!(r#"{HEAD}"method":"call","data":"echo","exe_id":{id},"args":{args}}}"#)
    };
    room.hear(0, Cast::Unicast, &ask(1, "short"));
    assert_eq!(room.hits("unproved_budget"), 0);
    // Within three times its bytes each, but not within 1200 together.
    for id in 2..5 {
        room.hear(0, Cast::Unicast, &ask(id, &"x".repeat(400)));
    }
    assert!(room.hits("unproved_budget") > 0);
}

pub(crate) fn answers_to_hellos() {
    let mut room = Room::new(|c| c.with_hello_replies(1));
    room.lan.run_for(secs(5));
    let before = room.hits("hello_replies");
    assert_eq!(before, 0);
    for number in 0..3 {
        let frame = hello(number * 100, r#","tok":"00000000000000aa""#);
        room.say(number * 100, Cast::Unicast, &frame);
    }
    room.lan.run_for(ms(2));
    assert_eq!(room.hits("hello_replies"), 1, "a second's worth and as much again");
}

pub(crate) fn tasks() {
    let mut room = Room::new(|c| c.with_max_stranger_tasks(2));
    let ask = |id: u16| format!(r#"{HEAD}"method":"call","data":"wait","exe_id":{id}}}"#);
    for (id, hits) in [(0, 0), (100, 0), (200, 1)] {
        room.hear(id, Cast::Unicast, &ask(id));
        assert_eq!(room.hits("max_stranger_tasks"), hits);
    }
    let tables = room.lan.tables(room.node);
    assert_eq!(tables.running + tables.queued, 2);
    // Whoever is known has the rest.
    let call = room.lan.call(room.friend, "wait", json!([]));
    room.lan.run_for(secs(4));
    assert_eq!(room.lan.result(call), Some(Ok(Value::Null)));
}
