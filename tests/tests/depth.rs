//! Values that nest deeper than a message carries end their call at once, with who may know whether
//! the function ran saying so; none is sent to be dropped and waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lanc::{
    CallError, Config, Context, Endpoint, ErrorCode, Executed, Fault, JsonCodec, MsgpackCodec,
    Node, NodeBuilder,
};
use lanc_tests::in_mode;
use lanc_transport_memory::MemoryNetwork;
use serde_json::{Value, json};

/// So many lists and maps in each other.
fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(7), |inner, level| match level % 2 {
        0 => json!([inner]),
        _ => json!({ "in": inner }),
    })
}

/// More than a frame, and as deep with the list that it is.
fn large(levels: usize) -> Value {
    json!(["x".repeat(100_000), nested(levels - 1)])
}

/// Nodes that know each other, over connections, so that streams and large messages go too.
struct Lan {
    network: MemoryNetwork,
    endpoints: Vec<Endpoint>,
}

impl Lan {
    fn new() -> Self {
        Self { network: MemoryNetwork::new().connected(), endpoints: Vec::new() }
    }

    /// A node whose functions end with its name.
    async fn open(&mut self, name: &str, builder: NodeBuilder, depth: u32) -> Node {
        let builder = builder.name(name).config(Config::default().with_max_depth(depth));
        let builder = in_mode!(builder).transport(self.network.transport());
        let builder = self.endpoints.iter().cloned().fold(builder, NodeBuilder::peer);
        let node = builder.open().await.unwrap();
        self.endpoints.extend_from_slice(node.endpoints());
        register(&node, name);
        node
    }
}

fn register(node: &Node, name: &str) {
    node.register(&format!("echo_{name}"), |value: Value| value).unwrap();
    node.register(&format!("deep_{name}"), nested).unwrap();
    node.register(&format!("large_{name}"), large).unwrap();
    let named = |ctx: Context| ctx.named::<Value>().map(|named| named["k"].clone());
    node.register(&format!("named_{name}"), named).unwrap();
    node.register_stream(&format!("many_{name}"), |levels: usize| [nested(levels)]).unwrap();
}

/// What is looked at of an outcome.
fn told<T>(result: Result<T, CallError>) -> Result<T, (ErrorCode, Executed)> {
    result.map_err(|error| {
        let text = error.to_string();
        assert!(text.contains("nests deeper than") && text.contains("max_depth"), "{text}");
        (error.code, error.executed)
    })
}

const UNSENT: (ErrorCode, Executed) = (ErrorCode::TOO_LARGE, Executed::No);
const UNANSWERED: (ErrorCode, Executed) = (ErrorCode::TOO_LARGE, Executed::Yes);

#[tokio::test(start_paused = true)]
async fn what_nests_deeper_than_a_message_carries_ends_its_call_at_once() {
    let mut lan = Lan::new();
    let builder = NodeBuilder::new;
    let mut nodes = Vec::new();
    for (name, builder) in [
        ("lean", lanc::builder()),
        ("lean2", lanc::builder()),
        ("json", builder().codec(JsonCodec)),
        ("json2", builder().codec(JsonCodec).codec(MsgpackCodec)),
    ] {
        nodes.push((name, lan.open(name, builder, 64).await));
    }
    for (name, node) in &nodes {
        node.settled().await;
        // Itself too: whether a value may be sent does not depend on who runs the function.
        for (other, _) in &nodes {
            let call = |function: &str| format!("{function}_{other}");
            let echoed = node.call(&call("echo"), (nested(62),)).await;
            assert_eq!(told(echoed), Ok(nested(62)), "{name} calls {other}");
            for levels in [63, 64, 100, 127, 300] {
                let echoed = node.call::<Value>(&call("echo"), (nested(levels),)).await;
                assert_eq!(told(echoed), Err(UNSENT), "{name} calls {other}: {levels}");
            }
            for (levels, result) in [(62, Ok(nested(62))), (63, Err(UNSENT))] {
                let named = node.call::<Value>(&call("named"), ()).kwarg("k", nested(levels));
                assert_eq!(told(named.await), result, "{name} calls {other}");
            }
            let deep = node.call(&call("deep"), (63,)).await;
            assert_eq!(told(deep), Ok(nested(63)), "{name} calls {other}");
            for levels in [64, 65, 127, 300] {
                let deep = node.call::<Value>(&call("deep"), (levels,)).await;
                assert_eq!(told(deep), Err(UNANSWERED), "{name} calls {other}: {levels}");
            }
            for (levels, result) in [(62, Ok(nested(62))), (63, Err(UNANSWERED))] {
                let list = node.call::<Vec<Value>>(&call("many"), (levels,)).await;
                assert_eq!(told(list), result.clone().map(|value| vec![value]));
                let mut values = node.call(&call("many"), (levels,)).values().await.unwrap();
                assert_eq!(told(values.next().await.unwrap()), result, "{name} calls {other}");
            }
        }
    }
    for (name, node) in &nodes {
        assert_eq!(node.counters().dropped_total(), 0, "{name}: {:?}", node.counters());
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_reads_less_deep_than_it_is_sent_says_so() {
    let mut lan = Lan::new();
    let low = lan.open("low", lanc::builder(), 10).await;
    let high = lan.open("high", lanc::builder(), 100).await;
    for node in [&low, &high] {
        node.settled().await;
    }
    let echo = |levels| high.call::<Value>("echo_low", (nested(levels),));
    let deep = |levels: usize| low.call::<Value>("deep_high", (levels,));
    assert_eq!(told(echo(8).await), Ok(nested(8)));
    assert_eq!(told(deep(9).await), Ok(nested(9)));
    for levels in [9, 98] {
        let error = echo(levels).await.unwrap_err();
        assert!(error.message.contains("deeper than 10 levels (`max_depth`) at `low`"), "{error}");
        assert_eq!(told::<()>(Err(error)), Err(UNSENT));
    }
    for levels in [10, 99] {
        let error = deep(levels).await.unwrap_err();
        assert!(error.message.contains("has come, but nests deeper than 10 levels"), "{error}");
        assert_eq!(told::<()>(Err(error)), Err(UNANSWERED));
    }
    // What is larger than a frame: another lane, the same end.
    assert_eq!(told(high.call::<Value>("echo_low", (large(9),)).await), Err(UNSENT));
    assert_eq!(told(low.call::<Value>("large_high", (10,)).await), Err(UNANSWERED));
    assert_eq!(told(echo(8).await), Ok(nested(8)), "nothing is left behind");
}

/// A node that reads JSON alone is asked in JSON, where the id of a call stands before its
/// arguments, and behind its result.
#[tokio::test(start_paused = true)]
async fn calls_in_json_are_answered_too_and_results_in_json_are_not_told_of() {
    let mut lan = Lan::new();
    let low = lan.open("low", NodeBuilder::new().codec(JsonCodec), 10).await;
    let high = lan.open("high", lanc::builder(), 100).await;
    for node in [&low, &high] {
        node.settled().await;
    }
    let echoed = high.call::<Value>("echo_low", (nested(9),)).await;
    assert_eq!(told(echoed), Err(UNSENT));
    let named = high.call::<Value>("named_low", ()).kwarg("k", nested(9)).await;
    assert_eq!(told(named), Err(UNSENT));
    let error = low.call::<Value>("deep_high", (10,)).await.unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::TIMEOUT, Executed::Maybe));
}

#[tokio::test(start_paused = true)]
async fn a_function_that_ran_and_says_it_is_too_large_is_not_run_elsewhere() {
    let mut lan = Lan::new();
    let one = lan.open("one", lanc::builder(), 64).await;
    let runs = Arc::new(AtomicU32::new(0));
    let mut providers = Vec::new();
    for name in ["two", "three"] {
        let node = lan.open(name, lanc::builder(), 64).await;
        let runs = Arc::clone(&runs);
        let deep = move || -> Result<Value, Fault> {
            runs.fetch_add(1, Ordering::Relaxed);
            Ok(nested(64))
        };
        node.register("deep", deep).unwrap();
        providers.push(node);
    }
    one.settled().await;
    let deep = one.call::<Value>("deep", ()).idempotent().await;
    assert_eq!(told(deep), Err(UNANSWERED));
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}
