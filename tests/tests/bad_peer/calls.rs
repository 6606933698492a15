//! Calls, and what concerns them, of a caller that breaks the rules.

use std::time::Duration;

use lanc_core::counters::Drop;
use lanc_core::error::ErrorCode;
use lanc_core::{Config, Target};

use crate::scene::{End, Row, Scene, VILLAIN, call, id, message, row};

const LAST: u64 = u64::MAX;

pub(crate) fn rows() -> Vec<Row> {
    let dropped = End::Dropped;
    vec![
        row("the same call with other arguments", other_arguments, End::Quiet),
        row("the same number for another call", same_number, dropped(Drop::Forged)),
        row("the last number there is", last_number, dropped(Drop::Stale)),
        row("a watermark that jumps to the end", watermark_to_the_end, dropped(Drop::BadField)),
        row("a watermark that runs backwards", watermark_backwards, dropped(Drop::Stale)),
        row("a friend's next number", friends_number, dropped(Drop::Forged)),
        row("a watermark in a friend's name", friends_watermark, dropped(Drop::Forged)),
        row("a lean frame in a friend's name", friends_lean_frame, dropped(Drop::Forged)),
        row("a receipt in a friend's name", friends_receipt, dropped(Drop::UnknownCall)),
        row("a cancel of a friend's call by guess", friends_cancel, End::Quiet),
        row("a probe for a friend's call by guess", friends_probe, dropped(Drop::Forged)),
        row("a probe for a call that never was", unknown_probe, End::Quiet),
        row("a receipt for an answer that never was", unknown_receipt, End::Quiet),
        row("no time left", no_time, End::Told(ErrorCode::TIMEOUT)),
        row("all the time in the world", all_time, End::Quiet),
        row("another session meant", other_session, End::Told(ErrorCode::LOST)),
        row("a function's name that a terminal obeys", bad_name, End::Told(ErrorCode::NOT_FOUND)),
        row("an answer thirty times its call", amplified, End::Told(ErrorCode::TOO_LARGE)),
        row("calls and cancels, two hundred", rapid_reset, dropped(Drop::RateLimited)),
        row(
            "calls nobody wants the answer of, a thousand",
            one_way_flood,
            dropped(Drop::RateLimited),
        ),
        row("answers to another port of the caller's", one_shot, End::Quiet),
        row("answers to a hundred ports", many_one_shots, dropped(Drop::RateLimited)),
        row("receipts that never come", no_receipts, End::Quiet),
        Row {
            config: Some(Config::default().with_max_queued(4).with_workers(1)),
            ..row("a full queue", full_queue, End::Told(ErrorCode::BUSY))
        },
        Row {
            config: Some(Config::default().with_max_deduped(16)),
            ..row("refusals to remember without end", refusals, End::Limit("max_deduped"))
        },
        Row {
            config: Some(Config::default().with_max_callers(4)),
            ..row("a session for every call", many_sessions, End::Quiet)
        },
        Row {
            config: Some(Config::default().with_max_stored_answers(1024)),
            ..row("answers to keep without end", stored_answers, End::Quiet)
        },
    ]
}

fn other_arguments(s: &mut Scene) {
    s.prove(VILLAIN);
    let first = call("echo", &id(VILLAIN, 1, 5), "");
    s.say(VILLAIN, &first);
    let starts = s.node().ledger.total_starts();
    s.say(VILLAIN, &first.replace("[7]", "[8]").replace("echo", "big"));
    assert_eq!(s.node().ledger.total_starts(), starts, "it was started twice");
    assert_eq!(s.count("\"data\":[8]"), 0);
    assert!(s.count("\"data\":[7]") >= 2, "the first answer comes again: {:?}", s.heard);
}

fn same_number(s: &mut Scene) {
    s.prove(VILLAIN);
    s.say(VILLAIN, &call("echo", &id(VILLAIN, 1, 5), ""));
    s.say(VILLAIN, &call("echo", &id(VILLAIN, 1, 6), ""));
}

fn last_number(s: &mut Scene) {
    s.prove(VILLAIN);
    let starts = s.node().ledger.total_starts();
    s.say(VILLAIN, &call("echo", &id(VILLAIN, LAST, 5), ""));
    assert_eq!(s.node().ledger.total_starts(), starts);
}

fn watermark_to_the_end(s: &mut Scene) {
    s.prove(VILLAIN);
    s.say(VILLAIN, &call("slow", &id(VILLAIN, 1, 5), ""));
    s.say(VILLAIN, &call("echo", &id(VILLAIN, 2, 5), &format!(",\"x\":{{\"lo\":{LAST}}}")));
    // Who sends a call waits for it, and for what comes after it.
    s.say(VILLAIN, &call("echo", &id(VILLAIN, 3, 5), ""));
    assert_eq!(s.dropped(Drop::Stale), 0, "its later calls are not");
}

fn watermark_backwards(s: &mut Scene) {
    s.prove(VILLAIN);
    s.say(VILLAIN, &call("echo", &id(VILLAIN, 9, 5), ",\"x\":{\"lo\":9}"));
    let starts = s.node().ledger.total_starts();
    s.say(VILLAIN, &call("echo", &id(VILLAIN, 3, 5), ",\"x\":{\"lo\":1}"));
    assert_eq!(s.node().ledger.total_starts(), starts, "what was passed has started");
}

/// A call in the friend's name, from the villain's address.
fn as_friend(s: &mut Scene, number: u64, x: &str) -> String {
    let short = s.friends_session()[..16].to_owned();
    let call = call("echo", &format!(",\"exe_id\":\"{short}.{number}.00000005\""), x);
    s.say(VILLAIN, &call);
    short
}

fn friends_number(s: &mut Scene) {
    for number in 1..20 {
        as_friend(s, number, "");
    }
    s.friend_is_served();
}

fn friends_watermark(s: &mut Scene) {
    let slow = s.begin(1, "slow", Target::Peer("one".to_owned()));
    as_friend(s, 1000, &format!(",\"x\":{{\"lo\":{LAST}}}"));
    s.pass(50);
    assert!(s.node().finish_slow());
    s.pass(1000);
    assert_eq!(s.outcome(1, slow), Some(Ok(())), "the friend's call was given up for it");
    s.friend_is_served();
}

fn friends_lean_frame(s: &mut Scene) {
    let short = u64::from_str_radix(&s.friends_session()[..16], 16).unwrap().to_be_bytes();
    // [2, friend, nil, the last watermark], then call 1000 of random 5: echo.
    let head = [&b"\x94\x02\xcf"[..], &short, b"\xc0\xcf\xff\xff\xff\xff\xff\xff\xff\xff"].concat();
    s.send(VILLAIN, &[&head[..], b"\x83\xa1i\xcd\x03\xe8\xa1r\x05\xa1f\xa4echo"].concat());
    s.friend_is_served();
}

fn friends_receipt(s: &mut Scene) {
    let short = s.friends_session()[..16].to_owned();
    let receipt = format!(",\"data\":{{\"lo\":{LAST}}},\"exe_id\":\"{short}.1.00000005\"");
    s.say(VILLAIN, &message("ack", &receipt));
    s.friend_is_served();
}

fn friends_cancel(s: &mut Scene) {
    let slow = s.begin(1, "slow", Target::Peer("one".to_owned()));
    let id = s.friend().ledger.calls()[slow].id.unwrap();
    for random in 0..20 {
        let guess = lanc_core::id::ExeId { random, ..id };
        s.say(VILLAIN, &message("cancel", &format!(",\"exe_id\":\"{guess}\"")));
    }
    assert!(s.node().finish_slow());
    s.pass(1000);
    assert_eq!(s.outcome(1, slow), Some(Ok(())), "the friend's call was cancelled");
}

fn friends_probe(s: &mut Scene) {
    let slow = s.begin(1, "slow", Target::Peer("one".to_owned()));
    let id = s.friend().ledger.calls()[slow].id.unwrap();
    let guess = lanc_core::id::ExeId { random: id.random ^ 1, ..id };
    s.say(VILLAIN, &message("probe", &format!(",\"exe_id\":\"{guess}\"")));
    assert_eq!(s.heard_by(VILLAIN).count(), 0, "a guess is answered");
    assert!(s.node().finish_slow());
    s.pass(1000);
}

fn unknown_probe(s: &mut Scene) {
    s.say(VILLAIN, &message("probe", &id(VILLAIN, 77, 5)));
    assert_eq!(s.count("\"state\":\"unknown\""), 1, "{:?}", s.heard);
}

fn unknown_receipt(s: &mut Scene) {
    s.prove(VILLAIN);
    s.say(VILLAIN, &call("slow", &id(VILLAIN, 1, 5), ""));
    s.say(VILLAIN, &message("ack", &(",\"data\":{}".to_owned() + &id(VILLAIN, 1, 5))));
    assert_eq!(s.node().core.tables().running, 1, "a receipt ends no call that runs");
}

fn no_time(s: &mut Scene) {
    let starts = s.node().ledger.total_starts();
    s.say(VILLAIN, &call("echo", &id(VILLAIN, 1, 5), ",\"x\":{\"dl\":0}"));
    assert_eq!(s.node().ledger.total_starts(), starts);
}

fn all_time(s: &mut Scene) {
    s.say(VILLAIN, &call("echo", &id(VILLAIN, 1, 5), &format!(",\"x\":{{\"dl\":{LAST}}}")));
    assert_eq!(s.count("\"method\":\"callback\""), 1);
}

fn other_session(s: &mut Scene) {
    s.say(VILLAIN, &call("echo", &id(VILLAIN, 1, 5), ",\"x\":{\"to\":\"0123456789abcdef\"}"));
}

fn bad_name(s: &mut Scene) {
    s.say(VILLAIN, &call("\\u001b[31m", &id(VILLAIN, 1, 5), ""));
    s.pass(100);
    assert!(!s.heard_by(VILLAIN).any(|text| text.contains("\\u001b")), "{:?}", s.heard);
}

fn amplified(s: &mut Scene) {
    let call = call("big", &id(VILLAIN, 1, 5), "");
    s.say(VILLAIN, &call);
    s.pass(1000);
    let bytes: usize = s.heard_by(VILLAIN).map(str::len).sum();
    assert!(bytes <= 3 * call.len(), "{bytes} bytes for {}", call.len());
}

fn rapid_reset(s: &mut Scene) {
    for number in 1..=200 {
        s.say(VILLAIN, &call("slow", &id(VILLAIN, number, 5), ""));
        s.say(VILLAIN, &message("cancel", &id(VILLAIN, number, 5)));
    }
    let tables = s.node().core.tables();
    assert!(tables.running <= 4 && tables.queued <= 64, "{tables:?}");
    s.friend_is_served();
}

fn one_way_flood(s: &mut Scene) {
    for number in 1..=1000 {
        s.say(VILLAIN, &call("echo", &id(VILLAIN, number, 5), ",\"x\":{\"ow\":true}"));
    }
    assert_eq!(s.heard_by(VILLAIN).count(), 0);
}

fn one_shot_call(s: &mut Scene, number: u64, port: u64) {
    let x = format!(",\"x\":{{\"re\":{port},\"tok\":\"0123456789abcdef\"}}");
    s.say(VILLAIN, &call("echo", &id(VILLAIN, number, 5), &x));
}

fn one_shot(s: &mut Scene) {
    one_shot_call(s, 1, 22);
    s.pass(5000);
    // Only the address that called is ever dialled; it refuses, and gets its answer as usual.
    assert_eq!(s.count("\"method\":\"callback\""), 1, "{:?}", s.heard);
}

fn many_one_shots(s: &mut Scene) {
    for number in 1..=200 {
        one_shot_call(s, number, 1000 + number);
    }
}

fn no_receipts(s: &mut Scene) {
    s.prove(VILLAIN);
    for number in 1..=20 {
        s.say(VILLAIN, &call("echo", &id(VILLAIN, number, 5), ""));
    }
    s.pass(20_000);
    let sent = s.count("\"method\":\"callback\"");
    assert!(sent <= 20 * 6, "{sent} answers to 20 calls");
}

fn full_queue(s: &mut Scene) {
    s.prove(VILLAIN);
    for number in 1..=20 {
        s.say(VILLAIN, &call("slow", &id(VILLAIN, number, 5), ",\"x\":{\"dl\":3000}"));
    }
    assert!(s.node().core.tables().queued <= 4);
    s.pass(4000);
}

fn refusals(s: &mut Scene) {
    s.prove(VILLAIN);
    for number in 1..=100 {
        s.say(VILLAIN, &call("nosuch", &id(VILLAIN, number, 5), ""));
    }
    assert!(s.node().core.tables().remembered <= 16, "{:?}", s.node().core.tables());
    s.say(
        VILLAIN,
        &message("bye", &format!(",\"data\":{{\"sid\":\"{}\"}}", crate::scene::session(VILLAIN))),
    );
}

fn many_sessions(s: &mut Scene) {
    for session in 1..=50_u64 {
        s.say(VILLAIN, &call("echo", &format!(",\"exe_id\":\"{session:016x}.1.00000005\""), ""));
        s.pass(Duration::from_millis(30).as_millis().try_into().unwrap());
    }
    assert!(s.node().core.tables().callers <= 4);
    s.friend_is_served();
}

fn stored_answers(s: &mut Scene) {
    s.prove(VILLAIN);
    for number in 1..=100 {
        let text = format!("\"{}\"", "x".repeat(300));
        let call = call("echo", &id(VILLAIN, number, 5), "").replace("[7]", &format!("[{text}]"));
        s.say(VILLAIN, &call);
    }
    assert!(s.node().core.tables().stored_bytes <= 1024);
    assert!(s.node().core.counters().answers_not_kept > 0);
    s.say(
        VILLAIN,
        &message("bye", &format!(",\"data\":{{\"sid\":\"{}\"}}", crate::scene::session(VILLAIN))),
    );
}
