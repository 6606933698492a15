//! What a node tells of itself: that it is true, and that it adds up.

use std::time::Duration;

use lanc::counters::Counters;
use lanc::stats::FunctionStats;
use lanc::{ErrorCode, Fault, MsgpackCodec, Node, NodeBuilder, Stats};
use lanc_testkit::sim::{Ask, Dice, Function, Reply, Spec, World, ms, secs};
use lanc_tests::{in_mode, is_keyed};
use lanc_transport_memory::MemoryNetwork;
use serde_json::{Value, json};

/// Every name that a reader may meet is in here.
const DOCUMENT: &str = include_str!("../../docs/statistics.md");

async fn node(network: &MemoryNetwork, name: &str) -> Node {
    let builder = in_mode!(NodeBuilder::new().name(name).codec(MsgpackCodec));
    builder.transport(network.transport()).open().await.unwrap()
}

async fn pair() -> (Node, Node) {
    let network = MemoryNetwork::new();
    let server = node(&network, "server").await;
    server.register("add", |a: i64, b: i64| a + b).unwrap();
    server.register("coded", async || Err::<(), _>(Fault::new(ErrorCode(4711), "so"))).unwrap();
    let sleep = async |ms: u64| tokio::time::sleep(Duration::from_millis(ms)).await;
    server.register("sleep", sleep).unwrap();
    let client = node(&network, "client").await;
    client.settled().await;
    (server, client)
}

fn function<'s>(stats: &'s Stats, name: &str) -> &'s FunctionStats {
    stats.functions.iter().find(|function| function.name == name).unwrap()
}

fn audit(node: &Node) {
    assert_eq!(node.counters().audit(&node.tables()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_their_end_and_measured_on_both_sides() {
    let (server, client) = pair().await;
    for n in 0..3 {
        assert_eq!(client.call::<i64>("add", (n, 1)).await, Ok(n + 1));
    }
    client.call::<()>("coded", ()).await.unwrap_err();
    client.call::<()>("nowhere", ()).await.unwrap_err();
    client.call::<()>("sleep", (20_u64,)).await.unwrap();
    let late = client.call::<()>("sleep", (60_000_u64,)).deadline(Duration::from_secs(1));
    late.await.unwrap_err();

    let stats = client.stats();
    let ended: Vec<_> = stats.calls_ended.iter().filter(|(_, count)| **count > 0).collect();
    let expected = [("application", 1), ("no_provider", 1), ("ok", 4), ("timeout", 1)];
    assert!(ended.into_iter().map(|(name, count)| (name.as_str(), *count)).eq(expected));
    let called = function(&stats, "sleep").called.as_ref().unwrap();
    assert_eq!((called.count, called.failed, called.in_flight), (2, 1, 0));
    assert!((20_000..25_000).contains(&called.whole.p50_us), "{called:?}");
    assert!(called.whole.max_us >= 1_000_000, "{called:?}");
    assert_eq!(function(&stats, "nowhere").called.as_ref().map(|called| called.failed), Some(1));
    assert_eq!(function(&stats, "nowhere").served, None);
    assert_eq!((stats.node.as_str(), stats.peers.len()), ("client", 1));
    assert_eq!(stats.session, client.session().to_string());
    assert!(stats.uptime_ms >= 1_000, "{}", stats.uptime_ms);
    let peer = &stats.peers[0];
    let told = (peer.name.as_str(), peer.state.as_str(), peer.lane.as_str(), peer.functions);
    assert_eq!(told, ("server", "verified", "memory", 3));

    let stats = server.stats();
    let served = function(&stats, "sleep").served.as_ref().unwrap();
    assert!((20_000..25_000).contains(&served.run.p50_us), "{served:?}");
    assert_eq!(function(&stats, "add").served.as_ref().map(|served| served.count), Some(3));
    assert_eq!(function(&stats, "add").class.as_deref(), Some("blocking"));
    assert_eq!(stats.tasks_ended.get("application"), Some(&1));
    audit(&server);
    audit(&client);
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_is_shown_while_it_does() {
    let (server, client) = pair().await;
    let mut news = server.events();
    let calls: Vec<_> = (0..5)
        .map(|_| tokio::spawn(client.call::<()>("sleep", (5_000_u64,)).into_future()))
        .collect();
    let running = || server.stats().tables["running"];
    while running() < 5 {
        tokio::task::yield_now().await;
    }
    let stats = server.stats();
    assert_eq!(function(&stats, "sleep").served.as_ref().map(|served| served.running), Some(5));
    let stats = client.stats();
    assert_eq!(function(&stats, "sleep").called.as_ref().map(|called| called.in_flight), Some(5));
    assert_eq!(stats.peers[0].calls_in_flight, 5);
    audit(&server);
    audit(&client);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(running(), 0);
    audit(&server);
    server.shutdown().await;
    audit(&server);
    while news.next().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn a_call_to_several_is_one_call_and_its_attempts() {
    let network = MemoryNetwork::new();
    let mut servers = Vec::new();
    for name in ["one", "two", "three"] {
        let server = node(&network, name).await;
        server.register("where", move || name).unwrap();
        servers.push(server);
    }
    let client = node(&network, "client").await;
    client.settled().await;
    client.call::<String>("where", ()).all().await.unwrap();
    client.call::<String>("where", ()).fastest(2).await.unwrap();
    let counters = client.counters();
    assert_eq!((counters.calls_started, counters.calls_succeeded), (2, 2));
    assert!(counters.attempts_started > 3, "{counters:?}");
    assert_eq!(counters.attempts_ended.total(), counters.attempts_started);
    audit(&client);
}

#[tokio::test(start_paused = true)]
async fn statistics_travel_as_json_and_may_lack_what_another_version_has() {
    let (server, client) = pair().await;
    assert_eq!(client.call::<i64>("add", (1, 1)).await, Ok(2));
    let stats = server.stats();
    let text = serde_json::to_string(&stats).unwrap();
    assert_eq!(serde_json::from_str::<Stats>(&text).unwrap(), stats);
    let other: Stats = serde_json::from_str(r#"{"node": "n", "of_later": [1]}"#).unwrap();
    assert_eq!((other.node.as_str(), other.peers.len()), ("n", 0));
}

#[tokio::test(start_paused = true)]
async fn every_name_is_documented() {
    let (server, client) = pair().await;
    assert_eq!(client.call::<i64>("add", (1, 1)).await, Ok(2));
    let stats = server.stats();
    let numbers = [&stats.counters, &stats.frames_dropped, &stats.calls_ended, &stats.tables];
    for name in numbers.into_iter().flat_map(|numbers| numbers.keys()) {
        assert!(DOCUMENT.contains(&format!("`{name}`")), "{name} is not in docs/statistics.md");
    }
    let Value::Object(fields) = serde_json::to_value(&stats).unwrap() else { panic!("no object") };
    for name in fields.keys() {
        assert!(DOCUMENT.contains(&format!("`{name}`")), "{name} is not in docs/statistics.md");
    }
    for (name, help) in Counters::HELP {
        let row = format!("| `{name}` |{help} |");
        assert!(DOCUMENT.contains(&row), "docs/statistics.md lacks: {row}");
    }
}

/// Calls of every kind among loss, garbage, a restart and a shutdown: all of it adds up at every
/// moment (the simulator checks), and at the end.
#[test]
fn whatever_comes_in_is_taken_or_dropped_and_whatever_begins_ends_once() {
    fn slow(args: &[Value]) -> Reply {
        (ms(400), Ok(args.first().cloned().unwrap_or(Value::Null)))
    }
    let mut seen = [0; 4];
    for seed in 0..20 {
        let mut dice = Dice::new(seed, 4);
        let mut lan = if is_keyed!() { World::sealed(seed) } else { World::new(seed) };
        let victim = lan.add(Spec::new("victim").offers(Function::new("slow", slow)));
        let friend = lan.add(Spec::new("friend").offers(Function::new("slow", slow)));
        lan.run_for(secs(8));
        for round in 0..400 {
            let mut frame = hostile(&mut dice);
            if dice.chance(300) {
                frame.truncate(dice.place(frame.len()));
            }
            lan.inject(([10, 0, 200, 1], 9999).into(), victim, cast(&mut dice), &frame);
            if round % 8 == 0 {
                let deadline = ms(50 + dice.below(2000));
                lan.ask(friend, Ask::new("slow", json!([round])).to("victim").deadline(deadline));
                lan.ask(victim, Ask::new("slow", json!([round])).deadline(deadline));
            }
            lan.run_for(ms(dice.below(40)));
        }
        lan.run_for(secs(40));
        for node in [victim, friend] {
            let (core, tables) = (lan.core(node), lan.tables(node));
            assert_eq!(core.counters().audit(&tables), Ok(()), "seed {seed}");
            assert_eq!((tables.calls, tables.queued, tables.running), (0, 0, 0), "seed {seed}");
        }
        let counters = lan.core(victim).counters();
        seen[0] += counters.dropped_total();
        seen[1] += counters.message_drops.iter().sum::<u64>();
        seen[2] += counters.calls_refused.total();
        seen[3] += counters.calls_ended.failed();
    }
    if is_keyed!() {
        // What is not sealed is dropped before there are messages in it.
        seen[1] += seen[0];
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}: it was not hostile enough");
}

fn cast(dice: &mut Dice) -> lanc_core::ports::Cast {
    match dice.chance(200) {
        true => lanc_core::ports::Cast::Broadcast,
        false => lanc_core::ports::Cast::Unicast,
    }
}

/// Several messages in one frame, some of them right.
fn hostile(dice: &mut Dice) -> Vec<u8> {
    let open = r#"{"type":"LANC","version":"0.2","encrypted":"no","compress":"no","#;
    let one = |dice: &mut Dice| match dice.below(6) {
        0 => format!(r#"{open}"method":"ping","data":7}}"#),
        1 => format!(
            r#"{open}"method":"call","data":"slow","exe_id":{},"args":[1]}}"#,
            dice.number()
        ),
        2 => {
            format!(r#"{open}"method":"call","data":"none","exe_id":{},"args":[]}}"#, dice.number())
        }
        3 => format!(r#"{open}"method":"callback","data":1,"exe_id":"{:016x}.1.00000000"}}"#, 5),
        4 => format!(r#"{open}"method":"cancel","exe_id":{}}}"#, dice.number()),
        _ => format!(r#"{open}"method":"dance"}}"#),
    };
    let count = 1 + dice.below(3);
    (0..count).map(|_| one(dice)).collect::<Vec<_>>().join("\n").into_bytes()
}
