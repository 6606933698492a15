//! LANC 0.2: from fields to messages and back.

mod ids;
mod read;
mod relay;
mod write;

pub(crate) use read::method_and_version;
pub use read::{MAX_PARTS, MAX_PEER_NAME, Unreadable, read, read_id};
pub use relay::{Relay, is_relay, read_relay, write_relay};
pub use write::write;
