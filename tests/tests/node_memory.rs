//! Nodes over the memory transport: the public API, on a paused clock.

use std::collections::BTreeMap;
use std::time::Duration;

use lanc::{Config, Context, ErrorCode, Executed, Fault, JsonCodec, Node, NodeBuilder, Policy};
use lanc_transport_memory::MemoryNetwork;
use serde::{Deserialize, Serialize};

async fn node(network: &MemoryNetwork, name: &str) -> Node {
    node_with(network, name, Config::default()).await
}

async fn node_with(network: &MemoryNetwork, name: &str, config: Config) -> Node {
    let transport = Box::new(network.transport());
    let builder = NodeBuilder::new().name(name).config(config.with_name(name.to_owned()));
    builder.codec(JsonCodec).transport(transport).open().await.expect("the node opens")
}

/// A function that waits on the runtime's clock and returns how long.
fn register_sleep(server: &Node) {
    let sleep = async |ms: u64| {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        ms
    };
    server.register("sleep", sleep).unwrap();
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: f64,
    y: f64,
}

#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it broke")
    }
}

impl std::error::Error for Broken {}

#[tokio::test(start_paused = true)]
async fn everything_that_can_be_registered_can_be_called() {
    let network = MemoryNetwork::new();
    let server = node(&network, "server").await;
    server.register("add", |a: i64, b: i64| a + b).unwrap();
    server.register("later", async |text: String| text.to_uppercase()).unwrap();
    server.register("none", || ()).unwrap();
    server
        .register(
            "div",
            |a: f64, b: f64| if b == 0.0 { Err("division by zero") } else { Ok(a / b) },
        )
        .unwrap();
    server.register("broken", || Err::<i64, _>(Broken)).unwrap();
    server
        .register("coded", async || Err::<(), _>(Fault::new(ErrorCode(4711), "on purpose")))
        .unwrap();
    server
        .register("move", |p: Point, by: Option<f64>| Point { x: p.x + by.unwrap_or(1.0), ..p })
        .unwrap();
    server.register("who", |ctx: Context| ctx.caller().to_owned()).unwrap();
    server
        .register("named", |ctx: Context, n: i64| {
            #[derive(Deserialize)]
            struct Options {
                scale: i64,
            }
            ctx.named::<Options>().map(|options| n * options.scale)
        })
        .unwrap();
    server.function("quick", |n: u64| n + 1).inline().register().unwrap();
    server.register("panics", |_: i64| -> i64 { panic!("ouch") }).unwrap();

    let client = node(&network, "client").await;
    assert_eq!(client.call::<i64>("add", (1, 2)).await, Ok(3));
    assert_eq!(client.call::<String>("later", ("abc",)).await, Ok("ABC".to_owned()));
    assert_eq!(client.call::<()>("none", ()).await, Ok(()));
    assert_eq!(client.call::<f64>("div", (1.0, 4.0)).await, Ok(0.25));
    let error = client.call::<f64>("div", (1.0, 0.0)).await.unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::EXECUTION_ERROR, Executed::Yes));
    assert_eq!(error.message, "division by zero");
    assert_eq!(client.call::<i64>("broken", ()).await.unwrap_err().message, "it broke");
    assert_eq!(client.call::<()>("coded", ()).await.unwrap_err().code, ErrorCode(4711));
    let point = Point { x: 1.0, y: 2.0 };
    let moved = client.call::<Point>("move", (&point,)).await;
    assert_eq!(moved, Ok(Point { x: 2.0, y: 2.0 }));
    let moved = client.call::<Point>("move", (&point, 5)).await;
    assert_eq!(moved, Ok(Point { x: 6.0, y: 2.0 }));
    assert_eq!(client.call::<String>("who", ()).await, Ok("client".to_owned()));
    assert_eq!(client.call::<i64>("named", (7,)).kwarg("scale", 6).await, Ok(42));
    assert_eq!(client.call::<u64>("quick", [1_u64]).await, Ok(2));
    let error = client.call::<i64>("panics", (1,)).await.unwrap_err();
    assert!(error.message.contains("ouch"), "{error}");
    assert_eq!(client.call::<i64>("add", (1, 2)).await, Ok(3), "the worker survived");
}

#[tokio::test(start_paused = true)]
async fn arguments_that_do_not_fit_are_refused_before_the_function_runs() {
    let network = MemoryNetwork::new();
    let server = node(&network, "server").await;
    server.register("add", |a: i64, b: i64| a + b).unwrap();
    let client = node(&network, "client").await;
    for error in [
        client.call::<i64>("add", (1,)).await.unwrap_err(),
        client.call::<i64>("add", (1, 2, 3)).await.unwrap_err(),
        client.call::<i64>("add", (1, "two")).await.unwrap_err(),
        client.call::<i64>("add", ()).await.unwrap_err(),
        client.call::<i64>("add", (1, 2)).kwarg("c", 3).await.unwrap_err(),
        client.call::<i64>("no name", (1, 2)).await.unwrap_err(),
    ] {
        assert_eq!(error.code, ErrorCode::INVALID_ARGUMENTS, "{error}");
        assert_eq!(error.executed, Executed::No);
    }
    let error = client.call::<String>("add", (1, 2)).await.unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::DECODE_ERROR, Executed::Yes));
}

#[tokio::test(start_paused = true)]
async fn results_are_joined_fetched_called_back_and_given_up() {
    let network = MemoryNetwork::new();
    let server = node(&network, "server").await;
    register_sleep(&server);
    let client = node(&network, "client").await;
    client.settled().await;

    let id = client.call("sleep", (500,)).start().unwrap();
    assert_eq!(client.get::<u64>(id).unwrap_err().code, ErrorCode::NOT_READY);
    let early = client.join::<u64>(id, Duration::from_millis(100)).await.unwrap_err();
    assert_eq!((early.code, early.executed), (ErrorCode::NOT_READY, Executed::Maybe));
    assert_eq!(client.join::<u64>(id, Duration::from_secs(5)).await, Ok(500));
    assert_eq!(client.get::<u64>(id).unwrap_err().code, ErrorCode::RESULT_EXPIRED);
    // The call's own deadline is its outcome, which is taken.
    let id = client.call("sleep", (500,)).deadline(Duration::from_millis(50)).start().unwrap();
    let over = client.join::<u64>(id, Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(over.code, ErrorCode::TIMEOUT);
    assert_eq!(client.get::<u64>(id).unwrap_err().code, ErrorCode::RESULT_EXPIRED);

    let (send, receive) = tokio::sync::oneshot::channel();
    let done = move |result| drop(send.send(result));
    client.call("sleep", (10,)).start_with::<u64>(done).unwrap();
    assert_eq!(receive.await.unwrap(), Ok(10));

    let id = client.call("sleep", (60_000,)).start().unwrap();
    client.cancel(id).unwrap();
    let error = client.join::<u64>(id, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::CANCELLED);

    let error =
        client.call::<u64>("sleep", (60_000,)).deadline(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::TIMEOUT, Executed::Maybe));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_call_tells_the_running_function() {
    let network = MemoryNetwork::new();
    let server = node(&network, "server").await;
    let (send, mut receive) = tokio::sync::mpsc::channel(4);
    server
        .register("wait", move |ctx: Context| {
            let send = send.clone();
            async move {
                send.send("started").await.unwrap();
                ctx.cancelled().await;
                send.send("cancelled").await.unwrap();
            }
        })
        .unwrap();
    let client = node(&network, "client").await;
    client.settled().await;
    let call =
        tokio::time::timeout(Duration::from_secs(3), client.call::<()>("wait", ()).into_future());
    assert!(call.await.is_err());
    assert_eq!(receive.recv().await, Some("started"));
    assert_eq!(receive.recv().await, Some("cancelled"));
}

#[tokio::test(start_paused = true)]
async fn several_providers() {
    let network = MemoryNetwork::new();
    let slow = node(&network, "slow").await;
    slow.register("name", async || {
        tokio::time::sleep(Duration::from_secs(3)).await;
        "slow"
    })
    .unwrap();
    let quick = node(&network, "quick").await;
    quick.register("name", || "quick").unwrap();
    let client = node(&network, "client").await;
    client.settled().await;
    let fastest = client.call::<String>("name", ()).fastest(2).await;
    assert_eq!(fastest, Ok("quick".to_owned()));
    let mut all = client.call::<String>("name", ()).all().await.unwrap();
    all.sort_by(|a, b| a.peer.cmp(&b.peer));
    for (answer, node) in all.iter().zip([&quick, &slow]) {
        assert_eq!(answer.session, node.session());
        assert_eq!((&*answer.peer, &answer.result), (node.name(), &Ok(node.name().to_owned())));
    }
    assert_eq!(all.len(), 2);
    for name in ["quick", "slow"] {
        assert_eq!(client.call::<String>("name", ()).on(name).await, Ok(name.to_owned()));
    }
    let sticky = client.call::<String>("name", ()).policy(Policy::Sticky).await;
    let latest = client.call::<String>("name", ()).await;
    assert_ne!(sticky, latest);
}

#[tokio::test(start_paused = true)]
async fn of_peers_with_one_name_the_one_heard_of_last_is_meant() {
    let network = MemoryNetwork::new();
    let client = node(&network, "client").await;
    let mut twins = Vec::new();
    for number in 0..3 {
        let twin = node(&network, "twin").await;
        twin.register("number", move || number).unwrap();
        client.settled().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        twins.push(twin);
    }
    // The one in the middle leaves first: the order of the others stays.
    for (gone, left) in [(None, 2), (Some(1), 2), (Some(1), 0)] {
        if let Some(gone) = gone {
            twins.remove(gone).shutdown().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(client.call::<i32>("number", ()).on("twin").await, Ok(left));
    }
}

#[tokio::test(start_paused = true)]
async fn failures_say_whether_the_function_ran() {
    let network = MemoryNetwork::new();
    let client = node(&network, "client").await;
    let began = tokio::time::Instant::now();
    let error = client.call::<()>("nosuch", ()).await.unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::NO_PROVIDER, Executed::No));
    let waited = began.elapsed();
    assert!((1490..1600).contains(&waited.as_millis()), "cold: {waited:?}");
    let began = tokio::time::Instant::now();
    let error = client.call::<()>("nosuch", ()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NO_PROVIDER);
    assert!(began.elapsed() < Duration::from_millis(10), "settled");
    client.shutdown().await;
    let error = client.call::<()>("nosuch", ()).await.unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::CLOSED, Executed::No));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_goes_down_finishes_what_runs_and_says_farewell() {
    let network = MemoryNetwork::new();
    let server = node(&network, "server").await;
    register_sleep(&server);
    let client = node(&network, "client").await;
    client.settled().await;
    let running = client.call("sleep", (2000,)).start().unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let down = tokio::spawn(async move { server.shutdown().await });
    assert_eq!(client.join::<u64>(running, Duration::from_secs(10)).await, Ok(2000));
    down.await.unwrap();
    let mut tries = 0;
    while !client.peers().is_empty() && tries < 100 {
        tries += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(client.peers().is_empty(), "the farewell was not heard");
}

/// On several threads, because a shutdown can meet the driver at any point of its loop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_is_told_to_everybody_who_waits() {
    for round in 0..200 {
        let network = MemoryNetwork::new();
        let client = node(&network, "client").await;
        let mut events = client.events();
        let caller = client.clone();
        let call = tokio::spawn(async move {
            caller.call::<()>("nosuch", ()).wait(Duration::from_secs(60)).await.unwrap_err().code
        });
        while client.tables().open_calls == 0 {
            tokio::task::yield_now().await;
        }
        client.shutdown().await;
        let limit = Duration::from_secs(10);
        let told = tokio::time::timeout(limit, call).await;
        assert_eq!(told.expect("the caller hangs").unwrap(), ErrorCode::CLOSED, "round {round}");
        let closed = async { while events.next().await != Some(lanc::Event::Closed) {} };
        assert!(tokio::time::timeout(limit, closed).await.is_ok(), "no event, round {round}");
    }
}

#[test]
fn the_blocking_face_needs_no_async() {
    let network = MemoryNetwork::new();
    let open = |name: &str| {
        let transport = Box::new(network.transport());
        let builder = NodeBuilder::new().name(name).codec(JsonCodec);
        builder.transport(transport).open_blocking().unwrap()
    };
    let server = open("server");
    server.register("add", |a: i64, b: i64| a + b).unwrap();
    let client = open("client");
    assert_eq!(client.call::<i64>("add", (1, 2)), Ok(3));
    assert_eq!(client.wait(client.async_call::<i64>("add", (1, 2)).fastest(2)), Ok(3));
    assert!(client.ping("server").unwrap() < Duration::from_secs(5));
    client.shutdown();
    server.shutdown();
}

#[tokio::test(start_paused = true)]
async fn an_async_function_that_nobody_waits_for_ends_a_second_later() {
    let network = MemoryNetwork::new();
    let server = node(&network, "server").await;
    server.register("stubborn", async || std::future::pending::<()>().await).unwrap();
    let client = node(&network, "client").await;
    client.settled().await;
    let call = client.call::<()>("stubborn", ()).deadline(Duration::from_millis(100));
    assert_eq!(call.await.unwrap_err().code, ErrorCode::TIMEOUT);
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(server.tables().running, 1, "it has a second to end by itself");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(server.tables().running, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_time_does_not_run_and_of_named_arguments_the_last_counts() {
    let network = MemoryNetwork::new();
    let server = node(&network, "server").await;
    server.register("add", |a: i64, b: i64| a + b).unwrap();
    let client = node(&network, "client").await;
    client.settled().await;
    for caller in [&client, &server] {
        let call = caller.call::<i64>("add", (1, 2)).deadline(Duration::ZERO);
        let error = call.await.unwrap_err();
        assert_eq!((error.code, error.executed), (ErrorCode::TIMEOUT, Executed::No), "{error}");
    }
    let twice = |ctx: Context| ctx.named::<BTreeMap<String, i64>>().map(|named| named["n"]);
    server.register("twice", twice).unwrap();
    let call = server.call::<i64>("twice", ()).kwarg("n", 1).kwarg("n", 2);
    assert_eq!(call.await, Ok(2));
}

/// Polls until the node runs nothing any more. Not virtual time: that stands still while a worker
/// thread is taken.
async fn runs_nothing(node: &Node) {
    let idle = async {
        while node.tables().running > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), idle).await.expect("a place is never free again");
}

#[tokio::test]
async fn inline_and_demoted_functions_that_nobody_waits_for_end_as_well() {
    let network = MemoryNetwork::new();
    let server = node(&network, "server").await;
    let stubborn = |begin: Duration| {
        move || {
            std::thread::sleep(begin);
            std::future::pending::<()>()
        }
    };
    let (short, long) = (Duration::ZERO, Duration::from_millis(120));
    server.function("inline", stubborn(short)).inline().register().unwrap();
    server.function("demoted", stubborn(long)).inline().register().unwrap();
    let client = node(&network, "client").await;
    client.settled().await;
    let mut events = server.events();
    // The second time `demoted` runs on a worker.
    for function in ["inline", "demoted", "demoted"] {
        let call = client.call::<()>(function, ()).deadline(Duration::from_millis(300));
        assert_eq!(call.await.unwrap_err().code, ErrorCode::TIMEOUT);
        runs_nothing(&server).await;
    }
    let is_slow = |event| matches!(event, lanc::Event::SlowFunction { .. });
    while !is_slow(events.next().await.expect("it was demoted")) {}
}
