//! Advice for a call that failed, of what this node knows of the others.

use lanc::{Config, ErrorCode, Executed, FunctionInfo, Node, PeerInfo};

use crate::args::CallArgs;
use crate::failure::Failure;
use crate::{duration, keys, network, suggest, usage, values};

/// Adds who was heard with another key, the nearest known name where a name was not found, and
/// commands that can be run as they stand.
pub(crate) fn explained(node: &Node, args: &CallArgs, failure: Failure) -> Failure {
    let (peers, functions) = (node.peers(), node.functions());
    let failure = match failure.code() {
        Some(ErrorCode::NO_PROVIDER | ErrorCode::NOT_FOUND) => failure,
        Some(ErrorCode::TIMEOUT) => match late(args, failure, &peers, &functions) {
            Late::Slow(failure) => return failure,
            Late::NotThere(failure) => failure,
        },
        Some(ErrorCode::INVALID_ARGUMENTS) => return called_so(args, failure),
        _ => return failure,
    };
    let Some(on) = &args.on else {
        let failure = keys::explain(node, failure);
        let known = functions.iter().map(|function| function.name.as_str());
        return hinted(failure, "", suggest::nearest(&args.name, known));
    };
    let Some(peer) = network::find_peer(&peers, on) else {
        let failure = keys::explain(node, failure.next(network::LOOK_FOR_PEERS));
        let known = peers.iter().map(|peer| peer.name.as_str());
        return hinted(failure, "--on ", suggest::nearest(on, known));
    };
    let failure = keys::explain(node, failure);
    let offered = functions.iter().filter(|function| function.providers.contains(&peer.name));
    let known = offered.map(|function| function.name.as_str());
    hinted(failure, "", suggest::nearest(&args.name, known))
}

enum Late {
    /// There is a provider, or nobody can tell.
    Slow(Failure),
    /// There was none.
    NotThere(Failure),
}

/// What can be done about a call whose time is up.
fn late(args: &CallArgs, failure: Failure, peers: &[PeerInfo], all: &[FunctionInfo]) -> Late {
    let offers = all.iter().find(|function| function.name == args.name);
    let is_offered = offers.is_some_and(|function| !function.providers.is_empty());
    if failure.ran() == Executed::No && !is_offered {
        let failure = failure.next("check that a node offers it: `lanc functions`");
        let timeout = args.timeout.unwrap_or(Config::default().call_deadline());
        return Late::NotThere(match args.wait.filter(|wait| *wait > timeout) {
            Some(wait) => {
                let (wait, timeout) = (duration::show(wait), duration::show(timeout));
                let hint =
                    format!("--timeout ({timeout}) ended it before --wait ({wait}) was over");
                failure.hint(&hint)
            }
            None => failure,
        });
    }
    let named = silent_peer(failure.message()).or(args.on.as_deref());
    let named = named.filter(|name| network::find_peer(peers, name).is_some());
    let next = match named.and_then(|name| shlex::try_quote(name).ok()) {
        Some(name) => {
            format!("allow more time by --timeout, or see whether it is alive: `lanc ping {name}`")
        }
        None => "allow more time by --timeout, or see who offers it: `lanc functions`".to_owned(),
    };
    Late::Slow(failure.next(next))
}

/// The peer that a message says there was no answer from.
fn silent_peer(message: &str) -> Option<&str> {
    let (_, name) = message.split_once("without an answer from `")?;
    name.strip_suffix('`')
}

/// Says how the function is called, where the provider has told, and what a `=` makes of a word
/// where named arguments were the mistake.
fn called_so(args: &CallArgs, failure: Failure) -> Failure {
    let is_about_names = ["named argument", "there is no argument `"];
    let is_about_names = is_about_names.iter().any(|part| failure.message().contains(part));
    let failure = match usage::read(failure.message()) {
        Some(words) => {
            let function = shlex::try_quote(&args.name).unwrap_or_default();
            failure.next(format!("call it so: `lanc call {function}{words}`"))
        }
        None => failure,
    };
    match values::names(&args.args).next() {
        Some(name) if is_about_names => failure.hint(&format!(
            "`{name}=` makes a named argument; text that has a `=` goes behind `--`"
        )),
        _ => failure,
    }
}

fn hinted(failure: Failure, option: &str, near: Option<&str>) -> Failure {
    match near {
        Some(near) => failure.hint(&format!("did you mean `{option}{near}`?")),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_who_is_silent() {
        for (message, name) in [
            ("the deadline passed after 300 ms without an answer from `shop`", Some("shop")),
            ("after 300 ms without an answer from `a`b`", Some("a`b")),
            ("after 300 ms without an answer from any provider", None),
            ("after 300 ms while `f` had no provider", None),
        ] {
            assert_eq!(silent_peer(message), name, "{message}");
        }
    }
}
