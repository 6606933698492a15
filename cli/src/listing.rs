//! `lanc peers` and `lanc functions`: what is there.

use std::time::Duration;

use lanc::{Config, Dialect, ErrorCode, FunctionInfo, Node, PeerInfo, Trust};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::args::{FunctionsArgs, PeersArgs};
use crate::failure::Failure;
use crate::keys::Heard;
use crate::naming::Names;
use crate::settings::Settings;
use crate::values::{self, Style};
use crate::{duration, exit, keys, network, output, suggest, table};

/// How many peers are pinged for the list, and how long that may take.
const PINGED: usize = 64;
const PING_TIME: Duration = Duration::from_millis(500);

/// Everybody who is there says something meanwhile.
const LONG: Duration = Duration::from_secs(7);

/// Lists the peers.
///
/// # Errors
/// [`Failure`] before anything was listed.
pub(crate) async fn peers(
    args: PeersArgs,
    settings: &Settings,
    as_json: bool,
) -> Result<u8, Failure> {
    let node = settled(settings, args.wait).await?;
    measure(&node).await;
    let (peers, heard) = (node.peers(), keys::heard(&node));
    let mode = mode(&node);
    network::close(&node).await;
    if as_json {
        output::line(&values::show(&peers.iter().map(peer_object).collect(), Style::Json))?;
        return Ok(exit::OK);
    }
    output::note(&mode);
    if peers.is_empty() {
        nothing("no peers were heard", heard, "lanc peers", args.wait, settings);
    } else {
        let heading = ["NAME", "ADDRESS", "FUNCTIONS", "SEEN", "ROUND TRIP", "DIALECT", "TRUST"];
        let names = Names::of(&peers);
        let rows: Vec<_> = peers.iter().map(|peer| peer_row(peer, &names)).collect();
        output::bytes(table::render(heading, &rows).as_bytes())?;
    }
    Ok(exit::OK)
}

/// Lists the functions, or one of them.
///
/// # Errors
/// `no_provider` when the one that was asked for is not offered.
pub(crate) async fn functions(
    args: FunctionsArgs,
    settings: &Settings,
    as_json: bool,
) -> Result<u8, Failure> {
    let node = settled(settings, args.wait).await?;
    let (mut functions, heard) = (node.functions(), keys::heard(&node));
    let names = Names::of(&node.peers());
    network::close(&node).await;
    if let Some(name) = &args.name {
        let near = suggest::nearest(name, functions.iter().map(|f| f.name.as_str()));
        let near = near.map(str::to_owned);
        functions.retain(|function| function.name == *name);
        if functions.is_empty() {
            let text = format!("nobody here offers `{name}`");
            let failure = Failure::before_call(ErrorCode::NO_PROVIDER, text);
            let failure = match heard {
                Some(heard) => heard.explain(failure),
                None => failure,
            };
            return Err(match near {
                Some(near) => failure.hint(&format!("did you mean `{near}`?")),
                None => failure,
            });
        }
    }
    if as_json {
        output::line(&values::show(&functions.iter().map(function_object).collect(), Style::Json))?;
    } else if functions.is_empty() {
        nothing("no functions are offered", heard, "lanc functions", args.wait, settings);
    } else {
        let rows: Vec<_> = functions.iter().map(|f| function_row(f, &names)).collect();
        output::bytes(table::render(["NAME", "OFFERED BY"], &rows).as_bytes())?;
    }
    Ok(exit::OK)
}

/// A node that has listened for `wait`, or for as long as a call would.
async fn settled(settings: &Settings, wait: Option<Duration>) -> Result<Node, Failure> {
    let mut config = Config::default();
    if let Some(wait) = wait {
        config = config.with_discovery_wait(wait);
    }
    let node = network::open(settings, None, config).await?;
    node.settled().await;
    Ok(node)
}

/// Pings the peers whose round trip is not known yet; the results are in the peer table.
pub(crate) async fn measure(node: &Node) {
    let mut pings = JoinSet::new();
    for peer in node.peers().iter().filter(|peer| peer.round_trip.is_none()).take(PINGED) {
        let (node, session) = (node.clone(), peer.session.to_string());
        pings.spawn(async move { node.ping(&session).await });
    }
    let all = async { while pings.join_next().await.is_some() {} };
    // A peer that does not answer in time is listed without a round trip.
    let _ = tokio::time::timeout(PING_TIME, all).await;
}

/// An empty list is no error; why it may be empty is for people.
fn nothing(
    what: &str,
    heard: Option<Heard>,
    verb: &str,
    waited: Option<Duration>,
    settings: &Settings,
) {
    let reason = match heard {
        Some(heard) => format!("{}: {}", heard.what, heard.next),
        None => {
            let longer = match waited {
                Some(waited) if waited >= LONG => String::new(),
                _ => format!("listen longer (`{verb} --wait {}s`), ", LONG.as_secs()),
            };
            format!("start a node, {longer}or check --iface and --port on both machines")
        }
    };
    output::note(&settings.advice(&format!("{what}; {reason}\n")));
}

/// Whether this node has a key, and which.
fn mode(node: &Node) -> String {
    match node.keys().first() {
        Some(key) => format!("keyed: {}\n", key.id),
        None => "open: this node has no key\n".to_owned(),
    }
}

fn trust(peer: &PeerInfo) -> &'static str {
    match peer.trust {
        Trust::Tentative => "tentative",
        Trust::Verified => "verified",
    }
}

/// What a peer speaks, named after who speaks it.
fn dialect(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Native | Dialect::Lean => "native",
        Dialect::S0 => "0.1",
        Dialect::Published => "published",
    }
}

fn peer_row(peer: &PeerInfo, names: &Names) -> [String; 7] {
    [
        names.show(&peer.name, peer.session),
        peer.endpoint.address(),
        peer.functions.to_string(),
        format!("{} ago", duration::show(peer.silent_for)),
        peer.round_trip.map_or_else(|| "-".to_owned(), duration::show),
        dialect(peer.dialect).to_owned(),
        trust(peer).to_owned(),
    ]
}

fn peer_object(peer: &PeerInfo) -> Value {
    let round_trip = peer.round_trip.map(|trip| u64::try_from(trip.as_micros()).ok());
    json!({
        "name": peer.name,
        "session": peer.session.to_string(),
        "endpoint": peer.endpoint.to_string(),
        "functions": peer.functions,
        "seen_ms": u64::try_from(peer.silent_for.as_millis()).ok(),
        "round_trip_us": round_trip,
        "dialect": dialect(peer.dialect),
        "trust": trust(peer),
    })
}

fn function_row(function: &FunctionInfo, names: &Names) -> [String; 2] {
    let providers = function.providers.iter().zip(&function.sessions);
    let providers: Vec<_> = providers.map(|(name, session)| names.show(name, *session)).collect();
    [function.name.clone(), providers.join(", ")]
}

fn function_object(function: &FunctionInfo) -> Value {
    let sessions: Vec<_> = function.sessions.iter().map(ToString::to_string).collect();
    json!({
        "name": function.name,
        "providers": function.providers,
        "sessions": sessions,
        "idempotent": function.idempotent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_programs_are_told_apart() {
        let all = [Dialect::Native, Dialect::Lean, Dialect::S0, Dialect::Published];
        assert_eq!(all.map(dialect), ["native", "native", "0.1", "published"]);
    }
}
