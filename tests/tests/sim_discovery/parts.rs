//! Lists of functions that take several parts.

use std::sync::Arc;

use lanc_codec::JsonCodec;
use lanc_core::ports::Capabilities;
use lanc_core::{Class, Config, Core, LocalFunction, Pipeline, RegisterError, Time};
use lanc_testkit::sim::{Dice, Spec, World, secs};

use super::offers::named;

#[test]
fn a_long_list_of_functions_comes_in_parts_and_is_known_whole() {
    let mut lan = World::new(10);
    let mut spec = Spec::new("a");
    for number in 0..300 {
        spec = spec.offers(named(&format!("function_number_{number}")));
    }
    let (b, a) = (lan.node("b"), lan.add(spec));
    lan.record_frames();
    lan.run_for(secs(3));
    assert!(lan.frames().filter(|frame| frame.from == a && frame.has("func")).count() > 5);
    assert_eq!(lan.peer(b, "a").unwrap().functions, 300);
}

/// A lane whose broadcasts have so many bytes at most.
fn lane(max_broadcast: usize) -> Capabilities {
    Capabilities {
        max_frame: 1472,
        max_broadcast,
        reliable: false,
        ordered: false,
        broadcast: true,
        connected: false,
    }
}

/// A node on such a lane, with so many functions of so many letters.
fn many(broadcast: usize, count: usize, letters: usize, idempotent: bool) -> Spec {
    let limit = count.max(1024);
    let spec = Spec::new("a").config(|c| c.with_max_functions_per_peer(limit));
    let function = |number| {
        let function = named(&format!("f{number:0width$}", width = letters - 1));
        if idempotent { function.idempotent() } else { function }
    };
    (0..count).map(function).fold(spec.capabilities(lane(broadcast)), Spec::offers)
}

/// In how many parts a node broadcasts its list.
fn parts(mut lan: World, spec: Spec) -> usize {
    lan.record_frames();
    lan.add(spec);
    lan.run_for(secs(3));
    lan.frames().filter(|frame| frame.to.is_none() && frame.has("func")).count()
}

/// Of section 3.3 of the manual.
#[test]
fn a_part_of_a_list_holds_as_many_names_as_the_manual_says() {
    for (world, letters, idempotent, most) in [
        (World::open as fn(u64) -> World, 8, false, 75),
        (World::open, 8, true, 59),
        (World::open, 128, false, 6),
        (World::sealed, 8, false, 38),
        (World::sealed, 128, false, 3),
    ] {
        let parts = |count| parts(world(20), many(1024, count, letters, idempotent));
        let found = (parts(most), parts(most + 1), parts(2 * most));
        assert_eq!(found, (1, 2, 2), "{most} of {letters}");
    }
}

#[test]
fn a_list_of_as_many_parts_as_may_be_is_learnt() {
    let mut lan = World::open(21);
    // Room for one name of 128 letters, and not for two.
    lan.add(many(335, 4096, 128, false));
    let b = lan.add(Spec::new("b").config(|c| c.with_max_functions_per_peer(4096)));
    let whole = |lan: &World| lan.peer(b, "a").is_some_and(|peer| peer.functions == 4096);
    assert!(lan.run_until(whole, secs(20)));
}

#[test]
fn a_list_of_more_parts_than_may_be_is_refused() {
    let open = || {
        let config = Config::default().with_max_functions_per_peer(16_384);
        let pipeline = Pipeline::new(Arc::new(JsonCodec));
        let mut core = Core::new(config, pipeline, Box::new(Dice::new(1, 0)), Time::ZERO).unwrap();
        core.add_lane(lane(335)).unwrap();
        core
    };
    let register = |core: &mut Core, name: &str| {
        core.register(Time::ZERO, name, LocalFunction::new(Class::Inline)).map(drop)
    };
    let long = |number: usize| format!("f{number:0127}");
    let mut core = open();
    for number in 0..4096 {
        assert_eq!(register(&mut core, &long(number)), Ok(()), "{number}");
    }
    let refused = register(&mut core, &long(4096)).unwrap_err();
    assert_eq!(refused, RegisterError::ListTooLong { names: 4097, parts: 4096 });
    assert_eq!(core.functions().len(), 4096);
    assert_eq!(register(&mut core, &long(7)), Ok(()), "one that is there may be replaced");
    assert!(core.unregister(Time::ZERO, &long(7)).is_some());
    assert_eq!(register(&mut core, &long(4096)), Ok(()));
    // Of short ones there may be more.
    let mut core = open();
    for number in 0..8192 {
        assert_eq!(register(&mut core, &format!("f{number}")), Ok(()), "{number}");
    }
}
