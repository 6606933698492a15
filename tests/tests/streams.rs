//! Byte streams, streams of values and large messages between nodes: over connections in
//! memory, over TCP on 127.0.0.1, and within one node.

#[path = "streams/bounds.rs"]
mod bounds;
#[path = "streams/bytes.rs"]
mod bytes;
#[path = "streams/ends.rs"]
mod ends;
#[path = "streams/messages.rs"]
mod messages;
#[path = "streams/numbers.rs"]
mod numbers;
#[path = "streams/pair.rs"]
mod pair;
#[path = "streams/values.rs"]
mod values;
