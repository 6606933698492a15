//! Large messages: beside small calls, at their limit, and given up half sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lanc::{Config, ErrorCode, Executed, Node};

use super::pair::{SOON, emptied, pair, sockets};

async fn large_and_small(caller: &Node, callee: &Node) {
    callee.register("echo", |text: String| text).unwrap();
    let large = "y".repeat(5_000_000);
    let call = |text: &str| caller.call::<String>("echo", (text,)).wait(SOON).deadline(SOON);
    assert_eq!(call("a").await.as_deref(), Ok("a"));
    let both = async { tokio::join!(call(&large).into_future(), call(&large).into_future()) };
    let small = async {
        for n in 0..100 {
            assert_eq!(call(&n.to_string()).await, Ok(n.to_string()));
        }
    };
    let ((one, two), ()) = tokio::join!(both, small);
    assert!(one.unwrap() == large && two.unwrap() == large);
    emptied(&[caller, callee]).await;
}

#[tokio::test]
async fn large_messages_and_small_calls_share_a_connection() {
    let (caller, callee) = pair(Config::default()).await;
    large_and_small(&caller, &callee).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_and_small_calls_go_at_once_over_tcp() {
    let (caller, callee) = sockets(Config::default()).await;
    large_and_small(&caller, &callee).await;
}

#[tokio::test]
async fn a_message_larger_than_any_is_refused_on_the_side_that_would_send_it() {
    let limit = 200_000;
    let (caller, callee) = pair(Config::default().with_max_message(limit)).await;
    callee.register("size", |text: String| text.len()).unwrap();
    callee.register("make", |size: usize| "z".repeat(size)).unwrap();
    let size = |n: usize| caller.call::<usize>("size", ("z".repeat(n),)).wait(SOON);
    assert_eq!(size(limit - 400).await, Ok(limit - 400));
    let error = size(limit + 1).await.unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::TOO_LARGE, Executed::No));
    let error = caller.call::<String>("make", (limit,)).await.unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::TOO_LARGE, Executed::Yes));
    emptied(&[&caller, &callee]).await;
}

#[tokio::test]
async fn a_large_call_that_is_given_up_half_sent_never_runs() {
    // A small window: so large a call takes hundreds of round trips.
    let (caller, callee) = pair(Config::default().with_stream_window(16 << 10)).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let count = move |text: String| {
        counter.fetch_add(1, Ordering::Relaxed);
        text.len()
    };
    callee.register("count", count).unwrap();
    callee.register("small", || ()).unwrap();
    assert_eq!(caller.call::<usize>("count", ("x",)).wait(SOON).await, Ok(1));
    let large = "x".repeat(8_000_000);
    let mut call = caller.call::<usize>("count", (&large,)).deadline(SOON).into_future();
    let half_sent = async {
        // On its way: some of it is there, some of it not.
        while callee.tables().stream_bytes == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = half_sent => {}
        result = &mut call => panic!("{result:?}"),
    }
    drop(call);
    emptied(&[&caller, &callee]).await;
    assert_eq!(caller.call::<()>("small", ()).await, Ok(()));
    assert_eq!(runs.load(Ordering::Relaxed), 1, "it never ran");
}
