//! What strangers can do to a node: be dropped and counted.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use std::net::SocketAddr;

use lanc_core::counters::Drop;
use lanc_core::error::ErrorCode;
use lanc_core::ports::Cast;
use lanc_testkit::sim::{Ask, Dice, Function, NodeId, Place, Reply, Rules, Spec, World, ms, secs};
use serde_json::{Value, json};

const FRAMES: usize = 10_000;

fn echo(args: &[Value]) -> Reply {
    (ms(1), Ok(args.first().cloned().unwrap_or(Value::Null)))
}

/// A node with a function and one good peer.
fn room(seed: u64) -> (World, NodeId, NodeId) {
    let mut lan = World::new(seed);
    let victim = lan.add(Spec::new("victim").offers(Function::new("echo", echo)));
    let friend = lan.add(Spec::new("friend").offers(Function::new("own", echo)));
    lan.run_for(secs(8));
    (lan, victim, friend)
}

fn source(number: usize) -> SocketAddr {
    let [.., high, low] = u64::try_from(number).unwrap().to_be_bytes();
    SocketAddr::from(([10, 0, 100 + high, low], 9999))
}

/// Frames that are right, to be spoilt; `sid` is a session that changes from frame to frame.
fn template(dice: &mut Dice, echo_of: &str) -> String {
    let sid = format!("{:016x}{:016x}", dice.number(), dice.number());
    let short = &sid[..16];
    let open = r#"{"type":"LANC","version":"0.2","encrypted":"no","compress":"no","#;
    let body = match dice.below(12) {
        0 | 1 => format!(
            r#""method":"hello","data":{{"node":"x","sid":"{sid}","iv":5000,"rev":3,"feat":8,"tok":"{short}"}}}}"#
        ),
        2 => format!(
            r#""method":"hello","data":{{"node":"x","sid":"{sid}","iv":100,"want":true,"echo":"{echo_of}"}}}}"#
        ),
        3 => format!(
            r#""method":"func","data":["echo","f{short}"],"x":{{"sid":"{sid}","rev":9,"part":1,"parts":256}}}}"#
        ),
        4 | 5 => format!(
            r#""method":"call","data":"echo","exe_id":"{short}.1.00000000","args":["{sid}"]}}"#
        ),
        6 => format!(r#""method":"callback","data":1,"exe_id":"{short}.1.00000000"}}"#),
        7 => format!(
            r#""method":"error","data":{{"code":4,"name":"n","message":"m","ex":"yes"}},"exe_id":"{short}.1.00000000"}}"#
        ),
        8 => format!(r#""method":"bye","data":{{"sid":"{sid}"}}}}"#),
        9 => r#""method":"ping","data":7}"#.to_owned(),
        10 => format!(r#""method":"cancel","exe_id":"{short}.1.00000000"}}"#),
        _ => format!(r#""method":"probe","exe_id":{}}}"#, dice.number()),
    };
    format!("{open}{body}")
}

/// One malformed, mutilated or misused frame.
fn garbage(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = template(dice, "0123456789abcdef").into_bytes();
    match dice.below(9) {
        0 => {
            bytes = vec![0; dice.place(1473)];
            for byte in &mut bytes {
                *byte = u8::try_from(dice.below(256)).unwrap();
            }
        }
        1 => bytes.truncate(dice.place(bytes.len())),
        2 => {
            for _ in 0..=dice.below(8) {
                let place = dice.place(bytes.len());
                bytes[place] = u8::try_from(dice.below(256)).unwrap();
            }
        }
        3 => bytes = "[".repeat(dice.place(1400)).into_bytes(),
        4 => {
            let nested = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
            bytes = nested.into_bytes();
        }
        5 => {
            let more = template(dice, "0123456789abcdef");
            bytes.push(b'\n');
            bytes.extend_from_slice(more.as_bytes());
        }
        6 => bytes.extend(std::iter::repeat_n(b'x', dice.place(6000))),
        7 => {
            let text = String::from_utf8(bytes).unwrap();
            let numbers = ["-1", "1e999", "null", "18446744073709551616", "{}", "[[]]", "\"\""];
            let number = numbers[dice.place(numbers.len())];
            bytes = text.replace("5000", number).replace("\"no\"", number).into_bytes();
        }
        _ => {}
    }
    bytes
}

/// Whether the node still does its work, for a peer that it knows and for one that is new.
fn assert_works(lan: &mut World, victim: NodeId, friend: NodeId) {
    let call = lan.ask(friend, Ask::new("echo", json!(["alive"])).to("victim").deadline(secs(1)));
    lan.run_for(secs(1));
    assert_eq!(lan.result(call), Some(Ok(json!("alive"))));
    let counters = lan.core(victim).counters();
    assert_eq!(
        counters.frames_received,
        counters.frames_accepted + counters.dropped_total(),
        "{:?}",
        counters.named()
    );
}

/// Two leases of silence later, only friends are left in the tables.
fn assert_empties(lan: &mut World, victim: NodeId, friends: usize) {
    lan.run_for(secs(2 * 3 * 300 + 400));
    let tables = lan.tables(victim);
    assert_eq!(tables.peers, friends, "{tables:?}");
    assert_eq!(tables.links, friends + 1, "each friend and the node itself: {tables:?}");
    assert!(tables.hosts <= friends + 1, "{tables:?}");
    let left = (tables.open_calls, tables.queued, tables.running, tables.outbox);
    assert_eq!(left, (0, 0, 0, 0), "{tables:?}");
    assert_eq!(tables.functions, 2, "{tables:?}");
}

fn flood(lan: &mut World, victim: NodeId, dice: &mut Dice, from: &dyn Fn(usize) -> SocketAddr) {
    for number in 0..FRAMES {
        let cast = if dice.chance(300) { Cast::Broadcast } else { Cast::Unicast };
        lan.inject(from(number), victim, cast, &garbage(dice));
        if number % 4 == 0 {
            lan.run_for(ms(1));
        }
    }
}

#[test]
fn ten_thousand_bad_frames_of_one_source_change_nothing() {
    let (mut lan, victim, friend) = room(1);
    let mut dice = Dice::new(1, 77);
    flood(&mut lan, victim, &mut dice, &|_| source(1));
    assert_works(&mut lan, victim, friend);
    let counters = lan.core(victim).counters();
    assert!(counters.dropped(Drop::RateLimited) > 9000, "{:?}", counters.named());
    assert_empties(&mut lan, victim, 1);
}

#[test]
fn ten_thousand_bad_frames_of_two_hundred_sources_change_nothing() {
    let (mut lan, victim, friend) = room(2);
    let mut dice = Dice::new(2, 77);
    flood(&mut lan, victim, &mut dice, &|number| source(number % 200));
    assert_works(&mut lan, victim, friend);
    let stranger = lan.add(Spec::new("stranger"));
    let call = lan.call(stranger, "echo", json!([1]));
    lan.run_for(secs(2));
    assert_eq!(lan.result(call), Some(Ok(json!(1))), "a newcomer is not served");
    assert_empties(&mut lan, victim, 2);
}

#[test]
fn ten_thousand_bad_frames_in_the_name_of_a_verified_peer_do_no_harm_for_long() {
    let (mut lan, victim, friend) = room(3);
    let mut dice = Dice::new(3, 77);
    let address = lan.address(friend);
    flood(&mut lan, victim, &mut dice, &|_| address);
    // Whoever writes the friend's address may end its session at the victim; its next hello
    // brings it back.
    lan.run_for(secs(7));
    assert_works(&mut lan, victim, friend);
    assert_empties(&mut lan, victim, 1);
}

#[test]
fn broadcasts_of_strangers_are_answered_within_bounds_and_never_by_an_error() {
    // The bounds themselves are checked by the world, frame by frame.
    let (mut lan, victim, _) = room(4);
    let mut dice = Dice::new(4, 77);
    lan.record_frames();
    for number in 0..2000 {
        let frame = template(&mut dice, "ffffffffffffffff");
        lan.inject(source(number % 50), victim, Cast::Broadcast, frame.as_bytes());
        lan.run_for(ms(3));
    }
    lan.run_for(secs(5));
    let strange = |to: SocketAddr| (0..50).any(|number| source(number) == to);
    let answers: Vec<_> =
        lan.frames().filter(|frame| frame.to.is_some_and(strange)).cloned().collect();
    assert!(!answers.is_empty());
    assert!(answers.iter().all(|frame| frame.has("hello")), "{answers:#?}");
}

#[test]
fn a_stranger_without_hello_is_served_within_three_times_its_bytes() {
    let (mut lan, victim, _) = room(5);
    let from = source(9);
    let call = |function: &str, id: u32| {
        format!(
            r#"{{"type":"LANC","method":"call","version":"0.2","data":"{function}","encrypted":"no","compress":"no","exe_id":{id},"args":["hi"]}}"#
        )
    };
    lan.register_function(victim, Function::new("long", |_| (ms(1), Ok(json!("x".repeat(1000))))));
    lan.run_for(secs(2));
    lan.record_frames();
    for (id, function) in [(1, "echo"), (2, "long"), (3, "nothing")] {
        lan.inject(from, victim, Cast::Unicast, call(function, id).as_bytes());
        lan.run_for(ms(20));
    }
    let answers: Vec<_> =
        lan.frames().filter(|frame| frame.to == Some(from)).map(|frame| frame.text()).collect();
    assert_eq!(answers.len(), 3, "{answers:#?}");
    assert!(answers[0].contains(r#""method":"callback""#) && answers[0].contains(r#""hi""#));
    let too_large = format!(r#""code":{}"#, ErrorCode::TOO_LARGE.0);
    assert!(answers[1].contains(&too_large) && answers[1].contains(r#""ex":"yes""#));
    assert!(answers[2].contains(r#""code":1"#) && answers[2].contains(r#""ex":"no""#));
}

#[test]
fn a_node_that_stood_still_has_not_forgotten_what_it_ran_for_a_stranger() {
    let (mut lan, victim, _) = room(11);
    let call = |attempt: u8| {
        format!(
            r#"{{"type":"LANC","method":"call","version":"0.2","data":"echo","exe_id":"00112233445566aa.1.00000001","args":[1],"x":{{"at":{attempt}}}}}"#
        )
    };
    let started = |lan: &World| lan.core(victim).counters().tasks_started;
    lan.inject(source(3), victim, Cast::Unicast, call(0).as_bytes());
    lan.run_for(ms(200));
    assert_eq!(started(&lan), 1);
    lan.leap(victim, secs(3600));
    for attempt in 1..4 {
        lan.run_for(secs(8));
        lan.inject(source(3), victim, Cast::Unicast, call(attempt).as_bytes());
    }
    lan.run_for(ms(200));
    assert_eq!(started(&lan), 1);
    lan.run_for(secs(40));
    assert_eq!(lan.tables(victim).callers, 0);
}

#[test]
fn a_spoofed_farewell_from_another_host_is_ignored() {
    let (mut lan, victim, friend) = room(6);
    let session = lan.session(friend);
    let bye = format!(
        r#"{{"type":"LANC","method":"bye","version":"0.2","data":{{"sid":"{session}"}},"encrypted":"no","compress":"no"}}"#
    );
    lan.inject(source(3), victim, Cast::Unicast, bye.as_bytes());
    lan.inject(source(3), victim, Cast::Broadcast, bye.as_bytes());
    lan.run_for(ms(10));
    assert!(lan.peer(victim, "friend").is_some());
}

#[test]
fn a_session_of_which_half_is_wrong_does_not_keep_the_right_one_out() {
    // An address that is proved, and one of which nothing is known.
    for known in [true, false] {
        let (mut lan, victim, friend) = room(10);
        lan.shutdown(friend);
        lan.run_for(if known { secs(1) } else { secs(40) });
        lan.rules(Rules::default().loss(1000));
        lan.restart(friend, Place::Same);
        let session = lan.session(friend);
        let damaged = format!("{}{:016x}", &session.to_string()[..16], 7);
        let hello = format!(
            r#"{{"type":"LANC","method":"hello","version":"0.2","data":{{"node":"friend","sid":"{damaged}","iv":300000}}}}"#
        );
        lan.inject(lan.address(friend), victim, Cast::Broadcast, hello.as_bytes());
        lan.run_for(ms(1));
        assert!(lan.peer(victim, "friend").is_some_and(|peer| peer.session != session));
        lan.rules(Rules::default());
        lan.run_for(secs(7));
        assert!(lan.peer(victim, "friend").is_some_and(|peer| peer.session == session));
        assert_works(&mut lan, victim, friend);
    }
}

#[test]
fn an_answer_from_another_address_is_ignored() {
    let (mut lan, victim, friend) = room(7);
    lan.register_function(victim, Function::new("slow", |_| (secs(1), Ok(json!("true")))));
    lan.run_for(secs(2));
    lan.record_frames();
    let call = lan.call(friend, "slow", json!([]));
    lan.run_for(ms(10));
    let sent = lan.frames().find(|frame| frame.has("call")).unwrap().text();
    let id = sent.split(r#""exe_id":""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let forged = format!(
        r#"{{"type":"LANC","method":"callback","version":"0.2","data":"forged","encrypted":"no","compress":"no","exe_id":"{id}"}}"#
    );
    lan.inject(source(3), friend, Cast::Unicast, forged.as_bytes());
    lan.run_for(secs(2));
    assert_eq!(lan.result(call), Some(Ok(json!("true"))));
}

#[test]
fn a_crowd_of_invented_peers_displaces_nobody_verified() {
    let mut lan = World::new(8);
    let small =
        |config: lanc_core::Config| config.with_max_tentative(16).with_max_tentative_per_ip(2);
    let spec = Spec::new("victim").config(small).offers(Function::new("echo", echo));
    let victim = lan.add(spec);
    let friend = lan.add(Spec::new("friend").offers(Function::new("own", echo)));
    lan.run_for(secs(8));
    let mut dice = Dice::new(8, 77);
    for number in 0..3000_usize {
        let hello = format!(
            r#"{{"type":"LANC","method":"hello","version":"0.2","data":{{"node":"fake","sid":"{:032x}","iv":300000,"rev":1}},"encrypted":"no","compress":"no"}}"#,
            u128::from(dice.number()) << 32 | u128::try_from(number).unwrap()
        );
        let mut from = source(number % 300);
        from.set_port(u16::try_from(10_000 + number).unwrap());
        lan.inject(from, victim, Cast::Broadcast, hello.as_bytes());
        lan.run_for(ms(1));
    }
    assert!(lan.peers(victim).len() <= 17);
    assert!(lan.peer(victim, "friend").is_some());
    assert_works(&mut lan, victim, friend);
}

/// Strangers who say hello, and then ask for more than an address that has proved nothing is sent.
fn ask_too_much(lan: &mut World, victim: NodeId) {
    let ping = r#"{"type":"LANC","method":"ping","version":"0.2","data":1}"#.repeat(70);
    for host in 0..20 {
        let hello = format!(
            r#"{{"type":"LANC","method":"hello","version":"0.2","data":{{"node":"fake","sid":"{:016x}{host:016x}"}}}}"#,
            host + 77
        );
        lan.inject(source(host), victim, Cast::Unicast, hello.as_bytes());
        for _ in 0..80 {
            lan.inject(source(host), victim, Cast::Unicast, ping.as_bytes());
        }
        lan.run_for(ms(1));
    }
}

#[test]
fn what_strangers_are_owed_leaves_half_of_the_outbox_to_others() {
    let (mut lan, victim, friend) = room(9);
    let half = lan.core(victim).config().max_outbox() / 2;
    ask_too_much(&mut lan, victim);
    assert_eq!(lan.tables(victim).outbox, half, "112,000 were asked for");
    assert_works(&mut lan, victim, friend);
    // Beside them a newcomer proves itself, though its hellos are a stranger's at first.
    let new = lan.add(Spec::new("new").offers(Function::new("late", echo)));
    ask_too_much(&mut lan, victim);
    let known = |lan: &World| {
        lan.providers(victim, "late") == ["new"] && lan.providers(new, "echo") == ["victim"]
    };
    assert!(lan.run_until(known, secs(2)), "{:?}", lan.peer(victim, "new"));
    assert_works(&mut lan, victim, new);
}
