//! `lanc ping`.

use std::time::Duration;

use lanc::{Config, ErrorCode, Executed, Node};
use serde_json::json;

use crate::args::PingArgs;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::signals::Interrupts;
use crate::{duration, escape, exit, keys, network, output, suggest};

/// The pause between two pings.
const PAUSE: Duration = Duration::from_millis(200);

/// Pings a peer; returns the exit code.
///
/// # Errors
/// `no_provider` when the peer is not found, `timeout` when it answers no ping at all.
pub(crate) async fn run(args: PingArgs, settings: &Settings, as_json: bool) -> Result<u8, Failure> {
    let mut config = Config::default();
    if let Some(wait) = args.wait {
        config = config.with_discovery_wait(wait);
    }
    let mut interrupts = Interrupts::listen()?;
    let node = network::open(settings, None, config).await?;
    let outcome = tokio::select! {
        outcome = ping(&node, &args, as_json) => outcome,
        () = interrupts.next() => {
            Err(Failure::interrupted("the pings were given up", Executed::No))
        }
    };
    network::close(&node).await;
    outcome
}

async fn ping(node: &Node, args: &PingArgs, as_json: bool) -> Result<u8, Failure> {
    appear(node, &args.whom).await;
    let (mut trips, mut last) = (Vec::new(), None);
    for number in 0..args.count {
        if number > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        match node.ping(&args.whom).await {
            Ok(trip) => {
                if !as_json {
                    let shown = duration::show(trip);
                    output::line(&format!("pong from {}: {shown}", escape::line(&args.whom)))?;
                }
                trips.push(trip);
            }
            Err(error) => {
                let is_unknown = error.code == ErrorCode::NO_PROVIDER;
                last = Some(unanswered(node, &args.whom, error.into()));
                if is_unknown {
                    break;
                }
            }
        }
    }
    let last = match last {
        Some(failure) if trips.is_empty() => return Err(failure),
        last => last,
    };
    let lost = usize::from(args.count) - trips.len();
    if as_json {
        let micros: Vec<_> =
            trips.iter().map(|trip| u64::try_from(trip.as_micros()).ok()).collect();
        let object = json!({ "peer": args.whom, "round_trips_us": micros, "lost": lost });
        output::line(&escape::json(&object))?;
    }
    match last {
        None => Ok(exit::OK),
        Some(_) => {
            let text = format!("{lost} of {} pings were not answered", args.count);
            let next = "check the network between here and there, and the load on both sides";
            Err(Failure::partial(text, next).executed(Executed::No))
        }
    }
}

/// Waits until the peer is known, or everybody has had the time to answer.
async fn appear(node: &Node, peer: &str) {
    let mut events = node.events();
    let known = async {
        while network::find_peer(&node.peers(), peer).is_none() {
            if events.next().await.is_none() {
                return;
            }
        }
    };
    tokio::select! {
        () = known => {}
        () = node.settled() => {}
    }
}

fn unanswered(node: &Node, peer: &str, failure: Failure) -> Failure {
    let peers = node.peers();
    if network::find_peer(&peers, peer).is_some() {
        return match failure.code() {
            // It is this that asks whether it is alive.
            Some(ErrorCode::TIMEOUT) => {
                failure.next("`lanc peers` lists who is heard, and when last")
            }
            _ => failure,
        };
    }
    let failure = keys::explain(node, failure.next(network::LOOK_FOR_PEERS));
    match suggest::nearest(peer, peers.iter().map(|peer| peer.name.as_str())) {
        Some(near) => failure.hint(&format!("did you mean `{near}`?")),
        None => failure,
    }
}
