//! What the user's code drops may panic: that ends a call, and neither its place nor its node.
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

use std::future::pending;
use std::panic::panic_any;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use lanc::{Context, ErrorCode, Node};
use lanc_transport_memory::MemoryNetwork;

/// Reaching it is a failure. Calls have longer: none ends because its time is up.
const HANGS: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(600);

/// Panics when it is dropped, with another of its kind.
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic_any(Self);
        }
    }
}

async fn open() -> Node {
    let network = MemoryNetwork::new();
    let node = lanc::builder().name("node").transport(network.transport()).open().await.unwrap();
    node.register("add", |a: i64, b: i64| a + b).unwrap();
    node
}

/// What `bad` comes to, with every place there is, and whether the node goes on afterwards.
async fn fails(node: &Node) {
    let all = async {
        for _ in 0..20 {
            let failed = node.call::<i64>("bad", ()).deadline(LONG).await.unwrap_err();
            assert_eq!(failed.code, ErrorCode::EXECUTION_ERROR, "{failed}");
        }
        goes_on(node).await;
    };
    tokio::time::timeout(HANGS, all).await.unwrap();
}

/// Has every task ended, and the node in order.
async fn goes_on(node: &Node) {
    assert_eq!(node.call::<i64>("add", (1, 2)).deadline(LONG).await.unwrap(), 3);
    while node.tables().running > 0 {
        // A paused clock goes on only where somebody waits for it, and nobody tells.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let counters = node.counters();
    assert_eq!(counters.tasks_started, counters.tasks_failed + counters.tasks_succeeded);
    node.shutdown().await;
}

#[tokio::test]
async fn an_inline_function_panics_with_what_panics_when_it_is_dropped() {
    let node = open().await;
    let plain = || -> i64 { panic_any(Mine) };
    node.function("bad", plain).inline().register().unwrap();
    fails(&node).await;
}

#[tokio::test]
async fn an_inline_function_with_a_context_panics_with_what_panics_when_it_is_dropped() {
    let node = open().await;
    let asking = |_: Context| -> i64 { panic_any(Mine) };
    node.function("bad", asking).inline().register().unwrap();
    fails(&node).await;
}

#[tokio::test]
async fn a_blocking_function_panics_with_what_panics_when_it_is_dropped() {
    let node = open().await;
    node.register("bad", || -> i64 { panic_any(Mine) }).unwrap();
    fails(&node).await;
}

#[tokio::test]
async fn an_async_function_panics_with_what_panics_when_it_is_dropped() {
    let node = open().await;
    node.register("bad", async || -> i64 { panic_any(Mine) }).unwrap();
    fails(&node).await;
}

#[tokio::test(start_paused = true)]
async fn a_future_that_panics_when_it_is_given_up_gives_its_place_back() {
    let node = open().await;
    let never = async || {
        let _mine = Mine;
        pending::<()>().await;
    };
    node.register("bad", never).unwrap();
    node.function("short", never).inline().register().unwrap();
    for function in ["bad", "short", "bad"] {
        let soon = Duration::from_millis(300);
        let failed = node.call::<()>(function, ()).deadline(soon).await.unwrap_err();
        assert_eq!(failed.code, ErrorCode::TIMEOUT);
    }
    tokio::time::timeout(HANGS, goes_on(&node)).await.unwrap();
}

/// Takes `bad` away while it runs, so that it is the last to hold what it has captured.
async fn taken_away(is_inline: bool, is_plain: bool) {
    let node = open().await;
    let (tell, told) = sync_channel(1);
    let (release, held) = sync_channel::<()>(0);
    let (held, mine) = (Mutex::new(held), Mine);
    let body = move || {
        let _mine = &mine;
        tell.send(()).unwrap();
        held.lock().unwrap().recv().unwrap();
        7_i64
    };
    let bad = match is_plain {
        true => node.function("bad", body),
        false => node.function("bad", move |_: Context| body()),
    };
    if is_inline { bad.inline() } else { bad }.register().unwrap();
    let take_away = {
        let node = node.clone();
        std::thread::spawn(move || {
            told.recv_timeout(HANGS).unwrap();
            assert!(node.unregister("bad"));
            release.send(()).unwrap();
        })
    };
    let answer = node.call::<i64>("bad", ()).deadline(LONG);
    assert_eq!(tokio::time::timeout(HANGS, answer).await.unwrap().unwrap(), 7);
    take_away.join().unwrap();
    tokio::time::timeout(HANGS, goes_on(&node)).await.unwrap();
}

#[tokio::test]
async fn what_a_function_captured_panics_when_it_is_dropped_behind_its_last_call() {
    for (is_inline, is_plain) in [(true, true), (true, false), (false, true), (false, false)] {
        taken_away(is_inline, is_plain).await;
    }
}
