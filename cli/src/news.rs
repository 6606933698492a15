//! The news of a serving node in words, for its log.

use lanc::{Endpoint, ErrorCode, Event, PeerDownReason};
use tracing::Level;

use crate::escape;

/// Logs a peer that was met before anybody listened to the news.
pub(crate) fn log_met(name: &str, endpoint: &Endpoint) {
    write(Level::INFO, &met(name, endpoint));
}

/// Logs an event.
pub(crate) fn log(event: &Event) {
    if let Some((level, words)) = told(event) {
        write(level, &words);
    }
}

fn write(level: Level, words: &str) {
    match level {
        Level::WARN => tracing::warn!("{words}"),
        Level::INFO => tracing::info!("{words}"),
        _ => tracing::debug!("{words}"),
    }
}

fn met(name: &str, endpoint: &Endpoint) -> String {
    format!("{} is here, at {}", escape::line(name), endpoint.address())
}

/// `None`: somebody else has told it.
fn told(event: &Event) -> Option<(Level, String)> {
    Some(match event {
        Event::PeerUp { .. }
        | Event::PeerVerified { .. }
        | Event::PeerDown { .. }
        | Event::FunctionUp { .. }
        | Event::FunctionDown { .. }
        | Event::FunctionConflict { .. }
        | Event::LateAnswer { .. } => of_peers(event)?,
        // The transport has said so, with advice.
        Event::LimitHit { limit: "receive_buffer" | "send_buffer" } => return None,
        Event::LimitHit { limit } => (Level::WARN, format!("the limit {limit} was reached")),
        Event::RateLimited { endpoint } => {
            let words = "strangers send too much and are not heard";
            (Level::WARN, format!("{words}, {endpoint} among them"))
        }
        Event::SlowPeer { endpoint } => {
            let words = "does not take what is sent to it: its connection was closed";
            (Level::WARN, format!("{endpoint} {words}"))
        }
        Event::SendBufferFull => {
            (Level::WARN, "the system's send buffer is full: sending waits".to_owned())
        }
        Event::KernelDrops { count } => {
            (Level::WARN, format!("the system dropped {count} datagrams: they came too fast"))
        }
        Event::InterfacesChanged => (Level::DEBUG, "the network interfaces changed".to_owned()),
        Event::Unreachable { endpoint, reason } => {
            let (error, reason) = (ErrorCode::NETWORK, escape::line(reason));
            (Level::WARN, format!("{error}: {endpoint} cannot be reached: {reason}"))
        }
        Event::IncompatibleVersion { endpoint } => {
            (Level::WARN, format!("{endpoint} speaks another major version"))
        }
        Event::ForeignGroup { key, endpoint } => {
            let words = format!("has a key that this node does not hold, {key}: not heard");
            (Level::WARN, format!("{endpoint} {words}"))
        }
        Event::PlaintextRefused { endpoint } => {
            let words = "speaks without a key, and this node has one: not heard";
            (Level::WARN, format!("{endpoint} {words}"))
        }
        Event::KeyWorn { key } => {
            let words = "has been attacked very often: see `lanc key rotate --help`";
            (Level::WARN, format!("key {key} {words}"))
        }
        Event::SlowFunction { function, took_us } => {
            let function = escape::line(function);
            let words = format!("took {took_us} us, too long for a short one: it runs on a worker");
            (Level::DEBUG, format!("`{function}` {words}"))
        }
        Event::Closed => (Level::DEBUG, "the node has said farewell".to_owned()),
        other => (Level::DEBUG, format!("{other:?}")),
    })
}

/// Who comes and goes, what they offer, what they answer.
fn of_peers(event: &Event) -> Option<(Level, String)> {
    Some(match event {
        Event::PeerUp { name, endpoint, .. } => (Level::INFO, met(name, endpoint)),
        Event::PeerVerified { name, .. } => {
            (Level::DEBUG, format!("{} has proved its address", escape::line(name)))
        }
        Event::PeerDown { name, reason, .. } => {
            (Level::INFO, format!("{} is gone: {}", escape::line(name), why(*reason)))
        }
        Event::FunctionUp { function, peer } => {
            let (function, peer) = (escape::line(function), escape::line(peer));
            (Level::DEBUG, format!("{peer} offers `{function}`"))
        }
        Event::FunctionDown { function, peer } => {
            let (function, peer) = (escape::line(function), escape::line(peer));
            (Level::DEBUG, format!("{peer} offers `{function}` no more"))
        }
        Event::FunctionConflict { function, peer, providers } => {
            let (function, peer) = (escape::line(function), escape::line(peer));
            let words = format!("{providers} nodes do, and calls go to the latest");
            (Level::WARN, format!("{peer} offers `{function}` too: {words}"))
        }
        Event::LateAnswer { call, function, peer, executed } => {
            let (function, peer) = (escape::line(function), escape::line(peer));
            let words =
                format!("answered call {call} after it had failed here; it ran: {executed}");
            (Level::INFO, format!("`{function}` of {peer} has {words}"))
        }
        _ => return None,
    })
}

fn why(reason: PeerDownReason) -> &'static str {
    match reason {
        PeerDownReason::Left => "it said farewell",
        PeerDownReason::Expired => "it was not heard any more",
        PeerDownReason::Restarted => "another node answers in its place",
        PeerDownReason::Disconnected => "its connection was closed",
        PeerDownReason::Evicted => "its place was needed, and it had not proved its address",
        PeerDownReason::Gone => "its connection broke, its host refuses another, and it is silent",
        _ => "for a reason that has no words here yet",
    }
}

#[cfg(test)]
mod tests {
    use lanc::SessionId;

    use super::*;

    #[test]
    fn peers_and_functions_are_told_in_words() {
        let (name, session) = (|| "a\x1b".to_owned(), SessionId([1; 16]));
        let endpoint: Endpoint = "udp://127.0.0.1:9".parse().unwrap();
        let down = |reason| Event::PeerDown { session, name: name(), reason };
        let (function, peer) = (|| "f".to_owned(), || "a".to_owned());
        for (event, level, words) in [
            (
                Event::PeerUp { session, name: name(), endpoint },
                Level::INFO,
                "a\\u{1b} is here, at 127.0.0.1:9",
            ),
            (
                Event::PeerVerified { session, name: name() },
                Level::DEBUG,
                "a\\u{1b} has proved its address",
            ),
            (down(PeerDownReason::Left), Level::INFO, "a\\u{1b} is gone: it said farewell"),
            (
                Event::FunctionUp { function: function(), peer: peer() },
                Level::DEBUG,
                "a offers `f`",
            ),
            (
                Event::FunctionDown { function: function(), peer: peer() },
                Level::DEBUG,
                "a offers `f` no more",
            ),
            (Event::InterfacesChanged, Level::DEBUG, "the network interfaces changed"),
        ] {
            assert_eq!(told(&event), Some((level, words.to_owned())));
        }
        assert_eq!(told(&Event::LimitHit { limit: "send_buffer" }), None);
    }
}
