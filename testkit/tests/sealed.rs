//! Keyed mode in the simulator: everything works as in the open, and nothing is said or heard
//! that is not sealed.

use lanc_core::Trust;
use lanc_core::counters::Drop;
use lanc_core::event::Event;
use lanc_core::id::SessionId;
use lanc_core::ports::{Cast, KeyId};
use lanc_testkit::sim::swarm::{Plan, run};
use lanc_testkit::sim::{
    Ask, Ended, Frame, Function, KeyChange, NodeId, Place, Reply, Rules, Spec, World,
    group_key as key, ms, secs,
};
use serde_json::{Value, json};

fn add(args: &[Value]) -> Reply {
    let sum: i64 = args.iter().filter_map(Value::as_i64).sum();
    (ms(1), Ok(json!(sum)))
}

fn strong(name: &str) -> Spec {
    Spec::new(name).offers(Function::new("add", add))
}

/// A provider and a caller of one group that know each other.
fn pair(seed: u64) -> (World, NodeId, NodeId) {
    let mut lan = World::open(seed);
    lan.record_frames();
    let (a, b) = (lan.add(strong("a").key(key(1))), lan.add(Spec::new("b").key(key(1))));
    lan.run_for(secs(2));
    (lan, a, b)
}

fn assert_adds(lan: &mut World, caller: NodeId) {
    let call = lan.call(caller, "add", json!([1, 2]));
    lan.run_for(secs(2));
    assert_eq!(lan.result(call), Some(Ok(json!(3))));
}

fn trust(lan: &World, node: NodeId, peer: &str) -> Option<Trust> {
    lan.peer(node, peer).map(|peer| peer.trust)
}

/// The sessions that a node believes.
fn believed(lan: &World, node: NodeId) -> Vec<SessionId> {
    let peers = lan.peers(node).into_iter();
    peers.filter(|peer| peer.trust == Trust::Verified).map(|peer| peer.session).collect()
}

fn dropped(lan: &World, node: NodeId, why: Drop) -> u64 {
    lan.core(node).counters().dropped(why)
}

#[test]
fn two_nodes_with_one_key_find_each_other_and_call_at_once() {
    let mut lan = World::open(1);
    lan.record_frames();
    let (a, b) = (lan.add(strong("a").key(key(1))), lan.add(Spec::new("b").key(key(1))));
    let call = lan.call(b, "add", json!([1, 2]));
    lan.run_for(secs(2));
    assert_eq!(lan.result(call), Some(Ok(json!(3))));
    assert_eq!(trust(&lan, a, "b"), Some(Trust::Verified));
    assert_eq!(trust(&lan, b, "a"), Some(Trust::Verified));
    for frame in lan.frames() {
        let text = String::from_utf8_lossy(&frame.bytes);
        for secret in ["add", "\"node\"", "\"sid\"", "result", "callback", "func"] {
            assert!(!text.contains(secret), "{frame:?}");
        }
    }
}

#[test]
fn other_groups_and_open_nodes_are_not_seen_and_not_answered() {
    let (mut lan, a, b) = pair(2);
    let before = (lan.sent(a).unicasts, lan.sent(b).unicasts);
    let c = lan.add(strong("c").key(key(2)));
    let d = lan.add(strong("d"));
    lan.run_for(secs(20));
    assert_eq!((lan.sent(a).unicasts, lan.sent(b).unicasts), before);
    for node in [a, b] {
        assert_eq!(lan.peers(node).len(), 1);
        let events: Vec<_> = lan.events(node).map(|(_, event)| event.clone()).collect();
        let foreign = events.iter().filter(
            |event| matches!(event, Event::ForeignGroup { key, .. } if *key == self::key(2).id()),
        );
        assert_eq!(foreign.count(), 1, "{events:?}");
        let plain = events.iter().filter(|event| matches!(event, Event::PlaintextRefused { .. }));
        assert_eq!(plain.count(), 1, "{events:?}");
        let groups = lan.core(node).foreign_groups(lan.now());
        assert_eq!((groups[0].nodes, lan.core(node).plain_nodes(lan.now())), (1, 1));
    }
    assert!(lan.peers(c).is_empty() && lan.peers(d).is_empty());
    let mut groups = lan.core(d).foreign_groups(lan.now());
    groups.sort_by_key(|group| group.nodes);
    let found: Vec<(KeyId, usize)> = groups.iter().map(|g| (g.key, g.nodes)).collect();
    assert_eq!(found, [(key(2).id(), 1), (key(1).id(), 2)]);
}

/// Every frame once more: to its receivers, and to everybody, as unicast and as broadcast.
fn replay(lan: &mut World, frames: &[Frame], to: &[NodeId]) {
    for frame in frames {
        for node in to {
            let from = lan.address(frame.from);
            for cast in [Cast::Unicast, Cast::Broadcast] {
                lan.inject(from, *node, cast, &frame.bytes);
                lan.inject("10.0.9.9:4000".parse().unwrap(), *node, cast, &frame.bytes);
            }
        }
        lan.run_for(ms(20));
    }
}

fn capture(seed: u64) -> (World, NodeId, NodeId, Vec<Frame>) {
    let (mut lan, a, b) = pair(seed);
    assert_adds(&mut lan, b);
    lan.run_for(secs(8));
    let frames: Vec<Frame> = lan.frames().cloned().collect();
    (lan, a, b, frames)
}

#[test]
fn no_copy_of_a_frame_is_obeyed_whoever_gets_it() {
    let (mut lan, a, b, frames) = capture(3);
    let c = lan.add(strong("c").key(key(1)));
    lan.run_for(secs(8));
    let started = |lan: &World| {
        [a, b, c].map(|node| lan.core(node).counters().tasks_started).iter().sum::<u64>()
    };
    let before = started(&lan);
    replay(&mut lan, &frames, &[a, b, c]);
    assert_eq!(started(&lan), before);
    assert!(dropped(&lan, a, Drop::Replayed) > 0 && dropped(&lan, c, Drop::WrongToken) > 0);
    assert_adds(&mut lan, b);
}

#[test]
fn copies_are_harmless_after_either_has_restarted() {
    for seed in 0..20 {
        let (mut lan, a, b, frames) = capture(seed);
        for (restarts, place) in [(a, Place::Same), (b, Place::New), (b, Place::Same)] {
            lan.restart(restarts, place);
            lan.run_for(secs(2));
            let before = [a, b].map(|node| lan.core(node).counters().tasks_started);
            let known = [a, b].map(|node| believed(&lan, node));
            replay(&mut lan, &frames, &[a, b]);
            assert_eq!([a, b].map(|node| lan.core(node).counters().tasks_started), before);
            assert_eq!([a, b].map(|node| believed(&lan, node)), known, "seed {seed}");
            lan.run_for(secs(12));
            assert_adds(&mut lan, b);
        }
    }
}

#[test]
fn a_restarted_node_works_within_one_hello() {
    let (mut lan, a, b) = pair(4);
    for place in [Place::Same, Place::New] {
        lan.restart(a, place);
        lan.run_for(secs(2));
        assert_adds(&mut lan, b);
        lan.restart(b, place);
        lan.run_for(secs(2));
        assert_adds(&mut lan, b);
    }
}

#[test]
fn tokens_change_and_nobody_notices() {
    let (mut lan, a, b) = pair(5);
    for _ in 0..90 {
        assert_adds(&mut lan, b);
        lan.run_for(secs(28));
    }
    assert_eq!(dropped(&lan, a, Drop::WrongToken) + dropped(&lan, b, Drop::WrongToken), 0);
    assert_eq!(lan.tables(a).senders, 1);
}

#[test]
fn a_peer_that_slept_through_two_changes_is_told_the_token() {
    let (mut lan, a, b) = pair(6);
    // Longer than two lifetimes of a token, shorter than the lease of a peer that is configured so.
    lan.cut_one_way(a, b);
    lan.run_for(secs(1300));
    lan.heal();
    let ask = Ask::new("add", json!([1, 2])).wait(secs(6));
    let call = lan.ask(b, ask);
    lan.run_for(secs(10));
    assert_eq!(lan.result(call), Some(Ok(json!(3))));
}

#[test]
fn keys_are_changed_while_calls_go_on() {
    let (mut lan, a, b) = pair(7);
    let (old, new) = (key(1).id(), key(2).id());
    for node in [a, b] {
        lan.keys(node, KeyChange::Add(key(2)));
        assert_adds(&mut lan, b);
    }
    for node in [a, b] {
        lan.keys(node, KeyChange::Primary(new));
        for _ in 0..8 {
            assert_adds(&mut lan, b);
        }
    }
    lan.run_for(secs(20));
    let keys = lan.core(a).keys(lan.now());
    assert_eq!((keys[0].id, keys[0].primary, keys[1].id), (new, true, old));
    assert!(keys[1].unused_for > Some(secs(15)), "{keys:?}");
    for node in [a, b] {
        lan.keys(node, KeyChange::Remove(old));
        assert_adds(&mut lan, b);
    }
    assert_eq!(lan.peers(b).len(), 1);
    lan.run_for(secs(60));
    assert_adds(&mut lan, b);
}

#[test]
fn what_is_changed_on_its_way_is_not_heard() {
    let (mut lan, a, b) = pair(8);
    lan.cut(a, b);
    let seen = lan.frames().count();
    let call = lan.call(b, "add", json!([1, 2]));
    lan.run_for(ms(10));
    let frames: Vec<Frame> = lan.frames().skip(seen).cloned().collect();
    let [frame] = frames.as_slice() else { panic!("one frame, not {frames:?}") };
    let (from, accepted) = (lan.address(b), lan.core(a).counters().frames_accepted);
    for bit in 0..frame.bytes.len() * 8 {
        let mut bytes = frame.bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        lan.inject(from, a, Cast::Unicast, &bytes);
    }
    for length in 0..frame.bytes.len() {
        lan.inject(from, a, Cast::Unicast, &frame.bytes[..length]);
    }
    lan.run_for(ms(1));
    let counters = lan.core(a).counters();
    assert_eq!((counters.frames_accepted, counters.tasks_started), (accepted, 0));
    assert!(counters.dropped(Drop::BadSeal) > 500, "{counters:?}");
    lan.inject(from, a, Cast::Unicast, &frame.bytes);
    lan.run_for(ms(10));
    assert_eq!(lan.core(a).counters().tasks_started, 1, "the window has not moved before");
    lan.heal();
    lan.run_for(secs(2));
    assert_eq!(lan.result(call), Some(Ok(json!(3))));
}

#[test]
fn a_bad_network_harms_no_more_than_in_the_open() {
    for seed in 0..20 {
        let (mut lan, _, b) = pair(seed);
        lan.rules(Rules::default().loss(300).duplication(100).delay(ms(0)..=ms(20)));
        let calls: Vec<_> = (0..200)
            .map(|number| {
                lan.run_for(ms(50));
                lan.call(b, "add", json!([number, 1]))
            })
            .collect();
        lan.run_for(secs(40));
        for call in calls {
            assert!(matches!(lan.ended(call), Ended::At(_)));
        }
    }
}

/// Frames to everybody are often overtaken by others: they take another socket. Each must still be
/// heard, once.
#[test]
fn what_was_overtaken_on_its_way_is_heard_once() {
    for seed in 0..10 {
        let (mut lan, a, b) = pair(seed);
        lan.rules(Rules::default().delay(ms(0)..=ms(20)));
        for number in 0..1500 {
            lan.call(b, "add", json!([number, 1]));
            lan.run_for(ms(10));
        }
        let replayed = |lan: &World| [a, b].map(|node| dropped(lan, node, Drop::Replayed));
        assert_eq!(replayed(&lan), [0, 0], "seed {seed}");
        lan.rules(Rules::default());
        lan.run_for(secs(1));
        let frames: Vec<Frame> = lan.frames().cloned().collect();
        let hellos: Vec<Frame> = frames
            .into_iter()
            .filter(|frame| frame.from == b && frame.text().contains("hello"))
            .collect();
        assert!(hellos.len() >= 3, "{hellos:?}");
        for hello in &hellos {
            lan.inject(lan.address(b), a, Cast::Broadcast, &hello.bytes);
        }
        lan.run_for(ms(20));
        let copies = u64::try_from(hellos.len()).unwrap();
        assert_eq!(replayed(&lan), [copies, 0], "seed {seed}");
    }
}

/// Somebody keeps a hello back until the token that it tells is good no more.
#[test]
fn a_hello_that_was_held_back_changes_nothing() {
    let (mut lan, a, b) = pair(9);
    assert_adds(&mut lan, b);
    lan.cut(a, b);
    let seen = lan.frames().count();
    lan.run_for(secs(7));
    let held_back: Vec<Frame> =
        lan.frames().skip(seen).filter(|frame| frame.from == a).cloned().collect();
    assert!(!held_back.is_empty());
    lan.heal();
    for _ in 0..45 {
        lan.run_for(secs(28));
        assert_adds(&mut lan, b);
    }
    let replayed = dropped(&lan, b, Drop::Replayed);
    for frame in &held_back {
        lan.inject(lan.address(a), b, Cast::Broadcast, &frame.bytes);
    }
    lan.run_for(ms(20));
    assert_eq!(dropped(&lan, b, Drop::Replayed), replayed, "nobody has heard them before");
    assert_adds(&mut lan, b);
    assert_eq!(dropped(&lan, a, Drop::WrongToken), 0, "the old token is not used again");
}

/// Heads are no secret: with that of a peer anybody can have keys made for every epoch.
#[test]
fn keys_are_not_made_for_forged_epochs_at_the_rate_of_the_network() {
    let (mut lan, a, b) = pair(10);
    lan.cut(a, b);
    let seen = lan.frames().count();
    lan.call(b, "add", json!([1, 2]));
    lan.run_for(ms(10));
    let call = lan.frames().nth(seen).unwrap().bytes.to_vec();
    lan.heal();
    for epoch in 1..=5000u32 {
        let mut forged = call.clone();
        forged[34..37].copy_from_slice(&epoch.to_be_bytes()[1..]);
        lan.inject(lan.address(b), a, Cast::Unicast, &forged);
    }
    lan.run_for(ms(10));
    let (tried, refused) = (dropped(&lan, a, Drop::BadSeal), dropped(&lan, a, Drop::RateLimited));
    assert_eq!(tried + refused, 5000);
    assert!(tried <= 200, "{tried} keys were made");
    assert_adds(&mut lan, b);
    assert_eq!(dropped(&lan, a, Drop::RateLimited), refused, "its own frames are not held up");
}

#[test]
fn a_copy_of_a_process_uses_no_nonce_again() {
    for seed in 0..20 {
        let (mut lan, a, b) = pair(seed);
        // Both have drawn the same at first, and count from one. The world holds all nonces
        // beside each other.
        let copy = lan.clone_of(a);
        assert_eq!(lan.session(copy), lan.session(a));
        lan.run_for(secs(20));
        let sealed = |node| lan.core(node).sealing().unwrap().sealed;
        assert!(sealed(copy) > 3 && sealed(a) > 3);
        lan.crash(copy);
        lan.restart(a, Place::Same);
        lan.run_for(secs(30));
        assert_adds(&mut lan, b);
    }
}

#[test]
fn what_came_under_a_key_is_remembered_when_the_key_comes_again() {
    let (mut lan, a, b, frames) = capture(10);
    let (old, new) = (key(1), key(2).id());
    for node in [a, b] {
        lan.keys(node, KeyChange::Add(key(2)));
        lan.keys(node, KeyChange::Primary(new));
        lan.keys(node, KeyChange::Remove(old.id()));
        lan.keys(node, KeyChange::Add(key(1)));
    }
    lan.run_for(secs(8));
    let before = [a, b].map(|node| lan.core(node).counters().dropped(Drop::Replayed));
    let unicasts: Vec<Frame> = frames.into_iter().filter(|frame| frame.to.is_some()).collect();
    // The world fails if one of them is opened again.
    replay(&mut lan, &unicasts, &[a, b]);
    for (node, before) in [a, b].into_iter().zip(before) {
        assert!(dropped(&lan, node, Drop::Replayed) > before);
    }
    assert_adds(&mut lan, b);
}

#[test]
fn a_copy_from_an_address_that_was_proved_makes_nobody_believed() {
    let (mut lan, a, _, frames) = capture(11);
    let hello = frames.iter().find(|frame| frame.from == a && frame.to.is_none()).unwrap();
    lan.restart(a, Place::Same);
    // Knows the second life of `a` only, and its address.
    let c = lan.add(Spec::new("c").key(key(1)));
    lan.run_for(secs(8));
    assert_eq!(trust(&lan, c, "a"), Some(Trust::Verified));
    let from = lan.address(a);
    lan.crash(a);
    assert!(lan.run_until(|lan| lan.peer(c, "a").is_none(), secs(60)));
    lan.inject(from, c, Cast::Broadcast, &hello.bytes);
    lan.run_for(ms(100));
    assert_eq!(trust(&lan, c, "a"), Some(Trust::Tentative));
    lan.run_for(secs(60));
    assert_eq!(trust(&lan, c, "a"), None);
}

#[test]
fn a_cold_call_goes_out_as_soon_as_the_provider_is_known() {
    let mut lan = World::open(14);
    lan.add(strong("a").key(key(1)));
    lan.run_for(secs(3));
    let b = lan.add(Spec::new("b").key(key(1)));
    let call = lan.call(b, "add", json!([1, 2]));
    // The functions come in the same frame as the hello that makes their provider believed.
    assert!(lan.run_until(|lan| lan.result(call) == Some(Ok(json!(3))), ms(100)));
}

#[test]
fn a_hello_from_before_a_change_of_keys_does_not_bring_the_old_key_back() {
    let (mut lan, a, b) = pair(12);
    let seen = lan.frames().count();
    lan.cut_one_way(a, b);
    lan.run_for(secs(6));
    lan.heal();
    let lost = |frame: &&Frame| frame.from == a && frame.to.is_none();
    let hello = lan.frames().skip(seen).find(lost).unwrap().clone();
    for node in [a, b] {
        lan.keys(node, KeyChange::Add(key(2)));
    }
    for node in [a, b] {
        lan.keys(node, KeyChange::Primary(key(2).id()));
    }
    lan.run_for(secs(8));
    assert_adds(&mut lan, b);
    // Sealed under the first key, and nobody has heard it before.
    lan.inject(lan.address(a), b, Cast::Broadcast, &hello.bytes);
    lan.run_for(ms(1));
    lan.keys(a, KeyChange::Remove(key(1).id()));
    assert_adds(&mut lan, b);
}

#[test]
fn a_copy_of_another_session_does_not_keep_a_dead_peer() {
    let (mut lan, a, _, frames) = capture(13);
    let hello = frames.iter().find(|frame| frame.from == a && frame.to.is_none()).unwrap();
    lan.restart(a, Place::Same);
    let c = lan.add(Spec::new("c").key(key(1)));
    lan.run_for(secs(8));
    lan.crash(a);
    lan.run_for(secs(15));
    assert_eq!(trust(&lan, c, "a"), Some(Trust::Verified));
    lan.inject(lan.address(a), c, Cast::Broadcast, &hello.bytes);
    lan.run_for(secs(10));
    assert_eq!(trust(&lan, c, "a"), None, "its lease is over after 21 s");
}

/// Two copies that nobody has heard yet: one of an earlier life of `a`, from where `a` lives, and
/// one of `a`'s first hello, from elsewhere.
#[test]
fn a_copy_at_the_address_of_a_node_does_not_keep_the_node_from_being_heard() {
    let (mut lan, a, _, frames) = capture(15);
    let is_hello = |frame: &&Frame| frame.from == a && frame.to.is_none();
    let of_before = frames.iter().find(is_hello).unwrap();
    lan.restart(a, Place::Same);
    lan.run_for(secs(2));
    let of_now = lan.frames().skip(frames.len()).find(is_hello).unwrap().clone();
    let c = lan.add(Spec::new("c").key(key(1)));
    lan.cut(a, c);
    let before = lan.session(a);
    lan.inject("10.0.9.9:4000".parse().unwrap(), c, Cast::Broadcast, &of_now.bytes);
    lan.inject(lan.address(a), c, Cast::Broadcast, &of_before.bytes);
    lan.run_for(ms(1));
    assert_eq!(lan.peers(c).iter().filter(|peer| peer.trust == Trust::Tentative).count(), 2);
    lan.heal();
    assert!(lan.run_until(|lan| believed(lan, c).contains(&before), secs(7)));
    // What it seals for `c` is heard from now on, and answered there.
    assert_adds(&mut lan, c);
    let known = lan.peers(c).into_iter().find(|peer| peer.session == before).unwrap();
    assert_eq!(known.endpoint.socket_addr(), Some(lan.address(a)));
    assert_eq!(dropped(&lan, c, Drop::Forged), 0);
}

/// A copy of the first hello of a new life comes from elsewhere before any other.
#[test]
fn a_restarted_node_that_was_heard_elsewhere_first_is_known_where_it_lives() {
    let (mut lan, a, b) = pair(16);
    lan.cut(a, b);
    let seen = lan.frames().count();
    lan.restart(a, Place::Same);
    lan.run_for(secs(2));
    let is_hello = |frame: &&Frame| frame.from == a && frame.to.is_none();
    let hello = lan.frames().skip(seen).find(is_hello).unwrap().clone();
    lan.inject("10.0.9.9:4000".parse().unwrap(), b, Cast::Broadcast, &hello.bytes);
    lan.run_for(ms(1));
    assert_eq!(lan.peers(b).len(), 2, "its earlier life, and one that is not believed");
    lan.heal();
    let is_known = |lan: &World| {
        let peers = lan.peers(b);
        let one = peers.iter().filter(|peer| peer.session == lan.session(a));
        let place = |peer: &lanc_core::PeerInfo| peer.endpoint.socket_addr();
        peers.len() == 1 && one.map(place).collect::<Vec<_>>() == [Some(lan.address(a))]
    };
    assert!(lan.run_until(is_known, secs(8)), "{:?}", lan.peers(b));
    let call = lan.ask(b, Ask::new("add", json!([1, 2])).wait(secs(1)));
    lan.run_for(secs(2));
    assert_eq!(lan.result(call), Some(Ok(json!(3))));
}

#[test]
fn the_plans_that_have_found_a_bug_hold() {
    // A challenge to an address that is not proved was counted without its envelope; what had
    // waited for a token used up what a stranger may be sent before the echo it waited for; copies
    // from earlier lives, sent for ever, stood where a believed peer spoke from.
    for seed in [146, 271, 285, 733, 1252, 1995, 3517, 3990] {
        let report = run(&Plan::draw(seed));
        assert_eq!(report.violation, None, "seed {seed}");
    }
}
