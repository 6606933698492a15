//! Nobody waits for a node whose runtime has ended: not elsewhere, and not the end itself.
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

use std::future::pending;
use std::io::ErrorKind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use lanc::{Call, CallError, Context, ErrorCode, Event, Node};
use lanc_transport_memory::MemoryNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Handle, Runtime};

/// Reaching it is a failure. Calls have longer: none ends because its time is up.
const HANGS: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(600);

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn alone() -> Node {
    let network = MemoryNetwork::new();
    lanc::builder().name("alone").transport(network.transport()).open().await.unwrap()
}

/// Something that never ends by itself.
fn nobody(node: &Node) -> Call<()> {
    node.call("nobody", ()).wait(LONG).deadline(LONG)
}

fn assert_closed<T: std::fmt::Debug>(outcome: Result<T, CallError>) {
    assert_eq!(outcome.unwrap_err().code, ErrorCode::CLOSED);
}

/// Runs what ends something on a thread of its own, for it may hang.
fn ends(work: impl FnOnce() + Send + 'static) {
    let (done, is_done) = sync_channel(1);
    let thread = std::thread::spawn(move || {
        work();
        done.send(()).unwrap();
    });
    let ended = is_done.recv_timeout(HANGS);
    assert_ne!(ended, Err(std::sync::mpsc::RecvTimeoutError::Timeout), "it never ends");
    thread.join().unwrap();
}

/// Waits for something that nobody tells.
async fn until(is_so: impl Fn() -> bool) {
    let look = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANGS, look).await.unwrap();
}

fn end_of_a_runtime(ending: fn(Runtime)) {
    let (own, other) = (runtime(), runtime());
    let node = own.block_on(alone());
    let waiter = node.clone();
    let waiting = other.spawn(async move {
        tokio::join!(nobody(&waiter), nobody(&waiter).all(), waiter.run_forever())
    });
    other.block_on(until(|| node.tables().open_calls == 2));
    ends(move || ending(own));
    let (one, all, ()) =
        other.block_on(async { tokio::time::timeout(HANGS, waiting).await.unwrap().unwrap() });
    assert_closed(one);
    assert_closed(all);
    let late = async {
        assert_closed(nobody(&node).await);
        assert_closed(node.ping("nobody").await);
        tokio::join!(node.run_forever(), node.shutdown(), node.close_now());
        assert_eq!(node.events().next().await, Some(Event::Closed));
    };
    other.block_on(async { tokio::time::timeout(HANGS, late).await }).unwrap();
}

#[test]
fn who_waits_on_another_runtime_is_told_when_that_of_the_node_is_dropped() {
    end_of_a_runtime(drop);
}

#[test]
fn who_waits_on_another_runtime_is_told_when_that_of_the_node_is_shut_down() {
    end_of_a_runtime(Runtime::shutdown_background);
}

#[test]
fn a_runtime_that_its_thread_leaves_by_a_panic_closes_its_nodes_too() {
    let other = runtime();
    let (give, given) = sync_channel(1);
    let thread = std::thread::spawn(move || {
        let own = Builder::new_current_thread().enable_all().build().unwrap();
        give.send(own.block_on(alone())).unwrap();
        let _own = own;
        panic!("this is to end the runtime");
    });
    let node: Node = given.recv_timeout(HANGS).unwrap();
    let outcome = other.block_on(async { tokio::time::timeout(HANGS, nobody(&node)).await });
    assert_closed(outcome.unwrap());
    thread.join().unwrap_err();
}

/// Has `outer` wait for a nested call without any async, and tells when it does.
fn register_outer(node: &Node) -> Receiver<Result<(), CallError>> {
    let (tell, told) = sync_channel(1);
    let outer = move |ctx: Context| {
        let nested = ctx.call::<()>("nobody", ()).wait(LONG).deadline(LONG);
        let outcome = Handle::current().block_on(async { nested.await });
        tell.send(outcome).unwrap();
    };
    node.register("outer", outer).unwrap();
    told
}

#[test]
fn a_blocking_node_is_dropped_while_its_function_waits_for_a_nested_call() {
    ends(|| {
        let network = MemoryNetwork::new();
        let builder = lanc::builder().name("node").transport(network.transport());
        let node = builder.open_blocking().unwrap();
        let told = register_outer(&node);
        node.async_call::<()>("outer", ()).deadline(LONG).start().unwrap();
        node.wait(until(|| node.tables().open_calls == 2));
        drop(node);
        assert_closed(told.recv().unwrap());
    });
}

#[test]
fn a_runtime_is_dropped_while_a_plain_function_waits_for_a_nested_call() {
    ends(|| {
        let own = runtime();
        let told = own.block_on(async {
            let node = alone().await;
            let told = register_outer(&node);
            node.call::<()>("outer", ()).deadline(LONG).start().unwrap();
            until(|| node.tables().open_calls == 2).await;
            told
        });
        // The end of `#[tokio::main]`.
        drop(own);
        assert_closed(told.recv().unwrap());
    });
}

#[test]
fn a_blocking_node_is_dropped_while_its_iterator_waits_for_its_reader() {
    ends(|| {
        let other = runtime();
        let network = MemoryNetwork::new().connected();
        let transport = network.transport();
        let at = transport.endpoint();
        let server = lanc::builder().name("server").transport(transport).open_blocking().unwrap();
        let many = || (0..100_000_u32).map(|number| vec![number; 1000]);
        server.register_stream("many", many).unwrap();
        let client = lanc::builder().name("client").transport(network.transport()).peer(at);
        let client = other.block_on(client.open()).unwrap();
        let call = client.call::<Vec<u32>>("many", ()).wait(LONG).no_deadline();
        let mut values = other.block_on(call.values()).unwrap();
        assert_eq!(other.block_on(values.next()).unwrap().unwrap().len(), 1000);
        // More does not fit: the iterator waits, or soon will. Once it waits, more than half of the
        // room of 256 KiB is taken until its reader goes on.
        server.wait(until(|| server.tables().stream_bytes > 128 << 10));
        drop(server);
    });
}

/// Waits on `runtime`, and tells by name when it is over.
fn wait(
    runtime: &Runtime,
    tell: &SyncSender<&'static str>,
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let tell = tell.clone();
    runtime.spawn(async move {
        work.await;
        tell.send(name).unwrap();
    });
}

/// A node on `own` that knows a function which takes a stream and never ends, on `other`.
fn caller_of_hold(own: &Runtime, other: &Runtime) -> (Node, Node) {
    let network = MemoryNetwork::new().connected();
    let transport = network.transport();
    let at = transport.endpoint();
    let callee = lanc::builder().name("callee").transport(transport);
    let callee = other.block_on(callee.open()).unwrap();
    let hold = async |ctx: Context| {
        let _stream = ctx.stream();
        pending::<()>().await;
    };
    callee.register("hold", hold).unwrap();
    let node = lanc::builder().name("node").transport(network.transport()).peer(at);
    (own.block_on(node.open()).unwrap(), callee)
}

#[test]
fn streams_values_events_and_callbacks_end_with_the_runtime_of_their_node() {
    let (own, other) = (runtime(), runtime());
    let (node, callee) = caller_of_hold(&own, &other);
    let (tell, told) = sync_channel(8);
    let hold = || node.call::<()>("hold", ()).wait(LONG).no_deadline();
    let (stream, result) = hold().with_stream().unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    wait(&other, &tell, "read", async move {
        let failed = reader.read(&mut [0]).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    });
    wait(&other, &tell, "write", async move { while writer.write(&[0; 4096]).await.is_ok() {} });
    wait(&other, &tell, "result", async move { assert_closed(result.await) });
    let mut events = node.events();
    wait(&other, &tell, "events", async move {
        let mut last = None;
        while let Some(event) = events.next().await {
            last = Some(event);
        }
        assert_eq!(last, Some(Event::Closed));
    });
    let mut values = other.block_on(hold().values()).unwrap();
    wait(&other, &tell, "values", async move { assert_closed(values.next().await.unwrap()) });
    let (id, joining) = (hold().start().unwrap(), node.clone());
    wait(&other, &tell, "join", async move { assert_closed(joining.join::<()>(id, LONG).await) });
    let called = tell.clone();
    let on_done = move |outcome: Result<(), _>| {
        assert_closed(outcome);
        called.send("callback").unwrap();
    };
    hold().start_with::<()>(on_done).unwrap();
    drop(tell);
    other.block_on(until(|| callee.tables().running == 4));
    ends(move || own.shutdown_background());
    let mut ended: Vec<_> = (0..7).map_while(|_| told.recv_timeout(HANGS).ok()).collect();
    ended.sort_unstable();
    assert_eq!(ended, ["callback", "events", "join", "read", "result", "values", "write"]);
}

#[test]
fn a_callback_that_its_runtime_has_not_begun_is_called_all_the_same() {
    let mut narrow = Builder::new_multi_thread();
    let own = narrow.worker_threads(1).max_blocking_threads(1).enable_all().build().unwrap();
    let other = runtime();
    let node = own.block_on(alone());
    // The only thread that may block is taken for as long as this is held.
    let (release, held) = sync_channel::<()>(0);
    own.spawn_blocking(move || held.recv());
    let (tell, told) = sync_channel(1);
    let on_done = move |outcome: Result<(), CallError>| tell.send(outcome).unwrap();
    node.call::<()>("nobody", ()).deadline(Duration::ZERO).start_with(on_done).unwrap();
    other.block_on(until(|| node.tables().open_calls == 0));
    own.shutdown_background();
    drop(release);
    assert_eq!(told.recv_timeout(HANGS).unwrap().unwrap_err().code, ErrorCode::TIMEOUT);
}
