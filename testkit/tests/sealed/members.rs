//! Nodes of one group work together as in the open; others are not seen.

use lanc_core::Trust;
use lanc_core::event::Event;
use lanc_core::ports::KeyId;
use lanc_testkit::sim::{Ended, Place, Rules, Spec, World, group_key as key, ms, secs};
use serde_json::json;

use super::pair::{assert_adds, pair, strong, trust};

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
