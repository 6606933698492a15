//! What is bounded: values nobody takes, streams that stand still, and how many there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use lanc::{Config, Context, ErrorCode, Executed, Node};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::numbers::{register_counters, register_endless};
use super::pair::{SOON, emptied, pair, soon};

/// Waits until a counter stands still while the node is otherwise idle: `probe` has been to the
/// far end and back many times.
async fn stands_still(caller: &Node, counter: &AtomicU64) -> u64 {
    let mut last = counter.load(Ordering::Relaxed);
    let mut rounds = 0;
    while rounds < 20 {
        soon(caller.ping("callee")).await.unwrap();
        let now = counter.load(Ordering::Relaxed);
        rounds = if now == last && now > 0 { rounds + 1 } else { 0 };
        last = now;
    }
    last
}

#[tokio::test]
async fn a_function_whose_values_nobody_takes_is_stopped_at_the_window() {
    let (caller, callee) = pair(Config::default()).await;
    let (given, mut was_dropped) = register_endless(&callee);
    let call = caller.call::<u64>("endless", (u64::MAX,)).wait(SOON);
    let mut values = call.values().await.unwrap();
    assert_eq!(soon(values.next()).await, Some(Ok(0)));
    let window = 256 << 10;
    // Here and there a window each, and what was taken for the first value and batched for the
    // next ones; each number takes 5 to 10 bytes.
    let most = (2 * window + (64 << 10) + (32 << 10)) / 5;
    let reached = stands_still(&caller, &given).await;
    assert!((window / 10..most).contains(&reached), "{reached} of at most {most}");
    for expected in 1..reached {
        assert_eq!(soon(values.next()).await, Some(Ok(expected)));
    }
    assert!(stands_still(&caller, &given).await > reached, "it goes on");
    drop(values);
    soon(was_dropped.recv()).await.unwrap();
    emptied(&[&caller, &callee]).await;
}

#[tokio::test]
async fn dropped_values_cancel_the_function_while_it_waits() {
    let (caller, callee) = pair(Config::default()).await;
    let (_, mut was_dropped) = register_endless(&callee);
    for local in [false, true] {
        let node = if local { &callee } else { &caller };
        let mut values = node.call::<u64>("endless", (3,)).wait(SOON).values().await.unwrap();
        for expected in 0..3 {
            assert_eq!(soon(values.next()).await, Some(Ok(expected)));
        }
        drop(values);
        soon(was_dropped.recv()).await.unwrap();
        emptied(&[&caller, &callee]).await;
    }
}

#[tokio::test]
async fn values_and_lists_are_bounded_by_the_largest_message() {
    let limit = 100_000;
    let (caller, callee) = pair(Config::default().with_max_message(limit)).await;
    let text = |size: usize| "x".repeat(size);
    callee.register_stream("sized", move |sizes: Vec<usize>| sizes.into_iter().map(text)).unwrap();
    // JSON takes two more bytes, for the quotes.
    let call = caller.call::<String>("sized", (vec![limit - 2, 1],)).wait(SOON);
    let mut values = call.values().await.unwrap();
    assert_eq!(soon(values.next()).await.unwrap().unwrap().len(), limit - 2);
    assert_eq!(soon(values.next()).await.unwrap().unwrap().len(), 1);
    assert!(soon(values.next()).await.is_none());
    let mut values = caller.call::<String>("sized", ([1, limit - 1],)).values().await.unwrap();
    assert!(soon(values.next()).await.unwrap().is_ok());
    let error = soon(values.next()).await.unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::TOO_LARGE, Executed::Yes));
    let list = caller.call::<Vec<String>>("sized", (vec![limit / 2; 2],)).await.unwrap_err();
    assert_eq!((list.code, list.executed), (ErrorCode::TOO_LARGE, Executed::Yes));
    let list = caller.call::<Vec<String>>("sized", (vec![limit / 3; 2],)).await.unwrap();
    assert_eq!(list.len(), 2);
    emptied(&[&caller, &callee]).await;
}

#[tokio::test]
async fn small_calls_are_answered_while_a_hundred_streams_stand_still() {
    let (caller, callee) = pair(Config::default()).await;
    register_counters(&callee);
    let (stuffed, release) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (full, gate) = (Arc::clone(&stuffed), Arc::clone(&release));
    let stuff = move |ctx: Context| {
        let (full, gate) = (Arc::clone(&full), Arc::clone(&gate));
        async move {
            let mut stream = ctx.stream().unwrap();
            let released = gate.notified();
            full.fetch_add(1, Ordering::Relaxed);
            let chunk = [7; 16 << 10];
            let mut written = 0_u64;
            tokio::pin!(released);
            loop {
                tokio::select! {
                    () = &mut released => return written,
                    n = stream.write(&chunk) => written += u64::try_from(n.unwrap()).unwrap(),
                }
            }
        }
    };
    callee.register("stuff", stuff).unwrap();
    let begun: Vec<_> = (0..100)
        .map(|_| caller.call::<u64>("stuff", ()).wait(SOON).deadline(SOON).with_stream().unwrap())
        .collect();
    soon(async {
        // A writer that found no room is told of some when half of it is free: so they stand still
        // with more than half of their window, which of it depends on how it was cut into records.
        while stuffed.load(Ordering::Relaxed) < 100 || callee.tables().stream_bytes < 100 << 17 {
            assert_eq!(caller.call::<u64>("plain", (1,)).await, Ok(1));
        }
    })
    .await;
    for n in 0..200 {
        assert_eq!(soon(caller.call::<u64>("plain", (n,)).into_future()).await, Ok(n));
    }
    release.notify_waiters();
    for (mut stream, result) in begun {
        let mut read = 0;
        let mut chunk = vec![0; 64 << 10];
        loop {
            match soon(stream.read(&mut chunk)).await.unwrap() {
                0 => break,
                n => read += u64::try_from(n).unwrap(),
            }
        }
        assert_eq!(soon(result).await, Ok(read));
    }
    emptied(&[&caller, &callee]).await;
}

#[tokio::test]
async fn one_stream_more_than_may_be_is_busy() {
    let (caller, callee) = pair(Config::default().with_max_streams(3)).await;
    callee.register("hold", async |ctx: Context| ctx.cancelled().await).unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        let (mut stream, result) = caller.call::<()>("hold", ()).wait(SOON).with_stream().unwrap();
        stream.write_all(b"x").await.unwrap();
        held.push((stream, result));
    }
    let error = caller.call::<()>("hold", ()).with_stream().unwrap().1.await.unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::BUSY, Executed::No), "{error}");
    drop(held);
    emptied(&[&caller, &callee]).await;
    let (stream, result) = caller.call::<()>("hold", ()).with_stream().unwrap();
    drop((stream, result));
    emptied(&[&caller, &callee]).await;
}
