//! Who waits for something hears of it, whoever else takes it or asks for more meanwhile.
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use lanc::{CallError, ErrorCode, Executed, Node};
use lanc_transport_memory::MemoryNetwork;

/// Reaching it is a failure.
const HANGS: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(600);

async fn node(network: &MemoryNetwork, name: &str) -> Node {
    lanc::builder().name(name).transport(network.transport()).open().await.unwrap()
}

/// Lets everybody else do what there is to do.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn in_time<T>(waits: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANGS, waits).await.expect("nobody has woken it")
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_call_hears_that_somebody_else_has_taken_its_outcome() {
    let alone = node(&MemoryNetwork::new(), "alone").await;
    let id = alone.call("nobody", ()).wait(LONG).deadline(LONG).start().unwrap();
    let joins = [(); 2].map(|()| {
        let alone = alone.clone();
        tokio::spawn(async move { alone.join::<()>(id, LONG).await })
    });
    pause().await;
    // Before the driver has had the time to tell anybody.
    alone.cancel(id).unwrap();
    assert_eq!(alone.get::<()>(id).unwrap_err().code, ErrorCode::CANCELLED);
    for join in joins {
        let error = in_time(join).await.unwrap().unwrap_err();
        assert_eq!((error.code, error.executed), (ErrorCode::RESULT_EXPIRED, Executed::Maybe));
    }
}

#[tokio::test(start_paused = true)]
async fn a_callback_is_called_although_somebody_else_has_taken_the_outcome() {
    let alone = node(&MemoryNetwork::new(), "alone").await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let on_done = move |outcome: Result<(), CallError>| tell.send(outcome).unwrap();
    let call = alone.call("nobody", ()).wait(LONG).deadline(LONG);
    let id = call.start_with::<()>(on_done).unwrap();
    pause().await;
    alone.cancel(id).unwrap();
    assert_eq!(alone.get::<()>(id).unwrap_err().code, ErrorCode::CANCELLED);
    let error = in_time(told).await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::RESULT_EXPIRED);
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_looked_at_late_is_not_taken_for_the_next_one() {
    let network = MemoryNetwork::new();
    let (desk, _strong) = (node(&network, "desk").await, node(&network, "strong").await);
    desk.settled().await;
    let mut first = pin!(desk.ping("strong"));
    // It is on its way, and its pong comes, before anybody looks again.
    poll_fn(|cx| {
        assert!(first.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    pause().await;
    let other = desk.clone();
    let second = tokio::spawn(async move { other.ping("strong").await });
    pause().await;
    let both = async { (first.await, second.await.unwrap()) };
    let (first, second) = in_time(both).await;
    assert!(first.is_ok() && second.is_ok(), "{first:?}, {second:?}");
    // One that nobody waits for any more leaves nothing behind.
    let mut dropped = Box::pin(desk.ping("strong"));
    poll_fn(|cx| {
        assert!(dropped.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(dropped);
    pause().await;
    assert!(in_time(desk.ping("strong")).await.is_ok());
}
