//! Calls that a function makes: they have no more time than the call it serves, and end with it.

use std::time::Duration;

use lanc_core::Class;
use lanc_core::error::{ErrorCode, Executed};
use lanc_testkit::sim::{Ask, CallId, Ended, Function, NodeId, Spec, World, ms, secs};
use serde_json::json;

use super::room::{failure, room, sleep};

/// A function that runs on `server` for a call of `client` with this deadline, and a `backend`.
fn chain(seed: u64, deadline: Duration) -> (World, [NodeId; 3], CallId) {
    let outer = Function::new("outer", sleep).class(Class::Async);
    let inner = Function::new("inner", sleep).stops_when_cancelled();
    let (mut lan, nodes, client) =
        room(seed, vec![Spec::new("backend").offers(inner), Spec::new("server").offers(outer)]);
    let call = lan.ask(client, Ask::new("outer", json!([50_000])).deadline(deadline));
    lan.run_for(ms(10));
    (lan, [nodes[0], nodes[1], client], call)
}

#[test]
fn a_nested_call_has_no_more_time_than_the_call_it_serves() {
    let (mut lan, [backend, server, _], outer) = chain(24, secs(2));
    let nested = lan.ask(server, Ask::new("inner", json!([50_000])).within(outer));
    lan.run_for(ms(1980));
    assert_eq!(lan.result(nested), None);
    assert_eq!(lan.tables(backend).running, 1);
    lan.run_for(ms(30));
    assert_eq!(failure(&lan, nested).0, ErrorCode::TIMEOUT);
    assert_eq!(lan.tables(backend).running, 0);
    // What comes after that is not even sent.
    let late = lan.ask(server, Ask::new("inner", json!([1])).within(outer));
    let (code, executed, text) = failure(&lan, late);
    assert_eq!((code, executed), (ErrorCode::TIMEOUT, Executed::No));
    assert!(text.starts_with("the time is up of the call that this function serves"), "{text}");
}

#[test]
fn the_time_of_a_nested_call_is_known_to_its_callee() {
    let (mut lan, [backend, server, _], outer) = chain(34, secs(2));
    lan.ask(server, Ask::new("inner", json!([50_000])).within(outer));
    lan.run_for(ms(10));
    lan.crash(server);
    lan.run_for(ms(1960));
    assert_eq!(lan.tables(backend).running, 1);
    lan.run_for(ms(40));
    assert_eq!(lan.tables(backend).running, 0);
}

#[test]
fn a_nested_call_with_less_time_of_its_own_keeps_it() {
    let (mut lan, [_, server, _], outer) = chain(25, secs(20));
    let began = lan.now();
    let ask = Ask::new("inner", json!([50_000])).within(outer).deadline(secs(1));
    let nested = lan.ask(server, ask);
    lan.run_for(secs(2));
    assert_eq!(lan.ended(nested), Ended::At(began + secs(1)));
    assert_eq!(lan.result(outer), None);
}

#[test]
fn a_nested_call_is_cancelled_with_the_call_it_serves() {
    let (mut lan, [backend, server, _], outer) = chain(26, secs(30));
    let nested = lan.ask(server, Ask::new("inner", json!([50_000])).within(outer));
    let other = lan.ask(server, Ask::new("inner", json!([50_000])));
    lan.run_for(ms(10));
    assert_eq!(lan.tables(backend).running, 2);
    lan.cancel(outer);
    lan.run_for(ms(10));
    let (code, executed, _) = failure(&lan, nested);
    assert_eq!((code, executed), (ErrorCode::CANCELLED, Executed::Maybe));
    assert_eq!(lan.tables(backend).running, 1);
    assert_eq!(lan.result(other), None);
    let late = lan.ask(server, Ask::new("inner", json!([1])).within(outer));
    let (code, executed, _) = failure(&lan, late);
    assert_eq!((code, executed), (ErrorCode::CANCELLED, Executed::No));
}
