//! Remote function calls between the devices of a LAN, with nothing to configure.
//!
//! A device registers a function; every other device finds it by UDP broadcast and calls it by
//! name:
//!
//! ```no_run
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = lanc::open().await?;
//!     node.register("add", |a: i64, b: i64| a + b)?;
//!     node.run_forever().await;
//!     Ok(())
//! }
//! ```
//!
//! and on any other device of the network:
//!
//! ```no_run
//! # async fn call() -> Result<(), Box<dyn std::error::Error>> {
//! let sum: i64 = lanc::open().await?.call("add", (1, 2)).await?;
//! # Ok(()) }
//! ```
//!
//! This crate only assembles: `lanc-node` with the transports UDP and TCP and the codecs for JSON and MessagePack. Compose
//! your own node from the same parts with [`builder`].

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

use std::net::Ipv4Addr;
use std::sync::Arc;

pub use lanc_codec::{JsonCodec, MsgpackCodec, PythonText, Zlib};
pub use lanc_core::endpoint::Endpoint;
pub use lanc_core::{counters, endpoint, id, ports};
pub use lanc_crypto::{Group, KeyFileError, MasterKey, ParseKeyError, PassphraseError, pair};
pub use lanc_node::{
    AllCall, Answer, Args, ByteStream, Bytes, Call, CallError, Calling, Carrier, Class, Config,
    Context, Dialect, ErrorCode, Event, Events, ExeId, Executed, Fault, ForeignGroup, Format,
    FunctionInfo, GroupKey, Handler, IntoArgs, IntoFunction, IntoStreaming, Items, KeyId, KeyInfo,
    Node, NodeBuilder, OpenError, PeerDownReason, PeerInfo, Policy, RegisterError, Registration,
    Reply, RingError, Running, SessionId, Stats, SystemEntropy, Tables, Trust, Values, stats,
};
pub use lanc_transport_tcp::{TcpConfig, TcpStats, TcpTransport};
pub use lanc_transport_udp::{Interfaces, Reach, UdpConfig, UdpStats, UdpTransport};

/// A builder that has every data format of this crate and no transport yet. It reads JSON and
/// MessagePack, calls in lean MessagePack frames whoever reads them and in JSON whoever does not,
/// and answers each call in the form it came in. Hello, functions and farewell are always JSON.
/// It reads compressed frames and writes none: [`compressing`].
pub fn builder() -> NodeBuilder {
    let builder = NodeBuilder::new().codec(MsgpackCodec).codec(JsonCodec).normalizer(PythonText);
    builder.compressor(Zlib::new(), usize::MAX)
}

/// Bytes from which on [`compressing`] compresses.
pub const COMPRESS_FROM: usize = 1024;

/// Makes a node compress, with [`Zlib`], what is larger than [`COMPRESS_FROM`] and gets a tenth
/// smaller by it. It pays on networks slower than 1 Gb/s: processors need 5 to 16 ms for each MiB,
/// which such a network carries in 9.
///
/// ```no_run
/// # async fn open() -> Result<(), lanc::OpenError> {
/// let node = lanc::compressing(lanc::builder());
/// # Ok(()) }
/// ```
#[must_use]
pub fn compressing(builder: NodeBuilder) -> NodeBuilder {
    builder.compressor(Zlib::new(), COMPRESS_FROM)
}

/// Opens a node on every network interface that can broadcast, with all defaults.
///
/// # Errors
/// [`OpenError`] says what is taken or missing.
pub async fn open() -> Result<Node, OpenError> {
    open_on(Interfaces::Auto).await
}

/// Opens a node on these interfaces; [`Interfaces::Loopback`] keeps it on this machine.
///
/// # Errors
/// [`OpenError`] says what is taken or missing.
pub async fn open_on(interfaces: Interfaces) -> Result<Node, OpenError> {
    transports(builder(), interfaces).open().await
}

/// Opens a node that only those hear, find and call who hold the same key:
///
/// ```no_run
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let key = lanc::MasterKey::read_file("lan.key".as_ref())?;
/// let node = lanc::open_keyed(lanc::Interfaces::Auto, &key).await?;
/// # Ok(()) }
/// ```
///
/// `lanc key new lan.key` makes such a file. Nothing is read from where the `lanc` command keeps
/// its key.
///
/// # Errors
/// [`OpenError`] says what is taken or missing.
pub async fn open_keyed(interfaces: Interfaces, key: &MasterKey) -> Result<Node, OpenError> {
    transports(keyed(key), interfaces).open().await
}

/// [`builder`] with a key, for a node that is composed by hand.
pub fn keyed(key: &MasterKey) -> NodeBuilder {
    builder().key(Arc::new(Group::new(key)))
}

/// TCP where UDP is with these interfaces: for a node that is composed by hand.
pub fn tcp_on(interfaces: &Interfaces) -> TcpConfig {
    let tcp = TcpConfig::default();
    match interfaces {
        Interfaces::Loopback => tcp.with_bind(Ipv4Addr::LOCALHOST.into()),
        Interfaces::Named(names) => tcp.with_interfaces(names.clone()),
        Interfaces::Auto => tcp,
    }
}

/// Adds UDP, by which nodes find each other and small calls travel, and TCP for large ones.
fn transports(builder: NodeBuilder, interfaces: Interfaces) -> NodeBuilder {
    let tcp = tcp_on(&interfaces);
    let udp = UdpConfig::default().with_interfaces(interfaces);
    builder.transport(UdpTransport::new(udp)).transport(TcpTransport::new(tcp))
}

/// The same for programs without async.
pub mod blocking {
    pub use lanc_node::blocking::{Node, Values};

    use crate::{Interfaces, MasterKey, OpenError};

    /// Opens a node with a runtime of its own; see [`open`](crate::open).
    ///
    /// # Errors
    /// [`OpenError`] says what is taken or missing.
    pub fn open() -> Result<Node, OpenError> {
        open_on(Interfaces::Auto)
    }

    /// Opens a node on these interfaces; see [`open_on`](crate::open_on).
    ///
    /// # Errors
    /// [`OpenError`] says what is taken or missing.
    pub fn open_on(interfaces: Interfaces) -> Result<Node, OpenError> {
        crate::transports(crate::builder(), interfaces).open_blocking()
    }

    /// Opens a node with a key; see [`open_keyed`](crate::open_keyed).
    ///
    /// # Errors
    /// [`OpenError`] says what is taken or missing.
    pub fn open_keyed(interfaces: Interfaces, key: &MasterKey) -> Result<Node, OpenError> {
        crate::transports(crate::keyed(key), interfaces).open_blocking()
    }
}
