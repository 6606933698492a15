//! Who is near with another key, or with one where this node has none, or without: the commonest
//! reason that nobody is found.

use lanc::{ForeignGroup, Node};

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
    describe(own.as_deref(), &node.foreign_groups(), node.plain_nodes())
}

/// Tells it with a failure whose reason it may be.
pub(crate) fn explain(node: &Node, failure: Failure) -> Failure {
    match heard(node) {
        Some(heard) => heard.explain(failure),
        None if node.peers().is_empty() => {
            let own = node.keys().first().map(|key| key.id.to_string());
            unheard(own.as_deref()).explain(failure)
        }
        None => failure,
    }
}

/// Nobody was heard at all. Who has another key says hello every five seconds and answers nobody,
/// so there is nothing to ask.
fn unheard(own: Option<&str>) -> Heard {
    let what = match own {
        Some(own) => format!("no node of this group (key id {own}) answered"),
        None => "no node without a key answered".to_owned(),
    };
    let next =
        "nodes of other groups answer nobody and are heard within 7 s: `lanc peers --wait 7s`";
    Heard { what, next: next.to_owned() }
}

impl Heard {
    /// Tells it with a failure whose reason it may be.
    pub(crate) fn explain(self, failure: Failure) -> Failure {
        failure.because(&self.what).hint(&self.next)
    }
}

fn describe(own: Option<&str>, foreign: &[ForeignGroup], plain: usize) -> Option<Heard> {
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
        assert_eq!(describe(None, &[], 0), None);
        assert_eq!(describe(Some("8b21ace9"), &[], 0), None);
        let silence = unheard(Some("8b21ace9"));
        assert_eq!(silence.what, "no node of this group (key id 8b21ace9) answered");
        assert!(silence.next.contains("lanc peers --wait 7s"), "{}", silence.next);
        assert!(unheard(None).what.contains("without a key"));
        let told = |own, groups: &[ForeignGroup], plain| describe(own, groups, plain).unwrap();
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
