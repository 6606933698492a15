//! Limits that callers and callees meet.

use lanc_core::error::{ErrorCode, Executed, Fault};
use lanc_testkit::sim::{Ask, CallId, Function, ms, secs};
use serde_json::{Value, json};

use super::Room;

impl Room {
    /// The friend has something run for a second.
    fn wait(&mut self) -> CallId {
        let call = self.lan.call(self.friend, "wait", json!([]));
        self.lan.run_for(ms(5));
        call
    }

    /// The node has something run for a second.
    fn long(&mut self) -> CallId {
        self.lan.call(self.node, "long", json!([]))
    }

    #[track_caller]
    fn refused(&self, call: CallId, code: ErrorCode) {
        let error = self.lan.failure(call);
        assert_eq!((error.code, error.executed), (code, Executed::No), "{error}");
    }
}

pub(crate) fn messages() {
    let mut room = Room::new(|c| c.with_max_message(1200));
    // `["xxx...x"]` takes four bytes more than its letters.
    for (letters, hits) in [(1196, 0), (1197, 1)] {
        let call = room.lan.call(room.node, "long", json!(["x".repeat(letters)]));
        assert_eq!(room.hits("max_message"), hits);
        match hits {
            0 => assert_eq!(room.lan.result(call), None),
            _ => room.refused(call, ErrorCode::TOO_LARGE),
        }
    }
}

pub(crate) fn open_calls() {
    let mut room = Room::new(|c| c.with_max_calls(2));
    let calls = [room.long(), room.long()];
    assert_eq!(room.hits("max_calls"), 0);
    let refused = room.long();
    room.refused(refused, ErrorCode::BUSY);
    assert_eq!(room.hits("max_calls"), 1);
    room.lan.run_for(secs(3));
    assert!(calls.iter().all(|call| room.lan.result(*call).is_some_and(|result| result.is_ok())));
}

pub(crate) fn open_calls_to_a_peer() {
    let mut room = Room::new(|c| c.with_max_calls_per_peer(2));
    let (_, _) = (room.long(), room.long());
    assert_eq!(room.hits("max_calls_per_peer"), 0);
    let refused = room.long();
    room.refused(refused, ErrorCode::BUSY);
    assert_eq!(room.hits("max_calls_per_peer"), 1);
}

pub(crate) fn queued() {
    let mut room = Room::new(|c| c.with_max_queued(2));
    let calls = [room.wait(), room.wait(), room.wait()];
    assert_eq!((room.lan.tables(room.node).queued, room.hits("max_queued")), (2, 0));
    let refused = room.wait();
    room.refused(refused, ErrorCode::BUSY);
    assert_eq!(room.hits("max_queued"), 1);
    room.lan.run_for(secs(4));
    assert!(calls.iter().all(|call| room.lan.result(*call).is_some_and(|result| result.is_ok())));
}

pub(crate) fn queued_bytes() {
    let mut room = Room::new(|c| c.with_max_queued_bytes(1024));
    room.wait();
    let ask = |room: &mut Room, letters| {
        let call = room.lan.call(room.friend, "wait", json!(["x".repeat(letters)]));
        room.lan.run_for(ms(5));
        call
    };
    ask(&mut room, 1020);
    assert_eq!((room.lan.tables(room.node).queued, room.hits("max_queued_bytes")), (1, 0));
    let refused = ask(&mut room, 0);
    room.refused(refused, ErrorCode::BUSY);
    assert_eq!(room.hits("max_queued_bytes"), 1);
}

/// Has so many results kept that nobody fetches.
fn keep(room: &mut Room, count: usize) -> Vec<CallId> {
    let ask = Ask::new("long", json!([])).keeps_result();
    let calls = (0..count).map(|_| room.lan.ask(room.node, ask.clone())).collect();
    room.lan.run_for(secs(5));
    calls
}

pub(crate) fn results() {
    let mut room = Room::new(|c| c.with_max_results(2));
    let calls = keep(&mut room, 2);
    assert_eq!((room.lan.tables(room.node).results, room.hits("max_results")), (2, 0));
    keep(&mut room, 1);
    // Told with the next one.
    keep(&mut room, 1);
    assert_eq!((room.lan.tables(room.node).results, room.hits("max_results")), (2, 1));
    assert_eq!(room.lan.get(calls[0]).unwrap_err().code, ErrorCode::RESULT_EXPIRED);
}

pub(crate) fn result_bytes() {
    // Ten results of 102 bytes, in buffers of 128.
    let mut room = Room::new(|c| c.with_max_result_bytes(1280));
    let calls = keep(&mut room, 4);
    keep(&mut room, 3);
    keep(&mut room, 3);
    assert_eq!((room.lan.tables(room.node).results, room.hits("max_results")), (10, 0));
    keep(&mut room, 1);
    keep(&mut room, 1);
    assert_eq!((room.lan.tables(room.node).results, room.hits("max_results")), (10, 1));
    assert_eq!(room.lan.get(calls[0]).unwrap_err().code, ErrorCode::RESULT_EXPIRED);
}

pub(crate) fn deadlines() {
    let mut room = Room::new(|c| c.with_max_deadline(ms(500)).with_call_deadline(ms(500)));
    for (wish, hits) in [(500, 0), (501, 1)] {
        let call = room.lan.ask(room.node, Ask::new("long", json!([])).deadline(ms(wish)));
        room.lan.run_for(ms(499));
        assert_eq!(room.lan.result(call), None);
        room.lan.run_for(ms(2));
        assert_eq!(room.lan.failure(call).code, ErrorCode::TIMEOUT);
        assert_eq!(room.hits("max_deadline"), hits);
    }
}

pub(crate) fn error_texts() {
    let mut room = Room::new(|c| c.with_max_error_text(16));
    let fail = |args: &[Value]| {
        let length = args.first().and_then(Value::as_u64).unwrap_or(0);
        let text = "x".repeat(usize::try_from(length).unwrap_or(0));
        (ms(1), Err(Fault::new(ErrorCode::EXECUTION_ERROR, text)))
    };
    room.lan.register_function(room.node, Function::new("fail", fail));
    room.lan.run_for(secs(2));
    for (length, hits) in [(16, 0), (17, 1)] {
        let call = room.lan.call(room.friend, "fail", json!([length]));
        room.lan.run_for(ms(10));
        assert_eq!(room.lan.failure(call).message, "x".repeat(16));
        assert_eq!(room.hits("max_error_text"), hits);
    }
}

pub(crate) fn pings() {
    let mut room = Room::new(|c| c.with_max_pings(2));
    let pings = [room.lan.ping(room.node, "friend"), room.lan.ping(room.node, "friend")];
    assert_eq!(room.hits("max_pings"), 0);
    let refused = room.lan.ping(room.node, "friend");
    assert_eq!((room.lan.pong(refused), room.hits("max_pings")), (Some(None), 1));
    room.lan.run_for(ms(10));
    assert!(pings.iter().all(|ping| matches!(room.lan.pong(*ping), Some(Some(_)))));
}

pub(crate) fn doubts() {
    let mut room = Room::new(|c| c.with_max_doubts(2));
    for hits in [0, 0, 1] {
        let ask = Ask::new("long", json!([])).deadline(ms(50));
        let call = room.lan.ask(room.node, ask);
        room.lan.run_for(ms(60));
        assert_eq!(room.lan.failure(call).executed, Executed::Maybe);
        assert_eq!(room.hits("max_doubts"), hits);
    }
}
