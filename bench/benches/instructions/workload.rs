//! What is counted.

use std::time::Duration;

use lanc::{JsonCodec, MsgpackCodec, Node, NodeBuilder};
use lanc_bench::pair::{Form, Pair, Seeded};
use lanc_transport_memory::MemoryNetwork;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::callgrind::counted_by_callgrind;

/// Calls that are counted, after as many that are not.
pub(crate) const CALLS: u64 = 2048;

/// One row of the budgets.
pub(crate) struct Workload {
    pub(crate) name: String,
    kind: Kind,
    form: Form,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Two engines and what they own: tables, dialect, codec, pipeline. So many calls at once.
    Engine(u64),
    /// Two nodes on one thread with the transport in memory: typed arguments, driver, runtime. So
    /// many callers, each a task of its own.
    Node(u64),
}

impl Workload {
    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for form in Form::ALL {
            for (name, kind) in [
                ("engine", Kind::Engine(1)),
                ("engine@64", Kind::Engine(64)),
                ("node", Kind::Node(1)),
                ("node@64", Kind::Node(64)),
            ] {
                all.push(Self { name: format!("{name}-{}", form.name()), kind, form });
            }
        }
        all
    }

    /// Makes the calls.
    pub(crate) fn run(&self) {
        match self.kind {
            Kind::Engine(in_flight) => {
                let mut pair = Pair::new(self.form);
                let mut calls = || (0..CALLS / in_flight).for_each(|_| pair.call(in_flight));
                calls();
                // What follows from the first calls, when no round trip was known, is over.
                pair.pass(Duration::from_secs(2));
                counted_by_callgrind(&mut || {
                    (0..CALLS / in_flight).for_each(|_| pair.call(in_flight))
                });
            }
            Kind::Node(callers) => {
                let pair = Nodes::new(self.form);
                // The second time everything has its size, and what follows from the first calls,
                // when no round trip was known, is over.
                pair.runtime.block_on(async {
                    add(&pair.client, callers).await;
                    tokio::time::advance(Duration::from_secs(2)).await;
                });
                counted_by_callgrind(&mut || pair.runtime.block_on(add(&pair.client, callers)));
            }
        }
    }
}

async fn add(client: &Node, callers: u64) {
    let each = (CALLS / callers).cast_signed();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let client = client.clone();
        tasks.spawn(async move {
            for number in 0..each {
                assert_eq!(client.call::<i64>("add", (number, 7)).await, Ok(number + 7));
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("each call is answered");
    }
}

struct Nodes {
    client: Node,
    _server: Node,
    runtime: Runtime,
}

impl Nodes {
    fn new(form: Form) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let network = MemoryNetwork::new();
        let open = |name, seed| {
            let builder = NodeBuilder::new().name(name).entropy(Seeded(seed));
            let builder = if form.json {
                builder.codec(JsonCodec).codec(MsgpackCodec)
            } else {
                builder.codec(MsgpackCodec).codec(JsonCodec)
            };
            let builder = match form.key() {
                Some(key) => builder.key(key),
                None => builder,
            };
            builder.transport(network.transport()).open()
        };
        let (client, server) = runtime.block_on(async {
            let server = open("server", 1).await.expect("a server");
            let add = server.function("add", |a: i64, b: i64| a + b).inline();
            add.register().expect("a valid name");
            let client = open("client", 2).await.expect("a client");
            client.settled().await;
            (client, server)
        });
        Self { client, _server: server, runtime }
    }
}
