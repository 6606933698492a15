//! The real `lanc` on the loopback interface, each test with a discovery port of its own.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod calls;
mod endings;
mod job_folder;
mod jobs;
mod keys;
mod listings;
mod observing;
mod offline;
mod pairing;
mod programs;
mod settings;
mod streams;
mod support;
#[cfg(target_os = "linux")]
mod unwritable;
