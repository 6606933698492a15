//! Peers that break the rules of connections against a node on real sockets: it closes on them,
//! goes on answering others, counts what it dropped, and its memory comes back. On 127.0.0.1.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

#[path = "hostile/generator.rs"]
mod generator;
#[path = "hostile/streams.rs"]
mod streams;

use std::alloc::System;
use std::sync::Mutex;
use std::time::Duration;

use cap::Cap;
use generator::Generator;
use lanc::Config;
use lanc::counters::Drop;
use streams::{Attacker, Scene, bytes, credit, message, reset};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// The heap is counted for the whole process: one attack at a time.
static ALONE: Mutex<()> = Mutex::new(());

const FRAMES: u64 = 10_000;
/// What a node may still hold when the attack is over.
const SLACK: usize = 64 * 1024;

/// Runs an attack twice: the second one may leave nothing behind.
fn attack(config: Config, run: impl AsyncFn(&Scene)) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let scene = Scene::open(config.with_unproved_rate_total(0)).await;
        run(&scene).await;
        scene.forgot().await;
        let before = HEAP.allocated();
        run(&scene).await;
        scene.forgot().await;
        scene.answers_quickly().await;
        let after = HEAP.allocated();
        println!("heap {before} B, after {after} B; {:?}", scene.target.counters());
        assert!(after <= before + SLACK, "{} bytes are kept", after - before);
        let counters = scene.target.counters();
        assert_eq!(counters.frames_received, counters.frames_accepted + counters.dropped_total());
    });
}

#[test]
fn records_that_break_the_rules_end_their_connection() {
    let full = vec![b'x'; 60_000];
    let beyond = (0..5).map(|_| bytes(1, &full)).collect::<Vec<_>>();
    let wrong: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("stream 0", vec![bytes(0, b"x")]),
        ("a number of the other end", vec![bytes(2, b"x")]),
        ("credit where nothing is sent", vec![credit(7, 1)]),
        ("credit for what it sends itself", vec![bytes(1, b"x"), credit(1, 1)]),
        ("a reset of nothing", vec![reset(9)]),
        ("more than there was credit for", beyond),
        ("an unknown control", vec![[&credit(1, 1)[..12], &[9, 0, 0, 0, 1]].concat()]),
        ("a control that is cut", vec![message(2, 1, &[1, 0, 0])]),
    ];
    attack(Config::default(), async |scene| {
        for (what, frames) in &wrong {
            let before = scene.target.counters().dropped(Drop::Malformed);
            let mut attacker = Attacker::introduced(scene).await;
            for frame in frames {
                attacker.send(frame).await;
            }
            assert!(attacker.is_closed_on().await, "{what}");
            let after = scene.target.counters().dropped(Drop::Malformed);
            assert_eq!(after, before + 1, "{what}");
        }
        // Who never said hello sends no streams at all.
        let before = scene.target.counters().dropped(Drop::UnknownPeer);
        let mut attacker = Attacker::connect(scene).await;
        attacker.send(&bytes(1, b"x")).await;
        assert!(attacker.is_closed_on().await);
        assert_eq!(scene.target.counters().dropped(Drop::UnknownPeer), before + 1);
    });
}

/// What a message may hold that is none.
fn content(random: &mut Generator) -> Vec<u8> {
    match random.below(4) {
        0 => b"[".repeat(1000),
        1 => {
            let nest = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
            let call = r#"{"type":"LANC","method":"call","version":"0.2","exe_id":7,"data":"add","#;
            format!("{call}\"args\":{nest}}}").into_bytes()
        }
        // Claims to hold 2^32 - 1 values.
        2 => vec![0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, b'x'],
        _ => random.datagram(),
    }
}

#[test]
fn ten_thousand_malformed_frames_leave_nothing_behind() {
    attack(Config::default(), async |scene| {
        let mut random = Generator::new(4);
        random.knows("000000000000beef0000000000000000");
        let received = || scene.target.counters().frames_received;
        let (before, mut round) = (received(), 0);
        while received() < before + FRAMES {
            let mut attacker = Attacker::introduced(scene).await;
            for _ in 0..100 {
                let odd = u32::try_from(random.below(40)).unwrap();
                let frame = match random.below(80) {
                    0 => bytes(odd, b"half"),
                    1 => reset(odd),
                    2 => credit(odd, u32::MAX),
                    // Announces as much as no frame may have.
                    3 => [0, 0x4c, 2, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff].to_vec(),
                    4..40 => {
                        let number = attacker.next_number();
                        attacker.send(&bytes(number, &content(&mut random))).await;
                        bytes(number, &[])
                    }
                    _ => message(0, 0, &content(&mut random)),
                };
                attacker.send(&frame).await;
            }
            attacker.finish().await;
            round += 1;
            if round % 20 == 0 {
                scene.answers_quickly().await;
            }
        }
    });
}

#[test]
fn half_messages_tie_up_no_memory_for_ever() {
    let config = Config::default()
        .with_keep_alive(Duration::from_millis(100))
        .with_message_stall(Duration::from_secs(1));
    attack(config, async |scene| {
        let stalled = || scene.target.counters().messages_stalled;
        let before = stalled();
        let mut attacker = Attacker::introduced(scene).await;
        let slow = attacker.next_number();
        attacker.send(&bytes(slow, b"x")).await;
        for _ in 0..200 {
            let number = attacker.next_number();
            attacker.send(&bytes(number, &[b'x'; 60_000])).await;
            attacker.send(&bytes(number, &[b'x'; 60_000])).await;
        }
        scene.until("the halves", || scene.target.tables().stream_bytes >= 24_000_000).await;
        scene.answers_quickly().await;
        // One goes on, byte by byte, so that the link seems alive.
        let mut more = tokio::time::interval(Duration::from_millis(20));
        let went_on = async {
            while stalled() < before + 200 {
                more.tick().await;
                attacker.send(&bytes(slow, b"x")).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), went_on).await.expect("they are given up");
        let tables = scene.target.tables();
        assert!(tables.stream_bytes < 100_000, "{tables:?}");
        scene.answers_quickly().await;
        attacker.finish().await;
    });
}
