//! Settings and where they come from. First wins: option, `LANC_*` variable, project
//! `lanc.toml`, user file, default.

mod advice;
pub(crate) mod environment;
pub(crate) mod explained;
pub(crate) mod file;
mod sources;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lanc::Endpoint;
use serde::{Deserialize, Serialize};

use crate::args::NetworkArgs;
use crate::failure::Failure;
use crate::keys::{Keying, Keys};
use crate::{escape, suggest};

pub(crate) use sources::load;

/// One layer of settings, or all layers merged. What is `None` is for a lower layer to say.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The shared discovery port.
    pub(crate) port: Option<u16>,
    /// Names of interfaces.
    pub(crate) iface: Option<Vec<String>>,
    /// Local address.
    pub(crate) bind: Option<IpAddr>,
    /// The port of this node alone: what peers on other segments must name.
    pub(crate) private_port: Option<u16>,
    /// Deadline of a call.
    pub(crate) timeout: Option<Duration>,
    /// The name under which `serve` appears.
    pub(crate) name: Option<String>,
    /// Whether to broadcast and listen.
    pub(crate) discovery: Option<bool>,
    /// Whether to compress.
    pub(crate) compress: Option<bool>,
    /// Peers to contact, by address or by a name of `peers`.
    pub(crate) peer: Option<Vec<String>>,
    /// Addresses of peers by name.
    #[serde(skip)]
    pub(crate) peers: BTreeMap<String, Endpoint>,
    /// Where the keys come from; the stored ones if nothing says so.
    #[serde(skip)]
    pub(crate) keying: Option<Keying>,
    /// Whether open mode may have an address of the internet.
    pub(crate) open_on_public: Option<bool>,
    /// The keys, once they are read: [`Settings::with_keys`].
    pub(crate) keys: Keys,
    /// The options of the network that were given, as they were typed.
    #[serde(default)]
    pub(crate) given: String,
}

impl Settings {
    /// This layer over a lower one: each setting is the upper layer's if that has it, lists
    /// whole; only the table of peers' names is joined name by name.
    #[must_use]
    pub(crate) fn over(self, lower: Self) -> Self {
        let mut peers = lower.peers;
        peers.extend(self.peers);
        Self {
            port: self.port.or(lower.port),
            iface: self.iface.or(lower.iface),
            bind: self.bind.or(lower.bind),
            private_port: self.private_port.or(lower.private_port),
            timeout: self.timeout.or(lower.timeout),
            name: self.name.or(lower.name),
            discovery: self.discovery.or(lower.discovery),
            compress: self.compress.or(lower.compress),
            peer: self.peer.or(lower.peer),
            peers,
            keying: self.keying.or(lower.keying),
            open_on_public: self.open_on_public.or(lower.open_on_public),
            keys: self.keys,
            given: if self.given.is_empty() { lower.given } else { self.given },
        }
    }

    /// The same settings with the keys that they name, read now: for a verb that opens a node.
    ///
    /// # Errors
    /// A key that is named or stored cannot be had.
    pub(crate) fn with_keys(self) -> Result<Self, Failure> {
        Ok(Self { keys: Keys::of(&self)?, ..self })
    }

    /// The layer of the command line's options.
    pub(crate) fn from_options(options: &NetworkArgs) -> Self {
        let list = |items: &Vec<String>| (!items.is_empty()).then(|| items.clone());
        Self {
            port: options.port,
            iface: list(&options.iface),
            bind: options.bind,
            private_port: options.private_port,
            discovery: options.no_discovery.then_some(false),
            compress: options.compress.then_some(true),
            peer: list(&options.peer),
            keying: keying(options),
            open_on_public: options.open_on_public.then_some(true),
            given: options.given(),
            ..Self::default()
        }
    }

    /// The endpoints of the peers to contact.
    ///
    /// # Errors
    /// A peer that is neither an address nor a known name.
    pub(crate) fn endpoints(&self) -> Result<Vec<Endpoint>, Failure> {
        let wanted = self.peer.iter().flatten();
        wanted.map(|peer| self.endpoint(peer)).collect()
    }

    /// The same settings with every peer by its address, and the keys that were read in place of
    /// where they come from: what another process needs to know.
    ///
    /// # Errors
    /// As [`Settings::endpoints`].
    pub(crate) fn resolved(&self) -> Result<Self, Failure> {
        let addresses = self.endpoints()?.iter().map(ToString::to_string).collect();
        let peer = Some(addresses);
        Ok(Self { peer, peers: BTreeMap::new(), keying: None, ..self.clone() })
    }

    fn endpoint(&self, peer: &str) -> Result<Endpoint, Failure> {
        if let Some(endpoint) = self.peers.get(peer) {
            return Ok(endpoint.clone());
        }
        endpoint(peer).map_err(|_| {
            let near = suggest::nearest(peer, self.peers.keys().map(String::as_str));
            let next = "write ADDR:PORT, or name it under [peers] in the configuration";
            let failure =
                Failure::usage(format!("peer `{peer}` is no address and no configured name"), next);
            match near {
                Some(near) => failure.hint(&format!("did you mean `{near}`?")),
                None => failure,
            }
        })
    }
}

fn keying(options: &NetworkArgs) -> Option<Keying> {
    if options.open {
        return Some(Keying::Open);
    }
    if options.passphrase {
        return Some(Keying::Passphrase(options.group.clone()));
    }
    options.key_file.clone().map(Keying::File)
}

/// Reads `ADDR:PORT`, with or without `udp://`: the only transport there is.
///
/// # Errors
/// Text for a person.
pub(crate) fn endpoint(text: &str) -> Result<Endpoint, String> {
    let advice = || format!("`{}` is no ADDR:PORT, 192.168.1.4:40112 say", escape::line(text));
    let endpoint: Endpoint = text.trim().parse().map_err(|_| advice())?;
    match endpoint.socket_addr() {
        Some(address) if endpoint.scheme() == "udp" && address.port() != 0 => Ok(endpoint),
        _ => Err(advice()),
    }
}

#[cfg(test)]
mod tests {
    use lanc::MasterKey;

    use super::*;

    fn full(mark: u16) -> Settings {
        let text = mark.to_string();
        Settings {
            port: Some(mark),
            iface: Some(vec![text.clone()]),
            bind: Some(format!("127.0.0.{mark}").parse().unwrap()),
            private_port: Some(mark),
            timeout: Some(Duration::from_secs(mark.into())),
            name: Some(text.clone()),
            discovery: Some(mark.is_multiple_of(2)),
            compress: Some(mark.is_multiple_of(2)),
            peer: Some(vec![text]),
            peers: [("s1".to_owned(), endpoint(&format!("10.0.0.{mark}:1")).unwrap())].into(),
            keying: Some(Keying::File(mark.to_string().into())),
            open_on_public: Some(mark.is_multiple_of(2)),
            keys: Keys::default(),
            given: format!("--port {mark}"),
        }
    }

    #[test]
    fn the_upper_layer_wins_in_every_setting() {
        let none = Settings::default();
        for (upper, lower, merged) in [
            (full(1), full(2), full(1)),
            (full(1), none.clone(), full(1)),
            (none.clone(), full(2), full(2)),
            (none.clone(), none.clone(), none),
        ] {
            assert_eq!(upper.over(lower), merged);
        }
    }

    #[test]
    fn settings_merge_one_by_one() {
        let upper = Settings { port: Some(9), ..Settings::default() };
        assert_eq!(upper.over(full(2)), Settings { port: Some(9), ..full(2) });
        let mut upper = Settings::default();
        upper.peers.insert("s2".to_owned(), endpoint("10.0.0.9:1").unwrap());
        let merged = upper.over(full(2));
        assert_eq!(merged.peers.keys().collect::<Vec<_>>(), ["s1", "s2"]);
    }

    #[test]
    fn peers_are_addresses_or_names() {
        let mut settings = full(3);
        settings.peer = Some(vec!["s1".into(), "127.0.0.1:99".into(), "[::1]:7".into()]);
        let texts: Vec<_> = settings.endpoints().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["udp://10.0.0.3:1", "udp://127.0.0.1:99", "udp://[::1]:7"]);
        for bad in ["s11", "127.0.0.1", "127.0.0.1:0", "tcp://127.0.0.1:1", "memory://3", ""] {
            settings.peer = Some(vec![bad.into()]);
            assert_eq!(settings.endpoints().unwrap_err().exit_code(), 2, "{bad}");
        }
        settings.peer = Some(vec!["s11".into()]);
        let text = settings.endpoints().unwrap_err().to_text(true);
        assert!(text.contains("did you mean `s1`?"), "{text}");
    }

    #[test]
    fn resolved_settings_survive_a_pipe() {
        let keys = Keys { all: vec![MasterKey::from_bytes(&[3; 32])], are_stored: true };
        let settings =
            Settings { peer: Some(vec!["s1".into(), "[::1]:7".into()]), keys, ..full(3) };
        let resolved = settings.resolved().unwrap();
        let text = serde_json::to_string(&resolved).unwrap();
        let back: Settings = serde_json::from_str(&text).unwrap();
        assert_eq!(back, resolved);
        assert_eq!(back.endpoints().unwrap(), settings.endpoints().unwrap());
        assert_eq!(
            Settings { peer: None, peers: full(3).peers, ..back },
            Settings { peer: None, keying: None, keys: settings.keys, ..full(3) }
        );
    }

    #[test]
    fn options_are_a_layer() {
        let options = NetworkArgs { iface: vec!["lo".into()], port: Some(7), ..Default::default() };
        let layer = Settings::from_options(&options);
        assert_eq!(layer.iface, Some(vec!["lo".to_owned()]));
        assert_eq!((layer.port, layer.discovery, layer.peer), (Some(7), None, None));
        assert_eq!((layer.keying, layer.open_on_public), (None, None));
        let keying = |options: NetworkArgs| Settings::from_options(&options).keying;
        let file = NetworkArgs { key_file: Some("k".into()), ..Default::default() };
        assert_eq!(keying(file), Some(Keying::File("k".into())));
        let typed = NetworkArgs { passphrase: true, group: "g".into(), ..Default::default() };
        assert_eq!(keying(typed), Some(Keying::Passphrase("g".to_owned())));
        let open = NetworkArgs { open: true, ..Default::default() };
        assert_eq!(keying(open), Some(Keying::Open));
        let options = NetworkArgs { no_discovery: true, ..Default::default() };
        assert_eq!(Settings::from_options(&options).discovery, Some(false));
        let options = NetworkArgs { compress: true, ..Default::default() };
        assert_eq!(Settings::from_options(&options).compress, Some(true));
        assert_eq!(layer.compress, None);
    }
}
