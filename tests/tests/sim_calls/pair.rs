//! A provider of a few functions, and a caller that knows it well.

use lanc_core::error::{ErrorCode, Executed, Fault};
use lanc_testkit::sim::{CallId, Function, NodeId, Reply, Spec, World, ms, secs};
use serde_json::{Value, json};

pub(crate) fn add(args: &[Value]) -> Reply {
    let sum: i64 = args.iter().filter_map(Value::as_i64).sum();
    (ms(1), Ok(json!(sum)))
}

pub(crate) fn echo(args: &[Value]) -> Reply {
    (ms(1), Ok(args.first().cloned().unwrap_or(Value::Null)))
}

/// Sleeps as many milliseconds as its argument says, and returns them.
pub(crate) fn sleep(args: &[Value]) -> Reply {
    let time = args.first().and_then(Value::as_u64).unwrap_or(0);
    (ms(time), Ok(json!(time)))
}

fn fail(_: &[Value]) -> Reply {
    (ms(1), Err(Fault::new(ErrorCode::EXECUTION_ERROR, "can't open the disk")))
}

pub(crate) fn strong(name: &str) -> Spec {
    Spec::new(name)
        .offers(Function::new("add", add))
        .offers(Function::new("echo", echo))
        .offers(Function::new("sleep", sleep))
        .offers(Function::new("fail", fail))
}

/// A provider `a` and a caller `b` that know each other well.
pub(crate) fn pair(seed: u64) -> (World, NodeId, NodeId) {
    let mut lan = World::new(seed);
    let (a, b) = (lan.add(strong("a")), lan.node("b"));
    lan.run_for(secs(8));
    (lan, a, b)
}

pub(crate) fn assert_fails(lan: &World, call: CallId, code: ErrorCode, executed: Executed) {
    let error = lan.failure(call);
    assert_eq!((error.code, error.executed), (code, executed), "{error}");
}
