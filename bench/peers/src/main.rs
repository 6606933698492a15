//! The calls of `lanc-bench`, made by others: `add` of two integers and `echo` of bytes, between two
//! processes on 127.0.0.1. `lanc-bench table --peers` builds this and measures it beside LANC, in
//! the same rounds and by the same code.

#[path = "../../src/allocations.rs"]
#[allow(dead_code, reason = "shared with lanc-bench, which counts")]
mod allocations;
#[path = "../../src/attend.rs"]
mod attend;
mod kinds;
#[path = "../../src/load.rs"]
mod load;
#[path = "../../src/measure.rs"]
mod measure;
#[path = "../../src/process.rs"]
mod process;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use kinds::Kind;
use load::Load;
use measure::Report;

/// What can go wrong; the text is for the person at the terminal.
type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Parser)]
#[command(name = "lanc-bench-peers", version)]
struct Cli {
    /// tokio's runtime: one thread, or one for each core.
    #[arg(long, value_enum, default_value_t = RuntimeKind::Multi)]
    runtime: RuntimeKind,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Copy, ValueEnum)]
enum RuntimeKind {
    Current,
    Multi,
}

#[derive(Subcommand)]
enum Verb {
    /// Serves on 127.0.0.1, prints `ADDR <address>`, ends when its input does. Prints `SKIP <why>`
    /// and ends where it needs a program that is not installed.
    PeerServer { kind: Kind },
    /// Calls such a server; prints `START` when it has warmed up, then one line of JSON.
    PeerClient {
        kind: Kind,
        /// What the server printed.
        address: String,
        #[command(flatten)]
        load: Load,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lanc-bench-peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(Cli { runtime: kind, verb }: Cli) -> Fallible<()> {
    let runtime = runtime(kind)?;
    match verb {
        Verb::PeerServer { kind } => runtime.block_on(kind.serve()),
        Verb::PeerClient { kind, address, load } => {
            let report: Report = runtime.block_on(kind.measure(&address, load))?;
            println!("{}", serde_json::to_string(&report.without_allocations())?);
            Ok(())
        }
    }
}

fn runtime(kind: RuntimeKind) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match kind {
        RuntimeKind::Current => tokio::runtime::Builder::new_current_thread(),
        RuntimeKind::Multi => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}
