//! A tour: a node put together from its parts, and the ways to call.
//!
//! All nodes share a network in memory; with `UdpTransport` in its place nothing else changes.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use lanc::{Config, Context, ErrorCode, Event, Events, Executed, JsonCodec, Node, NodeBuilder};
use lanc_transport_memory::MemoryNetwork;
use serde::Deserialize;
use tokio::sync::mpsc;

/// What `scale` takes by name.
#[derive(Deserialize)]
struct Scale {
    factor: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = MemoryNetwork::new();
    let (quick, slow) = (open(&network, "quick").await?, open(&network, "slow").await?);
    let client = open(&network, "client").await?;

    let printer = tokio::spawn(print(client.events()));

    // Named arguments: read as a type of their own, from the context in front.
    quick.register("scale", |ctx: Context, value: f64| {
        ctx.named::<Scale>().map(|named| value * named.factor)
    })?;
    let scaled: f64 = client.call("scale", (21.0,)).kwarg("factor", &2.0).await?;
    assert_eq!(scaled, 42.0);

    // A function may be async; it sees its deadline, and when its caller gave up.
    let (tell, mut told) = mpsc::channel(1);
    slow.register("ponder", move |ctx: Context| {
        let tell = tell.clone();
        async move {
            println!("ponder: {} has {:?} left for me", ctx.caller(), ctx.time_left());
            ctx.cancelled().await;
            // Nobody listens any more if this fails.
            let _ = tell.send(()).await;
        }
    })?;
    let call = client.call::<()>("ponder", ()).deadline(Duration::from_millis(100));
    let Err(error) = call.await else { panic!("it came back before its deadline") };
    println!("ponder: {error}");
    assert_eq!((error.code, error.executed), (ErrorCode::TIMEOUT, Executed::Maybe));
    assert_eq!(told.recv().await, Some(()), "the function was not told");

    // Two providers of one name: the first answer wins, the other one is told to stop.
    let mut events = client.events();
    quick.register("who", || "quick")?;
    slow.register("who", async |ctx: Context| {
        ctx.cancelled().await;
        "slow"
    })?;
    while !matches!(events.next().await, Some(Event::FunctionConflict { providers: 2, .. })) {}
    let winner: String = client.call("who", ()).fastest(2).await?;
    assert_eq!(winner, "quick");

    for node in [&client, &quick, &slow] {
        node.shutdown().await;
    }
    assert!(printer.await? > 0);
    Ok(())
}

/// Prints a node's news until it is closed; returns how much there was.
async fn print(mut events: Events) -> usize {
    let mut count = 0;
    while let Some(event) = events.next().await {
        println!("event: {event:?}");
        count += 1;
        if event == Event::Closed {
            break;
        }
    }
    count
}

/// One codec, one transport, and limits that fit a small device.
async fn open(network: &MemoryNetwork, name: &str) -> Result<Node, lanc::OpenError> {
    let limits = Config::default()
        .with_max_peers(16)
        .with_max_queued(8)
        .with_announce_quiet(Duration::from_millis(10));
    NodeBuilder::new()
        .name(name)
        .config(limits)
        .codec(JsonCodec)
        .transport(network.transport())
        .open()
        .await
}
