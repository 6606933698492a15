//! Every transport with every pair of formats, plain, sealed, compressed and both: the same calls,
//! the same outcomes. Sockets are on 127.0.0.1 only. Older dialects: `sim_original.rs`, and the last test here.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use lanc::{
    Bytes, Carrier, Config, Context, ErrorCode, Executed, Interfaces, JsonCodec, Node, NodeBuilder,
    TcpConfig, TcpTransport, UdpConfig, UdpTransport, Zlib,
};
use lanc_tests::InMode as _;
use lanc_transport_memory::MemoryNetwork;
use nine_keys::NineKeys;
use serde_json::{Value, json};

#[path = "formats/nine_keys.rs"]
mod nine_keys;

const WAIT: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wire {
    Memory,
    MemoryConnections,
    Udp,
    Tcp,
    UdpAndTcp,
}

impl Wire {
    const ALL: [Self; 5] =
        [Self::Memory, Self::MemoryConnections, Self::Udp, Self::Tcp, Self::UdpAndTcp];

    /// Whether a message may be larger than a datagram.
    fn carries_large(self) -> bool {
        !matches!(self, Self::Memory | Self::Udp)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    /// What the facade opens: lean MessagePack, and JSON for who reads nothing else.
    Lean,
    /// MessagePack without the lean form, as other programs may write it.
    NineKeys,
    Json,
}

impl Format {
    const ALL: [Self; 3] = [Self::Lean, Self::NineKeys, Self::Json];

    fn builder(self) -> NodeBuilder {
        match self {
            Self::Lean => lanc::builder(),
            Self::NineKeys => NodeBuilder::new().codec(NineKeys).codec(JsonCodec),
            Self::Json => NodeBuilder::new().codec(JsonCodec),
        }
    }
}

/// What is done to frames between codec and transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wrap {
    sealed: bool,
    /// Where it pays, however small.
    compressed: bool,
}

impl Wrap {
    const PLAIN: Self = Self { sealed: false, compressed: false };
    const SEALED: Self = Self { sealed: true, ..Self::PLAIN };
    const COMPRESSED: Self = Self { compressed: true, ..Self::PLAIN };
    const BOTH: Self = Self { sealed: true, compressed: true };

    fn around(self, builder: NodeBuilder) -> NodeBuilder {
        let builder = builder.in_mode(self.sealed);
        if self.compressed { builder.compressor(Zlib::new(), 1) } else { builder }
    }
}

fn on_wire(builder: NodeBuilder, wire: Wire, network: &MemoryNetwork) -> NodeBuilder {
    let udp = || {
        let config = UdpConfig::default().with_interfaces(Interfaces::Loopback);
        UdpTransport::new(config.with_discovery(false))
    };
    let tcp = || TcpTransport::new(TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into()));
    match wire {
        Wire::Memory | Wire::MemoryConnections => builder.transport(network.transport()),
        Wire::Udp => builder.transport(udp()),
        Wire::Tcp => builder.transport(tcp()),
        Wire::UdpAndTcp => builder.transport(udp()).transport(tcp()),
    }
}

/// A callee, and a caller that is told where it is.
async fn pair(wire: Wire, formats: [Format; 2], wrap: Wrap) -> [Node; 2] {
    let network = match wire {
        Wire::MemoryConnections => MemoryNetwork::new().connected(),
        _ => MemoryNetwork::new(),
    };
    let config = || Config::default().with_discovery(false).with_discovery_wait(WAIT);
    let builder = |format: Format, name| {
        on_wire(wrap.around(format.builder().config(config()).name(name)), wire, &network)
    };
    let callee = builder(formats[0], "callee").open().await.unwrap();
    serve(&callee);
    let caller = builder(formats[1], "caller").peer(callee.endpoints()[0].clone());
    let caller = caller.open().await.unwrap();
    caller.register("back", |a: i64| -a).unwrap();
    [callee, caller]
}

fn serve(node: &Node) {
    node.register("add", |a: i64, b: i64| a + b).unwrap();
    // In keyed mode it must be said.
    node.function("echo", |value: Value| value).compress().register().unwrap();
    node.register("bytes", |bytes: Bytes| bytes).unwrap();
    node.register("fail", |text: String| Err::<(), _>(text)).unwrap();
    let named = |ctx: Context| ctx.args().named::<BTreeMap<String, i64>>();
    node.register("named", named).unwrap();
}

async fn cell(wire: Wire, formats: [Format; 2], wrap: Wrap) {
    let [callee, caller] = pair(wire, formats, wrap).await;
    assert_eq!(caller.call::<i64>("add", (1, 2)).await, Ok(3));
    let calls: Vec<_> = (0..20).map(|i| caller.call::<i64>("add", (i, 7))).collect();
    for (i, call) in (0..).zip(calls) {
        assert_eq!(call.await, Ok(i + 7));
    }
    let value = json!({
        "text": "it's \u{1f600} \"quoted\"", "list": [1, -2, 2.5, null, true, []],
        "large": u64::MAX, "small": i64::MIN, "map": { "in": { "in": {} } },
    });
    assert_eq!(caller.call::<Value>("echo", (&value,)).await, Ok(value));
    let bytes: Bytes = (0..=255).cycle().take(260).collect::<Vec<u8>>().into();
    assert_eq!(caller.call::<Bytes>("bytes", (&bytes,)).await, Ok(bytes));
    let named = caller.call::<BTreeMap<String, i64>>("named", ()).kwarg("a", 1).kwarg("b", 2);
    assert_eq!(named.await, Ok(BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)])));
    let failure = caller.call::<()>("fail", ("disk",)).await.unwrap_err();
    assert_eq!((failure.code, failure.executed), (ErrorCode::EXECUTION_ERROR, Executed::Yes));
    assert_eq!(failure.message, "disk");
    let wrong = caller.call::<i64>("add", ("a",)).await.unwrap_err();
    assert_eq!((wrong.code, wrong.executed), (ErrorCode::INVALID_ARGUMENTS, Executed::No));
    let back = callee.call::<i64>("back", (5,)).wait(WAIT);
    assert_eq!(back.await, Ok(-5), "and the other way");
    large(wire, &callee, &caller).await;
}

async fn large(wire: Wire, callee: &Node, caller: &Node) {
    let large = json!("x".repeat(200_000));
    let echoed = caller.call::<Value>("echo", (&large,)).compress().await;
    if wire.carries_large() {
        assert_eq!(echoed, Ok(large));
    } else {
        let error = echoed.unwrap_err();
        assert_eq!((error.code, error.executed), (ErrorCode::TOO_LARGE, Executed::No));
    }
    // Around the lengths from which they are sent from where they are, and are long in MessagePack.
    for length in [0xbfff, 0xc000, 0xffff, 0x1_0000, 0x1_0001] {
        let bytes: Bytes = (0..251).cycle().take(length).collect::<Vec<u8>>().into();
        if wire.carries_large() {
            assert_eq!(caller.call::<Bytes>("bytes", (&bytes,)).await, Ok(bytes), "{length}");
        }
    }
    if wire == Wire::UdpAndTcp {
        for carrier in [Carrier::Datagrams, Carrier::Connection, Carrier::OneShot] {
            assert_eq!(caller.call::<i64>("add", (1, 2)).over(carrier).await, Ok(3), "{carrier:?}");
        }
    }
    assert_eq!(caller.tables().open_calls, 0);
    assert_eq!(callee.tables().running, 0);
}

async fn every_cell(wrap: Wrap) {
    for wire in Wire::ALL {
        for callee in Format::ALL {
            for caller in Format::ALL {
                println!("{wire:?}: {caller:?} calls {callee:?}, {wrap:?}");
                let cell = cell(wire, [callee, caller], wrap);
                tokio::time::timeout(Duration::from_secs(60), cell).await.expect("it ends");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transport_carries_every_pair_of_formats() {
    every_cell(Wrap::PLAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_sealed() {
    every_cell(Wrap::SEALED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_compressed() {
    every_cell(Wrap::COMPRESSED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_compressed_and_sealed() {
    every_cell(Wrap::BOTH).await;
}
