//! `lanc serve`.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use lanc::{Config, Event, Node};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::args::ServeArgs;
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::program::{self, Program};
use crate::remembered::Remembering;
use crate::settings::Settings;
use crate::signals::Interrupts;
use crate::{demo_functions, escape, exit, keys, local, naming, network, news, output};

/// How long running functions may take to finish once the server is told to end.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until it is told to end; returns the exit code.
///
/// # Errors
/// [`Failure`] before it serves, or when it was ended a second time.
pub(crate) async fn run(args: ServeArgs, settings: &Settings) -> Result<u8, Failure> {
    let programs = programs(&args)?;
    let name = args.name.as_deref().or(settings.name.as_deref());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut interrupts = Interrupts::listen()?;
    let metrics = match args.metrics {
        Some(address) => Some(Metrics::bind(address).await?),
        None => None,
    };
    // The node itself would cut off what still runs, and not say how much.
    let config = Config::default().with_workers(cores).with_drain(GRACE * 2);
    let node = network::open(settings, name, config).await?;
    let told = local::tell(&node, settings.keys.are_stored);
    if args.demo {
        demo_functions::register(&node).map_err(|error| not_registered("--demo", error))?;
    }
    for (name, program) in programs {
        register(&node, name, program)?;
    }
    if node.functions().is_empty() {
        tracing::warn!("no functions are offered: add --demo or --cmd");
    }
    output::note(&keys::mode(&node));
    let metrics = metrics.map(|metrics| serve_metrics(&node, metrics));
    let news = tokio::spawn(tell(&node));
    let address = node.endpoints().first().map(|endpoint| endpoint.address()).unwrap_or_default();
    output::line(&format!("ready {address}"))?;
    let remembering = Remembering::of(&node, settings);
    let was_told = tokio::select! {
        () = interrupts.next() => true,
        () = node.run_forever() => false,
    };
    if was_told {
        tracing::info!("going down: running functions may finish; interrupt again to exit at once");
    }
    if let Some(remembering) = remembering {
        remembering.end().await;
    }
    let ended = end(&node, &mut interrupts, was_told).await;
    news.abort();
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    if let Some(told) = told {
        told.end().await;
    }
    ended
}

/// Lets what runs finish, until its time is up or somebody says so; returns the exit code.
async fn end(node: &Node, interrupts: &mut Interrupts, was_told: bool) -> Result<u8, Failure> {
    tokio::select! {
        () = node.shutdown() => if was_told { Ok(exit::OK) } else { Err(broken()) },
        () = tokio::time::sleep(GRACE) => {
            warn_of_cut_off(node);
            network::cut_off(node).await;
            // Whoever told it to end has what was asked for.
            Ok(exit::OK)
        }
        () = interrupts.next() => {
            // Its peers need not wait for answers that do not come.
            tokio::select! {
                () = network::cut_off(node) => {}
                () = interrupts.next() => {}
            }
            let executed = lanc::Executed::Maybe;
            Err(Failure::interrupted("running functions were cut off", executed))
        }
    }
}

fn warn_of_cut_off(node: &Node) {
    let functions = match node.stats().tables.get("running").copied().unwrap_or_default() {
        0 => return,
        1 => "1 function that did not finish is".to_owned(),
        count => format!("{count} functions that did not finish are"),
    };
    tracing::warn!("{functions} cut off; their callers hear `lost`");
}

/// Nobody had told the node to close.
fn broken() -> Failure {
    let text = "the node has closed by itself, and functions that ran were cut off";
    let failure = Failure::before_call(lanc::ErrorCode::INTERNAL, text);
    failure.executed(lanc::Executed::Maybe).hint("start it again")
}

/// The programs that the options name, each with its function.
fn programs(args: &ServeArgs) -> Result<Vec<(&str, Program)>, Failure> {
    let programs = args.cmd.iter().map(|option| program::parse(option));
    let programs: Vec<_> = programs.collect::<Result<_, _>>().map_err(|text| {
        Failure::usage(format!("--cmd: {text}"), "see the examples in `lanc serve --help`")
    })?;
    let demo: &[&str] = if args.demo { &demo_functions::NAMES } else { &[] };
    refuse_twice(programs.iter().map(|(name, _)| *name), demo)?;
    for (name, program) in &programs {
        let refused = |(text, next)| Failure::usage(format!("--cmd {name}: {text}"), next);
        naming::check_function(name).map_err(refused)?;
        program.check().map_err(refused)?;
        if let Some(word) = program.stray_braces() {
            let meant = "goes to the program as it is: write {0} or {name} for an argument";
            tracing::warn!("--cmd {name}: `{}` {meant}", escape::line(word));
        }
    }
    Ok(programs)
}

/// Of two functions under one name the first would never be called.
fn refuse_twice<'n>(names: impl Iterator<Item = &'n str>, demo: &[&str]) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for name in names {
        let text = if demo.contains(&name) {
            format!("--cmd {name}: --demo offers a function `{name}` already")
        } else if !seen.insert(name) {
            format!("--cmd: two programs are to be the function `{name}`")
        } else {
            continue;
        };
        return Err(Failure::usage(text, "give each function a name of its own"));
    }
    Ok(())
}

/// Serves the node's statistics until the task is aborted.
fn serve_metrics(node: &Node, metrics: Metrics) -> JoinHandle<Infallible> {
    tracing::info!("metrics at {}", metrics.url());
    if metrics.is_exposed() {
        tracing::warn!("anyone who reaches this machine can read the metrics");
    }
    let node = node.clone();
    tokio::spawn(metrics.serve(move || node.stats().prometheus()))
}

fn register(node: &Node, name: &str, program: Program) -> Result<(), Failure> {
    let registration = node.handler(name, Arc::new(program));
    registration.register().map_err(|error| not_registered(&format!("--cmd {name}"), error))
}

fn not_registered(option: &str, error: lanc::RegisterError) -> Failure {
    Failure::usage(format!("{option}: {error}"), "choose another name for the function")
}

/// Logs the node's news, and first who was met before anybody listened to them.
fn tell(node: &Node) -> impl Future<Output = ()> + use<> {
    let mut events = node.events();
    let mut met = node.peers();
    async move {
        for peer in &met {
            news::log_met(&peer.name, &peer.endpoint);
        }
        let mut pace = Pace::new(Instant::now());
        while let Some(event) = events.next().await {
            // The news of them may be among what comes first.
            let told = match &event {
                Event::PeerUp { session, .. } | Event::PeerDown { session, .. } => {
                    met.iter().position(|peer| peer.session == *session)
                }
                _ => None,
            };
            if let Some(place) = told {
                met.swap_remove(place);
            }
            if told.is_some() && matches!(event, Event::PeerUp { .. }) {
                continue;
            }
            // Whoever sends enough hellos causes any number of these.
            let (may, left_out) = match &event {
                Event::PeerUp { .. }
                | Event::PeerDown { .. }
                | Event::FunctionConflict { .. }
                | Event::Unreachable { .. } => pace.next(Instant::now()),
                _ => (true, 0),
            };
            if left_out > 0 {
                tracing::warn!("{left_out} more came, went or could not be reached: not logged");
            }
            if may {
                news::log(&event);
            }
        }
    }
}
