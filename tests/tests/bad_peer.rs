//! A scripted bad peer: each misbehaviour is a row with what must come of it. Afterwards the node
//! serves an honest call, its tables are as they were, and its counters add up (which the node's
//! holder checks after every frame).
//!
//! What is wrong with the bytes of a connection before they are frames (magic, version, lengths,
//! half headers) is in `transport-tcp/tests/loopback/hostile.rs`.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

#[path = "bad_peer/answers.rs"]
mod answers;
#[path = "bad_peer/calls.rs"]
mod calls;
#[path = "bad_peer/connections.rs"]
mod connections;
#[path = "bad_peer/frames.rs"]
mod frames;
#[path = "bad_peer/peers.rs"]
mod peers;
#[path = "bad_peer/scene.rs"]
mod scene;

use std::panic::{AssertUnwindSafe, catch_unwind};

use scene::{Row, Scene};

fn run(rows: &[Row]) {
    let mut failed = Vec::new();
    for row in rows {
        let run = || {
            let mut scene = Scene::open(row.config.clone().unwrap_or_default());
            (row.script)(&mut scene);
            scene.ends(&row.end);
        };
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            failed.push(row.name);
        }
    }
    assert!(failed.is_empty(), "{} of {} rows fail: {failed:#?}", failed.len(), rows.len());
}

#[test]
fn frames_that_are_none() {
    run(&frames::rows());
}

#[test]
fn peers_that_are_not_who_they_say() {
    run(&peers::rows());
}

#[test]
fn calls_that_break_the_rules() {
    run(&calls::rows());
}

#[test]
fn answers_that_nobody_asked_for() {
    run(&answers::rows());
}

#[test]
fn connections_that_break_the_rules() {
    run(&connections::rows());
}

#[test]
fn there_are_forty_and_no_two_have_the_same_name() {
    let all = [frames::rows(), peers::rows(), calls::rows(), answers::rows(), connections::rows()];
    let mut names: Vec<&str> = all.iter().flatten().map(|row| row.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() == count && count >= 40, "{count} rows, {} names", names.len());
}
