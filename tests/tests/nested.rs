//! Calls that functions make while they serve one, and calls that may run more than once: the
//! public API over the memory transport.

use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lanc::{CallError, Config, Context, ErrorCode, Executed, Fault, JsonCodec, Node, NodeBuilder};
use lanc_tests::in_mode;
use lanc_transport_memory::MemoryNetwork;

async fn node(network: &MemoryNetwork, name: &str) -> Node {
    let builder = in_mode!(NodeBuilder::new().name(name).codec(JsonCodec));
    builder.transport(Box::new(network.transport())).open().await.expect("the node opens")
}

/// A node that tells its callers how much time they have left, in milliseconds.
async fn backend(network: &MemoryNetwork) -> Node {
    let backend = node(network, "backend").await;
    let left = |ctx: Context| {
        ctx.time_left().map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    };
    backend.register("left", left).unwrap();
    backend.register("forever", async || std::future::pending::<()>().await).unwrap();
    backend
}

fn wait<F: Future>(work: impl IntoFuture<IntoFuture = F>) -> F::Output {
    tokio::runtime::Handle::current().block_on(work.into_future())
}

type Left = Result<u64, CallError>;

#[tokio::test(start_paused = true)]
async fn a_plain_call_of_a_function_has_the_time_that_is_left_there() {
    let network = MemoryNetwork::new();
    let _backend = backend(&network).await;
    let server = node(&network, "server").await;
    let plain = async |ctx: Context| -> Left { ctx.node().call("left", ()).await };
    server.register("async", plain).unwrap();
    server.function("inline", plain).inline().register().unwrap();
    let blocking = |ctx: Context| -> Left { wait(ctx.node().call("left", ())) };
    server.register("blocking", blocking).unwrap();
    let after_a_while = async |ctx: Context| -> Left {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        ctx.node().call("left", ()).await
    };
    server.register("later", after_a_while).unwrap();
    let spawned = async |ctx: Context| -> Left {
        tokio::spawn(async move { ctx.call("left", ()).await }).await.expect("the task ends")
    };
    server.register("spawned", spawned).unwrap();
    let third = node(&network, "third").await;
    let through_another_node = move || {
        let third = third.clone();
        async move { third.call::<u64>("left", ()).await }
    };
    server.register("elsewhere", through_another_node).unwrap();
    let with_less = async |ctx: Context| -> Left {
        ctx.node().call("left", ()).deadline(Duration::from_secs(2)).await
    };
    server.register("less", with_less).unwrap();
    let detached = async |ctx: Context| -> Left { ctx.node().call("left", ()).detached().await };
    server.register("detached", detached).unwrap();

    let client = node(&network, "client").await;
    client.settled().await;
    for (function, most) in [
        ("async", 5000),
        ("inline", 5000),
        ("blocking", 5000),
        ("later", 3500),
        ("spawned", 5000),
        ("elsewhere", 5000),
        ("less", 2000),
        ("detached", 30_000),
    ] {
        let left: u64 = client.call(function, ()).deadline(Duration::from_secs(5)).await.unwrap();
        assert!((most - 500..=most).contains(&left), "`{function}` has {left} ms left");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_function_leaves_behind_has_time_of_its_own_as_soon_as_that_has_ended() {
    let network = MemoryNetwork::new();
    let _backend = backend(&network).await;
    let server = node(&network, "server").await;
    let (told, mut tells) = tokio::sync::mpsc::channel::<Left>(1);
    let has_ended = Arc::new(tokio::sync::Notify::new());
    let ended = Arc::clone(&has_ended);
    let leaves_a_task = move |ctx: Context| {
        let (told, ended) = (told.clone(), Arc::clone(&ended));
        tokio::spawn(async move {
            ended.notified().await;
            told.send(ctx.call("left", ()).await).await
        });
    };
    server.function("leaves", leaves_a_task).inline().register().unwrap();
    let client = node(&network, "client").await;
    client.settled().await;
    client.call::<()>("leaves", ()).deadline(Duration::from_secs(5)).await.unwrap();
    // The server keeps the answer still: the receipt for it is held back for 15 ms.
    has_ended.notify_one();
    let left = tells.recv().await.expect("the task ends").unwrap();
    assert!((29_500..=30_000).contains(&left), "{left} ms left");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_deadline_must_be_asked_for_and_has_a_day() {
    let network = MemoryNetwork::new();
    let _backend = backend(&network).await;
    let client = node(&network, "client").await;
    client.settled().await;
    let left: u64 = client.call("left", ()).await.unwrap();
    assert!((29_000..=30_000).contains(&left), "{left}");
    let left: u64 = client.call("left", ()).no_deadline().await.unwrap();
    assert!((86_399_000..=86_400_000).contains(&left), "{left}");
}

/// Waits for something that other threads do.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), wait).await.is_ok(), "not {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_given_up_takes_what_its_function_has_called_with_it() {
    let network = MemoryNetwork::new();
    let backend = backend(&network).await;
    let server = node(&network, "server").await;
    let codes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&codes);
    let note = move |result: Result<(), CallError>| {
        let error = result.unwrap_err();
        seen.lock().unwrap().push((error.code, error.executed));
    };
    let (blocking, later) = (note.clone(), note);
    server
        .register("blocking", move |ctx: Context| blocking(wait(ctx.node().call("forever", ()))))
        .unwrap();
    let later = move |ctx: Context| {
        let later = later.clone();
        async move { later(ctx.node().call("forever", ()).await) }
    };
    server.register("async", later).unwrap();
    let client = node(&network, "client").await;
    client.settled().await;
    for (number, function) in ["blocking", "async"].into_iter().enumerate() {
        let call = client.call(function, ()).start().unwrap();
        until("running", || backend.tables().running == 1).await;
        client.cancel(call).unwrap();
        until("told", || codes.lock().unwrap().len() == number + 1).await;
        until("ended", || server.tables().running + backend.tables().running == 0).await;
    }
    assert_eq!(*codes.lock().unwrap(), [(ErrorCode::CANCELLED, Executed::Maybe); 2]);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_has_begun_cannot_send_its_call_elsewhere() {
    let network = MemoryNetwork::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let mut servers = Vec::new();
    for name in ["one", "two"] {
        let server = node(&network, name).await;
        let runs = Arc::clone(&runs);
        let refuse = move || {
            runs.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Fault::new(ErrorCode::BUSY, "no paper"))
        };
        server.register("print", refuse).unwrap();
        servers.push(server);
    }
    let client = node(&network, "client").await;
    client.settled().await;
    let error = client.call::<()>("print", ()).await.unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::BUSY, Executed::Yes));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    let error = client.call::<()>("print", ()).idempotent().await.unwrap_err();
    assert!(error.message.starts_with("all 2 providers failed: "), "{error}");
    assert_eq!(runs.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hedged_call_of_an_announced_function_is_answered_by_whoever_is_there() {
    let network = MemoryNetwork::new();
    let quick = node(&network, "quick").await;
    quick.function("who", || "quick").idempotent().register().unwrap();
    let client = node(&network, "client").await;
    client.settled().await;
    let slow = node(&network, "slow").await;
    slow.function("who", async || std::future::pending::<String>().await)
        .idempotent()
        .register()
        .unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let began = tokio::time::Instant::now();
    assert_eq!(client.call::<String>("who", ()).hedge().await, Ok("quick".to_owned()));
    assert!((1000..1100).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    // The one that lost is told, and has a second to end.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(slow.tables().running, 0);
}

#[tokio::test]
async fn a_call_whose_function_is_taken_away_here_is_not_made_elsewhere_without_its_arguments() {
    let network = MemoryNetwork::new();
    let other = node(&network, "other").await;
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    other
        .register("g", move |_: Option<u64>| {
            count.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    let config = Config::default().with_workers(1);
    let builder = in_mode!(NodeBuilder::new().config(config).name("me").codec(JsonCodec));
    let me = builder.transport(Box::new(network.transport())).open().await.unwrap();
    let (release, released) = std::sync::mpsc::sync_channel::<()>(1);
    let released = std::sync::Mutex::new(released);
    me.register("f", move || released.lock().unwrap().recv().is_ok()).unwrap();
    me.register("g", |_: Option<u64>| ()).unwrap();
    let knows = || me.functions().iter().any(|f| f.name == "g" && f.providers == ["other"]);
    until("known", knows).await;
    let holds = tokio::spawn(me.call::<bool>("f", ()).into_future());
    until("running", || me.tables().running == 1).await;
    let waits = tokio::spawn(me.call::<()>("g", (7,)).into_future());
    until("queued", || me.tables().queued == 1).await;
    assert!(me.unregister("g"));
    release.send(()).unwrap();
    assert_eq!(holds.await.unwrap(), Ok(true));
    let error = waits.await.unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::NOT_FOUND, Executed::No));
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}
