//! Providers that do not answer: how long each is waited for, and what the deadline says.

use lanc_core::error::{ErrorCode, Executed};
use lanc_testkit::sim::{Ask, Ended, ms, secs};
use serde_json::json;

use super::room::{failure, fill, room, small, work};

#[test]
fn a_silent_provider_has_its_share_of_the_deadline() {
    let (mut lan, nodes, caller) = room(
        13,
        vec![
            small("one", work("one", 10)),
            small("two", work("two", 60_000)),
            small("three", work("three", 60_000)),
        ],
    );
    let began = lan.now();
    let ask = Ask::new("work", json!([])).idempotent().deadline(secs(9));
    let call = lan.ask(caller, ask);
    // A third of nine seconds, then half of six.
    lan.run_for(ms(2990));
    assert_eq!(lan.tables(nodes[1]).running, 0);
    lan.run_for(ms(20));
    assert_eq!((lan.tables(nodes[2]).running, lan.tables(nodes[1]).running), (1, 1));
    lan.run_for(ms(2980));
    assert_eq!(lan.core(nodes[0]).counters().tasks_started, 0);
    assert!(lan.run_until(|lan| lan.result(call) == Some(Ok(json!("one"))), ms(60)));
    assert!(lan.now() < began + ms(6060));
    // Those that lost are told.
    lan.run_for(ms(10));
    assert_eq!((lan.tables(nodes[1]).running, lan.tables(nodes[2]).running), (0, 0));
    assert_eq!(lan.tables(caller).open_calls, 0);
    assert_eq!(lan.core(caller).counters().calls_copied, 2);
}

#[test]
fn the_first_provider_may_still_win_after_its_share() {
    let (mut lan, nodes, caller) =
        room(14, vec![small("one", work("one", 60_000)), small("two", work("two", 5000))]);
    let call = lan.ask(caller, Ask::new("work", json!([])).idempotent().deadline(secs(9)));
    lan.run_for(ms(5010));
    assert_eq!(lan.result(call), Some(Ok(json!("two"))));
    lan.run_for(ms(10));
    assert_eq!(lan.tables(nodes[0]).running, 0, "the copy was not taken back");
    assert_eq!(lan.tables(caller).open_calls, 0);
}

#[test]
fn the_deadline_is_one_for_all_attempts_and_executed_is_the_most_of_them() {
    let (mut lan, _, caller) = room(
        15,
        vec![
            small("one", work("one", 60_000)),
            small("two", work("two", 60_000)),
            small("three", work("three", 60_000)),
        ],
    );
    fill(&mut lan, caller, "three", 20_000);
    let began = lan.now();
    let call = lan.ask(caller, Ask::new("work", json!([])).idempotent().deadline(secs(6)));
    lan.run_for(ms(6010));
    assert_eq!(lan.ended(call), Ended::At(began + secs(6)));
    let (code, executed, text) = failure(&lan, call);
    assert_eq!((code, executed), (ErrorCode::TIMEOUT, Executed::Maybe));
    assert!(text.contains("before that `three` busy: "), "{text}");
    lan.run_for(ms(10));
    assert_eq!(lan.tables(caller).open_calls, 2, "but for the two that fill `three`");
}

#[test]
fn who_says_nothing_any_more_is_passed_over_while_another_is_known() {
    let (mut lan, nodes, caller) =
        room(81, vec![small("one", work("one", 10)), small("two", work("two", 10))]);
    let ask = || Ask::new("work", json!([])).deadline(ms(500));
    lan.pause(nodes[1]);
    let first = lan.ask(caller, ask());
    lan.run_for(ms(600));
    assert_eq!(failure(&lan, first).0, ErrorCode::TIMEOUT);
    for _ in 0..5 {
        let call = lan.ask(caller, ask());
        lan.run_for(ms(100));
        assert_eq!(lan.result(call), Some(Ok(json!("one"))));
    }
    // Once it says anything, it is the latest announcer again.
    lan.resume(nodes[1]);
    lan.run_for(secs(6));
    let call = lan.ask(caller, ask());
    lan.run_for(ms(100));
    assert_eq!(lan.result(call), Some(Ok(json!("two"))));
    // Where all are silent the policy chooses, and it is tried.
    nodes.iter().for_each(|node| lan.pause(*node));
    for _ in 0..3 {
        let call = lan.ask(caller, ask());
        lan.run_for(ms(600));
        assert_eq!(failure(&lan, call).0, ErrorCode::TIMEOUT);
    }
}
