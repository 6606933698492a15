//! Names of peers as they are listed: told apart where several have the same.

use std::collections::BTreeMap;

use lanc::{PeerInfo, SessionId};

/// How many digits of its session a peer is told apart by, and is found by.
pub(crate) const DIGITS: usize = 8;

/// How many peers have each name.
pub(crate) struct Names(BTreeMap<String, usize>);

impl Names {
    pub(crate) fn of(peers: &[PeerInfo]) -> Self {
        let mut names = BTreeMap::new();
        for peer in peers {
            *names.entry(peer.name.clone()).or_default() += 1;
        }
        Self(names)
    }

    /// The name, with the first digits of the session where another peer has it too: by these
    /// `--on` and `lanc ping` find it.
    pub(crate) fn show(&self, name: &str, session: SessionId) -> String {
        if self.0.get(name).is_none_or(|count| *count < 2) {
            return name.to_owned();
        }
        let digits: String = session.to_string().chars().take(DIGITS).collect();
        format!("{name} ({digits})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_clash_have_digits() {
        let names = Names([("a".to_owned(), 2), ("b".to_owned(), 1)].into());
        let session = SessionId([0x1f; 16]);
        assert_eq!(names.show("a", session), "a (1f1f1f1f)");
        assert_eq!(names.show("b", session), "b");
        assert_eq!(names.show("gone", session), "gone");
    }
}
