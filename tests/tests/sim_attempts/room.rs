//! Providers with room for two calls each, and a caller that knows them.

use lanc_core::error::{ErrorCode, Executed};
use lanc_testkit::sim::{CallId, Function, NodeId, Reply, Spec, World, ms, secs};
use serde_json::{Value, json};

/// Takes as long as its argument says.
pub(crate) fn sleep(args: &[Value]) -> Reply {
    let time = args.first().and_then(Value::as_u64).unwrap_or(0);
    (ms(time), Ok(json!(time)))
}

/// A function that takes so long and returns who ran it.
pub(crate) fn work(name: &'static str, time: u64) -> Function {
    Function::new("work", move |_| (ms(time), Ok(json!(name)))).stops_when_cancelled()
}

/// A provider with one worker and room for one more call.
pub(crate) fn small(name: &'static str, function: Function) -> Spec {
    let spec = Spec::new(name).config(|c| c.with_workers(1).with_max_queued(1));
    spec.offers(function).offers(Function::new(&format!("own_{name}"), sleep))
}

/// Providers, the last of which is the latest announcer, and a caller that knows them.
pub(crate) fn room(seed: u64, specs: Vec<Spec>) -> (World, Vec<NodeId>, NodeId) {
    let mut lan = World::new(seed);
    let caller = lan.node("caller");
    let mut nodes = Vec::new();
    for spec in specs {
        lan.run_for(secs(1));
        nodes.push(lan.add(spec));
    }
    lan.run_for(secs(8));
    (lan, nodes, caller)
}

/// Fills a small provider: one call runs for so long, one waits.
pub(crate) fn fill(lan: &mut World, caller: NodeId, name: &str, time: u64) -> [CallId; 2] {
    let own = format!("own_{name}");
    [0, 1].map(|_| {
        let call = lan.call(caller, &own, json!([time]));
        lan.run_for(ms(5));
        call
    })
}

/// The order in which the policy `latest` asks.
pub(crate) fn order(lan: &World, caller: NodeId) -> Vec<String> {
    lan.providers(caller, "work")
}

pub(crate) fn failure(lan: &World, call: CallId) -> (ErrorCode, Executed, String) {
    let error = lan.failure(call);
    (error.code, error.executed, error.message)
}
