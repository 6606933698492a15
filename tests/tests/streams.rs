//! Byte streams, streams of values and large messages between nodes: over connections in
//! memory, over TCP on 127.0.0.1, and within one node.

use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use futures_core::Stream;
use lanc::{
    ByteStream, CallError, Config, Context, ErrorCode, Executed, JsonCodec, MsgpackCodec, Node,
};
use lanc_tests::in_mode;
use lanc_transport_memory::MemoryNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc};

/// How long something may take that happens at once.
const SOON: Duration = Duration::from_secs(60);

/// Two nodes that know each other, the caller first.
async fn pair(config: Config) -> (Node, Node) {
    let network = MemoryNetwork::new().connected();
    let open = |name: &str, peer: Option<lanc::Endpoint>| {
        let config = config.clone().with_name(name.to_owned());
        let builder = in_mode!(lanc::NodeBuilder::new().config(config).codec(JsonCodec));
        let builder = builder.codec(MsgpackCodec).transport(network.transport());
        match peer {
            Some(peer) => builder.peer(peer),
            None => builder,
        }
        .open()
    };
    let callee = open("callee", None).await.unwrap();
    let caller = open("caller", Some(callee.endpoints()[0].clone())).await.unwrap();
    (caller, callee)
}

/// The same over UDP and TCP.
async fn sockets(config: Config) -> (Node, Node) {
    let config = config.with_discovery(false);
    let open = |name: &str, peer: Option<lanc::Endpoint>| {
        let udp = lanc::UdpConfig::default().with_interfaces(lanc::Interfaces::Loopback);
        let tcp = lanc::TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into());
        let builder = in_mode!(lanc::builder().config(config.clone().with_name(name.to_owned())));
        let builder = builder.transport(lanc::UdpTransport::new(udp.with_discovery(false)));
        let builder = builder.transport(lanc::TcpTransport::new(tcp));
        match peer {
            Some(peer) => builder.peer(peer),
            None => builder,
        }
        .open()
    };
    let callee = open("callee", None).await.unwrap();
    let caller = open("caller", Some(callee.endpoints()[0].clone())).await.unwrap();
    (caller, callee)
}

async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(SOON, what).await.expect("it happens at once")
}

/// Waits until nothing of a call is left on either node.
async fn emptied(nodes: &[&Node]) {
    let is_empty = |node: &&Node| {
        let tables = node.tables();
        let calls = tables.open_calls + tables.results + tables.queued + tables.running;
        calls + tables.streams + tables.stream_bytes == 0
    };
    let all = async {
        while !nodes.iter().all(is_empty) {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(SOON, all).await.is_err() {
        panic!("{:?}", nodes.iter().map(|node| node.tables()).collect::<Vec<_>>());
    }
}

/// An async stream of numbers that counts those it gave, and says when it is dropped.
struct Numbers {
    given: Arc<AtomicU64>,
    until: u64,
    dropped: Option<mpsc::Sender<()>>,
}

impl Stream for Numbers {
    type Item = u64;

    fn poll_next(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<u64>> {
        let number = self.given.load(Ordering::Relaxed);
        if number >= self.until {
            // One that waits for its next value, not one that has ended.
            return if self.dropped.is_some() { Poll::Pending } else { Poll::Ready(None) };
        }
        self.given.store(number + 1, Ordering::Relaxed);
        Poll::Ready(Some(number))
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        if let Some(dropped) = &self.dropped {
            dropped.try_send(()).unwrap();
        }
    }
}

fn numbers(until: u64) -> Numbers {
    Numbers { given: Arc::default(), until, dropped: None }
}

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

fn register_counters(node: &Node) {
    node.register_stream("later", numbers).unwrap();
    node.register_stream("now", |n: u64| 0..n).unwrap();
    let failing = |n: u64| (0..=n).map(move |i| if i < n { Ok(i) } else { Err("enough") });
    node.register_stream("failing", failing).unwrap();
    node.register("plain", |n: u64| n).unwrap();
    node.register("nothing", |_: u64| ()).unwrap();
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

/// Registers a function whose values nobody could take all of; returns how many it gave, and
/// when it was dropped.
fn register_endless(node: &Node) -> (Arc<AtomicU64>, mpsc::Receiver<()>) {
    let given = Arc::new(AtomicU64::new(0));
    let (dropped, was_dropped) = mpsc::channel(8);
    let counter = Arc::clone(&given);
    let begin = move |until: u64| {
        counter.store(0, Ordering::Relaxed);
        Numbers { given: Arc::clone(&counter), until, dropped: Some(dropped.clone()) }
    };
    node.register_stream("endless", begin).unwrap();
    (given, was_dropped)
}

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

fn pattern(size: usize, salt: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from((at * 31 + at / 251 + salt) % 256).unwrap()).collect()
}

/// Sends and receives `size` bytes at once.
async fn both_ways(stream: ByteStream, sent: &[u8], expected: &[u8]) {
    let (mut read, mut write) = tokio::io::split(stream);
    let sending = async {
        write.write_all(sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let receiving = async {
        let mut received = Vec::new();
        read.read_to_end(&mut received).await.unwrap();
        assert!(received == expected, "{} bytes of {}", received.len(), expected.len());
    };
    tokio::join!(sending, receiving);
}

async fn large_streams(caller: &Node, callee: &Node) {
    const SIZE: usize = 5 << 20;
    let swap = async |ctx: Context, size: usize| {
        both_ways(ctx.stream().unwrap(), &pattern(size, 1), &pattern(size, 2)).await;
        assert!(ctx.stream().is_none(), "it was taken");
        size
    };
    callee.register("swap", swap).unwrap();
    let call = caller.call::<usize>("swap", (SIZE,)).wait(SOON).deadline(SOON);
    let (stream, result) = call.with_stream().unwrap();
    soon(both_ways(stream, &pattern(SIZE, 2), &pattern(SIZE, 1))).await;
    assert_eq!(soon(result).await, Ok(SIZE));
    emptied(&[caller, callee]).await;
}

#[tokio::test]
async fn five_mebibytes_each_way_arrive_byte_for_byte() {
    let (caller, callee) = pair(Config::default()).await;
    large_streams(&caller, &callee).await;
    large_streams(&callee, &callee).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_mebibytes_each_way_arrive_byte_for_byte_over_tcp() {
    let (caller, callee) = sockets(Config::default()).await;
    large_streams(&caller, &callee).await;
}

async fn halves(caller: &Node, callee: &Node) {
    // Answers only when the upload has ended; goes on writing after that.
    let upper = async |ctx: Context| {
        let mut stream = ctx.stream().unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        stream.write_all(text.to_uppercase().as_bytes()).await.unwrap();
        text.len()
    };
    callee.register("upper", upper).unwrap();
    // Finishes its own direction first, then reads.
    let first = async |ctx: Context| {
        let mut stream = ctx.stream().unwrap();
        stream.write_all(b"ready").await.unwrap();
        stream.shutdown().await.unwrap();
        let error = stream.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    callee.register("first", first).unwrap();
    let call = caller.call::<usize>("upper", ()).wait(SOON);
    let (mut stream, result) = call.with_stream().unwrap();
    stream.write_all(b"abc").await.unwrap();
    stream.shutdown().await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "ABC");
    assert_eq!(soon(result).await, Ok(3));
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the end stays the end");
    let (mut stream, result) = caller.call::<String>("first", ()).with_stream().unwrap();
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "ready");
    stream.write_all(b"heard").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(soon(result).await.as_deref(), Ok("heard"));
    drop(stream);
    emptied(&[caller, callee]).await;
}

#[tokio::test]
async fn each_end_ends_its_own_direction() {
    let (caller, callee) = pair(Config::default()).await;
    halves(&caller, &callee).await;
    halves(&callee, &callee).await;
}

#[tokio::test]
async fn what_is_read_after_the_result_is_whole() {
    let (caller, callee) = pair(Config::default()).await;
    let write = async |ctx: Context, size: usize| {
        ctx.stream().unwrap().write_all(&pattern(size, 0)).await.unwrap();
    };
    callee.register("write", write).unwrap();
    for node in [&caller, &callee] {
        let (mut stream, result) =
            node.call::<()>("write", (200_000,)).wait(SOON).with_stream().unwrap();
        assert_eq!(soon(result).await, Ok(()));
        let mut all = Vec::new();
        soon(stream.read_to_end(&mut all)).await.unwrap();
        assert!(all == pattern(200_000, 0));
        drop(stream);
        emptied(&[&caller, &callee]).await;
    }
}

/// Registers a function that reports what became of its reading and writing.
fn register_reporting(node: &Node) -> mpsc::Receiver<std::io::ErrorKind> {
    let (report, reports) = mpsc::channel(8);
    let watch = move |ctx: Context| {
        let report = report.clone();
        async move {
            let mut stream = ctx.stream().unwrap();
            stream.write_all(b"begun").await.unwrap();
            let mut all = Vec::new();
            report.try_send(stream.read_to_end(&mut all).await.unwrap_err().kind()).unwrap();
            let written = stream.write_all(&[0; 1000]).await;
            report.try_send(written.unwrap_err().kind()).unwrap();
        }
    };
    node.register("watch", watch).unwrap();
    reports
}

#[tokio::test]
async fn a_dropped_end_cuts_the_stream_and_a_dropped_result_the_call_too() {
    let (caller, callee) = pair(Config::default()).await;
    let mut reports = register_reporting(&callee);
    let resets = [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::BrokenPipe];
    for node in [&caller, &callee] {
        let call = || node.call::<()>("watch", ()).wait(SOON).with_stream().unwrap();
        let (mut stream, result) = call();
        soon(stream.read_exact(&mut [0; 5])).await.unwrap();
        stream.write_all(b"half of it").await.unwrap();
        drop(stream);
        for kind in resets {
            assert_eq!(soon(reports.recv()).await, Some(kind));
        }
        assert_eq!(soon(result).await, Ok(()), "the call itself went on");
        let (mut stream, result) = call();
        soon(stream.read_exact(&mut [0; 5])).await.unwrap();
        drop(result);
        for kind in resets {
            assert_eq!(soon(reports.recv()).await, Some(kind));
        }
        let error = soon(stream.read(&mut [0])).await.unwrap_err();
        assert_eq!(error.kind(), resets[0]);
        let error = stream.write(&[0]).await.unwrap_err();
        assert_eq!(error.kind(), resets[1]);
        drop(stream);
        emptied(&[&caller, &callee]).await;
    }
}

#[tokio::test]
async fn ends_dropped_before_the_call_left_leave_nothing_behind() {
    let (caller, callee) = pair(Config::default()).await;
    callee.register("none", async |ctx: Context| ctx.stream().is_some()).unwrap();
    soon(async {
        while caller.call::<bool>("none", ()).await != Ok(false) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for node in [&caller, &callee] {
        for keeps in [(false, false), (false, true), (true, false)] {
            let call = node.call::<bool>("none", ());
            let (stream, result) = call.with_stream().unwrap();
            let stream = keeps.0.then_some(stream);
            let result = keeps.1.then_some(result);
            if let Some(result) = result {
                assert_eq!(soon(result).await, Ok(true));
            }
            drop(stream);
        }
        let (stream, result) = node
            .call::<bool>("not there", ())
            .with_stream()
            .unwrap_or_else(|_| node.call::<bool>("nowhere", ()).wait(SOON).with_stream().unwrap());
        drop(stream);
        drop(result);
    }
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

#[tokio::test]
async fn a_deadline_cuts_the_stream_at_both_ends() {
    let (caller, callee) = pair(Config::default()).await;
    let mut reports = register_reporting(&callee);
    for node in [&caller, &callee] {
        let call = node.call::<()>("watch", ()).wait(SOON).deadline(Duration::from_millis(300));
        let (mut stream, result) = call.with_stream().unwrap();
        let mut all = Vec::new();
        let error = soon(stream.read_to_end(&mut all)).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(all, b"begun");
        assert_eq!(soon(result).await.unwrap_err().code, ErrorCode::TIMEOUT);
        assert_eq!(soon(reports.recv()).await, Some(std::io::ErrorKind::ConnectionReset));
        soon(reports.recv()).await.unwrap();
        drop(stream);
        emptied(&[&caller, &callee]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callee_that_dies_mid_stream_is_told_and_the_next_call_works() {
    let network = MemoryNetwork::new().connected();
    let open = async |name: &str, peers: Vec<lanc::Endpoint>| {
        let config = Config::default().with_name(name.to_owned());
        let builder = in_mode!(lanc::NodeBuilder::new().config(config).codec(JsonCodec));
        let builder = builder.transport(network.transport());
        let node = peers.into_iter().fold(builder, lanc::NodeBuilder::peer).open().await.unwrap();
        node.register_stream("endless", numbers).unwrap();
        node
    };
    // It dies with its runtime, without a farewell.
    let life = tokio::runtime::Runtime::new().unwrap();
    let first = {
        let _on_it = life.enter();
        open("first", Vec::new()).await
    };
    let second = open("second", Vec::new()).await;
    let peers = [&first, &second].map(|node| node.endpoints()[0].clone());
    let caller = open("caller", peers.to_vec()).await;
    let call = |on: &str| caller.call::<u64>("endless", (1_000_000,)).on(on).wait(SOON);
    let mut values = call("first").values().await.unwrap();
    assert_eq!(soon(values.next()).await, Some(Ok(0)));
    let (mut stream, result) = call("first").with_stream().unwrap();
    soon(stream.read_exact(&mut [0; 5])).await.unwrap();
    life.shutdown_background();
    let mut last = None;
    while let Some(value) = soon(values.next()).await {
        last = Some(value);
    }
    let error = last.unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::LOST, Executed::Yes), "{error}");
    let mut rest = Vec::new();
    let error = soon(stream.read_to_end(&mut rest)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(soon(result).await.unwrap_err().code, ErrorCode::LOST);
    let mut values = call("second").values().await.unwrap();
    assert_eq!(soon(values.next()).await, Some(Ok(0)));
    drop((values, stream));
    emptied(&[&caller, &second]).await;
}

#[tokio::test]
async fn a_node_that_is_closed_ends_its_streams() {
    let (caller, callee) = pair(Config::default()).await;
    callee.register("hold", async |ctx: Context| ctx.cancelled().await).unwrap();
    let (mut stream, result) = caller.call::<()>("hold", ()).wait(SOON).with_stream().unwrap();
    stream.write_all(b"x").await.unwrap();
    let reading = tokio::spawn(async move { stream.read(&mut [0]).await.unwrap_err().kind() });
    soon(caller.shutdown()).await;
    assert_eq!(soon(reading).await.unwrap(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(soon(result).await.unwrap_err().code, ErrorCode::CLOSED);
}

#[tokio::test]
async fn what_a_function_wrote_leaves_before_its_node_closes() {
    let (caller, callee) = pair(Config::default()).await;
    let write = async |ctx: Context| {
        ctx.stream().unwrap().write_all(&pattern(400_000, 0)).await.unwrap();
    };
    callee.register("write", write).unwrap();
    let (mut stream, result) = caller.call::<()>("write", ()).wait(SOON).with_stream().unwrap();
    assert_eq!(soon(result).await, Ok(()));
    let closing = tokio::spawn(async move { callee.shutdown().await });
    let mut all = Vec::new();
    soon(stream.read_to_end(&mut all)).await.unwrap();
    assert!(all == pattern(400_000, 0));
    soon(closing).await.unwrap();
}

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
