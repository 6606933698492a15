//! Opening a node as the settings say, and closing it again.

use std::time::Duration;

use lanc::ports::TransportError;
use lanc::{
    Config, ErrorCode, Interfaces, Node, OpenError, PeerInfo, TcpConfig, TcpTransport, UdpConfig,
    UdpTransport,
};

use crate::failure::Failure;
use crate::settings::Settings;
use crate::{keys, naming, remembered};

/// The name that stands for the loopback interface on every system.
const LOOPBACK: &str = "lo";

/// What to do where a peer that was named is not there.
pub(crate) const LOOK_FOR_PEERS: &str =
    "`lanc peers` lists who is there; start that node, or wait longer with --wait";

/// How long a verb that only asks waits for its farewell to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// Opens a node. `name` is for nodes that others should recognise; without it the node is named
/// after the host and some random digits.
///
/// # Errors
/// [`Failure`]: a setting makes no sense, or the network refuses.
pub(crate) async fn open(
    settings: &Settings,
    name: Option<&str>,
    config: Config,
) -> Result<Node, Failure> {
    let discovery = settings.discovery.unwrap_or(true);
    let udp = udp(settings);
    if settings.keys.all.is_empty() && !settings.open_on_public.unwrap_or(false) {
        keys::refuse_public(&udp)?;
    }
    let mut builder = lanc::builder()
        .config(config.with_discovery(discovery))
        .transport(UdpTransport::new(udp))
        .transport(TcpTransport::new(tcp(settings)));
    if let Some(name) = name {
        naming::check_node(name).map_err(|(text, next)| Failure::usage(text, next))?;
        builder = builder.name(name);
    }
    // Those that are configured first: there is an end to how many a node takes.
    for endpoint in settings.endpoints()?.into_iter().chain(remembered::endpoints(settings)) {
        builder = builder.peer(endpoint);
    }
    if settings.compress.unwrap_or(false) {
        builder = lanc::compressing(builder);
    }
    for key in settings.keys.groups() {
        builder = builder.key(key);
    }
    builder.open().await.map_err(failure)
}

/// Where nodes are found, and where this one is.
pub(crate) fn udp(settings: &Settings) -> UdpConfig {
    let mut udp = UdpConfig::default()
        .with_port(settings.port.unwrap_or(UdpConfig::PORT))
        .with_interfaces(interfaces(settings.iface.as_deref()))
        .with_discovery(settings.discovery.unwrap_or(true));
    if let Some(port) = settings.private_port {
        udp = udp.with_private_port(port);
    }
    if let Some(address) = settings.bind {
        udp = udp.with_bind(address);
    }
    udp
}

/// Large calls arrive at the same address and port, if those are settled.
fn tcp(settings: &Settings) -> TcpConfig {
    let tcp = lanc::tcp_on(&interfaces(settings.iface.as_deref()))
        .with_port(settings.private_port.unwrap_or(0));
    match settings.bind {
        Some(address) => tcp.with_bind(address),
        None => tcp,
    }
}

/// Waits for farewells to leave, but not for long: nothing runs on this node.
pub(crate) async fn close(node: &Node) {
    if tokio::time::timeout(FAREWELL, node.shutdown()).await.is_err() {
        tracing::warn!("the farewell took too long and was given up");
    }
}

/// Says farewell and no more: what runs is cut off.
pub(crate) async fn cut_off(node: &Node) {
    if tokio::time::timeout(FAREWELL, node.close_now()).await.is_err() {
        tracing::warn!("the farewell took too long and was given up");
    }
}

/// The peer a person means, as the core finds it: by name (the one heard of last if several share
/// it), address, or the first digits of its session.
pub(crate) fn find_peer<'p>(peers: &'p [PeerInfo], text: &str) -> Option<&'p PeerInfo> {
    let by_name = peers.iter().filter(|peer| peer.name == text);
    by_name.min_by_key(|peer| peer.known_for).or_else(|| {
        peers.iter().find(|peer| {
            let session =
                text.len() >= naming::DIGITS && peer.session.to_string().starts_with(text);
            session || peer.endpoint.to_string() == text || peer.endpoint.address() == text
        })
    })
}

fn interfaces(names: Option<&[String]>) -> Interfaces {
    match names {
        None | Some([]) => Interfaces::Auto,
        Some(names) if names.iter().all(|name| name == LOOPBACK) => Interfaces::Loopback,
        Some(names) => Interfaces::Named(names.to_vec()),
    }
}

/// A transport that could not be opened.
pub(crate) fn refused(error: TransportError) -> Failure {
    failure(OpenError::Transport(error))
}

fn failure(error: OpenError) -> Failure {
    let message = error.to_string();
    match error {
        OpenError::Config(_) => {
            Failure::usage(message, "correct the option, LANC_* variable or configuration file")
        }
        OpenError::Transport(TransportError::NoInterface { .. }) => {
            Failure::usage(message, "choose one of them with --iface, or leave the option out")
        }
        OpenError::Transport(_) => Failure::before_call(ErrorCode::NETWORK, message),
        _ => Failure::before_call(ErrorCode::INTERNAL, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lo_is_loopback_wherever_it_runs() {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(interfaces(None), Interfaces::Auto);
        assert_eq!(interfaces(Some(&[])), Interfaces::Auto);
        assert_eq!(interfaces(Some(&names(&["lo"]))), Interfaces::Loopback);
        assert_eq!(interfaces(Some(&names(&["lo", "lo"]))), Interfaces::Loopback);
        let both = names(&["lo", "eth0"]);
        assert_eq!(interfaces(Some(&both)), Interfaces::Named(both.clone()));
    }
}
