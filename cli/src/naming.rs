//! Names of peers as they are listed: told apart where several have the same. What may name a
//! function or a node.

use std::collections::{BTreeMap, BTreeSet};

use lanc::id::FunctionName;
use lanc::{Config, PeerInfo, SessionId};

/// How many digits of its session a peer is told apart by, and is found by.
pub(crate) const DIGITS: usize = 8;

/// How much of a name is repeated to who wrote it, in characters.
const SHOWN: usize = 64;

/// Checks that `name` may name a function.
///
/// # Errors
/// What is wrong, and what to do, for a person.
pub(crate) fn check_function(name: &str) -> Result<(), (String, String)> {
    if FunctionName::is_valid(name) {
        return Ok(());
    }
    let shown: String = name.chars().take(SHOWN).collect();
    let text = format!("`{shown}` cannot name a function");
    let most = FunctionName::MAX;
    let next = format!("use 1 to {most} of A-Z a-z 0-9 _ . : -, beginning with a letter or _");
    Err((text, next))
}

/// Checks that `name` may name a node.
///
/// # Errors
/// What is wrong, and what to do, for a person.
pub(crate) fn check_node(name: &str) -> Result<(), (String, String)> {
    Config::check_name(name).map_err(|error| {
        let shown: String = name.chars().take(SHOWN).collect();
        (format!("`{shown}` cannot name a node"), format!("use {}", error.allowed))
    })
}

/// Who has each name.
#[derive(Default)]
pub(crate) struct Names(BTreeMap<String, BTreeSet<SessionId>>);

impl Names {
    pub(crate) fn of(peers: &[PeerInfo]) -> Self {
        let mut names = Self::default();
        peers.iter().for_each(|peer| names.add(&peer.name, peer.session));
        names
    }

    /// Somebody has this name; it may be known already.
    pub(crate) fn add(&mut self, name: &str, session: SessionId) {
        self.0.entry(name.to_owned()).or_default().insert(session);
    }

    /// The name, with the first digits of the session where another peer has it too: by these
    /// `--on` and `lanc ping` find it.
    pub(crate) fn show(&self, name: &str, session: SessionId) -> String {
        if self.0.get(name).is_none_or(|sessions| sessions.len() < 2) {
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
    fn what_cannot_name_a_function_is_shown_as_it_is() {
        let long = "f".repeat(FunctionName::MAX);
        for name in ["add", "_a.b:c-d9", &long] {
            assert_eq!(check_function(name), Ok(()));
        }
        for name in ["\u{65e5}\u{672c}", "", "two words", "9"] {
            let (text, next) = check_function(name).unwrap_err();
            assert_eq!(text, format!("`{name}` cannot name a function"));
            assert!(next.contains("A-Z"), "{next}");
        }
        assert!(check_function(&(long + "f")).unwrap_err().0.len() < 100);
    }

    #[test]
    fn what_cannot_name_a_node_is_told() {
        let (most, more) = ("n".repeat(64), "n".repeat(65));
        for name in ["shop", "two words", "\u{65e5}", &most] {
            assert_eq!(check_node(name), Ok(()));
        }
        for name in ["", "a\nb", &more] {
            assert!(check_node(name).is_err(), "{name}");
        }
        let (text, next) = check_node("").unwrap_err();
        assert_eq!(text, "`` cannot name a node");
        assert_eq!(next, "use 1 to 64 bytes without control characters");
    }

    #[test]
    fn only_names_that_clash_have_digits() {
        let mut names = Names::default();
        let session = SessionId([0x1f; 16]);
        for (name, session) in
            [("a", session), ("a", SessionId([2; 16])), ("b", session), ("b", session)]
        {
            names.add(name, session);
        }
        assert_eq!(names.show("a", session), "a (1f1f1f1f)");
        assert_eq!(names.show("b", session), "b");
        assert_eq!(names.show("gone", session), "gone");
    }
}
