//! What a node offers is announced, withdrawn, and asked for where it was lost.

use lanc_testkit::sim::{Rules, Spec, World, ms, secs};

use super::offers::{named, nothing};

#[test]
fn registrations_are_announced_once_after_a_second_of_quiet() {
    let mut lan = World::new(5);
    let (a, b) = (lan.node("a"), lan.node("b"));
    lan.run_for(secs(3));
    lan.record_frames();
    for name in ["f0", "f1", "f2", "f3", "f4"] {
        lan.register(a, name, nothing);
        lan.run_for(ms(500));
    }
    let last = lan.now() - ms(500);
    lan.run_for(secs(2));
    let funcs: Vec<_> = lan.frames().filter(|frame| frame.has("func")).cloned().collect();
    assert_eq!(funcs.len(), 1, "{funcs:#?}");
    assert_eq!(funcs[0].to, None);
    assert_eq!(funcs[0].at.since(last), secs(1));
    for name in ["f0", "f1", "f2", "f3", "f4"] {
        assert_eq!(lan.providers(b, name), ["a"], "{name}");
    }
}

#[test]
fn a_withdrawn_function_disappears_everywhere() {
    let mut lan = World::new(8);
    let a = lan.add(Spec::new("a").offers(named("f")).offers(named("g")));
    let b = lan.node("b");
    lan.run_for(secs(3));
    assert_eq!(lan.providers(b, "g"), ["a"]);
    lan.unregister(a, "g");
    lan.run_for(ms(1100));
    assert!(lan.providers(b, "g").is_empty());
    assert_eq!(lan.providers(b, "f"), ["a"]);
}

#[test]
fn the_last_function_withdrawn_disappears_too() {
    let mut lan = World::new(9);
    let a = lan.add(Spec::new("a").offers(named("f")));
    let b = lan.node("b");
    lan.run_for(secs(3));
    lan.unregister(a, "f");
    lan.run_for(ms(1100));
    assert!(lan.providers(b, "f").is_empty());
}

#[test]
fn a_lost_function_list_heals_by_asking() {
    let mut lan = World::new(11);
    let (a, b) = (lan.node("a"), lan.node("b"));
    lan.run_for(secs(8));
    lan.register(a, "f", nothing);
    lan.run_for(ms(900));
    // The announcement is lost, and with it the hello that came before.
    lan.cut_one_way(a, b);
    lan.run_for(ms(200));
    lan.heal();
    assert!(lan.providers(b, "f").is_empty());
    lan.record_frames();
    // The next hello speaks of a revision that b does not hold.
    assert!(lan.run_until(|lan| lan.providers(b, "f") == ["a"], ms(6500)));
    let asked = lan.frames().filter(|f| f.from == b && f.text().contains("\"want\":true"));
    assert_eq!(asked.count(), 1);
}

#[test]
fn the_question_for_functions_is_repeated_until_it_is_answered() {
    let mut lan = World::new(12);
    let a = lan.add(Spec::new("a").offers(named("f")));
    let b = lan.node("b");
    // Broadcasts of a reach b, every unicast between them is lost nine times in ten.
    lan.pair_rules(b, a, Rules::default().loss(900));
    assert!(lan.run_until(|lan| lan.providers(b, "f") == ["a"], secs(120)));
}
