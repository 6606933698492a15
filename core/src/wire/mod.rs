//! The frame layer: links, hosts and their budgets, the byte pipeline, what waits to be sent.

pub(crate) mod hosts;
pub(crate) mod links;
pub(crate) mod outbox;
pub(crate) mod pipeline;
pub(crate) mod sessions;
pub(crate) mod streams;
mod transcode;
