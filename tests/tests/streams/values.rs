//! Streams of values: in order, in the format of the call, and with the failure as the last.

use lanc::{CallError, Config, Context, ErrorCode, Executed, JsonCodec, Node};
use lanc_tests::in_mode;
use lanc_transport_memory::MemoryNetwork;
use tokio::io::AsyncWriteExt as _;

use super::numbers::register_counters;
use super::pair::{SOON, emptied, pair, sockets, soon};

async fn collect(node: &Node, name: &str, n: u64) -> (Vec<u64>, Option<CallError>) {
    let call = node.call::<u64>(name, (n,)).wait(SOON);
    let mut values = call.values().await.unwrap();
    let mut all = Vec::new();
    while let Some(value) = soon(values.next()).await {
        match value {
            Ok(value) => all.push(value),
            Err(error) => {
                assert!(values.next().await.is_none(), "the failure is the last item");
                return (all, Some(error));
            }
        }
    }
    assert!(values.next().await.is_none());
    (all, None)
}

async fn values_in_order(caller: &Node, callee: &Node) {
    register_counters(callee);
    for name in ["later", "now"] {
        for n in [0, 1, 10_000] {
            let (all, error) = collect(caller, name, n).await;
            assert_eq!(error, None);
            assert!(all.iter().copied().eq(0..n), "{name} {n}: {} values", all.len());
        }
    }
    let (all, error) = collect(caller, "failing", 100).await;
    let error = error.unwrap();
    assert!(all.iter().copied().eq(0..100));
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::EXECUTION_ERROR, "enough"));
    assert_eq!(collect(caller, "plain", 7).await, (vec![7], None));
    assert_eq!(collect(caller, "nothing", 7).await, (vec![], None));
    let list = caller.call::<Vec<u64>>("later", (5,)).await;
    assert_eq!(list, Ok(vec![0, 1, 2, 3, 4]));
    assert_eq!(caller.call::<Vec<u64>>("now", (0,)).await, Ok(vec![]));
    let mut values = caller.call::<u64>("now", ("x",)).values().await.unwrap();
    let error = soon(values.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::INVALID_ARGUMENTS);
    let mut values = caller.call::<String>("now", (3,)).values().await.unwrap();
    let error = soon(values.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::DECODE_ERROR, "{error}");
    assert!(values.next().await.is_none());
    drop(values);
    emptied(&[caller, callee]).await;
}

#[tokio::test]
async fn values_arrive_in_order_and_the_failure_is_the_last() {
    let (caller, callee) = pair(Config::default()).await;
    values_in_order(&caller, &callee).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_arrive_in_order_over_tcp() {
    let (caller, callee) = sockets(Config::default()).await;
    values_in_order(&caller, &callee).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_arrive_in_order_within_a_node() {
    let (_, callee) = pair(Config::default()).await;
    values_in_order(&callee, &callee).await;
}

#[tokio::test]
async fn values_are_written_in_the_format_of_the_call() {
    let (caller, callee) = pair(Config::default()).await;
    callee.register_stream("both", |text: String| vec![text; 3]).unwrap();
    for format in [lanc::Format::JSON, lanc::Format::MSGPACK] {
        let call = caller.call::<String>("both", ("'ü'",)).wait(SOON).format(format);
        let mut values = call.values().await.unwrap();
        for _ in 0..3 {
            assert_eq!(soon(values.next()).await.unwrap().unwrap(), "'ü'");
        }
        assert!(soon(values.next()).await.is_none());
    }
}

#[tokio::test]
async fn a_call_that_goes_nowhere_fails_before_its_first_value() {
    let (caller, callee) = pair(Config::default()).await;
    let fails = |call: lanc::Call<u64>| async { call.values().await.err().unwrap().code };
    assert_eq!(fails(caller.call("nowhere", ())).await, ErrorCode::NO_PROVIDER);
    callee.register("f", || 1).unwrap();
    let datagrams = MemoryNetwork::new();
    let open = |name: &str| {
        let builder = in_mode!(lanc::NodeBuilder::new().name(name).codec(JsonCodec));
        builder.transport(datagrams.transport()).open()
    };
    let (far, near) = (open("far").await.unwrap(), open("near").await.unwrap());
    far.register("f", || 1).unwrap();
    assert_eq!(fails(near.call("f", ()).wait(SOON)).await, ErrorCode::UNSUPPORTED);
    assert_eq!(fails(near.call("f", ()).fastest(2)).await, ErrorCode::INVALID_ARGUMENTS);
    let (mut stream, result) = near.call::<u64>("f", ()).with_stream().unwrap();
    let error = soon(stream.write_all(b"x")).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
    assert_eq!(soon(result).await.unwrap_err().code, ErrorCode::UNSUPPORTED);
    emptied(&[&near, &far]).await;
}

/// Registers a function that writes bytes as they are on its stream, then ends with `result`.
fn register_raw(node: &Node) {
    let raw = async |ctx: Context, bytes: Vec<u8>, waits: bool| {
        let mut stream = ctx.stream().unwrap();
        stream.write_all(&bytes).await.unwrap();
        if waits {
            ctx.cancelled().await;
        }
    };
    node.register("raw", raw).unwrap();
}

#[tokio::test]
async fn what_is_no_value_ends_the_stream_and_cancels() {
    let (caller, callee) = pair(Config::default()).await;
    register_raw(&callee);
    let cases = [
        (vec![0, 0, 0, 1, b'7', 0xff, 0xff, 0xff, 0xff, 1], true, ErrorCode::TOO_LARGE),
        (vec![0, 0, 0, 1, b'7', 0, 0, 0, 2, b'['], false, ErrorCode::PROTOCOL),
        (vec![0, 0, 0, 1, b'7', 0, 0], false, ErrorCode::PROTOCOL),
        (vec![0, 0, 0, 1, b'7', 0, 0, 0, 1, b'['], true, ErrorCode::DECODE_ERROR),
        (vec![0, 0, 0, 1, b'7', 0, 0, 0, 0], true, ErrorCode::DECODE_ERROR),
    ];
    for (bytes, waits, code) in cases {
        let mut values =
            caller.call::<u64>("raw", (&bytes, waits)).wait(SOON).values().await.unwrap();
        assert_eq!(soon(values.next()).await, Some(Ok(7)));
        let error = soon(values.next()).await.unwrap().unwrap_err();
        assert_eq!((error.code, error.executed), (code, Executed::Yes), "{bytes:?}");
        assert!(soon(values.next()).await.is_none());
        emptied(&[&caller, &callee]).await;
    }
}

#[test]
fn a_program_without_async_iterates() {
    let network = MemoryNetwork::new().connected();
    let builder = in_mode!(lanc::NodeBuilder::new().name("alone").codec(JsonCodec));
    let node = builder.transport(network.transport()).open_blocking().unwrap();
    node.register_stream("count", |n: u64| 0..n).unwrap();
    let values = node.values(node.async_call::<u64>("count", (1000,))).unwrap();
    assert!(values.map(Result::unwrap).eq(0..1000));
    let mut values = node.values(node.async_call::<u64>("count", (u64::MAX,))).unwrap();
    assert_eq!(values.next(), Some(Ok(0)));
    drop(values);
    while node.tables().running > 0 || node.tables().streams > 0 || node.tables().buffered > 0 {
        std::thread::yield_now();
    }
}
