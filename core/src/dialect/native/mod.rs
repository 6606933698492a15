//! LANC 0.2: from fields to messages and back.

mod read;
mod write;

pub use read::{MAX_PARTS, MAX_PEER_NAME, Unreadable, read, read_id};
pub use write::write;
