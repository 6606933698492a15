//! The keys a node of this command gets, where they come from, and what people are told of them.
//!
//! First wins: `--key-file`, `--passphrase` or `--open`; `LANC_KEY_FILE`; `key_file` in the
//! project's `lanc.toml`, then in the user's file; the stored keys; none. What is there and cannot
//! be read is an error: no node is open because its key was not found.

mod heard;
mod prompt;
mod public;
pub(crate) mod ring;

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use lanc::{Group, GroupKey, KeyFileError, MasterKey, Node, ParseKeyError, RingError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;

pub(crate) use heard::{Heard, explain, heard};
pub(crate) use public::refuse_public;
use ring::Ring;

/// Where a node's key comes from, if it is not the stored one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Keying {
    /// From nowhere, in spite of what is stored or configured.
    Open,
    /// From a file.
    File(PathBuf),
    /// From a passphrase that is asked for, in the group of this name.
    Passphrase(String),
}

/// A node's keys, the one it seals under first; none in open mode.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Keys {
    pub(crate) all: Vec<MasterKey>,
    /// Whether they are the stored ones, which may change while the node runs.
    pub(crate) are_stored: bool,
}

impl Keys {
    /// Reads the keys that the settings name.
    ///
    /// # Errors
    /// A key that is named or stored cannot be had.
    pub(crate) fn of(settings: &Settings) -> Result<Self, Failure> {
        let one = |key| Self { all: vec![key], are_stored: false };
        match &settings.keying {
            Some(Keying::Open) => Ok(Self::default()),
            Some(Keying::File(path)) => {
                let key = MasterKey::read_file(path).map_err(unreadable);
                key.map(one).map_err(or_open)
            }
            Some(Keying::Passphrase(group)) => {
                let key = MasterKey::from_passphrase(&prompt::passphrase()?, group);
                let key = key.map_err(|error| {
                    Failure::usage(error.to_string(), "type the one that the other machines use")
                })?;
                // A slip of the finger makes another key, and nobody is found.
                output::note(&format!("key {} of group {group:?}\n", key.key_id()));
                Ok(one(key))
            }
            None => {
                let ring = Ring::read().map_err(or_open)?;
                Ok(Self { all: ring.into_keys(), are_stored: true })
            }
        }
    }

    /// As nodes take them.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Arc<dyn GroupKey>> {
        self.all.iter().map(group)
    }
}

/// For the process behind `call --async`, and never anywhere else.
impl Serialize for Keys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all: Vec<_> = self.all.iter().map(hex).collect();
        let all: Vec<&str> = all.iter().map(|key| key.as_str()).collect();
        (all, self.are_stored).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (all, are_stored) = <(Vec<String>, bool)>::deserialize(deserializer)?;
        let all = all.into_iter().map(|key| Zeroizing::new(key).parse());
        let all = all.collect::<Result<_, _>>().map_err(serde::de::Error::custom)?;
        Ok(Self { all, are_stored })
    }
}

/// A secret, to be written where it is kept.
pub(crate) fn hex(key: &MasterKey) -> Zeroizing<String> {
    let mut hex = Zeroizing::new(String::with_capacity(64));
    for byte in key.expose() {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn group(key: &MasterKey) -> Arc<dyn GroupKey> {
    Arc::new(Group::new(key))
}

/// A key file that cannot be used.
pub(crate) fn unreadable(error: KeyFileError) -> Failure {
    let next = match &error {
        KeyFileError::Open { path, .. } => format!("chmod 600 {}", path.display()),
        KeyFileError::Exists(path) => {
            let path = path.display();
            format!(
                "name another file, or use the key in this one: `lanc key store {path}`, --key-file {path}"
            )
        }
        KeyFileError::Content { path, source: ParseKeyError::Empty } => {
            format!(
                "no key was ever in it: rm {}; then make or store the key again",
                path.display()
            )
        }
        KeyFileError::Io { source, .. } if is_full(source) => {
            "make room on its disk, and run the command again: nothing was written".to_owned()
        }
        KeyFileError::Io { what: "read", .. } => {
            "check the name of the file; `lanc key new FILE` makes a key".to_owned()
        }
        KeyFileError::Io { .. } => "check the folder and the disk it is on".to_owned(),
        _ => "name another key file".to_owned(),
    };
    Failure::usage(error.to_string(), next)
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// What a node can do as well, whose key cannot be had.
fn or_open(failure: Failure) -> Failure {
    let next = format!("{}; or go without a key by --open", failure.advice());
    failure.next(next)
}

/// Takes over what is stored now: a node that runs follows a rotation.
///
/// # Errors
/// Nothing is stored, or the node began without a key.
pub(crate) fn follow(node: &Node) -> Result<(), Failure> {
    let stored = Ring::read()?.into_keys();
    let Some(primary) = stored.first().map(MasterKey::key_id) else {
        let text = "no key is stored any more, and this node keeps those it has";
        return Err(Failure::usage(text, "start it anew"));
    };
    let refused = |error: RingError| Failure::usage(error.to_string(), "start the node anew");
    for key in &stored {
        node.add_key(group(key)).map_err(refused)?;
    }
    node.make_primary(primary).map_err(refused)?;
    for held in node.keys() {
        if stored.iter().all(|key| key.key_id() != held.id) {
            node.remove_key(held.id).map_err(refused)?;
        }
    }
    Ok(())
}

/// One loud line: who is heard by this node, and who may call it.
pub(crate) fn mode(node: &Node) -> String {
    let keys = node.keys();
    let Some((primary, others)) = keys.split_first() else {
        return "OPEN MODE: anyone who reaches this node over the network can call its functions, \
                and nothing is encrypted; `lanc pair` or `lanc key new FILE` closes it\n"
            .to_owned();
    };
    let also = match others {
        [] => String::new(),
        _ => {
            let ids: Vec<_> = others.iter().map(|key| key.id.to_string()).collect();
            format!("; opened too: {}", ids.join(", "))
        }
    };
    format!("keyed: only who holds key {} hears and calls this node{also}\n", primary.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_told() {
        let path = PathBuf::from("lan.key");
        let source = io::ErrorKind::StorageFull.into();
        let told = unreadable(KeyFileError::Io { what: "write", path, source }).to_text(false);
        assert!(told.contains("cannot write the key file lan.key: no storage space"), "{told}");
        assert!(told.contains("next: make room on its disk"), "{told}");
    }
}
