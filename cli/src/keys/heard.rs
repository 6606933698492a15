//! Who is near with another key, or with one where this node has none, or without: the commonest
//! reason that nobody is found.

use lanc::{ForeignGroup, Node};

use super::ring::Ring;
use crate::failure::Failure;

/// What was heard of them, and what to do.
#[derive(PartialEq, Debug)]
pub(crate) struct Heard {
    pub(crate) what: String,
    pub(crate) next: String,
}

/// `None`: nobody of them.
pub(crate) fn heard(node: &Node) -> Option<Heard> {
    let own = node.keys().first().map(|key| key.id.to_string());
    let is_left_out = own.is_none() && a_key_is_stored();
    describe(own.as_deref(), &node.foreign_groups(), node.plain_nodes(), is_left_out)
}

/// Whether a node without a key has none because it was told so, by --open.
fn a_key_is_stored() -> bool {
    Ring::read().is_ok_and(|ring| !ring.keys().is_empty())
}

/// Tells it with a failure whose reason it may be.
pub(crate) fn explain(node: &Node, failure: Failure) -> Failure {
    match heard(node) {
        Some(heard) => heard.explain(failure),
        None if node.peers().is_empty() => {
            let own = node.keys().first().map(|key| key.id.to_string());
            let is_left_out = own.is_none() && a_key_is_stored();
            unheard(own.as_deref(), is_left_out).explain(failure)
        }
        None => failure,
    }
}

/// Nobody was heard at all. Who has another key says hello every five seconds and answers nobody,
/// so there is nothing to ask.
fn unheard(own: Option<&str>, is_left_out: bool) -> Heard {
    let what = match own {
        Some(own) => format!("no node of this group (key id {own}) answered"),
        None => "no node without a key answered".to_owned(),
    };
    let next =
        "nodes of other groups answer nobody and are heard within 7 s: `lanc peers --wait 7s`";
    let next = if is_left_out { format!("{WITH_THE_KEY}; {next}") } else { next.to_owned() };
    Heard { what, next }
}

/// What to do where a key was left out that is stored.
const WITH_THE_KEY: &str = "leave out --open: a key is stored here";

impl Heard {
    /// Tells it with a failure whose reason it may be.
    pub(crate) fn explain(self, failure: Failure) -> Failure {
        failure.because(&self.what).hint(&self.next)
    }
}

/// `is_left_out`: a key is stored here, and this node goes without.
fn describe(
    own: Option<&str>,
    foreign: &[ForeignGroup],
    plain: usize,
    is_left_out: bool,
) -> Option<Heard> {
    let nodes: usize = foreign.iter().map(|group| group.nodes).sum();
    let ids: Vec<_> = foreign.iter().map(|group| group.key.to_string()).collect();
    let ids = ids.join(", ");
    let (mut what, mut next) = (Vec::new(), Vec::new());
    match own {
        None if nodes > 0 => {
            what.push(format!(
                "{} with a key {} heard (id {ids}), and this node has none",
                count(nodes),
                were(nodes)
            ));
            next.extend(is_left_out.then_some(WITH_THE_KEY));
            next.push("give --key-file, or run `lanc pair` there and `lanc pair CODE` here");
        }
        Some(own) if nodes > 0 => {
            what.push(format!(
                "{} with a different key {} heard (id {ids}), and this node has {own}",
                count(nodes),
                were(nodes)
            ));
            next.push("give --key-file with that key, or bring yours there by `lanc pair`");
        }
        _ => {}
    }
    if let Some(own) = own.filter(|_| plain > 0) {
        let speak = if plain == 1 { "speaks" } else { "speak" };
        what.push(format!(
            "{} {speak} without a key here, and this node has one (id {own})",
            count(plain)
        ));
        next.push("bring the key there by `lanc pair`, or go without it by --open");
    }
    (!what.is_empty()).then(|| Heard { what: what.join("; "), next: next.join("; ") })
}

fn count(nodes: usize) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}

fn were(nodes: usize) -> &'static str {
    if nodes == 1 { "was" } else { "were" }
}

#[cfg(test)]
mod tests {
    use lanc::KeyId;

    use super::*;

    #[test]
    fn each_case_says_who_and_what_to_do() {
        let group = |id: u8, nodes| ForeignGroup { key: KeyId([id; 4]), nodes };
        assert_eq!(describe(None, &[], 0, true), None);
        assert_eq!(describe(Some("8b21ace9"), &[], 0, false), None);
        let silence = unheard(Some("8b21ace9"), false);
        assert_eq!(silence.what, "no node of this group (key id 8b21ace9) answered");
        assert!(silence.next.contains("lanc peers --wait 7s"), "{}", silence.next);
        assert!(unheard(None, false).what.contains("without a key"));
        let told =
            |own, groups: &[ForeignGroup], plain| describe(own, groups, plain, false).unwrap();
        let left_out = describe(None, &[group(0x8b, 1)], 0, true).unwrap();
        for heard in [&left_out, &unheard(None, true)] {
            assert!(heard.next.starts_with("leave out --open"), "{}", heard.next);
        }
        let open = told(None, &[group(0x8b, 1)], 0);
        assert_eq!(open.what, "1 node with a key was heard (id 8b8b8b8b), and this node has none");
        assert!(open.next.contains("--key-file") && open.next.contains("lanc pair"));
        let other = told(Some("11111111"), &[group(1, 1), group(2, 2)], 0).what;
        assert!(
            other.starts_with("3 nodes with a different key were heard (id 01010101, 02020202)")
        );
        let both = told(Some("11111111"), &[group(1, 1)], 2);
        assert!(both.what.contains("; 2 nodes speak without a key here"), "{}", both.what);
        assert!(both.next.contains("--open"), "{}", both.next);
    }
}
