//! Compression through the public API, counted on the wire: TCP on 127.0.0.1, with somebody between
//! the two who counts.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lanc::{
    Bytes, Config, Endpoint, JsonCodec, MsgpackCodec, Node, NodeBuilder, TcpConfig, TcpTransport,
};
use lanc_tests::InMode as _;
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(20);
const SIZE: usize = 300_000;

/// Text that deflate makes half as long or less.
fn text() -> String {
    (0..)
        .flat_map(|n: u64| format!("{} ", n * n % 9973).into_bytes())
        .take(SIZE)
        .map(char::from)
        .collect()
}

/// Nothing that anybody makes smaller.
fn noise() -> Bytes {
    let mut seed = 7_u64;
    let mut draw = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed.to_be_bytes()[0]
    };
    (0..SIZE).map(|_| draw()).collect::<Vec<u8>>().into()
}

async fn open(builder: NodeBuilder, peer: Option<SocketAddr>) -> Node {
    let config = Config::default().with_discovery(false);
    let tcp = TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into());
    let builder = builder.config(config).transport(TcpTransport::new(tcp));
    let builder = match peer {
        Some(peer) => builder.peer(Endpoint::socket("tcp", peer)),
        None => builder,
    };
    builder.open().await.unwrap()
}

/// Carries connections on to an address; counts what comes back.
async fn counter(to: SocketAddr) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(to).await.unwrap();
            let (mut from_near, mut to_near) = near.into_split();
            let (mut from_far, mut to_far) = far.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_near, &mut to_far).await });
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut room = vec![0; 1 << 16];
                while let Ok(count @ 1..) =
                    tokio::io::AsyncReadExt::read(&mut from_far, &mut room).await
                {
                    counted.fetch_add(count as u64, Ordering::SeqCst);
                    if tokio::io::AsyncWriteExt::write_all(&mut to_near, &room[..count])
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    (address, count)
}

/// A server and a caller; what of a result comes over the wire, by what function, in hundredths.
async fn shares(server: NodeBuilder, caller: NodeBuilder) -> [u64; 3] {
    let server = open(server, None).await;
    server.register("text", text).unwrap();
    server.function("said", text).compress().register().unwrap();
    server.register("noise", noise).unwrap();
    server.register("nothing", || ()).unwrap();
    let (address, wire) = counter(server.endpoints()[0].socket_addr().unwrap()).await;
    let caller = open(caller, Some(address)).await;
    // So that only the results are counted.
    caller.call::<()>("nothing", ()).wait(PATIENCE).await.unwrap();
    let mut shares = [0; 3];
    for (share, name) in shares.iter_mut().zip(["text", "said", "noise"]) {
        let (before, counters) = (wire.load(Ordering::SeqCst), server.counters());
        if name == "noise" {
            let result = caller.call::<Bytes>(name, ()).deadline(PATIENCE).await.unwrap();
            assert!(result == noise());
        } else {
            let result = caller.call::<String>(name, ()).deadline(PATIENCE).await.unwrap();
            assert!(result == text(), "{name}");
        }
        let bytes = wire.load(Ordering::SeqCst) - before;
        let whole = SIZE as u64;
        *share = bytes * 100 / whole;
        let after = server.counters();
        let saved = after.bytes_saved - counters.bytes_saved;
        let frames = after.frames_compressed - counters.frames_compressed;
        let is_smaller = *share < 60;
        assert_eq!((frames > 0, saved > whole / 3), (is_smaller, is_smaller), "{name}");
        // What was saved and what was sent are the whole, but for what stands around it.
        assert!((whole..whole + 4000).contains(&(bytes + saved)), "{name}: {bytes} and {saved}");
    }
    shares
}

fn plain() -> NodeBuilder {
    NodeBuilder::new().codec(MsgpackCodec).codec(JsonCodec)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_result_is_smaller_on_the_wire_where_that_pays() {
    let [text, said, noise] = shares(lanc::compressing(lanc::builder()), lanc::builder()).await;
    assert!(text < 60 && said < 60 && noise >= 100, "{text} {said} {noise}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_read_it_or_was_not_told_to_write_it_has_it_as_it_is() {
    for (server, caller) in [
        (lanc::compressing(lanc::builder()), plain()),
        (plain(), lanc::compressing(lanc::builder())),
        (lanc::builder(), lanc::builder()),
    ] {
        let shares = shares(server, caller).await;
        assert!(shares.iter().all(|share| *share >= 100), "{shares:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_key_only_what_is_said_to_be_harmless_is_smaller() {
    let server = lanc::compressing(lanc::builder().sealed());
    let [text, said, noise] = shares(server, lanc::builder().sealed()).await;
    assert!(text >= 100 && said < 60 && noise >= 100, "{text} {said} {noise}");
}
