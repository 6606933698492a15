//! Where a peer can be reached, and the links frames travel on.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// A dialable address: plain data, learnt from configuration or from a link that came up.
///
/// Written `SCHEME://ADDRESS` (`udp://192.168.1.4:40112`, `memory://3`). The scheme names the
/// transport that can dial it; the core compares and prints endpoints and never looks inside,
/// except for the IP address, which limits per host need.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    scheme: Box<str>,
    address: Address,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Address {
    Socket(SocketAddr),
    Text(Box<str>),
}

impl Endpoint {
    /// An endpoint that is an IP address and a port.
    pub fn socket(scheme: &str, address: SocketAddr) -> Self {
        Self { scheme: scheme.into(), address: Address::Socket(address) }
    }

    /// An endpoint whose address only its own transport understands.
    pub fn text(scheme: &str, address: &str) -> Self {
        Self { scheme: scheme.into(), address: Address::Text(address.into()) }
    }

    /// The name of the transport that dials it.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The socket address, if it is one.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self.address {
            Address::Socket(address) => Some(address),
            Address::Text(_) => None,
        }
    }

    /// The IP address, if it has one: the key of limits per host.
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket_addr().map(|address| address.ip())
    }

    /// The address without its scheme.
    pub fn address(&self) -> String {
        match &self.address {
            Address::Socket(address) => address.to_string(),
            Address::Text(text) => text.to_string(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Socket(address) => write!(f, "{}://{address}", self.scheme),
            Address::Text(text) => write!(f, "{}://{text}", self.scheme),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no endpoint.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is no endpoint: write ADDRESS:PORT or SCHEME://ADDRESS")]
pub struct ParseEndpointError(String);

impl FromStr for Endpoint {
    type Err = ParseEndpointError;

    /// Reads `SCHEME://ADDRESS`, or `ADDRESS:PORT` as UDP.
    fn from_str(text: &str) -> Result<Self, ParseEndpointError> {
        let bad = || ParseEndpointError(text.to_owned());
        let Some((scheme, address)) = text.split_once("://") else {
            return text.parse().map(|address| Self::socket("udp", address)).map_err(|_| bad());
        };
        if scheme.is_empty() || address.is_empty() || address.len() > 255 {
            return Err(bad());
        }
        Ok(match address.parse() {
            Ok(address) => Self::socket(scheme, address),
            Err(_) => Self::text(scheme, address),
        })
    }
}

/// Which of a node's transports: its place in the list the node was built with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Lane(pub u8);

/// What frames come from and go to: a remote address on UDP, a connection on TCP, a node
/// reachable through the tree.
///
/// The transport numbers its links from zero and uses a slot again, with another generation,
/// only after it has said [`LinkEvent::Down`](crate::ports::LinkEvent::Down).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId {
    /// The transport it belongs to.
    pub lane: Lane,
    /// Small number, unique among the lane's live links.
    pub slot: u32,
    /// How often the slot has been used before.
    pub generation: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_print_what_they_parse() {
        for text in ["udp://127.0.0.1:5127", "udp://[::1]:9", "memory://3", "tree://a.b/c"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        let plain: Endpoint = "10.0.0.1:80".parse().unwrap();
        assert_eq!(plain.to_string(), "udp://10.0.0.1:80");
        for bad in ["", "nonsense", "udp://", "://x", "10.0.0.1"] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
