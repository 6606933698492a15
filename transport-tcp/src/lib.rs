//! LANC frames over TCP.
//!
//! A node listens on one port and dials the endpoints it is given; each connection, dialled or
//! accepted, is a link. Frames go under the 12-byte header of [`lanc_core::framing`]; small ones
//! are gathered until the outlet is flushed.
//!
//! ```no_run
//! use std::net::Ipv4Addr;
//!
//! use lanc_core::endpoint::Lane;
//! use lanc_core::ports::Transport;
//! use lanc_transport_tcp::{TcpConfig, TcpTransport};
//!
//! # async fn open() -> Result<(), lanc_core::ports::TransportError> {
//! let config = TcpConfig::default().with_bind(Ipv4Addr::LOCALHOST.into());
//! let opened = TcpTransport::new(config).open(Lane(0)).await?;
//! println!("others dial this node at {}", opened.local);
//! # Ok(())
//! # }
//! ```
//!
//! The transport must be opened, polled and used inside a tokio runtime with I/O and time.

// Everything here reads what strangers send.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::panic
    )
)]

mod admission;
mod config;
mod connection;
mod dial;
mod inlet;
mod line;
mod listener;
mod networks;
mod outlet;
mod ready;
mod sink;
mod stats;
mod transport;

pub use config::TcpConfig;
pub use stats::{TcpCounts, TcpStats};
pub use transport::TcpTransport;
