//! The real `lanc` on the loopback interface, each test with a discovery port of its own.
#![cfg(unix)]

mod calls;
mod endings;
mod listings;
mod offline;
mod programs;
mod settings;
mod support;
