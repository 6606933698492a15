//! Who is called: a provider that is known, that is waited for, the latest of two, or nobody.

use lanc_core::error::{ErrorCode, Executed};
use lanc_core::event::Event;
use lanc_core::policy::Policy;
use lanc_testkit::sim::{Ask, Ended, Function, Spec, World, ms, secs};
use serde_json::{Value, json};

use super::pair::{assert_fails, pair, strong};

#[test]
fn an_unknown_function_of_a_known_peer_is_not_found() {
    let (mut lan, _, b) = pair(9);
    let call = lan.ask(b, Ask::new("ad", json!([])).to("a"));
    lan.run_for(ms(10));
    assert_fails(&lan, call, ErrorCode::NOT_FOUND, Executed::No);
}

#[test]
fn a_function_withdrawn_meanwhile_is_not_found_at_the_callee() {
    let (mut lan, a, b) = pair(10);
    lan.unregister(a, "add");
    let call = lan.call(b, "add", json!([1]));
    lan.run_for(ms(10));
    assert_fails(&lan, call, ErrorCode::NOT_FOUND, Executed::No);
    assert_eq!(lan.starts(call), 0);
}

#[test]
fn nobody_offers_it_is_said_at_once_by_a_settled_node() {
    let (mut lan, _, b) = pair(11);
    let call = lan.call(b, "nothing", json!([]));
    assert_fails(&lan, call, ErrorCode::NO_PROVIDER, Executed::No);
}

#[test]
fn a_cold_node_waits_a_second_and_a_half_for_a_provider() {
    let mut lan = World::new(12);
    let b = lan.node("b");
    let call = lan.call(b, "add", json!([1, 2]));
    lan.run_for(ms(1499));
    assert_eq!(lan.ended(call), Ended::Open);
    lan.run_for(ms(2));
    assert_fails(&lan, call, ErrorCode::NO_PROVIDER, Executed::No);
}

#[test]
fn a_cold_call_goes_out_as_soon_as_the_provider_is_known() {
    let mut lan = World::new(13);
    lan.add(strong("a"));
    lan.run_for(secs(3));
    let b = lan.node("b");
    let call = lan.call(b, "add", json!([1, 2]));
    assert!(lan.run_until(|lan| lan.result(call) == Some(Ok(json!(3))), ms(100)));
}

#[test]
fn the_latest_of_two_providers_is_called_and_the_conflict_is_told() {
    let (mut lan, _, b) = pair(17);
    let name = |text: &'static str| move |_: &[Value]| (secs(3), Ok(json!(text)));
    let first = lan.add(Spec::new("first").offers(Function::new("who", name("first"))));
    lan.run_for(secs(1));
    let in_flight = lan.call(b, "who", json!([]));
    lan.run_for(secs(1));
    lan.add(Spec::new("second").offers(Function::new("who", name("second"))));
    lan.run_for(secs(1));
    let conflicts = lan
        .events(b)
        .filter(|(_, event)| {
            matches!(event,
            Event::FunctionConflict { function, peer, providers: 2 }
                if function == "who" && peer == "second")
        })
        .count();
    assert_eq!(conflicts, 1);
    assert_eq!(lan.providers(b, "who"), ["second", "first"]);
    let (latest, sticky) = (
        lan.call(b, "who", json!([])),
        lan.ask(b, Ask::new("who", json!([])).policy(Policy::Sticky)),
    );
    lan.run_for(secs(4));
    assert_eq!(lan.result(in_flight), Some(Ok(json!("first"))), "the call in flight was moved");
    assert_eq!(lan.result(latest), Some(Ok(json!("second"))));
    assert_eq!(lan.result(sticky), Some(Ok(json!("first"))));
    lan.crash(first);
    lan.run_for(secs(25));
    assert_eq!(lan.providers(b, "who"), ["second"]);
}

#[test]
fn a_call_that_waits_for_a_provider_goes_to_its_own_node_once_that_offers_the_function() {
    let (mut lan, _, b) = pair(46);
    let call = lan.ask(b, Ask::new("later", json!([7])).wait(secs(20)));
    lan.run_for(ms(10));
    lan.register_function(b, Function::new("later", |args| (ms(1), Ok(args[0].clone()))));
    lan.run_for(ms(10));
    assert_eq!(lan.result(call), Some(Ok(json!(7))));
}
