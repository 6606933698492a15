//! Data formats of LANC: implementations of [`lanc_core::ports::Codec`], one module each; and
//! [`Zlib`], its compression.
//!
//! A format is a unit struct without state. Programs name the ones they use where they assemble
//! a node; nothing else in the workspace asks which format a frame is in.

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

mod json;
mod msgpack;
mod python;
mod tokens;
mod zlib;

pub use json::JsonCodec;
pub use msgpack::MsgpackCodec;
pub use python::PythonText;
pub use tokens::{Token, TokenCodec, Tokens};
pub use zlib::Zlib;
