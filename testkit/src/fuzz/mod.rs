//! What the fuzzers run: for every reader of foreign bytes one function of bytes that panics where
//! it breaks its contract.
//!
//! The same bodies serve three callers: the `cargo-fuzz` targets in `fuzz/`, the replay of their
//! committed corpora, and seeded mutants in the ordinary tests (`mutate`). So a body takes any
//! bytes, is deterministic, and needs neither time nor a network. Those that read a script take
//! it from the bytes too ([`Script`]).

mod compressed;
mod core;
mod decode;
mod differential;
mod duo;
mod keyed;
mod mutate;
mod names;
mod pair;
mod python;
mod scan;
mod script;
mod sealed;
mod stream;

pub use mutate::Mutator;
pub use script::Script;

pub use self::core::{hello_and_func, whole_core};
pub use compressed::compressed_body;
pub use decode::{json_message, lean_frame, msgpack_message};
pub use differential::{json_differential, msgpack_differential};
pub use duo::{Duo, Fate, HOSTS, two_cores};
pub use keyed::keyed_core;
pub use names::names;
pub use pair::pairing;
pub use python::python_text;
pub use scan::{json_scan, msgpack_scan};
pub use sealed::sealed_frame;
pub use stream::stream_frames;

/// A body and its name, which its corpus and its `cargo-fuzz` target share.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// The body: takes any bytes, panics where a contract is broken.
    pub body: fn(&[u8]),
}

/// Every body of this crate.
pub const TARGETS: &[Target] = &[
    Target { name: "json_message", body: json_message },
    Target { name: "msgpack_message", body: msgpack_message },
    Target { name: "lean_frame", body: lean_frame },
    Target { name: "json_scan", body: json_scan },
    Target { name: "msgpack_scan", body: msgpack_scan },
    Target { name: "json_differential", body: json_differential },
    Target { name: "msgpack_differential", body: msgpack_differential },
    Target { name: "python_text", body: python_text },
    Target { name: "names", body: names },
    Target { name: "compressed_body", body: compressed_body },
    Target { name: "stream_frames", body: stream_frames },
    Target { name: "sealed_frame", body: sealed_frame },
    Target { name: "pairing", body: pairing },
    Target { name: "hello_and_func", body: hello_and_func },
    Target { name: "whole_core", body: whole_core },
    Target { name: "keyed_core", body: keyed_core },
    Target { name: "two_cores", body: two_cores },
];
