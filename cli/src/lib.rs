//! The `lanc` command: functions of the local network at a shell.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]
// They panic where the stream cannot be written, on a full disk say: `output` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod args;
mod as_json;
mod call;
#[cfg(unix)]
mod control;
mod demo;
mod demo_functions;
mod duration;
mod escape;
mod exit;
mod failure;
#[doc(hidden)]
pub mod fuzz;
#[cfg(unix)]
mod jobs;
#[cfg(not(unix))]
#[path = "no_jobs.rs"]
mod jobs;
mod key;
mod keys;
mod listing;
#[cfg(unix)]
mod local;
#[cfg(not(unix))]
#[path = "no_local.rs"]
mod local;
mod logging;
mod manual;
mod metrics;
mod naming;
mod network;
mod news;
mod output;
mod pace;
mod pair;
mod ping;
mod program;
mod remembered;
mod serve;
mod settings;
mod signals;
mod stats;
mod suggest;
mod table;
#[cfg(test)]
mod test_folder;
mod top;
mod usage;
mod values;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use lanc::ErrorCode;

use args::{Cli, NetworkArgs, OutputArgs, Verb};
use failure::Failure;
use settings::Settings;

/// Runs the command with this process's arguments; returns its exit code.
pub fn main() -> ExitCode {
    // No verb for people: it is in no help, no completion and no manual page.
    if std::env::args_os().skip(1).eq([jobs::BACKGROUND]) {
        return ended(jobs::background(), false, true);
    }
    let Cli { verb, network, output } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            let as_json = args::want_json(std::env::args_os().skip(1));
            return ended(output::told(&told, as_json), as_json, false);
        }
    };
    let (as_json, calls) = (output.json, calls_a_function(&verb));
    let code = ended(run(verb, &network, &output), as_json, calls);
    logging::flush();
    code
}

/// Whether whoever uses the verb wants to know if a function ran.
fn calls_a_function(verb: &Verb) -> bool {
    use Verb::{Call, Cancel, Demo, Get, Join};
    matches!(verb, Call(_) | Join(_) | Get(_) | Cancel(_) | Demo)
}

fn ended(outcome: Result<u8, Failure>, as_json: bool, calls: bool) -> ExitCode {
    match outcome {
        Ok(code) => code.into(),
        Err(failure) => {
            failure.report(as_json, calls);
            failure.exit_code().into()
        }
    }
}

fn run(verb: Verb, network: &NetworkArgs, output: &OutputArgs) -> Result<u8, Failure> {
    match &verb {
        Verb::Completions { shell } => return manual::completions(*shell),
        Verb::Man { verb } => return manual::page(verb),
        _ => {}
    }
    // A line of the log would be written into the picture.
    if !matches!(verb, Verb::Top(_)) || !std::io::stderr().is_terminal() {
        logging::start(output, matches!(verb, Verb::Serve(_)))?;
        if others_wait_for(&verb) {
            logging::take_notes();
        }
    }
    let settings = settings::load(network)?;
    let settings = if opens_a_node(&verb) { settings.with_keys()? } else { settings };
    signals::check_room()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::before_call(ErrorCode::INTERNAL, format!("cannot start the runtime: {error}"))
    })?;
    let outcome = runtime.block_on(dispatch(verb, &settings, output.json));
    program::end_all();
    // A blocking function that still runs must not hold up the exit.
    runtime.shutdown_background();
    outcome.map_err(|failure| settings.advise(failure))
}

/// Whether it lives on for others, or to be looked at, after its first note.
fn others_wait_for(verb: &Verb) -> bool {
    matches!(verb, Verb::Serve(_) | Verb::Top(_) | Verb::Pair(_))
}

fn opens_a_node(verb: &Verb) -> bool {
    use Verb::{Call, Functions, Peers, Ping, Serve, Top};
    matches!(verb, Serve(_) | Call(_) | Peers(_) | Functions(_) | Ping(_) | Top(_))
}

async fn dispatch(verb: Verb, settings: &Settings, as_json: bool) -> Result<u8, Failure> {
    match verb {
        Verb::Serve(args) => serve::run(args, settings).await,
        Verb::Call(args) => call::run(args, settings, as_json).await,
        Verb::Peers(args) => listing::peers(args, settings, as_json).await,
        Verb::Functions(args) => listing::functions(args, settings, as_json).await,
        Verb::Ping(args) => ping::run(args, settings, as_json).await,
        Verb::Stats(args) => stats::run(&args, as_json).await,
        Verb::Top(args) => top::run(args, settings, as_json).await,
        Verb::Key(verb) => key::run(verb, settings, as_json).await,
        Verb::Pair(args) => pair::run(args, settings, as_json).await,
        Verb::Demo => demo::run().await,
        Verb::Join(args) => jobs::join(&args, as_json).await,
        Verb::Get(args) => jobs::get(&args, as_json).await,
        Verb::Cancel(args) => jobs::cancel(&args, as_json).await,
        Verb::Jobs => jobs::list(as_json).await,
        // Need no settings: done before.
        Verb::Completions { .. } | Verb::Man { .. } => Ok(exit::OK),
    }
}
