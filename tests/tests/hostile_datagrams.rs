//! Floods of malformed datagrams against a node on real sockets: it goes on answering, every
//! datagram is accounted for, and the memory comes back.
//!
//! The sockets are real and the flood runs in real time. Only the two leases afterwards pass on
//! the runtime's paused clock, so that they cost no time.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

#[path = "hostile/generator.rs"]
mod generator;
#[path = "hostile/scene.rs"]
mod scene;

use std::alloc::System;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Mutex;

use cap::Cap;
use lanc::Config;
use scene::Scene;

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// The heap is counted for the whole process: one flood at a time.
static ALONE: Mutex<()> = Mutex::new(());

const DATAGRAMS: usize = 10_000;
/// What a node may still hold when the flood is forgotten.
const SLACK: usize = 64 * 1024;

fn flood(name: &str, config: Config, sources: Vec<UdpSocket>, known: bool, seed: u64) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut scene = Scene::open(config, sources, seed).await;
        if known {
            scene.introduce().await;
        }
        let before = scene.tables();
        let heap_before = HEAP.allocated();
        scene.flood(DATAGRAMS).await;
        let heap_flooded = HEAP.allocated();
        scene.answers_quickly().await;
        scene.two_leases_pass().await;
        let heap_after = HEAP.allocated();
        println!("{name}: heap {heap_before} B, flooded {heap_flooded} B, after {heap_after} B");
        scene.report();
        scene.forgot_all_but(before);
        scene.answers_quickly().await;
        assert!(
            heap_after <= heap_before + SLACK,
            "{name}: {} bytes are kept",
            heap_after - heap_before
        );
    });
}

fn socket(ip: Ipv4Addr) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

#[test]
fn from_one_source() {
    flood("one source", Config::default(), vec![socket(Ipv4Addr::LOCALHOST)], false, 1);
}

#[test]
fn from_two_hundred_sources() {
    let sources = (0..200).map(|n| socket(Ipv4Addr::new(127, 0, 1 + n / 100, 1 + n % 100)));
    flood("200 sources", Config::default(), sources.collect(), false, 2);
}

#[test]
fn from_a_known_peer_without_rate_limits() {
    let config = Config::default().with_unproved_rate(0).with_unproved_rate_total(0);
    flood("a known peer", config, vec![socket(Ipv4Addr::LOCALHOST)], true, 3);
}
