//! Results that wait to be fetched.

use lanc_core::error::{ErrorCode, Executed};
use lanc_testkit::sim::{Ask, Spec, World, ms, secs};
use serde_json::json;

use super::pair::{assert_fails, pair, strong};

#[test]
fn get_says_not_ready_then_the_result_then_expired() {
    let (mut lan, _, b) = pair(26);
    let call = lan.ask(b, Ask::new("sleep", json!([100])).keeps_result());
    lan.run_for(ms(50));
    assert_eq!(lan.get(call).unwrap_err().code, ErrorCode::NOT_READY);
    lan.run_for(ms(100));
    assert!(lan.get(call).unwrap().is_success());
    assert_eq!(lan.get(call).unwrap_err().code, ErrorCode::RESULT_EXPIRED);
}

#[test]
fn results_nobody_fetches_are_forgotten_by_number_and_by_age() {
    let mut lan = World::new(27);
    lan.add(strong("a"));
    let spec = Spec::new("b").config(|c| c.with_max_results(3).with_result_lifetime(secs(60)));
    let b = lan.add(spec);
    lan.run_for(secs(2));
    let calls: Vec<_> = (0..4)
        .map(|n| {
            let call = lan.ask(b, Ask::new("add", json!([n])).keeps_result());
            lan.run_for(ms(10));
            call
        })
        .collect();
    assert_eq!(lan.tables(b).results, 3);
    assert_eq!(lan.get(calls[0]).unwrap_err().code, ErrorCode::RESULT_EXPIRED);
    assert!(lan.get(calls[1]).is_ok());
    lan.run_for(ms(59_900));
    assert!(lan.get(calls[2]).is_ok());
    lan.run_for(ms(100));
    assert_eq!(lan.get(calls[3]).unwrap_err().code, ErrorCode::RESULT_EXPIRED);
    assert_eq!(lan.tables(b).results, 0);
}

#[test]
fn outcomes_that_come_at_once_all_reach_their_waiters() {
    let mut lan = World::new(36);
    lan.add(strong("a"));
    let b = lan.add(Spec::new("b").config(|c| c.with_max_results(2)));
    lan.run_for(secs(2));
    let calls: Vec<_> = (0..9).map(|_| lan.call(b, "sleep", json!([10_000]))).collect();
    lan.run_for(ms(10));
    lan.shutdown(b);
    for call in calls {
        assert_fails(&lan, call, ErrorCode::CLOSED, Executed::Maybe);
    }
}
