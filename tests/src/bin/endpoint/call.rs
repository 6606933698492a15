//! The caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use lanc::{CallError, Carrier, Config, Node};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::{Common, Endpoint, commands};

#[derive(Args, Clone)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// What is called.
    #[arg(long, value_enum, default_value_t = Function::Increment)]
    function: Function,
    /// How long `work` and `slow` take.
    #[arg(long, default_value_t = 0)]
    ms: u64,
    /// Nodes that call.
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// Calls that each of them has under way.
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// Calls in a second that each of them begins, however many are under way.
    #[arg(long)]
    rate: Option<u32>,
    /// Deadline of every call.
    #[arg(long, default_value_t = 30_000)]
    deadline_ms: u64,
    /// What calls travel by.
    #[arg(long, value_enum, default_value_t = Over::Auto)]
    over: Over,
    /// Calls that each node makes before it is warm.
    #[arg(long, default_value_t = 20)]
    warm_up: u32,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Function {
    Increment,
    Work,
    Slow,
    /// `hold`: every descriptor the callee can get, and with the next call none.
    Hold,
    /// `echo` of 8 MB.
    Large,
    /// `increment`, and `echo` of small and of larger values.
    Mixed,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Over {
    Auto,
    Tcp,
}

/// How long whoever has failed waits before the next call: failures may come at once.
const BREATH: Duration = Duration::from_millis(5);

/// What one node needs to make its calls.
#[derive(Clone)]
struct Caller {
    node: Node,
    options: Arc<Options>,
    began: Instant,
    /// The number of the next call.
    next: Arc<AtomicU64>,
    /// Calls that this round still has to begin.
    left: Arc<AtomicU64>,
}

pub(crate) async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let options = Arc::new(options);
    let (mut endpoints, mut callers) = (Vec::new(), Vec::new());
    let (began, left) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    for number in 0..options.nodes {
        let name = format!("{}-{number}", options.common.name);
        let endpoint = Endpoint::open(&options.common, &name, Config::default()).await?;
        let (node, next) = (endpoint.node.clone(), Arc::default());
        let (options, left) = (Arc::clone(&options), Arc::clone(&left));
        callers.push(Caller { node, options, began, next, left });
        endpoints.push(endpoint);
    }
    for caller in &callers {
        caller.warm_up().await?;
    }
    println!("warm");
    let (mut commands, mut round) = (commands(), None::<JoinSet<()>>);
    loop {
        let line = tokio::select! {
            line = commands.next_line() => line?,
            () = over(&mut round) => {
                println!("{}", json!({ "done": true }));
                continue;
            }
        };
        let Some(line) = line else { break };
        match line.split_once(' ') {
            Some(("go", count)) => {
                let count: u64 = count.parse()?;
                left.store(if count == 0 { u64::MAX } else { count }, Ordering::Relaxed);
                let begin = callers.iter().cloned().flat_map(Caller::begin);
                round = Some(begin.collect());
            }
            _ if line == "stop" => left.store(0, Ordering::Relaxed),
            _ if line == "stats" => {
                for endpoint in &endpoints {
                    println!("{}", endpoint.stats());
                }
            }
            _ => eprintln!("`{line}` means nothing here"),
        }
    }
    for endpoint in &endpoints {
        endpoint.close().await;
    }
    Ok(())
}

/// Waits until all calls of the round have their outcomes.
async fn over(round: &mut Option<JoinSet<()>>) {
    match round {
        Some(running) => while running.join_next().await.is_some() {},
        None => std::future::pending().await,
    }
    *round = None;
}

impl Caller {
    /// Calls until the way is known: round trips measured, tables filled.
    async fn warm_up(&self) -> Result<(), CallError> {
        for number in 0..self.options.warm_up {
            let call = self.node.call::<Value>("echo", (number,)).wait(Duration::from_secs(20));
            call.deadline(Duration::from_secs(25)).await?;
        }
        Ok(())
    }

    /// The tasks that make this node's calls.
    fn begin(self) -> Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> {
        match self.options.rate {
            Some(rate) => vec![Box::pin(self.at_rate(rate))],
            None => (0..self.options.in_flight)
                .map(|_| Box::pin(self.clone().one_by_one()) as _)
                .collect(),
        }
    }

    async fn one_by_one(self) {
        while self.take() {
            if !self.one().await {
                tokio::time::sleep(BREATH).await;
            }
        }
    }

    /// Begins calls by the clock, whatever became of those before.
    async fn at_rate(self, rate: u32) {
        let mut clock = tokio::time::interval(Duration::from_secs(1) / rate);
        clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut calls = JoinSet::<bool>::new();
        while self.take() {
            clock.tick().await;
            let caller = self.clone();
            calls.spawn(async move { caller.one().await });
            while calls.try_join_next().is_some() {}
        }
        calls.join_all().await;
    }

    /// Whether there is a call left to be made.
    fn take(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Makes a call and prints its outcome. Returns whether it succeeded.
    async fn one(&self) -> bool {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let key = format!("{}-{number}", self.node.name());
        let asked = Instant::now();
        let outcome = self.call(&key, number).await;
        let ms = asked.elapsed().as_secs_f64() * 1000.0;
        let at_ms = asked.duration_since(self.began).as_secs_f64() * 1000.0;
        let mut line = json!({ "key": key, "at_ms": at_ms, "ms": ms });
        match outcome {
            Ok(right) => line["ok"] = right.into(),
            Err(error) => {
                line["error"] = error.code.name().into();
                line["executed"] = error.executed.to_string().into();
                line["message"] = error.message.clone().into();
                if let Some(after) = error.retry_after {
                    line["retry_ms"] = (after.as_secs_f64() * 1000.0).into();
                }
            }
        }
        println!("{line}");
        line["error"].is_null()
    }

    /// Whether the right answer came.
    async fn call(&self, key: &str, number: u64) -> Result<bool, CallError> {
        let ms = self.options.ms;
        let mixed = self.options.function == Function::Mixed;
        let back: String = match self.options.function {
            Function::Work => self.options(self.node.call("work", (key, ms))).await,
            Function::Slow => self.options(self.node.call("slow", (key, ms))).await,
            Function::Hold => {
                let hold = number.is_multiple_of(2);
                let held: u64 = self.options(self.node.call("hold", (hold,))).await?;
                return Ok((held > 0) == hold);
            }
            Function::Large => return self.echo(8_000_000).await,
            Function::Mixed if number % 16 == 15 => return self.echo(20_000 + number % 5000).await,
            _ if mixed && number % 4 == 3 => return self.echo(number % 1000).await,
            _ => self.options(self.node.call("increment", (key,))).await,
        }?;
        Ok(back == key)
    }

    /// A text of this length, there and back.
    async fn echo(&self, length: u64) -> Result<bool, CallError> {
        let text = "e".repeat(usize::try_from(length).unwrap_or_default());
        let back: String = self.options(self.node.call("echo", (&text,))).await?;
        Ok(back == text)
    }

    fn options<T>(&self, call: lanc::Call<T>) -> lanc::Call<T> {
        let call = call.deadline(Duration::from_millis(self.options.deadline_ms));
        match self.options.over {
            Over::Auto => call,
            Over::Tcp => call.over(Carrier::Connection),
        }
    }
}
