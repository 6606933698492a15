//! What a call costs: a server and a client on loopback, the same over bare sockets as the floor
//! to stand on, and a table of both. `docs/performance.md` says how to read it.

mod allocations;
mod args;
mod attend;
mod client;
mod floor;
mod load;
mod measure;
mod node;
mod process;
mod scale;
mod server;
mod table;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Options, RuntimeKind, Verb};

/// What can go wrong; the text is for the person at the terminal.
type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lanc-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(Cli { options, verb }: Cli) -> Fallible<()> {
    if options.count_allocations && allocations::total().is_none() {
        return Err("--count-allocations needs a build with `--features count-allocations`".into());
    }
    match verb {
        Verb::BenchServer { pooled } => {
            runtime(options.runtime)?.block_on(server::run(&options, pooled))
        }
        Verb::BenchClient { address, load } => {
            runtime(options.runtime)?.block_on(client::run(&options, address, load))
        }
        Verb::FloorServer { kind } => floor::server(kind, &runtime(options.runtime)?),
        Verb::FloorClient { kind, address, load } => {
            floor::client(kind, &runtime(options.runtime)?, address, load, &options)
        }
        Verb::Table(wanted) => table::run(&wanted, &options),
        Verb::Scale { svg } => scale::run(svg.as_deref()),
    }
}

fn runtime(kind: RuntimeKind) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match kind {
        RuntimeKind::Current => tokio::runtime::Builder::new_current_thread(),
        RuntimeKind::Multi => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}

impl Options {
    /// Prints the one line a client ends with.
    fn print(&self, report: &measure::Report) -> Fallible<()> {
        let report = if self.count_allocations { report } else { &report.without_allocations() };
        println!("{}", serde_json::to_string(report)?);
        Ok(())
    }
}
