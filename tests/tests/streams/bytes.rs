//! Streams of bytes: whole in both directions, each of which its own end ends.

use lanc::{ByteStream, Config, Context, Node};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::pair::{SOON, emptied, pair, sockets, soon};

pub(crate) fn pattern(size: usize, salt: usize) -> Vec<u8> {
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
