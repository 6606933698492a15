//! A function that does nothing, under a name; and whether a node believes a peer.

use lanc_core::Trust;
use lanc_testkit::sim::{Function, NodeId, World, ms};
use serde_json::Value;

pub(crate) fn nothing(_: &[Value]) -> lanc_testkit::sim::Reply {
    (ms(1), Ok(Value::Null))
}

pub(crate) fn named(name: &str) -> Function {
    Function::new(name, nothing)
}

pub(crate) fn is_verified(lan: &World, node: NodeId, peer: &str) -> bool {
    lan.peer(node, peer).is_some_and(|peer| peer.trust == Trust::Verified)
}
