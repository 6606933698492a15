//! The threats of `docs/security.md`, one test each: what keyed mode promises against it.

use std::sync::Arc;

use lanc_core::counters::Drop;
use lanc_core::error::{ErrorCode, Executed};
use lanc_core::event::Event;
use lanc_core::id::SessionId;
use lanc_core::ports::{Cast, GroupKey};
use lanc_core::{Trust, envelope};
use lanc_crypto::{Group, MasterKey};
use lanc_testkit::sim::{Ask, Frame, Function, NodeId, Place, Reply, Spec, World, ms, secs};
use serde_json::{Value, json};

fn key(number: u8) -> Arc<dyn GroupKey> {
    Arc::new(Group::new(&MasterKey::from_bytes(&[number; 32])))
}

fn add(args: &[Value]) -> Reply {
    let sum: i64 = args.iter().filter_map(Value::as_i64).sum();
    (ms(1), Ok(json!(sum)))
}

fn echo(args: &[Value]) -> Reply {
    (ms(1), Ok(args.first().cloned().unwrap_or(Value::Null)))
}

/// Answers whatever it is asked with a lie.
fn lie(_: &[Value]) -> Reply {
    (ms(1), Ok(json!(666)))
}

fn strong(name: &str) -> Spec {
    Spec::new(name).offers(Function::new("add", add)).offers(Function::new("echo", echo))
}

/// A provider `a` and a caller `b` of one group that know each other.
fn pair(seed: u64) -> (World, NodeId, NodeId) {
    let mut lan = World::new(seed);
    lan.record_frames();
    let (a, b) = (lan.add(strong("a").key(key(1))), lan.add(Spec::new("b").key(key(1))));
    lan.run_for(secs(2));
    (lan, a, b)
}

fn assert_adds(lan: &mut World, caller: NodeId) {
    let call = lan.ask(caller, Ask::new("add", json!([1, 2])).wait(secs(8)));
    lan.run_for(secs(10));
    assert_eq!(lan.result(call), Some(Ok(json!(3))));
}

fn started(lan: &World, node: NodeId) -> u64 {
    lan.core(node).counters().tasks_started
}

fn dropped(lan: &World, node: NodeId, why: Drop) -> u64 {
    lan.core(node).counters().dropped(why)
}

/// The sessions that a node believes.
fn believed(lan: &World, node: NodeId) -> Vec<SessionId> {
    let peers = lan.peers(node).into_iter();
    peers.filter(|peer| peer.trust == Trust::Verified).map(|peer| peer.session).collect()
}

/// The datagrams of one call by `b` that never reach `a`.
fn withheld(lan: &mut World, a: NodeId, b: NodeId) -> Vec<Frame> {
    lan.cut(a, b);
    let seen = lan.frames().count();
    lan.ask(b, Ask::new("add", json!([1, 2])).to("a"));
    lan.run_for(ms(5));
    let to = Some(lan.address(a));
    let is_call = |frame: &&Frame| frame.from == b && frame.to == to;
    let frames: Vec<Frame> = lan.frames().skip(seen).filter(is_call).cloned().collect();
    assert_eq!(frames.len(), 1);
    lan.heal();
    frames
}

#[test]
fn t1_a_sniffer_sees_no_name_no_argument_no_result() {
    let (mut lan, _, b) = pair(1);
    let call = lan.call(b, "echo", json!(["canary-argument"]));
    let fails = lan.call(b, "canary_function", json!([]));
    lan.run_for(secs(40));
    assert_eq!(lan.result(call), Some(Ok(json!("canary-argument"))));
    assert_eq!(lan.failure(fails).code, ErrorCode::NO_PROVIDER);
    for frame in lan.frames() {
        // As it went over the wire; `text` is what it was before.
        let text = String::from_utf8_lossy(&frame.bytes);
        for secret in ["canary", "echo", "add", "func", "callback", "\"node\"", "\"sid\""] {
            assert!(!text.contains(secret), "{frame:?}");
        }
    }
}

#[test]
fn t2_a_blind_spoofer_can_do_nothing() {
    let (mut lan, a, b) = pair(2);
    let call = lan.call(b, "echo", json!(["x"]));
    let forged = format!(
        "{{\"type\":\"LANC\",\"method\":\"callback\",\"version\":\"0.2\",\"data\":666,\"exe_id\":\"{:016x}.1.00000000\"}}",
        lan.session(b).short()
    );
    let from = lan.address(a);
    lan.inject(from, b, Cast::Unicast, forged.as_bytes());
    lan.run_for(secs(1));
    assert_eq!(lan.result(call), Some(Ok(json!("x"))));
    assert_eq!(dropped(&lan, b, Drop::Plaintext), 1);
}

#[test]
fn t3_who_is_on_the_path_can_neither_alter_nor_relabel_nor_redirect() {
    let (mut lan, a, b) = pair(3);
    let c = lan.add(strong("c").key(key(1)));
    lan.run_for(secs(8));
    let frames = withheld(&mut lan, a, b);
    let (from, before) = (lan.address(b), [started(&lan, a), started(&lan, c)]);
    for bit in 0..frames[0].bytes.len() * 8 {
        let mut bytes = frames[0].bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        lan.inject(from, a, Cast::Unicast, &bytes);
    }
    lan.inject(from, c, Cast::Unicast, &frames[0].bytes);
    // As if it were for everybody: the label is authenticated.
    let mut relabelled = frames[0].bytes.to_vec();
    relabelled[24..32].fill(0);
    lan.inject(from, a, Cast::Broadcast, &relabelled);
    lan.run_for(ms(1));
    assert_eq!([started(&lan, a), started(&lan, c)], before);
    assert_eq!(dropped(&lan, c, Drop::WrongToken), 1);
}

#[test]
fn t3_who_has_brought_a_lost_frame_does_not_stay_in_its_senders_place() {
    let (mut lan, a, b) = pair(20);
    lan.restart(b, Place::Same);
    // All that `a` says on the new life of `b` comes by somebody else, who carries nothing back.
    lan.cut_one_way(a, b);
    let (elsewhere, mut seen) = ("10.0.9.9:4000".parse().unwrap(), lan.frames().count());
    for _ in 0..70 {
        lan.run_for(ms(100));
        let new: Vec<Frame> = lan.frames().skip(seen).filter(|f| f.from == a).cloned().collect();
        seen = lan.frames().count();
        for frame in new {
            let cast = if frame.to.is_none() { Cast::Broadcast } else { Cast::Unicast };
            lan.inject(elsewhere, b, cast, &frame.bytes);
        }
    }
    let place = |lan: &World| lan.peer(b, "a").unwrap().endpoint.socket_addr();
    assert_eq!((believed(&lan, b), place(&lan)), (vec![lan.session(a)], Some(elsewhere)));
    lan.heal();
    // The next hello of `a` asks where it is, and its answer says so.
    let came_back = |lan: &World| place(lan) == Some(lan.address(a));
    let heard = |lan: &World| lan.frames().skip(seen).any(|f| f.from == a && f.to.is_none());
    assert!(lan.run_until(heard, secs(8)));
    assert!(lan.run_until(came_back, ms(50)));
    assert_adds(&mut lan, b);
}

#[test]
fn t4_a_rogue_announcer_is_not_seen_as_a_peer() {
    let (mut lan, _, b) = pair(4);
    lan.add(Spec::new("a").offers(Function::new("add", lie)));
    lan.add(Spec::new("a").offers(Function::new("add", lie)).key(key(9)));
    lan.run_for(secs(8));
    assert_eq!(lan.peers(b).len(), 1);
    assert_adds(&mut lan, b);
}

#[test]
fn t5_no_copy_is_accepted_in_whatever_order_nodes_restart() {
    for (seed, restarts) in (0..).zip([vec![], vec![0], vec![1], vec![0, 1], vec![1, 0]]) {
        let (mut lan, a, b) = pair(seed);
        assert_adds(&mut lan, b);
        let frames: Vec<Frame> = lan.frames().cloned().collect();
        for node in restarts {
            lan.restart([a, b][node], Place::Same);
            lan.run_for(secs(12));
        }
        let before = [started(&lan, a), started(&lan, b)];
        let known = [believed(&lan, a), believed(&lan, b)];
        for frame in &frames {
            let from = lan.address(frame.from);
            for (node, cast) in [(a, Cast::Unicast), (b, Cast::Unicast), (a, Cast::Broadcast)] {
                lan.inject(from, node, cast, &frame.bytes);
            }
            lan.run_for(ms(20));
        }
        assert_eq!([started(&lan, a), started(&lan, b)], before);
        assert_eq!([believed(&lan, a), believed(&lan, b)], known);
        assert_adds(&mut lan, b);
    }
}

#[test]
fn t6_a_flood_of_garbage_leaves_room_for_peers() {
    let (mut lan, a, b) = pair(6);
    let session = lan.session(b);
    for number in 0..20_000_u32 {
        let mut garbage = vec![0; 200];
        garbage[..4].copy_from_slice(&[1, 1, 0, 0]);
        garbage[4..8].copy_from_slice(&key(1).id().0);
        // Half of it claims a session that is known.
        garbage[8..24].copy_from_slice(&if number % 2 == 0 { session.0 } else { [7; 16] });
        garbage[36..40].copy_from_slice(&(number + 1).to_be_bytes());
        let from = format!("10.0.7.{}:{}", number % 250 + 1, 1000 + number % 60_000);
        lan.inject(from.parse().unwrap(), a, Cast::Unicast, &garbage);
    }
    lan.run_for(secs(1));
    assert!(dropped(&lan, a, Drop::RateLimited) > 5000);
    let tables = lan.tables(a);
    assert_eq!((tables.peers, tables.senders), (1, 1));
    assert_adds(&mut lan, b);
}

#[test]
fn t7_and_t8_members_are_bounded_as_in_the_open() {
    // Who holds the key may still be malicious: sizes, shares and deadlines are those of open mode,
    // whose tests run in keyed mode as well (`keyed_suites`). Here, the share of one caller.
    let mut lan = World::new(7);
    let slow = |_: &[Value]| (secs(5), Ok(json!(1)));
    let config = |config: lanc_core::Config| config.with_workers(1).with_max_queued(8);
    lan.add(Spec::new("a").offers(Function::new("slow", slow)).key(key(1)).config(config));
    let (b, c) = (lan.add(Spec::new("b").key(key(1))), lan.add(Spec::new("c").key(key(1))));
    lan.run_for(secs(2));
    let greedy: Vec<_> = (0..40).map(|_| lan.call(b, "slow", json!([]))).collect();
    lan.run_for(ms(50));
    let modest = lan.call(c, "slow", json!([]));
    lan.run_for(secs(29));
    let busy = greedy.iter().filter(|call| {
        matches!(lan.result(**call), Some(Err(error)) if error.code == ErrorCode::BUSY && error.executed == Executed::No)
    });
    assert!(busy.count() > 20);
    assert_eq!(lan.result(modest), Some(Ok(json!(1))));
}

#[test]
fn t9_nothing_is_reflected_that_was_not_sealed() {
    let (mut lan, a, _) = pair(9);
    let victim = "10.0.200.1:53".parse().unwrap();
    let before = lan.sent(a).unicasts;
    let hello = br#"{"type":"LANC","method":"hello","version":"0.2","data":{"node":"v","sid":"00112233445566778899aabbccddeeff","tok":"0011223344556677","want":true}}"#;
    for _ in 0..100 {
        lan.inject(victim, a, Cast::Unicast, hello);
    }
    lan.run_for(secs(1));
    assert_eq!(lan.sent(a).unicasts, before);
    // A copy of a sealed hello, as if the victim had sent it, in another life of its receiver: at
    // most one bounded answer.
    let hellos: Vec<Frame> = lan.frames().filter(|frame| frame.to.is_none()).cloned().collect();
    lan.restart(a, Place::Same);
    lan.run_for(secs(1));
    let before = lan.sent(a);
    for frame in hellos.iter().filter(|frame| frame.from != a) {
        lan.inject(victim, a, Cast::Unicast, &frame.bytes);
    }
    lan.run_for(secs(1));
    assert!(lan.sent(a).bytes - before.bytes <= 1200);
}

#[test]
fn t10_memory_is_not_taken_by_who_has_no_key() {
    let (mut lan, a, _) = pair(10);
    let before = lan.tables(a);
    for number in 0..5000_u32 {
        let [.., high, low] = number.to_be_bytes();
        let from = format!("10.0.{high}.{low}:9");
        let mut garbage = vec![1, 1, 0, 0];
        garbage.extend(number.to_be_bytes());
        garbage.resize(600, 3);
        lan.inject(from.parse().unwrap(), a, Cast::Broadcast, &garbage);
        lan.run_for(ms(1));
    }
    let after = lan.tables(a);
    assert_eq!(
        (after.peers, after.senders, after.callers),
        (before.peers, before.senders, before.callers)
    );
    assert!(lan.core(a).foreign_groups(lan.now()).len() <= 16);
    lan.run_for(secs(60));
    assert_eq!(lan.tables(a).links, lan.tables(a).peers + 1, "links of strangers are swept");
}

#[test]
fn t11_wire_names_are_looked_up_by_a_secret_hash() {
    // `KeyedMap` takes its key from the node's own entropy; `clippy.toml` forbids other maps in core.
    // Equal seeds give equal tables, others do not: two worlds agree on nothing but behaviour.
    let (one, ..) = pair(11);
    let (other, ..) = pair(11);
    let (another, ..) = pair(12);
    assert_eq!(one.trace_hash(), other.trace_hash());
    assert_ne!(one.trace_hash(), another.trace_hash());
}

#[test]
fn t12_nothing_is_expanded_or_decoded_before_the_tag_verifies() {
    let (mut lan, a, _) = pair(12);
    for first in [&b"\x78\x9c"[..], b"{", b"\x93", &[b'['; 900]] {
        let mut bytes = first.to_vec();
        bytes.resize(1000, b'[');
        lan.inject("10.0.7.7:7".parse().unwrap(), a, Cast::Unicast, &bytes);
    }
    lan.run_for(ms(10));
    let counters = lan.core(a).counters();
    let parsed = [Drop::Compression, Drop::TooDeep, Drop::TooMany, Drop::BadField];
    assert!(parsed.iter().all(|why| counters.dropped(*why) == 0), "{counters:?}");
    assert_eq!(counters.dropped(Drop::Plaintext) + counters.dropped(Drop::UnknownFormat), 4);
}

#[test]
fn t13_who_takes_datagrams_of_another_user_cannot_read_them() {
    // The other user's program gets what was meant for `b`: it has the bytes and no key.
    let (mut lan, a, b) = pair(13);
    let frames = withheld(&mut lan, a, b);
    let head = envelope::Head::read(&frames[0].bytes).unwrap();
    for wrong in [2, 3, 4] {
        let session = key(wrong).session(&head.session.0, head.epoch());
        let mut bytes = frames[0].bytes.to_vec();
        let opened =
            envelope::open(&head, envelope::Labels::BATCH, session.as_ref(), &mut bytes).is_ok();
        assert!(!opened);
    }
}

#[test]
fn t14_who_holds_a_service_key_alone_is_no_member_of_the_group() {
    let root = MasterKey::from_bytes(&[1; 32]);
    let service: Arc<dyn GroupKey> = Arc::new(Group::new(&root.service("render")));
    let (mut lan, a, b) = pair(14);
    // The operator's program opens a second node for the service.
    let twin = lan
        .add(Spec::new("a-render").offers(Function::new("render", echo)).key(Arc::clone(&service)));
    let tenant = lan.add(Spec::new("tenant").key(service));
    lan.run_for(secs(8));
    assert_eq!(lan.peers(tenant).len(), 1);
    let render = lan.call(tenant, "render", json!(["x"]));
    let add = lan.call(tenant, "add", json!([1, 2]));
    lan.run_for(secs(2));
    assert_eq!(lan.result(render), Some(Ok(json!("x"))));
    assert_eq!(lan.failure(add).code, ErrorCode::NO_PROVIDER);
    assert_eq!([lan.peers(a).len(), lan.peers(b).len(), lan.peers(twin).len()], [1, 1, 1]);
    let foreign = lan.events(a).filter(|(_, event)| matches!(event, Event::ForeignGroup { .. }));
    assert_eq!(foreign.count(), 1);
}

#[test]
fn t15_a_guess_at_a_passphrase_costs_an_argon2() {
    // 64 MiB and three passes each: `crypto/src/passphrase.rs`, whose vectors pin the parameters.
    // The key id commits to the key, so one captured frame tests one guess at a time.
    assert!(MasterKey::from_passphrase("short", "lanc").is_err());
    let one = MasterKey::from_passphrase("correct horse battery", "lanc").unwrap();
    let other = MasterKey::from_passphrase("correct horse battery", "home").unwrap();
    assert_ne!(one.key_id(), other.key_id(), "the group is the salt");
}
