//! Answers and receipts of a callee that breaks the rules.

use lanc_core::counters::Drop;
use lanc_core::error::ErrorCode;

use crate::scene::{End, Row, Scene, VILLAIN, id, message, row};

pub(crate) fn rows() -> Vec<Row> {
    let dropped = End::Dropped;
    vec![
        row("an answer to a call never made", never_made, dropped(Drop::UnknownCall)),
        row("two answers", twice, dropped(Drop::Late)),
        row("an answer after the cancel", after_cancel, dropped(Drop::Late)),
        row("an answer with a guessed id", guessed, dropped(Drop::Late)),
        row("an answer from another address", from_elsewhere, dropped(Drop::UnknownCall)),
        row("an error that claims success", error_of_success, End::Quiet),
        row("an error of a number that is none", error_of_nothing, dropped(Drop::UnknownCall)),
        row("a receipt for a stranger's call", strangers_receipt, dropped(Drop::UnknownCall)),
        row("a receipt of the two hundredth copy", receipt_of_the_future, End::Quiet),
        row("unknown, before anybody asked", unknown_at_once, End::Quiet),
        row("a receipt and then silence", silence, End::Quiet),
        row("a receipt from another address", receipt_from_elsewhere, dropped(Drop::UnknownCall)),
        row("a result that is no value", broken_result, dropped(Drop::Malformed)),
        row("an endless text of an error", long_error, End::Quiet),
        row("a farewell instead of an answer", bye, End::Quiet),
    ]
}

fn callback(id: &str) -> String {
    message("callback", &format!(",\"data\":1{id}"))
}

fn never_made(s: &mut Scene) {
    s.say(VILLAIN, &callback(&id(VILLAIN, 1, 5)));
    s.say(VILLAIN, &callback(",\"exe_id\":\"anything\""));
}

fn twice(s: &mut Scene) {
    let (place, id) = s.node_calls_villain();
    s.say(VILLAIN, &callback(&id));
    s.say(VILLAIN, &callback(&id).replace("\"data\":1", "\"data\":2"));
    assert_eq!(s.outcome(0, place), Some(Ok(())));
}

fn after_cancel(s: &mut Scene) {
    let (place, id) = s.node_calls_villain();
    s.node().cancel(place);
    s.say(VILLAIN, &callback(&id));
    assert_eq!(s.outcome(0, place), Some(Err(ErrorCode::CANCELLED)));
}

fn guessed(s: &mut Scene) {
    let (place, id) = s.node_calls_villain();
    let (known, random) = id.split_at(id.len() - 2);
    let other = if random.starts_with('0') { "1" } else { "0" };
    s.say(VILLAIN, &callback(&format!("{known}{other}\"")));
    assert_eq!(s.outcome(0, place), None, "a guessed answer is believed");
    s.say(VILLAIN, &callback(&id));
}

fn from_elsewhere(s: &mut Scene) {
    let (place, id) = s.node_calls_villain();
    s.say(VILLAIN + 1, &callback(&id));
    assert_eq!(s.outcome(0, place), None, "somebody else's answer is believed");
    s.say(VILLAIN, &callback(&id));
}

fn error(id: &str, data: &str) -> String {
    message("error", &format!(",\"data\":{{{data}}}{id}"))
}

fn error_of_success(s: &mut Scene) {
    let (place, id) = s.node_calls_villain();
    s.say(VILLAIN, &error(&id, "\"code\":0,\"ex\":\"yes\""));
    assert_eq!(s.outcome(0, place), Some(Err(ErrorCode::PROTOCOL)));
}

fn error_of_nothing(s: &mut Scene) {
    s.say(VILLAIN, &error(",\"exe_id\":7", "\"code\":-5,\"message\":[]"));
    assert_eq!(s.heard_by(VILLAIN).count(), 0, "an error is answered");
}

fn receipt(id: &str, data: &str) -> String {
    message("ack", &format!(",\"data\":{{{data}}}{id}"))
}

fn strangers_receipt(s: &mut Scene) {
    s.say(VILLAIN, &receipt(&id(VILLAIN, 1, 5), "\"state\":\"queued\",\"at\":0"));
}

fn receipt_of_the_future(s: &mut Scene) {
    let (place, id) = s.node_calls_villain();
    s.say(VILLAIN, &receipt(&id, "\"state\":\"running\",\"at\":200"));
    s.say(VILLAIN, &callback(&id));
    assert_eq!(s.outcome(0, place), Some(Ok(())));
}

fn unknown_at_once(s: &mut Scene) {
    let (place, id) = s.node_calls_villain();
    s.say(VILLAIN, &receipt(&id, "\"state\":\"unknown\",\"at\":0"));
    assert_eq!(s.outcome(0, place), None, "a call that was not asked about is lost");
    s.say(VILLAIN, &callback(&id));
    assert_eq!(s.outcome(0, place), Some(Ok(())));
}

fn silence(s: &mut Scene) {
    let (place, id) = s.node_calls_villain();
    s.say(VILLAIN, &receipt(&id, "\"state\":\"queued\",\"at\":0"));
    let sent = s.count("\"method\":\"call\"");
    s.pass(6000);
    assert_eq!(s.outcome(0, place), Some(Err(ErrorCode::TIMEOUT)));
    assert_eq!(s.count("\"method\":\"call\""), sent, "it was sent again after its receipt");
}

fn receipt_from_elsewhere(s: &mut Scene) {
    let (_, id) = s.node_calls_villain();
    s.say(VILLAIN + 1, &receipt(&id, "\"state\":\"queued\",\"at\":0"));
    s.pass(1000);
    assert!(s.count("\"method\":\"call\"") > 1, "it is still sent again");
    s.say(VILLAIN, &callback(&id));
}

fn broken_result(s: &mut Scene) {
    let (place, id) = s.node_calls_villain();
    s.say(VILLAIN, &callback(&id).replace("\"data\":1", "\"data\":[1,"));
    assert_eq!(s.outcome(0, place), None);
    s.say(VILLAIN, &callback(&id));
}

fn long_error(s: &mut Scene) {
    let (place, id) = s.node_calls_villain();
    let text = "x".repeat(60_000);
    s.say(VILLAIN, &error(&id, &format!("\"code\":4,\"message\":\"{text}\"")));
    assert_eq!(s.outcome(0, place), Some(Err(ErrorCode::EXECUTION_ERROR)));
}

fn bye(s: &mut Scene) {
    let (place, _) = s.node_calls_villain();
    let sid = crate::scene::session(VILLAIN);
    s.say(VILLAIN, &message("bye", &format!(",\"data\":{{\"sid\":\"{sid}\"}}")));
    s.pass(200);
    assert_eq!(s.outcome(0, place), Some(Err(ErrorCode::LOST)));
}
