//! Four times as many calls as a node can run, over UDP on 127.0.0.1. Its functions run as long
//! as the test says, so that nothing depends on how fast this machine is.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use lanc::{Config, ErrorCode, Executed, Interfaces, Node, NodeBuilder, UdpConfig, UdpTransport};
use tokio::time::timeout;

const WORKERS: usize = 2;
const CLIENTS: usize = 4;
const QUEUE: usize = 16;
const ROUNDS: usize = 50;
/// Calls of each client for every two that are run.
const EACH: usize = 2;
const TEXT: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(60);

fn builder(name: &str) -> NodeBuilder {
    let config = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_port(20_140);
    lanc::builder().name(name).transport(UdpTransport::new(config))
}

/// Lets so many functions end as it was opened for.
#[derive(Default)]
struct Gate {
    open: Mutex<usize>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let open = self.open.lock().unwrap();
        *self.changed.wait_while(open, |open| *open == 0).unwrap() -= 1;
    }

    fn open(&self, count: usize) {
        *self.open.lock().unwrap() += count;
        self.changed.notify_all();
    }
}

async fn until(what: &str, reached: impl Fn() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect(what);
}

/// `true`: it was done. Whoever is refused is told so, and when to come again.
async fn work(client: Node) -> bool {
    let text = "x".repeat(TEXT);
    let call = client.call::<usize>("work", (text,)).deadline(PATIENCE);
    match call.await {
        Ok(length) => length == TEXT,
        Err(error) => {
            assert_eq!((error.code, error.executed), (ErrorCode::BUSY, Executed::No), "{error}");
            assert!(error.retry_after.is_some(), "{error}");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_four_times_the_capacity_every_worker_works_and_every_refusal_says_so() {
    let settings = Config::default().with_workers(WORKERS).with_max_queued(QUEUE);
    let server = builder("server").config(settings).open().await.unwrap();
    let gate = Arc::new(Gate::default());
    let passed = Arc::clone(&gate);
    server
        .register("work", move |text: String| {
            passed.pass();
            text.len()
        })
        .unwrap();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(builder(&format!("client-{number}")).open().await.unwrap());
    }
    for client in &clients {
        client.settled().await;
    }
    let mut calls: [Vec<_>; CLIENTS] = Default::default();
    let mut most = 0;
    for round in 1..=ROUNDS {
        for (client, calls) in clients.iter().zip(&mut calls) {
            calls.extend((0..EACH).map(|_| tokio::spawn(work(client.clone()))));
        }
        let met = || server.counters().calls_received >= (round * CLIENTS * EACH) as u64;
        until("the calls do not come", met).await;
        until("a worker has nothing to do", || server.tables().running == WORKERS).await;
        let tables = server.tables();
        assert!(tables.queued <= QUEUE, "{tables:?}");
        most = most.max(tables.buffered - tables.stored_bytes);
        gate.open(WORKERS);
        let done = || server.counters().tasks_succeeded >= (round * WORKERS) as u64;
        until("what runs does not end", done).await;
    }
    // The text and what MessagePack puts around it.
    assert!(most <= (QUEUE + WORKERS) * (TEXT + 8), "{most} bytes");
    gate.open(ROUNDS * CLIENTS * EACH);
    let mut good = Vec::new();
    for calls in calls {
        let mut count = 0;
        for call in calls {
            count += usize::from(call.await.unwrap());
        }
        good.push(count);
    }
    let all: usize = good.iter().sum();
    assert!(all >= ROUNDS * WORKERS, "{good:?}");
    assert!(server.counters().tasks_refused > 0, "it was never too much");
    // Each has about its quarter.
    assert!(good.iter().all(|own| own * CLIENTS * 3 >= all * 2), "{good:?}");
}
