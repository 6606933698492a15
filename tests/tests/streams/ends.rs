//! What ends a stream early: an end that is dropped, a deadline, a node that dies or is closed.

use std::time::Duration;

use lanc::{Config, Context, ErrorCode, Executed, JsonCodec, Node};
use lanc_tests::in_mode;
use lanc_transport_memory::MemoryNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::bytes::pattern;
use super::numbers::numbers;
use super::pair::{SOON, emptied, pair, soon};

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
