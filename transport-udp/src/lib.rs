//! LANC frames over UDP.
//!
//! A node has two sockets. The *shared* one listens on the port that everybody broadcasts to
//! (5127), together with every other node of the host, and never sends. The *private* one has a
//! port of its own; all that the node sends comes from it, and unicast reaches it alone.
//!
//! ```no_run
//! use lanc_core::endpoint::Lane;
//! use lanc_core::ports::Transport;
//! use lanc_transport_udp::{Interfaces, UdpConfig, UdpTransport};
//!
//! # async fn open() -> Result<(), lanc_core::ports::TransportError> {
//! let config = UdpConfig::default().with_interfaces(Interfaces::Loopback);
//! let opened = UdpTransport::new(config).open(Lane(0)).await?;
//! println!("others reach this node at {}", opened.local);
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

mod config;
mod destination;
mod inlet;
mod interfaces;
mod links;
mod outlet;
mod reach;
mod refusal;
mod sockets;
mod stats;
mod transport;

pub use config::{Interfaces, UdpConfig};
pub use reach::Reach;
pub use stats::{UdpCounts, UdpStats};
pub use transport::UdpTransport;
