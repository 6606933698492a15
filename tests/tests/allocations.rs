//! What a call costs in allocations, both sides and the transport together, once everything has
//! grown to its size. To link the counter is to make this binary's allocator a counting one; it
//! counts for each thread, and everything here runs on the test's own.

use allocation_counter::{AllocationInfo, measure};
use lanc::ports::Codec;
use lanc::{Bytes, JsonCodec, MsgpackCodec, Node, NodeBuilder};
use lanc_transport_memory::MemoryNetwork;
use tokio::runtime::{Builder, Runtime};

const CALLS: i64 = 1000;
const PAYLOAD: usize = 64 * 1024;

/// Two nodes that know each other.
struct Pair {
    client: Node,
    server: Node,
    runtime: Runtime,
}

impl Pair {
    fn new(codec: impl Codec + Copy + 'static) -> Self {
        Self::over(MemoryNetwork::new().with_max_frame(2 * PAYLOAD), codec)
    }

    fn over(network: MemoryNetwork, codec: impl Codec + Copy + 'static) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.unwrap();
        let open = |name, peer: Option<&Node>| {
            let builder = NodeBuilder::new().name(name).codec(codec);
            let builder = builder.transport(network.transport());
            match peer {
                Some(peer) => builder.peer(peer.endpoints()[0].clone()),
                None => builder,
            }
            .open()
        };
        let (client, server) = runtime.block_on(async {
            let server = open("server", None).await.unwrap();
            server.function("add", |a: i64, b: i64| a + b).inline().register().unwrap();
            server.function("get", |n: i64| n).idempotent().inline().register().unwrap();
            server.function("echo", |bytes: Bytes| bytes).inline().register().unwrap();
            server.register("later", async |bytes: Bytes| bytes).unwrap();
            let client = open("client", Some(&server)).await.unwrap();
            client.settled().await;
            (client, server)
        });
        Self { client, server, runtime }
    }

    /// What the second of two equal runs allocates.
    fn steady(&self, run: impl AsyncFn()) -> AllocationInfo {
        self.runtime.block_on(run());
        measure(|| self.runtime.block_on(run()))
    }
}

#[test]
fn a_small_call_allocates_nothing() {
    for pair in [Pair::new(JsonCodec), Pair::new(MsgpackCodec)] {
        let counted = pair.steady(async || {
            for n in 0..CALLS {
                assert_eq!(pair.client.call::<i64>("add", (n, 1)).await, Ok(n + 1));
            }
        });
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
    }
}

#[test]
fn nor_does_one_that_may_run_more_than_once() {
    let pair = Pair::new(MsgpackCodec);
    let counted = pair.steady(async || {
        for n in 0..CALLS {
            assert_eq!(pair.client.call::<i64>("get", (n,)).await, Ok(n));
            assert_eq!(pair.client.call::<i64>("get", (n,)).hedge().await, Ok(n));
        }
    });
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
}

#[test]
fn neither_do_many_at_once_but_for_their_tasks() {
    let pair = Pair::new(MsgpackCodec);
    let counted = pair.steady(async || {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let client = pair.client.clone();
                tokio::spawn(async move {
                    for n in 0..CALLS / 10 {
                        assert_eq!(client.call::<i64>("add", (n, task)).await, Ok(n + task));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    // One for each task, and what tables grow by that were quiet between the two runs.
    assert!(counted.count_total <= 64 * 4, "{counted:?} for 64 tasks of {} calls", CALLS / 10);
}

#[test]
fn what_is_answered_while_a_long_call_is_open_leaves_nothing_behind() {
    let pair = Pair::new(MsgpackCodec);
    let forever = async || std::future::pending::<()>().await;
    pair.server.register("forever", forever).unwrap();
    let _guard = pair.runtime.enter();
    let long = pair.client.call::<()>("forever", ()).no_deadline();
    let long = pair.runtime.spawn(async move { long.await });
    let answered = async |calls: i64| {
        for n in 0..calls {
            assert_eq!(pair.client.call::<i64>("add", (n, 1)).await, Ok(n + 1));
            tokio::time::sleep(std::time::Duration::from_micros(100)).await;
        }
    };
    // Until the callee remembers as many calls as it may.
    pair.runtime.block_on(answered(10 * CALLS));
    let counted = measure(|| pair.runtime.block_on(answered(90 * CALLS)));
    assert!(!long.is_finished());
    assert!(counted.bytes_current <= 16 * 1024, "{counted:?}");
}

/// The two that are left are the values that functions and callers own.
#[test]
fn an_echo_of_64_kib_allocates_its_payload_twice() {
    let pair = Pair::new(MsgpackCodec);
    let bytes = Bytes::from(vec![7; PAYLOAD]);
    // `erased_serde` boxes values of more than two words, twice on each side; to share large bytes
    // and to leave them out takes four small pieces each way; a future and its task are three more.
    for (name, pieces) in [("echo", 2 + 4 + 8), ("later", 2 + 4 + 8 + 3)] {
        let counted = pair.steady(async || {
            for _ in 0..CALLS {
                assert_eq!(pair.client.call::<Bytes>(name, (&bytes,)).await.as_ref(), Ok(&bytes));
            }
        });
        assert!(counted.count_total <= pieces * CALLS.unsigned_abs(), "`{name}`: {counted:?}");
        assert!(times_the_payload(&counted) <= 2.2, "`{name}`: {counted:?}");
    }
}

/// Its bytes are sent from where they are and held where they arrived, and that memory is used for
/// the next ones: neither side copies them into memory of its own.
#[test]
fn an_echo_of_a_mebibyte_allocates_none_of_its_payload() {
    let pair = Pair::over(MemoryNetwork::new().connected(), MsgpackCodec);
    let bytes = Bytes::from(vec![7; 1 << 20]);
    let counted = pair.steady(async || {
        for _ in 0..CALLS / 10 {
            assert_eq!(pair.client.call::<Bytes>("echo", (&bytes,)).await.as_ref(), Ok(&bytes));
        }
    });
    let payloads = counted.bytes_total as f64 / ((1 << 20) as f64 * CALLS as f64 / 10.0);
    assert!(payloads <= 0.01, "{payloads} times the payload: {counted:?}");
}

/// Bytes allocated for each call, in payloads.
fn times_the_payload(counted: &AllocationInfo) -> f64 {
    counted.bytes_total as f64 / (PAYLOAD as f64 * CALLS as f64)
}

#[test]
fn bulk_and_small_calls_in_turn_share_the_pool() {
    let pair = Pair::new(MsgpackCodec);
    let bytes = Bytes::from(vec![7; PAYLOAD]);
    let counted = pair.steady(async || {
        for n in 0..CALLS {
            assert_eq!(pair.client.call::<i64>("add", (n, 1)).await, Ok(n + 1));
            assert_eq!(pair.client.call::<Bytes>("echo", (&bytes,)).await.as_ref(), Ok(&bytes));
        }
    });
    assert!(times_the_payload(&counted) <= 2.2, "{counted:?}");
}
