//! The layer of one TOML file.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::ops::Range;
use std::path::{Path, PathBuf};

use lanc::Endpoint;
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::DeTable;

use super::{Settings, explained};
use crate::failure::Failure;
use crate::keys::Keying;
use crate::{duration, suggest};

#[derive(Deserialize)]
struct Form {
    port: Option<NonZeroU16>,
    iface: Option<Vec<String>>,
    bind: Option<IpAddr>,
    private_port: Option<NonZeroU16>,
    #[serde(default, deserialize_with = "timeout")]
    timeout: Option<std::time::Duration>,
    name: Option<String>,
    discovery: Option<bool>,
    compress: Option<bool>,
    key_file: Option<PathBuf>,
    peer: Option<Vec<String>>,
    #[serde(default)]
    peers: BTreeMap<String, Address>,
}

struct Address(Endpoint);

/// Reads a file's text; `path` is told to people, and key files are named as seen from there.
///
/// # Errors
/// Broken TOML, an unknown key, or a value that makes no sense, with file and line.
pub(crate) fn layer(path: &str, text: &str) -> Result<Settings, Failure> {
    let at = |span: Option<Range<usize>>| format!("{path}:{}", line_of(text, span));
    let wrong = |error: toml::de::Error| {
        let message = format!("{}: {}", at(error.span()), error.message());
        Failure::usage(message, format!("mend that line; {}", keys()))
    };
    let table = DeTable::parse(text).map_err(wrong)?;
    if let Some(key) = unknown_key(table.get_ref()) {
        let message = format!("{}: unknown key `{}`", at(Some(key.span())), key.get_ref());
        let failure = Failure::usage(message, keys());
        return Err(match suggest::nearest(key.get_ref(), explained::keys()) {
            Some(near) => failure.hint(&format!("did you mean `{near}`?")),
            None => failure,
        });
    }
    let form: Form = toml::from_str(text).map_err(wrong)?;
    Ok(Settings {
        port: form.port.map(NonZeroU16::get),
        iface: form.iface,
        bind: form.bind,
        private_port: form.private_port.map(NonZeroU16::get),
        timeout: form.timeout,
        name: form.name,
        discovery: form.discovery,
        compress: form.compress,
        peer: form.peer,
        peers: form.peers.into_iter().map(|(name, address)| (name, address.0)).collect(),
        keying: form.key_file.map(|file| {
            let folder = Path::new(path).parent();
            Keying::File(folder.map_or(file.clone(), |folder| folder.join(file)))
        }),
        ..Settings::default()
    })
}

fn keys() -> String {
    let keys: Vec<_> = explained::keys().collect();
    format!("the keys are {}; `lanc man` explains them", keys.join(", "))
}

/// The first unknown key in the file's order.
fn unknown_key<'t, 'i>(table: &'t DeTable<'i>) -> Option<&'t Spanned<toml::de::DeString<'i>>> {
    let is_known = |name: &str| explained::keys().any(|key| key == name);
    let unknown = table.keys().filter(|key| !is_known(key.get_ref()));
    unknown.min_by_key(|key| key.span().start)
}

/// The line, from 1, in which a span begins.
fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start);
    text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1
}

fn timeout<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<std::time::Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a duration: \"500ms\", \"2s\", or seconds as a number")]
    enum Written {
        Text(String),
        Number(f64),
    }
    let text = match Written::deserialize(deserializer)? {
        Written::Text(text) => text,
        Written::Number(seconds) => seconds.to_string(),
    };
    let read = duration::parse(&text).map_err(serde::de::Error::custom)?;
    if read.is_zero() {
        return Err(serde::de::Error::custom("a call needs more time than none"));
    }
    Ok(Some(read))
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::endpoint(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_key_is_read() {
        let settings = layer(
            "lanc.toml",
            r#"
            port = 6000
            iface = ["eth0"]
            bind = "127.0.0.1"
            private_port = 6001
            timeout = "2s"
            name = "printer"
            discovery = false
            compress = true
            peer = ["s1"]
            key_file = "lan.key"
            [peers]
            s1 = "127.0.0.1:9"
            "#,
        )
        .unwrap();
        assert_eq!(settings.port, Some(6000));
        assert_eq!(settings.iface, Some(vec!["eth0".to_owned()]));
        assert_eq!(settings.bind, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(settings.private_port, Some(6001));
        assert_eq!(settings.timeout, Some(Duration::from_secs(2)));
        assert_eq!(settings.name.as_deref(), Some("printer"));
        assert_eq!(settings.discovery, Some(false));
        assert_eq!(settings.compress, Some(true));
        assert_eq!(settings.endpoints().unwrap()[0].to_string(), "udp://127.0.0.1:9");
        let key_file = |path, text| layer(path, text).unwrap().keying;
        assert_eq!(settings.keying, Some(Keying::File("lan.key".into())));
        let beside = key_file("/project/lanc.toml", "key_file = 'keys/lan.key'");
        assert_eq!(beside, Some(Keying::File("/project/keys/lan.key".into())));
        let absolute = key_file("/project/lanc.toml", "key_file = '/k/lan.key'");
        assert_eq!(absolute, Some(Keying::File("/k/lan.key".into())));
        assert_eq!(layer("x", ""), Ok(Settings::default()));
        assert_eq!(layer("x", "timeout = 0.5").unwrap().timeout, Some(Duration::from_millis(500)));
    }

    #[test]
    fn mistakes_name_file_and_line() {
        for (text, line, part) in [
            ("prot = 1\n", 1, "did you mean `port`?"),
            ("port = 1\n\nifaec = []\n", 3, "did you mean `iface`?"),
            ("zzz = 1\nport = 2\naaa = 3\n", 1, "unknown key `zzz`"),
            ("port = 0\n", 1, "nonzero"),
            ("port = 65536\n", 1, "65536"),
            ("\nport = \"x\"\n", 2, "string"),
            ("timeout = \"soon\"\n", 1, "no duration"),
            ("timeout = true\n", 1, "a duration"),
            ("timeout = 0\n", 1, "more time"),
            ("[peers]\na = \"nowhere\"\n", 2, "no ADDR:PORT"),
            ("port = = 1\n", 1, ""),
            ("name = \"a\"\nname = \"b\"\n", 2, "duplicate"),
        ] {
            let told = layer("some/lanc.toml", text).unwrap_err().to_text(true);
            assert!(told.contains(&format!("some/lanc.toml:{line}: ")), "{text:?}: {told}");
            assert!(told.contains(part), "{text:?}: {told}");
        }
    }
}
