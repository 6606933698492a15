//! The callee.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use lanc::{Config, Context, Node};
use serde_json::Value;

use crate::ledger::Ledger;
use crate::{Common, Endpoint, commands};

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Where every start is written down.
    #[arg(long)]
    ledger: PathBuf,
    /// Functions that run at once.
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

pub(crate) async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let ledger = Ledger::open(&options.ledger)?;
    let config = Config::default().with_workers(options.workers);
    let endpoint = Endpoint::open(&options.common, &options.common.name, config).await?;
    register(&endpoint.node, &ledger)?;
    let address = endpoint.node.endpoints().first().map(|own| own.address()).unwrap_or_default();
    println!("ready {address}");
    let mut commands = commands();
    while let Some(line) = commands.next_line().await? {
        match line.as_str() {
            "stats" => println!("{}", endpoint.stats()),
            other => eprintln!("`{other}` means nothing here"),
        }
    }
    endpoint.close().await;
    Ok(())
}

/// `increment`, `work` and `slow` take a key, and return it.
fn register(node: &Node, ledger: &Ledger) -> Result<(), lanc::RegisterError> {
    let starts = ledger.clone();
    node.register("increment", move |ctx: Context, key: String| {
        starts.start(&ctx, &key).map(|()| key)
    })?;
    let starts = ledger.clone();
    // Keeps a worker busy.
    node.register("work", move |ctx: Context, key: String, ms: u64| {
        starts.start(&ctx, &key)?;
        std::thread::sleep(Duration::from_millis(ms));
        Ok::<_, String>(key)
    })?;
    let starts = ledger.clone();
    // Takes its time and keeps nobody busy.
    node.register("slow", move |ctx: Context, key: String, ms: u64| {
        let started = starts.start(&ctx, &key);
        async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            started.map(|()| key)
        }
    })?;
    node.register("echo", |value: Value| value)?;
    let held = Mutex::new(Vec::new());
    // Takes every descriptor that the system gives, or all of them back.
    node.register("hold", move |hold: bool| {
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clear();
        held.extend(std::iter::from_fn(|| File::open("/dev/null").ok()).take_while(|_| hold));
        held.len()
    })
}
