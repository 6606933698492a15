//! The frame layer: links, hosts and their budgets, the byte pipeline, what waits to be sent.

pub(crate) mod hosts;
pub(crate) mod links;
pub(crate) mod outbox;
pub(crate) mod pipeline;
#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "the engine does not use streams yet")
)]
pub(crate) mod streams;
